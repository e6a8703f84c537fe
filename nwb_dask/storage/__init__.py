"""Bytes of files, wherever they are: URL in, byte ranges out. Knows nothing of HDF5, Zarr or NWB.

============= ===============================================================================
access        how to reach files: options, and the process-wide registry that holds the secrets
urls          names of URLs without what is secret in them
sources       paths, URLs, globs, folders -> one (name, url) per file
named         a file and its name, and frozen lists of them
globs         pure: what a glob matches, and which files are wanted
listing       what a bucket holds
dandi_url     pure: what a URL of an archive says
dandi_access  which API it is, and which key it may see
dandi_api     questions to the API
dandi_listing URL of an archive -> its assets
store         `open_store`: one open file, read by ranges
folder        what an open folder of many small files can do
local         `os.pread`
remote        everything else: rounds of ranged requests pinned to one version of the file
coalesce      pure: ranges -> requests, and back
concurrency   requests at once, bounded for each server, and what is left after a fork
retry         which failures are tried again, when, and until when
faults        what a failed request means, as an error of ours
engines/      who fetches the bytes: a protocol, and one module per library
connections   kept connections to http(s) servers
clients       kept clients of obstore
credentials   S3: who asks, and where the bucket is
clouds        Google and Azure: the same
blocks        a file object over a store, for h5py
durable       changes of the local file system that survive a loss of power
exchange      two local folders change places in one step
trace         counts what was read
============= ===============================================================================
"""

from __future__ import annotations

from nwb_dask.storage.access import Access, export_secrets, import_secrets, make_access
from nwb_dask.storage.blocks import BlockFile
from nwb_dask.storage.coalesce import Buffer
from nwb_dask.storage.dandi_url import asset_link, split_pinned
from nwb_dask.storage.engines import Driver
from nwb_dask.storage.folder import Folder, KeyRange
from nwb_dask.storage.globs import Choice, Order, make_choice
from nwb_dask.storage.local import is_settled, is_unchanged
from nwb_dask.storage.named import Named, Sources
from nwb_dask.storage.sources import expand_sources
from nwb_dask.storage.store import Store, open_store
from nwb_dask.storage.trace import Trace, trace
from nwb_dask.storage.urls import display_url, is_local, local_path

__all__ = [
    "Access",
    "BlockFile",
    "Buffer",
    "Choice",
    "Driver",
    "Folder",
    "KeyRange",
    "Named",
    "Order",
    "Sources",
    "Store",
    "Trace",
    "asset_link",
    "display_url",
    "expand_sources",
    "export_secrets",
    "import_secrets",
    "is_local",
    "is_settled",
    "is_unchanged",
    "local_path",
    "make_access",
    "make_choice",
    "open_store",
    "split_pinned",
    "trace",
]
