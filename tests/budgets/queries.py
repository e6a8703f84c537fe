"""The questions that have a budget, asked through the public API only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

import nwb_dask
import nwb_dask.dataframe as dd
from tests.budgets.sessions import PICKED

ENGINES = ("pandas", "polars", "arrow", "dask")

Source = object


def chosen(engine: str, source: Source, column: str, filters: Any) -> list[npt.NDArray[Any]]:
    """Return what the rows that `filters` keep have in `column`, by one engine, planning included."""
    if engine == "dask":
        frame = dd.read_nwb(source, "/units")
        for name, _, value in filters:
            frame = frame[frame[name] == value]
        return as_arrays(frame[column].compute())
    if engine == "pandas":
        return as_arrays(nwb_dask.read_table(source, "/units", "pandas", columns=[column], filters=filters)[column])
    if engine == "polars":
        table = nwb_dask.read_table(source, "/units", "polars", columns=[column], filters=filters)
        return as_arrays(table[column].to_list())
    rows = nwb_dask.read_table(source, "/units", "arrow", columns=[column], filters=filters)
    return as_arrays(rows.column(column).to_pylist())


def as_arrays(rows: Iterable[Any]) -> list[npt.NDArray[Any]]:
    """Return each row as an array."""
    return [np.asarray(row) for row in rows]


def _picked(d: Any) -> Any:
    return d.shank == PICKED


def _at_least(d: Any) -> Any:
    return d[d.shank >= PICKED]


FORMS: dict[str, Callable[[Any], Any]] = {
    "df[p].x": lambda d: d[_picked(d)].spike_times,
    "df.x[p]": lambda d: d.spike_times[_picked(d)],
    "df[cols][p]": lambda d: d[["id", "spike_times"]][_picked(d)],
    "df.loc[p, cols]": lambda d: d.loc[_picked(d), ["spike_times"]],
    "df.query": lambda d: d.query(f"shank == {PICKED}").spike_times,
    "isin": lambda d: d[d.shank.isin([PICKED, -1])].spike_times,
    "between": lambda d: d.spike_times[d.shank.between(PICKED, PICKED)],
    "either way round": lambda d: d.spike_times[(d.shank > PICKED - 1) & ~(d.shank > PICKED)],
    "arithmetic": lambda d: d[d.shank * 2 == 2 * PICKED].spike_times,
    "one filter after the other": lambda d: _at_least(d[d.shank <= PICKED]).spike_times,
}
"""Ways to write the same filter; each takes a frame of units."""
