"""``nwb-dask schema``: the columns of a table."""

from __future__ import annotations

import pyarrow as pa

import nwb_dask
from nwb_dask.cli.arguments import (
    OutputOptions,
    SourceOptions,
    types_of_table,
)
from nwb_dask.cli.output import check_target, table_of, write_rows

_COLUMNS = (("column", pa.string()), ("type", pa.string()), ("problem", pa.string()))


def answer(
    *,
    source: str | list[str],
    table: str,
    columns: list[str] | None,
    types: dict[str, str],
    reach: SourceOptions,
    output: OutputOptions,
) -> None:
    """Show the columns of a table and their types."""
    check_target(output)
    schema = nwb_dask.schema(
        source,
        table,
        columns=columns,
        storage_options=reach.storage_options,
        schema_overrides=types_of_table(types, table),
        errors=reach.errors,
    )
    rows = [
        (field.name, str(field.type), (field.metadata or {}).get(b"problem", b"").decode() or None) for field in schema
    ]
    write_rows(table_of(_COLUMNS, rows), output)
