"""polars on Parquet copies of the same tables, one file per session (see `benchmarks.parquet_copies`)."""

from __future__ import annotations

import polars as pl

from benchmarks.parquet_copies import parquet_path
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
    return pl.scan_parquet([parquet_path(file, table) for file in files])


if __name__ == "__main__":
    serve(
        {
            "polars": Way(
                {"units": read_units, "spikes": read_spikes, "trials": read_trials}, lambda frame: frame.to_dict()
            )
        },
        ["polars", "pyarrow"],
    )
