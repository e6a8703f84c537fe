"""``nwb-dask index``: what is known of remote files, found out ahead of reading them, or written for other tools."""

from __future__ import annotations

import click

from nwb_dask.cli.answering import answered_by
from nwb_dask.cli.arguments import output_options_with, source_argument, source_options

REFERENCES = {
    "lindi": ".lindi.json",
    "kerchunk-json": ".kerchunk.json",
    "kerchunk-parquet": ".kerchunk.parquet",
    "icechunk": ".icechunk",
}
"""Formats of references, and the ends of names that choose them."""
REPORTS = ("table", "json", "jsonl", "csv")


@click.command
@source_argument
@click.option("--url", metavar="URL", help="Of references: what they name the file, where readers find the same bytes.")
@click.option("--group", metavar="PATH", help="Of kerchunk and icechunk: only the arrays of this group.")
@click.option(
    "--max-chunks",
    type=click.IntRange(min=0),
    metavar="N",
    help="Of LINDI: datasets of more chunks are linked; 0: no bound.  [default: 1000]",
)
@click.option("--report", type=click.Choice(REPORTS), help="Print which references were written, as this.")
@source_options
@output_options_with(REFERENCES, "How rows are given  [default: table], or the format of references.")
@answered_by("index")
def command() -> None:
    """Learn what remote files hold, ahead of reading them.

    Structure, tables and small values are kept in the cache, so that later reads, of any process, ask for data at
    once. One row per file: built, extended, known (nothing new), local (needs none), or unkept (the server tells no
    versions), how many tables and series it has, and what is kept of it.

    With --format lindi, kerchunk-json, kerchunk-parquet or icechunk, -o is a file or folder of references: LINDI and
    Neurosift, or xarray, VirtualiZarr and icechunk open it in place of the file. Several sources are written into a
    folder.
    """
