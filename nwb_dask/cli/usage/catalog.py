"""``nwb-dask catalog``: what many files hold, written down once and shared."""

from __future__ import annotations

import click

from nwb_dask.cli.answering import answered_by
from nwb_dask.cli.arguments import output_options, source_argument, source_options

_catalog = click.argument("catalog")
_building = (
    click.option("--anew", is_flag=True, help="Describe every file again, whatever a catalog there says."),
    click.option("--statistics/--no-statistics", default=True, show_default=True, help="Read values of light columns."),
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Of a dask cluster, whose workers describe the files.  [default: threads]",
    ),
)


def _build_options(command: click.decorators.FC) -> click.decorators.FC:
    for option in reversed(_building):
        command = option(command)
    return command


@click.group
def command() -> None:
    """Write, update and search catalogs of many files.

    A catalog is a folder, or a prefix of a bucket, of Parquet files. It can be given as SOURCE to every command, which
    then plans without opening a file: its folder, or the URL of its nwb_dask_catalog.json.
    """


@command.command
@source_argument
@click.argument("out")
@_build_options
@source_options
@answered_by("catalog", "build")
def build() -> None:
    """Write what files hold as a catalog.

    What a catalog at OUT says of files that have not changed is taken over; a run that was broken off is finished by
    the same call. Files that cannot be read are listed with the error (exit 4).
    """


@command.command
@_catalog
@click.argument("more", metavar="[SOURCE]...", nargs=-1)
@_build_options
@source_options
@answered_by("catalog", "update")
def update() -> None:
    """Look again at what a catalog was built from, and at other SOURCEs.

    Folders, globs and prefixes are listed anew: files that are new are added, and those that are gone are dropped.
    Of the others those are opened that have changed or have failed before.
    """


@command.command
@_catalog
@click.option("--area", multiple=True, help="A brain area; may be repeated: any of them.")
@click.option("--has", multiple=True, metavar="PATH", help="A table, series or type; may be repeated: all of them.")
@click.option("--min-units", type=click.IntRange(min=0), metavar="N", help="At least so many units.")
@click.option("--subject", multiple=True, help="subject_id, or a glob; may be repeated.")
@click.option("--species", multiple=True, help="Or a glob; may be repeated.")
@click.option("--where", multiple=True, metavar="NAME=VALUE", help="Another column of sessions; may be repeated.")
@click.option("--columns", multiple=True, metavar="NAME", help="Of the answer.  [default: those with the path]")
@source_options
@output_options
@answered_by("catalog", "find")
def find() -> None:
    """List the sessions of a catalog that have what is asked for, one row per file."""


@command.command
@_catalog
@click.option("--failed", "is_listing", is_flag=True, help="One row per file that could not be read, with the error.")
@source_options
@output_options
@answered_by("catalog", "info")
def info() -> None:
    """Show how much a catalog holds."""
