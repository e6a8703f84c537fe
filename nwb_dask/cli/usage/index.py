"""``nwb-dask index``: what is known of remote files, found out ahead of reading them."""

from __future__ import annotations

import click

from nwb_dask.cli.answering import answered_by
from nwb_dask.cli.arguments import output_options, source_argument, source_options


@click.command
@source_argument
@source_options
@output_options
@answered_by("index")
def command() -> None:
    """Learn what remote files hold, ahead of reading them.

    Structure, tables and small values are kept in the cache, so that later reads, of any process, ask for data at
    once. One row per file: built, extended, known (nothing new), local (needs none), or unkept (the server tells no
    versions), how many tables and series it has, and what is kept of it.
    """
