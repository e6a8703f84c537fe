"""Dask DataFrames over NWB tables.

=========== ==================================================================================
collection  `read_nwb`: sources in, Dask DataFrame out
accessor    ``df.nwb``: what an expression will read
explain     the report of it
expr        the read as a dask expression, and what can move into it
pushdown    when it may
predicate   dask's expressions -> the predicate algebra
task        what a task does
register    what dask must know of our types
_compat     the only import of dask's private API
=========== ==================================================================================
"""

from __future__ import annotations

from nwb_dask.adapters.dask_frame import register as _register  # noqa: F401  # dask learns our types by importing it
from nwb_dask.adapters.dask_frame.accessor import NWBAccessor
from nwb_dask.adapters.dask_frame.collection import frame_of_scan, read_nwb
from nwb_dask.adapters.dask_frame.expr import ReadNWB

__all__ = ["NWBAccessor", "ReadNWB", "frame_of_scan", "read_nwb"]
