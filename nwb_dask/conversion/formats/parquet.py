"""Parquet files that any reader of Parquet reads: ragged columns are lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SUFFIX = ".parquet"
WRITER = f"pyarrow {pa.__version__}"


def arrange(path: str, table: pa.Table) -> pa.Table:  # noqa: ARG001  # all formats have the same signature
    """Return the table with the types that are stored."""
    return table.cast(pa.schema([pa.field(field.name, stored_type(field.type)) for field in table.schema]))


def stored_type(data_type: pa.DataType) -> pa.DataType:
    """Return the type that is stored; lists of a fixed size of 0 are of any size, as no reader takes those."""
    if pa.types.is_fixed_size_list(data_type):
        inner = stored_type(data_type.value_type)
        return pa.list_(inner, data_type.list_size) if _is_plain(data_type) else pa.large_list(inner)
    if pa.types.is_large_list(data_type):
        return pa.large_list(stored_type(data_type.value_type))
    if pa.types.is_struct(data_type):
        return pa.struct([pa.field(field.name, stored_type(field.type)) for field in data_type])
    return data_type


def _is_plain(data_type: pa.DataType) -> bool:
    """Tell whether no fixed-size list in the type has a size of 0."""
    if not pa.types.is_fixed_size_list(data_type):
        return True
    return data_type.list_size > 0 and _is_plain(data_type.value_type)


def write(path: Path, schema: pa.Schema, batches: Iterator[pa.Table]) -> None:
    """Write a file, one row group for each batch."""
    with path.open("xb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_table(batch)
