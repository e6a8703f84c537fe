"""``python -m nwb_dask`` is ``nwb-dask``."""

from __future__ import annotations

from nwb_dask.cli import main

main()
