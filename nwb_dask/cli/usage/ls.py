"""``nwb-dask ls``: the files that a source means."""

from __future__ import annotations

import click

from nwb_dask.cli.answering import answered_by
from nwb_dask.cli.arguments import output_options, source_argument, source_options


@click.command
@source_argument
@click.option("--long", "-l", "is_long", is_flag=True, help="Size and version too; asks for each file.")
@source_options
@output_options
@answered_by("ls")
def command() -> None:
    """List the files that a source means.

    Local files must be there. Remote ones that are named without a glob are asked for with --long only. Files of
    other formats are listed too where they are named; `info` opens them. Of a Zarr store, size and version are those
    of its metadata.
    """
