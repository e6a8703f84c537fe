"""From Arrow tables to polars frames whose schema follows from the fields alone."""

from __future__ import annotations

from functools import lru_cache

import polars as pl
import pyarrow as pa

from nwb_dask.errors import SchemaConflictError
from nwb_dask.model import Field

_FLAT: dict[pa.DataType, pl.DataType] = {
    pa.null(): pl.Null(),
    pa.bool_(): pl.Boolean(),
    pa.int8(): pl.Int8(),
    pa.int16(): pl.Int16(),
    pa.int32(): pl.Int32(),
    pa.int64(): pl.Int64(),
    pa.uint8(): pl.UInt8(),
    pa.uint16(): pl.UInt16(),
    pa.uint32(): pl.UInt32(),
    pa.uint64(): pl.UInt64(),
    pa.float16(): pl.Float16(),
    pa.float32(): pl.Float32(),
    pa.float64(): pl.Float64(),
    pa.string(): pl.String(),
    pa.large_string(): pl.String(),
    pa.binary(): pl.Binary(),
    pa.large_binary(): pl.Binary(),
}


def schema(fields: tuple[Field, ...]) -> pl.Schema:
    """Return the schema that `to_polars` gives to any table of these fields.

    A field that cannot be read has no values and no type: it is binary here.
    """
    return pl.Schema({field.name: _field_dtype(field) for field in fields})


def to_polars(table: pa.Table, fields: tuple[Field, ...]) -> pl.DataFrame:
    """Return the columns named by `fields` as a frame over the same buffers.

    Values are not copied, but for text, which becomes polars' string views, dictionaries, which are recoded to the
    categories of their field, and fixed-size lists that are a slice or have no elements.

    Raises
    ------
    SchemaConflictError
        If a column has another type than its field, or a value that is none of the field's categories.
    """
    columns = []
    for field in fields:
        values = table.column(field.name)
        if values.type != field.type:
            message = f"column {field.name!r} was read as {values.type} and planned as {field.type}"
            raise SchemaConflictError(message)
        columns.append(_series(values, field))
    return pl.DataFrame(columns or None, height=table.num_rows)


def _series(values: pa.ChunkedArray, field: Field) -> pl.Series:
    dtype = _field_dtype(field)
    sizes = _list_sizes(field.type)
    if 0 in sizes:
        # polars 2.1.0 panics in from_arrow for a fixed-size list of no elements.
        return pl.Series(field.name, values.to_pylist(), dtype=dtype)
    if sizes and any(chunk.offset for chunk in values.chunks):
        # polars 2.1.0 refuses a slice of fixed-size lists with nulls; a copy starts at its buffers' start.
        chunks = [pa.concat_arrays([chunk]) for chunk in values.chunks]
        values = pa.chunked_array(chunks, field.type)
    series = pl.Series(pl.from_arrow(values, rechunk=False))
    try:
        # Named last: polars 2.1.0 casts a series of a name such as "^v.*$" to nothing.
        return (series if series.dtype == dtype else series.cast(dtype)).alias(field.name)
    except pl.exceptions.PolarsError as error:
        message = f"column {field.name!r} has values that are none of its categories: {error}"
        raise SchemaConflictError(message) from error


def _field_dtype(field: Field) -> pl.DataType:
    if field.problem:
        # To count rows, polars 2.1.0 asks for the narrowest column: Null would be it, and raise.
        return pl.Binary()
    if field.categories is not None:
        return _enum(field.categories)
    return polars_dtype(field.type)


@lru_cache(maxsize=256)
def _enum(categories: tuple[str, ...]) -> pl.Enum:
    return pl.Enum(categories)


@lru_cache(maxsize=1024)
def polars_dtype(type_: pa.DataType) -> pl.DataType:
    """Return the dtype that polars gives to values of an Arrow type.

    Raises
    ------
    SchemaConflictError
        If polars has none.
    """
    if type_ in _FLAT:
        return _FLAT[type_]
    if pa.types.is_fixed_size_list(type_):
        return pl.Array(polars_dtype(type_.value_type), type_.list_size)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return pl.List(polars_dtype(type_.value_type))
    if pa.types.is_struct(type_):
        return pl.Struct([pl.Field(field.name, polars_dtype(field.type)) for field in type_])
    if pa.types.is_dictionary(type_):
        return pl.Categorical()
    if pa.types.is_fixed_size_binary(type_):
        return pl.Binary()
    if pa.types.is_timestamp(type_):
        return pl.Datetime("ms" if type_.unit == "s" else type_.unit, type_.tz)
    message = f"polars has no dtype for Arrow type {type_}"
    raise SchemaConflictError(message)


@lru_cache(maxsize=1024)
def _list_sizes(type_: pa.DataType) -> frozenset[int]:
    """Return the sizes of all fixed-size lists in the type."""
    inner = (_list_sizes(type_.field(i).type) for i in range(type_.num_fields))
    own = [type_.list_size] if pa.types.is_fixed_size_list(type_) else []
    return frozenset(own).union(*inner)
