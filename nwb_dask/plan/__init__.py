"""What to read, as values: predicates, pieces, partitions and scans. Pure."""

from __future__ import annotations

from nwb_dask.plan.partition import Partition, Piece
from nwb_dask.plan.scan import Scan

__all__ = ["Partition", "Piece", "Scan"]
