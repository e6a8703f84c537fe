"""lazynwb: `scan_nwb`, `get_sql_context` and `get_metadata_df`.

Its catalog in SQLite and its open files stay for the way ``warm``. All sessions share a schema; one file tells it,
which spares lazynwb the others.
"""

from __future__ import annotations

import lazynwb
import polars as pl

from benchmarks.peers.contest import Way, serve
from benchmarks.peers.query_contest import Engine, Files, digest_rows
from benchmarks.peers.remote_lazynwb import allow_http
from benchmarks.peers.with_lazynwb import forget


def scan(files: Files, table: str) -> pl.LazyFrame:
    """Return a table of all files."""
    found: pl.LazyFrame = lazynwb.scan_nwb(files, table, infer_schema_length=1, disable_progress=True)
    return found


def ask(files: Files, query: str) -> pl.LazyFrame:
    """Return the answer to a query in SQL; only the table that it names is looked for."""
    context = lazynwb.get_sql_context(files, table_names=["units"], infer_schema_length=1, disable_progress=True)
    found: pl.LazyFrame = context.execute(query)
    return found


def read_metadata(files: Files) -> pl.DataFrame:
    """Return one row per session, in any order."""
    found: pl.DataFrame = lazynwb.get_metadata_df(files, disable_progress=True, as_polars=True)
    return found


if __name__ == "__main__":
    allow_http()
    engine = Engine(scan, ask, read_metadata, age="age")
    warm = Way(engine.queries(), engine.columns)
    cold = Way(engine.queries(), engine.columns, forget)
    serve({"cold": cold, "warm": warm}, ["lazynwb", "polars"], digest_of=digest_rows)
