"""What h5py knows of a file, as `Known`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from nwb_dask.backends.known import INLINE_BYTES, GroupPart, Known
from nwb_dask.index import (
    ArrayEntry,
    AttributeValue,
    ChunkIndex,
    ChunkManifest,
    ElementKind,
    ElementType,
    FilePath,
    Filter,
    GroupEntry,
    Identity,
    Link,
    Reference,
    Source,
    Url,
    join,
)

URL = Url("https://host.org/a.nwb")

_KINDS: dict[str, ElementKind] = {
    "i": "int",
    "u": "uint",
    "f": "float",
    "b": "bool",
    "S": "string",
    "O": "string",
    "c": "complex",
}


def identity_of(path: Path) -> Identity:
    status = path.stat()
    return Identity("mtime", f"{status.st_mtime_ns}:{status.st_ino}:{status.st_ctime_ns}", status.st_size)


def read_knowledge(path: Path, url: Url) -> Known:
    """Return everything about an HDF5 file, as far as the cache is concerned: types are told roughly."""
    known = Known(Source(url, identity_of(path)), offset_bytes=8, length_bytes=8, root=96, is_changed=True)
    with h5py.File(path, "r") as file:
        groups = ["/"]
        file.visititems(lambda name, one: groups.append(f"/{name}") if isinstance(one, h5py.Group) else None)
        for group in groups:
            known.parts[group] = _part(known, file, file[group], group)
    return known


def _part(known: Known, file: h5py.File, group: h5py.Group, path: str) -> GroupPart:
    arrays, addresses, links = {}, {}, {}
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            links[name] = Link(link.path)
            continue
        one = group[name]
        address = int(h5py.h5o.get_info(one.id).addr)
        addresses[name] = address
        known.paths[address] = join(path, name)
        if isinstance(one, h5py.Dataset):
            arrays[name] = _array(file, one, join(path, name))
            _add_contents(known, one, join(path, name))
    entry = GroupEntry(FilePath(path), _attributes(file, group), tuple(group), links)
    subgroups = frozenset(name for name in addresses if name not in arrays)
    return GroupPart(entry, arrays, addresses, subgroups, depth="members")


def _array(file: h5py.File, dataset: h5py.Dataset, path: FilePath) -> ArrayEntry:
    plist = dataset.id.get_create_plist()
    filters = tuple(Filter(*_filter(plist.get_filter(i))) for i in range(plist.get_nfilters()))
    dtype = dataset.dtype
    kind: ElementKind = "reference" if h5py.check_dtype(ref=dtype) else _KINDS.get(dtype.kind, "compound")
    element = ElementType(kind, None if dtype.hasobject else dtype, size=dtype.itemsize, padding="terminated")
    layout: Literal["chunked", "contiguous"] = "chunked" if dataset.chunks else "contiguous"
    index = None
    if dataset.chunks:
        index = ChunkIndex("btree1", 4096, tuple(one is None for one in dataset.maxshape), dataset.maxshape)
    return ArrayEntry(
        path,
        element,
        dataset.shape,
        layout,
        _attributes(file, dataset),
        dataset.chunks,
        filters,
        dataset.id.get_offset(),
        int(dataset.id.get_storage_size()),
        index,
    )


def _filter(found: tuple[int, int, tuple[int, ...], bytes]) -> tuple[int, tuple[int, ...], str]:
    number, _flags, options, name = found
    return int(number), tuple(int(one) for one in options), name.decode()


def _attributes(file: h5py.File, one: Any) -> dict[str, AttributeValue]:
    return {name: _attribute(file, value) for name, value in one.attrs.items()}


def _attribute(file: h5py.File, value: Any) -> AttributeValue:
    if isinstance(value, h5py.Reference):
        return Reference(file[value].name if value else None)
    if isinstance(value, np.ndarray) and value.dtype == object:
        return tuple(_attribute(file, item) for item in value)
    if isinstance(value, np.generic):
        return value.item()  # type: ignore[no-any-return]  # a number
    return value  # type: ignore[no-any-return]  # text or an array of numbers


def _add_contents(known: Known, dataset: h5py.Dataset, path: str) -> None:
    if dataset.chunks:
        found: list[Any] = []
        dataset.id.chunk_iter(found.append)
        offsets = np.array([one.byte_offset for one in found], np.int64)
        sizes = np.array([one.size for one in found], np.int64)
        masks = np.array([one.filter_mask for one in found], np.uint32)
        known.manifests[path] = ChunkManifest(np.arange(len(found)), offsets, sizes, masks)
    if dataset.size is not None and dataset.size * dataset.dtype.itemsize <= INLINE_BYTES:
        values = np.asarray(dataset[()])
        if h5py.check_dtype(ref=dataset.dtype) or dataset.dtype.names:
            values = np.arange(dataset.size).reshape(dataset.shape)
        known.values[path] = values.astype(np.dtype(object)) if values.dtype.hasobject else values
