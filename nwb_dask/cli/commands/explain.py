"""``nwb-dask explain``: what a table or a query would read."""

from __future__ import annotations

import re
from dataclasses import asdict

import click
import pyarrow as pa

import nwb_dask
from nwb_dask.cli.arguments import (
    OutputOptions,
    SourceOptions,
    types_of_table,
    types_of_tables,
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
    ("n_rows", pa.int64()),
    ("expected_bytes", pa.int64()),
)
_QUERY = re.compile(r"\s*\(*\s*(SELECT|WITH|FROM)\b", re.IGNORECASE)


def answer(
    *,
    source: str | list[str],
    target: str,
    columns: list[str] | None,
    where: str | None,
    types: dict[str, str],
    reach: SourceOptions,
    output: OutputOptions,
) -> None:
    """Show what a table or a query would read."""
    check_target(output)
    if _QUERY.match(target):
        if columns or where:
            raise click.UsageError("--columns and --filter are for a table; a query says them itself")
        context = nwb_dask.sql_context(
            source,
            storage_options=reach.storage_options,
            errors=reach.errors,
            schema_overrides=types_of_tables(types),
        )
        explained = context.explain(target)
    else:
        explained = nwb_dask.read_nwb(
            source,
            target,
            columns=columns,
            filters=where,
            storage_options=reach.storage_options,
            schema_overrides=types_of_table(types, target),
            errors=reach.errors,
        ).nwb.explain()
    rows = [[asdict(read)[name] for name, _ in _COLUMNS] for read in explained.reads]
    write_rows(table_of(_COLUMNS, rows), output, text=escape_lines(str(explained)) + "\n")
