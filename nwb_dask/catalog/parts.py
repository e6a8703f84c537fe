"""What is known of one group, as two packed blocks: its description, and the contents of its datasets.

They are apart because a plan over many files asks for descriptions only. Entries are written as the tuple of their
fields, so that a new field is kept without a change here; `SCHEMA` tells files with other fields apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, NewType, get_args
from zlib import crc32

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.known import Depth, GroupPart, Known
from nwb_dask.catalog.serialize import pack, pack_dtype, unpack, unpack_dtype
from nwb_dask.errors import MalformedFileError
from nwb_dask.index import (
    ArrayEntry,
    ChunkIndex,
    ChunkManifest,
    ElementType,
    Filter,
    GroupEntry,
    Identity,
    Link,
    Reference,
    basename,
    join,
)

_KEPT = (
    GroupPart,
    GroupEntry,
    ArrayEntry,
    ElementType,
    Filter,
    ChunkIndex,
    ChunkManifest,
    Link,
    Reference,
    Identity,
    Known,
)
SCHEMA = crc32(repr([(kind.__name__, [(one.name, str(one.type)) for one in fields(kind)]) for kind in _KEPT]).encode())
"""Stands for the fields of all classes that are kept."""

Content = NewType("Content", "tuple[bytes | None, bytes | None]")
"""Packed manifest and packed values of a dataset, each None where it is not known."""

_MAX_TYPE_DEPTH = 16
_WORD = np.dtype("<i8")
_MASK = np.dtype("<u4")


def split_path(path: str) -> tuple[str, str] | None:
    """Return the group of a dataset and its name in it; None if the two do not make up `path`."""
    name = basename(path)
    group = path[: -len(name) - 1] or "/" if name else ""
    return (group, name) if name and join(group, name) == path else None


def pack_part(part: GroupPart) -> bytes:
    """Return a description as bytes.

    Raises
    ------
    TypeError, ValueError, OverflowError
        If something in it cannot be brought back exactly.
    """
    # By their bytes: types that read differently may be equal, because they read as the same.
    elements: dict[bytes, int] = {}
    group = part.group
    described = _fields(
        group,
        attributes=dict(group.attributes),
        links={name: _fields(link) for name, link in group.links.items()},
        unread=tuple(sorted(group.unread)),
    )
    packed = _fields(
        part,
        group=described,
        arrays=tuple([(name, _pack_array(group.path, name, one, elements)) for name, one in part.arrays.items()]),
        addresses=(tuple(part.addresses), tuple(part.addresses.values())),
        subgroups=tuple(sorted(part.subgroups)),
        problems=dict(part.problems),
    )
    return pack((packed, tuple(elements)))


def unpack_part(data: bytes) -> GroupPart:
    """Return what `pack_part` packed."""
    packed, types = unpack(data)
    elements = [_unpack_element(one) for one in types]
    values = dict(zip(_NAMES[GroupPart], packed, strict=True))
    group = _unpack_group(values["group"])
    values["group"] = group
    values["arrays"] = {name: _unpack_array(group.path, name, one, elements) for name, one in values["arrays"]}
    values["addresses"] = dict(zip(*values["addresses"], strict=True))
    values["subgroups"] = frozenset(values["subgroups"])
    return GroupPart(**values)


def _unpack_group(packed: Iterable[Any]) -> GroupEntry:
    values = dict(zip(_NAMES[GroupEntry], packed, strict=True))
    values["links"] = {name: Link(*link) for name, link in values["links"].items()}
    values["unread"] = frozenset(values["unread"])
    return GroupEntry(**values)


def n_known(part: GroupPart) -> int:
    """Return how much of a group is known: the more, the greater."""
    return get_args(Depth).index(part.depth)


def pack_contents(contents: Mapping[str, Content]) -> bytes:
    """Return what is in the datasets of a group, by name, as bytes."""
    return pack(dict(contents))


def unpack_contents(data: bytes) -> dict[str, Content]:
    """Return what `pack_contents` packed; what is in a dataset stays packed until it is asked for."""
    contents: dict[str, Content] = unpack(data)
    return contents


def pack_manifest(manifest: ChunkManifest) -> bytes:
    """Return a manifest as bytes: the differences between neighbours, which compress to little."""
    columns = (manifest.numbers, manifest.offsets, manifest.sizes)
    if len({len(column) for column in (*columns, manifest.masks)}) != 1:
        raise TypeError("a manifest whose arrays differ in length is not kept")
    return pack((*map(_differences, columns), _shuffled(manifest.masks.astype(_MASK, casting="equiv"))))


def unpack_manifest(data: bytes) -> ChunkManifest:
    """Return what `pack_manifest` packed; the arrays are read-only."""
    *columns, masks = unpack(data)
    numbers, offsets, sizes = [_sums(column) for column in columns]
    manifest = ChunkManifest(numbers, offsets, sizes, _unshuffled(masks, _MASK).astype(np.uint32))
    if not len(numbers) == len(offsets) == len(sizes) == len(manifest.masks):
        raise MalformedFileError("damaged: the arrays of a manifest differ in length")
    for column in (numbers, offsets, sizes, manifest.masks):
        column.flags.writeable = False
    return manifest


def unpack_values(data: bytes) -> npt.NDArray[np.generic]:
    """Return an array that `pack` packed."""
    values = unpack(data)
    if not isinstance(values, np.ndarray):
        raise MalformedFileError("damaged: the values of a dataset are no array")
    return values


def _pack_array(group: str, name: str, entry: ArrayEntry, elements: dict[bytes, int]) -> tuple[object, ...]:
    return _fields(
        entry,
        path=None if entry.path == join(group, name) else entry.path,
        element=elements.setdefault(_pack_element(entry.element), len(elements)),
        attributes=dict(entry.attributes),
        filters=tuple([_fields(one) for one in entry.filters]),
        chunk_index=None if entry.chunk_index is None else _fields(entry.chunk_index),
    )


def _unpack_array(group: str, name: str, packed: Iterable[Any], elements: Sequence[ElementType]) -> ArrayEntry:
    # By position: this runs for every dataset of thousands of files.
    values = [*packed]
    values[_PATH] = values[_PATH] or join(group, name)
    values[_ELEMENT] = elements[values[_ELEMENT]]
    if values[_FILTERS]:
        values[_FILTERS] = tuple([Filter(*one) for one in values[_FILTERS]])
    if values[_CHUNK_INDEX] is not None:
        values[_CHUNK_INDEX] = ChunkIndex(*values[_CHUNK_INDEX])
    return ArrayEntry(*values)


def _pack_element(element: ElementType, depth: int = 0) -> bytes:
    if depth > _MAX_TYPE_DEPTH:
        raise TypeError(f"types nested deeper than {_MAX_TYPE_DEPTH} are not kept")
    members = tuple([(name, _pack_element(one, depth + 1)) for name, one in element.fields])
    base = None if element.base is None else _pack_element(element.base, depth + 1)
    dtype = None if element.dtype is None else pack_dtype(element.dtype)
    return pack(_fields(element, dtype=dtype, fields=members, base=base))


# Files of one laboratory have the same few types.
@lru_cache(1024)
def _unpack_element(data: bytes, depth: int = 0) -> ElementType:
    if depth > _MAX_TYPE_DEPTH:
        raise MalformedFileError("damaged: a type is nested too deep")
    values = dict(zip(_NAMES[ElementType], unpack(data), strict=True))
    if values["dtype"] is not None:
        values["dtype"] = unpack_dtype(values["dtype"])
    values["fields"] = tuple([(name, _unpack_element(one, depth + 1)) for name, one in values["fields"]])
    if values["base"] is not None:
        values["base"] = _unpack_element(values["base"], depth + 1)
    return ElementType(**values)


_NAMES = {kind: tuple(one.name for one in fields(kind)) for kind in _KEPT}
_PATH, _ELEMENT, _FILTERS, _CHUNK_INDEX = map(_NAMES[ArrayEntry].index, ("path", "element", "filters", "chunk_index"))
_GETTERS = {kind: attrgetter(*names) for kind, names in _NAMES.items() if len(names) > 1}


def _fields(value: Any, **packed: object) -> tuple[object, ...]:  # noqa: ANN401  # one of `_KEPT`
    """Return the fields of a value, in order; those in `packed` as they are there."""
    found: tuple[object, ...] = _GETTERS[type(value)](value)
    if not packed:
        return found
    return tuple([packed.get(name, one) for name, one in zip(_NAMES[type(value)], found, strict=True)])


def _differences(column: npt.NDArray[np.int64]) -> bytes:
    # Differences of 64-bit integers wrap around, and so do their sums: nothing is lost.
    return _shuffled(np.diff(column.astype(_WORD, casting="equiv"), prepend=_WORD.type(0)))


def _sums(data: bytes) -> npt.NDArray[np.int64]:
    return np.cumsum(_unshuffled(data, _WORD), dtype=np.int64)


def _shuffled(column: npt.NDArray[Any]) -> bytes:
    """Return all first bytes, all second bytes, and so on: most of these runs are zeros."""
    return np.ascontiguousarray(column).view(np.uint8).reshape(-1, column.dtype.itemsize).T.tobytes()


def _unshuffled(data: bytes, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    planes = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, -1)
    return np.ascontiguousarray(planes.T).view(dtype).reshape(-1)
