"""Stores that tests look into."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nwb_dask.index import Source, Url
from nwb_dask.storage import Access, Buffer, Store, make_access, open_bytes

ACCESS = make_access(None)
PAGE_BYTES = 1024


class CountingStore:
    """A store that notes what is read of it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.ranges: list[tuple[int, int]] = []

    @property
    def source(self) -> Source:
        return self._store.source

    @property
    def access(self) -> Access:
        return ACCESS

    @property
    def local_path(self) -> str | None:
        return self._store.local_path

    @property
    def size(self) -> int:
        return self._store.size

    @property
    def driver(self) -> None:
        return None

    @property
    def n_bytes(self) -> int:
        return sum(stop - start for start, stop in self.ranges)

    @property
    def data_ranges(self) -> list[tuple[int, int]]:
        """What was read of values: the structure of a local file is read in pages."""
        return [(start, stop) for start, stop in self.ranges if start % PAGE_BYTES or (stop - start) % PAGE_BYTES]

    @property
    def n_data_bytes(self) -> int:
        return sum(stop - start for start, stop in self.data_ranges)

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[Buffer]:
        self.ranges += ranges
        return self._store.read(ranges)


class RemoteStore(CountingStore):
    """A store that has no path, as those of remote files, and is read by h5py through a block file."""

    @property
    def local_path(self) -> None:
        return None

    def close(self) -> None:
        """Nothing is held."""


def open_local(path: Path) -> Store:
    return open_bytes(Url(str(path)), ACCESS)
