"""`read_spike_times`: spikes of the units that pass a filter, in whole or in intervals.

The one place that knows both how tables are read (`adapters`) and what spikes in an interval are (`analysis`), which
know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, Unpack, overload

import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa

from nwb_dask.adapters.eager import Engine, read_table
from nwb_dask.analysis.frames import INTERVAL_ROW, ROW, Frame, arrow_column, without
from nwb_dask.analysis.intervals import ALWAYS
from nwb_dask.analysis.per_interval import Layout, spikes_per_interval
from nwb_dask.analysis.spans import START_STOP, Bounds, Expression, make_spans, names_of_spans
from nwb_dask.analysis.units import OBS_INTERVALS, SESSION, SPIKE_TIMES
from nwb_dask.errors import PathNotFoundError
from nwb_dask.plan.filters import Filters, also
from nwb_dask.read import check_choice, checked_names


class SpikeOptions(TypedDict, total=False):
    """Options of `read_spike_times`, described there."""

    filters: Filters | None
    columns: Sequence[str]
    intervals: str | Frame | pl.LazyFrame | npt.ArrayLike | None
    interval_filters: Filters | None
    interval_columns: Sequence[str]
    bounds: Bounds | Mapping[str, Bounds]
    align_to: Expression | None
    window: tuple[float, float] | None
    layout: Layout
    mask_unobserved: bool
    table: str
    storage_options: Mapping[str, object] | None
    missing_table: Literal["skip", "raise"]
    errors: Literal["raise", "skip"]


@overload
def read_spike_times(
    source: object, engine: Literal["pandas"] = ..., **options: Unpack[SpikeOptions]
) -> pd.DataFrame: ...
@overload
def read_spike_times(source: object, engine: Literal["polars"], **options: Unpack[SpikeOptions]) -> pl.DataFrame: ...
@overload
def read_spike_times(source: object, engine: Literal["arrow"], **options: Unpack[SpikeOptions]) -> pa.Table: ...
def read_spike_times(
    source: object,
    engine: Engine = "pandas",
    *,
    filters: Filters | None = None,
    columns: Sequence[str] = (),
    intervals: str | Frame | pl.LazyFrame | npt.ArrayLike | None = None,
    interval_filters: Filters | None = None,
    interval_columns: Sequence[str] = (),
    bounds: Bounds | Mapping[str, Bounds] = START_STOP,
    align_to: Expression | None = None,
    window: tuple[float, float] | None = None,
    layout: Layout = "lists",
    mask_unobserved: bool = True,
    table: str = "/units",
    storage_options: Mapping[str, object] | None = None,
    missing_table: Literal["skip", "raise"] = "skip",
    errors: Literal["raise", "skip"] = "raise",
) -> pd.DataFrame | pl.DataFrame | pa.Table:
    """Return spike times of the units that pass a filter: all of them, or those in each of some intervals.

    The columns of the filters are read first, and spike times only of the units that are left; of intervals only the
    columns that are named.

    Parameters
    ----------
    source : path, URL, list of them, glob, folder or Catalog
        Which files.
    engine : {"pandas", "polars", "arrow"}
        What to return. Filters have the semantics of that engine for NaN and null.
    filters : optional
        Which units, as for `read_table`: ``[("quality", "==", "good"), ("location", "==", "CA1")]``.
    columns : sequence of str
        Columns of the units to have beside.
    intervals : str, frame of the engine, polars LazyFrame, or array_like of shape (n, 2), optional
        Path of a table of intervals, ``"/intervals/trials"``; such a table with ``_nwb_path``; or start and stop of
        each in seconds, for every session. One row for each unit and interval of its session is returned.
    interval_filters : optional
        Which rows of the table at that path.
    interval_columns : sequence of str
        Columns of the intervals to have beside.
    bounds : (start, stop), or mapping of str to such pairs
        Columns of the intervals, or polars expressions over them, that say from when to when, in seconds; by default
        ``start_time`` and ``stop_time``. An expression sees the rows of one session. A mapping gives several
        intervals for each row, and names the column of each: ``{"before": (pl.col("go") - 1, "go"), "after": ...}``.
    align_to : str or polars expression, optional
        What spike times are relative to; by default absolute.
    window : (float, float), optional
        In place of `bounds`: start and stop in seconds relative to `align_to`.
    layout : {"lists", "counts", "long"}
        A list of spike times in each row; their number; or one row per spike.
    mask_unobserved : bool
        Whether intervals during which a unit was not observed are null, as its ``obs_intervals`` say.
    table : str
        Path of the table of units.
    storage_options : mapping, optional
        Credentials and endpoints, by the names of s3fs or obstore.
    missing_table : {"skip", "raise"}
        A file without units, or without intervals: no rows, or an error. An error in any case if no file has them.
    errors : {"raise", "skip"}
        Files that are corrupt or missing: an error, or left out with one warning that lists them.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table
        `columns`, `interval_columns`, the spikes, ``_nwb_path``, ``_units_table_index`` and, with intervals,
        ``_intervals_table_index``: the rows of the tables that they belong to. The spikes are ``spike_times``, a sorted
        list of seconds; ``n_spikes``; or ``spike_time``, with one row per spike. Rows come in source order, units in
        theirs, and for each unit the intervals in theirs. Intervals are half-open, ``start <= t < stop``.

        Null, and neither 0 nor empty, is what is not known: a unit without spike times; a bound or `align_to` that is
        null or NaN; an interval that is not within the observed time of the unit from start to stop. The long layout
        has no rows for it, as for silence: it cannot tell them apart.

    Raises
    ------
    PathNotFoundError
        If no file has a table or a column.
    PredicateError
        If a filter has no meaning for its column.
    ValueError, TypeError
        If arguments contradict each other, bounds are no numbers, or a file is named twice.
    MalformedFileError, SourceUnavailableError
        If a file cannot be read.

    See Also
    --------
    nwb_dask.analysis.spikes_per_interval : The same on tables in memory.
    """
    check_choice("engine", engine, ("pandas", "polars", "arrow"))
    check_choice("layout", layout, ("lists", "counts", "long"))
    columns, interval_columns = checked_names("columns", columns), checked_names("interval_columns", interval_columns)
    common: dict[str, Any] = {"storage_options": storage_options, "missing_table": missing_table, "errors": errors}
    if intervals is None:
        if align_to is not None or bounds != START_STOP or interval_columns or interval_filters is not None:
            raise ValueError("bounds, align_to and options of intervals have no meaning without intervals=")
        units = read_table(source, table, engine, columns=[*columns, SPIKE_TIMES], filters=filters, **common)
        whole = spikes_per_interval(units, ALWAYS, layout=layout, mask_unobserved=False, columns=columns)
        return without(whole, INTERVAL_ROW)
    spans = make_spans(bounds, align_to, window, SPIKE_TIMES)
    units = _units(source, table, engine, columns, filters, is_masked=mask_unobserved, common=common)
    _require_once(units, table)
    if isinstance(intervals, str):
        mine = _of_sessions(units, interval_filters)
        wanted = list(dict.fromkeys([*interval_columns, *names_of_spans(spans)]))
        intervals = read_table(source, intervals, engine, columns=wanted, filters=mine, **common)
    elif interval_filters is not None:
        raise ValueError("interval_filters are for a table that is read: filter the intervals that are given")
    return spikes_per_interval(
        units,
        intervals.collect() if isinstance(intervals, pl.LazyFrame) else intervals,
        bounds=bounds,
        align_to=align_to,
        window=window,
        layout=layout,
        mask_unobserved=mask_unobserved,
        columns=columns,
        interval_columns=interval_columns,
    )


def _units(
    source: object,
    table: str,
    engine: Engine,
    columns: Sequence[str],
    filters: Filters | None,
    *,
    is_masked: bool,
    common: dict[str, Any],
) -> Any:  # noqa: ANN401  # a frame of the engine
    """Read the units with their spikes, and with their observed time if it matters and some file has it."""
    names = [*columns, SPIKE_TIMES]
    if is_masked:
        try:
            return read_table(source, table, engine, columns=[*names, OBS_INTERVALS], filters=filters, **common)
        except PathNotFoundError as error:
            if OBS_INTERVALS not in str(error):
                raise
    # Without intervals in any file units are observed always.
    return read_table(source, table, engine, columns=names, filters=filters, **common)


def _require_once(units: Frame, table: str) -> None:
    """Refuse units that are there twice: each would be given the intervals of both."""
    rows = pd.DataFrame({name: arrow_column(units, name).to_pandas() for name in (SESSION, ROW)})
    twice = rows[rows.duplicated()]
    if len(twice):
        raise ValueError(
            f"row {twice[ROW].iloc[0]} of {table} of {twice[SESSION].iloc[0]} is there twice: "
            f"name each file once, and one table of units"
        )


def _of_sessions(units: Frame, filters: Filters | None) -> Filters | None:
    """Return filters that leave out sessions of which no unit is left."""
    sessions = arrow_column(units, SESSION).unique().to_pylist()
    return also(filters, (SESSION, "in", sessions)) if sessions else filters
