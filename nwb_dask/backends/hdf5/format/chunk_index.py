"""Where the chunks of a dataset are: one question, six kinds of index (HDF5 file format, *Chunk Indexes*).

Of an index that is larger than one structure, only that part is read that the question needs.
"""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.format import chunk_btree1, chunk_btree2, extensible_array, fixed_array
from nwb_dask.backends.hdf5.format.chunk_grid import ChunkGrid, ElementOrder, Ranges, contains, tidy
from nwb_dask.backends.hdf5.format.chunk_records import NOTHING, Found, signed
from nwb_dask.backends.hdf5.format.space import AddressSpace
from nwb_dask.backends.hdf5.spans import rows
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, ChunkIndex, ChunkManifest

_NO_FILTER = np.uint32(0xFFFFFFFF)


def n_grid(entry: ArrayEntry) -> int:
    """Return how many chunks cover the shape of a chunked dataset; raises as `ChunkGrid.of`."""
    return ChunkGrid.of(entry).n_chunks


def chunk_ranges(entry: ArrayEntry, spans: npt.NDArray[np.int64]) -> Ranges:
    """Return the chunks that hold rows of a chunked dataset.

    Parameters
    ----------
    entry : ArrayEntry
        The dataset.
    spans : ndarray of int64, shape (n, 2)
        Half-open rows of the first axis, in any order; what is past the shape is left out.

    Returns
    -------
    ndarray of int64, shape (m, 2)
        Half-open ranges of chunk numbers, increasing and merged. All chunks along the other axes are in it.
    """
    grid = ChunkGrid.of(entry)
    length, chunk = (entry.shape or (0,))[0], (entry.chunks or (1,))[0]
    bounds = tidy(spans, limit=length)
    per_row = prod(grid.counts[1:])
    ranges = np.stack((bounds[:, 0] // chunk, -(-bounds[:, 1] // chunk)), axis=1) * per_row
    return tidy(ranges, limit=grid.n_chunks)


def find_chunks(space: AddressSpace, entry: ArrayEntry, wanted: npt.NDArray[np.int64]) -> ChunkManifest:
    """Return which of the chunks `wanted` exist, and where.

    Parameters
    ----------
    space : AddressSpace
        The file.
    entry : ArrayEntry
        A chunked dataset with its `ArrayEntry.chunk_index`.
    wanted : ndarray of int64, shape (n, 2)
        Half-open ranges of chunk numbers, see `ChunkManifest`; in any order, overlapping or not.

    Returns
    -------
    ChunkManifest
        Each chunk once. Those that were never written are not in it.

    Raises
    ------
    Need
        If a part of the index is not here; what is asked for together can be fetched together.
    MalformedFileError
        If the index is damaged, or a chunk does not lie in the file.
    UnsupportedLayoutError
        If the index is of a version that is not known, or the chunks are too many to be numbered.
    """
    index = entry.chunk_index
    if index is None:
        raise UnsupportedLayoutError("where the chunks are is not known")
    if entry.shape is None:
        raise MalformedFileError("damaged: chunks of a dataset without a shape")
    grid = ChunkGrid.of(entry)
    ranges = tidy(wanted, limit=grid.n_chunks)
    if index.kind == "btree1" and grid.n_chunks == len(ranges) == 1:
        only = _only(space, entry, index)
        if only is not None:
            return only
    return _manifest(space, entry, grid, ranges, _find(space, entry, index, grid, ranges))


def _only(space: AddressSpace, entry: ArrayEntry, index: ChunkIndex) -> ChunkManifest | None:
    """Return the only chunk of a dataset, if that is quickly told; the checks are those of `_manifest`."""
    address = index.address
    if address is None or address >= space.image.size:
        return None
    found = chunk_btree1.find_only(space, address, len(entry.chunks or ()))
    if found is None:
        return None
    offset, size, mask = found[0] + space.base, found[1], found[2]
    if not 0 < size <= space.image.size - offset or (not entry.filters and size != _chunk_bytes(entry)):
        return None
    zero = np.zeros(1, np.int64)
    return ChunkManifest(zero, zero + offset, zero + size, np.array([mask], np.uint32))


def _find(space: AddressSpace, entry: ArrayEntry, index: ChunkIndex, grid: ChunkGrid, wanted: Ranges) -> Found:
    address = index.address
    if address is None or not len(wanted):
        return NOTHING
    if address >= space.image.size:
        raise MalformedFileError("truncated: an index of chunks is past the end of the file")
    match index.kind:
        case "btree1":
            return chunk_btree1.find(space, address, grid, entry.chunks or (), wanted)
        case "btree2":
            return chunk_btree2.find(space, address, grid, wanted)
        case "fixed":
            return fixed_array.find(space, address, ElementOrder.of(entry, grid), wanted)
        case "extensible":
            return extensible_array.find(space, address, ElementOrder.of(entry, grid), wanted)
        case "implicit":
            return _implicit(space, address, ElementOrder.of(entry, grid), wanted, chunk_bytes=_chunk_bytes(entry))
        case "single":
            return _single(address, index)


def _implicit(space: AddressSpace, address: int, order: ElementOrder, wanted: Ranges, *, chunk_bytes: int) -> Found:
    """Return chunks of which all exist, one after the other, in the order of the largest shape."""
    bounds = order.bounds(wanted)
    if space.base + address + int(bounds[-1, 1]) * chunk_bytes > space.image.size:
        raise MalformedFileError("truncated: chunks that follow each other reach past the end of the file")
    numbers = rows(wanted[:, 0], wanted[:, 1])
    addresses = address + order.elements(numbers) * chunk_bytes
    return Found(numbers, addresses.astype(np.uint64), None, None)


def _single(address: int, index: ChunkIndex) -> Found:
    sizes = None if index.single_bytes is None else np.array([index.single_bytes], np.int64)
    masks = np.array([index.single_mask], np.uint32)
    return Found(np.zeros(1, np.int64), np.array([address], np.uint64), sizes, masks)


def _manifest(space: AddressSpace, entry: ArrayEntry, grid: ChunkGrid, wanted: Ranges, found: Found) -> ChunkManifest:
    """Return those chunks of `wanted` that are in `found`, in order, after a check that they lie in the file."""
    undefined = (1 << 8 * space.offset_bytes) - 1
    here = np.flatnonzero(contains(wanted, found.numbers) & (found.addresses != undefined))
    here = here[np.argsort(found.numbers[here], kind="stable")]
    numbers, whole = found.numbers[here], _chunk_bytes(entry)
    if (numbers[1:] == numbers[:-1]).any():
        raise MalformedFileError("damaged: an index lists a chunk twice")
    offsets = signed(found.addresses[here], what="the address of a chunk") + space.base
    sizes = np.full(len(here), whole, np.int64) if found.sizes is None else found.sizes[here]
    masks = np.zeros(len(here), np.uint32) if found.masks is None else found.masks[here]
    if entry.chunk_index is not None and entry.chunk_index.unfiltered_edges:
        at_edge = _at_edge(entry, grid, numbers)
        sizes, masks = np.where(at_edge, whole, sizes), np.where(at_edge, _NO_FILTER, masks)
    if not entry.filters and (sizes != whole).any():
        raise MalformedFileError(f"damaged: a chunk of {whole} bytes without filters is stored in another size")
    if (sizes == 0).any():
        raise MalformedFileError("damaged: a chunk that exists has no bytes")
    if (sizes > space.image.size - offsets).any():
        raise MalformedFileError(f"truncated: a chunk reaches past the end of the file at {space.image.size}")
    return ChunkManifest(numbers, offsets, sizes, masks)


def _at_edge(entry: ArrayEntry, grid: ChunkGrid, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return whether each chunk reaches past the shape."""
    at_edge = np.zeros(len(numbers), bool)
    for along, count, length, chunk in zip(
        grid.coordinates(numbers), grid.counts, entry.shape or (), entry.chunks or (), strict=True
    ):
        if length % chunk:
            at_edge |= along == count - 1
    return at_edge


def _chunk_bytes(entry: ArrayEntry) -> int:
    return prod(entry.chunks or ()) * entry.element.size
