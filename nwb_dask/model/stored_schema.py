"""The columns of a table as a row that a catalog keeps, and back, exactly. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from nwb_dask.model.field import Field
from nwb_dask.model.table import Table

_DIGEST_BYTES = 8


@dataclass(frozen=True, slots=True)
class TableSchema:
    """What tables of the same columns have in common."""

    fields: tuple[Field, ...]
    """In reading order."""
    names: tuple[str, ...]
    """All columns of the table, as `Table.names`."""


def schema_of(table: Table) -> TableSchema:
    """Return the schema of a table of one file."""
    return TableSchema(tuple(column.field for column in table.columns.values()), table.names)


def schema_row(schema: TableSchema) -> dict[str, object]:
    """Return a schema as a row: its digest under ``schema``, and what `schema_from_row` takes."""
    # Arrow would write null types and repeated names as well as any other.
    types = pa.schema([pa.field(field.name, field.type, nullable=field.nullable) for field in schema.fields])
    arrow = types.serialize().to_pybytes()
    columns = [
        {
            "name": field.name,
            "type": str(field.type),
            "nullable": field.nullable,
            "heavy": field.heavy,
            "is_void": field.is_void,
            "problem": field.problem,
            "categories": None if field.categories is None else list(field.categories),
        }
        for field in schema.fields
    ]
    digest = blake2b(repr((columns, schema.names)).encode(errors="surrogatepass") + arrow, digest_size=_DIGEST_BYTES)
    return {
        "schema": digest.hexdigest(),
        "n_columns": len(columns),
        "columns": columns,
        "names": list(schema.names),
        "arrow": arrow,
    }


def schema_from_row(row: Mapping[str, Any]) -> TableSchema:
    """Return the schema that `schema_row` has made a row of."""
    types = pa.ipc.read_schema(pa.py_buffer(row["arrow"]))
    columns: Sequence[Mapping[str, Any]] = row["columns"]
    fields = [
        Field(
            one["name"],
            types.field(number).type,
            nullable=one["nullable"],
            categories=None if one["categories"] is None else tuple(one["categories"]),
            heavy=one["heavy"],
            problem=one["problem"],
            is_void=one["is_void"],
        )
        for number, one in enumerate(columns)
    ]
    return TableSchema(tuple(fields), tuple(row["names"]))
