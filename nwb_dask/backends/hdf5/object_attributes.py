"""Attributes of an object, by the own parser."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from nwb_dask.backends.hdf5.format.attribute import Address, attribute_name, attribute_value, parse_attribute
from nwb_dask.backends.hdf5.format.dense_attributes import read_dense
from nwb_dask.backends.hdf5.format.global_heap import GlobalHeap
from nwb_dask.backends.hdf5.format.object_header import ATTRIBUTE, ATTRIBUTE_INFO, Message
from nwb_dask.backends.hdf5.format.space import AddressSpace, Need
from nwb_dask.errors import (
    MalformedFileError,
    NWBDaskError,
    SourceChangedError,
    SourceUnavailableError,
    UnsupportedLayoutError,
)
from nwb_dask.index import ArrayEntry, AttributeValue, Reference, join

PARSER_ERRORS = (NWBDaskError, ValueError, LookupError, TypeError, ArithmeticError, MemoryError, RecursionError)
"""What the parser raises about an object that is damaged or that it does not cover."""

STORAGE_ERRORS = (SourceChangedError, SourceUnavailableError)
"""What no other reader of the same file could do better."""


def as_damage(exc: BaseException) -> NWBDaskError:
    """Return an error of the parser as one of ours: what it stumbles over is damage."""
    return exc if isinstance(exc, NWBDaskError) else MalformedFileError(f"damaged: {str(exc) or type(exc).__name__}")


def read_attributes(
    space: AddressSpace,
    heap: Callable[[], GlobalHeap],
    messages: tuple[Message, ...],
    names: Collection[str] | None,
) -> tuple[Mapping[str, AttributeValue], Mapping[str, str]]:
    """Return the values of an object's attributes by name, and why some could not be read.

    References are not followed: they hold the address of their target. An attribute that is not among `names` is
    there with the value None.

    Parameters
    ----------
    space : AddressSpace
        The file.
    heap : callable
        Gives the heap of text, when it is first needed.
    messages : tuple of Message
        Of the object.
    names : collection of str or None
        Attributes to read; None for all.

    Raises
    ------
    Need
        If bytes are not here.
    MalformedFileError, UnsupportedLayoutError
        If not even the names can be told.
    """
    kinds = [message.type for message in messages]
    bodies = [message.body for message in messages if message.type == ATTRIBUTE] if ATTRIBUTE in kinds else []
    if ATTRIBUTE_INFO in kinds:
        bodies += read_dense(space, messages)
    values: dict[str, AttributeValue] = {}
    failed: dict[str, str] = {}
    missing: list[tuple[int, int]] = []
    for body in bodies:
        try:
            name = attribute_name(body)
        except MalformedFileError as exc:
            failed[""] = exc.message
            continue
        if name in values or name in failed:
            values.pop(name, None)
            failed[name] = "damaged: there are several attributes of that name"
            continue
        if names is not None and name not in names:
            values[name] = None
            continue
        try:
            values[name] = _with_references(attribute_value(parse_attribute(body, space), heap()))
        except Need as need:
            missing.extend(need.ranges)
        except (*STORAGE_ERRORS, UnsupportedLayoutError):
            # What only h5py can convert makes the object one for h5py.
            raise
        except PARSER_ERRORS as exc:
            failed[name] = exc.message if isinstance(exc, NWBDaskError) else str(exc)
    if missing:
        raise Need(tuple(missing))
    return values, failed


def may_have_attribute(messages: tuple[Message, ...], name: str) -> bool:
    """Return whether an object may have an attribute: False is certain, and nothing is read to tell."""
    stored = name.encode()
    # The name begins at byte 8 or 9 (*Attribute Message*).
    head = slice(8, 9 + len(stored))
    return any(
        message.type == ATTRIBUTE_INFO or (message.type == ATTRIBUTE and stored in bytes(message.body[head]))
        for message in messages
    )


def names_by_address(hard: Mapping[str, int], soft: Mapping[str, int]) -> dict[int, str]:
    """Return the members of a group by address; of several the first, those that hard links lead to before others."""
    names: dict[int, str] = {}
    for name, address in (*hard.items(), *soft.items()):
        names.setdefault(address, name)
    return names


def with_near(entry: ArrayEntry, group: str, near: Mapping[int, str]) -> ArrayEntry:
    """Return a dataset whose references to members of the same group are paths.

    So a pointer and its target stay together when the group was reached through a soft link.
    """
    found = near_paths(entry.attributes, group, near)
    return entry if found is entry.attributes else replace(entry, attributes=found)


def has_references(values: Mapping[str, AttributeValue]) -> bool:
    """Return whether some attribute is a reference, for which `near_paths` may have a path."""
    return bool(values) and any(isinstance(value, Reference) for value in values.values())


def near_paths(
    values: Mapping[str, AttributeValue], group: str, near: Mapping[int, str]
) -> Mapping[str, AttributeValue]:
    """Return attributes with references to members of `group` as paths; the same mapping if there are none."""
    if not any(isinstance(value, Reference) and value.address in near for value in values.values()):
        return values
    return {
        key: Reference(join(group, near[value.address]))
        if isinstance(value, Reference) and value.address is not None and value.address in near
        else value
        for key, value in values.items()
    }


def _with_references(value: object) -> AttributeValue:
    """Return an attribute with addresses as references that have yet to be looked up."""
    if isinstance(value, Address):
        return Reference(None, value.address or None)
    if isinstance(value, tuple):
        return tuple([_with_references(item) for item in value])
    return value  # type: ignore[return-value]  # what attribute_value gives beside addresses
