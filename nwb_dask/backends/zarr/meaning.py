"""What documents mean in terms of `index`, and what a writer's convention has to say of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.types import native_dtype
from nwb_dask.backends.zarr.documents import ArrayDocument, GroupDocument, Json
from nwb_dask.errors import MalformedFileError
from nwb_dask.index import AttributeValue, ElementType, Link

Values: TypeAlias = "npt.NDArray[Any]"

ToValues: TypeAlias = "Callable[[Values], Values]"
"""From elements as the codecs give them to what `File.read` returns, of the same shape."""

_KINDS = {"i": "int", "u": "uint", "f": "float", "c": "complex", "V": "bytes"}
_BOOLEAN = (("FALSE", 0), ("TRUE", 1))
_MAX_NESTING = 32

TEXT = ElementType("string", size=16)
REFERENCE = ElementType("reference", size=8)
BOOLEAN = ElementType("bool", np.dtype(np.int8), _BOOLEAN, size=1)


_STORE = re.compile("<store (.+)>")


def store_name(source: str) -> str:
    """Return the name that stands, at the root of a store, for the root of another one."""
    return f"<store {quote(source, safe='')}>"


def source_of(name: str) -> str | None:
    """Return the store that a name of `store_name` stands for; None for any other name."""
    found = _STORE.fullmatch(name)
    return None if found is None else unquote(found[1])


@dataclass(frozen=True, slots=True)
class GroupMeaning:
    """What a group is to the layers above."""

    attributes: Mapping[str, AttributeValue]
    """Without those that only keep the books of the writer."""
    links: Mapping[str, Link] = field(default_factory=lambda: MappingProxyType({}))
    """Members of it that are links, by name."""


@dataclass(frozen=True, slots=True)
class ArrayMeaning:
    """What an array is to the layers above."""

    element: ElementType
    shape: tuple[int, ...]
    """() for a scalar, however it is stored."""
    attributes: Mapping[str, AttributeValue]
    values: ToValues


class Convention(Protocol):
    """How a writer puts into Zarr what it has no words for: links, references, scalars, compounds."""

    def link(self, document: GroupDocument) -> Link | None:
        """Return the link that a group stands for; None if it is one."""

    def group(self, document: GroupDocument) -> GroupMeaning:
        """Return what a group is.

        Raises
        ------
        NWBDaskError
            If its attributes say what cannot be; it is noted as a problem of this group.
        """

    def array(self, document: ArrayDocument) -> ArrayMeaning:
        """Return what an array is; raises as `group`. It opens nothing."""


def element_of(dtype: np.dtype[Any]) -> ElementType:
    """Return the type of elements of a numpy type; objects are taken for text, and so is text of fixed width.

    Raises
    ------
    MalformedFileError
        If there is no such element.
    """
    if dtype.names is not None:
        return compound([(name, element_of(dtype[name])) for name in dtype.names], dtype)
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return ElementType("array", dtype, base=element_of(base), shape=shape, size=dtype.itemsize)
    if dtype.kind in "OU":
        return TEXT
    if dtype.kind == "b":
        return BOOLEAN
    if dtype.kind == "S":
        return ElementType("string", dtype, size=dtype.itemsize)
    kind = _KINDS.get(dtype.kind)
    if kind is None:
        raise MalformedFileError(f"damaged: its elements are {dtype}")
    return ElementType(kind, dtype, size=dtype.itemsize)  # type: ignore[arg-type]  # one of the values of _KINDS


def compound(fields: list[tuple[str, ElementType]], dtype: np.dtype[Any]) -> ElementType:
    """Return the type of records with these fields; `dtype` is how they are stored, as far as numpy knows it."""
    plain = dtype if all(one.dtype is not None for _, one in fields) and not dtype.hasobject else None
    return ElementType("compound", plain, fields=tuple(fields), size=max(dtype.itemsize, 1))


def texts(stored: Values) -> Values:
    """Return text as `File.read` gives it: `bytes`, in UTF-8.

    Raises
    ------
    MalformedFileError
        If an element is something else.
    """
    out = np.empty(stored.size, object)
    out[:] = [_encoded(one) for one in stored.reshape(-1).tolist()]
    return out.reshape(stored.shape)


def _encoded(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if value is None or (isinstance(value, int) and not value):
        # The fill value of arrays of objects: zero, or none.
        return b""
    raise MalformedFileError(f"damaged: it holds a {type(value).__name__} where text should be")


def plain_values(element: ElementType, stored: Values) -> Values:
    """Return elements as `File.read` gives them, where no writer's convention is needed to know how."""
    if element.kind == "compound":
        out = np.empty(stored.shape, native_dtype(element))
        for name, one in element.fields:
            out[name] = plain_values(one, stored[name])
        return out
    if element.kind == "string" and element.dtype is None:
        return texts(stored)
    if element.kind == "bool":
        return stored if stored.dtype.kind == "b" else np.not_equal(stored, 0)
    return stored if stored.dtype.isnative else stored.astype(stored.dtype.newbyteorder("="))


def attribute_value(value: Json, reference: Callable[[Mapping[str, Json]], AttributeValue], depth: int = 0) -> Json:
    """Return an attribute as `AttributeValue`: numbers in lists as an array, other lists as tuples.

    Parameters
    ----------
    value : JSON
        As it stands in the document.
    reference : callable
        What a JSON object means; may raise.

    Raises
    ------
    MalformedFileError
        If lists are nested too deep.
    """
    if depth > _MAX_NESTING:
        raise MalformedFileError("damaged: an attribute is nested too deep")
    if isinstance(value, dict):
        return reference(value)
    if not isinstance(value, list):
        return value
    if value and all(isinstance(one, (bool, int, float)) for one in value):
        numbers = np.array(value)
        return numbers if numbers.dtype != object else tuple(value)
    inner = [attribute_value(one, reference, depth + 1) for one in value]
    if inner and all(isinstance(one, np.ndarray) and one.shape == inner[0].shape for one in inner):
        return np.array(inner)
    return tuple(inner)
