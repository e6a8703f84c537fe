"""Mean rates of units around the events of trials, over the sessions of two frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import dask.dataframe as dd
import numpy as np
import numpy.typing as npt
import pandas as pd

from nwb_dask.analysis.bins import Bins, window_bins
from nwb_dask.analysis.events import Observer, event_times, spikes_around
from nwb_dask.analysis.pairing import Positions, check_planned, meta_of, narrowed, pair_sessions, rows_by_session
from nwb_dask.analysis.units import ID, OBS_INTERVALS, SESSION, SPIKE_TIMES, unit_labels, units_of

_RESULTS = ("unit", "time", "count", "n_trials", "rate", "n_without_event")


@overload
def psth(
    units: pd.DataFrame,
    trials: pd.DataFrame,
    *,
    align: str,
    window: tuple[float, float],
    bin_size: float,
    by: str | Sequence[str] | None = None,
    unit_columns: Sequence[str] = (),
) -> pd.DataFrame: ...


@overload
def psth(
    units: dd.DataFrame,
    trials: dd.DataFrame | pd.DataFrame,
    *,
    align: str,
    window: tuple[float, float],
    bin_size: float,
    by: str | Sequence[str] | None = None,
    unit_columns: Sequence[str] = (),
) -> dd.DataFrame: ...


def psth(
    units: pd.DataFrame | dd.DataFrame,
    trials: pd.DataFrame | dd.DataFrame,
    *,
    align: str,
    window: tuple[float, float],
    bin_size: float,
    by: str | Sequence[str] | None = None,
    unit_columns: Sequence[str] = (),
) -> pd.DataFrame | dd.DataFrame:
    """Peri-stimulus time histograms: the rate of every unit around the events of its session's trials.

    Units and trials are matched by ``_nwb_path`` inside the partitions that hold their session. Nothing is shuffled: a
    task reads the spikes of a session and gives its rates.

    Parameters
    ----------
    units : pandas or Dask DataFrame
        With ``spike_times``; ``id`` and ``obs_intervals`` are used where there are such columns. Of a Dask DataFrame
        from `read_nwb` these alone are read, and filters go into the read: ``units[units.quality == "good"]``.
    trials : pandas or Dask DataFrame
        With the columns `align` and `by`. Dask DataFrames are read from the same files as the units, in partitions of
        whole sessions, which is what `read_nwb` gives by default. A pandas DataFrame, or a Dask DataFrame of one
        partition, goes to every partition of the units.
    align : str
        The column of trials with the time of the event, in seconds: ``"start_time"``.
    window : (float, float)
        Start and stop relative to the event in seconds, half-open; a whole number of bins.
    bin_size : float
        Seconds. Bins are half-open, as for `peri_event_counts`.
    by : str or sequence of str, optional
        Columns of trials: each combination of their values in a session, missing ones included, is a condition of its
        own. By default all trials are one.
    unit_columns : sequence of str
        Columns of units to carry into the result, such as ``"brain_area"``.

    Returns
    -------
    pandas or Dask DataFrame
        One row for each session, unit, condition and bin; sessions and units in the order of the frame, conditions
        sorted. Lazy for Dask DataFrames, with one partition for each of the units' whose sessions have trials. Columns:

        =================== ========================================================================================
        ``_nwb_path``       session, if the frames have it
        ``unit``            ``id`` of the unit, else its label in the frame
        `unit_columns`      as in units
        `by`                as in trials
        ``time``            centre of the bin relative to the event, s
        ``count``           spikes in the trials that are counted; int64
        ``n_trials``        trials counted: with an event, and with the whole bin in ``obs_intervals``; int64
        ``rate``            ``count / n_trials / bin_size``, Hz; NaN if no trial is counted
        ``n_without_event`` trials of the condition that are left out since `align` is NaN, null or infinite; int64
        =================== ========================================================================================

        Where spikes cannot be known they are missing, not absent: outside ``obs_intervals``, and for a unit whose
        ``spike_times`` are null, no trial is counted. A session without trials has no conditions, so no rows. One unit
        as an array: ``rates.set_index(["condition", "time"]).rate.to_xarray()``.

    Raises
    ------
    ValueError
        If the window is not a whole number of bins, columns would have the same name, one frame alone has
        ``_nwb_path``, or the Dask DataFrames are not partitioned alike; the message says the way out.
    TypeError
        If `trials` is a Dask DataFrame and `units` is not.
    PathNotFoundError
        If a column is missing; the nearest names are said.

    Examples
    --------
    >>> import nwb_dask.dataframe as dd
    >>> units = dd.read_nwb("sessions/*.nwb", "/units")  # doctest: +SKIP
    >>> trials = dd.read_nwb("sessions/*.nwb", "/intervals/trials")  # doctest: +SKIP
    >>> good = units[units.quality == "good"]  # doctest: +SKIP
    >>> bins = {"window": (-0.5, 1.0), "bin_size": 0.02}
    >>> rates = psth(good, trials, align="start_time", by="condition", **bins)  # doctest: +SKIP
    >>> rates.groupby(["condition", "time"]).rate.mean().compute()  # doctest: +SKIP
    """
    conditions = (by,) if isinstance(by, str) else tuple(by or ())
    question = Question(align, window_bins(window, bin_size), conditions, tuple(unit_columns))
    units = narrowed(units, question.columns_of_units(list(units.columns)), "units")
    trials = narrowed(trials, question.columns_of_trials(list(trials.columns)), "trials")
    if not isinstance(units, dd.DataFrame):
        if isinstance(trials, dd.DataFrame):
            raise TypeError("trials must be in memory, as the units are: pass trials.compute()")
        return session_rates(units, trials, question=question)
    lazy_trials = dd.from_pandas(trials, npartitions=1, sort=False) if isinstance(trials, pd.DataFrame) else trials
    first, *others = pair_sessions(units, lazy_trials, "trials")
    meta = session_rates(meta_of(first), meta_of(others[0]), question=question)
    rates: dd.DataFrame = first.map_partitions(
        session_rates, *others, question=question, meta=meta, align_dataframes=False, clear_divisions=True
    )
    return rates


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every session."""

    align: str
    """The column of trials with the time of the event."""
    bins: Bins
    """Relative to the event."""
    by: tuple[str, ...]
    """The columns of trials that make conditions."""
    unit_columns: tuple[str, ...]
    """The columns of units that are carried along."""

    def __post_init__(self) -> None:
        """Refuse columns that would be there twice."""
        named = [SESSION, *_RESULTS, *self.by, *self.unit_columns]
        twice = sorted({name for name in named if named.count(name) > 1})
        if twice:
            raise ValueError(f"the result would have two columns {', '.join(map(repr, twice))}: rename one of each")

    def columns_of_units(self, there: Sequence[str]) -> list[str]:
        """Return what is needed of a frame of units with these columns."""
        optional = [name for name in (SESSION, ID, OBS_INTERVALS) if name in there]
        return [*optional, SPIKE_TIMES, *self.unit_columns]

    def columns_of_trials(self, there: Sequence[str]) -> list[str]:
        """Return what is needed of a frame of trials with these columns."""
        return [*(name for name in (SESSION,) if name in there), self.align, *self.by]


def session_rates(
    units: pd.DataFrame, trials: pd.DataFrame, planned: pd.DataFrame | None = None, *, question: Question
) -> pd.DataFrame:
    """Return the rows of `psth` for the units of one or more whole sessions: what a task does.

    Parameters
    ----------
    units, trials : pd.DataFrame
        The columns that the question needs.
    planned : pd.DataFrame, optional
        Of `pair_sessions`: the sessions that should be there.
    question : Question
        What is asked.
    """
    check_planned(units, trials, planned, "trials")
    events = event_times(trials[question.align])
    parts = list(_parts(units, trials, events, question))
    n_bins = question.bins.count
    columns = {
        "count": np.concatenate([part.counts for part in parts]).ravel(),
        "n_trials": np.concatenate([part.n_trials for part in parts]).ravel(),
        "n_without_event": np.repeat(np.concatenate([part.n_without_event for part in parts]), n_bins),
    }
    unit_rows = np.repeat(np.concatenate([part.units for part in parts]), n_bins)
    trial_rows = np.repeat(np.concatenate([part.trials for part in parts]), n_bins)
    labels = {SESSION: _rows(units[SESSION], unit_rows)} if SESSION in units else {}
    labels |= {"unit": _rows(unit_labels(units).to_series(), unit_rows)}
    labels |= {name: _rows(units[name], unit_rows) for name in question.unit_columns}
    labels |= {name: _rows(trials[name], trial_rows) for name in question.by}
    seconds = columns["n_trials"] * question.bins.size
    rate = np.full(len(seconds), np.nan)
    np.divide(columns["count"], seconds, out=rate, where=seconds > 0)
    time = np.tile(question.bins.centres, len(seconds) // n_bins)
    rates = pd.DataFrame({**labels, "time": time, **columns, "rate": rate})
    return rates[[*labels, *_RESULTS[1:]]]


def _rows(column: pd.Series[Any], rows: Positions) -> pd.Series[Any]:
    """Return rows of a column, numbered anew; a Series, since pandas infers another dtype for an array of objects."""
    return column.iloc[rows].reset_index(drop=True)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Answer for some units and conditions; one row for each pair of both."""

    units: Positions
    """Row of the unit in its frame."""
    trials: Positions
    """Row of the condition's first trial in its frame."""
    counts: npt.NDArray[np.int64]
    """Shape (rows, n_bins)."""
    n_trials: npt.NDArray[np.int64]
    """Shape (rows, n_bins)."""
    n_without_event: npt.NDArray[np.int64]
    """Shape (rows,)."""


def _parts(
    units: pd.DataFrame, trials: pd.DataFrame, events: npt.NDArray[np.float64], question: Question
) -> Iterator[_Part]:
    n_bins = question.bins.count
    nothing, no_counts = np.empty(0, np.int64), np.empty((0, n_bins), np.int64)
    # So that there is something to concatenate, of the right dtypes.
    yield _Part(np.empty(0, np.intp), np.empty(0, np.intp), no_counts, no_counts, nothing)
    parts = units_of(units)
    for unit_rows, trial_rows in rows_by_session(units, trials, "trials"):
        condition, firsts = _conditions(trials.iloc[trial_rows], question.by)
        times = events[trial_rows]
        without = np.bincount(condition[np.isnan(times)], minlength=len(firsts)).astype(np.int64)
        observer = Observer(times, question.bins)
        counted: npt.NDArray[np.bool_] | None = None
        for row in unit_rows if len(firsts) else ():
            observed = observer.observed(parts[row])
            if observed is not counted:
                n_trials = np.array([observed[condition == one].sum(axis=0) for one in range(len(firsts))], np.int64)
                counted = observed
            counts = np.zeros((len(firsts), n_bins), np.int64)
            for trial, number in spikes_around(parts[row].spike_times, times, question.bins):
                seen = observed[trial, number]
                flat = condition[trial[seen]] * n_bins + number[seen]
                counts += np.bincount(flat, minlength=counts.size).reshape(counts.shape)
            yield _Part(np.full(len(firsts), row, np.intp), trial_rows[firsts], counts, n_trials, without)


def _conditions(trials: pd.DataFrame, by: tuple[str, ...]) -> tuple[Positions, Positions]:
    """Return the condition of each trial, numbered in sorted order, and the first trial of each condition."""
    if not by:
        return np.zeros(len(trials), np.intp), np.arange(min(len(trials), 1))
    numbers = trials.groupby(list(by), dropna=False, observed=True, sort=True).ngroup().to_numpy(np.intp)
    _, firsts, condition = np.unique(numbers, return_index=True, return_inverse=True)
    return condition, firsts
