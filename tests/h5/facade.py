"""The facade of any container, of HDF5 files too that `open_h5` leaves to h5py."""

from __future__ import annotations

from pathlib import Path

from nwb_dask.backends import open_file
from nwb_dask.h5 import FacadeFile
from nwb_dask.h5.reads import Reads
from nwb_dask.h5.tree import Tree
from nwb_dask.index import Url
from nwb_dask.storage import make_access, open_store


def open_facade(path: Path | str) -> FacadeFile:
    """Return a local or remote container through its description, without h5py reading it."""
    store = open_store(Url(str(path)), make_access())
    file = open_file(store)

    def close() -> None:
        file.close()
        store.close()

    tree, reads = Tree(file), Reads(file)
    reads.beside(tree.datasets_by_group())
    return FacadeFile(tree, close, reads)
