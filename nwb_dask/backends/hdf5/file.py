"""One open HDF5 file."""

from __future__ import annotations

from collections.abc import Collection
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
from h5py import h5d, h5o

from nwb_dask.backends.handles import Handle, acquire, release
from nwb_dask.backends.hdf5.boundary import Boundary
from nwb_dask.backends.hdf5.chunks import read_chunked, read_contiguous
from nwb_dask.backends.hdf5.index import Indexer, OpenArray, open_array
from nwb_dask.backends.hdf5.limits import check_size, checked_shape, fill_value
from nwb_dask.backends.hdf5.links import stored_path
from nwb_dask.backends.hdf5.references import ReferencePaths
from nwb_dask.backends.hdf5.signature import check_signature
from nwb_dask.backends.hdf5.spans import Spans, count, tidy
from nwb_dask.backends.hdf5.types import native_dtype
from nwb_dask.backends.hdf5.values import read_values, to_native
from nwb_dask.backends.protocol import ByteSource
from nwb_dask.errors import SourceChangedError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, FileIndex, Source

_Values = npt.NDArray[np.generic]

_MAX_OPENED = 256


class Hdf5File:
    """One open HDF5 file; see `backends.File`.

    libhdf5 opens the file when its structure is first needed: contiguous data are read without it.

    Parameters
    ----------
    store : ByteSource
        The file's bytes; stays open when this is closed.
    """

    def __init__(self, store: ByteSource) -> None:
        self._store = store
        self._handle: Handle | None = None

    @property
    def source(self) -> Source:
        """The file and its version."""
        return self._store.source

    def index(
        self,
        path: str,
        *,
        names: Collection[str] | None = None,
        recursive: bool = False,
        attributes: frozenset[str] | None = None,
        array_attributes: frozenset[str] | None = None,
    ) -> FileIndex:
        """Return what is known of the object at `path` and of its members; see `backends.File.index`."""
        with Boundary(self.source.url, path):
            handle = self._open()
            indexer = Indexer(self._store, handle, attributes, array_attributes)
            found = indexer.index(path, names=names, recursive=recursive)
            _remember(handle, indexer.opened)
            return found

    def read(self, entry: ArrayEntry, spans: npt.NDArray[np.int64] | None = None) -> _Values:
        """Return rows of the first axis of a dataset; see `backends.File.read`."""
        with Boundary(self.source.url, entry.path):
            _refuse_unread(entry)
            shape = checked_shape(entry)
        if entry.shape is None:
            return np.empty(0, native_dtype(entry.element))
        # A scalar is a single row until it is reshaped.
        wanted = tidy(spans if shape else None, n_rows=shape[0] if shape else 1)
        n_rows = count(wanted)
        if not n_rows or 0 in shape:
            return _empty(entry, n_rows)
        with Boundary(self.source.url, entry.path):
            values = self._read(entry, wanted)
            return values if shape else values.reshape(values.shape[1:])

    def _read(self, entry: ArrayEntry, spans: Spans) -> _Values:
        if entry.layout == "contiguous" and entry.offset is not None:
            return to_native(read_contiguous(self._store, entry, spans, offset=entry.offset), entry.element)
        opened = self._array(entry)
        check_size(opened, entry, spans, file_bytes=self._store.size)
        stored = None
        if entry.layout == "chunked":
            stored = read_chunked(self._store, opened, entry, spans)
        elif entry.layout == "contiguous" and not entry.stored_bytes and entry.element.dtype is not None:
            stored = _filled(opened, entry, spans)
        if stored is not None:
            return to_native(stored, entry.element)
        handle = self._open()
        return read_values(opened, entry, spans, ReferencePaths(handle.fid, handle.paths))

    def _array(self, entry: ArrayEntry) -> OpenArray:
        handle = self._open()
        opened = handle.opened.get(entry.path)
        if not isinstance(opened, OpenArray):
            # Described in this version of the file, so that no link on the way leads out of it.
            did = h5o.open(handle.fid, stored_path(entry.path) or b"/")
            if not isinstance(did, h5d.DatasetID):
                raise SourceChangedError("is no dataset any more; plan again")
            opened = open_array(did)
            _remember(handle, {entry.path: opened})
        if opened.shape != entry.shape or opened.stored.element != entry.element:
            raise SourceChangedError("has another shape or type than was planned; plan again")
        return opened

    def _open(self) -> Handle:
        handle = self._handle
        if handle is None:
            try:
                handle = acquire(self._store)
            except OSError:
                # Says more than libhdf5 if the file is something else.
                check_signature(self._store)
                raise
            if self._handle is not None:
                # Another thread was faster.
                release(handle, self._store)
            else:
                self._handle = handle
        return self._handle or handle

    def close(self) -> None:
        """Give up the file; more than once is harmless. The store stays open."""
        handle, self._handle = self._handle, None
        if handle is not None:
            release(handle, self._store)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Hdf5File({self.source.url!r})"


def _remember(handle: Handle, opened: dict[str, OpenArray]) -> None:
    """Keep datasets open for whoever reads them next, as long as the file stays open."""
    if len(handle.opened) + len(opened) <= _MAX_OPENED:
        handle.opened.update(opened)


def _refuse_unread(entry: ArrayEntry) -> None:
    if entry.element.kind == "unsupported":
        raise UnsupportedLayoutError(f"{entry.path} is not read: {entry.element.reason}", path=entry.path)
    if entry.layout in ("external", "virtual"):
        message = f"{entry.path} has its data in other files ({entry.layout} storage), which are not read"
        raise UnsupportedLayoutError(message, path=entry.path)


def _empty(entry: ArrayEntry, n_rows: int) -> _Values:
    dtype = native_dtype(entry.element)
    return np.empty((n_rows, *(entry.shape or ())[1:], *dtype.shape), dtype.base)


def _filled(opened: OpenArray, entry: ArrayEntry, spans: Spans) -> _Values | None:
    """Return rows that were never written."""
    fill, dtype = fill_value(opened), entry.element.dtype
    if fill is None or dtype is None:
        return None
    return np.broadcast_to(fill, (count(spans), *(entry.shape or ())[1:], *dtype.shape)).copy()
