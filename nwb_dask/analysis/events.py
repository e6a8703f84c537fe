"""Spike counts around events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from nwb_dask.analysis.bins import Bins, bin_numbers, rounding_error, window_bins
from nwb_dask.analysis.intervals import Intervals, covers
from nwb_dask.analysis.units import (
    Unit,
    Units,
    require_memory,
    require_one_session,
    require_seconds,
    unit_labels,
    units_of,
)

_PAIRS_AT_ONCE = 2**21
"""Pairs of spike and event that are held in memory at once."""


def peri_event_counts(
    units: Units,
    events: pd.Series[Any] | xr.DataArray | npt.ArrayLike,
    *,
    window: tuple[float, float],
    bin_size: float,
) -> xr.DataArray:
    """Spike counts of each unit in bins around each event of one session.

    A spike at t is in bin k of an event at e if ``edges[k] <= t - e < edges[k + 1]``: bins are half-open, and windows
    that overlap count a spike once each. ``t - e`` within its rounding error (some 1e-12 s) of an edge is on the edge.
    The rate is ``counts.mean("trial") / bin_size``.

    Parameters
    ----------
    units : DataFrame, or spike times of each unit
        The units of one session: a frame with ``spike_times``, and ``obs_intervals`` where it matters; or a list, a
        Series or an array of a list of spike times for each unit. Spikes need not be sorted; NaN among them is in no
        bin.
    events : Series, DataArray or array_like, one-dimensional
        Times in seconds, on the clock of the spikes, in any order.
    window : (float, float)
        Start and stop relative to the event, half-open; a whole number of bins.
    bin_size : float
        Seconds.

    Returns
    -------
    xr.DataArray of float64, dims (unit, trial, time)
        Counts, NaN where it is not known whether there were spikes: in bins that are not wholly within
        ``obs_intervals``, of units whose spike times are null, and for events that are NaN or infinite. Coordinates:
        ``unit``, the column ``id`` or the labels of the rows; ``trial``, the labels of the events if they are a Series,
        else numbers, with ``event_time``; ``time``, centres of the bins relative to the event.

    Raises
    ------
    ValueError
        If the window is not a whole number of bins, events are not one-dimensional, or the units are of several
        sessions.
    TypeError
        If units or events are a Dask collection, or spike times no lists of numbers.
    PathNotFoundError
        If the frame has no ``spike_times``.
    """
    require_memory(events, "events")
    require_one_session(units, "units")
    bins = window_bins(window, bin_size)
    times = event_times(events)
    observer = Observer(times, bins)
    parts = units_of(units)
    counts = np.zeros((len(parts), len(times), bins.count))
    for around, unit in zip(counts, parts, strict=True):
        for trials, numbers in spikes_around(unit.spike_times, times, bins):
            flat = np.bincount(trials * bins.count + numbers, minlength=around.size)
            np.add(around, flat.reshape(around.shape), out=around)
        around[~observer.observed(unit)] = np.nan
    return xr.DataArray(
        counts,
        dims=("unit", "trial", "time"),
        coords={
            "unit": np.asarray(unit_labels(units)),
            "trial": _trial_labels(events, len(times)),
            "event_time": ("trial", times, {"units": "s"}),
            "time": ("time", bins.centres, {"units": "s", "long_name": "time from event", "bin_size": bins.size}),
        },
        name="spike_count",
        attrs={"long_name": "spikes per bin"},
    )


def _trial_labels(events: object, count: int) -> npt.NDArray[Any]:
    labels = np.arange(count)
    if isinstance(events, pd.Series) and events.index.nlevels == 1:
        return np.asarray(events.index)
    if isinstance(events, xr.DataArray) and events.dims[0] in events.coords:
        return np.asarray(events.coords[events.dims[0]])
    return labels


def event_times(events: pd.Series[Any] | xr.DataArray | npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return events as seconds, NaN where there is none: null, NaN or infinite."""
    given = events if isinstance(events, pd.Series | xr.DataArray) else np.asarray(events)
    require_seconds(given.dtype, "events")
    if isinstance(given, pd.Series):
        times = given.to_numpy(np.float64, na_value=np.nan)
    else:
        times = np.asarray(given, dtype=np.float64)
    if times.ndim != 1:
        raise ValueError(f"events are one-dimensional times, not of shape {times.shape}; pass one column of a table")
    return np.where(np.isfinite(times), times, np.nan)


def spikes_around(
    spike_times: npt.NDArray[np.float64], events: npt.NDArray[np.float64], bins: Bins
) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Return event and bin of each spike in the window of an event, in blocks of bounded size.

    Parameters
    ----------
    spike_times : ndarray of float64
        Seconds, sorted, NaN last.
    events : ndarray of float64
        Seconds; NaN has no spikes.
    bins : Bins
        Relative to the event.

    Yields
    ------
    (events, bins) : ndarray of intp
        Numbers, one of each for each pair of spike and event.
    """
    known = np.flatnonzero(~np.isnan(events))
    at = events[known]
    tolerance = _tolerance(at, bins)
    edges = bins.edges
    # Wider than the window by more than rounding can matter: `bin_numbers` decides.
    first = np.searchsorted(spike_times, at + edges[0] - 2 * tolerance, side="left")
    last = np.searchsorted(spike_times, at + edges[-1] + 2 * tolerance, side="right")
    shared = last - first
    done = np.cumsum(shared)
    start = 0
    while start < len(at):
        already = done[start - 1] if start else 0
        stop = max(int(np.searchsorted(done, already + _PAIRS_AT_ONCE, side="right")), start + 1)
        block = slice(start, stop)
        n_pairs = shared[block]
        rows = np.repeat(np.arange(start, stop), n_pairs)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(n_pairs) - n_pairs, n_pairs)
        relative = spike_times[first[rows] + within] - at[rows]
        numbers = bin_numbers(relative, edges, tolerance[rows])
        inside = (numbers >= 0) & (numbers < bins.count)
        yield known[rows[inside]], numbers[inside]
        start = stop


def _tolerance(events: npt.NDArray[np.float64], bins: Bins) -> npt.NDArray[np.float64]:
    return rounding_error(np.abs(events) + max(abs(bins.start), abs(bins.start + bins.count * bins.size)))


class Observer:
    """Tells in which bins around each event a unit was observed.

    Units of one session mostly share their intervals: the last answer is kept.

    Parameters
    ----------
    events : ndarray of float64
        Seconds; nothing is observed around NaN.
    bins : Bins
        Relative to the event.
    """

    def __init__(self, events: npt.NDArray[np.float64], bins: Bins) -> None:
        self._events = events
        self._bins = bins
        self._always = np.repeat(~np.isnan(events)[:, np.newaxis], bins.count, axis=1)
        self._last: tuple[Intervals, npt.NDArray[np.bool_]] | None = None

    def observed(self, unit: Unit) -> npt.NDArray[np.bool_]:
        """Return an array of shape (n_events, n_bins); it is shared, so do not write into it."""
        if unit.is_always_observed:
            return self._always
        if self._last is None or not np.array_equal(self._last[0], unit.observed):
            edges = self._events[:, np.newaxis] + self._bins.edges
            tolerance = _tolerance(self._events, self._bins)[:, np.newaxis]
            inside = covers(unit.observed, edges[:, :-1], edges[:, 1:], tolerance=tolerance)
            self._last = (unit.observed, inside)
        return self._last[1]
