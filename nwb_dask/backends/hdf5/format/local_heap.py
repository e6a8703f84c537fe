"""The names of a group of the older kind: a heap of zero-terminated text."""

from __future__ import annotations

from dataclasses import dataclass

from nwb_dask.backends.hdf5.format.space import AddressSpace
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError

_SIGNATURE = b"HEAP"


@dataclass(frozen=True, slots=True)
class LocalHeap:
    """The data segment of a local heap."""

    data: bytes

    def text(self, at: int) -> bytes:
        """Return the text that begins at `at`, without the zero that ends it.

        Raises
        ------
        MalformedFileError
            If it begins or ends outside the heap.
        """
        end = self.data.find(b"\0", at)
        if end < 0:
            raise MalformedFileError("damaged: a name lies outside the heap of its group")
        return self.data[at:end]


def read_local_heap(space: AddressSpace, address: int) -> LocalHeap:
    """Return the heap at `address` (HDF5 file format, *Local Heaps*)."""
    start = len(_SIGNATURE) + 4
    header = space.read(address, start + 2 * space.length_bytes + space.offset_bytes)
    if header[:4] != _SIGNATURE:
        raise MalformedFileError(f"damaged: no local heap is at {address}")
    if header[4]:
        raise UnsupportedLayoutError(f"a local heap of version {header[4]}")
    size = space.length(header, start)
    segment = space.offset(header, start + 2 * space.length_bytes)
    if segment is None:
        raise MalformedFileError(f"damaged: the local heap at {address} has no data")
    return LocalHeap(bytes(space.read(segment, size)))
