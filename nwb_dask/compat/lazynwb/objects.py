"""Groups and datasets of a file, used as those of h5py are. They hold nothing open, and read when they are indexed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from nwb_dask.compat.lazynwb.settings import configured
from nwb_dask.compat.lazynwb.sources import PathLike, as_source
from nwb_dask.errors import NWBDaskError, PathNotFoundError
from nwb_dask.index import ArrayEntry, AttributeValue, FileIndex, Filter, GroupEntry, Identity, Reference, join
from nwb_dask.plan.slab import Slab, stored_dtype
from nwb_dask.read import read_slab
from nwb_dask.read.opening import open_source
from nwb_dask.storage import Access, Named, expand_sources, make_access

_COMPRESSION = {1: "gzip", 4: "szip", 32000: "lzf"}
"""Registered filters that h5py calls a compression."""
_SHUFFLE, _FLETCHER32, _SCALE_OFFSET = 2, 3, 6


@dataclass(frozen=True, slots=True)
class Place:
    """One file and how to reach it."""

    named: Named
    access: Access = field(repr=False)

    @classmethod
    def of(cls, path: PathLike) -> Place:
        """Return that of one file; raises `ValueError` if `path` means several."""
        with configured() as storage_options:
            access = make_access(storage_options)
            named = expand_sources(as_source(path), access)
        if len(named) != 1:
            raise ValueError(f"expected a single path, but {as_source(path)!r} means {len(named)} files")
        return cls(named[0], access)

    def index(
        self, path: str, *, names: tuple[str, ...] | None = None, recursive: bool = False
    ) -> tuple[FileIndex, Identity]:
        """Return what is at `path`, with all attributes, and the version of the file; see `backends.File.index`."""
        try:
            with configured(), open_source(self.named.url, self.access) as file:
                return file.index(path, names=names, recursive=recursive), file.source.identity
        except NWBDaskError as error:
            raise error.at(url=self.named.name) from error.__cause__

    def object(self, path: str) -> StoredGroup | StoredDataset:
        """Return the group or dataset at `path`.

        Raises
        ------
        PathNotFoundError
            If there is none.
        """
        index, identity = self.index(path, names=())
        group, array = index.group(path), index.array(path)
        if group is not None:
            return StoredGroup(self, group)
        if array is not None:
            return StoredDataset(self, array, identity)
        reason = index.problems.get(path, "nothing can be read there")
        raise PathNotFoundError(f"{path}: {reason}", url=self.named.name, path=path)


@dataclass(frozen=True)
class StoredDataset:
    """A dataset: indexed like one of h5py, it reads what is asked for and no more.

    Text comes as `bytes`, as h5py gives it, and as `str` from `asstr`. Object references come as the path that they
    lead to. Arrays of positions along several axes pick all combinations.
    """

    place: Place = field(repr=False)
    entry: ArrayEntry = field(repr=False)
    identity: Identity = field(repr=False)
    is_text: bool = field(default=False, repr=False)

    @property
    def name(self) -> str:
        """Path in the file."""
        return self.entry.path

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.entry.shape or ()

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored; text of variable length and references are objects."""
        return element_dtype(self.entry)

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes by name; references are paths."""
        return plain_attributes(self.entry.attributes)

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Shape of a stored chunk."""
        return self.entry.chunks

    @property
    def maxshape(self) -> tuple[int | None, ...]:
        """Largest shape; None for an axis without bound."""
        chunked = self.entry.chunk_index
        return self.shape if chunked is None else chunked.maxshape

    @property
    def compression(self) -> str | None:
        """``"gzip"``, ``"szip"`` or ``"lzf"``, as h5py names them; None for other filters."""
        return next((_COMPRESSION[one.id] for one in self.entry.filters if one.id in _COMPRESSION), None)

    @property
    def compression_opts(self) -> object | None:
        """Level of gzip, options of szip."""
        found = next((one for one in self.entry.filters if one.id in _COMPRESSION), None)
        if found is None or not found.options or found.id not in {1, 4}:
            return None
        return found.options[0] if found.id == 1 else found.options

    @property
    def shuffle(self) -> bool:
        """Whether bytes are shuffled before they are compressed."""
        return self._filter(_SHUFFLE) is not None

    @property
    def fletcher32(self) -> bool:
        """Whether chunks have a checksum."""
        return self._filter(_FLETCHER32) is not None

    @property
    def scaleoffset(self) -> object | None:
        """Options of the scale-offset filter."""
        found = self._filter(_SCALE_OFFSET)
        return None if found is None else found.options

    @property
    def fillvalue(self) -> object:
        """What stands where nothing was written."""
        dtype = self.entry.element.dtype
        if dtype is None:
            return b"" if self.entry.element.kind == "string" else None
        stored = bytes(dtype.itemsize) if self.entry.fill is None else self.entry.fill
        value: object = np.frombuffer(stored, dtype)[0]
        return value

    def asstr(self) -> StoredDataset:
        """Return the same dataset, whose text comes as `str`."""
        return replace(self, is_text=True)

    def __getitem__(self, key: Any) -> Any:
        """Read a part.

        Raises
        ------
        IndexError
            If it reaches outside of the array.
        SourceChangedError
            If the file was replaced since this was made.
        """
        if key is Ellipsis or (isinstance(key, tuple) and (not key or key == (Ellipsis,))):
            key = ()
        elif isinstance(key, tuple) and any(one is Ellipsis for one in key):
            at = next(number for number, one in enumerate(key) if one is Ellipsis)
            key = (*key[:at], *(slice(None),) * (self.ndim - len(key) + 1), *key[at + 1 :])
        keys = tuple(_positions(one) for one in (key if isinstance(key, tuple) else (key,)))
        place = self.place
        slab = Slab.of(
            self.entry, url=place.named.url, name=place.named.name, identity=self.identity, access=place.access
        )
        found = read_slab(slab, keys)
        if self.entry.element.kind == "string" and not self.is_text:
            found = _as_bytes(found, self.entry.element.dtype)
        return found[()] if found.ndim == 0 else found

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a scalar dataset has no length")
        return self.shape[0]

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the rows, which are read at once."""
        return iter(self[()])

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Read all of it."""
        values = np.asarray(self[()])
        return values if dtype is None else values.astype(dtype, copy=False)

    def __repr__(self) -> str:
        """Say what it is."""
        return f"<dataset {self.name!r}: shape {self.shape}, type {self.dtype}>"

    def _filter(self, number: int) -> Filter | None:
        return next((one for one in self.entry.filters if one.id == number), None)


@dataclass(frozen=True)
class StoredGroup(Mapping[str, "StoredGroup | StoredDataset"]):
    """A group: members by name or by path, as of one of h5py."""

    place: Place = field(repr=False)
    entry: GroupEntry = field(repr=False)

    @property
    def name(self) -> str:
        """Path in the file."""
        return self.entry.path

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes by name; references are paths."""
        return plain_attributes(self.entry.attributes)

    def __getitem__(self, name: str) -> StoredGroup | StoredDataset:
        """Return a member, or what is at a path below; raises `PathNotFoundError`, a `KeyError`."""
        return self.place.object(name.rstrip("/") or "/" if name.startswith("/") else join(self.name, name.rstrip("/")))

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the members."""
        return iter(self.entry.members)

    def __len__(self) -> int:
        return len(self.entry.members)

    def __bool__(self) -> bool:
        return True

    def __hash__(self) -> int:
        """Return that of the path."""
        return hash((self.place.named, self.name))

    def __repr__(self) -> str:
        """Say what it is."""
        return f"<group {self.name!r} ({len(self)} members)>"


def element_dtype(entry: ArrayEntry) -> np.dtype[Any]:
    """Return the dtype of a dataset as h5py has it: bool for its enumeration, objects for text and references."""
    element = entry.element
    if element.kind == "bool" or element.dtype is None:
        return stored_dtype(element)
    return element.dtype


def plain_attributes(attributes: Mapping[str, AttributeValue]) -> dict[str, Any]:
    """Return attributes as Python and numpy have them; references are paths."""
    return {name: _plain(value) for name, value in attributes.items()}


def json_attributes(attributes: Mapping[str, AttributeValue]) -> dict[str, Any]:
    """Return attributes as lists, text and numbers; references are paths, and bytes that are no text hexadecimal."""
    return {name: _json(value) for name, value in attributes.items()}


def _plain(value: AttributeValue) -> object:
    if isinstance(value, Reference):
        return value.path
    if isinstance(value, tuple):
        listed = np.empty(len(value), object)
        listed[:] = [_plain(item) for item in value]
        return listed
    return value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value


def _json(value: object) -> object:
    if isinstance(value, Reference):
        return value.path
    if isinstance(value, (tuple, list)):
        return [_json(item) for item in value]
    if isinstance(value, np.ndarray):
        return _json(value.tolist())
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.hex()
    return str(value) if isinstance(value, complex) else value


def _positions(key: object) -> object:
    """Return a mask as the positions that it picks."""
    listed = np.asarray(key) if isinstance(key, (list, np.ndarray)) else None
    return np.flatnonzero(listed) if listed is not None and listed.dtype == bool and listed.size else key


def _as_bytes(found: npt.NDArray[Any], dtype: np.dtype[Any] | None) -> npt.NDArray[Any]:
    out = np.empty(found.shape, object)
    out.reshape(-1)[:] = [text.encode() for text in found.reshape(-1).tolist()]
    return out if dtype is None else out.astype(dtype)
