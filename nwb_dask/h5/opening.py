"""`open_h5`: any container as h5py shows it."""

from __future__ import annotations

from collections.abc import Mapping

import h5py

from nwb_dask.backends import open_file
from nwb_dask.errors import NWBDaskError
from nwb_dask.h5.file import FacadeFile
from nwb_dask.h5.tree import Tree
from nwb_dask.index import Url
from nwb_dask.storage import Access, expand_sources, make_access, open_store


def open_h5(source: object, *, storage_options: Mapping[str, object] | None = None) -> h5py.File:
    """Return one file as h5py shows it, wherever it is and whatever it is."""
    access = make_access(storage_options)
    named = expand_sources(source, access)
    if len(named) != 1:
        raise ValueError(f"open_h5 opens one file, and {len(named)} are given, {named[0].name} the first")
    try:
        return open_facade(named[0].url, access)
    except NWBDaskError as error:
        raise error.at(url=named[0].name) from error.__cause__


def open_facade(url: Url, access: Access) -> FacadeFile:
    """Return any container through its description, without h5py reading it."""
    store = open_store(url, access)
    try:
        file = open_file(store)

        def close() -> None:
            file.close()
            store.close()

        return FacadeFile(Tree(file), close)
    except BaseException:
        store.close()
        raise
