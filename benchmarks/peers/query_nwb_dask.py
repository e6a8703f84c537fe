"""nwb_dask: `scan_nwb`, `sql` and `read_metadata`.

The way ``cold`` forgets what is known of the files before each question, in this process and on disk; ``warm`` has
asked the same before.
"""

from __future__ import annotations

import polars as pl

import nwb_dask
import nwb_dask.catalog
from benchmarks.peers.contest import Way, serve
from benchmarks.peers.query_contest import Engine, Files, digest_rows


def read_metadata(files: Files) -> pl.DataFrame:
    """Return one row per session."""
    return nwb_dask.read_metadata(files, "polars")


def ask(files: Files, query: str) -> pl.LazyFrame:
    """Return the answer to a query in SQL."""
    return nwb_dask.sql(query, files)


def forget() -> None:
    """Drop what nwb_dask keeps in memory and on disk."""
    nwb_dask.catalog.clear()
    cache = nwb_dask.catalog.index_cache()
    if isinstance(cache, nwb_dask.catalog.IndexCache):
        cache.clear()


if __name__ == "__main__":
    engine = Engine(nwb_dask.scan_nwb, ask, read_metadata)
    warm = Way(engine.queries(), engine.columns)
    cold = Way(engine.queries(), engine.columns, forget)
    serve({"cold": cold, "warm": warm}, ["polars", "pyarrow", "numpy", "obstore"], digest_of=digest_rows)
