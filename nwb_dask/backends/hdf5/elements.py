"""From elements as they are stored to the values that `File.read` gives. Pure: text comes from a heap it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.types import native_dtype
from nwb_dask.index import ElementType

_Values = npt.NDArray[Any]

_PLAIN = frozenset({"int", "uint", "float", "complex", "bool", "enum", "bytes"})


class Heap(Protocol):
    """What elements of variable length are looked up in: `format.global_heap.GlobalHeap`."""

    def texts(self, ids: memoryview | bytes, n: int) -> Sequence[bytes | None]:
        """Return the bytes that each of `n` stored elements points to."""

    def items(self, ids: memoryview | bytes, n: int, item_size: int) -> Sequence[memoryview | bytes | None]:
        """Return the items, of `item_size` bytes each, that each of `n` stored elements points to."""


def is_decodable(element: ElementType) -> bool:
    """Return whether `decode` knows elements of this type; otherwise libhdf5 has to convert them."""
    kind = element.kind
    if kind in _PLAIN:
        return element.exact and element.dtype is not None
    if kind in {"string", "reference"}:
        return element.size > 0
    if kind == "sequence":
        return element.base is not None and element.base.dtype is not None and is_decodable(element.base)
    if kind == "array":
        return element.base is not None and element.base.kind in _PLAIN | {"string"} and is_decodable(element.base)
    if kind == "compound":
        named = len(element.offsets) == len(element.fields) > 0
        return named and all(is_decodable(field) for _, field in element.fields)
    return False


def addresses_in(stored: _Values, element: ElementType) -> npt.NDArray[np.uint64]:
    """Return the distinct addresses that object references among the elements hold, null ones left out."""
    found = _addresses(stored, element)
    if not found:
        return np.empty(0, np.uint64)
    distinct = np.unique(np.concatenate(found))
    return np.asarray(distinct[distinct != 0], np.uint64)


def decode(stored: _Values, element: ElementType, heap: Heap | None, paths: Mapping[int, str | None]) -> _Values:
    """Return elements as `File.read` gives them.

    Parameters
    ----------
    stored : ndarray
        As in the file: of `element.dtype`, or ``V<size>`` where that is None.
    element : ElementType
        One that `is_decodable`.
    heap : Heap or None
        Of the same file; may raise `Need`. None if no element leads to one.
    paths : mapping of int to str or None
        The path of each of `addresses_in`.
    """
    kind = element.kind
    if kind == "bool":
        return np.not_equal(stored, 0)
    if kind in _PLAIN or kind == "array":
        return _native(stored, element)
    if kind == "string" and element.dtype is not None:
        return _unpadded(stored, element)
    if kind == "string" and heap is not None:
        return _objects(heap.texts(_raw(stored), stored.size), stored.shape)
    if kind == "reference":
        flat = _integers(stored, element)
        followed = [paths.get(address) if address else None for address in flat.tolist()]
        return _objects(followed, stored.shape)
    if kind == "sequence" and heap is not None and element.base is not None and element.base.dtype is not None:
        base = element.base
        items = heap.items(_raw(stored), stored.size, element.base.size)
        arrays = [decode(np.frombuffer(item or b"", base.dtype), base, heap, paths) for item in items]
        return _objects(arrays, stored.shape)
    out = np.empty(stored.shape, native_dtype(element))
    for name, field, part in _fields(stored, element):
        out[name] = decode(part, field, heap, paths)
    return out


def _addresses(stored: _Values, element: ElementType) -> list[npt.NDArray[np.uint64]]:
    if element.kind == "reference":
        return [_integers(stored, element).astype(np.uint64)]
    if element.kind != "compound" or not any(_leads_on(field) for _, field in element.fields):
        return []
    return [found for _, field, part in _fields(stored, element) for found in _addresses(part, field)]


def _leads_on(element: ElementType) -> bool:
    return element.kind == "reference" or any(_leads_on(field) for _, field in element.fields)


def _fields(stored: _Values, element: ElementType) -> list[tuple[str, ElementType, _Values]]:
    """Return each field of a compound with its elements, as stored."""
    raw = np.frombuffer(_raw(stored), np.uint8).reshape(stored.size, element.size)
    out = []
    for (name, field), start in zip(element.fields, element.offsets, strict=True):
        dtype = np.dtype(f"V{field.size}") if field.dtype is None or field.kind == "compound" else field.dtype
        part = np.ascontiguousarray(raw[:, start : start + field.size])
        inner = part.view(dtype.base).reshape(stored.shape + dtype.shape)
        out.append((name, field, inner))
    return out


def _raw(stored: _Values) -> bytes:
    return np.ascontiguousarray(stored).tobytes()


def _integers(stored: _Values, element: ElementType) -> npt.NDArray[np.uint64]:
    """Return references as addresses, of whatever width."""
    raw = np.frombuffer(_raw(stored), np.uint8).reshape(stored.size, element.size)
    wide = np.zeros((stored.size, 8), np.uint8)
    wide[:, : element.size] = raw
    addresses: npt.NDArray[np.uint64] = wide.view("<u8").reshape(stored.size)
    return addresses


def _native(stored: _Values, element: ElementType) -> _Values:
    if element.kind == "array" and element.base is not None and element.base.kind == "bool":
        return np.not_equal(stored, 0)
    if element.kind == "array" and element.base is not None and element.base.kind == "string":
        return _unpadded(stored, element.base)
    return stored if stored.dtype.isnative else stored.astype(stored.dtype.newbyteorder("="))


def _unpadded(stored: _Values, element: ElementType) -> _Values:
    """Return text of fixed length as numpy holds it: filled up with NUL."""
    if element.padding == "null" or not stored.size:
        return stored
    if element.padding == "space":
        return np.char.rstrip(stored, b" ").astype(stored.dtype)
    raw = np.frombuffer(_raw(stored), np.uint8).reshape(stored.size, stored.dtype.itemsize)
    ended = np.logical_or.accumulate(raw == 0, axis=1)
    return np.where(ended, np.uint8(0), raw).view(stored.dtype).reshape(stored.shape)


def _objects(items: Sequence[object], shape: tuple[int, ...]) -> _Values:
    out = np.empty(len(items), object)
    if items and isinstance(items[0], np.ndarray):
        # Assigned together they would be taken for rows.
        for i, item in enumerate(items):
            out[i] = item
    else:
        out[:] = items
    return out.reshape(shape)
