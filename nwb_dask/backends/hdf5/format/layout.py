"""The messages that say how a dataset is stored: data layout, filter pipeline, fill value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Literal, TypeAlias

from nwb_dask.backends.hdf5.format.dataspace import Extent, read_dataspace
from nwb_dask.backends.hdf5.format.datatype import check_references, read_datatype
from nwb_dask.backends.hdf5.format.object_header import (
    DATASPACE,
    DATATYPE,
    EXTERNAL_FILES,
    FILL,
    FILTERS,
    LAYOUT,
    OLD_FILL,
    Message,
    find_body,
    get_body,
)
from nwb_dask.backends.hdf5.format.space import AddressSpace, number
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, AttributeValue, ChunkIndex, ChunkIndexKind, ElementType, FilePath, Filter

_VERSIONS = range(1, 6)
_CLASSED_VERSION, _INDEXED_VERSION = 3, 4
"""Versions of the layout message: the first that begins with the class, and with a choice of chunk indexes."""
_COMPACT, _CONTIGUOUS, _CHUNKED, _VIRTUAL = range(4)
_SINGLE = 1
_CHUNK_INDEXES: dict[int, tuple[ChunkIndexKind, int]] = {
    _SINGLE: ("single", 0),
    2: ("implicit", 0),
    3: ("fixed", 1),
    4: ("extensible", 5),
    5: ("btree2", 6),
}
"""Their kinds, and the bytes of their parameters, which the indexes say again."""
_UNFILTERED_EDGES, _FILTERED_SINGLE = 0x01, 0x02
_MAX_DIMENSION_BYTES = 8

_SAYING = frozenset({DATATYPE, DATASPACE, LAYOUT, FILTERS, FILL, OLD_FILL, EXTERNAL_FILES})
_KEPT_BYTES = 1024
"""Of messages whose meaning is remembered."""

_MAX_FILTERS = 32
_FIRST_NAMED_FILTER = 256
_FILL_NEVER = 1
_FILL_VERSIONS = range(1, 4)
_PACKED_FILL_VERSION = 3
_FILL_DEFINED = 0x20


@dataclass(frozen=True, slots=True)
class Storage:
    """How a dataset is stored; the fields are those of `index.ArrayEntry`."""

    layout: Literal["contiguous", "compact", "chunked", "external", "virtual"]
    offset: int | None = None
    stored_bytes: int = 0
    chunks: tuple[int, ...] | None = None
    filters: tuple[Filter, ...] = ()
    chunk_index: ChunkIndex | None = None
    inline: bytes | None = None
    fill: bytes | None = None


_Described: TypeAlias = "tuple[ElementType, tuple[int, ...] | None, Storage, bytes | None]"
"""Element, shape, storage and fill value."""


def describe_array(
    space: AddressSpace, messages: Sequence[Message], path: FilePath, attributes: Mapping[str, AttributeValue]
) -> ArrayEntry:
    """Return the entry of the dataset that has these messages.

    Raises
    ------
    MalformedFileError
        If a message is missing, damaged, or does not agree with the others.
    UnsupportedLayoutError
        If a message is of a later version.
    """
    said = tuple([message for message in messages if message.type in _SAYING])
    describe = _kept if sum([len(message.body) for message in said]) <= _KEPT_BYTES else _describe
    element, shape, storage, fill = describe(said, space.base, space.offset_bytes, space.length_bytes)
    return ArrayEntry(
        path,
        element,
        shape,
        storage.layout,
        attributes,
        storage.chunks,
        storage.filters,
        storage.offset,
        storage.stored_bytes,
        storage.chunk_index,
        storage.inline,
        fill,
    )


def _describe(messages: tuple[Message, ...], base: int, offset_bytes: int, length_bytes: int) -> _Described:
    """Return what messages say, which depends on their bytes only."""
    space = AddressSpace(_NoImage(), base, offset_bytes, length_bytes)
    element = read_datatype(find_body(messages, DATATYPE, what="datatype"))
    check_references(element, space.offset_bytes)
    extent = read_dataspace(find_body(messages, DATASPACE, what="dataspace"), space)
    storage = read_layout(messages, element, extent, space)
    fill = storage.fill
    if fill is None and storage.layout == "contiguous" and storage.offset is None:
        # Said in full, since it is all that there is.
        fill = bytes(element.size)
    return element, extent.shape, storage, fill


# As with object headers: the same in many files of one writer.
_kept = lru_cache(maxsize=2048)(_describe)


class _NoImage:
    """No bytes of a file: what describes a dataset is all in its messages."""

    size = 0

    def view(self, start: int, stop: int, *, once: bool = False) -> memoryview:  # noqa: ARG002  # as the others have it
        raise MalformedFileError(f"damaged: the description of a dataset leads to bytes {start} to {stop}")


def read_layout(messages: Sequence[Message], element: ElementType, extent: Extent, space: AddressSpace) -> Storage:
    """Return how the dataset that has these messages is stored.

    Parameters
    ----------
    messages : sequence of Message
        Of a dataset's object header.
    element : ElementType
        Its type; only the size counts.
    extent : Extent
        Its shape.
    space : AddressSpace
        Tells how wide addresses are, and where they count from.

    References
    ----------
    HDF5 File Format Specification, *Data Layout Message*, *Data Storage - Filter Pipeline Message*, *Data Storage -
    Fill Value Message*; version 5 of the layout is version 4 with other sizes inside the chunk indexes.
    """
    body = find_body(messages, LAYOUT, what="data layout")
    version = number(body, 0, 1)
    if version not in _VERSIONS:
        raise UnsupportedLayoutError(f"data layouts of version {version} are not read")
    fill = _fill(messages, element)
    kind = number(body, 1 if version >= _CLASSED_VERSION else 2, 1)
    n_bytes = prod(extent.shape) * element.size if extent.shape is not None else 0
    if kind == _CHUNKED:
        chunks, index = _chunks(body, version, element, extent, space)
        filters = _filters(get_body(messages, FILTERS))
        stored_bytes = 0 if index.address is None else _whole_chunks(extent, chunks) * element.size
        return Storage("chunked", None, stored_bytes, chunks, filters, index, None, fill)
    if kind == _CONTIGUOUS:
        layout = _contiguous(body, version, n_bytes, space)
        is_external = get_body(messages, EXTERNAL_FILES) is not None
        if is_external:
            return Storage("external", None, layout[1], fill=fill)
        return Storage("contiguous", layout[0], 0 if layout[0] is None else layout[1], fill=fill)
    if kind == _COMPACT:
        inline = _compact(body, version)
        if len(inline) != n_bytes:
            raise MalformedFileError(f"damaged: {n_bytes} bytes cannot be in {len(inline)} of an object's header")
        return Storage("compact", None, len(inline), inline=inline, fill=fill)
    if kind == _VIRTUAL and version >= _INDEXED_VERSION:
        return Storage("virtual", fill=fill)
    raise UnsupportedLayoutError(f"data layouts of class {kind} are not read")


def _contiguous(body: memoryview, version: int, n_bytes: int, space: AddressSpace) -> tuple[int | None, int]:
    """Return position in the file, None where nothing is allocated, and stored bytes."""
    if version < _CLASSED_VERSION:
        # The lengths that follow may be cut to 32 bits; libhdf5 goes by the dataspace.
        address, stored_bytes = space.offset(body, 8), n_bytes
    else:
        address, stored_bytes = space.offset(body, 2), space.length(body, 2 + space.offset_bytes)
    if address is None:
        return None, stored_bytes
    if not n_bytes:
        # libhdf5 allocates nothing for no element, and opens no dataset where it is otherwise.
        raise MalformedFileError("damaged: there are data, and a shape that holds none")
    if stored_bytes < n_bytes:
        raise MalformedFileError(f"damaged: {n_bytes} bytes of data are in {stored_bytes} of the file")
    return space.base + address, stored_bytes


def _compact(body: memoryview, version: int) -> bytes:
    if version < _CLASSED_VERSION:
        at, width = 8 + 4 * number(body, 1, 1), 4
    else:
        at, width = 2, 2
    n_bytes = number(body, at, width)
    data = bytes(body[at + width : at + width + n_bytes])
    if len(data) != n_bytes:
        raise MalformedFileError("damaged: compact data reach past the end of their message")
    return data


def _chunks(
    body: memoryview, version: int, element: ElementType, extent: Extent, space: AddressSpace
) -> tuple[tuple[int, ...], ChunkIndex]:
    """Return the shape of chunks, and where their addresses are."""
    unlimited = tuple([length is None for length in extent.maxshape])
    if version >= _INDEXED_VERSION:
        flags, rank, width = number(body, 2, 1), number(body, 3, 1), number(body, 4, 1)
        if not 0 < width <= _MAX_DIMENSION_BYTES:
            raise MalformedFileError(f"damaged: lengths of {width} bytes in a data layout")
        shape = _lengths(body, 5, rank, width)
        at = 5 + rank * width
        kind, address, single = _chosen_index(body, at, flags, space)
        index = ChunkIndex(
            kind, address, unlimited, extent.maxshape, *single, unfiltered_edges=bool(flags & _UNFILTERED_EDGES)
        )
    else:
        rank = number(body, 2 if version == _CLASSED_VERSION else 1, 1)
        at = 3 if version == _CLASSED_VERSION else 8
        index = ChunkIndex("btree1", space.offset(body, at), unlimited, extent.maxshape)
        shape = _lengths(body, at + space.offset_bytes, rank, 4)
    # The last length is that of an element.
    chunks = shape[:-1]
    if extent.shape is None or len(chunks) != len(extent.shape) or not chunks or 0 in chunks:
        raise MalformedFileError(f"damaged: chunks of {chunks} for a shape of {extent.shape}")
    if shape[-1] != element.size:
        raise MalformedFileError(f"damaged: elements of {element.size} bytes in chunks of elements of {shape[-1]}")
    return chunks, index


def _chosen_index(
    body: memoryview, at: int, flags: int, space: AddressSpace
) -> tuple[ChunkIndexKind, int | None, tuple[int | None, int]]:
    """Return kind and address of a chunk index, and the size and mask of an only chunk that is filtered."""
    number_of_kind = number(body, at, 1)
    if number_of_kind not in _CHUNK_INDEXES:
        raise UnsupportedLayoutError(f"chunk indexes of type {number_of_kind} are not read")
    kind, n_parameters = _CHUNK_INDEXES[number_of_kind]
    at += 1 + n_parameters
    single: tuple[int | None, int] = (None, 0)
    if number_of_kind == _SINGLE and flags & _FILTERED_SINGLE:
        single = space.length(body, at), number(body, at + space.length_bytes, 4)
        at += space.length_bytes + 4
    return kind, space.offset(body, at), single


def _lengths(body: memoryview, first: int, n: int, width: int) -> tuple[int, ...]:
    return tuple([number(body, first + i * width, width) for i in range(n)])


def _whole_chunks(extent: Extent, chunks: tuple[int, ...]) -> int:
    """Return the elements in all chunks that cover the shape."""
    counts = [-(-length // chunk) for length, chunk in zip(extent.shape or (), chunks, strict=True)]
    return prod(counts) * prod(chunks)


def _filters(body: memoryview | None) -> tuple[Filter, ...]:
    """Return the filters of a pipeline message, of version 1 or 2."""
    if body is None:
        return ()
    version, n_filters = number(body, 0, 1), number(body, 1, 1)
    if version not in (1, 2):
        raise UnsupportedLayoutError(f"filter pipelines of version {version} are not read")
    if n_filters > _MAX_FILTERS:
        raise MalformedFileError(f"damaged: a pipeline of {n_filters} filters")
    at = 8 if version == 1 else 2
    out = []
    for _ in range(n_filters):
        code = number(body, at, 2)
        at += 2
        name_bytes = 0
        if version == 1 or code >= _FIRST_NAMED_FILTER:
            name_bytes = number(body, at, 2)
            at += 2
        # Two bytes of flags come first.
        n_options = number(body, at + 2, 2)
        at += 4
        name = bytes(body[at : at + name_bytes]).partition(b"\0")[0].decode("utf-8", "replace")
        at += -(-name_bytes // 8) * 8 if version == 1 else name_bytes
        out.append(Filter(code, _lengths(body, at, n_options, 4), name))
        at += 4 * (n_options + (n_options % 2 if version == 1 else 0))
    return tuple(out)


def _fill(messages: Sequence[Message], element: ElementType) -> bytes | None:
    """Return one element that stands where nothing was written; None for zeros."""
    body = get_body(messages, FILL)
    if body is not None:
        fill = _stored_fill(body)
    else:
        body = get_body(messages, OLD_FILL)
        fill = b"" if body is None else _sized(body, 0)
    if not any(fill):
        return None
    if len(fill) != element.size:
        raise UnsupportedLayoutError(f"a fill value of {len(fill)} bytes for elements of {element.size} is not read")
    return fill


def _stored_fill(body: memoryview) -> bytes:
    version = number(body, 0, 1)
    if version not in _FILL_VERSIONS:
        raise UnsupportedLayoutError(f"fill values of version {version} are not read")
    if version == _PACKED_FILL_VERSION:
        flags = number(body, 1, 1)
        when, is_defined, at = flags >> 2 & 3, bool(flags & _FILL_DEFINED), 2
    else:
        when, is_defined, at = number(body, 2, 1), bool(number(body, 3, 1)), 4
    return _sized(body, at) if is_defined and when != _FILL_NEVER else b""


def _sized(body: memoryview, at: int) -> bytes:
    n_bytes = number(body, at, 4)
    fill = bytes(body[at + 4 : at + 4 + n_bytes])
    if len(fill) != n_bytes:
        raise MalformedFileError("damaged: a fill value reaches past the end of its message")
    return fill
