"""Values for formats that know numbers and text only: what each Arrow type becomes there, without loss."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal

import numpy as np
import pyarrow as pa

from nwb_dask.errors import FormatError

_TEXT = (pa.types.is_string, pa.types.is_large_string)
_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
_NESTED = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_struct)


def is_one_of(data_type: pa.DataType, kinds: tuple[Callable[[pa.DataType], bool], ...]) -> bool:
    """Tell whether one of the functions says yes."""
    return any(kind(data_type) for kind in kinds)


def flat_table(path: str, table: pa.Table, format_: str) -> pa.Table:
    """Return the table with numbers, truth values and text only.

    Lists, arrays and structs become JSON text, categories their text, bytes base64, and moments ISO 8601.

    Raises
    ------
    FormatError
        If a column has a type that has no such text, naming table, column and the way out.
    """
    columns = [_flat(path, field, table.column(field.name), format_) for field in table.schema]
    return pa.Table.from_arrays(columns, [field.name for field in table.schema])


def to_json(value: object) -> str:
    """Return a value of Arrow as JSON; NaN and infinities are the words of Python's `json`, which JSON itself lacks."""
    return json.dumps(plain_value(value), ensure_ascii=False, separators=(",", ":"))


def plain_value(value: object) -> object:
    """Return a value of Arrow's ``as_py`` in the types that JSON has.

    Raises
    ------
    TypeError
        If there is none for it.
    """
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list):
        return [plain_value(item) for item in value]
    if isinstance(value, dict):
        return {name: plain_value(item) for name, item in value.items()}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, np.floating):
        return float(value)
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def float_text(value: float) -> str:
    """Return the text of a number that is none: ``NaN``, ``Infinity``, ``-Infinity``."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _flat(path: str, field: pa.Field, values: pa.ChunkedArray, format_: str) -> pa.ChunkedArray:
    kind = field.type
    if pa.types.is_dictionary(kind):
        return values.cast(pa.string())
    if pa.types.is_float16(kind):
        return values.cast(pa.float32())
    if pa.types.is_null(kind):
        return pa.chunked_array([pa.nulls(len(values), pa.string())])
    if is_one_of(kind, (*_NUMBERS, *_TEXT)):
        return values
    try:
        make = to_json if is_one_of(kind, _NESTED) else plain_value
        return pa.chunked_array([[None if item is None else make(item) for item in values.to_pylist()]], pa.string())
    except (TypeError, ValueError) as error:
        raise no_place(path, field, format_, str(error)) from error


def no_place(path: str, field: pa.Field, format_: str, reason: str) -> FormatError:
    """Return the error for a column that a format cannot hold."""
    name = f"{path.rstrip('/')}/{field.name}"
    return FormatError(
        f"column {field.name!r} of {path} has type {field.type}, which {format_} cannot hold: {reason}; "
        f"leave it out with exclude={name!r}, give it another type with schema_overrides={{{name!r}: ...}}, "
        "or convert to Parquet",
        path=name,
    )
