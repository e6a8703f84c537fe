"""Half-open intervals of time: ``start <= t < stop``.

Every function takes intervals in any order, overlapping or not. An interval with a NaN bound, or whose stop is not
after its start, holds nothing. Bounds may be infinite.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

Intervals: TypeAlias = npt.NDArray[np.float64]
"""Shape (n, 2): start and stop of each, in seconds."""

_BOUNDS = ("start_time", "stop_time")


def _constant(rows: list[tuple[float, float]]) -> Intervals:
    intervals = np.array(rows, dtype=np.float64).reshape(-1, 2)
    intervals.flags.writeable = False
    return intervals


ALWAYS = _constant([(-np.inf, np.inf)])
"""One interval that holds every time."""
NEVER = _constant([])
"""No interval."""


def as_intervals(values: npt.ArrayLike | pd.DataFrame) -> Intervals:
    """Return intervals as one array, in the order given.

    Parameters
    ----------
    values : array_like of shape (n, 2), or DataFrame
        Start and stop of each, in seconds; of a frame the columns ``start_time`` and ``stop_time``. Two numbers alone
        are one interval. Nulls become NaN.

    Returns
    -------
    ndarray of float64, shape (n, 2)

    Raises
    ------
    ValueError
        If the shape is another one, or the frame lacks a column.
    """
    if isinstance(values, pd.DataFrame):
        missing = [name for name in _BOUNDS if name not in values]
        if missing:
            raise ValueError(f"a frame of intervals has the columns start_time and stop_time; this one lacks {missing}")
        return np.column_stack([values[name].to_numpy(np.float64, na_value=np.nan) for name in _BOUNDS])
    array = np.asarray(values, dtype=np.float64)
    if array.shape in {(0,), (2,)}:
        array = array.reshape(-1, 2)
    if array.ndim != 2 or array.shape[1] != 2:  # noqa: PLR2004  # start and stop
        raise ValueError(f"intervals have the shape (n, 2), a start and a stop each, not {array.shape}")
    return array


def merge_intervals(intervals: npt.ArrayLike | pd.DataFrame) -> Intervals:
    """Return the same time as the fewest intervals: sorted, with gaps between them.

    Intervals that touch become one; those that hold nothing are left out.

    Parameters
    ----------
    intervals : array_like of shape (n, 2), or DataFrame
        As for `as_intervals`.

    Returns
    -------
    ndarray of float64, shape (m, 2)
    """
    given = as_intervals(intervals)
    given = given[given[:, 0] < given[:, 1]]
    if not len(given):
        return given
    given = given[np.argsort(given[:, 0], kind="stable")]
    reached = np.maximum.accumulate(given[:, 1])
    begins = np.concatenate(([True], given[1:, 0] > reached[:-1]))
    ends = np.concatenate((begins[1:], [True]))
    return np.column_stack([given[begins, 0], reached[ends]])


def intersect_intervals(one: npt.ArrayLike | pd.DataFrame, other: npt.ArrayLike | pd.DataFrame) -> Intervals:
    """Return the time that is in both, as `merge_intervals` gives it.

    Parameters
    ----------
    one, other : array_like of shape (n, 2), or DataFrame
        As for `as_intervals`.

    Returns
    -------
    ndarray of float64, shape (m, 2)
    """
    left, right = merge_intervals(one), merge_intervals(other)
    first = np.searchsorted(right[:, 1], left[:, 0], side="right")
    last = np.searchsorted(right[:, 0], left[:, 1], side="left")
    shared = np.maximum(last - first, 0)
    rows = np.repeat(np.arange(len(left)), shared)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(shared) - shared, shared)
    others = np.repeat(first, shared) + within
    return np.column_stack(
        [np.maximum(left[rows, 0], right[others, 0]), np.minimum(left[rows, 1], right[others, 1])],
    )


def contains(intervals: npt.ArrayLike | pd.DataFrame, times: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Tell which times are in some interval; NaN is in none.

    Parameters
    ----------
    intervals : array_like of shape (n, 2), or DataFrame
        As for `as_intervals`.
    times : array_like
        Seconds, in any order and shape.

    Returns
    -------
    ndarray of bool, the shape of `times`
    """
    merged = merge_intervals(intervals)
    at = np.asarray(times, dtype=np.float64)
    if not len(merged):
        return np.zeros(at.shape, np.bool_)
    before = np.searchsorted(merged[:, 0], at, side="right") - 1
    inside: npt.NDArray[np.bool_] = (before >= 0) & (at < merged[before, 1])
    return inside


def covers(
    intervals: npt.ArrayLike | pd.DataFrame,
    start_times: npt.ArrayLike,
    stop_times: npt.ArrayLike,
    *,
    tolerance: float | npt.NDArray[np.float64] = 0.0,
) -> npt.NDArray[np.bool_]:
    """Tell which spans ``[start, stop)`` are in the intervals as a whole.

    Parameters
    ----------
    intervals : array_like of shape (n, 2), or DataFrame
        As for `as_intervals`.
    start_times, stop_times : array_like
        Seconds; NaN makes a span that is in no interval.
    tolerance : float or ndarray
        Seconds by which a span may stand out at either end: the rounding error of its bounds.

    Returns
    -------
    ndarray of bool, the shape of `start_times` and `stop_times`
    """
    merged = merge_intervals(intervals)
    starts, stops = np.asarray(start_times, dtype=np.float64), np.asarray(stop_times, dtype=np.float64)
    if not len(merged):
        return np.zeros(np.broadcast_shapes(starts.shape, stops.shape), np.bool_)
    before = np.searchsorted(merged[:, 0], starts + tolerance, side="right") - 1
    inside: npt.NDArray[np.bool_] = (before >= 0) & (merged[before, 1] >= stops - tolerance) & ~np.isnan(starts)
    return inside
