"""Attributes outside of the object header, where an object has many of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from nwb_dask.backends.hdf5.format import btree2
from nwb_dask.backends.hdf5.format.fractal_heap import read_fractal_heap
from nwb_dask.backends.hdf5.format.object_header import ATTRIBUTE_INFO, Message
from nwb_dask.backends.hdf5.format.space import AddressSpace, number
from nwb_dask.backends.hdf5.format.symbol_table import both
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError

_BY_NAME = 8
"""Records of the index by name: identifier in the heap, flags of the message, order of creation, hash of the name."""
_ID_BYTES = 8
_RECORD_BYTES = _ID_BYTES + 1 + 4 + 4
_SHARED = 2
_NAME_AT = {1: 8, 2: 8, 3: 9}
"""Where the name begins in each version of an attribute message."""


def read_dense(space: AddressSpace, messages: Sequence[Message]) -> list[memoryview]:
    """Return the bodies of the attribute messages in dense storage, by name; none if there is no such storage.

    Raises
    ------
    MalformedFileError
        If the storage is damaged.
    UnsupportedLayoutError
        If attributes are shared with other objects, or a version is not known.
    """
    bodies: list[memoryview] = []
    for message in messages:
        if message.type == ATTRIBUTE_INFO:
            if message.flags & _SHARED:
                raise UnsupportedLayoutError("attribute info that several objects share")
            bodies.extend(_read(space, message.body))
    return bodies


def _read(space: AddressSpace, body: memoryview) -> list[memoryview]:
    """Return the bodies that one message leads to (HDF5 file format, *Attribute Info Message*)."""
    if number(body, 0, 1):
        raise UnsupportedLayoutError(f"attribute info of version {body[0]}")
    at = 2 + (2 if number(body, 1, 1) & 1 else 0)
    heap_at, tree_at = space.offset(body, at), space.offset(body, at + space.offset_bytes)
    if heap_at is None:
        return []
    if tree_at is None:
        raise MalformedFileError("damaged: attributes have a heap and no index")
    heap, found = both(partial(read_fractal_heap, space, heap_at), partial(btree2.walk, space, tree_at, {_BY_NAME}))
    if found.record_bytes != _RECORD_BYTES:
        raise MalformedFileError(f"damaged: the index of attributes has records of {found.record_bytes} bytes")
    records = found.each()
    if any(record[_ID_BYTES] & _SHARED for record in records):
        if not space.may_share:
            raise MalformedFileError("damaged: an attribute is in a heap of shared messages, and there is none")
        raise UnsupportedLayoutError("attributes that several objects share")
    return sorted(heap.objects([record[:_ID_BYTES] for record in records]), key=_name)


def _name(body: memoryview) -> bytes:
    """Return the name in an attribute message (HDF5 file format, *Attribute Message*)."""
    version = number(body, 0, 1)
    at = _NAME_AT.get(version)
    if at is None:
        raise UnsupportedLayoutError(f"an attribute of version {version}")
    name = bytes(body[at : at + number(body, 2, 2)])
    return name.partition(b"\0")[0]
