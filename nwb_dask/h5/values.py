"""Values of datasets and attributes, from how a backend gives them to how h5py does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from nwb_dask.h5.references import PathReference, RowsReference
from nwb_dask.h5.types import h5py_dtype
from nwb_dask.index import AttributeValue, ElementType, Reference

Values = npt.NDArray[np.generic]


MakeReference: TypeAlias = "Callable[[str | None], h5py.Reference]"
"""Path of an object, and a reference to it; a null reference for None."""


def stored_values(
    values: Values, element: ElementType, dtype: np.dtype[np.generic], make: MakeReference = PathReference
) -> Values:
    """Return values of a dataset as h5py would: a new, writable array of the dtype of its elements.

    Parameters
    ----------
    values : ndarray
        As `backends.File.read` returns them.
    element : ElementType
        Of the dataset.
    dtype : numpy dtype
        Of the element: see `h5py_dtype`.
    make : callable, optional
        Makes references.
    """
    if element.kind == "reference":
        return _objects(values, lambda path: make(_text(path)), dtype)
    if element.kind == "region":
        return _objects(values, RowsReference, dtype)
    if element.kind == "compound":
        return _structured(values, element, dtype, make)
    if element.kind == "sequence" and element.base is not None:
        base, of = element.base, h5py_dtype(element.base)
        return _objects(values, lambda items: stored_values(items, base, of, make), dtype)
    if element.kind == "array":
        return np.array(values, dtype.base)
    if dtype.kind == "O":
        return _objects(values, lambda value: value, dtype)
    return np.array(values, dtype)


def some_fields(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return those fields of compounds that `dtype` has, in its types."""
    out = np.zeros(values.shape, dtype)
    for name in dtype.names or ():
        out[name] = values[name]
    return out


def _structured(
    values: npt.NDArray[Any], element: ElementType, dtype: np.dtype[Any], make: MakeReference
) -> npt.NDArray[Any]:
    out = np.zeros(values.shape, dtype)
    for name, field in element.fields:
        out[name] = stored_values(values[name], field, dtype[name], make)
    return out


def _objects(values: Values, convert: Callable[..., object], dtype: np.dtype[np.generic]) -> Values:
    # An array that is made with a dtype keeps its metadata, which says of which kind the objects are.
    out = np.empty(values.shape, dtype)
    for at in np.ndindex(values.shape):
        out[at] = convert(values[at])
    return out


def _text(path: object) -> str | None:
    return None if path is None else str(path)


def stored_attribute(values: Values | None, element: ElementType) -> object:
    """Return the value of an attribute as h5py would, from its elements; None for the null dataspace."""
    dtype = h5py_dtype(element)
    if values is None:
        return h5py.Empty(dtype)
    out = stored_values(values, element, dtype)
    return out if out.ndim else out[()]


def attribute_value(value: AttributeValue) -> object:
    """Return the value of an attribute as h5py would; numbers of which the precision is not known in double."""
    if value is None:
        return h5py.Empty(h5py.string_dtype())
    if isinstance(value, Reference):
        return PathReference(value.path)
    if isinstance(value, tuple):
        return _nested(value)
    if isinstance(value, np.ndarray):
        return value.copy() if value.shape else value[()]
    if isinstance(value, (str, bytes)):
        return value
    return np.asarray(value)[()]


def _nested(value: tuple[AttributeValue, ...]) -> Values:
    """Return text or references of one or more dimensions, as objects."""
    shape: list[int] = []
    items: list[AttributeValue] = [value]
    while items and all(isinstance(item, tuple) for item in items):
        rows = [item for item in items if isinstance(item, tuple)]
        shape.append(len(rows[0]))
        items = [item for row in rows for item in row]
    is_reference = any(isinstance(item, Reference) for item in items)
    out = np.empty(len(items), h5py.ref_dtype if is_reference else h5py.string_dtype())
    for at, item in enumerate(items):
        out[at] = PathReference(item.path) if isinstance(item, Reference) else item
    return out.reshape(shape)


def fill_value(fill: bytes | None, element: ElementType) -> object:
    """Return what ``h5py.Dataset.fillvalue`` is: what stands where nothing was written."""
    if element.kind == "string" and element.dtype is None:
        return b""
    dtype = h5py_dtype(element)
    if dtype.kind == "O":
        return None
    stored = element.dtype
    if stored is None and dtype.names:
        parts = [fill_value(None, field) for _, field in element.fields]
        return np.array(tuple(None if isinstance(part, bytes) else part for part in parts), dtype)[()]
    if fill is None or stored is None or len(fill) != stored.itemsize:
        return np.zeros((), dtype)[()]
    return stored_values(np.frombuffer(fill, stored)[:1], element, dtype)[0]
