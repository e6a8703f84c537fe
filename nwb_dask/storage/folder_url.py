"""Which URLs are of folders, and where the values of one are. Pure.

A Zarr store has no mark of its own: its name is a convention (``.zarr``; archives have ``.nwb.zarr``, and some labs
``.nwb``), and only its documents tell.
"""

from __future__ import annotations

from urllib.parse import quote

from nwb_dask.index import Url
from nwb_dask.storage.urls import BUCKETS, make_url, scheme, split_bucket

_HTTP = {"http", "https"}
_STORES = (".zarr", ".lindi.d")
_NWB = ".nwb"


def is_folder_url(url: str) -> bool:
    """Return whether a remote URL is of a folder by its name: one that ends like a store, or with a slash.

    Of http(s) URLs a slash alone says nothing: links to downloads end with one.
    """
    path = _path(url)
    return path.rstrip("/").endswith(_STORES) or (path.endswith("/") and scheme(url) not in _HTTP)


def may_be_folder(url: str) -> bool:
    """Return whether a remote URL may be of a folder where nothing is at the URL itself."""
    path = _path(url)
    last = path.rstrip("/").rpartition("/")[2]
    return not is_pinned(url) and (path.endswith("/") or last.endswith(_NWB) or "." not in last)


def is_pinned(url: str) -> bool:
    """Return whether a URL names a version of an object, which no folder has."""
    return scheme(url) in BUCKETS and split_bucket(url)[2] is not None


def join_key(url: str, key: str) -> Url:
    """Return the URL of a value in a folder; a query string of the folder (a signature) goes with each value."""
    if scheme(url) not in _HTTP:
        return Url(f"{url.rstrip('/')}/{key}")
    path, mark, query = url.partition("?")
    return make_url(f"{path.rstrip('/')}/{quote(key)}{mark}{query}")


def _path(url: str) -> str:
    """Return a URL without its query string; of http(s) only, because objects may have question marks in their keys."""
    return url.partition("?")[0] if scheme(url) in _HTTP else url
