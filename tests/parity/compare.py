"""Compare what an engine returns with what an oracle expects, value by value and type by type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa

from .values import Nulls, Text, Values, element, elements, to_arrow, type_of


def same_bits(actual: npt.NDArray[Any], expected: npt.NDArray[Any]) -> bool:
    """Whether two arrays are equal in type, shape and every bit; NaN equals NaN of the same bits."""
    if actual.dtype != expected.dtype or actual.shape != expected.shape:
        return False
    return bool(np.ascontiguousarray(actual).tobytes() == np.ascontiguousarray(expected).tobytes())


def is_missing(value: object) -> bool:
    """Whether an engine says that nothing is there."""
    return value is None or value is pd.NA


def same(actual: Any, expected: Any) -> bool:
    """Whether one value of an engine is the expected one: same type for numbers, same text, same nesting."""
    if expected is None or isinstance(expected, str):
        return is_missing(actual) if expected is None else isinstance(actual, str) and actual == expected
    if isinstance(expected, dict):
        return isinstance(actual, dict) and list(actual) == list(expected) and _all_same(actual, expected, expected)
    if is_missing(actual):
        return False
    if isinstance(expected, np.ndarray):
        if isinstance(actual, np.ndarray) and actual.dtype != object:
            return same_bits(actual, expected) or (expected.size == 0 and actual.shape == expected.shape)
        return _same_items(actual, list(expected))
    if isinstance(expected, list):
        return _same_items(_records(actual), expected)
    if isinstance(actual, np.generic):
        return same_bits(np.asarray(actual), np.asarray(expected))
    # A plain Python number inside a struct has lost its width; the column's Arrow type has it.
    return isinstance(actual, int | float) and same_bits(np.asarray(actual, expected.dtype), np.asarray(expected))


def _all_same(actual: dict[str, Any], expected: dict[str, Any], names: Sequence[str] | dict[str, Any]) -> bool:
    return all(same(actual[name], expected[name]) for name in names)


def _records(actual: Any) -> Any:
    """Return a structured array, which is how numpy has a list of records, as that list."""
    if isinstance(actual, np.ndarray) and actual.dtype.names:
        return [{name: record[name] for name in actual.dtype.names} for record in actual]
    return actual


def _same_items(actual: Any, expected: Sequence[Any]) -> bool:
    if not isinstance(actual, list | tuple | np.ndarray) or len(actual) != len(expected):
        return False
    return all(same(a, e) for a, e in zip(actual, expected, strict=True))


def first_difference(actual: Sequence[Any], expected: Sequence[Any]) -> str:
    """Return where two columns differ first; empty if nowhere."""
    if len(actual) != len(expected):
        return f"{len(actual)} rows, expected {len(expected)}"
    for row, (a, e) in enumerate(zip(actual, expected, strict=True)):
        if not same(a, e):
            return f"row {row} is {_short(a)}, expected {_short(e)}"
    return ""


def _short(value: object) -> str:
    kind = f" {value.dtype}{value.shape}" if isinstance(value, np.ndarray | np.generic) else ""
    return f"{str(value)[:120]!r} ({type(value).__name__}{kind})"


# --- pandas -----------------------------------------------------------------------------------------


def pandas_difference(series: pd.Series[Any], values: Values) -> str:
    """Return how a pandas column differs from the expected values; empty if it does not."""
    if isinstance(values, np.ndarray) and values.ndim == 1:
        if series.dtype != values.dtype:
            return f"dtype {series.dtype}, expected {values.dtype}"
        return "" if same_bits(series.to_numpy(), values) else first_difference(list(series), list(values))
    if isinstance(values, Text) and values.strings.ndim == 1:
        wanted = pd.StringDtype if values.categories is None else pd.CategoricalDtype
        if not isinstance(series.dtype, wanted):
            return f"dtype {series.dtype}, expected {wanted.__name__}"
        found = series.astype(object).where(series.notna(), None).tolist()
        return first_difference(found, values.strings.tolist())
    if isinstance(values, Nulls):
        # The spec of the pandas frame: a float that is null is NaN.
        is_null = series.isna().all() and len(series) == values.count
        return "" if is_null else f"{list(series)}, expected {values.count} nulls"
    if series.dtype == object:
        return "dtype object"
    found = list(series)
    if isinstance(values, np.ndarray) and values.size and all(type(row) is np.ndarray for row in found):
        stacked = np.stack(found) if len({row.shape for row in found}) == 1 else np.empty(0)
        return "" if same_bits(stacked, values) else first_difference(found, list(values))
    return first_difference(found, elements(values))


# --- Arrow and polars -------------------------------------------------------------------------------


def arrow_difference(column: pa.ChunkedArray | pa.Array, values: Values) -> str:
    """Return how an Arrow column differs in type or value; empty if it does not."""
    plain = plain_type(column.type)
    if plain != type_of(values):
        return f"type {column.type}, expected {type_of(values)}"
    found = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    found = found if found.type == plain else found.cast(plain)
    return "" if _same_arrow(found, to_arrow(values)) else _first_arrow_difference(found, values)


def polars_difference(series: pl.Series, values: Values) -> str:
    """Return how a polars column differs in type or value; empty if it does not."""
    found = series.to_arrow()
    plain = plain_type(found.type)
    if plain != plain_type(type_of(values)):
        return f"type {series.dtype}, expected {type_of(values)}"
    if pa.types.is_dictionary(found.type):
        found = found.cast(pa.string())
        values = Text(values.strings) if isinstance(values, Text) else values
    elif not pa.types.is_null(plain):
        found = found.cast(plain)
    return "" if _same_arrow(found, to_arrow(values)) else _first_arrow_difference(found, values)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type without the choice of offsets and views, which is the engine's own."""
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_dictionary(kind):
        return pa.dictionary(pa.int32(), plain_type(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(plain_type(kind.value_type), kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(plain_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(part.name, plain_type(part.type)) for part in kind])
    return kind


def _same_arrow(actual: pa.Array, expected: pa.Array) -> bool:
    if len(actual) != len(expected) or not actual.is_null().equals(expected.is_null()):
        return False
    kind = expected.type
    if pa.types.is_floating(kind):
        return same_bits(actual.to_numpy(zero_copy_only=False), expected.to_numpy(zero_copy_only=False))
    if pa.types.is_list(kind) and not actual.value_lengths().equals(expected.value_lengths()):
        return False
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return _same_arrow(actual.flatten(), expected.flatten())
    if pa.types.is_struct(kind):
        return all(_same_arrow(a, e) for a, e in zip(actual.flatten(), expected.flatten(), strict=True))
    if pa.types.is_dictionary(kind):
        return bool(actual.cast(pa.string()).equals(expected.cast(pa.string())))
    return bool(actual.equals(expected))


def _first_arrow_difference(actual: pa.Array, values: Values) -> str:
    expected = to_arrow(values)
    if len(actual) != len(expected):
        return f"{len(actual)} rows, expected {len(expected)}"
    for row in range(len(expected)):
        if not _same_arrow(actual[row : row + 1], expected[row : row + 1]):
            return f"row {row} is {str(actual[row].as_py())[:120]!r}, expected {_short(element(values, row))}"
    return "values differ"


# --- pynwb ------------------------------------------------------------------------------------------


def pynwb_difference(
    actual: Sequence[Any] | npt.NDArray[Any], shown: Sequence[Any] | npt.NDArray[Any], column: str
) -> str:
    """Return how rows differ from those that pynwb shows, which does not keep every type."""
    if len(actual) != len(shown):
        return f"{len(actual)} rows, pynwb shows {len(shown)}"
    if isinstance(actual, np.ndarray) and isinstance(shown, np.ndarray) and _alike(actual, shown, column):
        return ""
    if isinstance(shown, np.ndarray) and shown.dtype.kind in "iu" and all(isinstance(value, str) for value in actual):
        # An enumeration of HDF5: pynwb shows its codes and has no word for the names.
        return ""
    for row, (a, s) in enumerate(zip(actual, shown, strict=True)):
        if not _alike(a, s, column):
            return f"row {row} is {_short(a)}, pynwb shows {_short(s)}"
    return ""


def _alike(actual: Any, shown: Any, column: str) -> bool:
    if isinstance(shown, str | bytes):
        text = shown.decode() if isinstance(shown, bytes) else str(shown)
        return bool(actual == (text.rpartition("/")[2] if column == "electrode_group" else text))
    if is_missing(actual) or is_missing(shown):
        return is_missing(actual) and is_missing(shown)
    if isinstance(shown, dict):
        return all(_alike(actual[name], value, column) for name, value in shown.items())
    if isinstance(shown, list) or isinstance(actual, list) or getattr(actual, "dtype", np.dtype(int)).hasobject:
        return len(actual) == len(shown) and all(_alike(a, s, column) for a, s in zip(actual, shown, strict=True))
    return np.array_equal(np.asarray(actual), np.asarray(shown), equal_nan=np.asarray(shown).dtype.kind == "f")
