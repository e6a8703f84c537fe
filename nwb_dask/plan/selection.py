"""Parts of arrays, as they are indexed: each axis by itself. Pure.

A selection is first put in order: along each axis increasing positions, as files are read. Then it is cut into blocks,
each of which is read at once, and a block says what is picked of what is read, and where that goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Integers: TypeAlias = npt.NDArray[np.int64]
Pick: TypeAlias = "slice | Integers"
Box: TypeAlias = "tuple[tuple[int, int], ...]"

GAP_BYTES = 16 * 1024
"""Rows that are not wanted are read along if they are less than this: as many ranges would take longer."""
_MAX_BOXES = 64
"""Boxes that are read at once for lists of positions along several axes."""


@dataclass(frozen=True, slots=True, eq=False)
class AxisPick:
    """What is wanted along one axis."""

    wanted: range | Integers
    """Positions, increasing. A range has a positive step; an array may hold a position several times."""
    order: Integers | None = None
    """Where in `wanted` each position of the result is; None: they are in the same order, or `is_reversed`."""
    is_reversed: bool = False
    """Whether the result is in the opposite order."""
    is_dropped: bool = False
    """Whether the axis was indexed by one integer, and is not in the result."""

    @classmethod
    def of(cls, key: Any, length: int, axis: int) -> AxisPick:  # noqa: ANN401  # whatever numpy takes
        """Return what `key` picks along an axis of that length; raises `IndexError` as numpy does."""
        if isinstance(key, slice):
            found = range(*key.indices(length))
            if found.step > 0 or len(found) == 0:
                return cls(found or range(0))
            return cls(found[::-1], is_reversed=True)
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            at = _checked(int(key), length, axis)
            return cls(range(at, at + 1), is_dropped=True)
        listed = np.asarray(key)
        if listed.ndim == 0 and listed.dtype.kind in "iu":
            return cls.of(int(listed), length, axis)
        return cls._of_array(listed, length, axis)

    @classmethod
    def _of_array(cls, key: npt.NDArray[Any], length: int, axis: int) -> AxisPick:
        if key.ndim != 1 or (key.dtype.kind not in "iu" and key.size):
            raise IndexError(f"axis {axis} is indexed by neither integers, a slice nor a 1-d array of integers")
        if key.size:
            _checked(int(key.min()), length, axis)
            _checked(int(key.max()), length, axis)
        positions = key.astype(np.int64)
        positions[positions < 0] += length
        if (positions[1:] >= positions[:-1]).all():
            return cls(positions)
        if (positions[1:] <= positions[:-1]).all():
            return cls(positions[::-1], is_reversed=True)
        places = np.argsort(positions, kind="stable")
        order = np.empty(len(positions), np.int64)
        order[places] = np.arange(len(positions))
        return cls(positions[places], order)

    def __len__(self) -> int:
        return len(self.wanted)

    @property
    def bounds(self) -> tuple[int, int]:
        """Half-open range of all positions; ``(0, 0)`` if there are none."""
        return (int(self.wanted[0]), int(self.wanted[-1]) + 1) if len(self.wanted) else (0, 0)


def _checked(at: int, length: int, axis: int) -> int:
    if not -length <= at < length:
        raise IndexError(f"index {at} is out of bounds for axis {axis} with size {length}")
    return at + length if at < 0 else at


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """A part of an array."""

    axes: tuple[AxisPick, ...]

    @classmethod
    def of(cls, key: Any, shape: Sequence[int]) -> Selection:  # noqa: ANN401  # whatever numpy takes
        """Return what `key` picks of an array of that shape.

        Parameters
        ----------
        key : tuple, or one of its items
            For each axis an integer, which drops the axis, a slice with any step, or a 1-d array of integers, which
            may be negative and repeat. Arrays along several axes pick all combinations ("outer" indexing of Zarr and
            xarray). Axes that it leaves out are taken whole.
        shape : sequence of int
            Of the array.

        Raises
        ------
        IndexError
            If it reaches outside of the array, has too many axes, or something else in it.
        """
        keys = key if isinstance(key, tuple) else (key,)
        if len(keys) > len(shape):
            raise IndexError(f"too many indices: array is {len(shape)}-dimensional, but {len(keys)} were indexed")
        keys = (*keys, *(slice(None),) * (len(shape) - len(keys)))
        picks = [AxisPick.of(one, length, axis) for axis, (one, length) in enumerate(zip(keys, shape, strict=True))]
        return cls(tuple(picks))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result."""
        return tuple(len(axis) for axis in self.axes if not axis.is_dropped)

    @property
    def ordered_shape(self) -> tuple[int, ...]:
        """Shape of the result in order, with the axes that are dropped, of length 1."""
        return tuple(map(len, self.axes))

    @property
    def n_distinct(self) -> int:
        """Positions of the array that are selected, once each, or somewhat more."""
        return prod(min(len(axis), axis.bounds[1] - axis.bounds[0]) for axis in self.axes)

    def flipped(self, ordered: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a view of an array of `ordered_shape` in which those axes run backward that are reversed."""
        return ordered[tuple(slice(None, None, -1 if axis.is_reversed else 1) for axis in self.axes)]

    def arranged(self, filled: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the result, made of the array whose `flipped` view was filled in order."""
        for number, axis in enumerate(self.axes):
            if axis.order is not None:
                filled = np.take(filled, axis.order, axis=number)
        return filled.reshape(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """What is read at once of an array, and what becomes of it."""

    spans: Integers
    """Half-open rows of the first axis, shape (n, 2): increasing, none empty."""
    box: Box
    """Half-open range along each of the other axes."""
    picks: tuple[Pick, ...]
    """For each axis what is wanted of what is read."""
    places: tuple[slice, ...]
    """For each axis where that stands in the result in order."""

    def pick(self, found: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return what is wanted of what was read; a view of it unless positions were listed."""
        found = found[tuple(one if isinstance(one, slice) else slice(None) for one in self.picks)]
        for axis, one in enumerate(self.picks):
            if not isinstance(one, slice):
                found = np.take(found, one, axis=axis)
        return found


def plan_blocks(
    selection: Selection, shape: Sequence[int], itemsize: int, native: Sequence[int] | None, *, max_bytes: int
) -> Iterator[list[Block]]:
    """Yield the blocks to read, those together that have the same rows.

    Parameters
    ----------
    selection : Selection
        Of an array with at least one axis.
    shape : sequence of int
        Of the array.
    itemsize : int
        Stored bytes of an element.
    native : sequence of int or None
        Shape of a stored chunk; rows of a chunk are read at once. None for data in one piece.
    max_bytes : int
        What the boxes of the rows that are read at once may take, unless a row of chunks takes more.
    """
    if 0 in selection.ordered_shape:
        return
    parts = _inner_parts(selection, shape, itemsize, native)
    row_bytes = max(sum(prod(part.stop - part.start for part in box) for box in product(*parts)) * itemsize, 1)
    unit = 1 if native is None else native[0]
    step = max(max_bytes // row_bytes // unit, 1) * unit
    # Rows that lie between are skipped in whole, whatever part of them is wanted.
    gap = GAP_BYTES // max(prod(shape[1:]) * itemsize, 1)
    for rows in _row_parts(selection.axes[0].wanted, unit=unit, step=step, gap=gap):
        yield [
            Block(
                rows.spans,
                tuple((part.start, part.stop) for part in box),
                (rows.pick, *(part.pick for part in box)),
                (rows.place, *(part.place for part in box)),
            )
            for box in product(*parts)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A range along an axis behind the first."""

    start: int
    stop: int
    pick: Pick
    place: slice


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows that are read at once."""

    spans: Integers
    pick: Pick
    place: slice


def _inner_parts(
    selection: Selection, shape: Sequence[int], itemsize: int, native: Sequence[int] | None
) -> list[list[_Part]]:
    """Return for each axis behind the first the ranges to read; one range, unless listed positions are far apart."""
    found = []
    n_boxes = 1
    for number, axis in enumerate(selection.axes[1:], 1):
        stride = prod(shape[number + 1 :]) * itemsize
        unit = max(GAP_BYTES // max(stride, 1), 1) if native is None else native[number]
        parts = [_whole(axis)] if isinstance(axis.wanted, range) else list(_apart(axis.wanted, unit))
        if n_boxes * len(parts) > _MAX_BOXES:
            parts = [_whole(axis)]
        n_boxes *= len(parts)
        found.append(parts)
    return found


def _whole(axis: AxisPick) -> _Part:
    start, stop = axis.bounds
    wanted = axis.wanted
    pick: Pick = slice(0, stop - start, wanted.step) if isinstance(wanted, range) else _as_slice(wanted - start)
    return _Part(start, stop, pick, slice(0, len(wanted)))


def _apart(wanted: Integers, unit: int) -> Iterator[_Part]:
    """Yield ranges that hold the positions, without whole units of `unit` positions in which there is none."""
    units = wanted // unit
    breaks = np.flatnonzero(np.diff(units) > 1) + 1
    for low, high in zip([0, *breaks.tolist()], [*breaks.tolist(), len(wanted)], strict=True):
        start, stop = int(wanted[low]), int(wanted[high - 1]) + 1
        yield _Part(start, stop, _as_slice(wanted[low:high] - start), slice(low, high))


def _as_slice(positions: Integers) -> Pick:
    """Return increasing positions from 0 as a slice, if none is missing or there twice."""
    if len(positions) == positions[-1] + 1 and (np.diff(positions) == 1).all():
        return slice(0, len(positions))
    return positions


def _row_parts(wanted: range | Integers, *, unit: int, step: int, gap: int) -> Iterator[_Rows]:
    """Yield the rows to read at once: at most `step`, a multiple of `unit`, and long stretches end at one of it.

    Rows between wanted ones are read along where they are at most `gap`.
    """
    if isinstance(wanted, range) and wanted.step <= gap + 1:
        yield from _dense_rows(wanted, unit=unit, step=step)
        return
    rows = np.asarray(wanted, np.int64)
    breaks = np.flatnonzero(np.diff(rows) > gap + 1) + 1
    starts = rows[np.concatenate(([0], breaks))]
    stops = rows[np.concatenate((breaks - 1, [len(rows) - 1]))] + 1
    spans = _cut(np.stack((starts, stops), axis=1), step=step)
    sizes = np.cumsum(spans[:, 1] - spans[:, 0])
    low = 0
    while low < len(spans):
        before = int(sizes[low - 1]) if low else 0
        high = max(int(np.searchsorted(sizes, before + step, side="right")), low + 1)
        chosen = spans[low:high]
        first, last = np.searchsorted(rows, [chosen[0, 0], chosen[-1, 1]]).tolist()
        if first < last:
            at = np.searchsorted(chosen[:, 0], rows[first:last], side="right") - 1
            skipped = chosen[:, 0] - (sizes[low:high] - np.diff(chosen, axis=1)[:, 0] - before)
            yield _Rows(chosen, _as_slice(rows[first:last] - skipped[at]), slice(first, last))
        low = high


def _dense_rows(wanted: range, *, unit: int, step: int) -> Iterator[_Rows]:
    begin, end, by = wanted.start, wanted[-1] + 1, wanted.step
    at = begin
    while at < end:
        stop = end if end - at <= step else (at + step) // unit * unit
        first = -(-(at - begin) // by)
        last = -(-(stop - begin) // by)
        if first < last:
            start = begin + first * by
            yield _Rows(np.array([[start, stop]], np.int64), slice(0, stop - start, by), slice(first, last))
        at = stop


def _cut(spans: Integers, *, step: int) -> Integers:
    """Return spans, those cut at the multiples of `step` that are longer."""
    starts, stops = spans.T
    is_long = stops - starts > step
    if not is_long.any():
        return spans
    first = starts // step
    n_each = np.where(is_long, (stops - 1) // step - first + 1, 1)
    of = np.repeat(np.arange(len(spans)), n_each)
    number = np.arange(len(of)) - np.repeat(np.cumsum(n_each) - n_each, n_each) + first[of]
    cut: Integers = np.where(
        is_long[of, np.newaxis],
        np.stack((np.maximum(starts[of], number * step), np.minimum(stops[of], (number + 1) * step)), axis=1),
        spans[of],
    )
    return cut
