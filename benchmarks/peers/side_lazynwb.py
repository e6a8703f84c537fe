"""lazynwb itself, for the comparison side by side."""

from __future__ import annotations

from importlib.metadata import version

import lazynwb

from benchmarks.peers.side_contest import serve

if __name__ == "__main__":
    serve(lazynwb, {name: version(name) for name in ("lazynwb", "polars", "pandas", "h5py")})
