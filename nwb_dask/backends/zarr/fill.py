"""Fill values, as JSON has them. Pure.

References
----------
Zarr storage specification version 2, *Fill value encoding*; Zarr core specification version 3.1, *Fill value*.
"""

from __future__ import annotations

import math
from base64 import b64decode, standard_b64decode
from typing import Any

import numpy as np

from nwb_dask.backends.zarr.documents import ArrayDocument, Json
from nwb_dask.errors import MalformedFileError

_PARTS = 2


def fill_element(document: ArrayDocument) -> Any:  # noqa: ANN401  # a scalar of whatever type the array has
    """Return one element that stands where nothing was written, as numpy scalar; zero where the document has none.

    Raises
    ------
    MalformedFileError
        If the document says something that is no element.
    """
    value, dtype = document.fill, document.dtype
    if dtype.kind == "O":
        return value
    if value is None:
        return np.zeros((), dtype)[()]
    try:
        return _element(value, dtype)
    except (TypeError, ValueError, OverflowError) as exc:
        raise MalformedFileError(f"damaged: its fill value {str(value)[:80]!r} is none of {dtype}") from exc


def _element(value: Json, dtype: np.dtype[Any]) -> Any:  # noqa: ANN401  # see fill_element
    if dtype.names is not None:
        return _record(value, dtype)
    if dtype.kind in "SV" and isinstance(value, str):
        return np.frombuffer(_padded(b64decode(value, validate=True), dtype), dtype)[0]
    if dtype.kind == "V" and isinstance(value, list):
        return np.frombuffer(_padded(bytes(value), dtype), dtype)[0]
    if dtype.kind in "SV" and value == 0:
        return np.zeros((), dtype)[()]
    if dtype.kind == "U":
        return np.array("" if value == 0 else value, dtype)[()]
    if dtype.kind == "c" and isinstance(value, list) and len(value) == _PARTS:
        return np.array(complex(_number(value[0], dtype), _number(value[1], dtype)), dtype)[()]
    if isinstance(value, str):
        return _number(value, dtype) if not value.startswith("0x") else _bits(value, dtype)
    if dtype.kind in "iu" and isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    return np.array(value, dtype)[()]


def _record(value: Json, dtype: np.dtype[Any]) -> Any:  # noqa: ANN401  # see fill_element
    out = np.zeros((), dtype)
    if value == 0:
        return out[()]
    if isinstance(value, str):
        if dtype.hasobject:
            return out[()]
        return np.frombuffer(_padded(standard_b64decode(value), dtype), dtype)[0]
    names = dtype.names or ()
    found = [value[name] for name in names] if isinstance(value, dict) else value
    if not isinstance(found, list) or len(found) != len(names):
        raise ValueError(value)
    for name, one in zip(names, found, strict=True):
        out[name] = one if dtype[name].kind == "O" else _element(one, dtype[name])
    return out[()]


def _padded(data: bytes, dtype: np.dtype[Any]) -> bytes:
    if len(data) > dtype.itemsize:
        raise ValueError(data)
    return data.ljust(dtype.itemsize, b"\0")


def _number(value: Json, dtype: np.dtype[Any]) -> Any:  # noqa: ANN401  # see fill_element
    names = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
    if isinstance(value, str) and value.startswith("0x"):
        return _bits(value, np.dtype(f"f{dtype.itemsize // (2 if dtype.kind == 'c' else 1)}"))
    found = names[value] if isinstance(value, str) and value in names else float(value)
    return found if dtype.kind == "c" else np.array(found, dtype)[()]


def _bits(value: str, dtype: np.dtype[Any]) -> Any:  # noqa: ANN401  # see fill_element
    """Return a floating point number by its bits, the highest byte first."""
    return np.frombuffer(bytes.fromhex(value[2:]), np.dtype(dtype).newbyteorder(">"))[0].astype(dtype)
