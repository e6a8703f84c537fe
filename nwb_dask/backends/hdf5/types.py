"""HDF5 datatypes (h5py's `h5t`) as `ElementType`, and as the numpy types of what is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from h5py import h5t

from nwb_dask.backends.hdf5.boundary import H5PY_ERRORS
from nwb_dask.index import ElementType

NAMED_TYPE = "it is a named datatype, which holds no data"
"""Why an object that is one is neither group nor dataset."""
_MAX_DEPTH = 12
_INTEGER_SIZES = frozenset({1, 2, 4, 8})
_ORDERS = {h5t.ORDER_LE: "<", h5t.ORDER_BE: ">"}
_FLOATS = {
    2: (h5t.IEEE_F16LE, h5t.IEEE_F16BE),
    4: (h5t.IEEE_F32LE, h5t.IEEE_F32BE),
    8: (h5t.IEEE_F64LE, h5t.IEEE_F64BE),
}
_BOOLEAN = {("FALSE", 0), ("TRUE", 1)}
_IN_SEQUENCES = frozenset({"int", "uint", "float", "bool", "enum"})
_OBJECTS = frozenset({"reference", "region", "sequence"})


@dataclass(frozen=True, slots=True)
class StoredType:
    """An element type, and whether its bytes in the file are those of its numpy type."""

    element: ElementType
    exact: bool
    """False where libhdf5 has to convert: padded text, integers of odd precision, anything without a numpy type."""


def stored_type(tid: h5t.TypeID) -> StoredType:
    """Return the type that `tid` stands for; ``"unsupported"`` with a reason rather than an error."""
    try:
        stored = _stored(tid, 0)
        if stored.exact or stored.element.dtype is None or stored.element.kind == "string":
            return stored
        return StoredType(replace(stored.element, exact=False), exact=False)
    except H5PY_ERRORS as exc:
        return _unsupported(f"its datatype is damaged: {exc}")


def native_dtype(element: ElementType) -> np.dtype[np.generic]:
    """Return the numpy type of what is read: native byte order, bool, and object where numpy has no fixed size."""
    if element.kind == "bool":
        return np.dtype(np.bool_)
    if element.kind == "compound":
        return np.dtype([(name, native_dtype(field)) for name, field in element.fields])
    if element.kind == "array" and element.base is not None:
        return np.dtype((native_dtype(element.base), element.shape))
    return np.dtype(object) if element.dtype is None else element.dtype.newbyteorder("=")


def holds_objects(element: ElementType) -> bool:
    """Return whether elements lead elsewhere in the file: text of variable length, references, sequences."""
    if element.kind == "string":
        return element.dtype is None
    return element.kind in _OBJECTS or any(holds_objects(field) for _, field in element.fields)


def _unsupported(reason: str) -> StoredType:
    return StoredType(ElementType("unsupported", reason=reason), exact=False)


def _stored(tid: h5t.TypeID, depth: int) -> StoredType:
    if depth > _MAX_DEPTH:
        return _unsupported(f"its datatype is nested deeper than {_MAX_DEPTH}")
    reader = _READERS.get(tid.get_class())
    return _unsupported("its datatype is of a class that NWB does not use") if reader is None else reader(tid, depth)


_numbers: dict[tuple[object, ...], StoredType] = {}


def _integer(tid: h5t.TypeIntegerID, _depth: int) -> StoredType:
    size, order, sign = tid.get_size(), tid.get_order(), tid.get_sign()
    exact = tid.get_precision() == 8 * size and tid.get_offset() == 0
    key = ("integer", size, order, sign, exact)
    if key not in _numbers:
        if size not in _INTEGER_SIZES:
            return _unsupported(f"integers of {size} bytes")
        kind = "uint" if sign == h5t.SGN_NONE else "int"
        dtype = np.dtype(f"{_ORDERS[order]}{kind[0]}{size}")
        _numbers[key] = StoredType(ElementType("uint" if kind == "uint" else "int", dtype, size=size), exact)
    return _numbers[key]


def _float(tid: h5t.TypeFloatID, _depth: int) -> StoredType:
    size, order = tid.get_size(), tid.get_order()
    exact = any(tid.equal(known) for known in _FLOATS.get(size, ()))
    key = ("float", size, order)
    if not exact:
        dtype = tid.dtype if size <= 8 else None  # noqa: PLR2004  # the widest that is the same on every machine
        if dtype is None or dtype.kind != "f":
            return _unsupported(f"floating point of {8 * size} bits in an extended format")
        return StoredType(ElementType("float", dtype.newbyteorder("=")), exact=False)
    if key not in _numbers:
        _numbers[key] = StoredType(ElementType("float", np.dtype(f"{_ORDERS[order]}f{size}"), size=size), exact=True)
    return _numbers[key]


_TEXT = StoredType(ElementType("string"), exact=False)


def _string(tid: h5t.TypeStringID, _depth: int) -> StoredType:
    if tid.is_variable_str():
        return _TEXT
    exact = tid.get_strpad() == h5t.STR_NULLPAD
    size = tid.get_size()
    # Without a size where libhdf5 has to take padding away.
    return StoredType(ElementType("string", np.dtype(f"S{size}"), size=size if exact else 0), exact)


def _bitfield(tid: h5t.TypeBitfieldID, _depth: int) -> StoredType:
    size = tid.get_size()
    if size not in _INTEGER_SIZES:
        return _unsupported(f"a bit field of {size} bytes")
    return StoredType(ElementType("uint", np.dtype(f"{_ORDERS[tid.get_order()]}u{size}"), size=size), exact=True)


def _opaque(tid: h5t.TypeOpaqueID, _depth: int) -> StoredType:
    return StoredType(ElementType("bytes", np.dtype(f"V{tid.get_size()}"), size=tid.get_size()), exact=True)


_REFERENCE = StoredType(ElementType("reference"), exact=False)
_REGION = StoredType(ElementType("region"), exact=False)


def _reference(tid: h5t.TypeReferenceID, _depth: int) -> StoredType:
    if tid.equal(h5t.STD_REF_OBJ):
        return _REFERENCE
    if tid.equal(h5t.STD_REF_DSETREG):
        return _REGION
    return _unsupported("references of HDF5 1.12, which h5py does not read")


def _enum(tid: h5t.TypeEnumID, depth: int) -> StoredType:
    base = _stored(tid.get_super(), depth + 1)
    if base.element.dtype is None:
        return _unsupported(f"an enumeration over {base.element.reason or base.element.kind}")
    members = tuple((tid.get_member_name(i).decode(), int(tid.get_member_value(i))) for i in range(tid.get_nmembers()))
    if set(members) == _BOOLEAN:
        return StoredType(ElementType("bool", base.element.dtype, members, size=base.element.size), base.exact)
    return StoredType(ElementType("enum", base.element.dtype, members, size=base.element.size), base.exact)


def _sequence(tid: h5t.TypeVlenID, depth: int) -> StoredType:
    base = _stored(tid.get_super(), depth + 1)
    if base.element.kind == "reference" and not depth:
        refused = ElementType("unsupported", base=base.element, reason="sequences of reference")
        return StoredType(refused, exact=False)
    if base.element.kind not in _IN_SEQUENCES:
        return _unsupported(f"sequences of {base.element.reason or base.element.kind}")
    return StoredType(ElementType("sequence", base=base.element), exact=False)


def _array(tid: h5t.TypeArrayID, depth: int) -> StoredType:
    base = _stored(tid.get_super(), depth + 1)
    shape = tuple(int(n) for n in tid.get_array_dims())
    if base.element.dtype is None or base.element.kind in {"compound", "array"}:
        return _unsupported(f"arrays of {base.element.reason or base.element.kind} in each element")
    dtype = np.dtype((base.element.dtype, shape))
    element = ElementType("array", dtype, base=base.element, shape=shape, size=dtype.itemsize)
    return StoredType(element, base.exact)


def _compound(tid: h5t.TypeCompoundID, depth: int) -> StoredType:
    names = [tid.get_member_name(i).decode() for i in range(tid.get_nmembers())]
    members = [_stored(tid.get_member_type(i), depth + 1) for i in range(len(names))]
    for name, member in zip(names, members, strict=True):
        if member.element.kind == "unsupported":
            return _unsupported(f"its field {name!r}: {member.element.reason}")
        if not name:
            return _unsupported("a field without a name")
    offsets = [tid.get_member_offset(i) for i in range(len(names))]
    exact = all(member.exact for member in members)
    half = members[0].element
    if names == ["r", "i"] and half == members[1].element and half.kind == "float":
        dtype = half.dtype
        if dtype is not None and dtype.itemsize in (4, 8) and offsets == [0, dtype.itemsize]:
            complex_dtype = np.dtype(f"{dtype.str[0]}c{2 * dtype.itemsize}")
            element = ElementType("complex", complex_dtype, size=complex_dtype.itemsize)
            return StoredType(element, exact and tid.get_size() == complex_dtype.itemsize)
    fields = tuple((name, member.element) for name, member in zip(names, members, strict=True))
    formats = [member.element.dtype for member in members]
    if any(dtype is None for dtype in formats):
        return StoredType(ElementType("compound", fields=fields), exact=False)
    packed = {"names": names, "formats": formats, "offsets": offsets, "itemsize": tid.get_size()}
    whole: np.dtype[np.generic] = np.dtype(packed)  # type: ignore[call-overload]  # numpy's stub wants the literal dict
    element = ElementType("compound", whole, fields=fields, size=whole.itemsize, offsets=tuple(offsets))
    return StoredType(element, exact)


def _complex(tid: h5t.TypeComplexID, depth: int) -> StoredType:
    base = _stored(tid.get_super(), depth + 1)
    dtype = base.element.dtype
    if base.element.kind != "float" or dtype is None or dtype.itemsize not in (4, 8):
        return _unsupported("complex numbers in an extended format")
    whole = np.dtype(f"{dtype.str[0]}c{2 * dtype.itemsize}")
    return StoredType(ElementType("complex", whole, size=whole.itemsize), base.exact)


_READERS: dict[int, Callable[[h5t.TypeID, int], StoredType]] = {
    h5t.INTEGER: _integer,
    h5t.FLOAT: _float,
    h5t.STRING: _string,
    h5t.BITFIELD: _bitfield,
    h5t.OPAQUE: _opaque,
    h5t.REFERENCE: _reference,
    h5t.ENUM: _enum,
    h5t.VLEN: _sequence,
    h5t.ARRAY: _array,
    h5t.COMPOUND: _compound,
    # A class of its own since HDF5 2.0; libhdf5 before that has no such constant.
    getattr(h5t, "COMPLEX", -1): _complex,
}
