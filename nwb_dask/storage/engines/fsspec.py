"""Files of any file system that fsspec knows, s3fs among them, with the options that its users have."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Any, TypeVar

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.cached import CachingFileSystem

from nwb_dask.errors import NWBDaskError, SourceUnavailableError
from nwb_dask.index import Identity
from nwb_dask.storage.access import (
    CHOICES,
    FILE_SYSTEM,
    ONLY_HOSTS,
    Access,
    find_fsspec_options,
    find_headers,
    find_secrets,
)
from nwb_dask.storage.engines.protocol import (
    WHOLE_BYTES,
    Answer,
    Driver,
    Failure,
    Outcome,
    Pin,
    Wanted,
    make_identity,
)
from nwb_dask.storage.freshness import Said
from nwb_dask.storage.urls import BUCKETS, display_url, scheme, split_azure, split_bucket

T = TypeVar("T")

# What file systems call the time of the last change.
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "Last-Modified", "created")
_STATUSES = range(400, 600)
_CACHES = Lock()
"""Held while a cache of fsspec is used."""


def connect_fsspec(url: str, access: Access, *, is_value: bool) -> FsspecEngine:
    """Return the engine of a file, or of a value in a folder; nothing is sent yet.

    Raises
    ------
    SourceUnavailableError
        If fsspec does not know the scheme, lacks the library for it, or the options do not fit.
    """
    name, typed = display_url(url), scheme(url)
    if typed not in fsspec.available_protocols():
        message = f"{typed}:// URLs are not read; give a path, or an https://, s3://, gs:// or az:// URL"
        raise SourceUnavailableError(message, url=name)
    options = _options(url, access)
    version = split_bucket(url)[2] if typed in BUCKETS else None
    failure: NWBDaskError
    try:
        fs, path = url_to_fs(url, **options)
    except ImportError as exc:
        failure = SourceUnavailableError(f"reading {name} needs a library for fsspec: {exc.msg}", url=name)
    except Exception as exc:  # noqa: BLE001  # of any library, with options in its message
        failure = SourceUnavailableError(
            f"fsspec cannot read {name} with these storage_options ({type(exc).__name__})", url=name
        )
    else:
        return (FsspecValue if is_value else FsspecEngine)(fs, path, host=_host(url), version=version)
    raise failure


def connect_given(fs: fsspec.AbstractFileSystem, url: str, *, is_value: bool) -> FsspecEngine:
    """Return the engine of a file, or of a value in a folder, of a file system that the user has; nothing is sent."""
    path = fs._strip_protocol(url)  # noqa: SLF001  # fsspec has no other way from a URL to a path
    return (FsspecValue if is_value else FsspecEngine)(fs, path, host=_host(url), version=None)


class FsspecEngine:
    """One file, by a file system of fsspec.

    fsspec shows neither headers nor a way to say If-Match, so the version is asked for before a file is read that
    nothing is known of, and after every round: what was read in between is of that version. This costs a request
    (mostly a HEAD) each time. Requests that the library sends again on its own are not counted. Redirects are the
    library's, and so are the headers that it takes along. A read waits for the thread of fsspec's event loop, which
    may deadlock with h5py over a `BlockFile` (h5py issues 2019 and 2021).

    Parameters
    ----------
    fs : fsspec.AbstractFileSystem
        The file system.
    path : str
        Of the file in it.
    host : str
        What bounds on concurrency go by.
    version : str, optional
        Version that the URL pins.
    """

    driver: Driver | None = None

    def __init__(self, fs: fsspec.AbstractFileSystem, path: str, *, host: str, version: str | None) -> None:
        self._fs = fs
        is_cache = isinstance(fs, CachingFileSystem)
        # A cache of blocks looks for a file in a listing, which http does not have (fsspec 2026.9).
        self._describing = fs.fs if is_cache else fs
        # Two threads that open the same cached file may empty what the other has written (fsspec 2026.9, `MMapCache`).
        self._turn: AbstractContextManager[object] = _CACHES if is_cache else nullcontext()
        self._path = path
        self._known: Identity | None = None
        self._modified: float | None = None
        self.host = host
        self.version = version

    def get(self, wanted: Wanted, pin: Pin, until: float) -> Outcome:  # noqa: ARG002  # no conditions can be sent
        """Return the bytes of one range; see `Engine.get`."""
        known = self._known or self.identify(until)
        if isinstance(known, Failure):
            return known
        start, stop = _range(wanted, known.size)
        if stop - start > WHOLE_BYTES:
            return Failure("long", size=known.size)
        if start >= stop:
            return Answer(memoryview(b""), start, known) if known.size == 0 else Failure("status", 416)
        body = self._call(lambda **more: self._fs.cat_file(self._path, start=start, end=stop, **more), until)
        if isinstance(body, Failure):
            return body
        if len(body) != stop - start:
            # Some do not notice that a server sends all of the file.
            return Failure("whole" if len(body) > stop - start else "broken")
        return Answer(memoryview(body), start, known, caching=lambda: Said(modified=self._modified))

    def expect(self, identity: Identity) -> None:
        """Take it that the version that was planned is there; whether it is, is asked after the read."""
        self._known = identity

    def identify(self, until: float) -> Identity | Failure:
        """Return the version that is there now."""
        found = self._call(self._info, until)
        if isinstance(found, Failure):
            return found
        size = found.get("size")
        if found.get("type") == "directory" or size is None:
            return Failure("status", 404)
        modified = next((time for time in (_time(found.get(key)) for key in _TIMES) if time is not None), None)
        self._modified = None if modified is None else modified.timestamp()
        self._known = make_identity(
            version=self.version,
            etag=next((str(found[key]) for key in ("ETag", "etag") if found.get(key)), None),
            modified=modified,
            size=int(size),
        )
        return self._known

    def prepare(self, n_following: int, until: float) -> tuple[int, int]:  # noqa: ARG002  # of the protocol
        """Ask for the version of a file of which nothing is known."""
        if self._known is not None:
            return 0, 0
        self.identify(until)
        return 1, 0

    def renew(self) -> None:
        """Do nothing: redirects are the library's."""

    def _info(self, **more: float) -> dict[str, Any]:
        # Listings are remembered by some, and what they said of the file with them.
        self._describing.invalidate_cache(self._path)
        found: dict[str, Any] = self._describing.info(self._path, **more)
        return found

    def _call(self, call: Callable[..., T], until: float) -> T | Failure:
        """Return what a call gives, or why it fails."""
        left = until - time.monotonic()
        if left <= 0:
            return Failure("timeout")
        try:
            with self._turn:
                return call(timeout=left) if self._fs.async_impl else call()
        except Exception as exc:  # noqa: BLE001  # of any library; the message may hold the URL
            return _translate(exc)


class FsspecValue(FsspecEngine):
    """One of many values in a folder, by a file system of fsspec: asked for at once, whatever its version."""

    def get(self, wanted: Wanted, pin: Pin, until: float) -> Outcome:  # noqa: ARG002  # no conditions can be sent
        """Return the bytes of one range, without the version that they are of."""
        start, stop = wanted if isinstance(wanted, tuple) else (None if wanted is None else -wanted, None)
        body = self._call(lambda **more: self._fs.cat_file(self._path, start=start, end=stop, **more), until)
        if isinstance(body, Failure):
            return body
        if wanted is not None and len(body) > (wanted if isinstance(wanted, int) else wanted[1] - wanted[0]):
            # Some do not notice that a server sends all of the file.
            return Failure("whole")
        if isinstance(wanted, int) and not body:
            # The file system for http says nothing of a server that does not count from the end.
            return Failure("status", 416)
        # Where an end begins is not known, and not asked for.
        return Answer(memoryview(body), start if isinstance(wanted, tuple) and start else 0, None)


def _range(wanted: Wanted, size: int) -> tuple[int, int]:
    if isinstance(wanted, tuple):
        return wanted[0], min(wanted[1], size)
    return (0 if wanted is None else max(size - wanted, 0)), size


def _host(url: str) -> str:
    return "fsspec:" + display_url(url).partition("://")[0] + "://" + display_url(url).partition("://")[2].split("/")[0]


def _options(url: str, access: Access) -> dict[str, object]:
    """Return the options of a file system under the names that it has for them."""
    kind = BUCKETS.get(scheme(url), scheme(url))
    given = {name: value for name, value in access.options if name not in {*CHOICES, FILE_SYSTEM, ONLY_HOSTS}}
    given |= {name: value for name, value in find_secrets(access).items() if ":" not in name}
    headers = find_headers(access)
    if kind == "s3":
        region = given.pop("region", None)
        found: dict[str, Any] = {"config_kwargs": {"max_pool_connections": access.choices().requests_per_host}}
        if region is not None:
            found["client_kwargs"] = {"region_name": region}
        if split_bucket(url)[2]:
            found["version_aware"] = True
    elif kind == "gs":
        found = {"token": "anon"} if given.pop("anon", None) else {}
        account = given.pop("service_account", None)
        if account is not None:
            found["token"] = account
    elif kind == "az":
        account = split_azure(split_bucket(url)[0])[1]
        found = {"account_name": account} if account else {}
    elif kind in {"http", "https"}:
        # A signature may count every letter of the URL.
        found = {"encoded": True}
        if "username" in given:
            pair = f"{given.pop('username')}:{given.pop('password', '')}".encode()
            headers.setdefault("Authorization", "Basic " + b64encode(pair).decode())
        if headers:
            found["headers"] = headers
    else:
        found = {}
    foreign = find_fsspec_options(access)
    nested = foreign.get("client_kwargs")
    if isinstance(nested, dict):
        foreign["client_kwargs"] = {**found.get("client_kwargs", {}), **nested}
    return {**found, **given, **foreign}


def _time(value: object) -> datetime | None:
    """Return a time of the last change, in whatever way it is written."""
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC)
    if not isinstance(value, str):
        return None
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            return _time(parse(value))
        except ValueError:
            continue
    return None


def _translate(exc: Exception) -> Failure:
    """Return what an exception says, without its text."""
    kind, status = type(exc).__name__, _status(exc)
    if isinstance(exc, (FileNotFoundError, IsADirectoryError)):
        return Failure("status", 404)
    if isinstance(exc, PermissionError) or "Credential" in kind or "Auth" in kind:
        return Failure("refused", said=kind)
    if status is not None:
        return Failure("status", status)
    if isinstance(exc, TimeoutError):
        return Failure("timeout")
    return Failure("broken" if isinstance(exc, OSError) or "Client" in kind else "odd", said=kind)


def _status(exc: Exception) -> int | None:
    """Return the status that an exception of an HTTP library has: aiohttp's, gcsfs's, Azure's, or botocore's."""
    # Only until one is found: aiohttp has two, and warns of who looks at the other.
    for one in (getattr(exc, name, None) for name in ("status", "status_code", "code")):
        if one is not None:
            return one if isinstance(one, int) and one in _STATUSES else None
    for botocore in (exc, exc.__cause__):
        response = getattr(botocore, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return status if status in _STATUSES else None
    return None
