"""Spike times and observed time of each row of a table of units.

Ragged columns are met as pandas arrays whose elements are lists or numpy arrays: `nwb[...]`, Arrow lists or objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from dask.base import is_dask_collection
from pandas.api.extensions import ExtensionArray, ExtensionDtype

from nwb_dask.analysis.intervals import ALWAYS, NEVER, Intervals, as_intervals, merge_intervals
from nwb_dask.errors import PathNotFoundError

SPIKE_TIMES = "spike_times"
OBS_INTERVALS = "obs_intervals"
ID = "id"
SESSION = "_nwb_path"
"""The column that says which session a row belongs to."""

Units: TypeAlias = "pd.DataFrame | pd.Series[Any] | ExtensionArray | Sequence[npt.ArrayLike] | npt.NDArray[np.object_]"
"""A table of units, or the spike times of each unit."""


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """Spikes of one unit, and when they were looked for."""

    spike_times: npt.NDArray[np.float64]
    """Seconds, sorted, NaN last."""
    observed: Intervals
    """Sorted, with gaps between them; `ALWAYS` if nothing is known."""

    @property
    def is_always_observed(self) -> bool:
        """Whether no spike can have been missed."""
        return self.observed is ALWAYS

    @property
    def has_spike_times(self) -> bool:
        """Whether its file has spike times for it, if only an empty list."""
        return self.observed is not NEVER


def units_of(units: Units) -> list[Unit]:
    """Return the units of a table in memory, in order.

    Parameters
    ----------
    units : DataFrame, or spike times of each unit
        A frame has the column ``spike_times``, and may have ``obs_intervals``, shape (n, 2) in each row. Without that
        column, or where it is null, a unit is observed always; an empty list means never. A unit whose spike times are
        null (not an empty list) is never observed: its file has none.

    Raises
    ------
    PathNotFoundError
        If the frame has no ``spike_times``.
    TypeError
        If rows are not lists of numbers.
    """
    rows = spike_rows(units)
    intervals: Iterable[object] = [None] * len(rows)
    if isinstance(units, pd.DataFrame) and OBS_INTERVALS in units:
        intervals = units[OBS_INTERVALS].array
    return [_unit(times, observed) for times, observed in zip(rows, intervals, strict=True)]


def _unit(times: npt.NDArray[Any] | None, observed: object) -> Unit:
    if times is None:
        return Unit(np.empty(0), NEVER)
    return Unit(_sorted(np.asarray(times, dtype=np.float64)), observed_time(observed))


def observed_time(row: object) -> Intervals:
    """Return one row of ``obs_intervals`` as merged intervals, `ALWAYS` for a null."""
    return ALWAYS if is_null(row) else merge_intervals(as_intervals(np.asarray(row, dtype=np.float64)))


def spike_rows(units: Units) -> list[npt.NDArray[Any] | None]:
    """Return the spike times of each unit as they stand, in their dtype, None for a null; see `units_of`."""
    require_memory(units, "units")
    if isinstance(units, pd.DataFrame):
        require_columns(units.columns, [SPIKE_TIMES], "units")
    column = units[SPIKE_TIMES] if isinstance(units, pd.DataFrame) else units
    return [_times(row) for row in (column.array if isinstance(column, pd.Series) else column)]


def _times(row: object) -> npt.NDArray[Any] | None:
    if is_null(row):
        return None
    if isinstance(row, str | bytes) or np.ndim(row) != 1:  # type: ignore[arg-type]  # whatever a column holds
        raise TypeError(
            f"the spike times of each unit are a list of seconds, not {row!r:.80}; those of one unit are [times]"
        )
    times = np.asarray(row)
    require_seconds(times.dtype, "spike times")
    return times


def require_seconds(dtype: np.dtype[Any] | ExtensionDtype, name: str) -> None:
    """Refuse what numpy would turn into numbers unasked: text, dates, durations."""
    if dtype != np.dtype(object) and (not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype)):
        raise TypeError(f"{name} are numbers of seconds from the session's reference time, not of dtype {dtype}")


def _sorted(times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # Not so with a NaN among them: sorted, they come last, where no window finds them.
    return times if (times[1:] >= times[:-1]).all() else np.sort(times)


def is_null(row: object) -> bool:
    """Whether an element of a ragged column stands for absence; an empty list does not."""
    return row is None or row is pd.NA or (isinstance(row, float) and row != row)  # noqa: PLR0124  # NaN


def unit_labels(units: Units) -> pd.Index[Any]:
    """Return what tells the units apart: the column ``id``, else the index of the frame or Series, else numbers."""
    labels: pd.Index[Any] = pd.RangeIndex(len(units))
    if isinstance(units, pd.DataFrame) and ID in units:
        labels = pd.Index(units[ID].array)
    elif isinstance(units, pd.DataFrame | pd.Series):
        labels = units.index
    return labels.rename("unit")


def require_one_session(frame: object, name: str) -> None:
    """Refuse a frame with rows of several sessions: their clocks have nothing to do with each other."""
    n_sessions = len(frame[SESSION].unique()) if isinstance(frame, pd.DataFrame) and SESSION in frame else 1
    if n_sessions > 1:
        raise ValueError(
            f"{name} are of {n_sessions} sessions, each with a clock of its own; "
            f"take one of them, {name}[{name}.{SESSION} == ...], or use psth"
        )


def require_memory(frame: object, name: str) -> None:
    """Refuse a Dask collection where pandas is needed."""
    if is_dask_collection(frame):
        raise TypeError(f"{name} must be in memory here: pass {name}.compute(), or use psth on Dask DataFrames")


def require_columns(columns: Iterable[object], names: Iterable[str], frame: str) -> None:
    """Refuse a frame without one of the columns; PathNotFoundError says the nearest names."""
    known = [str(column) for column in columns]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=3)
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"it has {', '.join(known) or 'none'}"
            raise PathNotFoundError(f"no column {name!r} in {frame}; {hint}")
