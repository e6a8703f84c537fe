"""Many small files under one URL, read by key: what a Zarr store is made of."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from nwb_dask.index import Source
from nwb_dask.storage.access import Access
from nwb_dask.storage.coalesce import Buffer
from nwb_dask.storage.keys import KeyPlace, KeyRange

__all__ = ["Folder", "KeyPlace", "KeyRange"]


@runtime_checkable
class Folder(Protocol):
    """An open folder, local, in a bucket, on a server, or a ZIP file of one. Reads may come from any thread."""

    @property
    def source(self) -> Source:
        """URL and version of the folder."""

    @property
    def access(self) -> Access:
        """How it was reached."""

    @property
    def size(self) -> int:
        """Bytes of what the version was taken from: documents at the root, a ZIP file, or all files (of an archive)."""

    @property
    def local_path(self) -> str | None:
        """Path of a local folder; None for a remote one and for a ZIP file."""

    @property
    def is_unchanged(self) -> bool:
        """As `Store.is_unchanged`."""

    @property
    def is_confirmed(self) -> bool:
        """As `Store.is_confirmed`."""

    def read_keys(self, wanted: Sequence[KeyRange]) -> list[Buffer | None]:
        """Return values, or parts of them, in the order asked; None for a key that is not there.

        Requests run at once; ask for everything in one call. A range is clipped to the length of the value. Documents
        that were fetched to open the folder, or seen not to be there, cost no request.

        Raises
        ------
        SourceUnavailableError
            If the bytes cannot be had. That a key is not there is no error; that it may not be seen (403, a link out of
            the folder, a link to nothing) is one, since it would else become fill values.
        SourceChangedError
            If the folder is another than `source`, as far as its version shows.
        MalformedFileError
            If a key leads out of the folder: it is absolute, or has an empty part, ``.`` or ``..``.
        """

    def list_keys(self, prefix: str = "") -> list[str] | None:
        """Return all keys below a folder (``"units/"``), sorted; None where the server has no listing (http)."""

    def locate_keys(self, keys: Sequence[str]) -> list[KeyPlace | None]:
        """Return where values are and how long they are; None for a key that is not there.

        In a bucket they are listed; on a server without a listing each is asked for its first byte. Of a ZIP file the
        places are in that.

        Raises
        ------
        SourceUnavailableError
            If that cannot be found out.
        UnsupportedLayoutError
            If a value is compressed in a ZIP file, or the server does not say how long one is.
        MalformedFileError
            As `read_keys`.
        """

    def close(self) -> None:
        """Give up the folder; more than once is harmless."""

    def __enter__(self) -> Self:
        """Return the folder, which closes when the block ends."""

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        """Close."""
