"""``nwb-dask info``: what files hold."""

from __future__ import annotations

import click

from nwb_dask.cli.answering import answered_by
from nwb_dask.cli.arguments import output_options, source_argument, source_options


@click.command
@source_argument
@source_options
@output_options
@answered_by("info")
def command() -> None:
    """Show what files hold: session, subject, tables, series.

    One row per file. `tables` says which tables and series these are, `metadata` has all fields.
    """
