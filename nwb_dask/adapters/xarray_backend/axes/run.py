"""Evenly spaced rows: what slicing leaves of a clock or of a dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nwb_dask.adapters.xarray_backend.axes.axis import OTHER_SIDE, Labels, Positions, Side


@dataclass(frozen=True, slots=True)
class Run:
    """The rows ``start + k * step`` for k in ``[0, n)``; of less than two rows the step is 1, of none the start 0."""

    start: int
    step: int
    n: int

    def __post_init__(self) -> None:
        if self.step == 0 or self.n < 0:
            raise ValueError(f"a run of {self.n} rows with step {self.step}")
        if self.n < 2:  # noqa: PLR2004  # between two
            object.__setattr__(self, "step", 1)
        if self.n == 0:
            object.__setattr__(self, "start", 0)
        if self.low < 0:
            raise ValueError(f"a run that begins at row {self.low}")

    @property
    def low(self) -> int:
        """The lowest row."""
        return min(self.start, self.start + (self.n - 1) * self.step) if self.n else self.start

    @property
    def high(self) -> int:
        """One past the highest row."""
        return max(self.start, self.start + (self.n - 1) * self.step) + 1 if self.n else self.start

    def sliced(self, index: slice) -> Run:
        """Return the rows at a slice of positions."""
        start, stop, step = index.indices(self.n)
        return Run(self.start + start * self.step, self.step * step, len(range(start, stop, step)))

    def fused(self, after: Run) -> Run | None:
        """Return this run and the one that goes on where it ends; None if that does not."""
        gap = after.start - (self.start + (self.n - 1) * self.step)
        step = self.step if self.n > 1 else after.step if after.n > 1 else gap
        if gap != step or step == 0 or (after.n > 1 and after.step != step):
            return None
        return Run(self.start, step, self.n + after.n)

    def count_below(self, rows: Positions) -> Positions:
        """Return how many rows of an increasing run are below each of `rows`."""
        return np.clip(-((self.start - rows) // self.step), 0, self.n)

    def search(self, rank: Callable[[Labels, Side], Positions], values: Labels, side: Side) -> Positions:
        """Return where `values` belong in the run, if `rank` tells where among all rows of the increasing clock."""
        if self.step > 0:
            return self.count_below(rank(values, side))
        rows = rank(values, OTHER_SIDE[side])
        return np.clip((self.start - rows) // -self.step + 1, 0, self.n)
