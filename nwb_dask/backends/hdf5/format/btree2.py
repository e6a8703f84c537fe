"""Version 2 B-trees of any type of record: the indexes of dense groups, dense attributes, huge objects and chunks."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

from nwb_dask.backends.hdf5.format.space import AddressSpace, gather, number
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError

Overlaps = Callable[[memoryview | None, memoryview | None], bool]
"""Told the records just before and just after a subtree (None at the ends of the tree), says whether to read it."""

_HEADER, _INTERNAL, _LEAF = b"BTHD", b"BTIN", b"BTLF"
_PREFIX_BYTES = 6
"""Signature, version and type of a node."""
_CHECKSUM_BYTES = 4
_MAX_DEPTH = 32
"""No file is so large that a deeper tree has an internal node on every level."""


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one tree, in its order."""

    type: int
    """What the records are (HDF5 file format, *Version 2 B-trees*)."""
    record_bytes: int
    runs: tuple[memoryview, ...]
    """Records one after the other, each run a whole number of them."""

    def joined(self) -> bytes:
        """Return all records one after the other."""
        return b"".join(self.runs)

    def each(self) -> list[memoryview]:
        """Return every record by itself."""
        size = self.record_bytes
        return [run[at : at + size] for run in self.runs for at in range(0, len(run), size)]


@dataclass(frozen=True, slots=True)
class _Child:
    address: int
    n_records: int
    before: memoryview | None
    after: memoryview | None


@dataclass(frozen=True, slots=True)
class _Tree:
    type: int
    node_bytes: int
    record_bytes: int
    depth: int
    root: _Child | None
    count_bytes: int
    """Bytes of the number of records in a child."""
    total_bytes: tuple[int, ...]
    """Bytes of the number of records in and below a child of each level; leaves, which are level 0, say none."""


def records(space: AddressSpace, address: int, types: Collection[int]) -> list[memoryview]:
    """Return all records of the tree at `address`, each by itself; see `walk`."""
    return walk(space, address, types).each()


def walk(space: AddressSpace, address: int, types: Collection[int], overlaps: Overlaps | None = None) -> Records:
    """Return the records of a tree, or of those parts of it that are wanted.

    The nodes of a level are read together, so that a tree takes one round of reading for each of its levels, and one
    for its header.

    Parameters
    ----------
    space : AddressSpace
        The file.
    address : int
        Header of the tree.
    types : collection of int
        Types of record that the caller understands.
    overlaps : callable, optional
        Leaves out the subtrees for which it is false. The records of the nodes that are read are returned all,
        wanted or not.

    Raises
    ------
    MalformedFileError
        If the tree is damaged, or is of another type.
    """
    tree = _read_header(space, address, types)
    pieces: list[memoryview | _Child] = []
    if tree.root is not None and (overlaps is None or overlaps(None, None)):
        pieces.append(tree.root)
    seen: set[int] = set()
    n_bytes = 0
    for level in range(tree.depth, -1, -1):
        children = [piece for piece in pieces if isinstance(piece, _Child)]
        seen_before = len(seen)
        seen.update(child.address for child in children)
        n_bytes += sum(child.n_records for child in children) * tree.record_bytes
        if len(seen) != seen_before + len(children) or n_bytes > space.image.size:
            raise MalformedFileError(f"damaged: nodes of the B-tree at {address} stand in it more than once")
        nodes = iter(gather([partial(_read_node, space, tree, child, level) for child in children]))
        below: list[memoryview | _Child] = []
        for piece in pieces:
            if isinstance(piece, _Child):
                below.extend(_inside(space, tree, piece, next(nodes), level=level, overlaps=overlaps))
            else:
                below.append(piece)
        pieces = below
    return Records(tree.type, tree.record_bytes, tuple([run for run in pieces if not isinstance(run, _Child)]))


def _read_header(space: AddressSpace, address: int, types: Collection[int]) -> _Tree:
    size = 16 + space.offset_bytes + 2 + space.length_bytes + _CHECKSUM_BYTES
    _require(space.read(address, size)[:4], _HEADER, address)
    header = space.checked(address, size, what="a B-tree's header")
    _require_version(header)
    kind = header[5]
    if kind not in types:
        raise MalformedFileError(f"damaged: the B-tree at {address} is of type {kind}, where {sorted(types)} may be")
    node_bytes, record_bytes, depth = number(header, 6, 4), number(header, 10, 2), number(header, 12, 2)
    root, n_root = space.offset(header, 16), number(header, 16 + space.offset_bytes, 2)
    if not record_bytes or depth > _MAX_DEPTH:
        raise MalformedFileError(f"damaged: the B-tree at {address} has records of {record_bytes} bytes, depth {depth}")
    most = total = (node_bytes - _PREFIX_BYTES - _CHECKSUM_BYTES) // record_bytes
    if most < 1:
        raise MalformedFileError(f"damaged: the nodes of the B-tree at {address} cannot hold a record")
    count_bytes = _bytes_up_to(most)
    total_bytes = [0]
    for _ in range(depth):
        pointer = space.offset_bytes + count_bytes + total_bytes[-1]
        most = (node_bytes - _PREFIX_BYTES - _CHECKSUM_BYTES - pointer) // (record_bytes + pointer)
        if most < 1:
            raise MalformedFileError(f"damaged: the nodes of the B-tree at {address} cannot hold a record")
        total = (most + 1) * total + most
        total_bytes.append(_bytes_up_to(total))
    child = None if root is None or not n_root else _Child(root, n_root, None, None)
    return _Tree(kind, node_bytes, record_bytes, depth, child, count_bytes, tuple(total_bytes))


def _read_node(space: AddressSpace, tree: _Tree, child: _Child, level: int) -> memoryview:
    """Return the records of a node and, of an internal one, what points to its children; without the prefix."""
    size = _PREFIX_BYTES + child.n_records * tree.record_bytes + _CHECKSUM_BYTES
    if level:
        size += (child.n_records + 1) * _pointer_bytes(space, tree, level)
    if size > tree.node_bytes:
        raise MalformedFileError(f"damaged: the node at {child.address} of a B-tree cannot hold its records")
    _require(space.read(child.address, size)[:4], _INTERNAL if level else _LEAF, child.address)
    node = space.checked(child.address, size, what="a B-tree's node")
    _require_version(node)
    if node[5] != tree.type:
        raise MalformedFileError(f"damaged: the node at {child.address} is of another B-tree")
    return node[_PREFIX_BYTES:]


def _inside(
    space: AddressSpace, tree: _Tree, parent: _Child, node: memoryview, *, level: int, overlaps: Overlaps | None
) -> list[memoryview | _Child]:
    """Return records and children of a node, in order."""
    size = tree.record_bytes
    if not level:
        return [node]
    here = [node[at : at + size] for at in range(0, parent.n_records * size, size)]
    around = [parent.before, *here, parent.after]
    pointer_bytes = _pointer_bytes(space, tree, level)
    pieces: list[memoryview | _Child] = []
    for i in range(len(here) + 1):
        at = parent.n_records * size + i * pointer_bytes
        n_records = number(node, at + space.offset_bytes, tree.count_bytes)
        if n_records and (overlaps is None or overlaps(around[i], around[i + 1])):
            address = space.offset(node, at)
            if address is None:
                raise MalformedFileError("damaged: a B-tree lacks a node")
            pieces.append(_Child(address, n_records, around[i], around[i + 1]))
        if i < len(here):
            pieces.append(here[i])
    return pieces


def _pointer_bytes(space: AddressSpace, tree: _Tree, level: int) -> int:
    return space.offset_bytes + tree.count_bytes + tree.total_bytes[level - 1]


def _bytes_up_to(limit: int) -> int:
    """Return the bytes that hold every number up to `limit`."""
    return max(limit.bit_length() - 1, 0) // 8 + 1


def _require(found: memoryview, signature: bytes, address: int) -> None:
    if found != signature:
        raise MalformedFileError(f"damaged: no {signature.decode()} is at {address}")


def _require_version(structure: memoryview) -> None:
    if structure[4]:
        raise UnsupportedLayoutError(f"a B-tree of version {structure[4]} of its kind")
