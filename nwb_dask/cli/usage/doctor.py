"""``nwb-dask doctor``: whether the installation, the options, the cache and a source are as they should be."""

from __future__ import annotations

import click

from nwb_dask.cli.answering import answered_by
from nwb_dask.cli.arguments import output_options, source_options


@click.command
@click.argument("source", nargs=-1)
@click.option("--scheduler", metavar="ADDRESS", help="Compare the versions of a cluster that runs: tcp://host:8786.")
@source_options
@output_options
@answered_by("doctor")
def command() -> None:
    """Check versions, options, the cache, a source, and a cluster.

    With SOURCE, its first file is opened, which tells whether it can be reached and how fast. With --scheduler, the
    versions of a cluster are compared with those here. The exit code is 3 if a check fails. Secrets are not shown.
    """
