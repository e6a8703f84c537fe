"""Attributes as JSON. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite, isnan
from typing import TypeAlias

import numpy as np

from nwb_dask.errors import FormatError
from nwb_dask.index import AttributeValue, Reference

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

Refer: TypeAlias = Callable[[Reference], Json]
"""What stands for a reference."""

NOT_NUMBERS = frozenset({"NaN", "Infinity", "-Infinity"})
"""Texts that LINDI reads as numbers."""
RESERVED = frozenset({"_SCALAR", "_COMPOUND_DTYPE", "_REFERENCE", "_EXTERNAL_ARRAY_LINK", "_SOFT_LINK"})
"""Names of attributes in which LINDI says something else."""


def as_json(attributes: Mapping[str, AttributeValue], refer: Refer | None) -> tuple[dict[str, Json], dict[str, str]]:
    """Return attributes as JSON, and by name why others cannot be.

    Parameters
    ----------
    attributes : mapping
        As an index has them.
    refer : callable or None
        None if references have no place.

    Returns
    -------
    dict, dict
        Numbers that are none are text, as LINDI has them. What LINDI cannot read is left out: one such attribute makes
        it fail on all others of the object.
    """
    found: dict[str, Json] = {}
    failed: dict[str, str] = {}
    for name, value in attributes.items():
        if name in RESERVED:
            failed[name] = "the name is one that LINDI gives a meaning to"
            continue
        try:
            found[name] = _json(value, refer)
        except FormatError as error:
            failed[name] = error.message
    return found, failed


def float_as_json(value: float) -> float | str:
    """Return a number, or the text that stands for one that JSON does not have."""
    if isfinite(value):
        return value
    return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _json(value: AttributeValue, refer: Refer | None) -> Json:
    if isinstance(value, Reference):
        if refer is None:
            raise FormatError("references to objects have no place in the format")
        return refer(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if isinstance(value, str):
        if value in NOT_NUMBERS:
            raise FormatError(f"the text {value!r} would be read as a number")
        return value
    if value is None:
        raise FormatError("JSON has no value without a shape (a null dataspace)")
    if isinstance(value, complex):
        raise FormatError("complex numbers have no place in JSON")
    if isinstance(value, float):
        return float_as_json(value)
    if isinstance(value, (bool, int)):
        return value
    if isinstance(value, tuple):
        return _row(value, refer)
    return _numbers(value)


def _row(values: tuple[AttributeValue, ...], refer: Refer | None) -> Json:
    if any(isinstance(value, Reference) for value in values):
        raise FormatError("lists of references have no place in an attribute of LINDI")
    return [_json(value, refer) for value in values]


def _numbers(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Json:
    if values.dtype.kind == "c":
        raise FormatError("complex numbers have no place in JSON")
    return _nested(values.tolist())


def _nested(values: Json) -> Json:
    if isinstance(values, list):
        return [_nested(value) for value in values]
    return float_as_json(values) if isinstance(values, float) else values
