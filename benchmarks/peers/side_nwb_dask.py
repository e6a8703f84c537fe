"""nwb_dask under lazynwb's names, for the comparison side by side."""

from __future__ import annotations

from importlib.metadata import version

import nwb_dask
from benchmarks.peers.side_contest import archive, serve
from nwb_dask.compat import lazynwb

if __name__ == "__main__":
    with nwb_dask.options(dandi_api=archive()["api"]):
        serve(lazynwb, {name: version(name) for name in ("polars", "pandas", "h5py")})
