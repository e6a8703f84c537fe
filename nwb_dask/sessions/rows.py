"""From what a function returns to rows of one Arrow table, and from tables of many sessions to one schema."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from nwb_dask.conversion.formats.parquet import stored_type
from nwb_dask.errors import SchemaConflictError
from nwb_dask.model import Field
from nwb_dask.model.field import NWB_PATH
from nwb_dask.model.unify import common_type
from nwb_dask.read.conform import conform

VALUE = "value"
"""Column of what is no mapping and no frame."""
_WANTED = "return a pandas or polars DataFrame, an Arrow table, a dict, a list of dicts, a plain value, or None"


def to_rows(result: object) -> pa.Table | None:
    """Return what a function returned as rows; None if it has none.

    Frames of pandas and polars, Arrow tables and batches are tables already; of pandas, named levels of the index are
    columns, and an index without a name is dropped. A mapping, or a Series of pandas with its labels, is one row, a
    list of mappings one row each. Any other plain value is a row with a column ``value``. Text, lists and arrays have
    the types that `nwb_dask.read_table` gives them: ``string``, ``large_list``.

    Raises
    ------
    TypeError, ValueError, pyarrow.ArrowInvalid
        If the result is none of these, or its values have no common type.
    """
    table = _table(result)
    if table is None or not table.num_columns:
        return None
    names = table.column_names
    if len(set(names)) != len(names):
        raise ValueError(f"the columns {names} have a name twice")
    if NWB_PATH in names:
        table = table.drop_columns([NWB_PATH])
    return _plain(table)


def _table(result: object) -> pa.Table | None:
    if result is None:
        return None
    if isinstance(result, pa.Table):
        return result
    if isinstance(result, pa.RecordBatch):
        return pa.Table.from_batches([result])
    if isinstance(result, _class_of("pandas", "DataFrame")):
        return _from_pandas(result)
    if isinstance(result, _class_of("pandas", "Series")):
        return _from_mappings([dict(zip(result.index, result.to_list(), strict=True))])
    if isinstance(result, _class_of("polars", "DataFrame")):
        return result.to_arrow()
    if isinstance(result, Mapping):
        return _from_mappings([result])
    if isinstance(result, list | tuple) and result and all(isinstance(one, Mapping) for one in result):
        return _from_mappings(result)
    if isinstance(result, list | tuple) and not result:
        return None
    if isinstance(result, list | tuple | np.ndarray) or hasattr(result, "__dask_graph__") or hasattr(result, "collect"):
        raise TypeError(f"the function returned a {type(result).__module__}.{type(result).__qualname__}; {_WANTED}")
    return _from_mappings([{VALUE: result}])


def _class_of(module: str, name: str) -> Any:  # noqa: ANN401  # what `isinstance` takes
    """Return a class of a library; none where that is not loaded, or another thread is at it."""
    return getattr(sys.modules.get(module), name, ())


def _from_pandas(frame: Any) -> pa.Table:  # noqa: ANN401  # pandas.DataFrame, which is not loaded for this
    named = [name for name in frame.index.names if name is not None]
    frame = frame.reset_index(level=named) if named else frame
    if not all(isinstance(name, str) for name in frame.columns):
        raise TypeError(f"the columns {list(frame.columns)} are not all text; rename them in the function")
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)


def _from_mappings(rows: Sequence[Mapping[Any, Any]]) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"the keys {list(names)} are not all text")
    columns = {name: [_value(row.get(name)) for row in rows] for name in names}
    found = {}
    for name, values in columns.items():
        try:
            found[name] = pa.array(values, from_pandas=False)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            kinds = ", ".join(sorted({type(one).__qualname__ for one in values}))
            raise TypeError(f"{name!r} has no place in a table: {kinds}; {_WANTED}") from error
    return pa.table(found)


def _value(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist() if value.ndim != 1 or value.dtype.kind in "OUSMm" else value
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return value


def _plain(table: pa.Table) -> pa.Table:
    """Return a table with the types that the tables of files have."""
    columns = []
    for column in table.columns:
        if isinstance(column.type, pa.BaseExtensionType):
            column = pa.chunked_array([one.storage for one in column.chunks], column.type.storage_type)  # noqa: PLW2901  # the same
        columns.append(column.cast(_plain_type(column.type)))
    schema = pa.schema([pa.field(name, one.type) for name, one in zip(table.column_names, columns, strict=True)])
    return pa.table(columns, schema=schema) if columns else table


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        # Sessions have categories of their own.
        return _plain_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.large_list(_plain_type(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return stored_type(pa.list_(_plain_type(kind.value_type), kind.list_size))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(one.name, _plain_type(one.type)) for one in kind])
    return kind


def with_columns(table: pa.Table, constants: Mapping[str, object], name: str) -> pa.Table:
    """Return the rows with columns that are the same in all of them, and last the session that they are from."""
    for column, value in {**constants, NWB_PATH: name}.items():
        if column in table.column_names:
            raise ValueError(f"the function returns a column {column!r}, which session_columns adds")
        scalar = value if isinstance(value, pa.Scalar) else pa.scalar(value, pa.string())
        table = table.append_column(column, pa.array([scalar.as_py()] * table.num_rows, scalar.type))
    return table


def unify(found: Iterable[tuple[str, pa.Schema]], overrides: Mapping[str, pa.DataType]) -> pa.Schema:
    """Return the schema that can hold the rows of all sessions, without loss.

    Parameters
    ----------
    found : iterable of (str, pyarrow.Schema)
        Names and schemas of sessions, in source order. A column that a session lacks is null there.
    overrides : mapping of str to pyarrow.DataType
        Types that the user wants.

    Raises
    ------
    SchemaConflictError
        If two sessions disagree, naming both.
    """
    merged: dict[str, tuple[str, pa.DataType]] = {}
    for session, schema in found:
        for field in schema:
            first, known = merged.get(field.name, (session, field.type))
            common = overrides.get(field.name) or (known if known == field.type else common_type(known, field.type))
            if common is None:
                message = (
                    f"the function returns {field.name!r} as {known} for {first} and as {field.type} for {session}, "
                    f"which have no common type; return one type, or say schema_overrides={{{field.name!r}: ...}}"
                )
                raise SchemaConflictError(message, url=session)
            merged[field.name] = (session if pa.types.is_null(known) else first, common)
    # The session is last, whatever columns later sessions add.
    names = [*(name for name in merged if name != NWB_PATH), *(NWB_PATH for name in merged if name == NWB_PATH)]
    return pa.schema([pa.field(name, merged[name][1]) for name in names])


def conform_rows(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows with the columns and types of a schema; what they lack is null."""
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        column = table.column(field.name)
        values = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        values = values if isinstance(values, pa.Array) else pa.concat_arrays(values.chunks)
        columns.append(_conformed(values, field))
    return pa.table(columns, schema=schema)


def _conformed(values: pa.Array, field: pa.Field) -> pa.Array:
    if pa.types.is_string(field.type) and not pa.types.is_nested(values.type):
        return values.cast(pa.string())
    return conform(values, Field(field.name, field.type, nullable=True))
