"""Tells which container a file is, and what else it looks like if it is none."""

from __future__ import annotations

from nwb_dask.backends.hdf5.reaching import ReachingFile
from nwb_dask.backends.hdf5.signature import check_signature
from nwb_dask.backends.known import Known
from nwb_dask.backends.lindi.file import LindiFile
from nwb_dask.backends.lindi.loading import holds_references
from nwb_dask.backends.linked_stores import ReachingZarr
from nwb_dask.backends.protocol import ByteSource, File
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.storage import Folder, display_url

_HDF5_NAMES = (".nwb", ".h5", ".hdf5", ".hdf")
_LINDI_FOLDER = ".d"


def open_file(store: ByteSource | Folder, known: Known | None = None) -> File:
    """Return the open file in `store`, a context manager.

    A remote file is looked at when something is first asked of it, which costs no request of its own. Only one that
    is not named as HDF5 files are is looked at here, and that costs a request where nothing of it has been fetched.

    Parameters
    ----------
    store : ByteSource or Folder
        Its bytes; stays open when the file is closed.
    known : Known, optional
        What is known of this version of the file.

    Raises
    ------
    MalformedFileError
        If it is no container that is known, saying what it looks like.
    UnsupportedLayoutError
        If it is another container that is known and not read.
    """
    if isinstance(store, Folder):
        may_be_lindi = store.local_path is not None or store.source.url.rstrip("/").endswith(_LINDI_FOLDER)
        return LindiFile(store, known) if may_be_lindi and holds_references(store) else ReachingZarr(store, known)
    if store.local_path is not None:
        try:
            check_signature(store)
        except (MalformedFileError, UnsupportedLayoutError):
            if holds_references(store):
                return LindiFile(store, known)
            raise
    elif _is_unclear(store, known) and holds_references(store):
        return LindiFile(store, known)
    return ReachingFile(store, known)


def _is_unclear(store: ByteSource, known: Known | None) -> bool:
    """Return whether nothing tells so far that a remote file is HDF5."""
    is_known = known is not None and known.offset_bytes > 0
    return not (is_known or store.driver is not None or display_url(store.source.url).endswith(_HDF5_NAMES))
