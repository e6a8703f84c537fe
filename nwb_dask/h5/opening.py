"""`open_h5`: any container as h5py shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import h5py

from nwb_dask.backends import File, Known, ReachingFile, open_file
from nwb_dask.catalog import index_cache
from nwb_dask.errors import NWBDaskError
from nwb_dask.h5.file import FacadeFile
from nwb_dask.h5.guarded import GuardedFile
from nwb_dask.h5.reads import Reads
from nwb_dask.h5.streamed import StreamedFile
from nwb_dask.h5.tree import Tree
from nwb_dask.index import Url
from nwb_dask.storage import (
    Access,
    Folder,
    Store,
    expand_sources,
    is_file_object,
    is_local,
    make_access,
    open_object,
    open_store,
)


def open_h5(source: object, *, storage_options: Mapping[str, object] | None = None) -> h5py.File:
    """Return one file as h5py shows it, wherever it is and whatever container it is.

    Made for ``pynwb.NWBHDF5IO(file=nwb_dask.open_h5(url), mode="r").read()``. A local HDF5 file is opened by h5py
    alone. A remote one is a real ``h5py.File``: all of its structure is fetched in a few rounds when it is opened, and
    values when they are sliced, many ranges at once. Other containers, and HDF5 files that lead to other files, get
    objects that are instances of h5py's classes and have no identifiers of libhdf5. Nothing can be written, nothing is
    followed out of a remote file.

    Parameters
    ----------
    source : path, URL, or binary file object
        One file; see `nwb_dask.read_table`. An object (``fsspec.open(...)``, ``remfile.File``, ``BytesIO``) stays open
        and is read by one thread at a time; nothing about it is kept for the next time.
    storage_options : mapping, optional
        Credentials, endpoints, and ``engine``: the library that fetches the bytes, as for `nwb_dask.read_table`:
        ``"obstore"``, ``"fsspec"``, ``"s3fs"``, ``"remfile"`` or ``"ros3"``. ``fs``: a file system of fsspec to use,
        with `source` a path in it. ``chunk_cache="on"`` keeps the bytes on disk, so that a second run needs none.

    Returns
    -------
    h5py.File
        Open until `close`, the end of its ``with`` block, or until nothing refers to it or an object of it; closed
        before the interpreter ends in any case. It is not pickled, and a forked process cannot use it.

    Raises
    ------
    ValueError
        If `source` is more than one file.
    MalformedFileError, UnsupportedLayoutError
        If it is no container that is read.
    SourceUnavailableError
        If its bytes cannot be had.
    """
    access = make_access(storage_options)
    if is_file_object(source):
        return _open_object(source, access)
    named = expand_sources(source, access)
    if len(named) != 1:
        raise ValueError(f"open_h5 opens one file, and {len(named)} are given, {named[0].name} the first")
    try:
        return _open(named[0].url, access)
    except NWBDaskError as error:
        raise error.at(url=named[0].name) from error.__cause__


def _open(url: Url, access: Access) -> h5py.File:
    cache = index_cache()
    known = None if is_local(url) else cache.find(url)
    store = open_store(url, access, cached=None if known is None else known.source.identity)
    try:
        if known is not None and store.source.identity != known.source.identity:
            known = None
        found = _shown(store, open_file(store, known), cache.keep)
    except BaseException:
        store.close()
        raise
    return found


def _open_object(source: object, access: Access) -> h5py.File:
    store = open_object(source, access)
    return _shown(store, open_file(store), _forget)


def _forget(_known: Known) -> None:
    """Keep nothing: what the next object is of cannot be told."""


def _shown(store: Store | Folder, file: File, keep: Callable[[Known], None]) -> h5py.File:
    """Return a file as h5py shows it: by libhdf5 only what that finds nothing in which it would open another file."""
    if not isinstance(file, ReachingFile) or isinstance(store, Folder):
        return _facade(store, file, Tree(file))
    if store.local_path is None and store.driver is None:
        if file.hdf5.known.structure:
            file.hdf5.fetch_structure()
        tree = Tree(file, prepare=True)
        # Over a store, libhdf5 has no way to other files but this.
        if tree.has_data_in({"external"}):
            # Types of attributes are in the headers of objects, which are not read where the index is kept.
            file.hdf5.fetch_structure()
            return _facade(store, file, tree)
        return StreamedFile(store, file.hdf5, tree, keep)
    tree = Tree(file)
    if tree.reaches_out:
        return _facade(store, file, tree)
    file.close()
    store.close()
    if store.driver is not None:
        return GuardedFile(store.driver.url, driver=store.driver.name, **store.driver.keywords)
    assert store.local_path is not None  # noqa: S101  # told apart before
    return GuardedFile(store.local_path)


def _facade(store: Store | Folder, file: File, tree: Tree) -> FacadeFile:
    def close() -> None:
        file.close()
        store.close()

    reads = Reads(file)
    reads.beside(tree.datasets_by_group())
    return FacadeFile(tree, close, reads)
