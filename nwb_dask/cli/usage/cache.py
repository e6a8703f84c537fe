"""``nwb-dask cache``: what is kept of remote files."""

from __future__ import annotations

import click

from nwb_dask.cli.answering import answered_by
from nwb_dask.cli.arguments import output_options

_which = click.option(
    "--indexes/--chunks",
    "is_index",
    default=None,
    help="Only one of the two.  [default: both]",
)


@click.group
def command() -> None:
    """Show or clear what is kept of remote files.

    Indexes, which say what is in a file, are kept in NWB_DASK_CACHE_DIR, or in the user's cache folder, unless
    NWB_DASK_CACHE=off. Chunks of bytes are kept in NWB_DASK_CHUNK_CACHE_DIR, or beside the indexes, if
    NWB_DASK_CHUNK_CACHE=on.
    """


@command.command
@_which
@click.option(
    "--files", "is_listing", is_flag=True, help="One row per file of which something is kept, used last first."
)
@output_options
@answered_by("cache", "show")
def info() -> None:
    """Show where the caches are and how large."""


@command.command
@_which
@answered_by("cache", "clear")
def clear() -> None:
    """Forget everything that is kept of remote files."""


@command.command
@click.option("--indexes/--chunks", "is_index", default=True, help="Of which.")
@answered_by("cache", "print_path")
def path() -> None:
    """Print the folder of a cache."""
