"""Tools for tests of nwb_dask and of what is built on it.

======= ==========================================================================
server  an HTTP server in this process: ranges, counters, delays, failures
======= ==========================================================================
"""

from __future__ import annotations

from nwb_dask.testing.server import Fault, RangeServer, Request

__all__ = ["Fault", "RangeServer", "Request"]
