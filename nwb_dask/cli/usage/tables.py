"""``nwb-dask tables``: tables and series, with rows and columns."""

from __future__ import annotations

import click

from nwb_dask.cli.answering import answered_by
from nwb_dask.cli.arguments import output_options, source_argument, source_options


@click.command
@source_argument
@click.option(
    "--kind",
    type=click.Choice(["all", "table", "series", "record"]),
    default="all",
    show_default=True,
    help="Only these; records are one-row tables of metadata.",
)
@source_options
@output_options
@answered_by("tables")
def command() -> None:
    """List tables and series, with rows and columns.

    One row per path: how many files have it, rows (samples of a series) over all files, and how many different
    columns. No data are read.
    """
