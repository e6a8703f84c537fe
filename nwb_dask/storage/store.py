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
from nwb_dask.storage.faults import NoLinkError
from nwb_dask.storage.folder import Folder
from nwb_dask.storage.folder_identity import folder_identity
from nwb_dask.storage.folder_url import is_folder_url, is_pinned, is_zip_url, may_be_folder
from nwb_dask.storage.local import LocalStore, file_identity
from nwb_dask.storage.local_folder import LocalFolder
from nwb_dask.storage.reached import reached_from, with_reached
from nwb_dask.storage.remote import RemoteStore
from nwb_dask.storage.remote_folder import RemoteFolder
from nwb_dask.storage.root_versions import split_version
from nwb_dask.storage.urls import display_url, local_path, scheme
from nwb_dask.storage.zip_folder import ZipFolder


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
    url: Url,
    access: Access,
    expected: Identity | None = None,
    *,
    cached: Identity | None = None,
    is_proven: bool = False,
) -> Store | Folder:
    """Return the open file or folder at `url`.

    A folder is a local directory; a remote URL that ends in ``.zarr``, ``.lindi.d``, or, but for http(s), a slash; an
    asset of an archive in Zarr; and what a ZIP file (``.zip``) has in it. Where nothing is at a remote URL that ends in
    ``.nwb``, a slash, or no suffix, a folder is looked for: one round more, of what is else not found. Files cost no
    request for it.

    Parameters
    ----------
    url : Url
        An absolute path, or a URL: ``file://``, ``http(s)://``, ``s3://``, ``gs://``, ``az://`` (or ``abfs(s)://``,
        ``adl://``), an asset of an archive (``dandi://…?asset=``), or what fsspec knows. ``?versionId=`` pins a version
        of an object in a bucket.
    access : Access
        How to reach it.
    expected : Identity, optional
        The version that was planned. A remote file or folder is then opened without a request and checked by the first
        read (a Zarr asset with one question to its archive); without it, one round fetches the head and the tail of the
        file, or the documents at the root of the folder, which later reads use. What the version of a folder does not
        show is said in `folder_identity` and `root_versions`.
    cached : Identity, optional
        A version that was there once, if `expected` is None. One small request then tells whether it still is
        (`Store.is_unchanged`), and nothing is fetched of it; no request is made where the URL pins that version. If
        it is another one now, the store is open at that, and the answer serves as its head.
    is_proven : bool
        Whether an answer has just shown that `expected` is there: the first read of a remote folder does not ask again.
        Reads of files are pinned to their version in any case.

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
    if is_zip_url(url):
        return ZipFolder(open_bytes(url, access, expected, cached=cached))
    if _is_here(url):
        return open_bytes(url, access, expected, cached=cached)
    version = expected or cached
    if scheme(url) == "dandi":
        return _open_asset(url, access, expected, cached=cached)
    is_folder = is_folder_url(url) if version is None else split_version(version) is not None
    if is_folder and not is_pinned(url):
        return RemoteFolder(url, access, expected=expected, cached=cached, is_proven=is_proven)
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


def _open_asset(url: Url, access: Access, expected: Identity | None, *, cached: Identity | None) -> Store | Folder:
    """Return an open asset of an archive, which is a Zarr store if the archive has no file of it."""
    from nwb_dask.storage.dandi_folder import DandiFolder, is_zarr_version  # noqa: PLC0415  # 20 ms for those who read archives

    version = expected or cached
    if display_url(url).endswith(".zarr") if version is None else is_zarr_version(version):
        return DandiFolder(url, access, expected=expected, cached=cached)
    try:
        return open_bytes(url, access, expected, cached=cached)
    except NoLinkError:
        return DandiFolder(url, access, expected=expected, cached=cached)


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
    found = file_identity(path) or folder_identity(path)
    return found is not None and with_reached(found, {}) == with_reached(identity, reached_from(identity))
