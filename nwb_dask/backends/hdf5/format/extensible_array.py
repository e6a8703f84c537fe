"""The chunks of a dataset that grows along one dimension (HDF5 file format, *Extensible Array Index*).

Elements are in the index block, then in data blocks that grow. Super block ``u`` stands for ``2**(u//2)`` data blocks
of ``2**((u+1)//2)`` times the least number of elements. The index block holds the addresses of the data blocks of the
first super blocks, and of the others that of the super block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.format.chunk_grid import ElementOrder, Numbers, Ranges, WantedElements
from nwb_dask.backends.hdf5.format.chunk_records import (
    CHECKSUM_BYTES,
    NOTHING,
    PREAMBLE_BYTES,
    Block,
    Bytes,
    ElementFormat,
    Found,
    check_owner,
    check_preamble,
    column,
    needed_blocks,
    read_blocks,
    signed,
)
from nwb_dask.backends.hdf5.format.space import AddressSpace, gather
from nwb_dask.errors import MalformedFileError

_MAX_BITS = 62
_SETTINGS = 6
"""Bytes that say how the array is cut into blocks."""


@dataclass(frozen=True, slots=True)
class _Header:
    """An extensible array and how it is cut into blocks."""

    address: int
    element: ElementFormat
    max_bits: int
    """An array holds less than two to the power of so many elements."""
    n_direct: int
    """Elements in the index block."""
    min_elements: int
    """Elements of the smallest data block."""
    min_pointers: int
    """Data blocks from which on a super block is a structure of its own."""
    page_elements: int
    n_set: int
    """The element after the last that was ever set."""
    index_block: int | None

    @property
    def n_super_blocks(self) -> int:
        return 1 + self.max_bits - (self.min_elements.bit_length() - 1)

    @property
    def n_inner(self) -> int:
        """Super blocks whose data blocks are named in the index block."""
        return min(2 * (self.min_pointers.bit_length() - 1), self.n_super_blocks)

    @property
    def number_bytes(self) -> int:
        """Bytes of the number of an element in the prefix of a block."""
        return (self.max_bits + 7) // 8


@dataclass(frozen=True, slots=True)
class _SuperBlock:
    """What a super block stands for."""

    first: int
    """Number of its first element."""
    n_blocks: int
    block_elements: int
    n_pages: int
    """Pages of each data block; 0 if it is in one piece."""

    @property
    def stop(self) -> int:
        return self.first + self.n_blocks * self.block_elements


def find(space: AddressSpace, address: int, order: ElementOrder, wanted: Ranges) -> Found:
    """Return the chunks of `wanted` that exist, and maybe others that were read with them.

    Four dependent reads at most: header, index block, super blocks, and data blocks or pages.

    Raises
    ------
    MalformedFileError
        If the array is damaged.
    """
    header = _read_header(space, address)
    elements = WantedElements.of(order, wanted, limit=header.n_set)
    if header.index_block is None or not len(elements.bounds):
        return NOTHING
    inner = [_super_block(header, number) for number in range(header.n_inner)]
    body, data_blocks, super_blocks = _read_index_block(space, header, header.index_block, inner)
    # What the index block names directly is asked for together with the super blocks, to save a round.
    calls: list[Callable[[], list[Block]]] = [partial(_direct_blocks, space, header, elements, inner, data_blocks)]
    for number, at in enumerate(super_blocks, header.n_inner):
        block = _super_block(header, number)
        if block.first >= elements.bounds[-1, 1]:
            break
        if at != header.element.undefined and elements.may_be_in(*_pair(block.first, block.stop))[0]:
            calls.append(partial(_blocks_of_super_block, space, header, elements, block, at))
    blocks = [block for part in gather(calls) for block in part]
    within = header.element.found(order, np.arange(header.n_direct), body)
    return _joined(within, read_blocks(space, blocks, header.element, order, b"EADB", owner=address))


def _read_header(space: AddressSpace, address: int) -> _Header:
    """Return the header (HDF5 file format, *Extensible Array Header*)."""
    statistics = PREAMBLE_BYTES + _SETTINGS
    size = statistics + 6 * space.length_bytes + space.offset_bytes + CHECKSUM_BYTES
    header = space.checked(address, size, what="an extensible array")
    kind = check_preamble(header, b"EAHD", kinds=(0, 1))
    n_bytes, max_bits, n_direct, min_elements, min_pointers, page_bits = header[PREAMBLE_BYTES:statistics]
    if (
        not 0 < max_bits <= _MAX_BITS
        or min_elements.bit_count() != 1
        or min_elements.bit_length() > max_bits
        or min_pointers.bit_count() != 1
        or page_bits > _MAX_BITS
    ):
        raise MalformedFileError(
            f"damaged: an extensible array of 2**{max_bits} elements in blocks of {min_elements}, {min_pointers} "
            f"blocks to a super block, pages of 2**{page_bits}"
        )
    return _Header(
        address,
        ElementFormat.of(space, kind, n_bytes),
        max_bits,
        n_direct,
        min_elements,
        min_pointers,
        1 << page_bits,
        min(space.length(header, statistics + 4 * space.length_bytes), 1 << _MAX_BITS),
        space.offset(header, statistics + 6 * space.length_bytes),
    )


def _super_block(header: _Header, number: int) -> _SuperBlock:
    """Return super block `number`; those before it hold ``2**number - 1`` times the least number of elements."""
    block_elements = header.min_elements << (number + 1) // 2
    is_paged = block_elements > header.page_elements
    return _SuperBlock(
        header.n_direct + ((1 << number) - 1) * header.min_elements,
        1 << number // 2,
        block_elements,
        block_elements // header.page_elements if is_paged else 0,
    )


def _read_index_block(
    space: AddressSpace, header: _Header, address: int, inner: list[_SuperBlock]
) -> tuple[Bytes, npt.NDArray[np.uint64], list[int]]:
    """Return the elements, the addresses of data blocks and those of super blocks that the index block holds."""
    n_blocks = sum(block.n_blocks for block in inner)
    if any(block.n_pages for block in inner):
        raise MalformedFileError("damaged: an extensible array has pages where the index block knows of none")
    start = PREAMBLE_BYTES + space.offset_bytes
    pointers = start + header.n_direct * header.element.n_bytes
    n_pointers = n_blocks + header.n_super_blocks - header.n_inner
    n_bytes = pointers + n_pointers * space.offset_bytes + CHECKSUM_BYTES
    body = space.checked(address, n_bytes, what="an extensible array's index block")
    check_preamble(body, b"EAIB", kinds=(0, 1))
    check_owner(space, body, header.address)
    elements = np.frombuffer(body[start:pointers], np.uint8).reshape(-1, header.element.n_bytes)
    addresses = _addresses(space, body[pointers:])
    return elements, addresses[:n_blocks], addresses[n_blocks:].tolist()


def _direct_blocks(
    space: AddressSpace,
    header: _Header,
    elements: WantedElements,
    inner: list[_SuperBlock],
    addresses: npt.NDArray[np.uint64],
) -> list[Block]:
    """Return those data blocks of the index block that are needed, once they can be read."""
    blocks: list[Block] = []
    for block in inner:
        if block.first >= elements.bounds[-1, 1]:
            break
        blocks += _data_blocks(space, header, elements, block, addresses[: block.n_blocks])
        addresses = addresses[block.n_blocks :]
    gather(partial(space.read, block.address, block.body_bytes(header.element)) for block in blocks)
    return blocks


def _blocks_of_super_block(
    space: AddressSpace, header: _Header, elements: WantedElements, block: _SuperBlock, address: int
) -> list[Block]:
    """Return those data blocks or pages of a super block that are needed (*Extensible Array Secondary Block*)."""
    start = PREAMBLE_BYTES + space.offset_bytes + header.number_bytes
    bitmap_bytes = block.n_blocks * ((block.n_pages + 7) // 8)
    n_bytes = start + bitmap_bytes + block.n_blocks * space.offset_bytes + CHECKSUM_BYTES
    body = space.checked(address, n_bytes, what="an extensible array's super block")
    check_preamble(body, b"EASB", kinds=(0, 1))
    check_owner(space, body, header.address)
    addresses = _addresses(space, body[start + bitmap_bytes :])
    if not block.n_pages:
        return _data_blocks(space, header, elements, block, addresses)
    # The pages of all data blocks are counted through, though each data block has whole bytes to itself: libhdf5
    # leaves the rest of the bitmap unused where a block has fewer than eight pages.
    n_pages = block.n_blocks * block.n_pages
    written = np.unpackbits(np.frombuffer(body[start : start + bitmap_bytes], np.uint8), count=n_pages).view(bool)
    pages = np.flatnonzero(written & np.repeat(addresses != header.element.undefined, block.n_pages)).astype(np.int64)
    page_bytes = header.page_elements * header.element.n_bytes + CHECKSUM_BYTES
    at = signed(addresses[pages // block.n_pages], what="a data block's address")
    return needed_blocks(
        space,
        header.element,
        elements,
        at + start + CHECKSUM_BYTES + pages % block.n_pages * page_bytes,
        block.first + pages * header.page_elements,
        n_elements=header.page_elements,
        prefix_bytes=0,
    )


def _data_blocks(
    space: AddressSpace,
    header: _Header,
    elements: WantedElements,
    block: _SuperBlock,
    addresses: npt.NDArray[np.uint64],
) -> list[Block]:
    """Return those data blocks of a super block that exist and are needed; they have no pages."""
    here = np.flatnonzero(addresses != header.element.undefined)
    return needed_blocks(
        space,
        header.element,
        elements,
        signed(addresses[here], what="a data block's address"),
        block.first + here * block.block_elements,
        n_elements=block.block_elements,
        prefix_bytes=PREAMBLE_BYTES + space.offset_bytes + header.number_bytes,
    )


def _addresses(space: AddressSpace, body: memoryview) -> npt.NDArray[np.uint64]:
    raw = np.frombuffer(body, np.uint8).reshape(-1, space.offset_bytes)
    return column(raw, 0, space.offset_bytes)


def _pair(start: int, stop: int) -> tuple[Numbers, Numbers]:
    limit = 1 << _MAX_BITS
    return np.array([min(start, limit)], np.int64), np.array([min(stop, limit)], np.int64)


def _joined(one: Found, other: Found) -> Found:
    if not len(other.numbers):
        return one
    parts = [None if a is None or b is None else np.concatenate((a, b)) for a, b in zip(one, other, strict=True)]
    return Found(*parts)  # type: ignore[arg-type]  # numbers and addresses are always there
