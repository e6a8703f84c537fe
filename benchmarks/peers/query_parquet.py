"""polars on Parquet copies of the same tables: a file per session, in a folder that names it, and one file for all.

polars keeps nothing of the files from one query to the next, so that ``cold`` is ``warm``.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from benchmarks.peers.contest import Way, serve
from benchmarks.peers.query_contest import METADATA, UNITS, Engine, Files, digest_rows, parquet_path


def scan_sessions(files: Files, table: str) -> pl.LazyFrame:
    """Return a table that has a file for each session."""
    return pl.scan_parquet([parquet_path(file, table) for file in files], hive_partitioning=True)


def scan_whole(files: Files, table: str) -> pl.LazyFrame:
    """Return a table that is one file."""
    return pl.scan_parquet(parquet_path(files[0], table, is_whole=True))


def way(scan: Callable[[Files, str], pl.LazyFrame]) -> Way:
    """Return the queries over what `scan` finds."""

    def ask(files: Files, query: str) -> pl.LazyFrame:
        return pl.SQLContext(units=scan(files, UNITS)).execute(query)

    engine = Engine(scan, ask, lambda files: scan(files, METADATA), key="session")
    return Way(engine.queries(), engine.columns)


if __name__ == "__main__":
    serve({"per session": way(scan_sessions), "one file": way(scan_whole)}, ["polars"], digest_of=digest_rows)
