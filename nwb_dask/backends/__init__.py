"""Containers of groups and arrays: an open store in, a `FileIndex` and arrays out. Knows nothing of NWB.

========== =================================================================================
protocol   `File`: what every container can do
opening    `open_file`: tells containers apart, and what else a file looks like
handles    the open h5py files of this process
hdf5       HDF5: metadata and odd values through h5py, plain values by byte ranges
========== =================================================================================
"""

from __future__ import annotations

from nwb_dask.backends.opening import open_file
from nwb_dask.backends.protocol import ByteSource, File

__all__ = ["ByteSource", "File", "open_file"]
