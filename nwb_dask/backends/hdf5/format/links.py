"""The links of a group, however it stores them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import attrgetter

from nwb_dask.backends.hdf5.format import btree2
from nwb_dask.backends.hdf5.format.fractal_heap import read_fractal_heap
from nwb_dask.backends.hdf5.format.object_header import LINK, LINK_INFO, SYMBOL_TABLE, Message
from nwb_dask.backends.hdf5.format.space import AddressSpace, number
from nwb_dask.backends.hdf5.format.stored_link import StoredLink, SymbolTable
from nwb_dask.backends.hdf5.format.symbol_table import both, read_symbol_table
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError

_BY_NAME = 5
"""Records of the index by name: hash of the name, identifier in the heap."""
_HASH_BYTES = 4
_SHARED = 2
_HARD, _SOFT, _EXTERNAL = 0, 1, 64


def read_links(space: AddressSpace, messages: Sequence[Message]) -> tuple[StoredLink, ...]:
    """Return the links of the group with these messages: by order of creation if each has one, else by name.

    Raises
    ------
    MalformedFileError
        If a link, or the structure that holds them, is damaged.
    UnsupportedLayoutError
        If a version of them is not known.
    """
    found: dict[int, list[Message]] = {LINK_INFO: [], LINK: [], SYMBOL_TABLE: []}
    for message in messages:
        if message.type in found:
            found[message.type].append(message)
            if message.flags & _SHARED:
                raise UnsupportedLayoutError("links that several objects share")
    # As libhdf5: what the link info says comes before all else, and the order of a tree is not questioned.
    dense = [_find_dense(space, message.body) for message in found[LINK_INFO][:1]]
    if found[SYMBOL_TABLE] and not dense:
        return read_table(space, find_table(space, found[SYMBOL_TABLE][0].body))
    if dense and dense[0] is not None:
        links = _read_dense(space, *dense[0])
    else:
        links = [parse_link(space, message.body) for message in found[LINK]]
    links.sort(key=attrgetter("name"))
    if all(link.order is not None for link in links):
        links.sort(key=attrgetter("order"))
    return tuple(links)


def find_table(space: AddressSpace, body: memoryview) -> SymbolTable:
    """Return where a group's members are (HDF5 file format, *Symbol Table Message*)."""
    tree, heap = space.offset(body, 0), space.offset(body, space.offset_bytes)
    if tree is None or heap is None:
        raise MalformedFileError("damaged: a group does not say where its members are")
    return SymbolTable(tree, heap)


def read_table(space: AddressSpace, table: SymbolTable) -> tuple[StoredLink, ...]:
    """Return the links of a group of the older kind, by name; raises as `read_links`."""
    return read_symbol_table(space, table)


def parse_link(space: AddressSpace, body: memoryview) -> StoredLink:
    """Return the link in a message (HDF5 file format, *Link Message*).

    Raises
    ------
    MalformedFileError
        If the message is damaged.
    UnsupportedLayoutError
        If it is of an unknown version.
    """
    if number(body, 0, 1) != 1:
        raise UnsupportedLayoutError(f"a link of version {body[0]}")
    flags, at = number(body, 1, 1), 2
    kind, order = _HARD, None
    if flags & 8:
        kind, at = number(body, at, 1), at + 1
    if flags & 4:
        order, at = number(body, at, 8), at + 8
    if flags & 16:
        # Names are bytes here, whatever their character set.
        at += 1
    length_bytes = 1 << (flags & 3)
    length, at = number(body, at, length_bytes), at + length_bytes
    name, at = bytes(body[at : at + length]), at + length
    if not name or len(name) != length or 0 in name:
        raise MalformedFileError("damaged: a link has no name, or not all of it")
    if kind == _HARD:
        return StoredLink(name, "hard", space.offset(body, at), order=order)
    if _SOFT < kind < _EXTERNAL:
        raise MalformedFileError(f"damaged: a link is of kind {kind}")
    length, at = number(body, at, 2), at + 2
    value = bytes(body[at : at + length])
    if len(value) != length:
        raise MalformedFileError("damaged: a link ends before what it names")
    if kind == _SOFT:
        return StoredLink(name, "soft", target=value.partition(b"\0")[0], order=order)
    if kind == _EXTERNAL:
        filename, target = _external(value)
        return StoredLink(name, "external", target=target, filename=filename, order=order)
    return StoredLink(name, "user", target=value, order=order)


def _external(value: bytes) -> tuple[bytes, bytes]:
    """Return file and path (HDF5 file format, *Link Message*, External Link)."""
    if value[:1] != b"\0":
        raise UnsupportedLayoutError("an external link of an unknown version")
    parts = value[1:].split(b"\0")
    if len(parts) < 3 or not parts[0]:  # noqa: PLR2004  # both texts are ended by a zero, and nothing comes after
        raise MalformedFileError("damaged: an external link does not name a file and a path")
    return parts[0], parts[1]


def _find_dense(space: AddressSpace, body: memoryview) -> tuple[int, int] | None:
    """Return heap and index of the links that are not in the header (HDF5 file format, *Link Info Message*)."""
    if number(body, 0, 1):
        raise UnsupportedLayoutError(f"link info of version {body[0]}")
    at = 2 + (8 if number(body, 1, 1) & 1 else 0)
    heap, tree = space.offset(body, at), space.offset(body, at + space.offset_bytes)
    if heap is not None and tree is None:
        raise MalformedFileError("damaged: links have a heap and no index")
    return None if heap is None or tree is None else (heap, tree)


def _read_dense(space: AddressSpace, heap_at: int, tree_at: int) -> list[StoredLink]:
    heap, found = both(partial(read_fractal_heap, space, heap_at), partial(btree2.walk, space, tree_at, {_BY_NAME}))
    return [parse_link(space, link) for link in heap.objects([record[_HASH_BYTES:] for record in found.each()])]
