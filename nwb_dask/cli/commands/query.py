"""``nwb-dask query``: an answer in SQL."""

from __future__ import annotations

from dataclasses import replace

import click
import polars as pl

import nwb_dask
from nwb_dask.cli.arguments import (
    OutputOptions,
    SourceOptions,
    output_options,
    query_argument,
    source_argument,
    source_options,
    types_of_tables,
    types_option,
)
from nwb_dask.cli.output import check_rows, check_target, write_rows

_SHOWN_ROWS = 1000
"""The most rows of a table, unless another bound is given."""


@click.command
@source_argument
@query_argument
@types_option
@source_options
@output_options
def command(
    *, source: str | list[str], query: str, types: dict[str, str], reach: SourceOptions, output: OutputOptions
) -> None:
    """Answer an SQL query over the tables of files.

    Tables have their path for a name, FROM "/intervals/trials", or its last part where that is unique: FROM trials.
    The table session has the metadata, one row per file, and _nwb_path joins tables of one file. SHOW TABLES lists
    the names. QUERY is read from stdin if it is -.

    The format `table` refuses more than 1000 rows, unless --max-rows says otherwise; 0 is no bound.
    """
    check_target(output)
    if output.max_rows is None and output.format == "table":
        output = replace(output, max_rows=_SHOWN_ROWS)
    frame = nwb_dask.sql(
        query,
        source,
        storage_options=reach.storage_options,
        errors=reach.errors,
        schema_overrides=types_of_tables(types),
    )
    if output.max_rows:
        # One more tells that there are too many, and the rest is not read.
        frame = frame.head(output.max_rows + 1)
    rows = frame.collect()
    check_rows(rows.height, output, at_least=True)
    write_rows(rows.to_arrow(compat_level=pl.CompatLevel.oldest()), output)
