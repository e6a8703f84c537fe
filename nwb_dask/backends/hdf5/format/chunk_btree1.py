"""The chunks of a dataset from a version 1 B-tree (HDF5 file format, *Version 1 B-trees*, node type 1)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.format.chunk_grid import ChunkGrid, Numbers, Ranges, overlaps
from nwb_dask.backends.hdf5.format.chunk_records import (
    MASK_BYTES,
    WORD,
    Bytes,
    Found,
    check_room,
    check_sorted,
    column,
    signed,
)
from nwb_dask.backends.hdf5.format.space import AddressSpace, gather, number
from nwb_dask.errors import MalformedFileError

_USUAL_ENTRIES = 64
"""Of a node at most, unless the superblock says otherwise, which would cost a read to know."""
_MAX_LEVEL = 64
_BATCH = 1 << 17
"""Entries that are decoded at once."""
_SIZE_BYTES = 4
_HEAD = b"TREE\x01"
"""Signature, and the type of node that lists chunks."""
_LEVEL_AT, _USED_AT = 5, 6


@dataclass(frozen=True, slots=True)
class _NodeFormat:
    """A node: its head, then keys with the addresses of children between them."""

    offset_bytes: int
    n_axes: int
    """Those of the shape, and one for the bytes of an element."""

    @property
    def head_bytes(self) -> int:
        """Signature, type, level, number of entries, and the addresses of both neighbours."""
        return 8 + 2 * self.offset_bytes

    @property
    def key_bytes(self) -> int:
        """Size and mask of the chunk, and its position along each axis."""
        return _SIZE_BYTES + MASK_BYTES + WORD * self.n_axes

    @property
    def entry_bytes(self) -> int:
        return self.key_bytes + self.offset_bytes

    def node_bytes(self, n_entries: int) -> int:
        return self.head_bytes + n_entries * self.entry_bytes + self.key_bytes


class _Entries(NamedTuple):
    """Entries of nodes that are used, one after the other."""

    starts: Numbers
    """Chunks of the grid before the first of each."""
    stops: Numbers
    """Chunks of the grid before the first of the next."""
    inside: npt.NDArray[np.bool_]
    """Whether the chunk lies in the grid."""
    children: npt.NDArray[np.uint64]
    sizes: Numbers
    masks: npt.NDArray[np.uint32]


def find(space: AddressSpace, address: int, grid: ChunkGrid, chunks: Sequence[int], wanted: Ranges) -> Found:
    """Return the chunks of `wanted` that exist.

    As many dependent reads as the tree is high: the keys of a node say which of its children are needed, and all nodes
    of one level are read together.

    Raises
    ------
    MalformedFileError
        If the tree is damaged: its levels do not count down to 0, its keys do not increase, or nodes overlap.
    """
    # A key holds a position within an element too. It is 0 for a chunk, and not in the key after the last chunk, which
    # may be next to that chunk only by this.
    grid, chunks = ChunkGrid((*grid.counts, 1)), (*chunks, 1)
    form = _NodeFormat(space.offset_bytes, len(chunks))
    addresses = np.array([address], np.int64)
    level: int | None = None
    while True:
        nodes = _read_nodes(space, form, addresses)
        level = _check_level(nodes, level)
        parts = [_needed(form, chunks, grid, batch, wanted) for batch in _batches(nodes)]
        found = _Entries(*(np.concatenate(field) for field in zip(*parts, strict=True)))
        if level == 0:
            keep = found.inside
            return Found(found.starts[keep], found.children[keep], found.sizes[keep], found.masks[keep])
        if not len(found.children):
            return Found(found.starts, found.children, found.sizes, found.masks)
        addresses = signed(found.children, what="the address of a node")
        # No more nodes are read than the file has room for, were they all of one entry.
        check_room(space, addresses, np.full(len(addresses), form.node_bytes(1)))


def find_only(space: AddressSpace, address: int, n_axes: int) -> tuple[int, int, int] | None:
    """Return address, size and mask of the first chunk of the grid, if its tree has one node and that one entry.

    So it is with most columns of tables, for which `find` takes long. None if the tree is another; raises as `find`.
    """
    form = _NodeFormat(space.offset_bytes, n_axes + 1)
    node = _read_usual(space, form, address)
    if node[_LEVEL_AT] or _used(node) != 1 or len(node) < form.node_bytes(1):
        return None
    key, following = form.head_bytes, form.head_bytes + form.entry_bytes
    place = struct.unpack_from(f"<{form.n_axes}Q", node, key + _SIZE_BYTES + MASK_BYTES)
    after = struct.unpack_from(f"<{form.n_axes}Q", node, following + _SIZE_BYTES + MASK_BYTES)
    child = space.offset(node, key + form.key_bytes)
    if any(place) or after <= place or child is None:
        return None
    return child, number(node, key, _SIZE_BYTES), number(node, key + _SIZE_BYTES, MASK_BYTES)


def _read_nodes(space: AddressSpace, form: _NodeFormat, addresses: Numbers) -> list[memoryview]:
    """Return nodes, each with at least those of its entries that are used."""
    nodes = gather(partial(_read_usual, space, form, address) for address in addresses.tolist())
    lengths = [form.node_bytes(used) if (used := _used(node)) else form.head_bytes for node in nodes]
    check_room(space, addresses, np.array(lengths))
    longer = [i for i, (node, length) in enumerate(zip(nodes, lengths, strict=True)) if length > len(node)]
    for i, node in zip(longer, gather(partial(space.read, int(addresses[i]), lengths[i]) for i in longer), strict=True):
        nodes[i] = node
    return nodes


def _read_usual(space: AddressSpace, form: _NodeFormat, address: int) -> memoryview:
    """Return a node as long as most are, or what there is of it before the end of the file."""
    left = space.image.size - space.base - address
    node = space.read(address, max(min(form.node_bytes(_USUAL_ENTRIES), left), form.head_bytes))
    if node[:5] != _HEAD:
        raise MalformedFileError(f"damaged: no node of a B-tree of chunks is at {address}")
    return node


def _used(node: memoryview) -> int:
    return number(node, _USED_AT, 2)


def _batches(nodes: list[memoryview]) -> Iterator[list[memoryview]]:
    """Yield nodes in parts of about `_BATCH` entries, were all as long as the longest."""
    step = max(_BATCH // max(1, *map(_used, nodes)), 1)
    return (nodes[i : i + step] for i in range(0, len(nodes), step))


def _check_level(nodes: Sequence[memoryview], above: int | None) -> int:
    """Return the level of nodes, which all are of the same one: the next below `above`."""
    level = nodes[0][5] if above is None else above - 1
    if level > _MAX_LEVEL:
        raise MalformedFileError(f"damaged: a B-tree of chunks is {level} levels high")
    if any(node[5] != level for node in nodes):
        raise MalformedFileError(f"damaged: a node of a B-tree of chunks is not of level {level} as its place is")
    return level


def _needed(
    form: _NodeFormat, chunks: Sequence[int], grid: ChunkGrid, nodes: Sequence[memoryview], wanted: Ranges
) -> _Entries:
    """Return those entries of `nodes` that may lead to a chunk that is wanted."""
    used = np.array([_used(node) for node in nodes], np.int64)
    most = int(used.max())
    width = form.head_bytes + (most + 1) * form.entry_bytes
    # The address after the last key is not there: it is read over, and never used.
    joined = b"".join([bytes(node[:width]).ljust(width, b"\0") for node in nodes])
    raw = np.frombuffer(joined, np.uint8).reshape(len(nodes), width)[:, form.head_bytes :]
    raw = raw.reshape(len(nodes), most + 1, form.entry_bytes)
    place = np.arange(most + 1)
    is_key = (place <= used[:, None]) & (used[:, None] > 0)
    coordinates = [
        _scaled(np.where(is_key, column(raw, _SIZE_BYTES + MASK_BYTES + WORD * axis, WORD), 0), length)
        for axis, length in enumerate(chunks)
    ]
    is_entry = place[:-1] < used[:, None]
    if not nodes[0][_LEVEL_AT] and coordinates[-1][:, :-1][is_entry].any():
        raise MalformedFileError("damaged: a chunk begins within an element")
    check_sorted([along[:, :-1] for along in coordinates], [along[:, 1:] for along in coordinates], is_entry)
    ranks = grid.ranks(coordinates)
    starts, stops = ranks[:, :-1], ranks[:, 1:]
    take = np.nonzero(is_entry & overlaps(wanted, starts, stops))
    entries: Bytes = raw[take]
    return _Entries(
        starts[take],
        stops[take],
        grid.holds([along[take] for along in coordinates]),
        column(entries, form.key_bytes, form.offset_bytes),
        column(entries, 0, _SIZE_BYTES).astype(np.int64),
        column(entries, _SIZE_BYTES, MASK_BYTES).astype(np.uint32),
    )


def _scaled(offsets: npt.NDArray[np.uint64], length: int) -> Numbers:
    """Return positions in elements as positions in chunks."""
    scaled, rest = np.divmod(signed(offsets, what="the position of a chunk"), length)
    if rest.any():
        raise MalformedFileError("damaged: a chunk begins within another")
    return scaled
