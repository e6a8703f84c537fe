"""``nwb-dask query``: an answer in SQL."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

import nwb_dask
from nwb_dask.cli.arguments import (
    OutputOptions,
    SourceOptions,
    types_of_tables,
)
from nwb_dask.cli.output import check_rows, check_target, write_rows

_SHOWN_ROWS = 1000
"""The most rows of a table, unless another bound is given."""


def answer(
    *, source: str | list[str], query: str, types: dict[str, str], reach: SourceOptions, output: OutputOptions
) -> None:
    """Answer an SQL query over the tables of files."""
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
