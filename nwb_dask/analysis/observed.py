"""`is_observed`: whether units were observed during intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from nwb_dask.analysis.frames import (
    ROW,
    UNIT_ROW,
    Frame,
    Rows,
    arrow_column,
    length,
    list_rows,
    names_of,
    require_frame,
)
from nwb_dask.analysis.intervals import covers
from nwb_dask.analysis.spans import START_STOP, Bounds, columns_of_spans, evaluated, make_spans
from nwb_dask.analysis.units import OBS_INTERVALS, SESSION, observed_time, require_columns


def is_observed(rows: Frame, units: Frame, *, bounds: Bounds = START_STOP) -> pd.Series[bool] | pl.Series | pa.Array:
    """Tell of each pair of unit and interval whether the unit was observed from start to stop.

    Parameters
    ----------
    rows : pandas or polars DataFrame, or Arrow table
        One row for each pair, with ``_units_table_index``, ``_nwb_path`` if there are several sessions, and the bounds.
    units : a frame of the same kind
        With ``obs_intervals``, ``_table_index`` (or ``_units_table_index``), and ``_nwb_path`` if `rows` has it. A unit
        whose ``obs_intervals`` are null is observed always, one whose list is empty never.
    bounds : (start, stop)
        Names of columns of `rows`, or polars expressions over them, in seconds. A null or NaN bound is not observed.

    Returns
    -------
    Series or Array of bool
        In the order of `rows`, of their kind.

    Raises
    ------
    ValueError
        If a unit of `rows` is not in `units`, or is there twice.
    PathNotFoundError
        If a column is missing.
    """
    require_frame(rows, "rows")
    if type(units) is not type(rows):
        raise TypeError(f"units must be of the kind of rows, {type(rows).__name__}, not {type(units).__name__}")
    require_columns(names_of(rows), [UNIT_ROW], "rows")
    require_columns(names_of(units), [OBS_INTERVALS], "units")
    owners = _owners(rows, units)
    (span,) = make_spans(bounds, None, None, "is_observed")
    everything = np.arange(len(owners))
    spans = evaluated(columns_of_spans(rows, [span]), span, everything)
    observed = np.zeros(len(owners), np.bool_)
    order = np.argsort(owners, kind="stable")
    ends = np.searchsorted(owners[order], np.arange(length(units) + 1) if length(units) else [0])
    for number, row in enumerate(list_rows(units, OBS_INTERVALS).array):
        mine = order[ends[number] : ends[number + 1]]
        observed[mine] = covers(observed_time(row), spans.starts[mine], spans.stops[mine])
    if isinstance(rows, pd.DataFrame):
        return pd.Series(observed, index=rows.index, name="is_observed")
    return pl.Series("is_observed", observed) if isinstance(rows, pl.DataFrame) else pa.array(observed)


def _owners(rows: Frame, units: Frame) -> Rows:
    """Return the position in `units` of the unit of each row."""
    has_session = SESSION in names_of(rows)
    if has_session:
        require_columns(names_of(units), [SESSION], "units")
    named = UNIT_ROW if UNIT_ROW in names_of(units) else ROW
    require_columns(names_of(units), [named], "units")
    keys = [
        _keys(frame, ([SESSION] if has_session else []) + [name]) for frame, name in ((rows, UNIT_ROW), (units, named))
    ]
    if keys[1].has_duplicates:
        raise ValueError(
            f"units have {keys[1][keys[1].duplicated()][0]} twice; units are told apart by session and row"
        )
    owners: Rows = keys[1].get_indexer(keys[0])
    if (owners < 0).any():
        raise ValueError(f"units lack the unit of {int((owners < 0).sum())} rows, first of {keys[0][owners < 0][0]}")
    return owners


def _keys(frame: Frame, names: Sequence[str]) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([arrow_column(frame, name).to_pandas() for name in names], names=list(names))
