"""The chunks of a dataset that grows along several dimensions (HDF5 file format, *Version 2 B-trees*, types 10, 11)."""

from __future__ import annotations

from bisect import bisect_right
from struct import Struct

import numpy as np

from nwb_dask.backends.hdf5.format.btree2 import Overlaps, walk
from nwb_dask.backends.hdf5.format.chunk_grid import ChunkGrid, Ranges
from nwb_dask.backends.hdf5.format.chunk_records import (
    MASK_BYTES,
    NOTHING,
    WORD,
    Found,
    check_sorted,
    column,
    signed,
)
from nwb_dask.backends.hdf5.format.space import AddressSpace
from nwb_dask.errors import MalformedFileError

_PLAIN, _FILTERED = 10, 11


def find(space: AddressSpace, address: int, grid: ChunkGrid, wanted: Ranges) -> Found:
    """Return the chunks of `wanted` that exist, and maybe others that were read with them.

    One read for the header and one for each level of the tree; only those nodes that are needed.

    Raises
    ------
    MalformedFileError
        If the tree is damaged, or its records do not increase.
    """
    records = walk(space, address, (_PLAIN, _FILTERED), _reaches(grid, wanted))
    n_axes, n_bytes = len(grid.counts), records.record_bytes
    first_axis = n_bytes - WORD * n_axes
    size_bytes = first_axis - space.offset_bytes - MASK_BYTES if records.type == _FILTERED else 0
    if not 1 <= size_bytes <= WORD if records.type == _FILTERED else first_axis != space.offset_bytes:
        raise MalformedFileError(f"damaged: a B-tree of chunks has records of {n_bytes} bytes")
    raw = np.frombuffer(records.joined(), np.uint8).reshape(-1, n_bytes)
    if not len(raw):
        return NOTHING
    coordinates = [
        signed(column(raw, at, WORD), what="the position of a chunk") for at in range(first_axis, n_bytes, WORD)
    ]
    check_sorted([along[:-1] for along in coordinates], [along[1:] for along in coordinates])
    inside = grid.holds(coordinates)
    numbers, raw = grid.ranks(coordinates)[inside], raw[inside]
    addresses = column(raw, 0, space.offset_bytes)
    if not size_bytes:
        return Found(numbers, addresses, None, None)
    sizes = signed(column(raw, space.offset_bytes, size_bytes), what="a chunk")
    masks = column(raw, space.offset_bytes + size_bytes, MASK_BYTES).astype(np.uint32)
    return Found(numbers, addresses, sizes, masks)


def _reaches(grid: ChunkGrid, wanted: Ranges) -> Overlaps:
    """Return whether there may be chunks of `wanted` between two records; a record ends with its position."""
    n_axes = len(grid.counts)
    position = Struct(f"<{n_axes}Q")
    firsts, ends = wanted[:, 0].tolist(), wanted[:, 1].tolist()

    def next_after(record: memoryview) -> int:
        """Return the number of the first chunk of the grid after that of a record."""
        rank, is_inside = rank_of(record)
        return rank + is_inside

    def rank_of(record: memoryview) -> tuple[int, bool]:
        if len(record) < position.size:
            raise MalformedFileError(f"damaged: a B-tree of chunks has records of {len(record)} bytes")
        rank, stride = 0, grid.n_chunks
        for along, count in zip(position.unpack_from(record, len(record) - position.size), grid.counts, strict=True):
            stride //= count
            if along >= count:
                return rank + count * stride, False
            rank += along * stride
        return rank, True

    def reaches(before: memoryview | None, after: memoryview | None) -> bool:
        start = 0 if before is None else next_after(before)
        stop = grid.n_chunks if after is None else rank_of(after)[0]
        at = bisect_right(ends, start)
        return start < stop and at < len(ends) and firsts[at] < stop

    return reaches
