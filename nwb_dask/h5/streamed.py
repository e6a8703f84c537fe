"""HDF5 files open in h5py over the project's storage.

libhdf5 finds the structure of the file in memory, where the own parser has put it in a few rounds; values are read by
the own reader, many ranges at once, and by libhdf5 where that does not know how.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, KeysView, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5d, h5f, h5fd, h5g, h5o, h5p, h5r
from h5py._hl.base import KeysViewHDF5
from h5py._objects import phil

from nwb_dask.backends import Hdf5File, Known
from nwb_dask.errors import PathNotFoundError, UnsupportedLayoutError, display_url
from nwb_dask.h5.reads import Reads
from nwb_dask.h5.selection import select
from nwb_dask.h5.streamed_attributes import StreamedAttributes
from nwb_dask.h5.tree import Tree
from nwb_dask.h5.values import some_fields, stored_values
from nwb_dask.h5.views import Items, Values
from nwb_dask.h5.waiting import no_collection_if_locked
from nwb_dask.index import ArrayEntry, AttributeValue, ElementType
from nwb_dask.storage import BlockFile, Buffer, Store

_OWN = frozenset({"int", "uint", "float", "complex", "bool", "enum", "string", "reference", "array"})
_NOTHING: Mapping[str, AttributeValue] = MappingProxyType({})


class Origin:
    """What the objects of one streamed file share.

    Parameters
    ----------
    file : Hdf5File
        The own parser and reader; all of it was described.
    tree : Tree
        What it found.
    """

    def __init__(self, file: Hdf5File, tree: Tree) -> None:
        self.file = file
        self.tree = tree
        self.reads = Reads(file)
        arrays = tree.arrays()
        paths = file.addresses()
        groups = tree.groups()
        self._entries = {address: arrays[path] for address, path in paths.items() if path in arrays}
        self._groups = {address: groups[path].attributes for address, path in paths.items() if path in groups}
        self._groups[file.known.root] = groups["/"].attributes
        self._has_external = tree.has_external_links()

    def entry(self, did: h5d.DatasetID) -> ArrayEntry | None:
        """Return the description of an open dataset, if the own parser has one."""
        return self._entries.get(h5o.get_info(did).addr)

    def attributes(self, gid: h5g.GroupID) -> Mapping[str, AttributeValue]:
        """Return the attributes of an open group, as far as the own parser has them."""
        return self._groups.get(h5o.get_info(gid).addr, _NOTHING)

    def check_link(self, name: object, start: h5py.Group) -> None:
        """Raise `PathNotFoundError` if a path from a group leads into another file, which libhdf5 would open."""
        if self._has_external and isinstance(name, (str, bytes)):
            path = name.decode() if isinstance(name, bytes) else name
            self.tree.check_inside(path, start.name)


class _Streamed:
    """What groups and datasets of a streamed file have in common."""

    _origin: Origin
    _file: StreamedFile

    @property
    def file(self) -> StreamedFile:
        """The file that it is in."""
        return self._file

    def __getnewargs__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise self._not_pickled()

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise self._not_pickled()

    def _not_pickled(self) -> TypeError:
        return TypeError("objects of an open file are not pickled; open it where it goes with nwb_dask.open_h5")

    def _dressed(self, found: Any) -> Any:
        """Return an object of h5py's as one that streams."""
        if isinstance(found, _Streamed):
            return found
        if isinstance(found, h5py.Dataset):
            return StreamedDataset(found.id, self.file, self._origin)
        if isinstance(found, h5py.Group):
            return StreamedGroup(found.id, self.file, self._origin)
        return found


class StreamedGroup(_Streamed, h5py.Group):  # type: ignore[misc]  # h5py has no types
    """A group of a `StreamedFile`."""

    def __init__(self, gid: Any, file: StreamedFile, origin: Origin) -> None:
        h5py.Group.__init__(self, gid)
        self._file = file
        self._origin = origin

    @property
    def attrs(self) -> StreamedAttributes:
        """Its attributes."""
        return StreamedAttributes(self, self._origin.attributes(self.id))

    def __getitem__(self, name: object) -> Any:
        """Return a member by name or path, or what a reference points to."""
        self._origin.check_link(name, self)
        return self._dressed(super().__getitem__(name))

    def get(self, name: Any, default: Any = None, getclass: bool = False, getlink: bool = False, **more: Any) -> Any:
        """Return a member, its class, or the link that leads to it; see ``h5py.Group.get``."""
        if not getlink:
            try:
                self._origin.check_link(name, self)
            except PathNotFoundError:
                return default
        found = super().get(name, default, getclass=getclass, getlink=getlink, **more)
        return found if getclass or getlink or found is default else self._dressed(found)

    def keys(self) -> KeysView[str]:
        """Return the names of the members."""
        names: KeysView[str] = KeysViewHDF5(self)
        return names

    def values(self) -> Values:
        """Return the members; None for a link that leads nowhere."""
        return Values(self)

    def items(self) -> Items:
        """Return names and members; None for a link that leads nowhere."""
        return Items(self)


class StreamedFile(StreamedGroup, h5py.File):  # type: ignore[misc]  # h5py has no types
    """A remote HDF5 file that is open in h5py, over a store.

    It closes with `close`, when nothing refers to it or its objects any more, and before the interpreter ends: a file
    over a Python object that is open then crashes it.

    Parameters
    ----------
    store : Store
        Closed with this.
    file : Hdf5File
        The same file; closed with this.
    tree : Tree
        What is in it: no data in other files.
    keep : callable
        Called when it closes, with what was found out about the file.
    """

    def __init__(self, store: Store, file: Hdf5File, tree: Tree, keep: Callable[[Known], None]) -> None:
        file.read_from_pages()
        is_new = not file.known.structure
        origin = Origin(file, tree)
        arrays = origin.tree.arrays().values()
        origin.reads.beside(origin.tree.datasets_by_group())
        origin.reads.first_rows([one for one in arrays if one.element.kind == "string" and one.shape and one.shape[0]])
        if is_new:
            file.fetch_structure()
            file.keep_structure()
        fid = _open(BlockFile(_Calm(store), file.present, display_url(store.source.url)))
        h5py.File.__init__(self, fid)
        self._origin = origin
        self._closing = weakref.finalize(self, _closer(fid, file, store, keep))

    @property
    def file(self) -> StreamedFile:
        """The file itself."""
        return self

    def close(self) -> None:
        """Close the file; all objects of it become invalid."""
        self._closing()


class _Calm:
    """Reads of a store while h5py's lock is held: other threads may fetch the bytes."""

    def __init__(self, store: Store) -> None:
        self.size = store.size
        self._store = store

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[Buffer]:
        with no_collection_if_locked():
            return self._store.read(ranges)


def _open(blocks: BlockFile) -> h5f.FileID:
    # This property list must die here: one that is alive at exit crashes the interpreter (see backends/handles.py).
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fileobj_driver(h5fd.fileobj_driver, blocks)
    return h5f.open(repr(blocks).encode(), h5f.ACC_RDONLY, access)


def _closer(fid: h5f.FileID, file: Hdf5File, store: Store, keep: Callable[[Known], None]) -> Callable[[], None]:
    process = os.getpid()

    def close() -> None:
        if os.getpid() != process:
            # It belongs to the process that opened it; a thread that is not here may hold h5py's lock.
            return
        try:
            with phil:
                if fid.valid:
                    # As h5py.File.close does.
                    fid._close_open_objects(h5f.OBJ_LOCAL | ~h5f.OBJ_FILE)  # noqa: SLF001  # h5py has no other way
                    fid._close_open_objects(h5f.OBJ_LOCAL | h5f.OBJ_FILE)  # noqa: SLF001  # h5py has no other way
                    fid.close()
        finally:
            # Also where somebody has tried to write, which libhdf5 notices again here.
            # Not when it is opened: that takes as long as a round.
            keep(file.known)
            file.close()
            store.close()

    return close


class StreamedDataset(_Streamed, h5py.Dataset):  # type: ignore[misc]  # h5py has no types
    """A dataset of a `StreamedFile`; what is selected is read with few requests."""

    # h5netcdf 1.8 tells datasets of h5py by the module of their class.
    __module__ = h5py.Dataset.__module__

    def __init__(self, did: h5d.DatasetID, file: StreamedFile, origin: Origin) -> None:
        h5py.Dataset.__init__(self, did, readonly=True)
        self._file = file
        self._origin = origin
        self._entry = origin.entry(did)
        self._type: np.dtype[Any] | None = None
        self._refuse_outside()

    @property
    def attrs(self) -> StreamedAttributes:
        """Its attributes."""
        return StreamedAttributes(self, _NOTHING if self._entry is None else self._entry.attributes)

    def __getitem__(self, args: object, new_dtype: np.dtype[np.generic] | None = None) -> Any:
        """Read what is selected; see ``h5py.Dataset``."""
        if new_dtype is None and type(args) in (int, slice):
            quick = self._quick(args)  # type: ignore[arg-type]  # mypy does not see the test
            if quick is not None:
                return quick
        given = args if isinstance(args, tuple) else (args,)
        entry = self._entry
        if entry is None or not _is_own(entry.element) or entry.shape is None or not _is_plain(given):
            return super().__getitem__(args, new_dtype)
        if not self.id.valid:
            raise ValueError("Not a dataset (it was closed)")
        found = self._read(entry, given)
        if found is None:
            return super().__getitem__(args, new_dtype)
        if new_dtype is not None:
            found = some_fields(found, new_dtype) if new_dtype.names else found.astype(new_dtype)
        return found[()] if found.shape == () and not (given and given[0] is Ellipsis) else found

    def _quick(self, args: int | slice) -> Any:
        """Return rows that are in memory, or None: pynwb asks for ragged columns row by row."""
        entry = self._entry
        if entry is None or not entry.shape or not self.id.valid or not _is_own(entry.element):
            return None
        n_rows = entry.shape[0]
        start, stop, step = args.indices(n_rows) if isinstance(args, slice) else (args, args + 1, 1)
        if step != 1 or not 0 <= start < stop <= n_rows:
            return None
        values = self._origin.reads.present(entry, start, stop)
        if values is None:
            return None
        if self._type is None:
            self._type = self.dtype
        found = self._values(values, entry.element, self._type)
        return found if isinstance(args, slice) else found[0]

    def _read(self, entry: ArrayEntry, args: tuple[Any, ...]) -> npt.NDArray[Any] | None:
        """Return what is selected, or None where h5py has to say what that is."""
        assert entry.shape is not None  # noqa: S101  # told apart before
        dtype = self.dtype
        if not entry.shape:
            if args and args[0] is not Ellipsis:
                return None
            return self._values(self._origin.reads.scalar(entry), entry.element, dtype)
        wanted = select(entry.shape, args or (Ellipsis,), row_bytes=self.nbytes // max(entry.shape[0], 1))
        if wanted.is_empty:
            return np.zeros(wanted.shape, dtype)
        return self._values(wanted.pick(self._origin.reads.read(entry, wanted)), entry.element, dtype)

    def _values(self, values: npt.NDArray[Any], element: ElementType, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        return stored_values(values, element, dtype, self._reference)

    def _reference(self, path: str | None) -> h5py.Reference:
        return h5r.Reference() if path is None else h5r.create(self.file.id, path.encode(), h5r.OBJECT)

    def _refuse_outside(self) -> None:
        """Raise if the data are in other files, which libhdf5 would open."""
        entry = self._entry
        layout = self._dcpl.get_layout() if entry is None else entry.layout
        if layout in ("external", "virtual", h5d.VIRTUAL) or (entry is None and self._dcpl.get_external_count()):
            if self.is_virtual and all(one.file_name == "." for one in self.virtual_sources()):
                return
            raise UnsupportedLayoutError(
                f"{self.name} has its data in other files, which are not read", url=self._origin.tree.url
            )

    def __iter__(self) -> Any:
        if not self.shape:
            raise TypeError("Can't iterate over a scalar dataset")
        row_bytes = max(self.nbytes // max(self.shape[0], 1), 1)
        step = max((1 << 20) // row_bytes, 1)
        for start in range(0, self.shape[0], step):
            yield from self[start : start + step]

    def read_direct(self, dest: npt.NDArray[Any], source_sel: Any = None, dest_sel: Any = None) -> None:
        """Read what `source_sel` selects into what `dest_sel` selects of an array."""
        dest[... if dest_sel is None else dest_sel] = self[() if source_sel is None else source_sel]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = True) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError(f"{self.name} is read anew, which cannot be done without a copy")
        values = np.asarray(self[()])
        return values if dtype is None else values.astype(dtype, copy=False)


def _is_own(element: ElementType) -> bool:
    """Return whether the own reader gives values that become those of h5py."""
    if element.kind == "compound":
        return all(_is_own(field) for _, field in element.fields)
    return element.kind in _OWN


def _is_plain(args: tuple[Any, ...]) -> bool:
    """Return whether a selection has neither names of fields nor references, which h5py takes apart."""
    return not any(isinstance(one, (str, h5py.RegionReference)) or one is None for one in args)
