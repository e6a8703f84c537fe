"""``nwb-dask cache``: what is known of remote files."""

from __future__ import annotations

import click

from nwb_dask.cli.answering import answered_by
from nwb_dask.cli.arguments import output_options


@click.group
def command() -> None:
    """Show or clear what is known of remote files.

    It is kept in NWB_DASK_CACHE_DIR, or in the user's cache folder, unless NWB_DASK_CACHE=off.
    """


@command.command
@click.option("--files", "is_listing", is_flag=True, help="One row per file that is known, used last first.")
@output_options
@answered_by("cache", "show")
def info() -> None:
    """Show where the cache is and how large."""


@command.command
@answered_by("cache", "clear")
def clear() -> None:
    """Forget everything that is known of remote files."""


@command.command
@answered_by("cache", "print_path")
def path() -> None:
    """Print the folder of the cache."""
