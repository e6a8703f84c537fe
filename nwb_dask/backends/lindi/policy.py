"""Which files a document may have its reader open, where they are, and who may see credentials there.

====================================  ==========================================================================
a reference leads to                  it is followed
====================================  ==========================================================================
what ``remap`` says                   to wherever that says, a local path included, because the user wrote it
a path that moved with the document  it is beside it again, where it was beside it before
a path relative to the document       below the folder of the document, wherever that is
a path of this machine                from a local document, to files in its folder and in the folders of the option
                                      ``allow_external``, and below, links resolved; without ``file://`` also to
                                      HDF5 files and chunks of Zarr arrays wherever they are, which is what writers
                                      of documents name
an http(s) server or a bucket         to those of the document itself, of `storage.PUBLIC_STORES`, of the option
                                      ``allow_hosts``, and from a local document to this machine's own servers
an address of the machine's own link  never
====================================  ==========================================================================

The server of a document is its origin: scheme, host and port. Redirects are held to the same rules where they lead.
Credentials and options go with requests to the origin of the document, to what ``remap`` names, and to servers that
``allow_hosts`` names one by one, by https unless it says ``http://``. All others are asked as anybody may ask them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import unquote

from nwb_dask.backends.lindi.noted import NotedFile
from nwb_dask.errors import SourceAccessError, display_url
from nwb_dask.index import Url
from nwb_dask.storage import (
    LOOPBACK,
    PUBLIC_STORES,
    Access,
    allows,
    find_remap,
    is_exact,
    is_local,
    limit_access,
    local_path,
    matches,
    origin_of,
    refusal,
    server_name,
    url_scheme,
)

_ASKED = ("http", "https", "s3", "s3a", "gs", "gcs", "az", "azure", "abfs", "abfss", "adl")
_WAY_OUT = "name the place yourself: nwb_dask.options(remap={URL or prefix: URL or path}), or storage_options"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a referenced file is, and how it may be reached."""

    url: Url
    access: Access
    otherwise: str = ""
    """Why it is refused unless it is an HDF5 file or a chunk of a Zarr array; "" if any file will do."""
    noted: NotedFile | None = None
    """What the document notes of it, or of the Zarr store that it is in."""
    folder: Url | None = None
    """Where that store is; None if the file is in none that is noted."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What one document may refer to; see `make_policy`."""

    document: Url
    access: Access
    folder: str | None
    """Absolute path of the folder that relative paths of a local document count from; None for a remote one."""
    remap: tuple[tuple[str, str], ...]
    """Prefixes and what stands for them, the longest first."""
    allowed: tuple[str, ...]
    """Rules of the user; see `storage.hosts`."""
    is_folder: bool
    files: tuple[NotedFile, ...] = ()
    """What the document notes of files."""

    def place(self, named: str) -> Place:
        """Return where a reference leads.

        Raises
        ------
        SourceAccessError
            If it may not be followed; the message says the way out.
        """
        for noted in self.files:
            rest = noted.rest_of(named)
            if rest is not None:
                found = self._place(named, None if noted.beside is None else noted.beside + rest)
                folder = Url(found.url.removesuffix(rest)) if noted.is_folder else None
                # What is written in another way is taken as it is.
                return replace(found, noted=noted, folder=folder) if found.url.endswith(rest) else found
        return self._place(named, None)

    def _place(self, named: str, beside: str | None) -> Place:
        for prefix, replacement in self.remap:
            rest = _rest_behind(prefix, named)
            if rest is not None:
                return self._remapped(replacement, rest)
        typed = url_scheme(named)
        if beside is not None and (typed in {"", "file"}) and (moved := self._moved(beside)) is not None:
            return moved
        if typed in _ASKED:
            return self._asked(named)
        if "\0" in named or (typed not in {"", "file"}) or (":" in named.partition("/")[0] and not typed):
            raise self._refused(f"refers to {named[:80]!r}, which no file may name")
        if self.folder is not None:
            return self._local(named, self.folder)
        if typed or named.startswith(("/", "\\")):
            raise self._refused(f"refers to the path {named[:80]!r} of this machine, which no remote file may name")
        return self._beside(named)

    def _remapped(self, replacement: str, rest: str) -> Place:
        if ".." in unquote(rest).split("/"):
            raise self._refused("refers to a path with '..' behind what remap says")
        url = replacement + rest
        if is_local(url):
            return Place(Url(_absolute(url)), self.access)
        if url_scheme(url) in _ASKED and not allows(("*",), url):
            raise SourceAccessError(refusal(display_url(url), server_name(url)), url=url)
        # Where the user's own URL redirects to is followed, as it is when it is opened.
        return Place(Url(url), limit_access(self.access, ("*",), is_trusted=True))

    def _moved(self, beside: str) -> Place | None:
        """Return the file that was beside the document when this was written, and moved with it."""
        if self.folder is not None:
            path = os.path.join(self._inside(self.folder), beside)  # noqa: PTH118  # text in, text out
            return self._local(path, self.folder) if os.path.exists(path) else None  # noqa: PTH110  # likewise
        return self._beside(beside, is_next=True)

    def _inside(self, folder: str) -> str:
        # A folder of chunks stands next to the file that it adds to, as other documents do.
        return os.path.realpath(os.path.dirname(folder) if self.is_folder else folder)  # noqa: PTH120  # text in, text out

    def _local(self, named: str, folder: str) -> Place:
        inside = self._inside(folder)
        path = os.path.normpath(os.path.join(folder, local_path(named)))  # noqa: PTH118  # likewise
        real = os.path.realpath(path)
        folders = (inside, *(os.path.realpath(one) for one in self.access.allowed_folders))
        if not any(os.path.commonpath((one, real)) == one for one in folders):
            allowing = f"allow_external=[{os.path.dirname(real)[:200]!r}] allows for it"  # noqa: PTH120  # likewise
            message = f"refers to {path[:200]!r}, which is not in the folder of the document or below; {allowing}"
            refused = self._refused(message)
            if url_scheme(named):
                raise refused
            return Place(Url(path), self.access, refused.message)
        return Place(Url(path), self.access)

    def _beside(self, named: str, *, is_next: bool = False) -> Place:
        """Return a file that is named relative to a remote document, or to the folder that has it, if `is_next`."""
        if ".." in unquote(named).split("/"):
            raise self._refused(f"refers to {named[:80]!r}, which leads out of its folder")
        is_http = url_scheme(self.document) in {"http", "https"}
        bare = self.document.partition("?")[0] if is_http else display_url(self.document)
        folder = bare.rstrip("/") if self.is_folder and not is_next else bare.rstrip("/").rpartition("/")[0]
        name = named.removeprefix("./")
        return self._asked(f"{folder}/{_quoted(name) if is_http else name}", is_beside=True)

    def _asked(self, url: str, *, is_beside: bool = False) -> Place:
        if url_scheme(url) not in _ASKED:
            raise self._refused(f"refers to a file beside it, which cannot be named at {url_scheme(url)}://")
        own = origin_of(self.document) if self._is_asked() else None
        rules = self._rules(own)
        if not allows(rules, url):
            raise SourceAccessError(refusal(display_url(url), server_name(url)), url=self.document)
        is_trusted = is_beside or own == origin_of(url)
        is_trusted = is_trusted or any(
            is_exact(rule) and matches(rule, url) and _is_safe(rule, url) for rule in self.allowed
        )
        return Place(Url(url), limit_access(self.access, rules, is_trusted=is_trusted))

    def _is_asked(self) -> bool:
        return url_scheme(self.document) in _ASKED

    def _rules(self, own: str | None) -> tuple[str, ...]:
        here = () if self.folder is None else LOOPBACK
        return (*here, *(() if own is None else (own,)), *self.allowed, *PUBLIC_STORES)

    def _refused(self, message: str) -> SourceAccessError:
        return SourceAccessError(f"{message}; {_WAY_OUT}", url=self.document)


def make_policy(
    document: Url, access: Access, *, is_folder: bool, files: Mapping[str, NotedFile] | None = None
) -> Policy:
    """Return what a document may refer to, as the options that hold for `access` say.

    Parameters
    ----------
    document : Url
        Where it is: the JSON file, the tar file, or the folder.
    access : Access
        How it was reached.
    is_folder : bool
        Whether it is a folder.
    files : mapping, optional
        What it notes of files that it refers to.
    """
    remap = sorted(find_remap(access).items(), key=lambda pair: (-len(pair[0]), pair))
    allowed = tuple(filter(None, str(access.choices().allow_hosts or "").split(",")))
    path = _absolute(document) if is_local(document) else None
    folder = path if path is None or is_folder else os.path.dirname(path)  # noqa: PTH120  # text in, text out
    return Policy(document, access, folder, tuple(remap), allowed, is_folder, tuple((files or {}).values()))


def _quoted(named: str) -> str:
    # What would begin a query or a fragment is part of the name of a file.
    return named.replace("?", "%3F").replace("#", "%23")


def _rest_behind(prefix: str, named: str) -> str | None:
    """Return what follows a prefix that ends where a part of the path does; None if it is none of `named`."""
    rest = named.removeprefix(prefix)
    if not named.startswith(prefix) or not (not rest or prefix.endswith("/") or rest[0] in "/?"):
        return None
    return rest


def _is_safe(rule: str, url: str) -> bool:
    """Return whether credentials may go to a server that the user named: over plain http only if that was named."""
    return url_scheme(url) != "http" or url_scheme(rule) == "http"


def _absolute(url: str) -> str:
    return os.path.abspath(local_path(url))  # noqa: PTH100  # text in, text out
