"""Attributes of one object with the types that they are stored in, which an `AttributeValue` does not tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.elements import addresses_in, decode, is_decodable
from nwb_dask.backends.hdf5.format.attribute import RawAttribute, parse_attribute
from nwb_dask.backends.hdf5.format.datatype import check_references
from nwb_dask.backends.hdf5.format.dense_attributes import read_dense
from nwb_dask.backends.hdf5.format.object_header import ATTRIBUTE, ATTRIBUTE_INFO
from nwb_dask.backends.hdf5.format.space import gather
from nwb_dask.backends.hdf5.lookup import Lookup
from nwb_dask.backends.hdf5.object_attributes import PARSER_ERRORS, STORAGE_ERRORS
from nwb_dask.backends.hdf5.pages import Pages
from nwb_dask.backends.hdf5.rounds import run
from nwb_dask.backends.hdf5.search import Search
from nwb_dask.index import ElementType

_Values = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class StoredAttribute:
    """An attribute as elements of a type, as a dataset has them."""

    element: ElementType
    values: npt.NDArray[np.generic] | None
    """Of the attribute's shape, each as `backends.File.read` gives it; None for the null dataspace."""


def stored_attributes(lookup: Lookup, pages: Pages, path: str) -> dict[str, StoredAttribute]:
    """Return the attributes of the object at `path` of which the type says more than the value.

    Left out are references and text of variable length, and those that the own parser cannot read.

    Parameters
    ----------
    lookup : Lookup
        The file.
    pages : Pages
        Its bytes.
    path : str
        Absolute, of a group or dataset.

    Raises
    ------
    NWBDaskError
        If the object cannot be had.
    """
    raw: dict[str, RawAttribute] = {}

    def describe() -> None:
        messages = lookup.messages(lookup.find(path).address)
        bodies = [message.body for message in messages if message.type == ATTRIBUTE]
        if any(message.type == ATTRIBUTE_INFO for message in messages):
            bodies += read_dense(lookup.space, messages)
        gather([_parsing(body, lookup, raw) for body in bodies])

    try:
        run([describe], pages)
    finally:
        lookup.forget_messages()
    out: dict[str, StoredAttribute] = {}
    for name, one in raw.items():
        try:
            element = replace(one.element, kind="sequence") if _is_list(one.element) else one.element
            out[name] = StoredAttribute(element, None if one.shape is None else _decoded(one, lookup, pages))
        except STORAGE_ERRORS:
            raise
        except PARSER_ERRORS:
            # The plain value, or why there is none, is all that can be said.
            continue
    return out


def _parsing(body: memoryview, lookup: Lookup, into: dict[str, RawAttribute]) -> Callable[[], None]:
    def parse() -> None:
        try:
            one = parse_attribute(body, lookup.space)
        except STORAGE_ERRORS:
            raise
        except PARSER_ERRORS:
            return
        if one.shape is None or _says_more(one.element):
            into[one.name] = one

    return parse


def _says_more(element: ElementType) -> bool:
    """Return whether the type of an attribute says what its value does not, and its elements can be had."""
    if element.kind == "reference" or (element.kind == "string" and element.dtype is None):
        return False
    return _is_list(element) or is_decodable(element)


def _is_list(element: ElementType) -> bool:
    """Return whether elements are lists; those of references are of no kind that datasets are read in."""
    is_one = element.kind in ("sequence", "unsupported")
    return is_one and element.base is not None and is_decodable(element.base)


def _decoded(raw: RawAttribute, lookup: Lookup, pages: Pages) -> _Values:
    element, shape = raw.element, raw.shape or ()
    if not _is_list(element) or element.base is None:
        return _elements(raw.data, element, shape, lookup, pages)
    base, items = element.base, list[bytes]()
    check_references(base, lookup.space.offset_bytes)

    def find_items() -> None:
        found = lookup.heap.items(raw.data, len(raw.data) // element.size, base.size)
        items[:] = [bytes(one or b"") for one in found]

    run([find_items], pages)
    counts = [len(one) // base.size for one in items]
    flat = _elements(b"".join(items), base, (sum(counts),), lookup, pages)
    out = np.empty(len(items), object)
    for at, part in enumerate(np.split(flat, np.cumsum(counts[:-1])) if items else ()):
        out[at] = part
    return out.reshape(shape)


def _elements(data: bytes, element: ElementType, shape: tuple[int, ...], lookup: Lookup, pages: Pages) -> _Values:
    dtype = np.dtype(f"V{element.size}") if element.dtype is None or element.kind == "compound" else element.dtype
    stored = np.frombuffer(data, dtype.base).reshape(shape + dtype.shape)
    Search(lookup, addresses_in(stored, element).tolist()).run(pages)
    out: list[_Values] = []
    run([lambda: out.append(decode(stored, element, lookup.heap, lookup.known.paths))], pages)
    return out[0]
