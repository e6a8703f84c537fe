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
    """The version id, ETag, or ``"<mtime_ns>:<inode>:<ctime_ns>"`` (local) or Last-Modified text (HTTP)."""
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
    address: int | None = field(default=None, compare=False, repr=False)
    """The object header that it points to, if its path has not been looked up yet."""


Scalar: TypeAlias = str | bytes | int | float | bool | complex | Reference | None
AttributeValue: TypeAlias = "Scalar | tuple[AttributeValue, ...] | npt.NDArray[np.generic]"
"""A scalar; a tuple for 1-d text or references; a numpy array for numbers of one or more dimensions, and without a
dimension for a floating point number that is not of double precision."""

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
    """Element of a variable-length sequence or of a fixed-shape array; of sequences of references, which are
    ``"unsupported"``, too."""
    shape: tuple[int, ...] = ()
    """Shape of a fixed-shape array type."""
    reason: str = ""
    """Why an ``"unsupported"`` type is not read."""
    size: int = field(default=0, compare=False)
    """Bytes of one element in the file: 16 for text of variable length (a global heap ID), 8 for a reference."""
    offsets: tuple[int, ...] = field(default=(), compare=False)
    """First byte of each of `fields` within an element."""
    padding: Literal["null", "terminated", "space"] = field(default="null", compare=False)
    """How fixed-length text is filled up."""
    exact: bool = field(default=True, compare=False)
    """Whether the bytes in the file are those of `dtype`; False for integers of odd precision or floats of an odd
    format, which need converting. Of text it says nothing: see `padding`."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One step of a chunk's pipeline, in the order of writing."""

    id: int
    """Registered HDF5 filter number: 1 gzip, 2 shuffle, 3 fletcher32, 32000 lzf, 32001 blosc ..."""
    options: tuple[int, ...]
    name: str = ""


ChunkIndexKind = Literal["btree1", "single", "implicit", "fixed", "extensible", "btree2"]


@dataclass(frozen=True, slots=True)
class ChunkIndex:
    """Where a file keeps the addresses of a dataset's chunks (HDF5 file format, *Data Layout Message*)."""

    kind: ChunkIndexKind
    address: int | None
    """As stored: counts from the superblock. None where no chunk was ever written."""
    unlimited: tuple[bool, ...]
    """Which dimensions may grow without bound: an extensible array numbers its chunks by them."""
    maxshape: tuple[int | None, ...]
    """Largest shape; None for a dimension without bound. A fixed array numbers its chunks by it."""
    single_bytes: int | None = None
    """Stored bytes of the only chunk, if it is filtered; None for the other kinds."""
    single_mask: int = 0
    """Filters that were skipped for the only chunk."""
    unfiltered_edges: bool = False
    """Whether chunks that reach past the shape are stored without filters (layout version 4, flag 0)."""


@dataclass(frozen=True, slots=True)
class ChunkManifest:
    """Where chunks of a dataset are; four arrays of one length, by increasing number.

    The number of a chunk counts the chunks that cover the shape in row-major order, the last dimension fastest.
    """

    numbers: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    """First byte in the file, user block included."""
    sizes: npt.NDArray[np.int64]
    """Stored bytes."""
    masks: npt.NDArray[np.uint32]
    """Bit i is set where filter i was skipped."""


Routes: TypeAlias = "tuple[tuple[str, str], ...]"
"""Paths in one file, each with the path in another under which what is there is found; the first that fits counts."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where a dataset is that a link leads to in another file."""

    url: Url
    """That file."""
    path: FilePath
    """Of the dataset in it."""
    routes: tuple[Routes, ...]
    """How paths in that file become paths in the one that was asked, step by step."""


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """Where the stored bytes of a dataset are, chunk by chunk; data that are not chunked are one chunk."""

    manifest: ChunkManifest
    """Chunks that are ranges of files. Those that are neither here nor in `inline` were never written."""
    urls: tuple[Url, ...]
    """The files that they are in, complete with what may be secret."""
    files: npt.NDArray[np.int64] | None = None
    """Which of `urls` each chunk is in; None where all are in the first."""
    inline: Mapping[int, bytes] = field(default_factory=lambda: MappingProxyType({}))
    """Stored bytes of chunks that are no range of a file, by number: compact data."""


@dataclass(frozen=True, slots=True)
class ZarrForm:
    """How Zarr version 2 would say how the chunks of an array are stored."""

    chunks: tuple[int, ...]
    order: Literal["C", "F"]
    """Of the elements of a chunk."""
    byte_order: Literal["<", ">", "|"]
    codecs: tuple[Mapping[str, object], ...]
    """Of numcodecs, in the order of writing: ``id`` and options."""


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
    """Bytes of storage after compression, as far as they are known without reading a chunk index."""
    chunk_index: ChunkIndex | None = None
    """Of chunked data; None where only h5py can say where the chunks are."""
    inline: bytes | None = None
    """The bytes of compact data."""
    fill: bytes | None = None
    """One element as stored, which stands where nothing was written; None for zeros."""
    home: Home | None = None
    """If the dataset is in another file; addresses are of that file then."""


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
    same: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Paths by which hard links lead to a group that stands under another path, which follows. Of a whole tree only."""

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
