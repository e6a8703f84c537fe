"""Documents of references: Zarr hierarchies whose keys lead to inline values and to ranges of other files.

========== ===================================================================================
document   pure: the JSON, LINDI's and kerchunk's
values     pure: what stands behind a key
tar        pure: where an entry of LINDI's tar files is
loading    fetches documents, remote ones once in a process and version
noted      what a document notes of the files that it refers to: versions, and places beside it
policy     which files a document may refer to, where they are, who may see credentials there
targets    the files that it refers to, each at one version
keys       the values of keys, many at once
convention what LINDI writes into Zarr where it has no words for what HDF5 has
looking    what has to be looked up in a document for that
file       one open document
========== ===================================================================================
"""

from __future__ import annotations

from nwb_dask.backends.lindi.convention import LindiConvention
from nwb_dask.backends.lindi.file import LindiFile
from nwb_dask.backends.lindi.loading import Contents, holds_references, load
from nwb_dask.backends.lindi.noted import NotedFile, check_noted, note_file, note_of, noted_files
from nwb_dask.backends.lindi.policy import make_policy

__all__ = [
    "Contents",
    "LindiConvention",
    "LindiFile",
    "NotedFile",
    "check_noted",
    "holds_references",
    "load",
    "make_policy",
    "note_file",
    "note_of",
    "noted_files",
]
