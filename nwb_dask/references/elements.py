"""Types, values and fill values of elements, as Zarr version 2 and LINDI have them. Pure."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from nwb_dask.index import ElementType
from nwb_dask.references.attributes import Json, float_as_json

NUMBERS = frozenset({"int", "uint", "float", "complex", "bool", "enum"})
_IN_FIELDS = frozenset({"int", "uint", "float", "bool", "enum", "string", "reference"})
OBJECTS = np.dtype(object)

# The fields of a compound are taken by name.
_Values = npt.NDArray[Any]
Point = Callable[[str | None], Json]
"""What stands for a reference to the object at a path."""


def stored_dtype(element: ElementType) -> np.dtype[np.generic] | None:
    """Return the numpy type of which the bytes in the file are; None if there is none."""
    if element.dtype is None or not element.exact:
        return None
    if element.kind == "bool":
        return np.dtype(np.bool_) if element.dtype.itemsize == 1 else None
    if element.kind == "string":
        return element.dtype if element.padding == "null" else None
    return element.dtype if element.kind in NUMBERS or element.kind == "bytes" else None


def has_values(element: ElementType) -> bool:
    """Return whether values of a type can stand in a document: as their bytes, or as JSON."""
    if element.kind == "compound":
        return all(field.kind in _IN_FIELDS for _, field in element.fields)
    return element.kind in NUMBERS or element.kind in {"bytes", "string", "reference"}


def fill_as_json(fill: bytes | None, dtype: np.dtype[np.generic]) -> Json:
    """Return a fill value, zero if it is None, as the metadata of an array have it.

    References
    ----------
    Zarr storage specification, version 2, *Fill value encoding*.
    """
    if dtype.kind == "O":
        # What LINDI writes; nothing is ever filled up with it.
        return 0
    if dtype.kind == "U":
        return ""
    if dtype.kind == "V" and fill is None:
        return None
    value = np.zeros((), dtype) if fill is None else np.frombuffer(fill, dtype)[0]
    if dtype.kind == "b":
        return bool(value)
    if dtype.kind == "f":
        return float_as_json(float(value))
    if dtype.kind == "c":
        number = complex(value)
        return [float_as_json(number.real), float_as_json(number.imag)]
    if dtype.kind in "SV":
        return b64encode(bytes(fill or b"")).decode()
    return int(value)


def number_bytes(values: _Values, dtype: np.dtype[np.generic]) -> bytes:
    """Return numbers, or elements of fixed length, as the only chunk of an array."""
    return np.ascontiguousarray(values.astype(dtype, copy=False)).tobytes()


def inline_dtype(element: ElementType, values: _Values) -> np.dtype[np.generic]:
    """Return the type in which values stand in a document: that of the file if there is one, else that of `values`."""
    found = stored_dtype(element)
    return values.dtype if found is None else found


def text_of(value: object) -> str:
    """Return text as stored, whatever its encoding; ``""`` where there is none."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else ""


def objects_as_json(values: _Values, element: ElementType, point: Point) -> bytes:
    """Return text, references or compounds as `numcodecs.JSON` encodes an array of objects."""
    flat = np.empty(values.size, object)
    flat[:] = _compounds(values, element, point) if element.kind == "compound" else _encoded(values, element, point)
    items = flat.reshape(values.shape or (1,)).tolist()
    return json.dumps([*items, "|O", list(values.shape or (1,))], sort_keys=True, separators=(",", ":")).encode()


def fields_of(values: _Values, element: ElementType) -> list[list[str]]:
    """Return the names and types of the fields of compounds, as LINDI has them in ``_COMPOUND_DTYPE``."""
    return [[name, _field_dtype(values[name], field)] for name, field in element.fields]


def _field_dtype(values: _Values, field: ElementType) -> str:
    if field.kind == "reference":
        return "<REFERENCE>"
    if field.kind != "string":
        return str(values.dtype)
    texts = [text_of(value) for value in values.reshape(-1).tolist()]
    if field.dtype is not None and all(map(str.isascii, texts)):
        return str(field.dtype)
    return f"<U{max([len(text) for text in texts], default=1) or 1}"


def _compounds(values: _Values, element: ElementType, point: Point) -> list[list[Json]]:
    columns = [_encoded(values[name], field, point) for name, field in element.fields]
    return [list(row) for row in zip(*columns, strict=True)]


def _encoded(values: _Values, element: ElementType, point: Point) -> list[Json]:
    items = values.reshape(-1).tolist()
    if element.kind == "reference":
        return [point(item) for item in items]
    return [text_of(item) for item in items] if element.kind == "string" else items
