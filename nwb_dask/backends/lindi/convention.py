"""What LINDI writes into Zarr where it has no words for what HDF5 has.

===================================  ==========================================================================
``_SCALAR``                          an array of shape ``[1]`` is a scalar
``_SOFT_LINK``                       a group stands for a link
``_COMPOUND_DTYPE``                  JSON lists are records with these fields; ``<REFERENCE>`` is a reference
``{"_REFERENCE": {...}}``            a reference, in attributes and in arrays of JSON values
``_EXTERNAL_ARRAY_LINK``             the values of an array are those of a dataset of an HDF5 file
``"NaN"``, ``"Infinity"``            numbers, in attributes
===================================  ==========================================================================

References
----------
LINDI, ``docs/special_zarr_annotations.md``; what is checked of a reference is what ``LindiH5pyFile`` checks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf, nan
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from nwb_dask.backends.lindi.policy import Policy
from nwb_dask.backends.zarr import checks
from nwb_dask.backends.zarr.documents import ArrayDocument, Attributes, GroupDocument, Json
from nwb_dask.backends.zarr.hdmf import records, references
from nwb_dask.backends.zarr.meaning import (
    BOOLEAN,
    REFERENCE,
    ArrayMeaning,
    GroupMeaning,
    Values,
    attribute_value,
    compound,
    element_of,
    plain_values,
)
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import AttributeValue, ElementType, Link, Reference

EXTERNAL = "_EXTERNAL_ARRAY_LINK"
_LINK = "_SOFT_LINK"
_FIELDS = "_COMPOUND_DTYPE"
_REFERENCE = "_REFERENCE"
_SPECIAL = frozenset({EXTERNAL, _LINK, _FIELDS, _REFERENCE, "_SCALAR", "_ARRAY_DIMENSIONS"})
_NUMBERS = {"NaN": nan, "Infinity": inf, "-Infinity": -inf}
_TYPE = re.compile(r"(?:[<>|=]?[iufSU][0-9]{1,6}|u?int(?:8|16|32|64)|float(?:16|32|64))")
_ID = "object_id"
_MAX_LINKS = 40
_MAX_DEPTH = 32

Peek: TypeAlias = "Callable[[ArrayDocument], Values | None]"
"""Gives the first chunk of an array of JSON values, decoded; None where nothing is stored."""

AttributesOf: TypeAlias = "Callable[[str], Attributes | None]"
"""Gives the attributes of the object at a path, as they are stored; None where there is none."""


@dataclass(frozen=True, slots=True)
class LindiConvention:
    """Arrays and groups as LINDI writes them, and those of other writers as they are.

    Parameters
    ----------
    policy : Policy
        Which files the values may be in: those of one document mean the same where it is the same.
    attributes_of : callable
        What objects say of themselves, for links and references to them.
    peek : callable
        Shows whether JSON values are text or references, which nothing else says.
    """

    policy: Policy
    attributes_of: AttributesOf = field(compare=False)
    peek: Peek = field(compare=False)

    def link(self, document: GroupDocument) -> Link | None:
        """Return the link that a group stands for; see `Convention.link`."""
        return _link(document.attributes)

    def group(self, document: GroupDocument) -> GroupMeaning:
        """Return a group; see `Convention.group`."""
        return GroupMeaning(self._shown(document.attributes))

    def array(self, document: ArrayDocument) -> ArrayMeaning:
        """Return an array; see `Convention.array`. The values of one with JSON values are looked at."""
        attributes = self._shown(document.attributes)
        shape = () if document.attributes.get("_SCALAR") is True and document.shape == (1,) else document.shape
        if _FIELDS in document.attributes and document.dtype.hasobject:
            element = compound(fields_of(document.attributes[_FIELDS]), np.dtype(object))
            return ArrayMeaning(element, shape, attributes, lambda stored: records(element, self._followed(stored)))
        if (
            document.dtype == np.dtype(object)
            and EXTERNAL not in document.attributes
            and self._has_references(document)
        ):
            return ArrayMeaning(REFERENCE, shape, attributes, lambda stored: references(self._followed(stored)))
        element = element_of(document.dtype)
        return ArrayMeaning(element, shape, attributes, lambda stored: plain_values(element, stored))

    def _has_references(self, document: ArrayDocument) -> bool:
        if 0 in document.shape:
            return False
        first = self.peek(document)
        return first is not None and any(isinstance(one, dict) for one in first.reshape(-1).tolist()[:1])

    def _shown(self, attributes: Attributes) -> Mapping[str, AttributeValue]:
        found = {
            name: attribute_value(with_numbers(value), self._attribute)
            for name, value in attributes.items()
            if name not in _SPECIAL
        }
        return MappingProxyType(found)

    def _attribute(self, value: Mapping[str, Json]) -> AttributeValue:
        return Reference(self.target(value[_REFERENCE])) if _REFERENCE in value else str(dict(value))

    def _followed(self, stored: Values) -> Values:
        """Return JSON values with each reference as the path that it leads to."""
        out = np.empty(stored.size, object)
        for at, value in enumerate(stored.reshape(-1).tolist()):
            out[at] = [self._path(one) for one in value] if isinstance(value, (list, tuple)) else self._path(value)
        return out.reshape(stored.shape)

    def _path(self, value: Json) -> Json:
        return self.target(value[_REFERENCE]) if isinstance(value, dict) and _REFERENCE in value else value

    def target(self, reference: Json) -> str | None:
        """Return the path that a reference leads to, links followed; None if nothing is there.

        Raises
        ------
        MalformedFileError
            If its ids are not those of the file and of the object.
        UnsupportedLayoutError
            If it leads into another file.
        """
        found = checks.mapping(reference, "a reference")
        path = found.get("path")
        if path is None:
            return None
        source = found.get("source", ".")
        if source not in (".", "", None):
            raise UnsupportedLayoutError(f"a reference leads into another file, {str(source)[:200]!r}")
        self._check(found.get("source_object_id"), "/", "the file")
        real = self._real(checks.name(path, "the path of a reference"))
        if real is not None:
            self._check(found.get(_ID), real, real)
        return real

    def _check(self, expected: Json, path: str, what: str) -> None:
        actual = (self.attributes_of(path) or {}).get(_ID)
        if expected is not None and expected != actual:
            message = f"damaged: a reference is to an object with the id {str(expected)[:60]!r}"
            raise MalformedFileError(f"{message}, and that of {what} is {str(actual)[:60]!r}")

    def _real(self, path: str) -> str | None:
        """Return the path of the document that a path leads to; None if there is none."""
        left = _parts(path)[::-1]
        here = ""
        n_links = 0
        while left:
            here += f"/{left.pop()}"
            attributes = self.attributes_of(here)
            if attributes is None:
                return None
            link = _link(attributes)
            if link is None:
                continue
            n_links += 1
            if n_links > _MAX_LINKS:
                return None
            left.extend(_parts(link.target)[::-1])
            here = "" if link.target.startswith("/") else here.rpartition("/")[0]
        return here or "/"


def _link(attributes: Attributes) -> Link | None:
    found = attributes.get(_LINK)
    if found is None:
        return None
    return Link(checks.name(checks.mapping(found, _LINK).get("path"), "the target of a link"))


def fields_of(value: Json) -> list[tuple[str, ElementType]]:
    """Return the fields of records, as ``_COMPOUND_DTYPE`` lists them.

    Raises
    ------
    MalformedFileError
        If it is no list of names and types.
    UnsupportedLayoutError
        If a type is not read.
    """
    found: list[tuple[str, ElementType]] = []
    for one in checks.sequence(value, _FIELDS):
        if not isinstance(one, list) or len(one) != 2:  # noqa: PLR2004  # name and type
            raise MalformedFileError(f"damaged: {_FIELDS} is no list of names and types")
        name, kind = (checks.name(part, f"a part of {_FIELDS}") for part in one)
        found.append((name, _element(kind)))
    if not found or len({name for name, _ in found}) != len(found):
        raise MalformedFileError(f"damaged: {_FIELDS} has no fields, or one of them twice")
    return found


def _element(kind: str) -> ElementType:
    if kind == "<REFERENCE>":
        return REFERENCE
    if kind == "bool":
        return BOOLEAN
    if kind == "object":
        return element_of(np.dtype(object))
    if not _TYPE.fullmatch(kind):
        raise UnsupportedLayoutError(f"its records have a field of type {kind[:60]!r}, which is not read")
    try:
        return element_of(np.dtype(kind))
    except (TypeError, ValueError):
        raise MalformedFileError(f"damaged: its records have a field of type {kind[:60]!r}") from None


def with_numbers(value: Json, depth: int = 0) -> Json:
    """Return an attribute with the texts that stand for numbers as such (``nan_inf_ninf.py`` of LINDI)."""
    if isinstance(value, list) and depth < _MAX_DEPTH:
        return [with_numbers(one, depth + 1) for one in value]
    return _NUMBERS.get(value, value) if isinstance(value, str) else value


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
