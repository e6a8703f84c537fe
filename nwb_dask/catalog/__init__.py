"""What has been learned about files and is worth keeping: here, for the life of the process."""

from __future__ import annotations

from nwb_dask.catalog.recent import Recent, clear, recent_tables

__all__ = ["Recent", "clear", "recent_tables"]
