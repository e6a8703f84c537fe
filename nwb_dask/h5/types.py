"""Types of elements as h5py has them: numpy dtypes, with metadata where numpy has no such type."""

from __future__ import annotations

import h5py
import numpy as np

from nwb_dask.errors import UnsupportedLayoutError
from nwb_dask.index import ElementType


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
    if element.dtype is None:
        return np.dtype(list(zip(names, formats, strict=True)))
    layout = {"names": names, "formats": formats, "offsets": element.offsets, "itemsize": element.dtype.itemsize}
    return np.dtype(layout)  # type: ignore[call-overload,no-any-return]  # numpy's stub wants the literal dict
