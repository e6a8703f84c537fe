"""One open file, read by byte ranges, wherever it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from nwb_dask.errors import SourceAccessError, SourceNotFoundError
from nwb_dask.index import Identity, Source, Url
from nwb_dask.storage.access import Access
from nwb_dask.storage.coalesce import Buffer
from nwb_dask.storage.engines import Driver
from nwb_dask.storage.folder import Folder
from nwb_dask.storage.folder_identity import folder_identity
from nwb_dask.storage.folder_url import is_folder_url, is_pinned, may_be_folder
from nwb_dask.storage.local import LocalStore, file_identity
from nwb_dask.storage.local_folder import LocalFolder
from nwb_dask.storage.remote import RemoteStore
from nwb_dask.storage.remote_folder import RemoteFolder
from nwb_dask.storage.root_versions import split_version
from nwb_dask.storage.urls import local_path, scheme


class Store(Protocol):
    """One open file. Reads may come from any thread; no handle survives pickling or a fork."""

    @property
    def source(self) -> Source:
        """URL and version of the file; every byte read is of this version."""

    @property
    def access(self) -> Access:
        """How it was reached."""

    @property
    def size(self) -> int:
        """Length of the file in bytes."""

    @property
    def local_path(self) -> str | None:
        """Path of a local file; None for a remote one."""

    @property
    def is_unchanged(self) -> bool:
        """Whether the file is of the version that `open_store` was given as `cached`; False if none was given."""

    @property
    def is_confirmed(self) -> bool:
        """Whether an answer has shown that the file is this version; a file that is `expected` is believed to be."""

    @property
    def driver(self) -> Driver | None:
        """What h5py shall read the file with instead, where ``engine="ros3"`` was chosen; None else."""

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[Buffer]:
        """Return the bytes of each half-open range, in the order asked.

        Ranges near each other share a request, and requests run at once; ask for everything in one call.
        A single range of up to 4 MiB is read on the calling thread.

        Raises
        ------
        MalformedFileError
            If a range reaches past the end of the file.
        SourceChangedError
            If the file is no longer `source`.
        SourceUnavailableError
            If the bytes cannot be had.
        """

    def close(self) -> None:
        """Give up the file; more than once is harmless."""

    def __enter__(self) -> Self:
        """Return the store, which closes when the block ends."""

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        """Close."""


def open_store(
    url: Url, access: Access, expected: Identity | None = None, *, cached: Identity | None = None
) -> Store | Folder:
    """Return the open file or folder at `url`.

    Parameters
    ----------
    url : Url
        An absolute path, or a URL: ``file://``, ``http(s)://``, ``s3://``, ``gs://``, ``az://`` (or ``abfs(s)://``,
        ``adl://``), an asset of an archive (``dandi://…?asset=``), or what fsspec knows. ``?versionId=`` pins a version
        of an object in a bucket.
    access : Access
        How to reach it.
    expected : Identity, optional
        The version that was planned. A remote file is then opened without a request and checked by the first
        read; without it, one round fetches the head and the tail of the file, which later reads use.
    cached : Identity, optional
        A version that was there once, if `expected` is None. One small request then tells whether it still is
        (`Store.is_unchanged`), and nothing is fetched of it; no request is made where the URL pins that version. If
        it is another one now, the store is open at that, and the answer serves as its head.

    Raises
    ------
    SourceNotFoundError, SourceAccessError, SourceUnavailableError
        If it cannot be opened.
    SourceChangedError
        If it is another version than `expected`.
    UnsupportedLayoutError
        If it is a directory of another kind.
    """
    if _is_here(url) and os.path.isdir(local_path(url)):  # noqa: PTH112  # text in, text out
        return LocalFolder(url, path=local_path(url), access=access, expected=expected, cached=cached)
    if _is_here(url):
        return open_bytes(url, access, expected, cached=cached)
    version = expected or cached
    is_folder = is_folder_url(url) if version is None else split_version(version) is not None
    if is_folder and not is_pinned(url):
        return RemoteFolder(url, access, expected=expected, cached=cached)
    try:
        return open_bytes(url, access, expected, cached=cached)
    except SourceNotFoundError as error:
        if not may_be_folder(url):
            raise
        missing = error
    try:
        return RemoteFolder(url, access, expected=None)
    except (SourceAccessError, SourceNotFoundError):
        # What the user named is a file as far as anyone knows.
        raise missing from None


def open_bytes(url: Url, access: Access, expected: Identity | None = None, *, cached: Identity | None = None) -> Store:
    """Return the open file at `url`, which is known to be no folder; see `open_store`.

    Raises
    ------
    SourceUnavailableError
        If it is a directory, too.
    """
    if _is_here(url):
        return LocalStore(url, path=local_path(url), access=access, expected=expected, cached=cached)
    return RemoteStore(url, access, expected=expected, cached=cached)


def _is_here(url: Url) -> bool:
    return url.startswith("/") or scheme(url) in {"", "file"}


def is_unchanged(path: str, identity: Identity) -> bool:
    """Return whether the local file or folder at `path` is of this version, without opening it."""
    return identity == (file_identity(path) or folder_identity(path))
