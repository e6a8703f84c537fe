"""The URL that is written for a file: one that a reader can open, and nothing secret."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nwb_dask.errors import OutputError, display_url
from nwb_dask.index import Url
from nwb_dask.storage import asset_link, is_local, local_path
from nwb_dask.storage.urls import BUCKETS, scheme

_LINDI = frozenset({"http", "https"})


@dataclass(frozen=True, slots=True)
class Stated:
    """What is written for the files that chunks are in."""

    format: str
    own: Mapping[str, str]
    """URLs of the source, of a store without a slash at the end, with what is written for them."""

    def of(self, url: str) -> str:
        """Return what is written for a file: the source, one in a store that is the source, or another one.

        Raises
        ------
        OutputError
            As `stated_url`.
        """
        for known, stated in self.own.items():
            if url == known:
                return stated
            if url.startswith(f"{known}/"):
                return stated + url.removeprefix(known)
        return stated_url(Url(url), None, format_=self.format)

    def folder_of(self, url: str) -> str | None:
        """Return the store that a stated URL is in, with a slash at the end; None for one in no store."""
        return next((f"{one}/" for one in self.own.values() if url.startswith(f"{one}/")), None)


def make_stated(urls: Iterable[Url], stated: str, *, format_: str) -> Stated:
    """Return what is written for the files of a source that has these URLs and is to be named `stated`."""
    return Stated(format_, {one.rstrip("/"): stated.rstrip("/") for one in urls})


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
