"""Spikes in intervals, and whether units were observed in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import polars as pl

from nwb_dask.analysis import covers
from nwb_dask.compat.lazynwb.settings import resolve_as_polars
from nwb_dask.compat.lazynwb.tables import (
    INTERVALS_TABLE_INDEX_COLUMN_NAME,
    UNITS_TABLE_INDEX_COLUMN_NAME,
    FrameType,
    as_pandas,
    get_df,
    merge_array_column,
)
from nwb_dask.compat.lazynwb.utils import absolute_path
from nwb_dask.errors import PathNotFoundError
from nwb_dask.model import NWB_PATH, TABLE_INDEX, TABLE_PATH

AnyFrame = pl.DataFrame | pl.LazyFrame | pd.DataFrame
_UNITS, _INTERVALS, _OBSERVED = UNITS_TABLE_INDEX_COLUMN_NAME, INTERVALS_TABLE_INDEX_COLUMN_NAME, "obs_intervals"


def insert_is_observed(
    intervals_frame: AnyFrame, units_frame: AnyFrame | None = None, col_name: str = "is_observed"
) -> pl.DataFrame | pl.LazyFrame:
    """Return intervals of units with a column that says whether the unit was observed for the whole of each.

    Parameters
    ----------
    intervals_frame : polars or pandas frame
        With ``start_time`` and ``stop_time`` in seconds, ``_units_table_index`` and ``_nwb_path``.
    units_frame : polars or pandas frame, optional
        The units, with ``obs_intervals``; by default they are read. A unit without intervals counts as observed.
    col_name : str
        Name of the new column.

    Returns
    -------
    polars.DataFrame, or LazyFrame if `intervals_frame` is one
        All rows of `intervals_frame`, in its order. Units are told apart by file and row.

    Raises
    ------
    PathNotFoundError
        If a column is missing; a `KeyError`.
    ValueError
        If a unit of the intervals is not among the units.
    """
    intervals = _in_memory(intervals_frame)
    _require(intervals, "intervals_frame", "start_time", "stop_time", _UNITS, NWB_PATH)
    units = _units_of(intervals) if units_frame is None else _in_memory(units_frame)
    units = units.rename({TABLE_INDEX: _UNITS}, strict=False) if _UNITS not in units.columns else units
    _require(units, "units_frame", _OBSERVED, _UNITS, NWB_PATH)
    spans = _observed_spans(units)
    flags = np.ones(intervals.height, np.bool_)
    keys = list(zip(intervals[NWB_PATH].to_list(), intervals[_UNITS].to_list(), strict=True))
    if set(keys) - set(spans):
        raise ValueError("units frame does not contain all unique units in intervals frame")
    starts = intervals["start_time"].cast(pl.Float64).to_numpy()
    stops = intervals["stop_time"].cast(pl.Float64).to_numpy()
    rows: dict[tuple[str, int], list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    for key, places in rows.items():
        if len(spans[key]):
            flags[places] = covers(spans[key], starts[places], stops[places])
    found = intervals.with_columns(pl.Series(col_name, flags))
    return found.lazy() if isinstance(intervals_frame, pl.LazyFrame) else found


def get_spike_times_in_intervals(
    filtered_units_df: FrameType,
    intervals: Mapping[str, tuple[pl.Expr, pl.Expr]],
    intervals_df: str | FrameType = "/intervals/trials",
    intervals_df_filter: str | pl.Expr | None = None,
    apply_obs_intervals: bool = True,
    as_counts: bool = False,
    keep_only_necessary_cols: bool = False,
    use_process_pool: bool = True,
    disable_progress: bool = False,
    as_polars: bool | None = None,
    align_times: bool = False,
) -> pd.DataFrame | pl.DataFrame:
    """Return the spike times of units in intervals of each trial: one row per unit and trial.

    Parameters
    ----------
    filtered_units_df : polars or pandas frame
        Rows of ``/units``, of one or many files.
    intervals : mapping of str to (expression, expression)
        New column -> start and stop, in seconds, as expressions over the table of intervals; half-open.
    intervals_df : str or frame
        Path of the table of intervals, or rows of it: of a frame each file's own rows count.
    intervals_df_filter : str or polars expression, optional
        Keeps intervals; text as for ``DataFrame.query``.
    apply_obs_intervals : bool
        Add ``is_observed``, and make values null where the unit was not observed from ``start_time`` to ``stop_time``.
    as_counts, align_times : bool
        Numbers of spikes; or times that count from the ``start_time`` of the interval.
    keep_only_necessary_cols : bool
        Leave out the columns of units and intervals.
    as_polars : bool, optional
        What to return; by default ``config.use_polars``.
    use_process_pool, disable_progress
        Without effect.

    Returns
    -------
    pandas.DataFrame or polars.DataFrame
        Units in the order given, and trials in that of the file. What fails is an error, never a file left out.

    Raises
    ------
    ValueError
        For `as_counts` together with `align_times`.
    PathNotFoundError
        If there are no spike times, or with `apply_obs_intervals` no ``obs_intervals``; a `KeyError`.
    """
    if align_times and as_counts:
        raise ValueError("Cannot use `align_times` and `as_counts` at the same time: please choose one")
    units = _in_memory(filtered_units_df)
    _require(units, "filtered_units_df", NWB_PATH, TABLE_PATH, TABLE_INDEX)
    how = _How(dict(intervals), as_counts=as_counts, align_times=align_times)
    parts = []
    for (path,), rows in units.group_by(NWB_PATH, maintain_order=True):
        trials = _trials(str(path), intervals_df, intervals_df_filter)
        keys = rows.select(NWB_PATH, TABLE_PATH, TABLE_INDEX)
        found = how.spikes(merge_array_column(keys, "spike_times", missing_ok=False), trials)
        if apply_obs_intervals:
            timed = found.join(
                trials.select(_INTERVALS, "start_time", "stop_time"), on=_INTERVALS, maintain_order="left"
            )
            observed = insert_is_observed(timed, merge_array_column(keys, _OBSERVED, missing_ok=False))
            flags = observed.lazy().collect()["is_observed"]
            found = found.with_columns(
                flags, *(pl.when(flags).then(pl.col(name)).otherwise(None).alias(name) for name in how.intervals)
            )
        parts.append(found if keep_only_necessary_cols else _joined(found, trials, rows))
    result = pl.concat(parts, how="diagonal_relaxed")
    if keep_only_necessary_cols:
        result = result.drop("is_observed", strict=False)
    return result if resolve_as_polars(as_polars) else as_pandas(result)


@dataclass(frozen=True, slots=True)
class _How:
    """What becomes of the spikes."""

    intervals: Mapping[str, tuple[pl.Expr, pl.Expr]]
    as_counts: bool
    align_times: bool

    def spikes(self, units: pl.DataFrame, trials: pl.DataFrame) -> pl.DataFrame:
        """Return one row per unit and trial, with a column for each of `intervals`."""
        n_units, n_trials = units.height, trials.height
        columns: dict[str, pl.Series] = {}
        times = [np.asarray(row if row is not None else (), np.float64) for row in units["spike_times"].to_list()]
        starts = trials["start_time"].to_numpy() if self.align_times else np.zeros(n_trials)
        for name, bounds in self.intervals.items():
            wanted = trials.select(start=bounds[0], stop=bounds[1]).cast(pl.Float64).to_numpy()
            rows = [self._one(one, span, start) for one in times for span, start in zip(wanted, starts, strict=True)]
            columns[name] = pl.Series(name, rows, dtype=pl.Int64 if self.as_counts else pl.List(pl.Float64))
        of_units = np.repeat(np.arange(n_units), n_trials)
        return pl.DataFrame(
            {
                _UNITS: units[TABLE_INDEX].gather(of_units),
                _INTERVALS: trials[_INTERVALS].gather(np.tile(np.arange(n_trials), n_units)),
                NWB_PATH: units[NWB_PATH].gather(of_units),
                **columns,
            }
        )

    def _one(self, times: np.ndarray, span: np.ndarray, start: float) -> object:
        kept = times[(times >= span[0]) & (times < span[1])]
        return len(kept) if self.as_counts else (kept - start).tolist()


def _trials(path: str, table: object, wanted: str | pl.Expr | None) -> pl.DataFrame:
    """Return the intervals of one file."""
    rows = None
    if isinstance(table, str):
        name = table
    else:
        assert isinstance(table, AnyFrame)  # noqa: S101  # the signature says so
        own = _in_memory(table).filter(pl.col(NWB_PATH) == path)
        rows = own[TABLE_INDEX].to_list()
        names = own[TABLE_PATH].unique().to_list()
        if len(names) != 1:
            raise ValueError(f"intervals of {path} are of {len(names)} tables; give those of one")
        name = absolute_path(names[0])
    frame = get_df(path, name, as_polars=isinstance(wanted, pl.Expr) or wanted is None)
    if isinstance(frame, pd.DataFrame):
        frame = pl.from_pandas(frame.query(str(wanted)))
    elif isinstance(wanted, pl.Expr):
        frame = frame.filter(wanted)
    frame = frame.filter(pl.col(TABLE_INDEX).is_in(rows)) if rows is not None else frame
    return frame.rename({TABLE_INDEX: _INTERVALS})


def _joined(found: pl.DataFrame, trials: pl.DataFrame, units: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with the columns of their interval and of their unit."""
    joined = found.join(trials.drop(NWB_PATH, TABLE_PATH), on=_INTERVALS, maintain_order="left")
    own = units.rename({TABLE_INDEX: _UNITS}).drop(TABLE_PATH).cast({_UNITS: found[_UNITS].dtype})
    return joined.join(own, on=[_UNITS, NWB_PATH], maintain_order="left")


def _units_of(intervals: pl.DataFrame) -> pl.DataFrame:
    paths = intervals[NWB_PATH].unique(maintain_order=True).to_list()
    units = get_df(paths, "/units", exact_path=True, include_column_names=["id"], as_polars=True)
    assert isinstance(units, pl.DataFrame)  # noqa: S101  # asked for
    return merge_array_column(units, _OBSERVED, missing_ok=False)


def _observed_spans(units: pl.DataFrame) -> dict[tuple[str, int], np.ndarray]:
    """Return the observed time of each unit; units may stand in several rows, one for each span."""
    found: dict[tuple[str, int], list[object]] = {}
    rows = zip(units[NWB_PATH].to_list(), units[_UNITS].to_list(), units[_OBSERVED].to_list(), strict=True)
    for path, unit, spans in rows:
        found.setdefault((path, unit), []).extend(_flat(spans))
    return {key: np.asarray(spans, np.float64).reshape(-1, 2) for key, spans in found.items()}


def _flat(spans: object) -> Iterable[object]:
    if spans is None:
        return ()
    listed = np.asarray(spans, np.float64)
    return listed.reshape(-1).tolist()


def _in_memory(frame: AnyFrame) -> pl.DataFrame:
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    return pl.from_pandas(frame) if isinstance(frame, pd.DataFrame) else frame


def _require(frame: pl.DataFrame, what: str, *names: str) -> None:
    absent = [name for name in names if name not in frame.columns]
    if absent:
        raise PathNotFoundError(f"{what} has no column {', '.join(map(repr, absent))}")
