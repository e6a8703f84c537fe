"""Types of elements as h5py has them: numpy dtypes, with metadata where numpy has no such type."""

from __future__ import annotations

from math import prod

import h5py
import numpy as np

from nwb_dask.errors import UnsupportedLayoutError
from nwb_dask.index import ElementType

_POINTER_BYTES = 8
"""Of text of variable length in memory."""
_LIST_BYTES = 16
"""Of a sequence in memory (``hvl_t``)."""


def h5py_dtype(element: ElementType) -> np.dtype[np.generic]:
    """Return the dtype that ``h5py.Dataset.dtype`` has for elements of this type.

    Text of variable length is marked as UTF-8, whatever the file says of it: an `ElementType` does not tell.

    Raises
    ------
    UnsupportedLayoutError
        If the type is not read.

    References
    ----------
    h5py documentation, *Special types*.
    """
    found: np.dtype[np.generic]
    if element.kind == "unsupported":
        raise UnsupportedLayoutError(f"its type is not read: {element.reason}")
    if element.kind == "bool":
        return np.dtype(np.bool_)
    if element.kind == "enum":
        found = h5py.enum_dtype(dict(element.members), basetype=element.dtype)
    elif element.kind == "string":
        found = h5py.string_dtype() if element.dtype is None else h5py.string_dtype("utf-8", element.dtype.itemsize)
    elif element.kind == "reference":
        found = h5py.ref_dtype
    elif element.kind == "region":
        found = h5py.regionref_dtype
    elif element.kind == "sequence" and element.base is not None:
        found = h5py.vlen_dtype(h5py_dtype(element.base))
    elif element.kind == "array" and element.base is not None:
        found = np.dtype((h5py_dtype(element.base), element.shape))
    elif element.kind == "compound":
        found = _compound(element)
    else:
        found = np.dtype(object) if element.dtype is None else element.dtype
    return found


def _compound(element: ElementType) -> np.dtype[np.generic]:
    names = [name for name, _ in element.fields]
    formats = [h5py_dtype(field) for _, field in element.fields]
    if len(element.offsets) != len(names):
        return np.dtype(list(zip(names, formats, strict=True)))
    if element.dtype is not None:
        offsets, size = element.offsets, element.dtype.itemsize
    else:
        more = {at: _growth(field) for at, (_, field) in zip(element.offsets, element.fields, strict=True)}
        offsets = tuple([at + sum(more[before] for before in more if before < at) for at in element.offsets])
        size = element.size + sum(more.values())
    layout = {"names": names, "formats": formats, "offsets": offsets, "itemsize": size}
    return np.dtype(layout)  # type: ignore[call-overload,no-any-return]  # numpy's stub wants the literal dict


def _growth(element: ElementType) -> int:
    """Return how many bytes more an element takes in memory than in the file, as libhdf5 lays compounds out."""
    if element.kind == "string" and element.dtype is None:
        return _POINTER_BYTES - element.size
    if element.kind == "sequence":
        return _LIST_BYTES - element.size
    if element.kind == "array" and element.base is not None:
        return prod(element.shape) * _growth(element.base)
    return sum(_growth(field) for _, field in element.fields)
