"""`raster`: spikes as ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import dask
import dask.dataframe as dd
import numpy as np
import numpy.typing as npt
import pandas as pd

from nwb_dask.analysis.units import ID, SESSION, SPIKE_TIMES, require_columns, spike_rows, unit_labels
from nwb_dask.plot.axes import Labels, axes_or_new, colors, grouped, legend, name_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats: TypeAlias = npt.NDArray[np.float64]
SpikesInMemory: TypeAlias = "pd.DataFrame | pd.Series[Any] | Sequence[npt.ArrayLike]"
Spikes: TypeAlias = "dd.DataFrame | SpikesInMemory"

_HEIGHT = 0.8
"""Of a tick, where rows are 1 apart."""


def raster(
    units_or_spikes: Spikes,
    *,
    start_time: float | None = None,
    stop_time: float | None = None,
    by: str | Labels | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw each spike as a tick, in one row for each unit or trial, and return the axes.

    Parameters
    ----------
    units_or_spikes : DataFrame of pandas or Dask, Series, or sequence of array_like
        A table of units of one session, with the ragged column ``spike_times`` in seconds; of a Dask DataFrame only
        the columns that matter are computed, and only the spikes between the two times leave the worker. A Series of
        spike times is of units too. A list has the spikes of one trial after the other, in seconds from the event. A
        row that is null has no ticks.
    start_time, stop_time : float, optional
        Draw spikes at ``start_time <= t < stop_time`` only.
    by : str, or one value for each row
        A column of the table, or the values themselves, such as the condition of each trial: rows of one value stand
        together in one colour, in the order of the values, those without a value last.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        With one line for each group, whose ticks are parted by NaN; the first row is the lowest, at 0.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    PathNotFoundError
        If the table has no ``spike_times``, or no column `by`.
    ValueError
        If the units are of several sessions, whose clocks have nothing to do with each other, or `by` has not one value
        for each row.
    """
    rows = _rows(units_or_spikes, start_time, stop_time, by)
    axes = axes_or_new(ax)
    groups = grouped(rows.groups, len(rows.spikes))
    order = np.concatenate([members for _, members in groups]) if groups else np.empty(0, np.intp)
    first = 0
    for color, (name, members) in zip(colors(len(groups)), groups, strict=True):
        x, y = _ticks([rows.spikes[row] for row in members], first)
        axes.plot(x, y, color=color, linewidth=0.8, solid_capstyle="butt", label=name or None)
        first += len(members)
    is_table = isinstance(units_or_spikes, pd.DataFrame | pd.Series | dd.DataFrame)
    axes.set(xlabel="time [s]" if is_table else "time from the event [s]", ylabel="unit" if is_table else "trial")
    name_rows(axes, np.arange(len(order)), rows.labels[order])
    axes.set_ylim(-0.5, max(len(order), 1) - 0.5)
    axes.set_xlim(left=start_time, right=stop_time)
    if by is not None and groups:
        legend(axes, by, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return axes


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows of a raster, in the order of the table."""

    spikes: list[Floats]
    """Seconds, of each row."""
    labels: npt.NDArray[Any]
    """What the rows are called."""
    groups: Labels | None
    """What makes groups of them."""
    sessions: frozenset[object]
    """All that they are of."""


def _rows(units: Spikes, start_time: float | None, stop_time: float | None, by: str | Labels | None) -> _Rows:
    column = by if isinstance(by, str) else None
    if isinstance(units, pd.DataFrame | dd.DataFrame):
        named = [SPIKE_TIMES, *([] if column is None else [column])]
        require_columns(units.columns, named, "units")
        units = units[[name for name in units.columns if name in {*named, ID, SESSION}]]
    elif column is not None:
        raise ValueError(f"by={column!r} is a column of a table, and the spikes are none; give one value for each row")
    if isinstance(units, dd.DataFrame):
        cut = dask.delayed(_cut)
        parts = list(dask.compute(*(cut(part, start_time, stop_time, column) for part in units.to_delayed())))
    else:
        parts = [_cut(units, start_time, stop_time, column)]
    sessions = frozenset[object]().union(*(part.sessions for part in parts))
    if len(sessions) > 1:
        raise ValueError(
            f"the units are of {len(sessions)} sessions, each with a clock of its own; "
            f"take one of them, units[units.{SESSION} == ...]"
        )
    spikes = [row for part in parts for row in part.spikes]
    groups = pd.concat([pd.Series(part.groups) for part in parts]) if column is not None else by
    if groups is not None and len(groups) != len(spikes):
        raise ValueError(f"by has {len(groups)} values, and there are {len(spikes)} rows")
    return _Rows(spikes, np.concatenate([part.labels for part in parts]), groups, sessions)


def _cut(units: SpikesInMemory, start_time: float | None, stop_time: float | None, column: str | None) -> _Rows:
    """Return the rows of a table, with the spikes between the two times; runs where the table is read."""
    first = -math.inf if start_time is None else start_time
    last = math.inf if stop_time is None else stop_time
    spikes = [np.empty(0) if row is None else row[(row >= first) & (row < last)] for row in spike_rows(units)]
    labels = np.asarray(unit_labels(units))
    if not isinstance(units, pd.DataFrame):
        return _Rows(spikes, labels, None, frozenset())
    sessions = frozenset(units[SESSION].unique()) if SESSION in units else frozenset()
    return _Rows(spikes, labels, None if column is None else units[column], sessions)


def _ticks(spikes: Sequence[Floats], first: int) -> tuple[Floats, Floats]:
    """Return the corners of a tick for each spike, parted by NaN; the rows are at `first` and up."""
    times = np.concatenate([np.empty(0), *spikes])
    rows = np.repeat(np.arange(first, first + len(spikes)), [len(row) for row in spikes])
    gaps = np.full(len(times), np.nan)
    x = np.column_stack([times, times, gaps]).ravel()
    y = np.column_stack([rows - _HEIGHT / 2, rows + _HEIGHT / 2, gaps]).ravel()
    return x, y
