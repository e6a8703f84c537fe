"""``nwb-dask schema``: the columns of a table."""

from __future__ import annotations

import click
import pyarrow as pa

import nwb_dask
from nwb_dask.cli.arguments import (
    OutputOptions,
    SourceOptions,
    columns_option,
    output_options,
    source_argument,
    source_options,
    table_argument,
    types_of_table,
    types_option,
)
from nwb_dask.cli.output import check_target, table_of, write_rows

_COLUMNS = (("column", pa.string()), ("type", pa.string()), ("problem", pa.string()))


@click.command
@source_argument
@table_argument
@columns_option
@types_option
@source_options
@output_options
def command(
    *,
    source: str | list[str],
    table: str,
    columns: list[str] | None,
    types: dict[str, str],
    reach: SourceOptions,
    output: OutputOptions,
) -> None:
    """Show the columns of a table and their types.

    Types are those of Arrow, over all files. A column that cannot be read says why. No data are read.
    """
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
