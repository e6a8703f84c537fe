"""nwb_dask: `read_table` for pandas and polars, and Dask on threads, unoptimized by the user and optimized.

The ways ``first time`` forget all descriptions of files before each round, so that every round opens, describes
and reads; ``index known`` keeps them, as in a session that asks the same files a second question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import pandas as pd
import polars as pl

import nwb_dask
import nwb_dask.catalog
import nwb_dask.dataframe as dd
from benchmarks.peers.contest import (
    PRESENCE_RATIO,
    QUALITY,
    SPIKE_COLUMNS,
    START_TIME,
    TRIAL_COLUMNS,
    UNIT_COLUMNS,
    Query,
    Way,
    serve,
)

GOOD = [("quality", "==", QUALITY), ("presence_ratio", ">", PRESENCE_RATIO)]
LATER = [("start_time", ">", START_TIME)]

TABLES: dict[Query, str] = {"units": "/units", "spikes": "/units", "trials": "/intervals/trials"}
COLUMNS: dict[Query, tuple[str, ...]] = {"units": UNIT_COLUMNS, "spikes": SPIKE_COLUMNS, "trials": TRIAL_COLUMNS}


def read_eagerly(files: list[str], *, query: Query, engine: Literal["pandas", "polars"]) -> pd.DataFrame | pl.DataFrame:
    """Return the answer through `nwb_dask.read_table`, without the path columns that nobody else reads."""
    return nwb_dask.read_table(
        files,
        TABLES[query],
        engine,
        columns=COLUMNS[query],
        filters=LATER if query == "trials" else GOOD,
        include_path_columns=False,
    )


def read_lazily(files: list[str], *, query: Query, optimize: bool) -> pd.DataFrame:
    """Return the answer as a Dask user writes it, computed on the threaded scheduler."""
    df = dd.read_nwb(files, TABLES[query])
    rows = (
        df.start_time > START_TIME
        if query == "trials"
        else (df.quality == QUALITY) & (df.presence_ratio > PRESENCE_RATIO)
    )
    chosen = df[rows][list(COLUMNS[query])]
    if optimize:
        chosen = chosen.optimize()
    frame: pd.DataFrame = chosen.compute(scheduler="threads")
    return frame


def _way(read: Callable[..., Any]) -> Way:
    return Way({query: partial(read, query=query) for query in TABLES}, _columns)


def _columns(frame: pd.DataFrame | pl.DataFrame) -> Mapping[str, Any]:
    return {name: list(frame[name]) for name in frame.columns}


WAYS = {
    "read_table pandas": _way(partial(read_eagerly, engine="pandas")),
    "read_table polars": _way(partial(read_eagerly, engine="polars")),
    "dask threads": _way(partial(read_lazily, optimize=False)),
    "dask threads optimized": _way(partial(read_lazily, optimize=True)),
}


if __name__ == "__main__":
    first = {f"{name}, first time": replace(way, forget=nwb_dask.catalog.clear) for name, way in WAYS.items()}
    known = {f"{name}, index known": way for name, way in WAYS.items()}
    serve(first | known, ["dask", "pandas", "polars", "pyarrow", "h5py"])
