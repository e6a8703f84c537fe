"""Bytes of files, wherever they are: URL in, byte ranges out. Knows nothing of HDF5, Zarr or NWB.

=============== =================================================================================
access          how to reach files: options, and the process-wide registry that holds the secrets
urls            names of URLs without what is secret in them
sources         paths, URLs, globs, folders -> one (name, url) per file
named           a file and its name, and frozen lists of them
globs           pure: what a glob matches, and which files are wanted
listing         what a bucket holds
dandi_url       pure: what a URL of an archive says
dandi_access    which API it is, and which key it may see
dandi_api       questions to the API
dandi_listing   URL of an archive -> its assets
target          a folder or a bucket to write to, by key
store           `open_store`: one open file, read by ranges, or one folder, read by keys
folder          what an open folder of many small files can do
keys            pure: names in folders, and which of them say what is there
local           `os.pread`
allowed         files that other files name, below folders that the user allows
reached         pure: the versions of such files as a part of the version of what leads to them
local_folder    the same, one file per key
folder_identity which version of a local folder is there
remote          everything else: rounds of ranged requests pinned to one version of the file
remote_folder   the same, one object per key
one_value       one of these, with servers of all kinds
dandi_folder    the same of an archive, whose API says where they are
zip_folder      the same in a ZIP file
folder_listing  what a bucket holds of one folder
folder_url      pure: which URLs are of folders, and where their values are
root_versions   pure: the version of a remote folder
key_plan        pure: keys -> requests, and back
coalesce        pure: ranges -> requests, and back
concurrency     requests at once, bounded for each server, and what is left after a fork
retry           which failures are tried again, when, and until when
file_object     a file that the user has open already
faults          what a failed request means, as an error of ours
engines/        who fetches the bytes: a protocol, and one module per library
hosts           pure: which servers a file may name
connections     kept connections to http(s) servers
clients         kept clients of obstore
credentials     S3: who asks, and where the bucket is
clouds          Google and Azure: the same
blocks          a file object over a store, for h5py
durable         changes of the local file system that survive a loss of power
exchange        two local folders change places in one step
url_keys        one name for a URL, however it is signed
disk            folders in which processes keep files for each other
chunk_cache     bytes of remote files in such a folder
kept            what is in it of one file, as one reader sees that
kept_values     what is in it of the values of a folder
chunk_file      one range of one version, in pages that are checked
seen            what a server said of a file when it was seen last
freshness       pure: how long that may be believed (RFC 9111)
cover           pure: which bytes are there, and which requests the rest takes
trace           counts what was read
=============== =================================================================================
"""

from __future__ import annotations

from nwb_dask.storage.access import Access, export_secrets, find_remap, import_secrets, limit_access, make_access
from nwb_dask.storage.allowed import AllowedStore, open_allowed, open_allowed_folder
from nwb_dask.storage.blocks import BlockFile
from nwb_dask.storage.chunk_cache import ChunkCache, chunk_cache
from nwb_dask.storage.coalesce import Buffer
from nwb_dask.storage.concurrency import begin
from nwb_dask.storage.dandi_url import asset_link, split_pinned
from nwb_dask.storage.engines import Driver
from nwb_dask.storage.faults import refusal
from nwb_dask.storage.file_object import is_file_object, open_object
from nwb_dask.storage.folder import Folder, KeyPlace, KeyRange
from nwb_dask.storage.globs import Choice, Order, make_choice
from nwb_dask.storage.hosts import (
    LOOPBACK,
    PUBLIC_STORES,
    allows,
    is_exact,
    is_link_local,
    matches,
    origin_of,
    server_name,
)
from nwb_dask.storage.keys import ZARR_ROOTS
from nwb_dask.storage.local import LocalStore, is_settled
from nwb_dask.storage.named import HasFiles, Named, Sources
from nwb_dask.storage.reached import ABSENT, path_key, reached_from, version_of, with_reached
from nwb_dask.storage.sources import expand_sources
from nwb_dask.storage.store import Store, is_unchanged, open_bytes, open_store
from nwb_dask.storage.trace import Trace, trace
from nwb_dask.storage.urls import display_url, is_local, local_path
from nwb_dask.storage.urls import scheme as url_scheme

__all__ = [
    "ABSENT",
    "LOOPBACK",
    "PUBLIC_STORES",
    "ZARR_ROOTS",
    "Access",
    "AllowedStore",
    "BlockFile",
    "Buffer",
    "Choice",
    "ChunkCache",
    "Driver",
    "Folder",
    "HasFiles",
    "KeyPlace",
    "KeyRange",
    "LocalStore",
    "Named",
    "Order",
    "Sources",
    "Store",
    "Trace",
    "allows",
    "asset_link",
    "begin",
    "chunk_cache",
    "display_url",
    "expand_sources",
    "export_secrets",
    "find_remap",
    "import_secrets",
    "is_exact",
    "is_file_object",
    "is_link_local",
    "is_local",
    "is_settled",
    "is_unchanged",
    "limit_access",
    "local_path",
    "make_access",
    "make_choice",
    "matches",
    "open_allowed",
    "open_allowed_folder",
    "open_bytes",
    "open_object",
    "open_store",
    "origin_of",
    "path_key",
    "reached_from",
    "refusal",
    "server_name",
    "split_pinned",
    "trace",
    "url_scheme",
    "version_of",
    "with_reached",
]
