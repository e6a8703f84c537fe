"""Files as h5py shows them, on the project's own storage: for pynwb, and for all that is written for h5py.

========== ====================================================================================
opening    `open_h5`: which of those below a file becomes
tree       objects of a container by path, links followed
selection  pure: what ``dataset[...]`` means
types      element types as h5py's dtypes
values     values as h5py gives them
references what stands for h5py's references
objects    what groups and datasets have in common
guarded    HDF5 files that libhdf5 opens by their path: no reference leads out of what was checked
streamed   remote HDF5 files: a real ``h5py.File`` over a store; `reads` looks ahead
waiting    waiting for other threads while h5py's lock is held
ids        what stands for h5py's low-level identifiers
attributes, dataset, group, file
           the interface of h5py over any `backends.File`; `views` of members without a lock
========== ====================================================================================
"""

from __future__ import annotations

from nwb_dask.h5.file import FacadeFile
from nwb_dask.h5.opening import open_h5

__all__ = ["FacadeFile", "open_h5"]
