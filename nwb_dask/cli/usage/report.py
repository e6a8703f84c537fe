"""``nwb-dask report``: what failed in a run."""

from __future__ import annotations

import click

from nwb_dask.cli.answering import answered_by
from nwb_dask.cli.arguments import output_options, run_options


@click.command
@click.argument("out_dir", metavar="DIR")
@click.option("--rerun", is_flag=True, help="Call the function again for the sessions that failed, and for no others.")
@run_options
@output_options
@answered_by("run", "answer_report")
def command() -> None:
    """Show what failed in a run, or run that again.

    DIR is what `nwb-dask run` was given as --out. There is one row for each session that failed, and the exit code is
    then 4. --rerun takes the function as it is now, and what has been computed as it is.
    """
