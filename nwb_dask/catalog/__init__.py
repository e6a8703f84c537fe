"""What has been learned about files and is worth keeping.

========= ==========================================================================
recent    descriptions of tables, small values and records, for the life of the process
cache     `IndexCache`: what was parsed, on disk, shared by processes
merge     what is known here and what is kept already, as one file
lazy      mappings that read from the cache what they are asked for
indexfile one file: table, blocks, digests
parts     groups, datasets and chunk manifests as bytes
serialize values as bytes
listing   the folder as a whole: its list and its bound
memory    what this process has used last
shared/   catalogs of many files, for everybody: Parquet in a folder or a bucket
========= ==========================================================================
"""

from __future__ import annotations

from nwb_dask.catalog.cache import IndexCache, index_bytes, index_cache, index_key
from nwb_dask.catalog.recent import Recent, clear, recent_records, recent_tables, recent_values
from nwb_dask.storage.disk import Entry

__all__ = [
    "Entry",
    "IndexCache",
    "Recent",
    "clear",
    "index_bytes",
    "index_cache",
    "index_key",
    "recent_records",
    "recent_tables",
    "recent_values",
]
