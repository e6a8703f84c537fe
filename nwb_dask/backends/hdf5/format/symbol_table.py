"""Groups of the older kind: a version 1 B-tree of symbol table nodes, with the names in a local heap."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache, lru_cache, partial
from typing import TypeVar, cast

from nwb_dask.backends.hdf5.format.local_heap import LocalHeap, read_local_heap
from nwb_dask.backends.hdf5.format.space import AddressSpace, gather, number
from nwb_dask.backends.hdf5.format.stored_link import StoredLink, SymbolTable
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError

A = TypeVar("A")
B = TypeVar("B")

_TREE, _NODE = b"TREE", b"SNOD"
_GROUP_NODES = 0
_LIKELY_TREE_BYTES = 544
"""A node of the B-tree with the 32 children that libhdf5 gives it by default."""
_LIKELY_NODE_BYTES = 328
"""A symbol table node with the 8 entries that libhdf5 gives it by default."""
_KEPT_BYTES = 4096
"""Of the nodes and names of a group whose members are remembered."""
_CODES = {2: "H", 4: "I", 8: "Q"}
CACHED_GROUP, _CACHED_SOFT_LINK = 1, 2


def both(first: Callable[[], A], second: Callable[[], B]) -> tuple[A, B]:
    """Return what both calls return; what they lack is fetched in one round."""
    return cast("tuple[A, B]", tuple(gather(cast("list[Callable[[], object]]", [first, second]))))


def read_symbol_table(space: AddressSpace, table: SymbolTable) -> tuple[StoredLink, ...]:
    """Return the members of a group in the order of the tree, which is by name.

    Nodes of one level of the tree are read together, and the heap meanwhile.

    Raises
    ------
    MalformedFileError
        If the tree, a node or the heap is damaged.
    """
    nodes, heap = both(partial(_read_nodes, space, table.tree), partial(read_local_heap, space, table.heap))
    stored = tuple([bytes(node) for node in nodes])
    is_small = sum(map(len, stored)) + len(heap.data) <= _KEPT_BYTES
    return (_kept if is_small else _members)(stored, heap, table, space.offset_bytes, space.length_bytes)


def _members(
    nodes: tuple[bytes, ...], heap: LocalHeap, table: SymbolTable, offset_bytes: int, length_bytes: int
) -> tuple[StoredLink, ...]:
    """Return the members in the nodes of a tree, which are named in its heap."""
    undefined = (1 << 8 * offset_bytes) - 1
    scratch_pad = struct.Struct("<" + 2 * _code(offset_bytes))
    members: list[StoredLink] = []
    layout = _entry_layout(length_bytes, offset_bytes)
    for node in nodes:
        for name_at, address, cached, scratch in layout.iter_unpack(node):
            name = heap.text(name_at)
            if not name:
                raise MalformedFileError(f"damaged: a link without a name is in the group of the tree at {table.tree}")
            if cached == _CACHED_SOFT_LINK:
                target = heap.text(int.from_bytes(scratch[:4], "little"))
                members.append(StoredLink(name, "soft", None, target))
                continue
            inside = None
            if cached == CACHED_GROUP:
                tree, names = scratch_pad.unpack_from(scratch)
                inside = SymbolTable(tree, names) if undefined not in (tree, names) else None
            members.append(StoredLink(name, "hard", None if address == undefined else address, table=inside))
    # libhdf5 looks names up by halving: what is out of order is there and not there.
    names = [member.name for member in members]
    if names != sorted(set(names)):
        raise MalformedFileError(f"damaged: names in the group of the tree at {table.tree} are not in order")
    return tuple(members)


# The groups that all files of one writer begin with often have the same bytes.
_kept = lru_cache(maxsize=512)(_members)


def _read_nodes(space: AddressSpace, address: int) -> list[memoryview]:
    """Return the entries of the symbol table nodes below a tree, in order."""
    seen = {address}
    level, children = _read_tree(space, address)
    while True:
        if len(set(children)) != len(children) or not seen.isdisjoint(children):
            raise MalformedFileError(f"damaged: nodes of the B-tree at {address} stand in it more than once")
        seen.update(children)
        if not level:
            return gather([partial(_read_node, space, child) for child in children])
        found = gather([partial(_read_tree, space, child) for child in children])
        level -= 1
        if any(below != level for below, _ in found):
            raise MalformedFileError(f"damaged: the B-tree at {address} has nodes on a wrong level")
        children = [child for _, inside in found for child in inside]


def _read_tree(space: AddressSpace, address: int) -> tuple[int, list[int]]:
    """Return the level and the children of a node (HDF5 file format, *Version 1 B-trees*)."""
    start = 8 + 2 * space.offset_bytes
    key_bytes, pair_bytes = space.length_bytes, space.length_bytes + space.offset_bytes
    node = _likely(space, address, start + key_bytes, _LIKELY_TREE_BYTES)
    if node[:4] != _TREE or node[4] != _GROUP_NODES:
        raise MalformedFileError(f"damaged: no B-tree of a group is at {address}")
    level, n_children = node[5], number(node, 6, 2)
    size = start + n_children * pair_bytes + key_bytes
    if size > len(node):
        node = space.read(address, size)
    children = [space.offset(node, start + key_bytes + i * pair_bytes) for i in range(n_children)]
    known = [child for child in children if child is not None]
    if len(known) != len(children):
        raise MalformedFileError(f"damaged: the B-tree of a group at {address} lacks a node")
    return level, known


def _read_node(space: AddressSpace, address: int) -> memoryview:
    """Return the entries in use of a symbol table node (HDF5 file format, *Group Symbol Table Nodes*)."""
    start = 8
    node = _likely(space, address, start, _LIKELY_NODE_BYTES)
    if node[:4] != _NODE:
        raise MalformedFileError(f"damaged: no symbol table node is at {address}")
    if node[4] != 1:
        raise UnsupportedLayoutError(f"a symbol table node of version {node[4]}")
    size = start + number(node, 6, 2) * _entry_layout(space.length_bytes, space.offset_bytes).size
    if size > len(node):
        node = space.read(address, size)
    return node[start:size]


def _likely(space: AddressSpace, address: int, least: int, likely: int) -> memoryview:
    """Return `likely` bytes, or as many as the file has, `least` at least."""
    return space.read(address, max(least, min(likely, space.image.size - space.base - address)))


@cache
def _entry_layout(length_bytes: int, offset_bytes: int) -> struct.Struct:
    return struct.Struct(f"<{_code(length_bytes)}{_code(offset_bytes)}I4x16s")


def _code(n_bytes: int) -> str:
    code = _CODES.get(n_bytes)
    if code is None:
        raise UnsupportedLayoutError(f"numbers of {n_bytes} bytes")
    return code
