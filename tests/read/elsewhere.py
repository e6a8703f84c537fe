"""A table with rates and times that stands in another file or store, as every engine reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

import nwb_dask
import nwb_dask.dataframe as dd

ENDS = (2, 2, 5, 6, 8, 9)
"""Of the times of each row, which are 0, 1, 2 ..."""


def compare_engines(main: Path, allowed: dict[str, object]) -> None:
    """Read ``/units`` of a session, filtered by its rates 0, 2.5, 5 ..."""
    times = np.split(np.arange(9.0), ENDS[:-1])
    pandas = nwb_dask.read_table(main, "/units", engine="pandas", storage_options=allowed)
    lazy = dd.read_nwb(main, "/units", storage_options=allowed)
    polars = nwb_dask.scan_nwb(main, "/units", storage_options=allowed)
    chosen = {
        "pandas": pandas[pandas.rate > 4],
        "dask": lazy[lazy.rate > 4].compute(scheduler="threads"),
        "polars": polars.filter(pl.col("rate") > 4).collect().to_pandas(),
    }
    for name, frame in chosen.items():
        assert frame["rate"].tolist() == [5, 7.5, 10, 12.5], name
        assert [list(one) for one in frame["times"]] == [list(one) for one in times[2:]], name
