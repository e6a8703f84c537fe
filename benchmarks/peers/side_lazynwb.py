"""lazynwb itself, for the comparison side by side."""

from __future__ import annotations

from importlib.metadata import version

import lazynwb
import lazynwb.dandi

from benchmarks.peers.side_contest import archive, serve

if __name__ == "__main__":
    # The module's own; that of the package stays as it is.
    lazynwb.dandi.DANDI_API_BASE = archive()["api"]
    serve(lazynwb, {name: version(name) for name in ("lazynwb", "polars", "pandas", "h5py")})
