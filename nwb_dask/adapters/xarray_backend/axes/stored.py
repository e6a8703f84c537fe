"""Times that a dataset holds, one for each sample."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nwb_dask.adapters.xarray_backend.axes.axis import Labels, Positions, Side, Stamps, TimeAxis
from nwb_dask.adapters.xarray_backend.axes.blocks import BlockSearch, block_search
from nwb_dask.adapters.xarray_backend.axes.run import Run
from nwb_dask.adapters.xarray_backend.axes.take import take_positions

_PIECE_ROWS = 1 << 20
"""Read at once where only every so many-th row is wanted."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredAxis(TimeAxis):
    """Labels of the rows ``start + k * step`` of a dataset, k in ``[0, n)``; none is read before it is needed.

    A search reads O(log n) blocks. Stamps must increase; repeats are allowed, and NaN after all numbers. Of datasets
    of at most 1 MiB, which are read whole, that is checked; of larger ones in the blocks that searches read, and
    elsewhere not. Where it does not hold, every search raises `UnsortedTimesError`.
    """

    stamps: Stamps
    start: int = 0
    step: int = 1
    n: int = -1
    """By default all of the dataset."""
    _search_of: BlockSearch = field(init=False, repr=False)

    def __post_init__(self) -> None:
        total = int(self.stamps.n)
        run = Run(int(self.start), int(self.step), total if self.n == -1 else int(self.n))
        if run.high > total:
            raise ValueError(f"row {run.high - 1} of {total} timestamps")
        for name, value in (("start", run.start), ("step", run.step), ("n", run.n)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_search_of", block_search(self.stamps))

    @property
    def clock(self) -> tuple[object, ...]:
        """The address of the dataset: what windows of it have in common."""
        return ("stored", self.stamps)

    @property
    def run(self) -> Run:
        """The rows of the dataset."""
        return Run(self.start, self.step, self.n)

    @property
    def key(self) -> tuple[object, ...]:
        """The address of the dataset, and which rows."""
        return ("stored", self.stamps, self.start, self.step, self.n)

    @property
    def direction(self) -> int:
        """The sign of the step."""
        return 1 if self.step > 0 else -1

    @property
    def is_free(self) -> bool:
        """False."""
        return False

    @property
    def bounds(self) -> tuple[float, float] | None:
        """First and last label, if the blocks that hold them have been read."""
        if not self.n:
            return None
        first, last = (self._search_of.known_label(self.start + k * self.step) for k in (0, self.n - 1))
        return None if first is None or last is None else (first, last)

    def take(self, index: slice | npt.ArrayLike) -> TimeAxis:
        """Return the axis at `index`; of a slice another `StoredAxis`."""
        if not isinstance(index, slice):
            return take_positions(self, index)
        return self.of_run(self.run.sliced(index))

    def fuse(self, after: TimeAxis) -> TimeAxis | None:
        """Return both as one if `after` goes on with the same dataset."""
        if not isinstance(after, StoredAxis) or self.stamps != after.stamps:
            return None
        run = self.run.fused(after.run)
        return None if run is None else self.of_run(run)

    def of_run(self, run: Run) -> StoredAxis:
        """Return other rows of the same dataset."""
        return StoredAxis(self.stamps, run.start, run.step, run.n)

    def _labels(self, start: int, stop: int) -> Labels:
        run = self.run.sliced(slice(start, stop))
        if not run.n:
            return np.empty(0, np.float64)
        if abs(run.step) >= self._search_of.rows:
            return self._label_at(np.arange(start, stop))
        if abs(run.step) == 1:
            found = self._search_of.read(run.low, run.high)
        else:
            size = max(_PIECE_ROWS // abs(run.step), 1) * abs(run.step)
            pieces = range(run.low, run.high, size)
            found = np.concatenate(
                [self._search_of.read(at, min(at + size, run.high))[:: abs(run.step)] for at in pieces]
            )
        return found if run.step > 0 else found[::-1]

    def _label_at(self, positions: Positions) -> Labels:
        return self._search_of.gather(self.start + positions * self.step)

    def _search(self, values: Labels, side: Side) -> Positions:
        return self.run.search(self._rank, values, side)

    def _rank(self, values: Labels, side: Side) -> Positions:
        run = self.run
        if not run.n:
            return np.zeros(len(values), np.int64)
        return self._search_of.rank(values, side, run.low, run.high)

    def __reduce__(self) -> tuple[object, ...]:
        return (StoredAxis, (self.stamps, self.start, self.step, self.n))
