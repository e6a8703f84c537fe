"""``nwb-dask metadata``: what describes each session."""

from __future__ import annotations

import click

from nwb_dask.cli.answering import answered_by
from nwb_dask.cli.arguments import columns_option, output_options, source_argument, source_options


@click.command
@source_argument
@columns_option
@click.option("--raw-dates", is_flag=True, help="Dates as the text of the files.")
@source_options
@output_options
@answered_by("metadata")
def command() -> None:
    """Show the metadata of sessions, one row per file.

    Every field of the NWB schema is a column, in all formats but `table`, which shows those that some file has.
    Fields of the subject begin with subject_.
    """
