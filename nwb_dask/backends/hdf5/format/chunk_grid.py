"""Numbers of chunks: in the grid that covers a shape, and in the order of an array index. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Self

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.spans import rows
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry

Numbers = npt.NDArray[np.int64]
Ranges = npt.NDArray[np.int64]
"""Half-open ranges of numbers, shape (n, 2), increasing, none empty, none touching the next."""

_MAX_NUMBER = 1 << 62
_BATCH = 1 << 18
"""Elements of an array that are mapped to chunks at once."""


def tidy(ranges: npt.NDArray[np.int64], *, limit: int) -> Ranges:
    """Return half-open `ranges`, shape (n, 2), sorted, clipped to ``[0, limit)`` and merged, without empty ones."""
    ranges = np.asarray(ranges, np.int64).reshape(-1, 2)
    if len(ranges) == 1:
        # So it is with most, for which numpy takes long.
        start, stop = ranges[0].tolist()
        if 0 <= start < stop <= limit:
            return ranges
    ranges = np.clip(ranges, 0, limit)
    ranges = ranges[ranges[:, 1] > ranges[:, 0]]
    if len(ranges) < 2:  # noqa: PLR2004  # nothing to merge with
        return ranges
    ranges = ranges[np.argsort(ranges[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ranges[:, 1])
    first = np.concatenate(([True], ranges[1:, 0] > reach[:-1]))
    last = np.concatenate((first[1:], [True]))
    return np.stack((ranges[first, 0], reach[last]), axis=1)


def overlaps(ranges: Ranges, starts: Numbers, stops: Numbers) -> npt.NDArray[np.bool_]:
    """Return, for each half-open ``[start, stop)``, whether it shares a number with `ranges`; shapes as `starts`."""
    if not len(ranges):
        return np.zeros(starts.shape, bool)
    at = np.searchsorted(ranges[:, 1], starts, side="right")
    first = ranges[np.minimum(at, len(ranges) - 1), 0]
    hit: npt.NDArray[np.bool_] = (at < len(ranges)) & (first < stops) & (starts < stops)
    return hit


def contains(ranges: Ranges, numbers: Numbers) -> npt.NDArray[np.bool_]:
    """Return, for each of `numbers`, whether it lies in `ranges`."""
    return overlaps(ranges, numbers, numbers + 1)


@dataclass(frozen=True, slots=True)
class ChunkGrid:
    """The chunks that cover a shape, numbered in row-major order."""

    counts: tuple[int, ...]
    """Chunks along each axis."""

    @classmethod
    def of(cls, entry: ArrayEntry) -> Self:
        """Return the grid of a chunked dataset.

        Raises
        ------
        MalformedFileError
            If shape and chunks do not belong together.
        UnsupportedLayoutError
            If the chunks are too many to count in 62 bits.
        """
        shape, chunks = entry.shape, entry.chunks
        if shape is None or chunks is None or len(shape) != len(chunks) or not shape or min(chunks) < 1:
            raise MalformedFileError(f"damaged: a shape of {shape} in chunks of {chunks}")
        grid = cls(tuple(_pieces(length, chunk) for length, chunk in zip(shape, chunks, strict=True)))
        if min(shape) < 0:
            raise MalformedFileError(f"damaged: a shape of {shape}")
        if prod(max(count, 1) for count in grid.counts) >= _MAX_NUMBER:
            raise UnsupportedLayoutError(f"a shape of {shape} has more chunks of {chunks} than can be counted")
        return grid

    @property
    def n_chunks(self) -> int:
        """How many chunks cover the shape."""
        return prod(self.counts)

    def coordinates(self, numbers: Numbers) -> list[Numbers]:
        """Return where chunks are, in chunks along each axis."""
        return [np.asarray(axis, np.int64) for axis in np.unravel_index(numbers, self.counts)]

    def ranks(self, coordinates: Sequence[Numbers]) -> Numbers:
        """Return how many chunks of the grid come before each position.

        Parameters
        ----------
        coordinates : sequence of ndarray
            One array per axis, in chunks, not negative. A position may lie outside of the grid; of one inside, the
            rank is its number. Ranks do not decrease in the lexicographic order of positions, by which trees sort.
        """
        rank = np.zeros(coordinates[0].shape, np.int64)
        outside = np.zeros(rank.shape, bool)
        stride = prod(self.counts)
        for along, count in zip(coordinates, self.counts, strict=True):
            stride = stride // count if count else 0
            rank += np.where(outside, 0, np.minimum(along, count) * stride)
            outside |= along >= count
        return rank

    def holds(self, coordinates: Sequence[Numbers]) -> npt.NDArray[np.bool_]:
        """Return whether each position lies in the grid."""
        inside = np.ones(coordinates[0].shape, bool)
        for along, count in zip(coordinates, self.counts, strict=True):
            inside &= along < count
        return inside


@dataclass(frozen=True, slots=True)
class ElementOrder:
    """How an array index (fixed, extensible, implicit) numbers chunks: its elements.

    Elements are in row-major order of the grid that covers the largest shape. The axis that may grow without bound
    counts as the slowest, and the others keep their order (HDF5 library, ``H5D__earray_idx_get_addr``).
    """

    grid: ChunkGrid
    strides: tuple[int, ...]
    """Elements from a chunk to the next along each axis."""
    axes: tuple[int, ...]
    """The axes, slowest first."""
    n_elements: int | None
    """Chunks of the largest shape; None if it has no bound."""

    @classmethod
    def of(cls, entry: ArrayEntry, grid: ChunkGrid) -> Self:
        """Return the order of `entry`, whose index is an array.

        Raises
        ------
        MalformedFileError
            If its largest shape is none.
        UnsupportedLayoutError
            If the elements are too many to count in 62 bits.
        """
        index, chunks = entry.chunk_index, entry.chunks
        if index is None or chunks is None or not len(index.maxshape) == len(index.unlimited) == len(grid.counts):
            raise MalformedFileError(f"damaged: no largest shape of as many dimensions as the shape {entry.shape}")
        growing = [axis for axis, grows in enumerate(index.unlimited) if grows]
        if len(growing) > 1:
            raise MalformedFileError("damaged: an array index of chunks that grow along more than one dimension")
        axes = (*growing, *(axis for axis in range(len(chunks)) if axis not in growing))
        most: list[int | None] = [
            None if length is None else _pieces(length, chunk)
            for length, chunk in zip(index.maxshape, chunks, strict=True)
        ]
        strides, stride = [0] * len(axes), 1
        for axis in reversed(axes):
            strides[axis] = stride
            limit = most[axis]
            if axis not in growing:
                if limit is None or limit < grid.counts[axis]:
                    raise MalformedFileError(f"damaged: a shape of {entry.shape} exceeds {index.maxshape}")
                stride *= limit
        last = sum((count - 1) * step for count, step in zip(grid.counts, strides, strict=True))
        if max(last, *strides) >= _MAX_NUMBER:
            raise UnsupportedLayoutError(f"a largest shape of {index.maxshape} has more chunks than can be counted")
        return cls(grid, tuple(strides), axes, None if growing else stride)

    @property
    def is_monotone(self) -> bool:
        """Whether elements come in the order of chunks: with gaps, if the largest shape is larger than the shape."""
        moving = [axis for axis in self.axes if self.grid.counts[axis] > 1]
        return moving == sorted(moving)

    def elements(self, numbers: Numbers) -> Numbers:
        """Return the elements of chunks."""
        return self._at(self.grid.coordinates(numbers))

    def numbers(self, elements: Numbers) -> Numbers:
        """Return the numbers of the chunks of elements; -1 for those outside of the shape."""
        rest = elements
        coordinates = [elements] * len(self.axes)
        for axis in self.axes:
            coordinates[axis], rest = np.divmod(rest, self.strides[axis])
        return np.where(self.grid.holds(coordinates), self.grid.ranks(coordinates), -1)

    def bounds(self, wanted: Ranges) -> Ranges:
        """Return ranges of elements that hold all those of `wanted`, and maybe others."""
        first = self.grid.coordinates(wanted[:, 0])
        last = self.grid.coordinates(wanted[:, 1] - 1)
        if not self.is_monotone:
            # A range of numbers lies in a box: the axes up to the first that differs are bounded, the others whole.
            differs = np.zeros(len(wanted), bool)
            for axis, count in enumerate(self.grid.counts):
                low, high = first[axis], last[axis]
                first[axis] = np.where(differs, 0, low)
                last[axis] = np.where(differs, count - 1, high)
                differs |= low != high
        ranges = np.stack((self._at(first), self._at(last) + 1), axis=1)
        return tidy(ranges, limit=_MAX_NUMBER)

    def _at(self, coordinates: Sequence[Numbers]) -> Numbers:
        elements = np.zeros(coordinates[0].shape, np.int64)
        for along, stride in zip(coordinates, self.strides, strict=True):
            elements += along * stride
        return elements


@dataclass(frozen=True, slots=True)
class WantedElements:
    """Which elements of an array index are looked for."""

    order: ElementOrder
    wanted: Ranges
    """Numbers of chunks."""
    bounds: Ranges
    """Ranges of elements that hold them."""

    @classmethod
    def of(cls, order: ElementOrder, wanted: Ranges, *, limit: int) -> Self:
        """Return the elements below `limit` of the chunks `wanted`."""
        return cls(order, wanted, tidy(order.bounds(wanted), limit=limit))

    def may_be_in(self, starts: Numbers, stops: Numbers) -> npt.NDArray[np.bool_]:
        """Return, for each half-open range of elements, whether it may hold one that is looked for."""
        return overlaps(self.bounds, starts, stops)

    def are_in(self, starts: Numbers, stops: Numbers) -> npt.NDArray[np.bool_]:
        """Return the same exactly, where it takes all elements of the ranges to say so: for blocks that exist."""
        hit = self.may_be_in(starts, stops)
        if self.order.is_monotone:
            return hit
        for batch in _batches(np.flatnonzero(hit), stops - starts):
            begin = np.concatenate(([0], np.cumsum(stops[batch] - starts[batch])[:-1]))
            numbers = self.order.numbers(rows(starts[batch], stops[batch]))
            hit[batch] = np.logical_or.reduceat(contains(self.wanted, numbers), begin)
        return hit


def _batches(which: npt.NDArray[np.intp], lengths: Numbers) -> Iterator[npt.NDArray[np.intp]]:
    """Return `which` in parts that hold about `_BATCH` elements each."""
    part = np.cumsum(lengths[which]) // _BATCH
    return (batch for batch in np.split(which, np.flatnonzero(np.diff(part)) + 1) if len(batch))


def _pieces(length: int, chunk: int) -> int:
    return -(-length // chunk)
