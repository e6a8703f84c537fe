"""What a URL says and what may be said of it: schemes, names without secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal
from urllib.parse import unquote

from nwb_dask.errors import SourceNotFoundError, display_url
from nwb_dask.index import Url

__all__ = ["BUCKETS", "SignedUrl", "display_url", "local_path", "make_url", "scheme", "split_azure", "split_bucket"]

BUCKETS: Mapping[str, Literal["s3", "gs", "az"]] = MappingProxyType(
    {
        **dict.fromkeys(("s3", "s3a"), "s3"),
        **dict.fromkeys(("gs", "gcs"), "gs"),
        **dict.fromkeys(("az", "azure", "abfs", "abfss", "adl"), "az"),
    }
)
"""Schemes of object stores -> whose they are."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


class SignedUrl(str):
    """A URL with a query string or a user in it: complete as text, and shown without them by ``repr``.

    Values that hold a URL show it with ``repr`` (dataclasses, containers, exceptions in tracebacks), where a
    signature does not belong. Messages are made with `display_url`.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(display_url(self))


def make_url(text: str) -> Url:
    """Return `text` as a URL that does not show its secrets."""
    return Url(SignedUrl(text) if display_url(text) != text else text)


def scheme(text: str) -> str:
    """Return the scheme in lower case; ``""`` for a local path."""
    match = _SCHEME.match(text)
    return match.group(1).lower() if match else ""


def split_bucket(url: str) -> tuple[str, str, str | None]:
    """Return bucket, key and version of a URL of an object store; the key is as stored, never percent-decoded.

    ``?versionId=`` names the version, whatever the store calls it; any other question mark belongs to the key.
    """
    rest, _, version = url.partition("://")[2].partition("?versionId=")
    bucket, _, key = rest.partition("/")
    return bucket, key, version or None


def split_azure(bucket: str) -> tuple[str, str | None]:
    """Return container and account of what stands before the path of an Azure URL.

    Either ``container``, or ``container@account.dfs.core.windows.net``.
    """
    container, at, host = bucket.partition("@")
    return container, host.partition(".")[0] if at else None


def is_local(url: str) -> bool:
    """Return whether a URL is a path of this machine."""
    return "://" not in url or url.startswith("file://")


def local_path(url: str) -> str:
    """Return the path that a ``file://`` URL means, percent-decoded, or a local path unchanged.

    A number sign is part of the path: a file has no fragments.
    """
    if scheme(url) != "file":
        return url
    host, slash, path = url.partition("://")[2].partition("/")
    if host not in {"", "localhost"} or not slash:
        raise SourceNotFoundError(f"{url!r} names the host {host!r}; a local file is file:///path", url=url)
    return "/" + unquote(path)
