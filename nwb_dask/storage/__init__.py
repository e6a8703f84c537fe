"""Bytes of files, wherever they are: URL in, byte ranges out. Knows nothing of HDF5, Zarr or NWB.

========== =================================================================================
access     how to reach files: options, and the process-wide registry that holds the secrets
urls       names of URLs without what is secret in them
sources    paths, URLs, globs, folders -> one (name, url) per file
store      `open_store`: one open file, read by ranges
local      `os.pread`
remote     http(s) and s3: ranged GETs pinned to one version of the file
clients    connections, credentials and the thread pool of this process
faults     what a failed request means, as an error of ours
coalesce   pure: ranges -> requests, and back
blocks     a file object over a store, for h5py
trace      counts what was read
========== =================================================================================
"""

from __future__ import annotations

from nwb_dask.storage.access import Access, export_secrets, import_secrets, make_access
from nwb_dask.storage.blocks import BlockFile
from nwb_dask.storage.coalesce import Buffer
from nwb_dask.storage.sources import Named, expand_sources
from nwb_dask.storage.store import Store, open_store
from nwb_dask.storage.trace import Trace, trace
from nwb_dask.storage.urls import display_url

__all__ = [
    "Access",
    "BlockFile",
    "Buffer",
    "Named",
    "Store",
    "Trace",
    "display_url",
    "expand_sources",
    "export_secrets",
    "import_secrets",
    "make_access",
    "open_store",
    "trace",
]
