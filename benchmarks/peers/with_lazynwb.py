"""lazynwb: a polars scan with predicates and projections pushed to the files.

Its catalog of schemas (SQLite) and its open files stay from round to round in the way ``index known``, its best
mode; in ``first time`` both are dropped before each round.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import lazynwb
import polars as pl

from benchmarks.peers.contest import (
    PRESENCE_RATIO,
    QUALITY,
    SPIKE_COLUMNS,
    START_TIME,
    TRIAL_COLUMNS,
    UNIT_COLUMNS,
    Way,
    serve,
)

GOOD = (pl.col("quality") == QUALITY, pl.col("presence_ratio") > PRESENCE_RATIO)


def read_units(files: list[str]) -> pl.DataFrame:
    """Return the columns of the good units."""
    return _scan(files, "/units").filter(*GOOD).select(UNIT_COLUMNS).collect()


def read_spikes(files: list[str]) -> pl.DataFrame:
    """Return the spike times of the good units."""
    return _scan(files, "/units").filter(*GOOD).select(SPIKE_COLUMNS).collect()


def read_trials(files: list[str]) -> pl.DataFrame:
    """Return start and stop of the later trials."""
    return _scan(files, "/intervals/trials").filter(pl.col("start_time") > START_TIME).select(TRIAL_COLUMNS).collect()


def _scan(files: list[str], table: str) -> pl.LazyFrame:
    # All sessions share a schema; one file tells it, which spares lazynwb the others.
    scan: pl.LazyFrame = lazynwb.scan_nwb(files, table, infer_schema_length=1, disable_progress=True)
    return scan


def forget() -> None:
    """Drop what lazynwb keeps in memory and on disk."""
    lazynwb.clear_cache()
    catalog = Path(os.environ["LAZYNWB_CATALOG_CACHE_PATH"])
    for file in catalog.parent.glob(f"{catalog.name}*"):
        file.unlink()


if __name__ == "__main__":
    known = Way({"units": read_units, "spikes": read_spikes, "trials": read_trials}, lambda frame: frame.to_dict())
    serve({"first time": replace(known, forget=forget), "index known": known}, ["lazynwb", "polars"])
