"""Columns of pandas, polars and Arrow frames: taken out as Arrow or numpy values, and put together again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa

Frame: TypeAlias = "pd.DataFrame | pl.DataFrame | pa.Table"
AnyFrame = TypeVar("AnyFrame", pd.DataFrame, pl.DataFrame, pa.Table)
Rows: TypeAlias = npt.NDArray[np.intp]

ROW = "_table_index"
"""The column that says which row of its table a row is."""
UNIT_ROW = "_units_table_index"
"""The same, of the unit, where rows are of units and intervals."""
INTERVAL_ROW = "_intervals_table_index"

_NWB_LISTS = "nwb[large_list<double>]"


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """A column of lists of seconds."""

    values: npt.NDArray[np.float64]
    """The elements of all rows, one row after the other."""
    counts: npt.NDArray[np.intp]
    """Elements of each row."""
    is_known: npt.NDArray[np.bool_]
    """False where the row is null."""


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """A column of whole numbers."""

    counts: npt.NDArray[np.intp]
    is_known: npt.NDArray[np.bool_]
    """False where the row is null."""


def require_frame(frame: object, called: str) -> None:
    """Refuse what is no frame in memory."""
    if not isinstance(frame, pd.DataFrame | pl.DataFrame | pa.Table):
        raise TypeError(
            f"{called} must be a pandas or polars DataFrame or an Arrow table in memory, not {type(frame).__name__}; "
            f"a lazy frame becomes one with .collect() or .compute()"
        )


def names_of(frame: Frame) -> list[str]:
    """Return the names of the columns, in order."""
    return [str(name) for name in (frame.column_names if isinstance(frame, pa.Table) else frame.columns)]


def length(frame: Frame) -> int:
    """Return the number of rows."""
    return int(frame.num_rows) if isinstance(frame, pa.Table) else len(frame)


def row_numbers(frame: Frame) -> npt.NDArray[np.int64]:
    """Return what the rows are called: their number in their table, or in the frame if that is not known."""
    numbered: npt.NDArray[np.int64] = np.arange(length(frame))
    if ROW in names_of(frame):
        numbered = arrow_column(frame, ROW).to_numpy(zero_copy_only=False)
    return numbered


def arrow_column(frame: Frame, name: str) -> pa.Array:
    """Return a column as one Arrow array; NaN of pandas is null."""
    if isinstance(frame, pd.DataFrame):
        column = pa.array(frame[name], from_pandas=True)
    else:
        column = frame.column(name) if isinstance(frame, pa.Table) else frame[name].to_arrow()
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def list_rows(frame: Frame, name: str) -> pd.Series[Any]:
    """Return a column of lists as numpy arrays, None for null; lists of pairs have the shape (n, 2).

    Raises
    ------
    TypeError
        If it holds no lists.
    """
    if isinstance(frame, pd.DataFrame):
        return frame[name]
    column = arrow_column(frame, name)
    rows = np.empty(len(column), dtype=object)
    if not pa.types.is_null(column.type):
        if not _is_list(column.type):
            raise TypeError(f"column {name!r} holds no lists but {column.type}")
        column = column.cast(pa.large_list(column.type.value_type)) if not _is_large(column.type) else column
        offsets = column.offsets.to_numpy()
        values = _elements(column.values, name)
        for row in np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False)):
            rows[row] = values[offsets[row] : offsets[row + 1]]
    return pd.Series(rows)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_large(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_list(kind))


def _elements(values: pa.Array, name: str) -> npt.NDArray[Any]:
    if pa.types.is_null(values.type):
        return np.full(len(values), np.nan)
    if not _is_list(values.type):
        elements: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False)
        return elements
    flat = values.flatten()
    if len(flat) != 2 * len(values):
        raise ValueError(f"column {name!r} holds lists of which not all are pairs of a start and a stop")
    return _elements(flat, name).reshape(-1, 2)


def taken(frame: Frame, name: str, rows: Rows) -> object:
    """Return these rows of a column, in its own type."""
    if isinstance(frame, pd.DataFrame):
        return frame[name].array.take(rows)
    if isinstance(frame, pl.DataFrame):
        return frame[name].gather(rows)
    return frame.column(name).take(pa.array(rows))


def built(like: AnyFrame, columns: Mapping[str, object]) -> AnyFrame:
    """Return columns as a frame of the same kind: `Lists`, `Counts`, numpy arrays, and what `taken` gave."""
    if isinstance(like, pd.DataFrame):
        # As frames from NWB files have it, which register the name.
        is_nwb = any(dtype.name.startswith("nwb[") for dtype in like.dtypes)
        return pd.DataFrame({name: _pandas(column, is_nwb=is_nwb) for name, column in columns.items()})
    arrays = {name: _arrow(column) for name, column in columns.items()}
    if isinstance(like, pl.DataFrame):
        return pl.DataFrame([pl.Series(name, array) for name, array in arrays.items()])
    table: AnyFrame = pa.table(arrays)
    return table


def without(frame: AnyFrame, name: str) -> AnyFrame:
    """Return the frame without a column."""
    if isinstance(frame, pd.DataFrame):
        return frame.drop(columns=name)
    rest: AnyFrame = frame.drop(name)
    return rest


def _arrow(column: object) -> Any:  # noqa: ANN401  # an array of Arrow, or what `taken` gave
    if isinstance(column, Lists):
        offsets = np.concatenate(([0], np.cumsum(column.counts)))
        return pa.LargeListArray.from_arrays(
            pa.array(offsets, pa.int64()), pa.array(column.values), mask=pa.array(~column.is_known)
        )
    if isinstance(column, Counts):
        return pa.array(column.counts, pa.int64(), mask=~column.is_known)
    return pa.array(column) if isinstance(column, np.ndarray) else column


def _pandas(column: object, *, is_nwb: bool) -> object:
    if isinstance(column, Lists):
        if is_nwb:
            dtype: Any = pd.api.types.pandas_dtype(_NWB_LISTS)
            return dtype.__from_arrow__(_arrow(column))
        rows = np.empty(len(column.counts), dtype=object)
        ends = np.cumsum(column.counts)
        for row in np.flatnonzero(column.is_known):
            rows[row] = column.values[ends[row] - column.counts[row] : ends[row]]
        return rows
    if isinstance(column, Counts):
        return pd.arrays.IntegerArray(column.counts.astype(np.int64), ~column.is_known)
    return column
