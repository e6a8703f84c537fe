"""Fractal heaps: where links and attributes of large groups are, each named by an identifier."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from nwb_dask.backends.hdf5.format import btree2
from nwb_dask.backends.hdf5.format.space import AddressSpace, gather, number, verify
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError

_HEADER, _DIRECT, _INDIRECT = b"FRHP", b"FHDB", b"FHIB"
_CHECKSUM_BYTES = 4
_MANAGED, _HUGE, _TINY = 0, 1, 2
_HUGE_RECORD = 1
"""Records of huge objects that an identifier does not locate, unfiltered: address, size, number."""
_SHORT_TINY_BYTES = 16
_MAX_ROWS = 256
_MAX_HEAP_BITS = 64
"""libhdf5 writes 40, even where lengths have four bytes."""


@dataclass(frozen=True, slots=True)
class _Header:
    """What a heap says of itself (HDF5 file format, *Fractal Heap Header*)."""

    address: int
    id_bytes: int
    is_checked: bool
    """Whether direct blocks have checksums."""
    huge_tree: int | None
    width: int
    start_bytes: int
    """Size of the blocks of the first two rows."""
    direct_rows: int
    """Rows of direct blocks; those after it are of indirect ones."""
    root: int | None
    root_rows: int
    """0 if the root is a direct block."""
    at_bytes: int
    """Bytes of a position in the heap."""
    prefix_bytes: int
    """Bytes of a direct block before the first object."""
    length_bytes: int
    """Bytes of the length of a managed object in its identifier."""


@dataclass(frozen=True, slots=True)
class _Block:
    """A block: where it is in the heap, and in the file."""

    start: int
    size: int
    address: int
    rows: int
    """0 for a direct block."""


@dataclass(frozen=True, slots=True)
class FractalHeap:
    """A heap, with all of its blocks; made by `read_fractal_heap`."""

    space: AddressSpace
    header: _Header
    starts: tuple[int, ...]
    """Position in the heap of each block, increasing."""
    blocks: tuple[memoryview, ...]
    """The direct blocks."""

    def objects(self, ids: Sequence[memoryview]) -> list[memoryview]:
        """Return the objects of `ids`, in that order.

        Raises
        ------
        MalformedFileError
            If an identifier leads out of the heap or to nothing.
        UnsupportedLayoutError
            If an identifier is of a version or kind that the format does not define.
        """
        out: list[memoryview] = []
        huge: list[tuple[int, memoryview]] = []
        for i, id_ in enumerate(ids):
            if len(id_) != self.header.id_bytes:
                raise MalformedFileError(f"damaged: an identifier of {len(id_)} bytes, not {self.header.id_bytes}")
            version, kind = id_[0] >> 6, id_[0] >> 4 & 3
            if version or kind > _TINY:
                raise UnsupportedLayoutError(f"a fractal heap's identifier of version {version}, kind {kind}")
            if kind == _MANAGED:
                out.append(self._managed(id_))
            elif kind == _TINY:
                out.append(_tiny(id_))
            else:
                out.append(id_)
                huge.append((i, id_))
        for (i, _), found in zip(huge, self._huge([id_ for _, id_ in huge]), strict=True):
            out[i] = found
        return out

    def _managed(self, id_: memoryview) -> memoryview:
        header = self.header
        at = int.from_bytes(id_[1 : 1 + header.at_bytes], "little")
        size = int.from_bytes(id_[1 + header.at_bytes : 1 + header.at_bytes + header.length_bytes], "little")
        i = bisect_right(self.starts, at) - 1
        if i >= 0:
            begin = at - self.starts[i]
            found = self.blocks[i][begin : begin + size]
            if size and len(found) == size and begin >= header.prefix_bytes:
                return found
        raise MalformedFileError(f"damaged: no object is at {at} of the fractal heap at {header.address}")

    def _huge(self, ids: Sequence[memoryview]) -> list[memoryview]:
        """Return objects that are by themselves in the file (HDF5 file format, *Fractal Heap ID for Huge Objects*)."""
        if not ids:
            return []
        space, header = self.space, self.header
        places: list[tuple[int | None, int]]
        if space.offset_bytes + space.length_bytes <= header.id_bytes - 1:
            places = [(space.offset(id_, 1), space.length(id_, 1 + space.offset_bytes)) for id_ in ids]
        else:
            numbers = [int.from_bytes(id_[1:9], "little") for id_ in ids]
            known = self._numbered()
            if not known.keys() >= set(numbers):
                raise MalformedFileError(f"damaged: huge objects of the fractal heap at {header.address} are missing")
            places = [known[i] for i in numbers]
        if sum(size for _, size in places) > space.image.size:
            raise MalformedFileError(f"damaged: huge objects of the fractal heap at {header.address} overlap")
        return gather([partial(_read_huge, space, address, size) for address, size in places])

    def _numbered(self) -> dict[int, tuple[int | None, int]]:
        """Return address and size of the huge objects, by number."""
        space, tree = self.space, self.header.huge_tree
        if tree is None:
            return {}
        found = btree2.walk(space, tree, {_HUGE_RECORD})
        if found.record_bytes != space.offset_bytes + 2 * space.length_bytes:
            raise MalformedFileError("damaged: records of huge objects have a wrong size")
        size_at, number_at = space.offset_bytes, space.offset_bytes + space.length_bytes
        return {
            space.length(record, number_at): (space.offset(record, 0), space.length(record, size_at))
            for record in found.each()
        }


def objects(space: AddressSpace, address: int, ids: Sequence[memoryview]) -> list[memoryview]:
    """Return the objects of `ids` in the heap at `address`; see `FractalHeap.objects`."""
    return read_fractal_heap(space, address).objects(ids)


def read_fractal_heap(space: AddressSpace, address: int) -> FractalHeap:
    """Return the heap at `address` with all of its blocks: who opens a heap wants most of what is in it.

    Blocks of one level are read together.

    Raises
    ------
    MalformedFileError
        If the heap is damaged.
    UnsupportedLayoutError
        If the heap is filtered.
    """
    header = _read_header(space, address)
    direct: list[_Block] = []
    indirect: list[_Block] = []
    if header.root is not None:
        root = _Block(0, header.start_bytes, header.root, header.root_rows)
        (indirect if header.root_rows else direct).append(root)
    n_bytes = 0
    while indirect:
        n_bytes += sum(block.rows for block in indirect) * header.width * space.offset_bytes
        if n_bytes > space.image.size:
            raise MalformedFileError(f"damaged: the fractal heap at {address} is larger than the file")
        found = gather([partial(_read_children, space, header, block) for block in indirect])
        children = [child for inside in found for child in inside]
        direct.extend(child for child in children if not child.rows)
        indirect = [child for child in children if child.rows]
    if n_bytes + sum(block.size for block in direct) > space.image.size:
        raise MalformedFileError(f"damaged: the fractal heap at {address} is larger than the file")
    direct.sort(key=lambda block: block.start)
    blocks = gather([partial(_read_direct, space, header, block) for block in direct])
    return FractalHeap(space, header, tuple([block.start for block in direct]), tuple(blocks))


def _read_header(space: AddressSpace, address: int) -> _Header:
    size = 26 + 12 * space.length_bytes + 3 * space.offset_bytes
    if space.read(address, size)[:4] != _HEADER:
        raise MalformedFileError(f"damaged: no fractal heap is at {address}")
    raw = space.read(address, size)
    if raw[4]:
        raise UnsupportedLayoutError(f"a fractal heap of version {raw[4]}")
    if number(raw, 7, 2):
        # The header goes on then, with the filters before the checksum.
        raise UnsupportedLayoutError("a fractal heap with filters")
    header = space.checked(address, size, what="a fractal heap's header")
    id_bytes, is_checked, most_managed = number(header, 5, 2), bool(header[9] & 2), number(header, 10, 4)
    huge_tree = space.offset(header, 14 + space.length_bytes)
    table = 14 + 10 * space.length_bytes + 2 * space.offset_bytes
    width, start_bytes = number(header, table, 2), space.length(header, table + 2)
    most_direct = space.length(header, table + 2 + space.length_bytes)
    at = table + 2 + 2 * space.length_bytes
    heap_bits, root = number(header, at, 2), space.offset(header, at + 4)
    root_rows = number(header, at + 4 + space.offset_bytes, 2)
    if (
        any(power.bit_count() != 1 for power in (width, start_bytes, most_direct))
        or start_bytes > most_direct
        or not 0 < heap_bits <= _MAX_HEAP_BITS
        or root_rows > _MAX_ROWS
    ):
        raise MalformedFileError(f"damaged: the fractal heap at {address} has impossible blocks")
    at_bytes = (heap_bits + 7) // 8
    length_bytes = min(most_direct.bit_length() - 1, max(most_managed.bit_length() - 1, 0)) // 8 + 1
    if id_bytes < 1 + at_bytes + length_bytes:
        raise MalformedFileError(f"damaged: identifiers of {id_bytes} bytes are too short for their heap at {address}")
    return _Header(
        address=address,
        id_bytes=id_bytes,
        is_checked=is_checked,
        huge_tree=huge_tree,
        width=width,
        start_bytes=start_bytes,
        direct_rows=(most_direct // start_bytes).bit_length() + 1,
        root=root,
        root_rows=root_rows,
        at_bytes=at_bytes,
        prefix_bytes=5 + space.offset_bytes + at_bytes + (_CHECKSUM_BYTES if is_checked else 0),
        length_bytes=length_bytes,
    )


def _read_children(space: AddressSpace, header: _Header, block: _Block) -> list[_Block]:
    """Return what an indirect block points to (HDF5 file format, *Fractal Heap Indirect Block*)."""
    prefix = 5 + space.offset_bytes + header.at_bytes
    n_entries = block.rows * header.width
    size = prefix + n_entries * space.offset_bytes + _CHECKSUM_BYTES
    if space.read(block.address, size)[:4] != _INDIRECT:
        raise MalformedFileError(f"damaged: no block of a fractal heap is at {block.address}")
    body = space.checked(block.address, size, what="a fractal heap's indirect block")
    _require_place(space, header, block, body)
    children: list[_Block] = []
    for i in range(n_entries):
        address = space.offset(body, prefix + i * space.offset_bytes)
        if address is None:
            continue
        row, column = divmod(i, header.width)
        # The first two rows have blocks of one size; from there on each row doubles it.
        child_bytes = header.start_bytes << max(row - 1, 0)
        row_start = header.start_bytes * header.width << row - 1 if row else 0
        # An indirect block spans as much as its rows, and is as large as a row is that many lower.
        rows = 0 if row < header.direct_rows else row - header.width.bit_length() + 1
        if row >= header.direct_rows and rows < 1:
            raise MalformedFileError(f"damaged: the fractal heap at {header.address} has blocks without rows")
        children.append(_Block(block.start + row_start + column * child_bytes, child_bytes, address, rows))
    return children


def _read_direct(space: AddressSpace, header: _Header, block: _Block) -> memoryview:
    """Return a direct block, prefix included, from which positions count (*Fractal Heap Direct Block*)."""
    whole = space.read(block.address, block.size)
    if whole[:4] != _DIRECT:
        raise MalformedFileError(f"damaged: no block of a fractal heap is at {block.address}")
    _require_place(space, header, block, whole)
    if header.is_checked:
        at = 5 + space.offset_bytes + header.at_bytes
        # The checksum stands inside what it is taken of, and counts as zeros there.
        blank = b"".join((whole[:at], bytes(_CHECKSUM_BYTES), whole[at + _CHECKSUM_BYTES :]))
        verify(memoryview(blank + whole[at : at + _CHECKSUM_BYTES]), what="a fractal heap's direct block")
    return whole


def _require_place(space: AddressSpace, header: _Header, block: _Block, raw: memoryview) -> None:
    """Raise unless a block says that it is of this heap, and where it is looked for."""
    if raw[4]:
        raise UnsupportedLayoutError(f"a fractal heap's block of version {raw[4]}")
    at = 5 + space.offset_bytes
    if space.offset(raw, 5) != header.address or number(raw, at, header.at_bytes) != block.start:
        raise MalformedFileError(f"damaged: the block at {block.address} is of another fractal heap or place")


def _tiny(id_: memoryview) -> memoryview:
    """Return an object that is in its identifier (HDF5 file format, *Fractal Heap ID for Tiny Objects*)."""
    if len(id_) - 1 <= _SHORT_TINY_BYTES + 1:
        start, size = 1, (id_[0] & 15) + 1
    else:
        start, size = 2, ((id_[0] & 15) << 8 | id_[1]) + 1
    found = id_[start : start + size]
    if len(found) != size:
        raise MalformedFileError("damaged: an object is longer than the identifier that holds it")
    return found


def _read_huge(space: AddressSpace, address: int | None, size: int) -> memoryview:
    if address is None or not size:
        raise MalformedFileError("damaged: a huge object is nowhere")
    return space.read(address, size)
