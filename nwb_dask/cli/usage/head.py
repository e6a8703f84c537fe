"""``nwb-dask head``: the first rows of a table."""

from __future__ import annotations

import click

from nwb_dask.cli.answering import answered_by
from nwb_dask.cli.arguments import (
    columns_option,
    output_options,
    source_argument,
    source_options,
    table_argument,
    types_option,
)


@click.command
@source_argument
@table_argument
@click.option("-n", "--rows", "n_rows", type=click.IntRange(min=0), default=5, show_default=True, help="How many rows.")
@columns_option
@click.option("--where", metavar="FILTER", help="Only rows such as \"quality == 'good' and rate > 5\".")
@click.option("--paths/--no-paths", default=True, show_default=True, help="Columns that say where a row comes from.")
@types_option
@source_options
@output_options
@answered_by("head")
def command() -> None:
    """Show the first rows of a table.

    Rows come in source order. A filter is written as for DataFrame.query of pandas; a comparison with null or NaN
    keeps no row.
    """
