"""Where windows of one clock meet: by arithmetic, whatever their lengths."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from nwb_dask.adapters.xarray_backend.axes.axis import Positions, TimeAxis
from nwb_dask.adapters.xarray_backend.axes.concat import concat_axes
from nwb_dask.adapters.xarray_backend.axes.run import Run
from nwb_dask.adapters.xarray_backend.axes.sampled import SampledAxis
from nwb_dask.adapters.xarray_backend.axes.stored import StoredAxis


def joined_window(one: TimeAxis, other: TimeAxis, how: Literal["inner", "outer"]) -> TimeAxis | None:
    """Return the times that two windows of one clock share, or those that either has, in order; None for other axes.

    They are matched by sample, not by label: samples of one dataset are the same where they are the same rows, even
    if stamps repeat.
    """
    found = _runs(one, other)
    if found is None:
        return None
    (axis, a), (_, b) = found
    if a.step != b.step or (a.start - b.start) % a.step:
        return None
    low, high = max(a.low, b.low), min(a.high, b.high)
    if how == "inner":
        return axis.of_run(Run(low, a.step, -((low - high) // a.step))) if low < high else axis.of_run(Run(0, 1, 0))
    if low < high:
        low, high = min(a.low, b.low), max(a.high, b.high)
        return axis.of_run(Run(low, a.step, -((low - high) // a.step)))
    return concat_axes((one, other) if a.low < b.low else (other, one))


def positions_in_window(axis: TimeAxis, wanted: TimeAxis) -> Positions | None:
    """Return where in `axis` the samples of `wanted` are, -1 for none, if both are windows of one clock; else None."""
    found = _runs(axis, wanted)
    if found is None:
        return None
    (_, a), (_, b) = found
    offsets = b.start - a.start + np.arange(b.n, dtype=np.int64) * b.step
    positions, rest = np.divmod(offsets, a.step)
    positions[(rest != 0) | (positions < 0) | (positions >= a.n)] = -1
    return positions


def _runs(
    one: TimeAxis, other: TimeAxis
) -> tuple[tuple[SampledAxis | StoredAxis, Run], tuple[SampledAxis | StoredAxis, Run]] | None:
    """Return both axes and their runs if these increase on one clock whose labels tell its samples apart."""
    if not isinstance(one, SampledAxis | StoredAxis) or not isinstance(other, SampledAxis | StoredAxis):
        return None
    if one.clock != other.clock or one.run.step < 0 or other.run.step < 0:
        return None
    if isinstance(one, SampledAxis):
        highest = max(abs(end) for axis in (one, other) for end in axis.bounds or (0.0,))
        if not one.fs or 1 / one.fs < 2 * math.ulp(highest):
            return None
    return (one, one.run), (other, other.run)
