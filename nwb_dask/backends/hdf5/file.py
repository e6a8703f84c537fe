"""One open HDF5 file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from h5py import h5p

from nwb_dask.backends.hdf5.boundary import Boundary
from nwb_dask.backends.hdf5.boxes import Box, box_shape, box_slices, checked_box
from nwb_dask.backends.hdf5.compose import (
    Wanted,
    collect_parts,
    compose_index,
    note_problem,
    unresolved,
    with_attributes,
)
from nwb_dask.backends.hdf5.h5py_file import H5pyFile
from nwb_dask.backends.hdf5.limits import checked_shape, require_room
from nwb_dask.backends.hdf5.lookup import Lookup
from nwb_dask.backends.hdf5.object_attributes import PARSER_ERRORS, STORAGE_ERRORS, as_damage
from nwb_dask.backends.hdf5.pages import Pages
from nwb_dask.backends.hdf5.paths import LinkOutsideError, split_path
from nwb_dask.backends.hdf5.placing import is_unplaced, place
from nwb_dask.backends.hdf5.reading import Reader, is_readable, is_small
from nwb_dask.backends.hdf5.rounds import Rest, Task
from nwb_dask.backends.hdf5.search import Search
from nwb_dask.backends.hdf5.signature import check_signature
from nwb_dask.backends.hdf5.spans import Spans, count, rows, tidy
from nwb_dask.backends.hdf5.stored_attributes import StoredAttribute, stored_attributes
from nwb_dask.backends.hdf5.tree import Tree
from nwb_dask.backends.hdf5.types import native_dtype
from nwb_dask.backends.hdf5.whole import is_simple, read_whole
from nwb_dask.backends.known import GroupPart, Known
from nwb_dask.backends.protocol import ByteSource, Request
from nwb_dask.errors import NWBDaskError, PathNotFoundError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, FileIndex, FilePath, GroupEntry, Placement, Source, basename, join
from nwb_dask.storage import Buffer

_log = logging.getLogger(__name__)

_Values = npt.NDArray[np.generic]

OnArray: TypeAlias = "Callable[[ArrayEntry], Iterable[Task | Rest]]"
"""Gives the work that a dataset causes when it is met."""

_PAGE_BYTES = 64 * 1024
"""Of a remote file. Larger pages save a round or two, and lose more on slow lines (5 to 100 ms, 6 to 90 MB/s)."""
_GAP_BYTES = 256 * 1024
_TAIL_BYTES = 1 << 20
"""Of a large remote file of which everything is described: what was written last is often at its end, B-trees among it.
Of sessions of 270 MB, this saves one or two rounds of eight."""
_LARGE_BYTES = 64 * _TAIL_BYTES
_STRUCTURE_BYTES = 64 << 20
"""Where a structure is larger, its places are not kept."""
_LOCAL_PAGE_BYTES = 1024
"""Of a local file. With pages of 4 KiB a table is described a little faster, and twice as many bytes are read."""


class _Wanted(NamedTuple):
    """What is read of one dataset."""

    entry: ArrayEntry
    spans: Spans
    box: Box | None


class Hdf5File:
    """One open HDF5 file; see `backends.File`.

    The own parser reads its structure, of a remote file in as many rounds as the structure is deep. What the parser
    does not cover is read by h5py, object by object.

    Parameters
    ----------
    store : ByteSource
        The file's bytes; stays open when this is closed.
    known : Known, optional
        What is known of this version of the file; grows. What it does not hold is looked up.
    """

    def __init__(self, store: ByteSource, known: Known | None = None) -> None:
        self._store = store
        self._is_remote = store.local_path is None
        self._by_h5py = store.driver is not None
        self.known = Known(store.source) if known is None else known
        self._pages = Pages(
            store.size,
            store.read,
            page_bytes=_PAGE_BYTES if self._is_remote else _LOCAL_PAGE_BYTES,
            gap_bytes=_GAP_BYTES if self._is_remote else 0,
            at_once=not self._is_remote,
        )
        self._lookup = Lookup(self.known, self._pages)
        self._reader = Reader(store, self._lookup, self._pages)
        self._h5py = H5pyFile(store)

    @property
    def source(self) -> Source:
        """The file and its version."""
        return self._store.source

    @property
    def is_held(self) -> bool:
        """Whether libhdf5 has the file open; see `backends.File.is_held`."""
        return self._h5py.is_open

    def index(
        self,
        path: str,
        *,
        names: Collection[str] | None = None,
        recursive: bool = False,
        attributes: frozenset[str] | None = None,
        array_attributes: frozenset[str] | None = None,
        groups: bool = True,
        prepare: bool = False,
    ) -> FileIndex:
        """Return what is known of the object at `path` and of its members; see `backends.File.index`."""
        wanted = Wanted(attributes, array_attributes, groups)
        on_array = self._learner(names, recursive=recursive) if prepare and self._is_remote else _nothing
        with Boundary(self.source.url, path):
            if self._by_h5py:
                return self._h5py.index(path, wanted, names=names, recursive=recursive)
            try:
                return self._index(path, wanted, on_array, names=names, recursive=recursive)
            except LinkOutsideError:
                raise
            except UnsupportedLayoutError as exc:
                _log.debug("%s of %r is read by h5py: %s", path, self.source.url, exc)
            except (*STORAGE_ERRORS, PathNotFoundError):
                raise
            except PARSER_ERRORS as exc:
                # Says more if the file is something else. libhdf5 is not tried: it may hang or crash on damaged files.
                check_signature(self._store)
                raise as_damage(exc) from (None if isinstance(exc, NWBDaskError) else exc)
            return self._h5py.index(path, wanted, names=names, recursive=recursive)

    def _index(
        self, path: str, wanted: Wanted, on_array: OnArray, *, names: Collection[str] | None, recursive: bool
    ) -> FileIndex:
        asked = "/" + "/".join(split_path(path))
        # What is known of a remote file is kept, and complete; a local one is read as far as it is asked for.
        if self._is_remote:
            lookup, tree = self._lookup, Tree(self._lookup, self._pages, Wanted(None, None), on_array)
            is_large = self._store.size >= _LARGE_BYTES
            if is_large and recursive and asked == "/" and asked not in self.known.parts:
                # The head is in memory since the file was opened: the tail goes with what is fetched next.
                self._pages.fetch([(0, 1)])
                self._pages.bring_along(max(self._store.size - _TAIL_BYTES, 0), self._store.size)
                self._pages.fill_gaps()
        else:
            lookup = self._lookup.apart()
            tree = Tree(lookup, self._pages, wanted.with_pointers(), on_array, names)
        address, entry = tree.describe(asked, recursive=recursive)
        known = lookup.known
        self._reader.follow_references()
        for group, reason in tree.damaged.items():
            note_problem(known, group, reason)
        self._h5py.repair(known, tree.uncovered)
        if entry is not None:
            alone = GroupPart(GroupEntry(FilePath(""), {}, ()), {asked: entry})
            Search(lookup, unresolved([alone], wanted)).run(self._pages)
            return FileIndex(known.source, {}, {asked: with_attributes(entry, wanted, known.paths)})
        same: dict[str, str] = {}
        parts = collect_parts(known, asked, address, same, recursive=recursive)
        Search(lookup, unresolved(parts, wanted)).run(self._pages)
        if self._is_remote:
            every = (entry for part in parts for entry in part.arrays.values())
            self._reader.learn([entry for entry in every if is_readable(entry)], present_only=True)
        return compose_index(known, parts, wanted, names, same)

    def _learner(self, names: Collection[str] | None, *, recursive: bool) -> OnArray:
        """Return what gives the work of preparing a dataset, if it or its index column is among `names`.

        Of everything, the small values can wait: nothing else is found through them.
        """

        def learn(entry: ArrayEntry) -> Iterable[Task | Rest]:
            name = basename(entry.path)
            chosen = names is None or name in names or any(name.startswith(f"{one}_index") for one in names)
            if not chosen or not is_readable(entry) or entry.shape is None:
                return ()
            tasks = self._reader.learning(entry)
            return [Rest(task) for task in tasks] if recursive and is_small(entry) else tasks

        return learn

    def creation(self, entry: ArrayEntry) -> h5p.PropDCID:
        """Return how a dataset was created, as libhdf5 says; see `H5pyFile.creation`."""
        with Boundary(self.source.url, entry.path):
            return self._h5py.creation(entry)

    def attributes(self, path: str) -> dict[str, StoredAttribute]:
        """Return attributes of an object with the types that they are stored in; see `stored_attributes`."""
        with Boundary(self.source.url, path):
            lookup = self._lookup if self._is_remote else self._lookup.apart()
            return {} if self._by_h5py else stored_attributes(lookup, self._pages, path)

    def prepare(self, entries: Iterable[ArrayEntry]) -> None:
        """Fetch what reading rows of `entries` will need, in as few rounds as for one; see `backends.File.prepare`."""
        if self._is_remote and not self._by_h5py:
            with Boundary(self.source.url, None):
                self._reader.learn([entry for entry in entries if is_readable(entry) and entry.shape is not None])

    def holds(self, entry: ArrayEntry) -> bool:
        """Return whether all values of a dataset are at hand; see `backends.File.holds`."""
        return entry.shape is None or 0 in entry.shape or entry.path in self.known.values

    def require_room(self, entry: ArrayEntry, n_bytes: int) -> None:
        """Raise if the file cannot hold so much of a dataset; see `backends.File.require_room`."""
        require_room(entry, n_bytes, file_bytes=self._store.size)

    def read(self, entry: ArrayEntry, spans: npt.NDArray[np.int64] | None = None, inner: Box | None = None) -> _Values:
        """Return rows of the first axis of a dataset, or a box of each; see `backends.File.read`."""
        return self.read_many([(entry, spans, inner)])[0]

    def read_many(self, requests: Sequence[Request]) -> list[_Values]:
        """Return rows of many datasets, fetched together; see `backends.File.read_many`."""
        simple = self._read_simple(requests)
        if len(simple) == len(requests):
            return list(simple.values())
        out: list[_Values | None] = []
        left: list[tuple[int, _Wanted]] = []
        for entry, *where in requests:
            if len(out) in simple:
                out.append(simple[len(out)])
                continue
            wanted = self._wanted(entry, *where)
            out.append(self._at_hand(wanted))
            if out[-1] is None:
                left.append((len(out) - 1, wanted))
        for (at, wanted), found in zip(left, self._read([wanted for _, wanted in left]), strict=True):
            entry, values = wanted.entry, found
            if isinstance(values, Exception):
                with Boundary(self.source.url, entry.path):
                    values = self._read_with_h5py(wanted, values)
            out[at] = values if entry.shape else values.reshape(values.shape[1:])
        return [values for values in out if values is not None]

    def _read_simple(self, requests: Sequence[Request]) -> dict[int, _Values]:
        """Return the values of those datasets that are read whole with few steps, by the number of the request."""
        if self._is_remote or self._by_h5py:
            return {}
        chosen = {
            number: entry
            for number, (entry, *where) in enumerate(requests)
            if all(one is None for one in where) and is_simple(entry)
        }
        found = read_whole(self._store, lambda: self._lookup.heap, list(chosen.values())) if chosen else None
        return {} if found is None else dict(zip(chosen, found, strict=True))

    def _wanted(self, entry: ArrayEntry, spans: npt.NDArray[np.int64] | None, inner: Box | None = None) -> _Wanted:
        """Return tidy rows and a box that fits; a scalar is a single row until it is reshaped."""
        with Boundary(self.source.url, entry.path):
            _refuse_unread(entry)
            shape = checked_shape(entry)
        if entry.shape is None:
            return _Wanted(entry, np.empty((0, 2), np.int64), None)
        box = checked_box(inner, shape)
        return _Wanted(entry, tidy(spans if shape else None, n_rows=shape[0] if shape else 1), box)

    def _at_hand(self, wanted: _Wanted) -> _Values | None:
        """Return the values that need nothing of the file, or None."""
        entry, spans, box = wanted
        if entry.shape is None:
            return np.empty(0, native_dtype(entry.element))
        n_rows = count(spans)
        lengths = entry.shape[1:] if box is None else box_shape(box)
        if not n_rows or 0 in (*entry.shape, *lengths):
            return _empty(entry, (n_rows, *lengths))
        kept = self.known.values.get(entry.path)
        if kept is None or not entry.shape:
            return kept
        if n_rows < entry.shape[0]:
            kept = kept[rows(spans[:, 0], spans[:, 1])]
        return kept if box is None else kept[:, *box_slices(box)]

    def _read(self, left: Sequence[_Wanted]) -> list[_Values | Exception]:
        found = iter(self._reader.read([one for one in left if self._is_own(one.entry)]))
        uncovered = UnsupportedLayoutError("its type or its storage is not covered by the own reader")
        return [next(found) if self._is_own(one.entry) else uncovered for one in left]

    def _is_own(self, entry: ArrayEntry) -> bool:
        return is_readable(entry) and not self._by_h5py

    def _read_with_h5py(self, wanted: _Wanted, reason: Exception) -> _Values:
        """Return what h5py reads where the own reader does not know how; damage is damage, and not shown to libhdf5."""
        if not isinstance(reason, UnsupportedLayoutError):
            raise as_damage(reason) from (None if isinstance(reason, NWBDaskError) else reason)
        _log.debug("%s of %r is read by h5py: %s", wanted.entry.path, self.source.url, reason)
        return self._h5py.read(*wanted)

    def stored(self, entry: ArrayEntry) -> ArrayEntry:
        """Return the entry, which says how its bytes are to be read; see `backends.File.stored`."""
        return entry

    def locate(self, entries: Sequence[ArrayEntry]) -> list[Placement | NWBDaskError]:
        """Return where all stored bytes of each dataset are; see `backends.File.locate`."""
        with Boundary(self.source.url, None):
            described = [self._described(entry) for entry in entries]
            sound = [entry for entry in described if isinstance(entry, ArrayEntry)]
            found = iter(self._reader.locate([entry for entry in sound if entry.layout == "chunked"]))
            return [
                entry if isinstance(entry, NWBDaskError) else place(entry, found, self._store) for entry in described
            ]

    def _described(self, entry: ArrayEntry) -> ArrayEntry | NWBDaskError:
        """Return a dataset as the parser describes it, with where it is; of those by h5py it says nothing."""
        if not is_unplaced(entry):
            return entry
        try:
            # Without its attributes, which may be what the parser does not cover.
            tree = Tree(self._lookup.apart(), self._pages, Wanted(frozenset(), frozenset()), _nothing)
            found = tree.describe(entry.path, recursive=False)[1]
        except STORAGE_ERRORS:
            raise
        except PARSER_ERRORS as exc:
            return as_damage(exc).at(url=self.source.url, path=entry.path)
        return UnsupportedLayoutError("is no dataset", path=entry.path) if found is None else found

    def present(self, start: int, stop: int) -> Buffer | None:
        """Return bytes of the file that describing it has brought into memory, or None."""
        return self._pages.view(start, stop) if self._pages.holds(start, stop) else None

    def fetch_structure(self) -> None:
        """Bring into memory, in one round, the parts of a remote file that describing all of it takes.

        What is known is not read again to describe the file, and another reader of it, such as libhdf5, has to. Where
        not even the places are known, those are taken where objects begin.
        """
        known = self.known
        if known.structure:
            self._pages.fetch_again(known.structure)
            return
        addresses = {known.root, *(one for part in known.parts.values() for one in part.addresses.values())}
        arrays = [entry for part in known.parts.values() for entry in part.arrays.values()]
        indexes = [entry.chunk_index.address for entry in arrays if entry.chunk_index is not None]
        addresses.update(one for one in indexes if one is not None)
        starts = [known.base + one for one in addresses if 0 <= known.base + one < self._store.size]
        self._pages.fetch([(start, start + 1) for start in starts])

    def read_from_pages(self) -> None:
        """Give values that describing the file has brought without asking again whether it is still the same."""
        self._reader.from_pages = True

    def keep_structure(self) -> None:
        """Note which parts of the file are in memory, for `fetch_structure` of whoever opens it next."""
        held = self._pages.held()
        if held != self.known.structure and sum(stop - start for start, stop in held) <= _STRUCTURE_BYTES:
            self.known.structure = held
            self.known.is_changed = True

    def addresses(self) -> dict[int, FilePath]:
        """Return the paths of all objects that are known, by the address of their header."""
        parts = self.known.parts.values()
        return {one: join(part.group.path, name) for part in parts for name, one in part.addresses.items()}

    def close(self) -> None:
        """Give up the file; more than once is harmless. The store stays open."""
        self._h5py.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Hdf5File({self.source.url!r})"


def _nothing(_entry: ArrayEntry) -> Iterable[Task | Rest]:
    return ()


def _refuse_unread(entry: ArrayEntry) -> None:
    if entry.element.kind == "unsupported":
        raise UnsupportedLayoutError(f"{entry.path} is not read: {entry.element.reason}", path=entry.path)
    if entry.home is not None or entry.layout in ("external", "virtual"):
        # libhdf5 would open files that nobody has checked.
        message = f"{entry.path} has its data in other files ({entry.layout} storage), which are not read"
        raise UnsupportedLayoutError(message, path=entry.path)


def _empty(entry: ArrayEntry, shape: tuple[int, ...]) -> _Values:
    dtype = native_dtype(entry.element)
    return np.empty((*shape, *dtype.shape), dtype.base)
