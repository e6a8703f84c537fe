"""From an element as stored to the Arrow type that carries it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pyarrow as pa

from nwb_dask.errors import UnsupportedLayoutError
from nwb_dask.index import ElementType

_MAX_LIST = (1 << 31) - 1
CATEGORY = pa.dictionary(pa.int32(), pa.string())


def is_heavy(data_type: pa.DataType) -> bool:
    """Tell whether values of this type are read after the filter: lists, tensors and structs."""
    return bool(pa.types.is_nested(data_type))


@lru_cache(maxsize=512)
def arrow_type(element: ElementType) -> pa.DataType:
    """Return the Arrow type of one element.

    Numbers keep their width in native byte order; text is ``string``; an enumeration is a dictionary of
    text; an object reference is the target's path; a region reference is a list of row numbers; a compound
    is a struct with the fields in stored order; a complex number is ``struct<real, imag>``.

    Raises
    ------
    UnsupportedLayoutError
        If Arrow has no such type, with the reason.
    """
    kind = element.kind
    if kind in {"int", "uint", "float", "complex"} and element.dtype is not None:
        return _number(element.dtype)
    if kind == "bytes":
        return pa.binary(element.dtype.itemsize) if element.dtype is not None else pa.binary()
    if kind == "compound":
        return pa.struct([pa.field(name, arrow_type(inner)) for name, inner in element.fields])
    if kind == "sequence" and element.base is not None:
        return pa.large_list(arrow_type(element.base))
    if kind == "array" and element.base is not None:
        return fixed_shape(arrow_type(element.base), element.shape)
    simple = {
        "bool": pa.bool_(),
        "enum": CATEGORY,
        "string": pa.string(),
        "reference": pa.string(),
        "region": pa.large_list(pa.int64()),
    }
    if kind not in simple:
        message = element.reason or f"elements of kind {kind!r} have no Arrow type"
        raise UnsupportedLayoutError(message)
    return simple[kind]


def fixed_shape(item: pa.DataType, shape: tuple[int, ...]) -> pa.DataType:
    """Return nested fixed-size lists of `item`, outermost dimension first.

    Raises
    ------
    UnsupportedLayoutError
        If a dimension is longer than lists of Arrow can be.
    """
    for size in reversed(shape):
        if size > _MAX_LIST:
            raise UnsupportedLayoutError(f"each of its rows has a dimension of {size}, which Arrow has no type for")
        item = pa.list_(item, size)
    return item


def _number(dtype: np.dtype[np.generic]) -> pa.DataType:
    if dtype.kind == "c":
        part = pa.float32() if dtype.itemsize <= np.dtype(np.complex64).itemsize else pa.float64()
        return pa.struct([("real", part), ("imag", part)])
    if dtype.itemsize > np.dtype(np.float64).itemsize:
        message = f"{dtype.itemsize}-byte numbers have no Arrow type"
        raise UnsupportedLayoutError(message)
    return pa.from_numpy_dtype(dtype.newbyteorder("="))
