"""Stored values as the arrays and attributes that xarray, netCDF and Zarr can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nwb_dask.index import ArrayEntry, AttributeValue, ElementKind, Reference

if TYPE_CHECKING:
    from nwb_dask.model.series.values import Attribute

_FIXED_BYTES = 1 << 24
"""Texts of one length up to this size in memory; longer ones are objects, so that one long text costs itself only."""
LABEL_KINDS: frozenset[ElementKind] = frozenset(
    {"int", "uint", "float", "bool", "enum", "string", "bytes", "reference"}
)
_MAX_LISTED = 4096
"""Items of a list that is an attribute."""


def can_label(entry: ArrayEntry) -> bool:
    """Tell whether values of a dataset can be labels: plain numbers, text, or paths of objects."""
    return entry.element.kind in LABEL_KINDS


def label_values(entry: ArrayEntry, stored: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return values of a dataset as labels: numbers as they are, text as `str`, enumerations by their names."""
    if entry.element.kind == "enum":
        names = {code: name for name, code in entry.element.members}
        flat = [names.get(int(code), str(code)) for code in stored.reshape(-1).tolist()]
        return texts(flat).reshape(stored.shape)
    if stored.dtype.kind in "OSU":
        return texts([text_of(item) for item in stored.reshape(-1).tolist()]).reshape(stored.shape)
    return np.array(stored)


def texts(items: list[str]) -> npt.NDArray[np.generic]:
    """Return an array of text, ``<U`` unless one that is much longer than the others would make it large."""
    longest = max(map(len, items), default=0)
    if longest * len(items) * 4 <= _FIXED_BYTES:
        return np.array(items, dtype=f"<U{max(longest, 1)}")
    out = np.empty(len(items), object)
    out[:] = items
    return out


def text_of(item: object) -> str:
    """Return a stored text; bytes that are not UTF-8 are replaced, and what a null reference points to is ``""``."""
    if isinstance(item, bytes):
        return item.decode("utf-8", "replace")
    return "" if item is None else str(item)


def as_attribute(value: AttributeValue) -> Attribute | None:
    """Return the value of an HDF5 attribute in a type that netCDF and Zarr can hold; None for what they cannot."""
    if isinstance(value, np.ndarray):
        return listed(value)
    if isinstance(value, tuple):
        items = [item for item in value if isinstance(item, str | bytes)]
        found = [text_of(item) for item in items]
        if len(found) != len(value) or not found:
            return None
        return found[0] if len(found) == 1 else found
    if isinstance(value, Reference) or value is None or isinstance(value, complex):
        return None
    if isinstance(value, bytes):
        return text_of(value)
    return int(value) if isinstance(value, bool) else value


def listed(values: npt.NDArray[np.generic]) -> Attribute | None:
    """Return a few numbers or texts as an attribute, one by itself and more as a list; None for what is no such."""
    if values.ndim > 1 or values.size > _MAX_LISTED or not values.size:
        return None
    flat = values.reshape(-1).tolist()
    if values.dtype.kind in "OSU":
        found = [text_of(item) for item in flat]
        return found[0] if len(found) == 1 else found
    if values.dtype.kind == "b":
        flat = [int(item) for item in flat]
    elif values.dtype.kind not in "iuf":
        return None
    return flat[0] if len(flat) == 1 else flat
