"""Attributes and values as JSON in LINDI's conventions.

Source: LINDI 0.4.6, ``conversion/attr_conversion.py`` and ``h5_ref_to_zarr_attr.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nwb_dask.errors import FormatError
from nwb_dask.index import Reference

Encode: TypeAlias = Callable[[Reference], "dict[str, Any]"]
"""What a reference is as JSON, which takes the object that it points to."""

SCALAR, SOFT_LINK, COMPOUND, REFERENCE = "_SCALAR", "_SOFT_LINK", "_COMPOUND_DTYPE", "_REFERENCE"
EXTERNAL = "_EXTERNAL_ARRAY_LINK"
REFERENCE_FIELD = "<REFERENCE>"
_NUMBERS_AS_TEXT = frozenset({"NaN", "Infinity", "-Infinity"})


def attribute_json(value: object, encode: Encode, name: str) -> object:
    """Return the value of an attribute as JSON.

    Parameters
    ----------
    value : object
        Text, number, boolean, `Reference`, or an array or sequence of one of the first three.
    encode : callable
        What a reference is as JSON.
    name : str
        What it is the value of, for messages.

    Raises
    ------
    FormatError
        If LINDI has no place for it: references in a list, complex numbers, nothing, or the texts that stand for
        numbers which JSON lacks.
    """
    if isinstance(value, np.ndarray) and value.shape == ():
        value = value[()]
    if isinstance(value, Reference):
        return encode(value)
    if isinstance(value, (np.ndarray, list, tuple)):
        return _list_json(np.asarray(value), name)
    return _scalar_json(value, name)


def _list_json(values: npt.NDArray[Any], name: str) -> list[object]:
    """Return an array as nested lists; of one kind, since LINDI refuses others when it reads them."""
    if any(isinstance(one, Reference) for one in values.flat):
        raise FormatError(f"{name}: LINDI has no place for a list of references in an attribute")
    nested = [
        _list_json(one, name) if isinstance(one, np.ndarray) and one.ndim else _scalar_json(one, name) for one in values
    ]
    if values.dtype.kind == "O" and len({type(one) for one in nested}) > 1:
        raise FormatError(f"{name}: values of one attribute are of one type")
    return nested


def _scalar_json(value: object, name: str) -> object:
    """Return one value as JSON."""
    if isinstance(value, (bytes, np.bytes_)):
        value = value.decode()
    if isinstance(value, str):
        if value in _NUMBERS_AS_TEXT:
            raise FormatError(f"{name}: the text {value!r} stands for a number in LINDI; write it in another way")
        return str(value)
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return number_json(float(value))
    raise FormatError(f"{name}: an attribute cannot be {type(value).__name__}; give text, numbers or references")


def number_json(value: float) -> float | str:
    """Return a number as JSON, which has no words of its own for three of them."""
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


def data_json(values: npt.NDArray[Any], encode: Encode, name: str) -> npt.NDArray[np.object_]:
    """Return text, references or compounds as an array of what JSON knows.

    Raises
    ------
    FormatError
        For other values.
    """
    out = np.empty(values.shape, dtype=object)
    flat = out.reshape(-1)
    for at, one in enumerate(values.reshape(-1)):
        if values.dtype.names is not None:
            flat[at] = [_value_json(one[field], encode, f"{name}.{field}") for field in values.dtype.names]
        elif isinstance(one, (bool, np.bool_, int, float, np.number)):
            raise FormatError(f"{name}: numbers are stored as numbers, and these are objects; name their type: dtype=")
        else:
            flat[at] = _value_json(one, encode, name)
    return out


def _value_json(value: object, encode: Encode, name: str) -> object:
    if isinstance(value, Reference):
        return encode(value)
    if isinstance(value, Mapping) and REFERENCE in value:
        return dict(value)
    if isinstance(value, (bytes, np.bytes_)):
        return value.decode()
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (bool, np.bool_, int, float, np.integer, np.floating)):
        return np.asarray(value).item()
    raise FormatError(f"{name}: LINDI has no place for a value of type {type(value).__name__}")


def compound_json(values: npt.NDArray[Any], before: list[list[str]] | None = None) -> list[list[str]]:
    """Return a ``_COMPOUND_DTYPE``: the name and type of each field.

    Text has the length of the longest, in `before` too: LINDI takes fields of any other kind for references.
    """
    found: list[list[str]] = []
    known = {one[0]: one[1] for one in before or []}
    for field in values.dtype.names or ():
        dtype = values.dtype[field]
        text = known.get(field, "")
        if dtype.kind not in "OSU":
            found.append([field, dtype.str])
        elif REFERENCE_FIELD in (text, _marked(dtype)) or any(
            isinstance(one, Reference) for one in values[field].reshape(-1)
        ):
            found.append([field, REFERENCE_FIELD])
        else:
            longest = max((len(one) for one in values[field].reshape(-1) if isinstance(one, (str, bytes))), default=1)
            least = np.dtype(text).itemsize // 4 if text.startswith("<U") else 1
            found.append([field, f"<U{max(longest, least)}"])
    return found


def _marked(dtype: np.dtype[Any]) -> str:
    """Return what h5py's mark of a type of objects says: that they are references."""
    return REFERENCE_FIELD if "ref" in (dtype.metadata or {}) else ""
