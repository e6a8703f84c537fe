"""What a value is, down to its bits, in terms that can be compared with ``==``."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from nwb_dask.backends.known import Known


def exact(value: Any) -> object:
    """Return types and bits of a value.

    NaNs are equal to themselves, 1 is not True, and fields of dataclasses that do not count in comparisons count.
    """
    if isinstance(value, np.ndarray):
        return ("array", value.shape, _dtype(value.dtype), _elements(value))
    if isinstance(value, np.generic):
        return ("scalar", _dtype(value.dtype), _elements(np.asarray(value)))
    if isinstance(value, np.dtype):
        return _dtype(value)
    if isinstance(value, float):
        return ("float", struct.pack("<d", value))
    if isinstance(value, complex):
        return ("complex", struct.pack("<dd", value.real, value.imag))
    if is_dataclass(value) and not isinstance(value, type):
        return (type(value).__name__, *[(one.name, exact(getattr(value, one.name))) for one in fields(value)])
    if isinstance(value, Mapping):
        return ("mapping", [(exact(key), exact(item)) for key, item in value.items()])
    if isinstance(value, tuple):
        return ("tuple", [exact(item) for item in value])
    return (type(value).__name__, value)


def contents(known: Known) -> dict[str, object]:
    """Return all that is known, whatever the order in which it was found."""
    whole = {
        "identity": known.source.identity,
        "superblock": (known.base, known.offset_bytes, known.length_bytes, known.root),
    }
    for name in ("parts", "manifests", "values", "paths"):
        whole |= {f"{name} {key}": exact(value) for key, value in getattr(known, name).items()}
    return whole


def _dtype(dtype: np.dtype[Any]) -> object:
    if dtype.subdtype is not None:
        return ("subarray", _dtype(dtype.subdtype[0]), dtype.subdtype[1])
    if dtype.names is not None and dtype.fields is not None:
        return (dtype.itemsize, [(name, _dtype(dtype.fields[name][0]), dtype.fields[name][1]) for name in dtype.names])
    return dtype.str


def _elements(array: np.ndarray[Any, Any]) -> object:
    if array.dtype.names is not None:
        return [_elements(array[name]) for name in array.dtype.names]
    if array.dtype.hasobject:
        return [exact(item) for item in array.ravel()]
    return array.tobytes()
