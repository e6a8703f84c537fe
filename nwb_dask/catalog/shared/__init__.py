"""The shareable catalog: what many files hold, as a Parquet dataset in a folder or a bucket.

======== ==================================================================
layout   the tables and their columns
manifest which parts count, replaced as a whole
parts    tables as immutable Parquet files
indexes  where indexes of files are, each read by itself
dataset  `SharedCatalog`: an open one, whose tables are read when needed
======== ==================================================================
"""

from __future__ import annotations

from nwb_dask.catalog.shared.dataset import SharedCatalog, open_shared
from nwb_dask.catalog.shared.indexes import StoredIndexes
from nwb_dask.catalog.shared.layout import LAYOUT, MANIFEST, SESSIONS
from nwb_dask.catalog.shared.manifest import Manifest, Part, find_manifest, read_manifest, write_manifest
from nwb_dask.catalog.shared.parts import is_part, write_tables

__all__ = [
    "LAYOUT",
    "MANIFEST",
    "SESSIONS",
    "Manifest",
    "Part",
    "SharedCatalog",
    "StoredIndexes",
    "find_manifest",
    "is_part",
    "open_shared",
    "read_manifest",
    "write_manifest",
    "write_tables",
]
