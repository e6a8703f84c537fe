"""``nwb-dask explain``: what a table or a query would read."""

from __future__ import annotations

import click

from nwb_dask.cli.answering import answered_by
from nwb_dask.cli.arguments import columns_option, output_options, source_argument, source_options, types_option


@click.command
@source_argument
@click.argument("target")
@columns_option
@click.option("--filter", "--where", "where", metavar="FILTER", help="Only rows such as \"quality == 'good'\".")
@types_option
@source_options
@output_options
@answered_by("explain")
def command() -> None:
    """Show what a table or a query would read.

    TARGET is a table, or an SQL query that begins with SELECT, WITH or FROM. Files, columns, what is read before the
    filter and what only for the rows that pass it, and how many bytes at most. No data are read.
    """
