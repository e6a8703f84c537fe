"""Executes plans: opens files, describes their tables, and reads partitions into Arrow tables."""

from __future__ import annotations

from nwb_dask.read.kept import KeptValues
from nwb_dask.read.scan import checked_label, checked_names, scan_sources
from nwb_dask.read.table import MaskFunction, read_partition, read_scan
from nwb_dask.read.trust import read_trusting

__all__ = [
    "KeptValues",
    "MaskFunction",
    "checked_label",
    "checked_names",
    "read_partition",
    "read_scan",
    "read_trusting",
    "scan_sources",
]
