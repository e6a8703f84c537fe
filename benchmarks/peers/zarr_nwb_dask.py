"""nwb_dask: the same question as `zarr_by_hand`, through `read_table`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import nwb_dask
from benchmarks.peers.remote_nwb_dask import modules
from benchmarks.peers.zarr_contest import Asked, serve


def read(asked: Asked) -> Iterator[object]:
    """Yield the spikes of each unit of the shanks that are asked for."""
    filters = [("shank", "in", list(asked.shanks))]
    table = nwb_dask.read_table(asked.url, "/units", "arrow", columns=["spike_times"], filters=filters)
    for one in table.column("spike_times"):
        yield one.values.to_numpy(zero_copy_only=False)


if __name__ == "__main__":
    for name in (*modules(), "nwb_dask.adapters.eager", "nwb_dask.adapters.arrow_predicate"):
        import_module(name)
    serve(read)
