"""``nwb-dask schema``: the columns of a table."""

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
@columns_option
@types_option
@source_options
@output_options
@answered_by("schema")
def command() -> None:
    """Show the columns of a table and their types.

    Types are those of Arrow, over all files. A column that cannot be read says why. No data are read.
    """
