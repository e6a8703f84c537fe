"""Which chunks of a dataset hold the rows, or the boxes of rows, that are wanted, and where in the file. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.boxes import Box, are_apart, box_shape, hull
from nwb_dask.backends.hdf5.codecs import INFLATION
from nwb_dask.backends.hdf5.filters import GZIP, is_decoded_here
from nwb_dask.backends.hdf5.format.chunk_index import chunk_ranges
from nwb_dask.backends.hdf5.spans import Pieces, Spans, cut, n_chunks, rows
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


_Window = tuple[tuple[slice, ...], tuple[slice, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class ChunkGrid:
    """The chunks that hold what is wanted of rows, one row of chunks after the other."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    item_bytes: int
    pieces: Pieces
    first: Integers
    """First piece of each row of chunks; at the end the number of pieces."""
    box: Box
    """What is wanted of each row."""
    inner: Integers
    """The chunks of a row of chunks that hold some of the box, by their numbers in it; increasing."""

    @property
    def n_inner(self) -> int:
        """Chunks of a row of chunks that hold some of the box."""
        return len(self.inner)

    @property
    def is_whole(self) -> bool:
        """Whether rows are wanted whole."""
        return box_shape(self.box) == self.shape[1:]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of a decoded chunk."""
        return prod(self.chunks[1:]) * self.item_bytes

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a decoded chunk; those at the edge are stored whole."""
        return self.chunks[0] * self.row_bytes

    def numbers(self) -> Integers:
        """Return the numbers of all chunks, see `ChunkManifest`; increasing."""
        rows_of_chunks = self.pieces.chunk[self.first[:-1]]
        return (rows_of_chunks[:, np.newaxis] * n_chunks(self.shape[1:], self.chunks[1:]) + self.inner).reshape(-1)

    def is_at_edge(self, numbers: Integers) -> Flags:
        """Return which of these chunks reach past the shape."""
        counts = [-(-length // chunk) for length, chunk in zip(self.shape, self.chunks, strict=True)]
        at_edge = np.zeros(len(numbers), np.bool_)
        for place, chunk, length in zip(np.unravel_index(numbers, counts), self.chunks, self.shape, strict=True):
            at_edge |= (place + 1) * chunk > length
        return at_edge

    def windows(self) -> list[_Window]:
        """Return for each chunk of `inner` where in a row of the result it lies, and which part of it."""
        axes = [
            [
                (slice(max(at, start) - start, min(at + chunk, stop) - start), slice(max(start - at, 0), end - at))
                for at in range(start // chunk * chunk, stop, chunk)
                for end in (min(at + chunk, stop),)
            ]
            for (start, stop), chunk in zip(self.box, self.chunks[1:], strict=True)
        ]
        return [(tuple(place for place, _ in sides), tuple(part for _, part in sides)) for sides in product(*axes)]

    def hulls(self) -> list[tuple[int, int]]:
        """Return for each chunk of `inner` the half-open bytes to read of its rows: all where the box does not cut."""
        if self.is_whole:
            return [(0, self.row_bytes)] * self.n_inner
        found = []
        for place, part in self.windows():
            is_cut = any(
                one.start > 0 or (one.stop < chunk and start + where.stop < length)
                for one, where, chunk, (start, _), length in zip(
                    part, place, self.chunks[1:], self.box, self.shape[1:], strict=True
                )
            )
            box = tuple((one.start, one.stop) for one in part)
            found.append(hull(self.chunks[1:], box, self.item_bytes) if is_cut else (0, self.row_bytes))
        return found


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
        is_plain = grid.is_whole and grid.chunks[1:] == grid.shape[1:]
        return is_plain and not len(self.missing) and bool(self.is_raw.all())

    def extents(self) -> tuple[Integers, Integers, Integers]:
        """Return the half-open bytes to read of the file, chunk by chunk, and how many ranges each chunk has.

        A chunk to be decoded has one. Of another each piece of rows is one, from the first wanted byte to the last;
        or each row, where what is wanted of it is far from that in the next.
        """
        grid = self.grid
        group, inner = np.divmod(self.places, grid.n_inner)
        hulls = np.array(grid.hulls(), np.int64)
        is_apart = np.array([are_apart(grid.row_bytes, stop - start) for start, stop in hulls.tolist()], np.bool_)
        unit_starts, unit_stops = grid.pieces.start, grid.pieces.stop
        n_pieces = np.diff(grid.first)
        begin, n_each = grid.first[group], n_pieces[group]
        if is_apart.any():
            lengths = np.add.reduceat(unit_stops - unit_starts, grid.first[:-1])
            before = np.concatenate(([0], np.cumsum(lengths)[:-1])) + len(unit_starts)
            single = rows(unit_starts, unit_stops)
            unit_starts, unit_stops = np.concatenate((unit_starts, single)), np.concatenate((unit_stops, single + 1))
            begin = np.where(is_apart[inner], before[group], begin)
            n_each = np.where(is_apart[inner], lengths[group], n_each)
        begin, n_each = np.where(self.is_raw, begin, 0), np.where(self.is_raw, n_each, 1)
        chunk = np.repeat(np.arange(len(n_each)), n_each)
        raw, offsets = self.is_raw[chunk], self.offsets[chunk]
        unit, hull_of = rows(begin, begin + n_each), hulls[inner[chunk]]
        starts = np.where(raw, unit_starts[unit] * grid.row_bytes + hull_of[:, 0], 0)
        stops = np.where(raw, (unit_stops[unit] - 1) * grid.row_bytes + hull_of[:, 1], self.sizes[chunk])
        return offsets + starts, offsets + stops, n_each


def locate_chunks(entry: ArrayEntry, wanted: WantedRows, manifest: ChunkManifest, *, file_bytes: int) -> StoredChunks:
    """Return the chunks that hold what is wanted.

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
    spans = wanted.spans
    n_groups = int(((spans[:, 1] - 1) // chunks[0] - spans[:, 0] // chunks[0] + 1).sum())
    touched = min(n_groups, -(-shape[0] // chunks[0])) * prod(map(len, _places(wanted.box, chunks)))
    if touched - n_known > _MAX_MISSING_CHUNKS:
        message = f"{wanted.n_bytes} bytes in {touched} chunks were asked for and only {n_known} were ever written"
        raise MalformedFileError(message)
    pieces = cut(spans, chunk_rows=chunks[0])
    breaks = np.flatnonzero(np.diff(pieces.chunk)) + 1
    first = np.concatenate(([0], breaks, [len(pieces.chunk)]))
    inner = _inner_numbers(shape, chunks, wanted.box)
    return ChunkGrid(shape, chunks, wanted.item_bytes, pieces, first, wanted.box, inner)


def _places(box: Box, chunks: tuple[int, ...]) -> list[range]:
    """Return the places of the chunks along each axis behind the first that hold some of a box."""
    return [range(start // chunk, -(-stop // chunk)) for (start, stop), chunk in zip(box, chunks[1:], strict=True)]


def _inner_numbers(shape: tuple[int, ...], chunks: tuple[int, ...], box: Box) -> Integers:
    """Return the chunks that hold some of a box, by their numbers in a row of chunks; increasing."""
    numbers = np.zeros(1, np.int64)
    for along, length, chunk in zip(_places(box, chunks), shape[1:], chunks[1:], strict=True):
        count = -(-length // chunk)
        numbers = (numbers[:, np.newaxis] * count + np.arange(along.start, along.stop)).reshape(-1)
    return numbers


def box_ranges(entry: ArrayEntry, spans: Spans, box: Box | None) -> Integers:
    """Return the chunks that hold some rows of a chunked dataset, or a box of each.

    Parameters
    ----------
    entry : ArrayEntry
        The dataset.
    spans : ndarray of int64, shape (n, 2)
        Tidy, see `spans.tidy`.
    box : Box or None
        None for whole rows.

    Returns
    -------
    ndarray of int64, shape (m, 2)
        Half-open ranges of chunk numbers, see `ChunkManifest`; increasing, none overlapping the next. Where these are
        too many, those of whole rows.

    Raises
    ------
    MalformedFileError, UnsupportedLayoutError
        As `format.chunk_index.chunk_ranges`.
    """
    whole = chunk_ranges(entry, spans)
    shape, chunks = entry.shape or (), entry.chunks or ()
    if box is None or not len(whole):
        return whole
    per_row = n_chunks(shape[1:], chunks[1:])
    n_rows = int((whole[:, 1] - whole[:, 0]).sum()) // per_row
    if n_rows * prod(map(len, _places(box, chunks))) > _MAX_MISSING_CHUNKS:
        return whole
    inner = _inner_numbers(shape, chunks, box)
    breaks = np.flatnonzero(np.diff(inner) != 1)
    starts = inner[np.concatenate(([0], breaks + 1))]
    stops = inner[np.concatenate((breaks, [len(inner) - 1]))] + 1
    base = rows(whole[:, 0] // per_row, whole[:, 1] // per_row)[:, np.newaxis] * per_row
    return np.stack(((base + starts).reshape(-1), (base + stops).reshape(-1)), axis=1)


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
