"""Data types of Zarr, v2 and v3, as numpy's. Pure."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from nwb_dask.backends.zarr import checks
from nwb_dask.backends.zarr.documents import Json
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError

_V2 = re.compile(r"(?:[<>|][biufcSV][0-9]{1,9}|[<>|]U[0-9]{1,9}|\|O)")
_TIMES = re.compile(r"[<>|][mM]8")
_V3 = frozenset(
    {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"}
    | {"complex64", "complex128"}
)
_OBJECTS_V3 = frozenset({"string", "bytes", "variable_length_bytes", "variable_length_utf8"})
_RAW = re.compile(r"r([0-9]{1,9})")
_MAX_ITEM_BYTES = 1 << 24
_MAX_FIELDS = 1024
_MAX_DEPTH = 8
_BITS = 8

OBJECT = np.dtype(object)


def dtype_v2(value: Json, depth: int = 0) -> np.dtype[Any]:
    """Return the numpy type of the ``dtype`` of a ``.zarray``; objects for ``|O``.

    Raises
    ------
    MalformedFileError
        If it is none.
    UnsupportedLayoutError
        If it is one of times, which NWB does not use.

    References
    ----------
    Zarr storage specification version 2, *Data type encoding*.
    """
    if isinstance(value, str):
        return _checked(_named_v2(value))
    if depth > _MAX_DEPTH:
        raise MalformedFileError("damaged: its data type is nested too deep")
    fields = checks.sequence(value, "its data type")
    found: list[Any] = []
    for field in fields:
        parts = checks.sequence(field, "a field of its data type")
        if len(parts) not in (2, 3):
            raise MalformedFileError(f"damaged: a field of its data type has {len(parts)} parts")
        inner = dtype_v2(parts[1], depth + 1)
        shape = checks.lengths(parts[2], "the shape of a field", least=1) if len(parts) > 2 else ()  # noqa: PLR2004  # name, type and shape
        found.append((checks.name(parts[0], "the name of a field"), inner, shape))
    return _compound(found)


def _named_v2(value: str) -> np.dtype[Any]:
    if _TIMES.match(value):
        raise UnsupportedLayoutError(f"its data type {value!r} is one of times, which NWB stores as numbers")
    if not _V2.fullmatch(value):
        raise MalformedFileError(f"damaged: its data type is {value[:40]!r}")
    try:
        return np.dtype(value)
    except (TypeError, ValueError) as exc:
        raise MalformedFileError(f"damaged: its data type is {value!r}") from exc


def dtype_v3(value: Json, depth: int = 0) -> np.dtype[Any]:
    """Return the numpy type of the ``data_type`` of a ``zarr.json``, in native byte order, which a codec changes.

    Raises
    ------
    MalformedFileError
        If it is none.
    UnsupportedLayoutError
        If it is an extension that is not known.

    References
    ----------
    Zarr specification version 3, *Data types*; ``fixed_length_utf32``, ``null_terminated_bytes``, ``raw_bytes`` and
    ``structured`` (``struct`` since zarr-python 3.2) as zarr-python writes them.
    """
    if isinstance(value, str):
        return _checked(_named_v3(value))
    found = checks.mapping(value, "its data type")
    name = checks.name(found.get("name"), "the name of its data type")
    options = checks.mapping(found.get("configuration", {}), "the configuration of its data type")
    if name in {"structured", "struct"}:
        return _struct_v3(options, depth)
    if name == "fixed_length_utf32":
        n_bytes = checks.integer(options.get("length_bytes"), "the length of its text", most=_MAX_ITEM_BYTES)
        return np.dtype(f"U{n_bytes // 4}")
    if name in {"null_terminated_bytes", "fixed_length_ascii"}:
        return np.dtype(f"S{checks.integer(_length(options), 'the length of its text', most=_MAX_ITEM_BYTES)}")
    if name == "raw_bytes":
        return _checked(np.dtype(f"V{checks.integer(_length(options), 'the length', most=_MAX_ITEM_BYTES)}"))
    if not options:
        return _checked(_named_v3(name))
    raise UnsupportedLayoutError(f"its data type {name!r} is not read")


def _length(options: Json) -> Json:
    bits = options.get("length_bits")
    return bits // _BITS if isinstance(bits, int) else options.get("length_bytes")


def _struct_v3(options: Json, depth: int) -> np.dtype[Any]:
    if depth > _MAX_DEPTH:
        raise MalformedFileError("damaged: its data type is nested too deep")
    found: list[Any] = []
    for field in checks.sequence(options.get("fields"), "the fields of its data type"):
        if isinstance(field, dict):
            name, inner = field.get("name"), field.get("data_type")
        else:
            parts = checks.sequence(field, "a field of its data type")
            if len(parts) != 2:  # noqa: PLR2004  # name and type
                raise MalformedFileError(f"damaged: a field of its data type has {len(parts)} parts")
            name, inner = parts
        found.append((checks.name(name, "the name of a field"), dtype_v3(inner, depth + 1), ()))
    return _compound(found)


def _named_v3(value: str) -> np.dtype[Any]:
    if value in _V3:
        return np.dtype(value)
    if value in _OBJECTS_V3:
        return OBJECT
    raw = _RAW.fullmatch(value)
    if raw and int(raw[1]) % _BITS == 0 and int(raw[1]):
        return np.dtype(f"V{int(raw[1]) // _BITS}")
    raise UnsupportedLayoutError(f"its data type {value[:40]!r} is not read")


def _compound(fields: list[Any]) -> np.dtype[Any]:
    if not 0 < len(fields) <= _MAX_FIELDS:
        raise MalformedFileError(f"damaged: its data type has {len(fields)} fields")
    try:
        return _checked(np.dtype(fields))
    except (TypeError, ValueError) as exc:
        raise MalformedFileError(f"damaged: its data type is {fields}") from exc


def _checked(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.itemsize > _MAX_ITEM_BYTES:
        raise MalformedFileError(f"damaged: its elements have {dtype.itemsize} bytes each")
    return dtype
