"""Types of elements as answers: from h5py, and from the own parser."""

from __future__ import annotations

from typing import Any

from h5py import h5t

from nwb_dask.index import ElementType
from tests.backends.answers import UNKNOWN, Answer

_BOOLEAN = {("FALSE", 0), ("TRUE", 1)}
_ORDERS = {h5t.ORDER_LE: "<", h5t.ORDER_BE: ">", h5t.ORDER_NONE: "|", h5t.ORDER_VAX: "?"}
_PADDINGS = {h5t.STR_NULLTERM: "terminated", h5t.STR_NULLPAD: "null", h5t.STR_SPACEPAD: "space"}
_COMPLEX_BYTES = (8, 16)
_IEEE = (h5t.IEEE_F16LE, h5t.IEEE_F16BE, h5t.IEEE_F32LE, h5t.IEEE_F32BE, h5t.IEEE_F64LE, h5t.IEEE_F64BE)


def type_of(tid: Any) -> Answer:
    """Return the type that h5py shows: its kind first."""
    kind, size = tid.get_class(), tid.get_size()
    if kind == h5t.INTEGER:
        return ("uint" if tid.get_sign() == h5t.SGN_NONE else "int", size, _order(tid), _is_plain(tid))
    if kind == h5t.FLOAT:
        exact = any(tid.equal(known) for known in _IEEE)
        return ("float", size, _order(tid) if exact else None, exact)
    if kind == h5t.STRING:
        return ("string", None) if tid.is_variable_str() else ("string", size, _PADDINGS[tid.get_strpad()])
    if kind == h5t.BITFIELD:
        return ("uint", size, _order(tid), True)
    if kind == h5t.OPAQUE:
        return ("bytes", size)
    if kind == h5t.REFERENCE:
        names = ((h5t.STD_REF_OBJ, "reference"), (h5t.STD_REF_DSETREG, "region"))
        return (next((name for one, name in names if tid.equal(one)), "newer reference"),)
    if kind == h5t.ENUM:
        members = tuple(
            (tid.get_member_name(i).decode(), int(tid.get_member_value(i))) for i in range(tid.get_nmembers())
        )
        return ("bool" if set(members) == _BOOLEAN else "enum", type_of(tid.get_super()), members)
    if kind == h5t.VLEN:
        return ("sequence", type_of(tid.get_super()))
    if kind == h5t.ARRAY:
        return ("array", type_of(tid.get_super()), tuple(tid.get_array_dims()))
    if kind == h5t.COMPOUND:
        return _compound(tid)
    if kind == getattr(h5t, "COMPLEX", -1):
        half = type_of(tid.get_super())
        return ("complex", half[1:3])
    return ("class", int(kind))


def _order(tid: Any) -> str:
    return "|" if tid.get_size() == 1 else _ORDERS[tid.get_order()]


def _is_plain(tid: Any) -> bool:
    return bool(tid.get_precision() == 8 * tid.get_size() and tid.get_offset() == 0)


def _compound(tid: Any) -> Answer:
    members = [
        (tid.get_member_name(i).decode(), tid.get_member_offset(i), type_of(tid.get_member_type(i)))
        for i in range(tid.get_nmembers())
    ]
    names, halves = [name for name, _, _ in members], [half for _, _, half in members]
    # h5py has one type for floats of one size, however odd their format is: then no order is told here.
    orders = {half[2] for half in halves if half[0] == "float"} - {None}
    if (
        names == ["r", "i"]
        and [half[:2] for half in halves] == 2 * [("float", halves[0][1])]
        and halves[0][1] * 2 in _COMPLEX_BYTES
        and len(orders) == 1
    ):
        if [offset for _, offset, _ in members] != [0, halves[0][1]]:
            raise ValueError("h5py takes this for complex numbers, wherever the halves are")
        return ("complex", (halves[0][1], *orders))
    return _laid_out(tid.get_size(), tuple(members))


def _laid_out(size: Answer, members: tuple[tuple[str, Answer, Answer], ...]) -> Answer:
    """Return a compound; without offsets if it leads elsewhere: h5py then shows those in memory, not in the file."""
    if any(_leads_on(one) for _, _, one in members):
        return ("compound", None, tuple((name, None, one) for name, _, one in members))
    return ("compound", size, members)


def _leads_on(one: Answer) -> bool:
    if one[0] == "compound":
        return one[1] is None
    return one[0] in {"sequence", "reference", "region"} or one == ("string", None)


def type_in(element: ElementType) -> Answer:
    """Return the type that an entry has, in the same form."""
    kind, dtype = element.kind, element.dtype
    # What h5py was asked for instead has no sizes and offsets.
    size: Answer = element.size or (UNKNOWN if dtype is None else dtype.itemsize)
    if kind in {"int", "uint"} and dtype is not None:
        return (kind, size, _byte_order(dtype), element.exact)
    if kind == "float" and dtype is not None:
        return (kind, size, _byte_order(dtype) if element.exact else None, element.exact)
    if kind == "string":
        padding = element.padding if element.size else UNKNOWN
        return (kind, None) if dtype is None else (kind, size, padding)
    if kind == "bytes":
        return (kind, size)
    if kind in {"reference", "region"}:
        return (kind,)
    if kind in {"bool", "enum"} and dtype is not None:
        base = ("uint" if dtype.kind == "u" else "int", size, _byte_order(dtype), element.exact)
        return (kind, base, element.members)
    if kind == "sequence" and element.base is not None:
        return (kind, type_in(element.base))
    if kind == "array" and element.base is not None:
        return (kind, type_in(element.base), element.shape)
    if kind == "compound":
        offsets = element.offsets or (UNKNOWN,) * len(element.fields)
        members = zip(element.fields, offsets, strict=True)
        return _laid_out(size, tuple((name, offset, type_in(field)) for (name, field), offset in members))
    if kind == "complex" and dtype is not None:
        return (kind, (dtype.itemsize // 2, _byte_order(dtype)))
    raise ValueError(f"an element of kind {kind}, dtype {dtype}")


def unsupported_in(element: ElementType) -> str:
    """Return why a type is not read; an empty text if it is."""
    if element.kind == "unsupported":
        return element.reason or "no reason"
    inside = [*(field for _, field in element.fields), *([] if element.base is None else [element.base])]
    return next((reason for one in inside if (reason := unsupported_in(one))), "")


def _byte_order(dtype: Any) -> str:
    return str(dtype.str[0])
