"""Frozen values that describe a file: what is where, and of what type. Nothing here opens anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NewType, TypeAlias

import numpy as np
import numpy.typing as npt

Url = NewType("Url", str)
"""Where a file is: an absolute ``file://``, ``http(s)://`` or ``s3://`` URL, or an absolute local path."""

FilePath = NewType("FilePath", str)
"""Where an object is inside a file: absolute, ``/units/spike_times``."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which version of a file's bytes was seen."""

    kind: Literal["version", "etag", "mtime", "size"]
    """What `value` is: an object version, a strong ETag, a modification time, or nothing but the size."""
    value: str
    """The version id, ETag, or ``"<mtime_ns>:<inode>"`` (local) or Last-Modified text (HTTP)."""
    size: int
    """Length of the file in bytes."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file at one moment."""

    url: Url
    identity: Identity


@dataclass(frozen=True, slots=True)
class Reference:
    """An object reference, as the path of the object that it points to."""

    path: str | None
    """Absolute path inside the same file; None for a null or dangling reference."""


Scalar: TypeAlias = str | bytes | int | float | bool | complex | Reference | None
AttributeValue: TypeAlias = "Scalar | tuple[AttributeValue, ...] | npt.NDArray[np.generic]"
"""A scalar; a tuple for 1-d text or references; a numpy array for numbers of one or more dimensions."""

ElementKind = Literal[
    "int",
    "uint",
    "float",
    "complex",
    "bool",
    "enum",
    "string",
    "bytes",
    "reference",
    "region",
    "compound",
    "sequence",
    "array",
    "unsupported",
]


@dataclass(frozen=True, slots=True)
class ElementType:
    """The type of one element of an array, as stored."""

    kind: ElementKind
    dtype: np.dtype[np.generic] | None = None
    """Stored dtype, byte order included, of the kinds with a fixed size that numpy knows; else None.

    For ``"enum"`` and ``"bool"`` the integer that is stored; for fixed-length text ``S<n>``; for opaque
    bytes ``V<n>``; None for variable-length text and for references.
    """
    members: tuple[tuple[str, int], ...] = ()
    """Names and values of an enumeration, in stored order."""
    fields: tuple[tuple[str, ElementType], ...] = ()
    """Fields of a compound, in stored order."""
    base: ElementType | None = None
    """Element of a variable-length sequence or of a fixed-shape array."""
    shape: tuple[int, ...] = ()
    """Shape of a fixed-shape array type."""
    reason: str = ""
    """Why an ``"unsupported"`` type is not read."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One step of a chunk's pipeline, in the order of writing."""

    id: int
    """Registered HDF5 filter number: 1 gzip, 2 shuffle, 3 fletcher32, 32000 lzf, 32001 blosc ..."""
    options: tuple[int, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class ArrayEntry:
    """A dataset: what it holds and how it is stored, without the data."""

    path: FilePath
    element: ElementType
    shape: tuple[int, ...] | None
    """() for a scalar, None for the HDF5 null dataspace."""
    layout: Literal["contiguous", "compact", "chunked", "external", "virtual"]
    attributes: Mapping[str, AttributeValue] = field(default_factory=lambda: MappingProxyType({}))
    chunks: tuple[int, ...] | None = None
    filters: tuple[Filter, ...] = ()
    offset: int | None = None
    """First byte of contiguous data in the file, user block included; None where nothing is allocated."""
    stored_bytes: int = 0
    """Bytes of storage, after compression."""


@dataclass(frozen=True, slots=True)
class Link:
    """A soft or external link, as found in its group."""

    target: str
    """Path that the link names, as stored (may be relative to the group)."""
    filename: str | None = None
    """Other file of an external link."""


@dataclass(frozen=True, slots=True)
class GroupEntry:
    """A group: attributes and the names of its members."""

    path: FilePath
    attributes: Mapping[str, AttributeValue]
    members: tuple[str, ...]
    """Names of all members, sorted as the file iterates them, links included."""
    links: Mapping[str, Link] = field(default_factory=lambda: MappingProxyType({}))
    """Those members that are soft or external links."""
    unread: frozenset[str] = frozenset()
    """Attributes that the group has and whose values are not in `attributes`."""

    def has_attribute(self, name: str) -> bool:
        """Tell whether the group has an attribute of that name, its value read or not."""
        return name in self.attributes or name in self.unread


@dataclass(frozen=True, slots=True)
class FileIndex:
    """What is known of one file's tree; it may cover a part of the file only.

    A member reached through a soft link stands under the path of the link.
    """

    source: Source
    groups: Mapping[str, GroupEntry]
    arrays: Mapping[str, ArrayEntry]
    problems: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Path -> reason, for objects that could not be described."""

    def array(self, path: str) -> ArrayEntry | None:
        """Return the entry of the dataset at `path`, or None."""
        return self.arrays.get(path)

    def group(self, path: str) -> GroupEntry | None:
        """Return the entry of the group at `path`, or None."""
        return self.groups.get(path)


def join(parent: str, name: str) -> FilePath:
    """Return the path of member `name` of the group `parent`."""
    return FilePath(f"{parent.rstrip('/')}/{name}")


def basename(path: str) -> str:
    """Return the last part of a path; ``""`` for the root."""
    return path.rstrip("/").rpartition("/")[2]
