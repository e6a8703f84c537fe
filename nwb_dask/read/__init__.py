"""Executes plans: opens files, describes them, and reads partitions into Arrow tables and slabs into arrays."""

from __future__ import annotations

from nwb_dask.read.batches import read_batches
from nwb_dask.read.kept import KeptValues
from nwb_dask.read.scan import check_choice, checked_label, checked_names, scan_sources
from nwb_dask.read.session_columns import SessionNames
from nwb_dask.read.slab import StoredStamps, read_slab
from nwb_dask.read.table import MaskFunction, read_partition, read_scan
from nwb_dask.read.trust import read_trusting
from nwb_dask.read.warn import warn_skipped, warn_user

__all__ = [
    "KeptValues",
    "MaskFunction",
    "SessionNames",
    "StoredStamps",
    "check_choice",
    "checked_label",
    "checked_names",
    "read_batches",
    "read_partition",
    "read_scan",
    "read_slab",
    "read_trusting",
    "scan_sources",
    "warn_skipped",
    "warn_user",
]
