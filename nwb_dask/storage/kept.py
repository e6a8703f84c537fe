"""What is kept on disk of one remote file, as one reader of it sees that."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from nwb_dask.index import Identity, Url
from nwb_dask.options import Options
from nwb_dask.storage import chunk_file, disk, seen
from nwb_dask.storage.chunk_cache import ChunkCache, chunk_cache
from nwb_dask.storage.coalesce import Buffer, Range
from nwb_dask.storage.cover import Cover, Piece
from nwb_dask.storage.dandi_url import split_pinned
from nwb_dask.storage.freshness import Said, is_fresh
from nwb_dask.storage.seen import Seen
from nwb_dask.storage.url_keys import url_key
from nwb_dask.storage.urls import BUCKETS, display_url, scheme, split_bucket

_log = logging.getLogger(__name__)

_SETTLED_SECONDS = 2.5
"""A time of change, in whole seconds, tells versions apart only once it has passed for so long."""
_LOOK_PAUSE = 20.0
"""Times what a look at the folder takes, before the next: it changes with every range that is kept."""


class Kept:
    """What is kept of one remote file, as one reader of it sees that; any thread may use it.

    Parameters
    ----------
    cache : ChunkCache
        Where.
    url : Url
        The file.
    max_age : float, optional
        For how many seconds a version is believed to be the present one after an answer has shown it; None for as long
        as that answer allows.
    within : Identity, optional
        Version of the folder that the file is a value of: in another one nothing of it is known.
    """

    def __init__(self, cache: ChunkCache, url: Url, max_age: float | None, within: Identity | None = None) -> None:
        self._cache = cache
        self._key = url_key(url)
        if within is not None:
            self._key = chunk_file.version_key(self._key, within)[: len(self._key)]
        self._name = display_url(url)
        self._place = cache.place(self._key)
        self._max_age = max_age
        self._pinned = _pinned_version(url)
        self._version: bytes | None = None
        self._cover = Cover()
        self._listed = 0
        self._next_look = 0.0
        self._noted = False
        self._seen = seen.read(self._place / seen.NAME, self._key)

    @property
    def last(self) -> Identity | None:
        """The version that an answer has shown last, to any process."""
        return None if self._seen is None else self._seen.identity

    @property
    def modified(self) -> float | None:
        """When that was written, in seconds since 1970, if the answer has said so."""
        return None if self._seen is None else self._seen.said.modified

    def is_absent(self) -> bool:
        """Return whether it may be taken without asking that nothing is there."""
        return self._seen is not None and self._seen.identity is None and self._is_believed(self._seen)

    def is_fresh(self, identity: Identity) -> bool:
        """Return whether `identity` may be taken for the present version without asking."""
        if self._pinned is not None:
            return identity.kind != "version" or identity.value == self._pinned
        last = self._seen
        if last is None or last.identity != identity:
            return False
        return self._is_believed(last)

    def _is_believed(self, last: Seen) -> bool:
        return is_fresh(last.said, asked=last.asked, now=time.time(), max_age=self._max_age)

    def begin(self, identity: Identity) -> None:
        """Take it that this is the version that is read; of a file without any mark of its version nothing is kept."""
        if identity.kind != "size" and _is_settled(identity):
            self._version = chunk_file.version_key(self._key, identity)
            if self._seen is not None:
                disk.mark_used(self._place / seen.NAME)

    def confirm(self, identity: Identity, said: Said, asked: float) -> None:
        """Note that an answer has shown this version.

        Parameters
        ----------
        identity : Identity
            The version.
        said : Said
            What the answer says about how long it may be believed.
        asked : float
            When the question was sent, in seconds since 1970.
        """
        if self._version is None or not said.may_be_kept:
            self._version = None
            return
        if self._noted:
            return
        self._noted = True
        before = self._seen.said if self._seen is not None and self._seen.identity == identity else Said()
        self._note(Seen(self._name, identity, before.updated(said), asked))

    def note_absent(self, said: Said, asked: float) -> None:
        """Note that an answer has shown that nothing is there; see `confirm`."""
        self._note(Seen(self._name, None, said, asked))

    def _note(self, found: Seen) -> None:
        self._seen = found
        self._cache.write(self._place / seen.NAME, [seen.build(self._key, found)])

    def forget(self, identity: Identity) -> None:
        """Take a version for the present one no more: an answer was of another."""
        path = self._place / seen.NAME
        last = seen.read(path, self._key)
        if last is not None and last.identity == identity:
            with suppress(OSError):
                path.unlink()
        self._seen = None

    def find(self, ranges: Sequence[Range]) -> list[Piece]:
        """Return what is kept of `ranges`: pieces that may reach beyond them."""
        version = self._version
        if version is None:
            return []
        if not all(self._cover.has(*one) for one in ranges):
            # Another process may have kept more meanwhile.
            self._look(version)
        wanted: dict[Range, list[Range]] = {}
        for one in ranges:
            for start, stop, kept in self._cover.parts(*one):
                wanted.setdefault(kept, []).append((start, stop))
        return [piece for kept, inside in wanted.items() for piece in self._read(version, kept, sorted(inside))]

    def keep(self, start: int, body: Buffer) -> None:
        """Keep bytes of the version, unless they are kept already."""
        version = self._version
        if version is None:
            return
        view = memoryview(body)
        for at in range(0, len(view), chunk_file.MAX_BYTES):
            part = view[at : at + chunk_file.MAX_BYTES]
            kept = (start + at, start + at + len(part))
            if self._cover.has(*kept):
                continue
            path = self._place / chunk_file.file_name(version, kept)
            if path.exists() or self._cache.write(path, chunk_file.build(version, kept[0], part)):
                self._cover.add(kept)

    def _look(self, version: bytes) -> None:
        """List what is kept, if that has changed and is worth its time."""
        began = time.monotonic()
        if began < self._next_look:
            return
        try:
            changed = self._place.stat().st_mtime_ns
            if changed == self._listed:
                return
            names = os.listdir(self._place)  # noqa: PTH208  # text in, text out: there may be thousands
        except OSError:
            return
        mine = version[:8].hex()
        found = (chunk_file.NAME.fullmatch(name) for name in names)
        ranges = [(int(one["start"], 16), int(one["stop"], 16)) for one in found if one and one["version"] == mine]
        self._cover = Cover(one for one in ranges if 0 < one[1] - one[0] <= chunk_file.MAX_BYTES)
        self._listed = changed
        self._next_look = began + _LOOK_PAUSE * (time.monotonic() - began)

    def _read(self, version: bytes, kept: Range, wanted: Sequence[Range]) -> list[Piece]:
        path = self._place / chunk_file.file_name(version, kept)
        pieces = chunk_file.read(path, version, kept, wanted)
        if pieces is None:
            _log.debug("%s: %s is gone or damaged, and fetched again", self._name, path)
            with suppress(OSError):
                path.unlink()
            self._cover, self._listed, self._next_look = Cover(), 0, 0.0
            return []
        disk.mark_used(path)
        return pieces


def _pinned_version(url: str) -> str | None:
    """Return the version that a URL stands for, for ever."""
    kind = scheme(url)
    if kind == "dandi":
        asset = split_pinned(url)
        return None if asset is None else asset[1]
    return split_bucket(url)[2] if kind in BUCKETS else None


def _is_settled(identity: Identity) -> bool:
    """Return whether a version could not have been replaced by another of the same name (RFC 9110, 8.8.2.2)."""
    if identity.kind != "mtime":
        return True
    try:
        changed = datetime.fromisoformat(identity.value).timestamp()
    except ValueError:
        return False
    return time.time() - changed > _SETTLED_SECONDS


def keep_parts(url: Url, options: Options, within: Identity | None = None) -> Kept | None:
    """Return what is kept of a remote file, or of a value in a folder; None where the cache is switched off."""
    if options.chunk_cache == "off":
        return None
    cache = chunk_cache(options)
    if cache.belongs_to_another():
        # Whoever can write to the folder can forge what is in it.
        message = (
            f"no bytes are kept in {cache.folder}, nor taken from there: others than you can write to it; "
            "choose another folder with nwb_dask.options(chunk_cache_dir=...)"
        )
        warnings.warn(message, UserWarning, stacklevel=2)
        return None
    return Kept(cache, url, options.chunk_cache_max_age, within)
