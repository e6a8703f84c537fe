"""Spike counts in bins over a session, and spikes restricted to intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, overload

import dask.dataframe as dd
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from nwb_dask.analysis.bins import Bins, bin_numbers, bins_within, multiple, rounding_error
from nwb_dask.analysis.intervals import Intervals, as_intervals, contains, covers, intersect_intervals, merge_intervals
from nwb_dask.analysis.pairing import Positions, check_planned, meta_of, narrowed, pair_sessions, rows_by_session
from nwb_dask.analysis.units import (
    OBS_INTERVALS,
    SESSION,
    SPIKE_TIMES,
    Unit,
    Units,
    observed_time,
    require_columns,
    require_one_session,
    spike_rows,
    unit_labels,
    units_of,
)

_MOST_COUNTS = 2**28
"""Counts, of 8 bytes each, for which times in the data alone may ask: a wild one must not exhaust the memory."""
_INTERVALS = "nwb[large_list<fixed_size_list<double>[2]>]"
"""The dtype that intervals have in frames from NWB files."""


def bin_spikes(
    units: Units, *, bin_size: float, start_time: float | None = None, stop_time: float | None = None
) -> xr.DataArray:
    """Spike counts of each unit of one session in bins of equal width.

    Bin k is ``[start + k * bin_size, start + (k + 1) * bin_size)``. Edges are rounded once, not added up, and a spike
    within rounding error (some 1e-12 s) of an edge is on the edge, so in the bin that begins there.

    Parameters
    ----------
    units : DataFrame, or spike times of each unit
        The units of one session: a frame with ``spike_times``, and ``obs_intervals`` where it matters; or a list, a
        Series or an array of a list of spike times for each unit. Spikes need not be sorted; NaN among them is in no
        bin.
    bin_size : float
        Seconds.
    start_time : float, optional
        Where the first bin begins, in seconds. By default the last multiple of `bin_size` before which no unit was
        observed: before its intervals, or its first spike if it has none.
    stop_time : float, optional
        Bins are whole and end here at the latest: what is left of a bin at the end is left out. By default all that was
        observed is in some bin.

    Returns
    -------
    xr.DataArray of float64, dims (unit, time)
        Counts, NaN where it is not known whether there were spikes: in bins that are not wholly within
        ``obs_intervals`` (also those that are so in part), and of units whose spike times are null. Coordinates:
        ``unit``, the column ``id`` or the labels of the rows; ``time``, centres of the bins. Without spikes,
        intervals and bounds there are no bins.

    Raises
    ------
    ValueError
        If `bin_size` is not above 0, times are not finite or in the wrong order, the units are of several sessions, or
        the data alone ask for more than 2 GiB.
    TypeError
        If units are a Dask collection, or spike times no lists of numbers.
    PathNotFoundError
        If the frame has no ``spike_times``.
    """
    require_one_session(units, "units")
    parts = units_of(units)
    bins = _session_bins(parts, float(bin_size), start_time, stop_time)
    edges = bins.edges
    tolerance = rounding_error(max(abs(edges[0]), abs(edges[-1])))
    counts = np.empty((len(parts), bins.count))
    for row, unit in zip(counts, parts, strict=True):
        near = unit.spike_times[slice(*np.searchsorted(unit.spike_times, [edges[0] - bins.size, edges[-1]]))]
        numbers = bin_numbers(near, edges, tolerance)
        row[:] = np.bincount(numbers[(numbers >= 0) & (numbers < bins.count)], minlength=bins.count)
        if not unit.is_always_observed:
            row[~covers(unit.observed, edges[:-1], edges[1:], tolerance=tolerance)] = np.nan
    return xr.DataArray(
        counts,
        dims=("unit", "time"),
        coords={
            "unit": np.asarray(unit_labels(units)),
            "time": ("time", bins.centres, {"units": "s", "bin_size": bins.size}),
        },
        name="spike_count",
        attrs={"long_name": "spikes per bin"},
    )


def _session_bins(parts: Sequence[Unit], size: float, start_time: float | None, stop_time: float | None) -> Bins:
    if start_time is not None and stop_time is not None:
        n_bins = bins_within(float(start_time), float(stop_time), size)
        if n_bins < 0:
            raise ValueError(f"stop_time {stop_time!r} is before start_time {start_time!r}")
        return Bins(float(start_time), size, math.floor(n_bins))
    extents = [extent for extent in map(_extent, parts) if extent is not None]
    if not extents:
        start = float(start_time or 0.0)
        n_bins = 0.0 if stop_time is None else max(bins_within(start, float(stop_time), size), 0.0)
        return Bins(start, size, math.floor(n_bins))
    first = min(extent[0] for extent in extents)
    start = multiple(math.floor(bins_within(0.0, first, size)), size) if start_time is None else float(start_time)
    if stop_time is None:
        n_bins = max(float(_bins_until(extent, start, size)) for extent in extents)
    else:
        n_bins = float(math.floor(bins_within(start, float(stop_time), size)))
    n_bins = max(n_bins, 0.0)
    if n_bins * len(parts) > _MOST_COUNTS:
        last = max(extent[1] for extent in extents)
        raise ValueError(
            f"the spikes and obs_intervals of {len(parts)} units from {first!r} to {last!r} s take {n_bins:.3g} bins "
            f"of {size!r} s; give start_time and stop_time if this is meant"
        )
    return Bins(start, size, int(n_bins))


def _extent(unit: Unit) -> tuple[float, float, bool] | None:
    """Return from when to when a unit was observed, and whether the end is a spike; None for never."""
    spikes = unit.spike_times[np.isfinite(unit.spike_times)]
    if not len(unit.observed):
        return None
    first, last = float(unit.observed[0, 0]), float(unit.observed[-1, 1])
    is_spike = not math.isfinite(last)
    if not len(spikes) and not (math.isfinite(first) and math.isfinite(last)):
        return None
    return (
        first if math.isfinite(first) else float(spikes[0]),
        float(spikes[-1]) if is_spike else last,
        is_spike,
    )


def _bins_until(extent: tuple[float, float, bool], start: float, size: float) -> int:
    _, last, is_spike = extent
    n_bins = bins_within(start, last, size)
    # A spike on an edge is in the bin after it.
    return math.floor(n_bins) + 1 if is_spike else math.ceil(n_bins)


@overload
def spikes_in_intervals(units: pd.DataFrame, intervals: pd.DataFrame | npt.ArrayLike) -> pd.DataFrame: ...


@overload
def spikes_in_intervals(units: dd.DataFrame, intervals: pd.DataFrame | npt.ArrayLike) -> dd.DataFrame: ...


def spikes_in_intervals(
    units: pd.DataFrame | dd.DataFrame, intervals: pd.DataFrame | dd.DataFrame | npt.ArrayLike
) -> pd.DataFrame | dd.DataFrame:
    """Units with those of their spikes that are in the intervals; the units may be of many sessions.

    Intervals are half-open, ``start <= t < stop``. Where they overlap a spike is there once; spikes keep their order
    and type. The result also says when spikes were looked for: its ``obs_intervals`` are those of the unit as far as
    they are in the intervals, so that spikes outside are missing to what counts them, not absent.

    Parameters
    ----------
    units : pandas or Dask DataFrame
        With ``spike_times``, and ``obs_intervals`` where it matters. Other columns are kept; of a Dask DataFrame only
        those that are used later are read.
    intervals : pandas or Dask DataFrame, or array_like of shape (n, 2)
        Start and stop of each in seconds. An array holds for every session. A frame, with ``start_time`` and
        ``stop_time`` (trials, epochs), holds for the session in ``_nwb_path``: units of a session without intervals
        have no spikes left. An interval with a NaN bound holds nothing.

    Returns
    -------
    pandas or Dask DataFrame
        As `units`, in rows and partitions. Lazy for a Dask DataFrame: sessions are matched inside the partitions, as
        `psth` does it.

    Raises
    ------
    ValueError
        If intervals have another shape, only one of the frames has ``_nwb_path``, or Dask DataFrames are not
        partitioned alike; the message says the way out.
    TypeError
        If `intervals` is a Dask DataFrame and `units` is not.
    PathNotFoundError
        If a column is missing.
    """
    require_columns(units.columns, [SPIKE_TIMES], "units")
    within: pd.DataFrame | dd.DataFrame | Intervals
    if isinstance(intervals, pd.DataFrame | dd.DataFrame):
        session = [SESSION] if SESSION in intervals.columns else []
        within = narrowed(intervals, [*session, "start_time", "stop_time"], "intervals")
    else:
        within = merge_intervals(as_intervals(intervals))
    if isinstance(units, dd.DataFrame):
        return _lazily_restricted(units, within)
    if isinstance(within, dd.DataFrame):
        raise TypeError("intervals must be in memory, as the units are: pass intervals.compute()")
    return _restricted(units, within)


def _lazily_restricted(units: dd.DataFrame, intervals: pd.DataFrame | dd.DataFrame | Intervals) -> dd.DataFrame:
    lazy: dd.DataFrame
    # With these columns known, dask narrows the units to them and what is used later.
    required = [name for name in (SESSION, SPIKE_TIMES, OBS_INTERVALS) if name in units.columns]
    if isinstance(intervals, np.ndarray):
        meta = _restricted(meta_of(units), intervals)
        lazy = units.map_partitions(_restricted, intervals=intervals, meta=meta, required_columns=required)
        return lazy
    if isinstance(intervals, pd.DataFrame):
        return _lazily_restricted(units, dd.from_pandas(intervals, npartitions=1, sort=False))
    first, *others = pair_sessions(units, intervals, "intervals", keep_unpaired=True)
    meta = _restricted(meta_of(first), meta_of(others[0]))
    lazy = first.map_partitions(
        _restricted, *others, meta=meta, align_dataframes=False, clear_divisions=True, required_columns=required
    )
    return lazy


def _restricted(
    units: pd.DataFrame, intervals: pd.DataFrame | Intervals, planned: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return the units with their spikes in the intervals: what a task does."""
    rows = spike_rows(units)
    observed = units[OBS_INTERVALS].array if OBS_INTERVALS in units else [None] * len(units)
    kept: list[object] = [None] * len(units)
    known: list[object] = [None] * len(units)
    for positions, merged in _intervals_by_session(units, intervals, planned):
        for row in positions:
            times = rows[row]
            kept[row] = None if times is None else times[contains(merged, times)]
            known[row] = intersect_intervals(observed_time(observed[row]), merged)
    dtype = units[SPIKE_TIMES].dtype
    intervals_dtype = _INTERVALS if dtype.name.startswith("nwb[") else object
    return units.assign(
        **{
            SPIKE_TIMES: _column(kept, units.index, dtype),
            OBS_INTERVALS: _column(known, units.index, intervals_dtype),
        }
    )


def _intervals_by_session(
    units: pd.DataFrame, intervals: pd.DataFrame | Intervals, planned: pd.DataFrame | None
) -> Iterator[tuple[Positions, Intervals]]:
    if isinstance(intervals, np.ndarray):
        yield np.arange(len(units)), intervals
        return
    check_planned(units, intervals, planned, "intervals")
    for positions, others in rows_by_session(units, intervals, "intervals"):
        yield positions, merge_intervals(intervals.iloc[others])


def _column(rows: list[object], index: pd.Index[Any], dtype: object) -> pd.Series[Any]:
    """Return a column with an array in each row, None for a null."""
    values = np.empty(len(rows), dtype=object)
    for number, row in enumerate(rows):
        values[number] = row
    return pd.Series(pd.array(values, dtype=dtype), index=index)  # type: ignore[call-overload]  # a ragged dtype
