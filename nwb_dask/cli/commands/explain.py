"""``nwb-dask explain``: what reading a table would read."""

from __future__ import annotations

from dataclasses import asdict

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
)
from nwb_dask.cli.output import check_target, table_of, write_rows
from nwb_dask.cli.safe_text import escape_lines

_NAMES = pa.list_(pa.string())
_COLUMNS = (
    ("table", pa.string()),
    ("n_files", pa.int64()),
    ("n_files_total", pa.int64()),
    ("n_partitions", pa.int64()),
    ("n_partitions_total", pa.int64()),
    ("columns", _NAMES),
    ("heavy", _NAMES),
    ("predicate", pa.string()),
    ("predicate_columns", _NAMES),
    ("residual", _NAMES),
    ("limit", pa.int64()),
    ("expected_bytes", pa.int64()),
)


@click.command
@source_argument
@table_argument
@columns_option
@click.option("--filter", "--where", "where", metavar="FILTER", help="Only rows such as \"quality == 'good'\".")
@source_options
@output_options
def command(
    *,
    source: str | list[str],
    table: str,
    columns: list[str] | None,
    where: str | None,
    reach: SourceOptions,
    output: OutputOptions,
) -> None:
    """Show what reading a table would read.

    Files, columns, what is read before the filter and what only for the rows that pass it, and how many bytes at
    most. No data are read.
    """
    check_target(output)
    frame = nwb_dask.read_nwb(
        source,
        table,
        columns=columns,
        filters=where,
        storage_options=reach.storage_options,
        errors=reach.errors,
    )
    explained = frame.nwb.explain()
    rows = [[asdict(read)[name] for name, _ in _COLUMNS] for read in explained.reads]
    write_rows(table_of(_COLUMNS, rows), output, text=escape_lines(str(explained)) + "\n")
