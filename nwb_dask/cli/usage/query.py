"""``nwb-dask query``: an answer in SQL."""

from __future__ import annotations

import click

from nwb_dask.cli.answering import answered_by
from nwb_dask.cli.arguments import output_options, query_argument, source_argument, source_options, types_option


@click.command
@source_argument
@query_argument
@types_option
@source_options
@output_options
@answered_by("query")
def command() -> None:
    """Answer an SQL query over the tables of files.

    Tables have their path for a name, FROM "/intervals/trials", or its last part where that is unique: FROM trials.
    The table session has the metadata, one row per file, and _nwb_path joins tables of one file. SHOW TABLES lists
    the names. QUERY is read from stdin if it is -.

    The format `table` refuses more than 1000 rows, unless --max-rows says otherwise; 0 is no bound.
    """
