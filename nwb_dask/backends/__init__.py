"""Containers of groups and arrays: an open store in, a `FileIndex` and arrays out. Knows nothing of NWB.

============= ==============================================================================
protocol      `File`: what every container can do
opening       `open_file`: tells containers apart, and what else a file looks like
known         `Known`: what was found out about one version of a file
handles       the open h5py files of this process
hdf5          HDF5: an own parser and chunk reader, h5py for what these do not cover
lindi         documents of references, LINDI's and kerchunk's
linked_stores `ReachingZarr`: an open Zarr store with what it leads to in others
zarr          Zarr v2 and v3: an own parser of the documents and an own chunk reader
threads       the threads that decode chunks
============= ==============================================================================
"""

from __future__ import annotations

from nwb_dask.backends.handles import close_idle_files
from nwb_dask.backends.hdf5.file import Hdf5File
from nwb_dask.backends.hdf5.libraries import filter_libraries
from nwb_dask.backends.hdf5.reaching import ReachingFile
from nwb_dask.backends.hdf5.stored_attributes import StoredAttribute
from nwb_dask.backends.hdf5.types import NAMED_TYPE
from nwb_dask.backends.known import Known
from nwb_dask.backends.linked_stores import ReachingZarr
from nwb_dask.backends.opening import open_file
from nwb_dask.backends.protocol import ByteSource, File

__all__ = [
    "NAMED_TYPE",
    "ByteSource",
    "File",
    "Hdf5File",
    "Known",
    "ReachingFile",
    "ReachingZarr",
    "StoredAttribute",
    "close_idle_files",
    "filter_libraries",
    "open_file",
]
