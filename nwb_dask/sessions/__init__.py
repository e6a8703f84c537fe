"""A function of one session over many sessions, on a cluster or in threads; what fails is listed, not lost.

=========== =======================================================================
collection  `map_sessions`, and what it returns
fingerprint what a function and its arguments are, as a digest
task        one session: opened, given to the function, written
rows        what a function returns, as rows; one schema for all
failures    what may be said of an error, and whether it may pass
pools       who does the jobs: threads
cluster     who does the jobs: workers of dask
run         jobs tried again, and given up
writing     `to_parquet`: what is there, what is missing
records     what is kept beside the result
report      what `to_parquet` and `read_report` return
=========== =======================================================================
"""

from __future__ import annotations

from nwb_dask.sessions.collection import MappedSessions, map_sessions
from nwb_dask.sessions.records import Quarantined, Record
from nwb_dask.sessions.report import Report, read_report

__all__ = ["MappedSessions", "Quarantined", "Record", "Report", "map_sessions", "read_report"]
