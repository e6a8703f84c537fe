"""What another process does for tests of storage; it loads as little as it can."""

from __future__ import annotations

import pickle

import nwb_dask


def lfp(url: str) -> list[list[float]]:
    """Read a table of more data than are kept with the index."""
    return nwb_dask.read_table(url, "/acquisition/lfp", "arrow", columns=["data"])["data"].to_pylist()  # type: ignore[no-any-return]  # pyarrow says nothing of it


def computed(graph: bytes) -> list[list[float]]:
    """Compute the pickle of a frame of the same column."""
    frame = pickle.loads(graph).compute(scheduler="synchronous")
    return [list(map(float, row)) for row in frame["data"]]
