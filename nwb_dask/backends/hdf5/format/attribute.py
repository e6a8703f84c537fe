"""The attribute message: name, type, shape and bytes of an attribute, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from math import prod
from struct import Struct
from typing import Protocol, TypeAlias

import numpy as np

from nwb_dask.backends.hdf5.format.dataspace import read_dataspace
from nwb_dask.backends.hdf5.format.datatype import check_references, read_datatype
from nwb_dask.backends.hdf5.format.object_header import ATTRIBUTE, DATASPACE, DATATYPE, Message, shared_body
from nwb_dask.backends.hdf5.format.space import AddressSpace, gather
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import AttributeValue, ElementType

_VERSIONS = range(1, 4)
_HEAD = Struct("<BBHHH")
"""Version, flags, and the bytes of name, datatype and dataspace."""
_HEAD_BYTES = {1: 8, 2: 8, 3: 9}
_SHARED_DATATYPE, _SHARED_DATASPACE = 0x01, 0x02
_NUMBERS = frozenset({"int", "uint", "float", "complex", "bool", "enum"})
_MAX_EMPTY = 1 << 16
_KNOWN_NAMES = 1024
"""Names of attributes that are remembered: most objects of all files have the same few."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an object reference points."""

    address: int
    """Object header, counted from the superblock; 0 for a null reference."""


Value: TypeAlias = "AttributeValue | Address | tuple[Value, ...]"
"""The value of an attribute in which references are not followed yet."""


@dataclass(frozen=True, slots=True)
class RawAttribute:
    """An attribute as stored."""

    name: str
    """As UTF-8, other bytes by `surrogateescape`."""
    element: ElementType
    shape: tuple[int, ...] | None
    """() for a scalar, None for a null dataspace."""
    data: bytes
    """All elements, one after the other."""


class HeapReader(Protocol):
    """Reads what elements of variable length point to."""

    def texts(self, ids: bytes, n: int) -> Sequence[bytes | None]:
        """Return the bytes of `n` elements, each a length of 4 bytes and a global heap ID; None for a null one."""


def raw_attributes(messages: Iterable[Message], space: AddressSpace) -> list[RawAttribute]:
    """Return the attributes that are in an object header, in its order.

    Others may be elsewhere, where an attribute info message says.
    """
    bodies = [message.body for message in messages if message.type == ATTRIBUTE]
    return gather([partial(parse_attribute, body, space) for body in bodies])


def attribute_name(body: memoryview) -> str:
    """Return the name of the attribute in a message; raises as `parse_attribute`."""
    start = _HEAD_BYTES.get(body[0])
    if start is None:
        raise UnsupportedLayoutError(f"attributes of version {body[0]} are not read")
    size = body[2] | body[3] << 8
    return _text_of_name(bytes(body[start : start + size]))


@lru_cache(_KNOWN_NAMES)
def _text_of_name(stored: bytes) -> str:
    # The last byte ends the name, whatever it is: so does libhdf5 take it.
    name, _, rest = stored[:-1].partition(b"\0")
    if any(rest):
        raise MalformedFileError("damaged: the name of an attribute ends within")
    return name.decode("utf-8", "surrogateescape")


def parse_attribute(body: memoryview, space: AddressSpace) -> RawAttribute:
    """Return the attribute in a message.

    Parameters
    ----------
    body : memoryview
        The message, of version 1 to 3.
    space : AddressSpace
        The file, which is read if the datatype is a committed one.

    Raises
    ------
    MalformedFileError
        If the message is damaged, or too short for what it claims to hold.
    UnsupportedLayoutError
        If it is of a later version, or a part of it is in the heap of shared messages.

    References
    ----------
    HDF5 File Format Specification, *Attribute Message*.
    """
    if len(body) < _HEAD.size:
        raise MalformedFileError("damaged: an attribute ends before its name")
    version, flags, *sizes = _HEAD.unpack_from(body)
    if version not in _VERSIONS:
        raise UnsupportedLayoutError(f"attributes of version {version} are not read")
    # In version 1 the byte of the flags is reserved.
    flags = 0 if version == 1 else flags
    at = _HEAD_BYTES[version]
    parts = []
    for n_bytes in sizes:
        parts.append(body[at : at + n_bytes])
        at += -(-n_bytes // 8) * 8 if version == 1 else n_bytes
    name, datatype, dataspace = parts
    if at > len(body):
        raise MalformedFileError("damaged: an attribute ends before its value")
    if flags & _SHARED_DATATYPE:
        datatype = shared_body(space, datatype, DATATYPE)
    if flags & _SHARED_DATASPACE:
        dataspace = shared_body(space, dataspace, DATASPACE)
    element, shape = read_datatype(datatype), read_dataspace(dataspace, space).shape
    check_references(element, space.offset_bytes)
    n_bytes = 0 if shape is None else prod(shape) * element.size
    if n_bytes > len(body) - at:
        raise MalformedFileError(f"damaged: an attribute claims {n_bytes} bytes and has {len(body) - at}")
    return RawAttribute(_text_of_name(bytes(name)), element, shape, bytes(body[at : at + n_bytes]))


def attribute_value(raw: RawAttribute, heap: HeapReader) -> Value:
    """Return what an attribute says.

    Parameters
    ----------
    raw : RawAttribute
        The attribute.
    heap : HeapReader
        Of the same file; asked only for text of variable length.

    Returns
    -------
    str, int, float, bool, complex, Address, None, tuple, or ndarray
        Text and references of one or more dimensions are nested tuples, numbers, and scalars of another floating point
        type than float64, are arrays in native byte order; None for a null dataspace.

    Raises
    ------
    ValueError
        If attributes of its type are not read, or its text is no UTF-8.
    UnsupportedLayoutError
        If libhdf5 has to convert it: numbers of odd precision or format.
    """
    element, shape = raw.element, raw.shape
    if shape is None:
        return None
    n = prod(shape)
    # Of nothing there may be 2**62 tuples.
    if not n and prod([length for length in shape if length]) > _MAX_EMPTY:
        raise MalformedFileError(f"damaged: the shape of an attribute is {shape}")
    if element.kind == "string":
        texts = _fixed_texts(raw.data, element) if element.dtype is not None else _texts(heap, raw.data, n)
        return _nested(map(_decoded, texts), shape)
    if element.kind == "reference":
        return _nested(map(Address, _addresses(raw.data, element.size)), shape)
    if element.kind in _NUMBERS and element.dtype is not None:
        return _numbers(raw, element, shape)
    raise ValueError(element.reason or f"attributes of type {element.kind} are not read")


def _numbers(raw: RawAttribute, element: ElementType, shape: tuple[int, ...]) -> AttributeValue:
    if not element.exact or element.dtype is None:
        raise UnsupportedLayoutError(f"the attribute {raw.name!r} is a number in an odd format, which is not read")
    stored = np.frombuffer(raw.data, element.dtype).reshape(shape)
    out = stored != 0 if element.kind == "bool" else stored.astype(element.dtype.newbyteorder("="))
    if shape or (out.dtype.kind == "f" and out.dtype != np.float64):
        # Of single precision stays an array: what is computed with it is of that precision too.
        return np.asarray(out)
    value: int | float | bool | complex = out[()].item()
    return value


def _fixed_texts(data: bytes, element: ElementType) -> Iterator[bytes]:
    for start in range(0, len(data), element.size):
        text = data[start : start + element.size]
        if element.padding == "terminated":
            text = text.partition(b"\0")[0]
        elif element.padding == "space":
            text = text.rstrip(b" ")
        # numpy, and so h5py, takes no trailing zero for text.
        yield text.rstrip(b"\0")


def _texts(heap: HeapReader, data: bytes, n: int) -> Iterator[bytes]:
    for text in heap.texts(data, n) if n else ():
        # libhdf5 gives text of variable length as C has it: to its first zero.
        yield b"" if text is None else text.partition(b"\0")[0]


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as exc:
        raise MalformedFileError(f"damaged: its text is no UTF-8: {exc}") from exc


def _addresses(data: bytes, size: int) -> Iterator[int]:
    undefined = (1 << 8 * size) - 1
    for start in range(0, len(data), size):
        address = int.from_bytes(data[start : start + size], "little")
        yield 0 if address == undefined else address


def _nested(items: Iterable[Value], shape: Sequence[int]) -> Value:
    """Return items in row-major order as tuples of tuples; the only one of a scalar as it is."""
    remaining = iter(items)
    return _row(remaining.__next__, shape)


def _row(take: Callable[[], Value], shape: Sequence[int]) -> Value:
    if not shape:
        return take()
    return tuple([_row(take, shape[1:]) for _ in range(shape[0])])
