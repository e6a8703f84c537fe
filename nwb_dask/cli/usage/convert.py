"""``nwb-dask convert``: tables and series in formats that other tools read."""

from __future__ import annotations

from pathlib import Path

import click

from nwb_dask.cli.answering import answered_by
from nwb_dask.cli.arguments import source_argument, source_options, types_option

FORMATS = ("parquet", "ipc", "csv", "jsonl", "delta", "excel", "zarr")
LAYOUTS = ("hive", "one")
REPORTS = ("table", "json", "jsonl", "csv")


@click.command
@source_argument
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "-f",
    "format_",
    type=click.Choice(FORMATS),
    default="parquet",
    show_default=True,
    help="What is written; zarr is for series, the others for tables.",
)
@click.option("--tables", multiple=True, metavar="PATH", help="Only these; a path or a glob; may be repeated.")
@click.option("--exclude", multiple=True, metavar="PATH", help="Not these tables or columns; may be repeated.")
@click.option("--layout", type=click.Choice(LAYOUTS), help="A file for each session, or one.  [default: hive]")
@types_option
@click.option("--overwrite", is_flag=True, help="Replace the output of an earlier conversion.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Finish a run that was broken off.")
@click.option("--report", type=click.Choice(REPORTS), help="Print the files that were written, as this.")
@source_options
@answered_by("convert")
def command() -> None:
    """Write tables and series in formats that other tools read.

    OUT is a folder, which appears when it is complete; a run that was broken off is finished by the same call. Series
    are written as tables if --tables names them. A line on stderr says what was written; with --report stdout has
    one row per file.
    """
