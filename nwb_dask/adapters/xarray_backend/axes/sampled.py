"""Times of a clock with a rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nwb_dask.adapters.xarray_backend.axes.axis import Labels, Positions, Side, TimeAxis
from nwb_dask.adapters.xarray_backend.axes.run import Run
from nwb_dask.adapters.xarray_backend.axes.take import take_positions
from nwb_dask.errors import MalformedFileError

_MAX_ROW = 1 << 53
"""Beyond it float64 cannot count."""


@dataclass(frozen=True, slots=True, eq=False)
class SampledAxis(TimeAxis):
    """Labels ``(i0 + k * stride) / fs + t0`` for k in ``[0, n)``, bit for bit what pynwb computes and then slices.

    Only whole numbers change under slicing, so that no error adds up. A clock that stands still (rate 0) has at most
    one sample, at `t0`.

    Raises
    ------
    MalformedFileError
        If the start or rate is not finite, the rate negative, or zero for more than one sample, or if the times grow
        beyond what float64 holds.
    """

    t0: float
    """Seconds: the label of sample 0 of the clock."""
    fs: float
    """Samples of the clock per second."""
    n: int
    i0: int = 0
    """Sample of the clock at position 0."""
    stride: int = 1
    """Samples of the clock from one position to the next."""

    def __post_init__(self) -> None:
        # A rate of float32 would make every product one of float32.
        for name in ("t0", "fs"):
            object.__setattr__(self, name, float(getattr(self, name)))
        run = Run(int(self.i0), int(self.stride), int(self.n))
        for name, value in (("i0", run.start), ("stride", run.step), ("n", run.n)):
            object.__setattr__(self, name, value)
        if not (math.isfinite(self.t0) and math.isfinite(self.fs) and self.fs >= 0):
            raise MalformedFileError(f"{self.n} samples from {self.t0} s at {self.fs} Hz have no times")
        if self.fs == 0:
            if run.high > 1:
                raise MalformedFileError(f"{run.high} samples at 0 Hz have no times")
        elif run.high > _MAX_ROW or not math.isfinite(run.high / self.fs + self.t0):
            raise MalformedFileError(f"{run.high} samples from {self.t0} s at {self.fs} Hz are beyond any time")

    @property
    def clock(self) -> tuple[object, ...]:
        """Start and rate: what windows of one clock have in common."""
        return ("sampled", self.t0, self.fs)

    @property
    def run(self) -> Run:
        """The samples of the clock."""
        return Run(self.i0, self.stride, self.n)

    @property
    def key(self) -> tuple[object, ...]:
        """Start, rate, and which samples."""
        return ("sampled", self.t0, self.fs, self.i0, self.stride, self.n)

    @property
    def direction(self) -> int:
        """The sign of the stride."""
        return 1 if self.stride > 0 else -1

    @property
    def is_free(self) -> bool:
        """True."""
        return True

    @property
    def rate(self) -> float | None:
        """Positions per second; None for a clock that stands still."""
        return self.fs / abs(self.stride) if self.fs else None

    def take(self, index: slice | npt.ArrayLike) -> TimeAxis:
        """Return the axis at `index`; of a slice another `SampledAxis`."""
        if not isinstance(index, slice):
            return take_positions(self, index)
        return self.of_run(self.run.sliced(index))

    def fuse(self, after: TimeAxis) -> TimeAxis | None:
        """Return both as one if `after` goes on with the same clock."""
        if not isinstance(after, SampledAxis) or (self.t0, self.fs) != (after.t0, after.fs) or not self.fs:
            return None
        run = self.run.fused(after.run)
        return None if run is None else self.of_run(run)

    def of_run(self, run: Run) -> SampledAxis:
        """Return other samples of the same clock."""
        return SampledAxis(self.t0, self.fs, run.n, run.start, run.step)

    def _labels(self, start: int, stop: int) -> Labels:
        # As float64 these whole numbers are exact, and the two operations are those of pynwb, in place.
        first = self.i0 + start * self.stride
        found = np.arange(first, first + (stop - start) * self.stride, self.stride, dtype=np.float64)
        return self._at_rows(found)

    def _label_at(self, positions: Positions) -> Labels:
        return self._at_rows((self.i0 + positions * self.stride).astype(np.float64))

    def _at_rows(self, rows: Labels) -> Labels:
        if self.fs:
            rows /= self.fs
        rows += self.t0
        return rows

    def _search(self, values: Labels, side: Side) -> Positions:
        return self.run.search(self._rank, values, side)

    def _rank(self, values: Labels, side: Side) -> Positions:
        """Samples of the clock, within those of the axis, whose labels are below each value (or not above it).

        Rounded division and addition never decrease, so that bisection is exact; a guess by arithmetic, which is off
        by a few samples at most unless the clock ticks faster than float64 can tell, brackets it first.
        """
        run = self.run
        low = np.full(values.shape, run.low, np.int64)
        high = np.full(values.shape, run.high, np.int64)
        with np.errstate(over="ignore", invalid="ignore"):
            guess = np.clip((values - self.t0) * self.fs, run.low, run.high)
        rows = np.where(np.isnan(guess), run.high, guess).astype(np.int64)
        for at in (rows - 2, rows + 2):
            self._narrow(values, side, low, high, np.clip(at, low, np.maximum(high - 1, low)))
        while (low < high).any():
            self._narrow(values, side, low, high, (low + high) // 2)
        return low

    def _narrow(self, values: Labels, side: Side, low: Positions, high: Positions, at: Positions) -> None:
        labels = self._at_rows(at.astype(np.float64))
        below = (labels < values if side == "left" else labels <= values) | np.isnan(values)
        is_open = low < high
        np.copyto(low, at + 1, where=below & is_open)
        np.copyto(high, at, where=~below & is_open)
