"""Zarr stores, v2 and v3: an own parser of their documents and an own chunk reader.

=========== ====================================================================================
file        `ZarrFile`: one open store
hierarchy   fetches all documents, consolidated or listed
parse       their JSON -> descriptions; checks, dtypes and fill are its parts
documents   what they say: `ArrayDocument`, `GroupDocument`
meaning     what a writer's convention has to say of them, and what needs none
hdmf        the conventions of hdmf-zarr
tree        paths and links -> `FileIndex`; describe: one array as an entry
grid        which chunks hold what is wanted
reading     many arrays at once; raw: parts of chunks that are stored as they are
shards      chunks inside shards; shard_index: where they are
pipeline    stored bytes -> elements; codecs, objects and pickles are its parts
room        what is declared and was never written
recent      documents that this process has read
=========== ====================================================================================
"""

from __future__ import annotations

from nwb_dask.backends.zarr.describe import describe_array
from nwb_dask.backends.zarr.documents import ArrayDocument, GroupDocument
from nwb_dask.backends.zarr.file import ZarrFile
from nwb_dask.backends.zarr.hierarchy import KeySource
from nwb_dask.backends.zarr.meaning import ArrayMeaning, Convention, GroupMeaning
from nwb_dask.backends.zarr.parse import parse_array_v2

__all__ = [
    "ArrayDocument",
    "ArrayMeaning",
    "Convention",
    "GroupDocument",
    "GroupMeaning",
    "KeySource",
    "ZarrFile",
    "describe_array",
    "parse_array_v2",
]
