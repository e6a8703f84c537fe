"""The conventions of hdmf-zarr, for links, references, scalars and compounds: on Zarr v2 up to 0.13, on v3 since 0.14.

===================== ==================================== ============================================
what                  on v2                                on v3
===================== ==================================== ============================================
links                 ``zarr_link`` of their group         ``_LINKS`` of their group
type of an array      ``zarr_dtype``                       ``_DTYPE``
a scalar              of shape ``[1]``, type ``scalar``    of shape ``[]``
references            objects (a mapping, or pickled one)  text: the path
fields that are such  type ``object`` in a list of types   ``_REFERENCE_FIELDS``
one in an attribute   ``{"zarr_dtype", "value": {...}}``   ``{"_REFERENCE": {...}}``
===================== ==================================== ============================================

A store of another writer has none of these, and is read as it is.

References
----------
hdmf-zarr, *Storage Specification* (docs/source/storage.rst), and its ``backend.py`` of 0.2, 0.13 and 0.14.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from nwb_dask.backends.hdf5.types import native_dtype
from nwb_dask.backends.zarr import checks
from nwb_dask.backends.zarr.documents import ArrayDocument, Attributes, GroupDocument, Json
from nwb_dask.backends.zarr.meaning import (
    BOOLEAN,
    REFERENCE,
    TEXT,
    ArrayMeaning,
    GroupMeaning,
    Values,
    attribute_value,
    compound,
    element_of,
    plain_values,
    store_name,
    texts,
)
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import AttributeValue, ElementType, Link, Reference

_LINKS = ("_LINKS", "zarr_link")
_BOOKKEEPING = frozenset({*_LINKS, "zarr_dtype", "_DTYPE", "_REFERENCE_FIELDS", "_ARRAY_DIMENSIONS"})
_SPECIFICATIONS = ".specloc"
_HERE = ("", ".")
_REFERENCE_V2 = "object"
_REFERENCE_V3 = "object_reference"
_REGION = "region"
_NUMBERS = {
    "float": "float64",
    "int": "int64",
    **{name: name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
    **{name: name for name in ("float16", "float32", "float64")},
}


class HdmfConvention:
    """Arrays and groups as hdmf-zarr writes them, and those of other writers as they are."""

    def link(self, document: GroupDocument) -> Link | None:  # noqa: ARG002  # links stand in the group that they are in
        """Return None: no group stands for a link."""
        return None

    def group(self, document: GroupDocument) -> GroupMeaning:
        """Return a group; see `Convention.group`."""
        links: dict[str, Link] = {}
        for key in _LINKS:
            for one in checks.sequence(document.attributes.get(key, []), f"its attribute {key}"):
                name, link = _link(one)
                links.setdefault(name, link)
        return GroupMeaning(attributes_of(document.attributes), MappingProxyType(links))

    def array(self, document: ArrayDocument) -> ArrayMeaning:
        """Return an array; see `Convention.array`."""
        attributes = attributes_of(document.attributes)
        declared = document.attributes.get("zarr_dtype", document.attributes.get("_DTYPE"))
        shape = document.shape
        if declared == "scalar" and shape == (1,):
            shape = ()
        fields = document.attributes.get("_REFERENCE_FIELDS")
        if isinstance(declared, list) or fields is not None:
            element = _compound(document, declared, fields)
            return ArrayMeaning(element, shape, attributes, lambda stored: records(element, stored))
        if declared in (_REFERENCE_V2, _REFERENCE_V3) and document.dtype.kind in "OU":
            return ArrayMeaning(REFERENCE, shape, attributes, references)
        if declared == _REGION:
            raise UnsupportedLayoutError("references to regions are not read from Zarr stores")
        element = element_of(document.dtype)
        return ArrayMeaning(element, shape, attributes, lambda stored: plain_values(element, stored))


def attributes_of(attributes: Attributes) -> Mapping[str, AttributeValue]:
    """Return the attributes that are shown, with references as such; what cannot be understood is left as text."""
    shown = {key: attribute_value(value, _object) for key, value in attributes.items() if key not in _BOOKKEEPING}
    location = shown.get(_SPECIFICATIONS)
    if isinstance(location, str):
        shown[_SPECIFICATIONS] = Reference(f"/{location.strip('/')}")
    return MappingProxyType(shown)


def _object(value: Mapping[str, Json]) -> AttributeValue:
    """Return what a JSON object in an attribute means."""
    if isinstance(value.get("_REFERENCE"), dict):
        return Reference(target_of(value["_REFERENCE"]))
    if "zarr_dtype" in value and isinstance(value.get("value"), dict):
        if value["zarr_dtype"] != _REFERENCE_V2:
            return Reference(None)
        return Reference(target_of(value["value"]))
    return str(dict(value))


def target_of(value: Json) -> str | None:
    """Return the absolute path that a reference leads to, in another store behind its `store_name`; None if nowhere.

    Parameters
    ----------
    value : JSON
        A mapping with ``source`` and ``path``, or the path alone.

    Raises
    ------
    MalformedFileError
        If it is neither.
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if isinstance(value, str):
        return f"/{value.strip('/')}" if value else None
    if value is None or (isinstance(value, int) and not value):
        return None
    found = checks.mapping(value, "a reference")
    if isinstance(found.get("_REFERENCE"), dict):
        found = found["_REFERENCE"]
    if found.get("path") is None:
        return None
    path = f"/{checks.name(found['path'], 'the path of a reference').strip('/')}"
    source = found.get("source", ".")
    if source is None or source in _HERE:
        return path
    named = checks.name(source, "the store of a reference")
    # A query string may be secret, and paths are shown.
    return None if "?" in named else f"/{store_name(named)}{path}"


def _link(value: Json) -> tuple[str, Link]:
    found = checks.mapping(value, "a link")
    name = checks.name(found.get("name"), "the name of a link")
    if not name or not checks.is_sound_path(name) or "/" in name:
        raise MalformedFileError("damaged: a link has a name that leads elsewhere")
    target = f"/{checks.name(found.get('path'), 'the target of a link').strip('/')}"
    source = found.get("source", ".")
    if source is None or source in _HERE:
        return name, Link(target)
    return name, Link(target, checks.name(source, "the file of a link"))


def references(stored: Values) -> Values:
    """Return references as `File.read` gives them: absolute paths, None for those that lead nowhere."""
    out = np.empty(stored.size, object)
    out[:] = [target_of(one) for one in stored.reshape(-1).tolist()]
    return out.reshape(stored.shape)


def _compound(document: ArrayDocument, declared: Json, fields: Json) -> ElementType:
    """Return the type of records: by the fields of the data type, or as the attribute lists them for objects."""
    dtype = document.dtype
    if dtype.names is None:
        if dtype.kind != "O":
            raise MalformedFileError(f"damaged: records are declared and {dtype} is stored")
        listed = [_declared_field(one) for one in checks.sequence(declared, "its attribute zarr_dtype")]
        return compound(listed, np.dtype(object))
    marked = set(checks.sequence(fields or [], "its attribute _REFERENCE_FIELDS"))
    if isinstance(declared, list):
        marked |= {one.get("name") for one in declared if isinstance(one, dict) and _is_reference(one.get("dtype"))}
    inner: list[tuple[str, ElementType]] = []
    for name in dtype.names:
        is_marked = name in marked and dtype[name].kind in "OU"
        inner.append((name, REFERENCE if is_marked else element_of(dtype[name])))
    return compound(inner, dtype)


def _is_reference(value: Json) -> bool:
    return value in (_REFERENCE_V2, _REFERENCE_V3) or (isinstance(value, dict) and value.get("reftype") == "object")


def _declared_field(value: Json) -> tuple[str, ElementType]:
    found = checks.mapping(value, "a field of its type")
    name, kind = checks.name(found.get("name"), "the name of a field"), found.get("dtype")
    if _is_reference(kind):
        return name, REFERENCE
    if kind in ("bool", "bool_"):
        return name, BOOLEAN
    if isinstance(kind, str) and kind in _NUMBERS:
        return name, element_of(np.dtype(_NUMBERS[kind]))
    return name, TEXT


def records(element: ElementType, stored: Values) -> Values:
    """Return records of which fields are references, or that are stored as objects: lists of their fields."""
    out = np.empty(stored.shape, native_dtype(element))
    for number, (name, one) in enumerate(element.fields):
        part: Values = stored[name] if stored.dtype.names else _column(stored, number, len(element.fields))
        out[name] = _field(one, part)
    return out


def _column(stored: Values, number: int, n_fields: int) -> Values:
    out = np.empty(stored.size, object)
    for at, record in enumerate(stored.reshape(-1).tolist()):
        if not isinstance(record, (list, tuple)) or len(record) != n_fields:
            raise MalformedFileError(f"damaged: it holds something else than records of {n_fields} fields")
        out[at] = record[number]
    return out.reshape(stored.shape)


def _field(element: ElementType, part: Values) -> Values:
    if element.kind == "reference":
        return references(part)
    if element.kind == "string" and element.dtype is None:
        return texts(part)
    if part.dtype.kind != "O":
        return plain_values(element, part)
    try:
        return part.astype(native_dtype(element))
    except (TypeError, ValueError, OverflowError) as exc:
        raise MalformedFileError(f"damaged: a field of records holds no {element.kind}: {exc}") from exc
