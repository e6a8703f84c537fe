"""The datatype message: the type of an element."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from math import prod
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import ElementType

_MAX_DEPTH = 12
_KEPT_BYTES = 1024
_HEAD_BYTES = 8
_VERSIONS = range(1, 6)
_PLAIN_MEMBERS, _PADDED_ARRAYS, _PACKED = 1, 2, 3
"""Versions: the last in which members have shapes, in which arrays have permutations, the first without padding."""

_INTEGER_SIZES = frozenset({1, 2, 4, 8})
_BIG, _VAX = 0x01, 0x40
_SIGNED = 0x08
_IEEE_FLAGS, _OTHER_FLAGS = 0x20, 0xFE
"""Implied bit of the mantissa, no padding, no VAX order."""
_IEEE = {
    2: (15, 0, 16, 10, 5, 0, 10, 15),
    4: (31, 0, 32, 23, 8, 0, 23, 127),
    8: (63, 0, 64, 52, 11, 0, 52, 1023),
}
"""By size: position of the sign, offset, precision, position and size of exponent and mantissa, bias."""
_MAX_FLOAT_BYTES = 8
_BOOLEAN = {("FALSE", 0), ("TRUE", 1)}
_IN_SEQUENCES = frozenset({"int", "uint", "float", "bool", "enum"})
_COMPLEX_HALVES = (4, 8)
_PADDINGS: dict[int, Literal["null", "terminated", "space"]] = {0: "terminated", 1: "null", 2: "space"}

_Read: TypeAlias = "tuple[ElementType, int]"
"""A type and the position after it."""


class _Head(NamedTuple):
    """What every type begins with."""

    kind: int
    version: int
    flags: int
    size: int


class _UnreadError(Exception):
    """A valid type that this project does not read; says why."""


def read_datatype(body: memoryview) -> ElementType:
    """Return the type that a datatype message says; ``"unsupported"`` with a reason if its values are not read.

    Parameters
    ----------
    body : memoryview
        The message, of version 1 to 5, with or without padding behind it.

    Raises
    ------
    MalformedFileError
        If it is damaged.
    UnsupportedLayoutError
        If it, or a type inside it, is of a later version.

    References
    ----------
    HDF5 File Format Specification, *Datatype Message*.
    """
    return _kept(bytes(body)) if len(body) <= _KEPT_BYTES else _datatype(bytes(body))


def check_references(element: ElementType, offset_bytes: int) -> None:
    """Raise unless references are as wide as addresses of the file; those to regions name an object of a heap.

    Those of types whose values are not read are nobody's concern: in files of short addresses libhdf5 writes another
    width into the type of sequences of references.
    """
    if element.kind == "unsupported":
        return
    expected = {"reference": offset_bytes, "region": offset_bytes + 4}.get(element.kind, element.size)
    if element.size != expected:
        raise MalformedFileError(f"damaged: references of {element.size} bytes where addresses have {offset_bytes}")
    for _, field in element.fields:
        check_references(field, offset_bytes)
    if element.base is not None:
        check_references(element.base, offset_bytes)


def _datatype(data: bytes) -> ElementType:
    try:
        element, end = _element(data, 0, 0)
    except _UnreadError as exc:
        reason = str(exc)
    except struct.error as exc:
        raise MalformedFileError("damaged: a datatype ends before its last part") from exc
    except MalformedFileError:
        raise
    except (ValueError, TypeError, OverflowError) as exc:
        # A name that is no UTF-8, fields that overlap, more bytes than numpy can have in an element.
        reason = f"its datatype is damaged: {exc}"
    else:
        if end > len(data):
            raise MalformedFileError("damaged: a datatype ends before its last part")
        return element
    return ElementType("unsupported", reason=reason, size=_head(data, 0).size)


# A file has few types and many objects of each.
_kept = lru_cache(maxsize=1024)(_datatype)


def _head(data: bytes, at: int) -> _Head:
    word, size = struct.unpack_from("<II", data, at)
    return _Head(word & 15, word >> 4 & 15, word >> 8, size)


def _element(data: bytes, at: int, depth: int) -> _Read:
    if depth > _MAX_DEPTH:
        raise _UnreadError(f"its datatype is nested deeper than {_MAX_DEPTH}")
    head, at = _head(data, at), at + _HEAD_BYTES
    if head.version not in _VERSIONS:
        raise UnsupportedLayoutError(f"datatypes of version {head.version} are not read")
    if not head.size:
        raise MalformedFileError("damaged: elements of no bytes")
    nested = _NESTED.get(head.kind)
    if nested is not None:
        return nested(data, at, head, depth)
    plain = _PLAIN.get(head.kind)
    if plain is None:
        raise _UnreadError("its datatype is of a class that NWB does not use")
    return plain(data, at, head)


def _order(flags: int) -> str:
    return ">" if flags & _BIG else "<"


def _integer(data: bytes, at: int, head: _Head) -> _Read:
    _, _, flags, size = head
    offset, precision = struct.unpack_from("<HH", data, at)
    if size not in _INTEGER_SIZES:
        raise _UnreadError(f"integers of {size} bytes")
    exact = precision == 8 * size and not offset
    if flags & _SIGNED:
        return ElementType("int", np.dtype(f"{_order(flags)}i{size}"), size=size, exact=exact), at + 4
    return ElementType("uint", np.dtype(f"{_order(flags)}u{size}"), size=size, exact=exact), at + 4


def _float(data: bytes, at: int, head: _Head) -> _Read:
    _, _, flags, size = head
    form = (flags >> 8 & 255, *struct.unpack_from("<HHBBBBI", data, at))
    if form == _IEEE.get(size) and flags & _OTHER_FLAGS == _IEEE_FLAGS:
        return ElementType("float", np.dtype(f"{_order(flags)}f{size}"), size=size), at + 12
    if size > _MAX_FLOAT_BYTES or flags & _VAX:
        raise _UnreadError(f"floating point of {8 * size} bits in an extended format")
    _, _, _, _, exponent_bits, _, mantissa_bits, bias = form
    for dtype, bits, low, high in _FLOATS:
        if (
            dtype.itemsize >= size
            and mantissa_bits <= bits
            and (1 << exponent_bits) - bias - 1 <= high
            and 1 - bias >= low
        ):
            return ElementType("float", dtype, size=size, exact=False), at + 12
    raise _UnreadError(f"floating point of {8 * size} bits in an extended format")


def _float_limits(scalar: type[np.floating]) -> tuple[np.dtype[np.generic], int, int, int]:
    """Return a float type, the bits of its mantissa, and its least and greatest exponent."""
    limits = np.finfo(scalar)
    # Floats of 80 bits store the bit that the others imply.
    stored = int(limits.nmant) == 63 and int(limits.nexp) == 15  # noqa: PLR2004  # of this format
    return np.dtype(scalar), int(limits.nmant) + stored, int(limits.minexp), int(limits.maxexp)


_FLOATS = tuple(_float_limits(scalar) for scalar in (np.float16, np.float32, np.float64, np.longdouble))


def _string(_data: bytes, at: int, head: _Head) -> _Read:
    _, _, flags, size = head
    padding = _PADDINGS.get(flags & 15)
    if padding is None:
        raise _UnreadError("text that is padded in an unknown way")
    return ElementType("string", np.dtype(f"S{size}"), size=size, padding=padding), at


def _bitfield(_data: bytes, at: int, head: _Head) -> _Read:
    _, _, flags, size = head
    if size not in _INTEGER_SIZES:
        raise _UnreadError(f"a bit field of {size} bytes")
    return ElementType("uint", np.dtype(f"{_order(flags)}u{size}"), size=size), at + 4


def _opaque(_data: bytes, at: int, head: _Head) -> _Read:
    _, _, flags, size = head
    return ElementType("bytes", np.dtype(f"V{size}"), size=size), at + (flags & 255)


def _reference(_data: bytes, at: int, head: _Head) -> _Read:
    _, _, flags, size = head
    kind = flags & 15
    if kind > 1:
        raise _UnreadError("references of HDF5 1.12, which h5py does not read")
    return ElementType("region" if kind else "reference", size=size), at


def _name(data: bytes, at: int, version: int) -> tuple[str, int]:
    end = data.find(0, at)
    if end < 0:
        raise MalformedFileError("damaged: a datatype ends within a name")
    n_bytes = end - at + 1
    return data[at:end].decode(), at + (n_bytes if version >= _PACKED else -(-n_bytes // 8) * 8)


def _compound(data: bytes, at: int, head: _Head, depth: int) -> _Read:
    _, version, flags, size = head
    n_members = flags & 0xFFFF
    if not n_members:
        raise MalformedFileError("damaged: a compound without fields")
    names: list[str] = []
    offsets: list[int] = []
    members: list[ElementType] = []
    # Version 3 writes offsets in as few bytes as the size takes.
    offset_bytes = 4 if version < _PACKED else (size.bit_length() + 7) // 8
    for _ in range(n_members):
        name, at = _name(data, at, version)
        offset = int.from_bytes(data[at : at + offset_bytes], "little")
        at += offset_bytes
        shape: tuple[int, ...] = ()
        if version == _PLAIN_MEMBERS:
            rank, *lengths = struct.unpack_from("<B11x4I", data, at)
            shape, at = tuple(lengths[:rank]), at + 28
        try:
            member, at = _element(data, at, depth + 1)
            if shape:
                member = _shaped(member, shape)
        except _UnreadError as exc:
            raise _UnreadError(f"its field {name!r}: {exc}") from None
        if not name:
            raise _UnreadError("a field without a name")
        if offset + member.size > size:
            raise MalformedFileError(f"damaged: the field {name!r} reaches past the end of its element")
        names.append(name)
        offsets.append(offset)
        members.append(member)
    extents = sorted(zip(offsets, [member.size for member in members], strict=True))
    if any(start + n_bytes > following for (start, n_bytes), (following, _) in pairwise(extents)):
        # libhdf5 makes no such type (H5Tinsert).
        raise MalformedFileError("damaged: fields of a compound overlap")
    return _record(names, offsets, members, size), at


def _record(names: list[str], offsets: list[int], members: list[ElementType], size: int) -> ElementType:
    exact = all(member.exact for member in members)
    half = members[0]
    if names == ["r", "i"] and half == members[1] and half.kind == "float":
        # As h5py takes it, however odd the format of the halves is.
        dtype = _complex_dtype(half)
        if dtype is not None and offsets == [0, half.size]:
            return ElementType("complex", dtype, size=size, exact=exact and size == dtype.itemsize)
    fields = tuple(zip(names, members, strict=True))
    formats = [member.dtype for member in members]
    packed = None
    if not any(dtype is None for dtype in formats):
        form = {"names": names, "formats": formats, "offsets": offsets, "itemsize": size}
        packed = np.dtype(form)  # type: ignore[call-overload]  # numpy's stub wants the literal dict
    return ElementType("compound", packed, fields=fields, size=size, offsets=tuple(offsets), exact=exact)


def _complex_dtype(half: ElementType) -> np.dtype[np.generic] | None:
    dtype = half.dtype
    if half.kind != "float" or dtype is None or dtype.itemsize not in _COMPLEX_HALVES:
        return None
    return np.dtype(f"{dtype.str[0]}c{2 * dtype.itemsize}")


def _complex(data: bytes, at: int, head: _Head, depth: int) -> _Read:
    size = head.size
    half, at = _element(data, at, depth + 1)
    dtype = _complex_dtype(half)
    if dtype is None:
        raise _UnreadError("complex numbers in an extended format")
    return ElementType("complex", dtype, size=size, exact=half.exact and size == dtype.itemsize), at


def _enum(data: bytes, at: int, head: _Head, depth: int) -> _Read:
    _, version, flags, size = head
    first = at
    base, at = _element(data, at, depth + 1)
    if base.kind not in {"int", "uint"} or base.dtype is None:
        raise _UnreadError(f"an enumeration over {base.kind}")
    if base.size != size:
        raise MalformedFileError(f"damaged: an enumeration of {size} bytes over integers of {base.size}")
    n_members = flags & 0xFFFF
    names = []
    for _ in range(n_members):
        name, at = _name(data, at, version)
        names.append(name)
    stored = data[at : at + n_members * size]
    if len(stored) != n_members * size:
        raise MalformedFileError("damaged: a datatype ends within the values of an enumeration")
    values = np.frombuffer(stored, base.dtype).tolist()
    if not base.exact:
        offset, precision = struct.unpack_from("<HH", data, first + _HEAD_BYTES)
        values = [_cut(value, offset, precision, signed=base.kind == "int") for value in values]
    members = tuple(zip(names, values, strict=True))
    return replace(base, kind="bool" if set(members) == _BOOLEAN else "enum", members=members), at + len(stored)


def _cut(value: int, offset: int, precision: int, *, signed: bool) -> int:
    """Return the number in `precision` bits of an integer, from bit `offset` on."""
    value = value >> offset & (1 << precision) - 1
    return value - (1 << precision) if signed and precision and value >> precision - 1 else value


def _sequence(data: bytes, at: int, head: _Head, depth: int) -> _Read:
    flags, size = head.flags, head.size
    kind = flags & 15
    if kind == 1:
        # Of characters: what else these may be says nothing.
        character = _head(data, at)
        read = _PLAIN.get(character.kind)
        if read is None:
            raise _UnreadError("text of something else than characters")
        return ElementType("string", size=size), read(data, at + _HEAD_BYTES, character)[1]
    base, at = _element(data, at, depth + 1)
    if not kind and not depth and base.kind == "reference":
        # Of attributes only, which dimension scales have.
        return ElementType("unsupported", base=base, reason="sequences of reference", size=size), at
    if kind or base.kind not in _IN_SEQUENCES:
        raise _UnreadError(f"sequences of {base.kind}")
    return ElementType("sequence", base=base, size=size, exact=base.exact), at


def _array(data: bytes, at: int, head: _Head, depth: int) -> _Read:
    version, size = head.version, head.size
    (rank,) = struct.unpack_from("<B", data, at)
    at += 1 if version >= _PACKED else 4
    shape = struct.unpack_from(f"<{rank}I", data, at)
    at += 4 * rank * (2 if version <= _PADDED_ARRAYS else 1)
    base, at = _element(data, at, depth + 1)
    element = _shaped(base, shape)
    if element.size != size:
        raise MalformedFileError(f"damaged: an array of {element.size} bytes in elements of {size}")
    return element, at


def _shaped(base: ElementType, shape: tuple[int, ...]) -> ElementType:
    if 0 in shape:
        raise MalformedFileError(f"damaged: an array type of shape {shape}")
    if base.dtype is None or base.kind in {"compound", "array"}:
        raise _UnreadError(f"arrays of {base.kind} in each element")
    dtype = np.dtype((base.dtype, shape))
    return ElementType("array", dtype, base=base, shape=shape, size=prod(shape) * base.size, exact=base.exact)


_PLAIN: dict[int, Callable[[bytes, int, _Head], _Read]] = {
    0: _integer,
    1: _float,
    3: _string,
    4: _bitfield,
    5: _opaque,
    7: _reference,
}
_NESTED: dict[int, Callable[[bytes, int, _Head, int], _Read]] = {
    6: _compound,
    8: _enum,
    9: _sequence,
    10: _array,
    11: _complex,
}
