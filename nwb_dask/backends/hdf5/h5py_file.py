"""One file as h5py sees it: what the own parser does not cover, and all of a file that a driver of h5py's reads."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from h5py import h5d, h5o, h5p

from nwb_dask.backends.handles import Handle, acquire, release
from nwb_dask.backends.hdf5.boundary import H5PY_ERRORS
from nwb_dask.backends.hdf5.boxes import Box, box_shape
from nwb_dask.backends.hdf5.compose import Wanted
from nwb_dask.backends.hdf5.index import Indexer, OpenArray, open_array
from nwb_dask.backends.hdf5.limits import check_size
from nwb_dask.backends.hdf5.links import find_object, stored_path
from nwb_dask.backends.hdf5.references import ReferencePaths
from nwb_dask.backends.hdf5.signature import check_signature
from nwb_dask.backends.hdf5.spans import Spans
from nwb_dask.backends.hdf5.values import read_values
from nwb_dask.backends.known import GroupPart, Known
from nwb_dask.backends.protocol import ByteSource
from nwb_dask.errors import NWBDaskError, SourceChangedError
from nwb_dask.index import ArrayEntry, FileIndex, basename

_log = logging.getLogger(__name__)

_MAX_OPENED = 256


class H5pyFile:
    """One file as h5py sees it; opened when it is first needed.

    Parameters
    ----------
    store : ByteSource
        The file's bytes; stays open when this is closed.
    """

    def __init__(self, store: ByteSource) -> None:
        self._store = store
        self._handle: Handle | None = None

    @property
    def is_open(self) -> bool:
        """Whether this has a handle of the file."""
        return self._handle is not None

    def index(self, path: str, wanted: Wanted, *, names: Collection[str] | None, recursive: bool) -> FileIndex:
        """Return what is known of the object at `path` and of its members; see `backends.File.index`."""
        handle = self._open()
        indexer = Indexer(self._store, handle, wanted.groups, wanted.arrays)
        found = indexer.index(path, names=names, recursive=recursive)
        self._remember(indexer.opened)
        return found

    def read(self, entry: ArrayEntry, spans: Spans, box: Box | None = None) -> npt.NDArray[np.generic]:
        """Return rows of a dataset, or a box of each, as `File.read` gives them.

        `spans` are tidy, and neither they nor the box are empty; None for whole rows.
        """
        opened = self._array(entry)
        part = entry if box is None else replace(entry, shape=((entry.shape or ())[0], *box_shape(box)))
        check_size(opened, part, spans, file_bytes=self._store.size)
        handle = self._open()
        return read_values(opened, entry, spans, ReferencePaths(handle.fid, handle.paths), box)

    def creation(self, entry: ArrayEntry) -> h5p.PropDCID:
        """Return how a dataset was created, which says where its data are; its data are not looked at."""
        fid = self._open().fid
        did = h5o.open(fid, find_object(fid, stored_path(entry.path)) or b"/")
        if not isinstance(did, h5d.DatasetID):
            raise SourceChangedError("is no dataset any more; plan again")
        return did.get_create_plist()

    def repair(self, known: Known, uncovered: dict[str, str]) -> None:
        """Describe objects that the parser could not, in the parts of the groups that they are in.

        What h5py cannot read either stays a problem of its group.
        """
        while uncovered:
            path, reason = uncovered.popitem()
            try:
                found = self.index(path, Wanted(None, None), names=None, recursive=True)
            except (*H5PY_ERRORS, NWBDaskError) as exc:
                _log.debug("%s of %r is not read by h5py either: %s", path, known.source.url, exc)
                found = FileIndex(known.source, {}, {}, {path: reason})
            _add(known, path, found)

    def _array(self, entry: ArrayEntry) -> OpenArray:
        handle = self._open()
        opened = handle.opened.get(entry.path)
        if not isinstance(opened, OpenArray):
            # By hard links, so that libhdf5 follows none out of the file, whatever path it is given.
            did = h5o.open(handle.fid, find_object(handle.fid, stored_path(entry.path)) or b"/")
            if not isinstance(did, h5d.DatasetID):
                raise SourceChangedError("is no dataset any more; plan again")
            opened = open_array(did)
            self._remember({entry.path: opened})
        if opened.shape != entry.shape or opened.stored.element != entry.element:
            raise SourceChangedError("has another shape or type than was planned; plan again")
        return opened

    def _remember(self, opened: dict[str, OpenArray]) -> None:
        """Keep datasets open for whoever reads them next, as long as the file stays open."""
        handle = self._open()
        if len(handle.opened) + len(opened) <= _MAX_OPENED:
            handle.opened.update(opened)

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
        """Give up the file; more than once is harmless."""
        handle, self._handle = self._handle, None
        if handle is not None:
            release(handle, self._store)


def _add(known: Known, path: str, found: FileIndex) -> None:
    """Put what h5py said of the object at `path` into the parts that are known."""
    parent = path.rpartition("/")[0] or "/"
    for group in found.groups.values():
        inside = {basename(entry.path): entry for entry in found.arrays.values() if _parent(entry.path) == group.path}
        known.parts[group.path] = GroupPart(group, inside)
    part = known.parts.get(parent)
    if part is None:
        return
    problems = {key: reason for key, reason in part.problems.items() if key != path} | dict(found.problems)
    arrays = part.arrays
    if path in found.arrays:
        every = {**part.arrays, basename(path): found.arrays[path]}
        arrays = {name: every[name] for name in part.group.members if name in every}
    known.parts[parent] = replace(part, arrays=arrays, problems=problems)


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"
