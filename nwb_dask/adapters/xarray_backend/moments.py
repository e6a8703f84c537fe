"""What users name as moments and stretches of time: arrays, tables of trials, intervals of other libraries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.float64]

_MOMENTS = ("start_time", "timestamp", "timestamps", "time", "t")
_STRETCHES = (("start_time", "stop_time"), ("start", "end"))
"""NWB's own names; pynapple's."""


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Times of events, with what a table says of each."""

    times: Times
    """Seconds; NaN where an event did not happen."""
    columns: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """Other columns of the table, one value for each event."""
    labels: npt.NDArray[Any] | None = None
    """How the table labels its rows; None: by number."""


def as_moments(events: Any, column: str | None = None) -> Moments:  # noqa: ANN401  # whatever users have
    """Return the times of `events`.

    Parameters
    ----------
    events : array_like, pandas or polars DataFrame, pynapple Ts or IntervalSet
        Seconds, or a table with them.
    column : str, optional
        Column of a table; ``start_time``, ``timestamp`` or the like by default.

    Raises
    ------
    ValueError
        If a table has no such column, or the times are not one-dimensional.
    """
    table = _table(events)
    if table is None:
        if column is not None:
            raise ValueError(f"column={column!r} is of a table, and the events are {type(events).__name__}")
        return Moments(_times(getattr(events, "t", events)))
    names = list(table)
    chosen = next((name for name in (_MOMENTS if column is None else (column,)) if name in table), None)
    if chosen is None:
        wanted = " or ".join(map(repr, _MOMENTS[:2])) if column is None else repr(column)
        raise ValueError(f"the table of events has no column {wanted}; it has {', '.join(map(str, names))}")
    others = {name: values for name, values in table.items() if name != chosen and _is_plain(values)}
    index = getattr(events, "index", None)
    labels = None if index is None else np.asarray(index)
    return Moments(_times(table[chosen]), others, labels)


def as_stretches(intervals: Any) -> Times:  # noqa: ANN401  # whatever users have
    """Return intervals as an array of shape (n, 2), seconds, in their order.

    Parameters
    ----------
    intervals : array_like of shape (n, 2), pair, DataFrame or pynapple IntervalSet
        A table has the columns ``start_time`` and ``stop_time``, or ``start`` and ``end``.

    Raises
    ------
    ValueError
        If it is none of these, or an interval ends before it starts.
    """
    table = _table(intervals)
    if table is None:
        found = np.asarray(intervals, np.float64)
        found = found[np.newaxis] if found.shape == (2,) else found
    else:
        names = next((pair for pair in _STRETCHES if set(pair) <= set(table)), None)
        if names is None:
            raise ValueError(f"intervals have the columns start_time and stop_time, not {', '.join(map(str, table))}")
        found = np.column_stack([_times(table[name]) for name in names])
    if found.ndim != 2 or found.shape[1] != 2:  # noqa: PLR2004  # a start and a stop
        raise ValueError(f"intervals are pairs of a start and a stop, and these have the shape {found.shape}")
    if (found[:, 1] < found[:, 0]).any():
        worst = int(np.argmax(found[:, 1] < found[:, 0]))
        raise ValueError(f"interval {worst} ends at {found[worst, 1]} s, before it starts at {found[worst, 0]} s")
    return found


def _table(rows: Any) -> dict[str, npt.NDArray[Any]] | None:  # noqa: ANN401  # whatever users have
    """Return the columns of a table; None for what is none."""
    if isinstance(rows, Mapping):
        return {name: np.asarray(values) for name, values in rows.items()}
    columns = getattr(rows, "columns", None)
    if columns is None or not hasattr(rows, "__getitem__"):
        return None
    if hasattr(rows, "compute"):
        rows = rows.compute()
    return {name: np.asarray(rows[name]) for name in columns}


def _times(values: Sequence[float] | npt.NDArray[Any]) -> Times:
    found = np.asarray(values, np.float64)
    if found.ndim != 1:
        raise ValueError(f"times of events are one-dimensional, and these have the shape {found.shape}")
    return found


def _is_plain(values: npt.NDArray[Any]) -> bool:
    """Tell whether a column can be a coordinate: numbers and text, not lists."""
    return values.ndim == 1 and (values.dtype.kind != "O" or all(isinstance(one, str | None) for one in values))
