"""Which chunks of a dataset hold the rows that are wanted, and where these are in the file. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.codecs import INFLATION
from nwb_dask.backends.hdf5.filters import GZIP, is_decoded_here
from nwb_dask.backends.hdf5.spans import Pieces, cut, n_chunks, rows
from nwb_dask.backends.hdf5.wanted_rows import WantedRows
from nwb_dask.errors import MalformedFileError
from nwb_dask.index import ArrayEntry, ChunkManifest, Filter

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_MAX_FILL_BYTES = 1 << 30
"""Rows that were never written, as their fill value."""
_MAX_MISSING_CHUNKS = 1 << 20
_MAX_NUMBER = 1 << 62
_STREAM_BYTES = 1 << 12
_ROUNDING = 1.001


@dataclass(frozen=True, slots=True, eq=False)
class ChunkGrid:
    """The chunks that hold wanted rows, one row of chunks after the other."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    item_bytes: int
    pieces: Pieces
    first: Integers
    """First piece of each row of chunks; at the end the number of pieces."""
    n_inner: int
    """Chunks in a row of chunks."""

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a decoded chunk; those at the edge are stored whole."""
        return prod(self.chunks) * self.item_bytes

    def numbers(self) -> Integers:
        """Return the numbers of all chunks, see `ChunkManifest`; increasing."""
        rows_of_chunks = self.pieces.chunk[self.first[:-1]]
        return (rows_of_chunks[:, np.newaxis] * self.n_inner + np.arange(self.n_inner)).reshape(-1)

    def is_at_edge(self, numbers: Integers) -> Flags:
        """Return which of these chunks reach past the shape."""
        counts = [-(-length // chunk) for length, chunk in zip(self.shape, self.chunks, strict=True)]
        at_edge = np.zeros(len(numbers), np.bool_)
        for place, chunk, length in zip(np.unravel_index(numbers, counts), self.chunks, self.shape, strict=True):
            at_edge |= (place + 1) * chunk > length
        return at_edge

    def windows(self) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
        """Return for each chunk of a row of chunks where in a row of the dataset it lies, and which part of it."""
        axes = [
            [(slice(at, min(at + chunk, length)), slice(0, min(chunk, length - at))) for at in range(0, length, chunk)]
            for length, chunk in zip(self.shape[1:], self.chunks[1:], strict=True)
        ]
        return [(tuple(place for place, _ in sides), tuple(part for _, part in sides)) for sides in product(*axes)]


@dataclass(frozen=True, slots=True, eq=False)
class StoredChunks:
    """Those chunks of a grid that were written; arrays of one length, by increasing number."""

    grid: ChunkGrid
    places: Integers
    """Which of the chunks of the grid: row of chunks, counted among those wanted, times `ChunkGrid.n_inner`, plus
    the chunk within it."""
    offsets: Integers
    sizes: Integers
    masks: Integers
    is_raw: Flags
    """Whether no filter was used, so that rows can be read of it."""
    is_odd: Flags
    """Whether only libhdf5 decodes it."""
    missing: Integers
    """Places of the chunks that were not written."""

    @property
    def is_joined(self) -> bool:
        """Whether the wanted rows are just the bytes of `extents`, one after the other."""
        grid = self.grid
        return grid.chunks[1:] == grid.shape[1:] and not len(self.missing) and bool(self.is_raw.all())

    def n_extents(self) -> Integers:
        """Return how many ranges each chunk is read in: as many as it has pieces, or one to be decoded."""
        groups = self.places // self.grid.n_inner
        return np.where(self.is_raw, np.diff(self.grid.first)[groups], 1)

    def extents(self) -> tuple[Integers, Integers]:
        """Return the half-open bytes to read of the file, chunk by chunk."""
        n_each = self.n_extents()
        chunk = np.repeat(np.arange(len(n_each)), n_each)
        raw, offsets = self.is_raw[chunk], self.offsets[chunk]
        begin = np.where(self.is_raw, self.grid.first[self.places // self.grid.n_inner], 0)
        piece = rows(begin, begin + n_each)
        row_bytes = self.grid.chunk_bytes // self.grid.chunks[0]
        starts = np.where(raw, self.grid.pieces.start[piece] * row_bytes, 0)
        stops = np.where(raw, self.grid.pieces.stop[piece] * row_bytes, self.sizes[chunk])
        return offsets + starts, offsets + stops


def locate_chunks(entry: ArrayEntry, wanted: WantedRows, manifest: ChunkManifest, *, file_bytes: int) -> StoredChunks:
    """Return the chunks that hold the wanted rows.

    Raises
    ------
    MalformedFileError
        If they do not lie in the file, cannot be of the size that they must have, or too many were never written.
    """
    grid = _grid(entry, wanted, n_known=len(manifest.numbers))
    numbers = grid.numbers()
    at = np.searchsorted(manifest.numbers, numbers)
    is_known = at < len(manifest.numbers)
    is_known[is_known] = manifest.numbers[at[is_known]] == numbers[is_known]
    at, numbers = at[is_known], numbers[is_known]
    if wanted.n_bytes - len(at) * grid.chunk_bytes > _MAX_FILL_BYTES:
        raise MalformedFileError(f"{wanted.n_bytes} bytes were asked for and only {len(at)} chunks were ever written")
    all_filters = (1 << len(entry.filters)) - 1
    masks = manifest.masks[at].astype(np.int64) & all_filters
    if entry.chunk_index is not None and entry.chunk_index.unfiltered_edges:
        masks[grid.is_at_edge(numbers)] = all_filters
    found = StoredChunks(
        grid,
        np.flatnonzero(is_known),
        manifest.offsets[at],
        manifest.sizes[at],
        masks,
        masks == all_filters,
        _are_odd(entry.filters, masks),
        np.flatnonzero(~is_known),
    )
    _check(found, entry.filters, file_bytes=file_bytes)
    return found


def _grid(entry: ArrayEntry, wanted: WantedRows, *, n_known: int) -> ChunkGrid:
    shape, chunks = entry.shape or (), entry.chunks or ()
    if not chunks or min(chunks) <= 0 or len(chunks) != len(shape) or n_chunks(shape, chunks) > _MAX_NUMBER:
        raise MalformedFileError(f"damaged: chunks of {chunks} for a shape of {shape}")
    n_inner = n_chunks(shape[1:], chunks[1:])
    spans = wanted.spans
    touched = int(((spans[:, 1] - 1) // chunks[0] - spans[:, 0] // chunks[0] + 1).sum()) * n_inner
    touched = min(touched, n_chunks(shape, chunks))
    if touched - n_known > _MAX_MISSING_CHUNKS:
        message = f"{wanted.n_bytes} bytes in {touched} chunks were asked for and only {n_known} were ever written"
        raise MalformedFileError(message)
    pieces = cut(spans, chunk_rows=chunks[0])
    breaks = np.flatnonzero(np.diff(pieces.chunk)) + 1
    first = np.concatenate(([0], breaks, [len(pieces.chunk)]))
    return ChunkGrid(shape, chunks, wanted.item_bytes, pieces, first, n_inner)


def _are_odd(filters: tuple[Filter, ...], masks: Integers) -> Flags:
    used, which = np.unique(masks, return_inverse=True)
    return np.array([not is_decoded_here(filters, mask) for mask in used.tolist()], np.bool_)[which]


def _check(found: StoredChunks, filters: tuple[Filter, ...], *, file_bytes: int) -> None:
    chunk_bytes, offsets, sizes = found.grid.chunk_bytes, found.offsets, found.sizes
    outside = (offsets < 0) | (sizes < 0) | (offsets > file_bytes - sizes)
    if outside.any():
        first = int(np.argmax(outside))
        start, stop = int(offsets[first]), int(offsets[first]) + int(sizes[first])
        raise MalformedFileError(f"truncated: a chunk at {start} to {stop} is past the end at {file_bytes}")
    wrong = found.is_raw & (sizes != chunk_bytes)
    if wrong.any():
        stored = int(sizes[np.argmax(wrong)])
        raise MalformedFileError(f"damaged: a chunk of {chunk_bytes} bytes is stored in {stored}")
    if sizes.sum(dtype=np.float64) > file_bytes * _ROUNDING:
        raise MalformedFileError(f"damaged: its chunks take more than the {file_bytes} bytes of the file")
    for number, step in enumerate(filters):
        if step.id != GZIP:
            continue
        inflated = ~found.is_odd & (found.masks >> number & 1 == 0)
        small = inflated & (sizes.astype(np.float64) * INFLATION + _STREAM_BYTES < chunk_bytes)
        if small.any():
            stored = int(sizes[np.argmax(small)])
            raise MalformedFileError(f"damaged: {stored} bytes of gzip cannot be a chunk of {chunk_bytes} bytes")
