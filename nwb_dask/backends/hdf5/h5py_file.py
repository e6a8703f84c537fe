"""One file as h5py sees it: what the own parser does not cover, and tables of local files, which it lists faster."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from h5py import h5d, h5o, h5s

from nwb_dask.backends.handles import Handle, acquire, release
from nwb_dask.backends.hdf5.array_read import plan_read
from nwb_dask.backends.hdf5.boundary import H5PY_ERRORS
from nwb_dask.backends.hdf5.boxes import Box, box_shape
from nwb_dask.backends.hdf5.chunk_grid import box_ranges
from nwb_dask.backends.hdf5.compose import Wanted
from nwb_dask.backends.hdf5.format.chunk_index import find_chunks
from nwb_dask.backends.hdf5.format.layout import describe_array
from nwb_dask.backends.hdf5.format.object_header import read_messages
from nwb_dask.backends.hdf5.format.space import AddressSpace
from nwb_dask.backends.hdf5.format.superblock import read_superblock
from nwb_dask.backends.hdf5.index import Indexer, OpenArray, open_array
from nwb_dask.backends.hdf5.limits import check_size, fill_value
from nwb_dask.backends.hdf5.links import stored_path
from nwb_dask.backends.hdf5.pages import Pages
from nwb_dask.backends.hdf5.references import ReferencePaths
from nwb_dask.backends.hdf5.signature import check_signature
from nwb_dask.backends.hdf5.spans import Spans
from nwb_dask.backends.hdf5.values import read_values, to_native
from nwb_dask.backends.known import GroupPart, Known
from nwb_dask.backends.protocol import ByteSource
from nwb_dask.errors import NWBDaskError, SourceChangedError
from nwb_dask.index import ArrayEntry, ChunkManifest, FileIndex, basename

_log = logging.getLogger(__name__)

_MAX_OPENED = 256
_HEADER_PAGE_BYTES, _INDEX_PAGE_BYTES = 512, 4096
"""One header stands alone and is small; an index of many chunks is not."""
_MANY_CHUNKS = 64


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
        plain = _as_plain(opened, entry)
        if plain is not None and not self._has_unfiltered_edges(opened, plain):
            manifest = self._find_chunks(opened, plain, spans, box) if plain.layout == "chunked" else None
            plan = plan_read(plain, spans, manifest, file_bytes=self._store.size, box=box)
            return to_native(plan.run(self._store.read, is_local=self._store.local_path is not None), plain.element)
        handle = self._open()
        return read_values(opened, entry, spans, ReferencePaths(handle.fid, handle.paths), box)

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

    def _has_unfiltered_edges(self, opened: OpenArray, entry: ArrayEntry) -> bool:
        """Tell whether chunks that reach past the shape are stored without filters, which h5py has no word for."""
        shape, chunks = entry.shape or (), entry.chunks or ()
        if not entry.filters or not any(length % chunk for length, chunk in zip(shape, chunks, strict=True)):
            return False
        index = self._parse(opened, entry, page_bytes=_HEADER_PAGE_BYTES)[1].chunk_index
        return index is not None and index.unfiltered_edges

    def _parse(self, opened: OpenArray, entry: ArrayEntry, *, page_bytes: int) -> tuple[AddressSpace, ArrayEntry]:
        """Return the entry as the own parser has it, which knows where the index of the chunks is."""
        pages = Pages(self._store.size, self._store.read, page_bytes=page_bytes, at_once=True)
        space = read_superblock(pages).space
        messages = read_messages(space, h5o.get_info(opened.did).addr)
        return space, describe_array(space, messages, entry.path, {})

    def _find_chunks(self, opened: OpenArray, entry: ArrayEntry, spans: Spans, box: Box | None) -> ChunkManifest:
        """Return where the chunks are that hold what is wanted: a few as libhdf5 says, which takes long for many."""
        ranges = box_ranges(entry, spans, box)
        if int((ranges[:, 1] - ranges[:, 0]).sum()) > _MANY_CHUNKS:
            space, parsed = self._parse(opened, entry, page_bytes=_INDEX_PAGE_BYTES)
            return find_chunks(space, parsed, ranges)
        return _ask_chunks(opened, entry, ranges)

    def _array(self, entry: ArrayEntry) -> OpenArray:
        handle = self._open()
        opened = handle.opened.get(entry.path)
        if not isinstance(opened, OpenArray):
            # Described in this version of the file, so that no link on the way leads out of it.
            did = h5o.open(handle.fid, stored_path(entry.path) or b"/")
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


def _as_plain(opened: OpenArray, entry: ArrayEntry) -> ArrayEntry | None:
    """Return the entry for the own reader, if libhdf5 need not convert its values; else None."""
    if not opened.stored.exact or entry.element.dtype is None or entry.shape is None:
        return None
    if entry.layout == "contiguous" and entry.stored_bytes:
        return None
    if entry.layout not in {"contiguous", "chunked"} or _has_unreliable_addresses(opened):
        return None
    fill = fill_value(opened)
    return None if fill is None else replace(entry, fill=fill.tobytes())


def _has_unreliable_addresses(opened: OpenArray) -> bool:
    """Tell whether libhdf5 may give wrong addresses of chunks.

    libhdf5 2.0 looks chunks up in the wrong place of an extensible array (one unlimited dimension, libver 1.10 and
    later) if that dimension is not the first, and then says that they were never written.
    """
    if len(opened.shape or ()) < 2:  # noqa: PLR2004  # only the first dimension is there
        return False
    limits = opened.did.get_space().get_simple_extent_dims(maxdims=True)
    unlimited = [axis for axis, limit in enumerate(limits) if limit in (h5s.UNLIMITED, None)]
    return len(unlimited) == 1 and unlimited[0] != 0


def _ask_chunks(opened: OpenArray, entry: ArrayEntry, ranges: npt.NDArray[np.int64]) -> ChunkManifest:
    """Return where chunks are, as libhdf5 says."""
    shape, chunks = entry.shape or (), entry.chunks or ()
    counts = [-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True)]
    found = []
    for start, stop in ranges.tolist():
        for number in range(start, stop):
            place = np.unravel_index(number, counts)
            corner = tuple([int(at) * chunk for at, chunk in zip(place, chunks, strict=True)])
            chunk = opened.did.get_chunk_info_by_coord(corner)
            if chunk.byte_offset is not None:
                found.append((number, chunk.byte_offset, chunk.size, chunk.filter_mask))
    numbers, offsets, sizes, masks = np.array(found, np.int64).reshape(-1, 4).T
    return ChunkManifest(numbers, offsets, sizes, masks.astype(np.uint32))


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
