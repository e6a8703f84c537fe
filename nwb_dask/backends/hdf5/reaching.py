"""An HDF5 file with what it holds in other files: links into them, raw files, virtual datasets.

libhdf5 follows none of these here. It says what is stored; the files are found, checked and read by `Outside`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.assembled import read_raw, read_virtual, require_virtual_room
from nwb_dask.backends.hdf5.boundary import Boundary
from nwb_dask.backends.hdf5.boxes import Box, checked_box
from nwb_dask.backends.hdf5.file import Hdf5File
from nwb_dask.backends.hdf5.limits import checked_shape
from nwb_dask.backends.hdf5.linked import WAY_OUT, LinkedFile, Values
from nwb_dask.backends.hdf5.outside import Outside, one_step
from nwb_dask.backends.hdf5.raw_files import RawFiles, read_segments
from nwb_dask.backends.hdf5.spans import tidy
from nwb_dask.backends.hdf5.virtual import SAME_FILE, read_pieces
from nwb_dask.backends.known import Known
from nwb_dask.backends.protocol import ByteSource, File
from nwb_dask.errors import NWBDaskError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, FileIndex
from nwb_dask.storage import AllowedStore, LocalStore, open_allowed

_ELSEWHERE = ("external", "virtual")


class ReachingFile(LinkedFile[AllowedStore]):
    """One open HDF5 file, with what lies outside of it as far as that is allowed; see `backends.File`.

    Parameters
    ----------
    store : ByteSource
        The file's bytes; stays open when this is closed.
    known : Known, optional
        As `Hdf5File`.
    place : str, optional
        Where the file is, if another led to it.
    outside : Outside, optional
        Likewise, the files that have been reached.
    """

    def __init__(
        self,
        store: ByteSource,
        known: Known | None = None,
        *,
        place: str | None = None,
        outside: Outside[AllowedStore] | None = None,
    ) -> None:
        is_first = outside is None
        if outside is None and isinstance(store, LocalStore) and store.access.allowed_folders:
            outside = Outside(store.access, store.source.identity, open_allowed, _open_other)
        self.hdf5 = Hdf5File(store, known)
        """The file itself, which knows nothing of others."""
        self._store = store
        super().__init__(self.hdf5, store.local_path if place is None else place, outside, is_first=is_first)

    def _with_reasons(self, found: FileIndex) -> FileIndex:
        """Return an index that says why datasets in other files cannot be read."""
        reasons: dict[str, str] = {
            entry.path: reason
            for entry in found.arrays.values()
            if entry.home is None
            and entry.layout in _ELSEWHERE
            and entry.path not in found.problems
            and (reason := self._why_unread(entry)) is not None
        }
        return replace(found, problems={**found.problems, **reasons}) if reasons else found

    def _why_unread(self, entry: ArrayEntry) -> str | None:
        try:
            with Boundary(self.source.url, entry.path):
                if entry.layout == "external":
                    names = {one.filename for one in read_segments(self.hdf5.creation(entry), 0)}
                else:
                    names = {one.filename for one in read_pieces(self.hdf5.creation(entry))}
                for name in sorted(names - {SAME_FILE} if entry.layout == "virtual" else names):
                    with self._raw(name, entry):
                        pass
        except NWBDaskError as exc:
            return exc.message
        return None

    def require_room(self, entry: ArrayEntry, n_bytes: int) -> None:
        """Raise if what a dataset is made of cannot hold so much; see `backends.File.require_room`."""
        if entry.home is not None or not self._is_elsewhere(entry):
            super().require_room(entry, n_bytes)
            return
        with Boundary(self.source.url, entry.path), one_step():
            if entry.layout == "external":
                self._raw_files(entry).require(0, n_bytes)
            else:
                properties = self.hdf5.creation(entry)
                require_virtual_room(properties, self._source_file, n_bytes, room=self._store.size)

    def _is_elsewhere(self, entry: ArrayEntry) -> bool:
        return entry.home is not None or entry.layout in _ELSEWHERE

    def _read_elsewhere(
        self, entry: ArrayEntry, spans: npt.NDArray[np.int64] | None = None, inner: Box | None = None
    ) -> Values:
        if entry.home is not None:
            return super()._read_elsewhere(entry, spans, inner)
        with Boundary(self.source.url, entry.path):
            shape = checked_shape(entry)
            if entry.shape is None or entry.element.kind == "unsupported":
                return self._file.read(replace(entry, layout="contiguous"))
            box = checked_box(inner, shape)
            wanted = tidy(spans if shape else None, n_rows=shape[0] if shape else 1)
            with one_step():
                if entry.layout == "external":
                    return read_raw(entry, wanted, box, self._raw_files(entry))
                properties = self.hdf5.creation(entry)
                return read_virtual(entry, wanted, box, properties, self._source_file, room=self._store.size)

    def _raw_files(self, entry: ArrayEntry) -> RawFiles:
        segments = read_segments(self.hdf5.creation(entry), prod(entry.shape or ()) * entry.element.size)
        return RawFiles(segments, lambda name: self._raw(name, entry))

    def _source_file(self, filename: str, path: str) -> AbstractContextManager[File]:
        """Give the file that a part of a virtual dataset is in."""
        if filename == SAME_FILE:
            return nullcontext(self)
        if self._outside is None:
            raise self._refusal(filename, path)
        return self._outside.file(filename, self._at)

    def _raw(self, filename: str, entry: ArrayEntry) -> AbstractContextManager[AllowedStore]:
        if self._outside is None:
            raise self._refusal(filename, entry.path)
        return self._outside.raw(filename, self._at)

    def _refusal(self, filename: str, path: str) -> UnsupportedLayoutError:
        if self._place is None:
            way_out = "the data of a remote file are never read from others; copy it beside them"
        else:
            way_out = f"which are not read: {WAY_OUT}"
        return UnsupportedLayoutError(f"{path} has its data in other files ({filename!r}), {way_out}", path=path)


def _open_other(store: AllowedStore, place: str, outside: Outside[AllowedStore]) -> File:
    return ReachingFile(store, place=place, outside=outside)
