"""The URL that is written for a file: one that a reader can open, and nothing secret."""

from __future__ import annotations

import os
from pathlib import Path

from nwb_dask.errors import OutputError, display_url
from nwb_dask.index import Url
from nwb_dask.storage import asset_link, is_local, local_path
from nwb_dask.storage.urls import BUCKETS, scheme

_LINDI = frozenset({"http", "https"})


def stated_url(url: Url, given: str | None, *, format_: str) -> str:
    """Return what references name a file.

    Parameters
    ----------
    url : Url
        Where the file is read.
    given : str or None
        What the user wants to be written.
    format_ : str
        As `write_references` has it. LINDI opens http(s) URLs and absolute paths. For fsspec, which reads kerchunk's
        references, a path behind ``file://`` is as it is; for icechunk it is encoded.

    Raises
    ------
    OutputError
        If the URL has a query string or a user in it, which may be secret, or if LINDI cannot open it.
    """
    if given is not None:
        return _checked(given, "url=", format_=format_)
    if is_local(url):
        path = Path(os.path.realpath(local_path(url)))
        return {"lindi": str(path), "icechunk": path.as_uri()}.get(format_, f"file://{path}")
    return _checked(asset_link(url) or url, "the URL of the source", format_=format_)


def _checked(text: str, what: str, *, format_: str) -> str:
    kind, name = scheme(text), display_url(text)
    if name != text and kind not in BUCKETS:
        message = (
            f"{what} has a user or a query string, which may be secret, and would be written into the references; "
            "url= says what to write: a URL that readers can open without it"
        )
        raise OutputError(message, url=name)
    if format_ == "lindi" and kind not in _LINDI and not (not kind and text.startswith("/")):
        message = f"LINDI opens http(s) URLs and absolute paths, not {name}; url= says what to write"
        raise OutputError(message, url=name)
    return text
