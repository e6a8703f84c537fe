"""One axis after the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from nwb_dask.adapters.xarray_backend.axes.axis import (
    OTHER_SIDE,
    Labels,
    Positions,
    Side,
    TimeAxis,
    is_before,
)
from nwb_dask.adapters.xarray_backend.axes.memory import ArrayAxis
from nwb_dask.adapters.xarray_backend.axes.run import Run
from nwb_dask.adapters.xarray_backend.axes.sampled import SampledAxis
from nwb_dask.adapters.xarray_backend.axes.stored import StoredAxis
from nwb_dask.adapters.xarray_backend.axes.take import take_positions
from nwb_dask.errors import UnsortedTimesError


class ConcatAxis(TimeAxis):
    """The labels of several axes, one after the other.

    Made by `concat_axes`, which joins pieces that go on where the one before ends.

    Parameters
    ----------
    pieces : sequence of TimeAxis
        At least two, none of them empty.
    """

    __slots__ = ("_clock", "_direction", "_ends", "_starts", "n", "pieces")

    def __init__(self, pieces: Sequence[TimeAxis]) -> None:
        self.pieces = tuple(pieces)
        self._starts: Positions = np.cumsum([0, *(piece.n for piece in self.pieces)])
        self.n = int(self._starts[-1])
        self._clock = _clock_of_all(self.pieces)
        self._direction: int | None = None
        self._ends: tuple[Labels, Labels] | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """The keys of the pieces."""
        return ("concat", *(piece.key for piece in self.pieces))

    @property
    def is_free(self) -> bool:
        """Whether all pieces are."""
        return all(piece.is_free for piece in self.pieces)

    @property
    def direction(self) -> int:
        """1, -1 or 0: that of the pieces, if each begins where the one before allows it.

        Pieces of different datasets are read at both ends to tell.
        """
        if self._direction is None:
            self._direction = 1 if self._clock is not None else self._find_direction()
        return self._direction

    def take(self, index: slice | npt.ArrayLike) -> TimeAxis:
        """Return the axis at `index`; of a slice the pieces, each sliced."""
        if not isinstance(index, slice):
            return take_positions(self, index)
        start, stop, step = index.indices(self.n)
        count = len(range(start, stop, step))
        parts = []
        for piece, at in zip(self.pieces, self._starts.tolist(), strict=False):
            low, high = _steps_within(start, step, at, at + piece.n)
            low, high = max(low, 0), min(high, count)
            if low < high:
                end = start + high * step - at
                parts.append(piece.take(slice(start + low * step - at, None if end < 0 else end, step)))
        return concat_axes(parts if step > 0 else parts[::-1])

    def _labels(self, start: int, stop: int) -> Labels:
        parts = [
            piece.labels(max(start - at, 0), stop - at)
            for piece, at in zip(self.pieces, self._starts.tolist(), strict=False)
            if at < stop and at + piece.n > start
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.float64)

    def _label_at(self, positions: Positions) -> Labels:
        found = np.empty(len(positions), np.float64)
        numbers = np.searchsorted(self._starts, positions, "right") - 1
        for number in np.unique(numbers).tolist():
            chosen = numbers == number
            found[chosen] = self.pieces[number].label_at(positions[chosen] - self._starts[number])
        return found

    def _search(self, values: Labels, side: Side) -> Positions:
        way = self.direction
        if way == 0:
            raise UnsortedTimesError("the times are not in order; take them by position (isel), or sort them first")
        if self._clock is not None:
            hull, runs = self._clock
            return self._count_rows(runs, hull.run.start + hull.searchsorted(values, side))
        lasts = self._read_ends()[1]
        # The first piece whose last label is not before the value is where the value belongs.
        if way > 0:
            numbers = np.searchsorted(lasts, values, side)
        else:
            numbers = len(lasts) - np.searchsorted(lasts[::-1], values, OTHER_SIDE[side])
        found = self._starts[numbers]
        for number in np.unique(numbers[numbers < len(lasts)]).tolist():
            # A single label that is not before the value is behind it: nothing to search, in either direction.
            if self.pieces[number].n > 1:
                chosen = numbers == number
                found[chosen] += self.pieces[number].searchsorted(values[chosen], side)
        return found

    def _count_rows(self, runs: tuple[Run, ...], rows: Positions) -> Positions:
        """Return how many rows of the pieces, which are increasing and in order, are below each of `rows`."""
        starts, steps, counts = (np.array(part) for part in zip(*((r.start, r.step, r.n) for r in runs), strict=True))
        numbers = np.maximum(np.searchsorted(starts, rows, "left") - 1, 0)
        below = np.clip(-((starts[numbers] - rows) // steps[numbers]), 0, counts[numbers])
        found: Positions = self._starts[numbers] + below
        return found

    def _find_direction(self) -> int:
        ways = {piece.direction for piece in self.pieces if piece.n > 1}
        if 0 in ways or len(ways) > 1:
            return 0
        firsts, lasts = self._read_ends()
        pairs = list(zip(lasts[:-1].tolist(), firsts[1:].tolist(), strict=True))
        if ways != {-1} and all(is_before(one, other, "right") for one, other in pairs):
            return 1
        return -1 if ways != {1} and all(is_before(other, one, "right") for one, other in pairs) else 0

    def _read_ends(self) -> tuple[Labels, Labels]:
        if self._ends is None:
            firsts = np.array([piece.first for piece in self.pieces])
            self._ends = firsts, np.array([piece.last for piece in self.pieces])
        return self._ends

    def __reduce__(self) -> tuple[object, ...]:
        return (ConcatAxis, (self.pieces,))

    def __repr__(self) -> str:
        return f"ConcatAxis(n={self.n}, pieces={len(self.pieces)})"


def concat_axes(axes: Iterable[TimeAxis]) -> TimeAxis:
    """Return the labels of `axes` one after the other, in the simplest axis that has them.

    Windows that follow each other on one clock become one window; arrays become one array.
    """
    flat: list[TimeAxis] = []
    for axis in axes:
        for piece in axis.pieces if isinstance(axis, ConcatAxis) else (axis,):
            if not piece.n:
                continue
            fused = flat[-1].fuse(piece) if flat else None
            if fused is None:
                flat.append(piece)
            else:
                flat[-1] = fused
    pieces = _join_arrays(flat)
    if len(pieces) > 1:
        return ConcatAxis(pieces)
    return pieces[0] if pieces else ArrayAxis(np.empty(0))


def _clock_of_all(pieces: Sequence[TimeAxis]) -> tuple[SampledAxis | StoredAxis, tuple[Run, ...]] | None:
    """Return the stretch of the clock or dataset that all pieces are increasing runs of, in order, and these runs.

    Searching it once is enough, and tells more of stored stamps than their ends do: nothing need be read to know that
    the pieces are in order.
    """
    of_clock = [piece for piece in pieces if isinstance(piece, SampledAxis | StoredAxis)]
    if len(of_clock) < len(pieces) or len({piece.clock for piece in of_clock}) > 1:
        return None
    runs = tuple(piece.run for piece in of_clock)
    if any(run.step < 0 for run in runs) or any(one.high > other.low for one, other in pairwise(runs)):
        return None
    return of_clock[0].of_run(Run(runs[0].low, 1, runs[-1].high - runs[0].low)), runs


def _steps_within(start: int, step: int, low: int, high: int) -> tuple[int, int]:
    """Return for which half-open range of k ``start + k * step`` is in ``[low, high)``."""
    if step > 0:
        return -((start - low) // step), -((start - high) // step)
    return (start - high) // -step + 1, (start - low) // -step + 1


def _join_arrays(pieces: list[TimeAxis]) -> list[TimeAxis]:
    joined: list[TimeAxis] = []
    waiting: list[Labels] = []
    for piece in (*pieces, None):
        if isinstance(piece, ArrayAxis):
            waiting.append(piece.values)
            continue
        if waiting:
            joined.append(ArrayAxis(np.concatenate(waiting)))
            waiting = []
        if piece is not None:
            joined.append(piece)
    return joined
