"""Many small files under one URL, read by key: what a Zarr store is made of."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from nwb_dask.index import Source
from nwb_dask.storage.access import Access
from nwb_dask.storage.coalesce import Buffer
from nwb_dask.storage.keys import KeyRange

__all__ = ["Folder", "KeyRange"]


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
        """Length of what the version was taken from, in bytes."""

    @property
    def local_path(self) -> str | None:
        """Path of a local folder; None for a remote one."""

    @property
    def is_unchanged(self) -> bool:
        """As `Store.is_unchanged`."""

    @property
    def is_confirmed(self) -> bool:
        """As `Store.is_confirmed`."""

    def read_keys(self, wanted: Sequence[KeyRange]) -> list[Buffer | None]:
        """Return values, or parts of them, in the order asked; None for a key that is not there.

        Requests run at once; ask for everything in one call. A range is clipped to the length of the value.

        Raises
        ------
        SourceUnavailableError
            If the bytes cannot be had. That a key is not there is no error, that it may not be seen is one.
        """

    def list_keys(self, prefix: str = "") -> list[str] | None:
        """Return all keys below a folder (``"units/"``), sorted; None where the server has no listing (http)."""

    def close(self) -> None:
        """Give up the folder; more than once is harmless."""

    def __enter__(self) -> Self:
        """Return the folder, which closes when the block ends."""

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        """Close."""
