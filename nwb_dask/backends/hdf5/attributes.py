"""Attributes of an HDF5 object, as `AttributeValue`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TypeAlias

import numpy as np
from h5py import h5a, h5d, h5g, h5r, h5s, h5t, ref_dtype, string_dtype

from nwb_dask.backends.hdf5.boundary import H5PY_ERRORS
from nwb_dask.backends.hdf5.types import native_dtype, stored_type
from nwb_dask.index import AttributeValue, Reference

HasAttributes: TypeAlias = "h5g.GroupID | h5d.DatasetID"
Resolve: TypeAlias = "Callable[[int, h5r.Reference], str | None]"
"""Address and reference in, path out."""

TEXT_IN_MEMORY = h5t.py_create(string_dtype())
_REFERENCE_BYTES = 8
REFERENCE_IN_MEMORY = h5t.py_create(ref_dtype)


def read_attributes(
    oid: HasAttributes, wanted: frozenset[str] | None, resolve: Resolve, *, limit_bytes: int
) -> tuple[list[str], Mapping[str, AttributeValue], Mapping[str, str]]:
    """Return the names of an object's attributes, the values wanted, and why some could not be read.

    Parameters
    ----------
    oid : GroupID or DatasetID
        The open object.
    wanted : frozenset of str or None
        Names to read; None for all.
    resolve : callable
        Gives the path of an object reference.
    limit_bytes : int
        Size of the file, which no attribute can exceed.
    """
    values: dict[str, AttributeValue] = {}
    problems: dict[str, str] = {}
    stored: list[bytes] = []
    try:
        h5a.iterate(oid, stored.append)
    except H5PY_ERRORS as exc:
        problems[""] = f"its attributes are damaged: {exc}"
    names = [name.decode("utf-8", "surrogateescape") for name in stored]
    for name in names if wanted is None else wanted.intersection(names):
        try:
            values[name] = _read(h5a.open(oid, name.encode("utf-8", "surrogateescape")), resolve, limit_bytes)
        except H5PY_ERRORS as exc:
            problems[name] = str(exc)
    return names, values, problems


def reference_address(oid: HasAttributes, name: bytes, member: bytes) -> int | None:
    """Return where the scalar reference `name` of the member `member` points; None if there is no such attribute."""
    try:
        if not h5a.exists(oid, name, obj_name=member):
            return None
        attribute = h5a.open(oid, name, obj_name=member)
        # One reference has 8 bytes; libhdf5 takes some microseconds more to tell the shape.
        if attribute.get_storage_size() != _REFERENCE_BYTES or not attribute.get_type().equal(h5t.STD_REF_OBJ):
            return None
        return int(_addresses(attribute, (1,))[0])
    except H5PY_ERRORS:
        return None


def _read(attribute: h5a.AttrID, resolve: Resolve, limit_bytes: int) -> AttributeValue:
    tid = attribute.get_type()
    space = attribute.get_space()
    if space.get_simple_extent_type() == h5s.NULL:
        return None
    shape = space.get_simple_extent_dims()
    # h5py refuses to tell the size of an empty attribute.
    if prod(shape) * int(tid.get_size()) > limit_bytes:
        raise ValueError("it claims to be larger than the file")
    if tid.get_class() == h5t.STRING:
        return _text(attribute, tid, shape)
    stored = stored_type(tid)
    if stored.element.kind == "reference":
        return _references(attribute, shape, resolve)
    if stored.element.kind in {"int", "uint", "float", "complex", "bool", "enum"}:
        return _numbers(attribute, tid, shape)
    raise ValueError(stored.element.reason or f"attributes of type {stored.element.kind} are not read")


def _text(attribute: h5a.AttrID, tid: h5t.TypeStringID, shape: tuple[int, ...]) -> AttributeValue:
    if tid.is_variable_str():
        out = np.empty(shape, object)
        attribute.read(out, mtype=TEXT_IN_MEMORY)
    else:
        out = np.empty(shape, f"S{tid.get_size()}")
        # The type of the file but for its padding: libhdf5 does not convert between ASCII and UTF-8.
        in_memory = tid.copy()
        in_memory.set_strpad(h5t.STR_NULLPAD)
        attribute.read(out, mtype=in_memory)
    if not shape:
        value: bytes = out.item()
        return value.decode()
    return _nested(out.tolist(), _decoded)


def _references(attribute: h5a.AttrID, shape: tuple[int, ...], resolve: Resolve) -> AttributeValue:
    references = np.empty(shape, object)
    attribute.read(references, mtype=REFERENCE_IN_MEMORY)
    addresses = _addresses(attribute, shape)
    if not shape:
        return Reference(resolve(int(addresses), references[()]))
    paths = np.empty(shape, object)
    for at in np.ndindex(shape):
        paths[at] = Reference(resolve(int(addresses[at]), references[at]))
    return _nested(paths.tolist(), _kept)


def _addresses(attribute: h5a.AttrID, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """Return the references as stored: the address of an object (HDF5 file format, *Datatype Message*)."""
    out = np.zeros(shape, np.uint64)
    attribute.read(out, mtype=h5t.STD_REF_OBJ)
    return out


def _numbers(attribute: h5a.AttrID, tid: h5t.TypeID, shape: tuple[int, ...]) -> AttributeValue:
    stored = stored_type(tid)
    if stored.element.dtype is None:
        raise ValueError(f"attributes of type {stored.element.kind} are not read")
    if stored.exact:
        out = np.empty(shape, stored.element.dtype)
        attribute.read(out, mtype=tid)
    else:
        out = np.empty(shape, tid.dtype)
        attribute.read(out)
    out = out != 0 if stored.element.kind == "bool" else out.astype(native_dtype(stored.element))
    if shape or (out.dtype.kind == "f" and out.dtype != np.float64):
        # Of single precision stays an array: what is computed with it is of that precision too.
        return np.asarray(out)
    value: int | float | bool | complex = out[()].item()
    return value


def _nested(items: object, convert: Callable[[object], AttributeValue]) -> AttributeValue:
    return tuple([_nested(item, convert) for item in items]) if isinstance(items, list) else convert(items)


def _decoded(item: object) -> str:
    if not isinstance(item, bytes):
        raise TypeError("it is no text")
    return item.decode()


def _kept(item: object) -> AttributeValue:
    return item if isinstance(item, Reference) else None
