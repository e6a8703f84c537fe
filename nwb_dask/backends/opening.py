"""Tells which container a file is, and what else it looks like if it is none."""

from __future__ import annotations

from nwb_dask.backends.hdf5.file import Hdf5File
from nwb_dask.backends.hdf5.signature import check_signature
from nwb_dask.backends.known import Known
from nwb_dask.backends.protocol import ByteSource, File
from nwb_dask.errors import UnsupportedLayoutError
from nwb_dask.storage import Folder


def open_file(store: ByteSource | Folder, known: Known | None = None) -> File:
    """Return the open file in `store`, a context manager.

    A remote file is looked at when something is first asked of it, which costs no request of its own.

    Parameters
    ----------
    store : ByteSource or Folder
        Its bytes; stays open when the file is closed.
    known : Known, optional
        What is known of this version of the file.

    Raises
    ------
    MalformedFileError
        If it is not HDF5, saying what it looks like.
    UnsupportedLayoutError
        If it is another container that is known and not read.
    """
    if isinstance(store, Folder):
        raise UnsupportedLayoutError("a Zarr store, which this version does not read").at(url=store.source.url)
    if store.local_path is not None:
        check_signature(store)
    return Hdf5File(store, known)
