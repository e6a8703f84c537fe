"""What to read, as values: predicates, pieces, partitions, scans and slabs. Pure."""

from __future__ import annotations

from nwb_dask.plan.partition import Partition, Piece
from nwb_dask.plan.scan import Scan
from nwb_dask.plan.slab import Selection, Slab

__all__ = ["Partition", "Piece", "Scan", "Selection", "Slab"]
