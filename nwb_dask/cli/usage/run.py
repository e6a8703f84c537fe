"""``nwb-dask run``: a function of the user's for each session."""

from __future__ import annotations

import click

from nwb_dask.cli.answering import answered_by
from nwb_dask.cli.arguments import run_options, settings_option, source_argument

ERRORS = ("quarantine", "raise")


@click.command
@click.argument("function", metavar="MODULE:FUNCTION")
@source_argument
@click.option("--out", "-o", required=True, metavar="DIR", help="A folder, or one in a bucket, for the results.")
@settings_option
@click.option("--session-column", multiple=True, metavar="NAME", help="Metadata that the rows carry: subject_id.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Leave what is there and still holds.")
@click.option(
    "--errors",
    type=click.Choice(ERRORS),
    default="quarantine",
    show_default=True,
    help="Sessions that fail: listed and left out, with exit code 4, or the end of the run.",
)
@run_options
@answered_by("run")
def command() -> None:
    """Call a function for each session of many files.

    What it returns is written as Parquet. MODULE:FUNCTION is imported from the current folder or from what is
    installed; a file, analysis.py:function, will do too. It is called with what nwb_dask.open_nwb gives, and returns a
    frame, a dict, or a plain value. Without --scheduler and --workers it runs in threads. A run that was broken off is
    finished by the same call. `nwb-dask report DIR` shows what failed.
    """
