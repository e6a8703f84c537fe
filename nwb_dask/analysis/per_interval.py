"""Spikes of each unit in each interval, one by one: a row for every pair of the two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa

from nwb_dask.analysis.frames import (
    INTERVAL_ROW,
    UNIT_ROW,
    AnyFrame,
    Counts,
    Frame,
    Lists,
    Rows,
    arrow_column,
    built,
    length,
    list_rows,
    names_of,
    require_frame,
    row_numbers,
    taken,
)
from nwb_dask.analysis.intervals import Intervals, as_intervals, covers
from nwb_dask.analysis.pairing import rows_by_session
from nwb_dask.analysis.spans import START_STOP, Bounds, Expression, Span, Times, columns_of_spans, evaluated, make_spans
from nwb_dask.analysis.units import OBS_INTERVALS, SESSION, SPIKE_TIMES, Unit, require_columns, units_of

Layout = Literal["lists", "counts", "long"]

_NO_ROWS: Rows = np.empty(0, np.intp)
_VALUE = {"lists": SPIKE_TIMES, "counts": "n_spikes", "long": "spike_time"}


def spikes_per_interval(
    units: AnyFrame,
    intervals: AnyFrame | npt.ArrayLike,
    *,
    bounds: Bounds | Mapping[str, Bounds] = START_STOP,
    align_to: Expression | None = None,
    window: tuple[float, float] | None = None,
    layout: Layout = "lists",
    mask_unobserved: bool = True,
    columns: Sequence[str] = (),
    interval_columns: Sequence[str] = (),
) -> AnyFrame:
    """Spikes of each unit in each interval of its session; unlike `spikes_in_intervals`, one row for each pair.

    A spike at t is in an interval if ``start <= t < stop``. Where intervals overlap it is in each of them.

    Parameters
    ----------
    units : pandas or polars DataFrame, or Arrow table
        With ``spike_times``, and ``obs_intervals`` where it matters. Rows belong to the session in ``_nwb_path``, and
        are called by their ``_table_index`` or, without one, by their number. Spikes need not be sorted.
    intervals : a frame of the same kind, or array_like of shape (n, 2)
        Trials, epochs ... An array holds for every session.
    bounds : (start, stop), or mapping of str to such pairs
        Names of columns of the intervals, or polars expressions over them, in seconds:
        ``(pl.col("go") - 0.5, pl.col("go"))``. An expression sees the rows of one session. A mapping gives several
        intervals for each row, and names the column of each.
    align_to : str or polars expression, optional
        What spike times are relative to; absolute by default.
    window : (float, float), optional
        In place of `bounds`: start and stop in seconds relative to `align_to`. A spike within rounding error (some
        1e-12 s) of an end is on the end, as for `peri_event_counts`.
    layout : {"lists", "counts", "long"}
        A list of spike times in each row; their number; or one row per spike.
    mask_unobserved : bool
        Whether an interval during which the unit was not observed all the time is null.
    columns, interval_columns : sequence of str
        Columns of the units and of the intervals to have beside.

    Returns
    -------
    DataFrame or Table
        Of the kind of `units`: `columns`, `interval_columns`, the values (``spike_times``, ``n_spikes`` or
        ``spike_time``, or the names in `bounds`), ``_nwb_path`` where the frames have it, ``_units_table_index`` and
        ``_intervals_table_index``. Units come in their order, and for each the intervals in theirs. Null, and neither 0
        nor empty, is what is not known: the unit has no spike times, a bound or `align_to` is null or NaN, or the unit
        was not observed from start to stop. The long layout has no rows for it, as for silence: it cannot tell them
        apart.

    Raises
    ------
    ValueError
        If only one frame has ``_nwb_path``, a column is in both, or arguments contradict each other.
    TypeError
        If the frames are of different kinds or lazy.
    PathNotFoundError
        If a column is missing.
    """
    require_frame(units, "units")
    # It is there anyway.
    columns = [name for name in columns if name != SESSION]
    others = _same_kind(units, intervals)
    require_columns(names_of(units), [SPIKE_TIMES, *columns], "units")
    require_columns(names_of(others), interval_columns, "intervals")
    if layout not in _VALUE:
        raise ValueError(f"layout={layout!r} is none of {', '.join(map(repr, _VALUE))}")
    spans = make_spans(bounds, align_to, window, _VALUE[layout])
    if layout == "long" and len(spans) > 1:
        raise ValueError("layout='long' has one column of spike times; ask for each of the bounds by itself")
    _check_names(columns, interval_columns, [span.name for span in spans])
    parts = _units(units)
    matched: list[_Matched] = _matched(units, others, spans, is_everywhere=not isinstance(intervals, type(units)))
    cut: dict[str, Lists] = {
        span.name: _cut(parts, matched, number, mask=mask_unobserved, counts_only=layout == "counts")
        for number, span in enumerate(spans)
    }
    unit_rows = np.repeat(np.arange(len(parts)), [len(one.rows) for one in matched])
    interval_rows = np.concatenate([_NO_ROWS, *(one.rows for one in matched)])
    values: dict[str, object] = dict(cut)
    if layout == "counts":
        values = {name: Counts(lists.counts, lists.is_known) for name, lists in cut.items()}
    elif layout == "long":
        ((name, lists),) = cut.items()
        unit_rows, interval_rows = np.repeat(unit_rows, lists.counts), np.repeat(interval_rows, lists.counts)
        values = {name: lists.values}
    beside = {name: taken(units, name, unit_rows) for name in columns}
    beside |= {name: taken(others, name, interval_rows) for name in interval_columns}
    session = {SESSION: taken(units, SESSION, unit_rows)} if SESSION in names_of(units) else {}
    numbers = {UNIT_ROW: row_numbers(units)[unit_rows], INTERVAL_ROW: row_numbers(others)[interval_rows]}
    rows: AnyFrame = built(units, beside | values | session | numbers)
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class _Matched:
    """Intervals of one session."""

    rows: Rows
    times: tuple[Times, ...]
    """One for each span."""


def _matched(units: Frame, others: Frame, spans: Sequence[Span], *, is_everywhere: bool) -> list[_Matched]:
    """Return, for each unit, the intervals of its session."""
    sessions, other_sessions = _sessions(units), _sessions(others)
    frame = columns_of_spans(others, spans)
    if is_everywhere:
        pairs: Iterable[tuple[Rows, Rows]] = [(np.arange(len(sessions)), np.arange(len(other_sessions)))]
    else:
        pairs = rows_by_session(sessions, other_sessions, "intervals")
    found: dict[int, _Matched] = {}
    for unit_rows, rows in pairs:
        one = _Matched(rows, tuple(evaluated(frame, span, rows) for span in spans))
        found.update(dict.fromkeys(unit_rows.tolist(), one))
    return [found[row] for row in range(len(sessions))]


def _sessions(frame: Frame) -> pd.DataFrame:
    """Return the frame without its columns, but for the session."""
    named = {SESSION: arrow_column(frame, SESSION).to_pandas()} if SESSION in names_of(frame) else {}
    return pd.DataFrame(named, index=range(length(frame)))


def _same_kind(units: AnyFrame, intervals: AnyFrame | npt.ArrayLike) -> AnyFrame:
    if isinstance(intervals, type(units)):
        given: AnyFrame = intervals
        return given
    if isinstance(intervals, pd.DataFrame | pl.DataFrame | pl.LazyFrame | pa.Table):
        kinds = f"{type(units).__name__} of {type(units).__module__.partition('.')[0]}"
        raise TypeError(f"intervals must be a frame of the kind of units, a {kinds}, not {type(intervals)}")
    array = as_intervals(intervals)
    made: AnyFrame = built(units, {"start_time": array[:, 0], "stop_time": array[:, 1]})
    return made


def _check_names(columns: Sequence[str], interval_columns: Sequence[str], values: Sequence[str]) -> None:
    names = [*columns, *interval_columns, *values, SESSION, UNIT_ROW, INTERVAL_ROW]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"the result would have {', '.join(map(repr, twice))} twice; leave it out, or rename it")


def _units(units: Frame) -> list[Unit]:
    if isinstance(units, pd.DataFrame):
        return units_of(units)
    names = [name for name in (SPIKE_TIMES, OBS_INTERVALS) if name in names_of(units)]
    return units_of(pd.DataFrame({name: list_rows(units, name) for name in names}))


def _cut(parts: Sequence[Unit], matched: Sequence[_Matched], number: int, *, mask: bool, counts_only: bool) -> Lists:
    """Return the spikes of each unit in each interval of its session."""
    values: list[npt.NDArray[np.float64]] = [np.empty(0)]
    counts: list[Rows] = [_NO_ROWS]
    known: list[npt.NDArray[np.bool_]] = [np.empty(0, np.bool_)]
    last: tuple[Times, Intervals, npt.NDArray[np.bool_]] | None = None
    for unit, one in zip(parts, matched, strict=True):
        times = one.times[number]
        # Units of a session mostly share their intervals.
        if last is None or last[0] is not times or not np.array_equal(last[1], unit.observed):
            last = (times, unit.observed, _observed(times, unit))
        are_known = last[2] if mask else times.are_known & unit.has_spike_times
        spikes = unit.spike_times
        first = np.searchsorted(spikes, times.starts - times.tolerance)
        n_spikes = np.maximum(np.searchsorted(spikes, times.stops - times.tolerance) - first, 0)
        n_spikes[~are_known] = 0
        counts.append(n_spikes)
        known.append(are_known)
        if not counts_only:
            places = np.repeat(first - np.cumsum(n_spikes) + n_spikes, n_spikes) + np.arange(n_spikes.sum())
            values.append(spikes[places] - np.repeat(times.align, n_spikes))
    return Lists(np.concatenate(values), np.concatenate(counts), np.concatenate(known))


def _observed(times: Times, unit: Unit) -> npt.NDArray[np.bool_]:
    if unit.is_always_observed:
        return times.are_known
    return times.are_known & covers(unit.observed, times.starts, times.stops, tolerance=times.tolerance)
