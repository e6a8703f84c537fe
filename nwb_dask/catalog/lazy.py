"""Mappings whose values are read from the cache when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.known import GroupPart, Known
from nwb_dask.catalog.indexfile import Facts, IndexFile, Section
from nwb_dask.catalog.parts import (
    Content,
    split_path,
    unpack_contents,
    unpack_manifest,
    unpack_part,
    unpack_values,
)
from nwb_dask.catalog.serialize import unpack
from nwb_dask.index import ChunkManifest, Source, Url, join

_BASE_BYTES, _ENTRY_BYTES, _NAME_BYTES = 1024, 2048, 128
"""Memory of an empty `Known`, of a described dataset, and of one more name: about, rather too much."""

K = TypeVar("K")
V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)


class Lookup(Protocol[K, V_co]):
    """Where a mapping finds what it does not hold yet."""

    @property
    def weight(self) -> int:
        """Memory that it takes, about, in bytes."""

    def load(self, key: K) -> V_co:
        """Return what is kept for `key`.

        Raises
        ------
        KeyError
            If nothing is, or nothing that can be trusted.
        """

    def keys(self) -> Iterable[K]:
        """Return the keys for which something may be kept."""


class LazyMapping(MutableMapping[K, V], Generic[K, V]):
    """What was added, and what `lookup` finds.

    A key is in it only if its value could be read; therefore to ask for all keys reads all values. What is deleted or
    replaced is so here and not in the cache, where it is as right as before.

    Parameters
    ----------
    items : dict
        What is known already; used as it is, so that whoever still holds it adds to this mapping.
    lookup : Lookup
        Where the rest is.
    weigh : callable
        Gives the memory that a value takes, about, in bytes.
    """

    __slots__ = ("_deleted", "_lookup", "_weigh", "_weight", "items_here")

    def __init__(self, items: dict[K, V], lookup: Lookup[K, V], weigh: Callable[[V], int]) -> None:
        self.items_here = items
        self._lookup = lookup
        self._deleted: set[K] = set()
        self._weigh = weigh
        self._weight = sum(map(weigh, items.copy().values()))

    @property
    def weight(self) -> int:
        """Memory that is taken, about, in bytes."""
        return self._weight + self._lookup.weight

    def __getitem__(self, key: K) -> V:
        try:
            return self.items_here[key]
        except KeyError:
            if key in self._deleted:
                raise
        value = self._lookup.load(key)
        self._weight += self._weigh(value)
        # Two threads may both have read it; all get the same one.
        return self.items_here.setdefault(key, value)

    def __setitem__(self, key: K, value: V) -> None:
        self._weight += self._weigh(value)
        self.items_here[key] = value

    def __delitem__(self, key: K) -> None:
        if key not in self:
            raise KeyError(key)
        self._deleted.add(key)
        self.items_here.pop(key, None)

    def __iter__(self) -> Iterator[K]:
        for key in dict.fromkeys([*self.items_here, *self._lookup.keys()]):
            if key in self:
                yield key

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return next(iter(self), None) is not None


def open_known(file: IndexFile, facts: Facts, url: Url) -> Known:
    """Return what `file` holds, under the URL by which it was asked for."""
    known = Known(Source(url, facts.identity), facts.base, facts.offset_bytes, facts.length_bytes, facts.root)
    known.structure = facts.structure
    attach(known, file)
    return known


def attach(known: Known, file: IndexFile) -> None:
    """Make `known` find in `file` what it does not hold itself."""
    contents = _Contents(file)
    known.parts = LazyMapping(items_here(known.parts), _Parts(file), _weigh_part)
    known.manifests = LazyMapping(items_here(known.manifests), _Manifests(contents), _weigh_manifest)
    known.values = LazyMapping(items_here(known.values), _Values(contents), _weigh_values)
    known.paths = LazyMapping(items_here(known.paths), _Paths(file), _weigh_path)


def items_here(mapping: MutableMapping[K, V]) -> dict[K, V]:
    """Return what a mapping holds without reading anything."""
    if isinstance(mapping, LazyMapping):
        return mapping.items_here
    return mapping if type(mapping) is dict else dict(mapping)


def weigh(known: Known) -> int:
    """Return the memory that `known` takes, about, in bytes."""
    return _BASE_BYTES + sum(
        mapping.weight
        for mapping in (known.parts, known.manifests, known.values, known.paths)
        if isinstance(mapping, LazyMapping)
    )


def _weigh_part(part: GroupPart) -> int:
    inline = sum(len(entry.inline) for entry in part.arrays.values() if entry.inline is not None)
    return _ENTRY_BYTES * (1 + len(part.arrays)) + _NAME_BYTES * len(part.addresses) + inline


def _weigh_manifest(manifest: ChunkManifest) -> int:
    return _ENTRY_BYTES + manifest.numbers.nbytes * 7 // 2


def _weigh_values(values: npt.NDArray[np.generic]) -> int:
    return _ENTRY_BYTES + values.nbytes + (_NAME_BYTES * values.size if values.dtype.hasobject else 0)


def _weigh_path(_path: str | None) -> int:
    return _NAME_BYTES


class _Parts:
    """Descriptions of groups in a file of the cache."""

    def __init__(self, file: IndexFile) -> None:
        self._file = file

    @property
    def weight(self) -> int:
        return self._file.head_bytes

    def load(self, key: str) -> GroupPart:
        return _read(self._file, "descriptions", key, unpack_part)

    def keys(self) -> list[str]:
        return [group for section, group in self._file.places() if section == "descriptions"]


class _Contents:
    """Contents of datasets in a file of the cache, still packed, by group."""

    def __init__(self, file: IndexFile) -> None:
        self.file = file
        self.weight = 0
        self._groups: dict[str, dict[str, Content]] = {}

    def find(self, path: str) -> Content:
        split = split_path(path)
        if split is None:
            raise KeyError(path)
        return self.group(split[0])[split[1]]

    def group(self, group: str) -> dict[str, Content]:
        if group not in self._groups:
            found = _read(self.file, "contents", group, unpack_contents)
            self.weight += sum(
                _NAME_BYTES + len(one) for content in found.values() for one in content if one is not None
            )
            self._groups[group] = found
        return self._groups[group]

    def keys(self, which: int) -> list[str]:
        found: list[str] = []
        for section, group in self.file.places():
            if section == "contents":
                try:
                    contents = self.group(group)
                except KeyError:
                    continue
                found.extend(join(group, name) for name, content in contents.items() if content[which] is not None)
        return found


class _Manifests:
    weight = 0
    """`_Values` counts what they share."""

    def __init__(self, contents: _Contents) -> None:
        self._contents = contents

    def load(self, key: str) -> ChunkManifest:
        return _unpacked(self._contents.file, key, self._contents.find(key)[0], unpack_manifest)

    def keys(self) -> list[str]:
        return self._contents.keys(0)


class _Values:
    def __init__(self, contents: _Contents) -> None:
        self._contents = contents

    @property
    def weight(self) -> int:
        return self._contents.weight

    def load(self, key: str) -> npt.NDArray[np.generic]:
        return _unpacked(self._contents.file, key, self._contents.find(key)[1], unpack_values)

    def keys(self) -> list[str]:
        return self._contents.keys(1)


class _Paths:
    """Paths of objects by address, all in one block."""

    weight = 0
    """Few."""

    def __init__(self, file: IndexFile) -> None:
        self._file = file
        self._found: dict[int, str | None] | None = None

    def load(self, key: int) -> str | None:
        return self._all()[key]

    def keys(self) -> list[int]:
        return list(self._all())

    def _all(self) -> dict[int, str | None]:
        if self._found is None:
            try:
                self._found = _read(self._file, "paths", "", unpack_paths)
            except KeyError:
                self._found = {}
        return self._found


def unpack_paths(data: bytes) -> dict[int, str | None]:
    """Return paths by address."""
    addresses, paths = unpack(data)
    return dict(zip(addresses, paths, strict=True))


def _read(file: IndexFile, section: Section, group: str, unpacker: Callable[[bytes], V]) -> V:
    return _unpacked(file, group, file.read(section, group), unpacker)


def _unpacked(file: IndexFile, key: str, data: bytes | None, unpacker: Callable[[bytes], V]) -> V:
    if data is None:
        raise KeyError(key)
    try:
        return unpacker(data)
    except Exception as exc:  # a bad cache is a miss, in whatever way it is bad
        file.give_up(exc)
        raise KeyError(key) from exc
