"""The chunks of a dataset that cannot grow, from a fixed array (HDF5 file format, *Fixed Array Index*)."""

from __future__ import annotations

import numpy as np

from nwb_dask.backends.hdf5.format.chunk_grid import ElementOrder, Ranges, WantedElements
from nwb_dask.backends.hdf5.format.chunk_records import (
    CHECKSUM_BYTES,
    NOTHING,
    PREAMBLE_BYTES,
    Block,
    ElementFormat,
    Found,
    check_owner,
    check_preamble,
    needed_blocks,
    read_blocks,
)
from nwb_dask.backends.hdf5.format.space import AddressSpace
from nwb_dask.errors import MalformedFileError

_MAX_PAGE_BITS = 32


def find(space: AddressSpace, address: int, order: ElementOrder, wanted: Ranges) -> Found:
    """Return the chunks of `wanted` that exist, and maybe others that were read with them.

    Three dependent reads: the header, the data block or its bitmap, and those pages that are needed.

    Raises
    ------
    MalformedFileError
        If the array is damaged, or has not one element for each chunk of the largest shape.
    """
    size = PREAMBLE_BYTES + 2 + space.length_bytes + space.offset_bytes + CHECKSUM_BYTES
    header = space.checked(address, size, what="a fixed array")
    kind = check_preamble(header, b"FAHD", kinds=(0, 1))
    element = ElementFormat.of(space, kind, header[PREAMBLE_BYTES])
    page_bits = header[PREAMBLE_BYTES + 1]
    n_elements = space.length(header, PREAMBLE_BYTES + 2)
    if page_bits > _MAX_PAGE_BITS or n_elements != order.n_elements:
        raise MalformedFileError(f"damaged: a fixed array of {n_elements} elements, pages of 2**{page_bits}")
    block = space.offset(header, PREAMBLE_BYTES + 2 + space.length_bytes)
    elements = WantedElements.of(order, wanted, limit=n_elements)
    if block is None or not len(elements.bounds):
        return NOTHING
    if n_elements <= 1 << page_bits:
        blocks = [Block(block, PREAMBLE_BYTES + space.offset_bytes, 0, n_elements)]
    else:
        blocks = _pages(
            space, block, element, elements, n_elements=n_elements, page_elements=1 << page_bits, owner=address
        )
    return read_blocks(space, blocks, element, order, b"FADB", owner=address)


def _pages(
    space: AddressSpace,
    address: int,
    element: ElementFormat,
    elements: WantedElements,
    *,
    n_elements: int,
    page_elements: int,
    owner: int,
) -> list[Block]:
    """Return the pages that were written and are needed; the last holds what remains."""
    n_pages = -(-n_elements // page_elements)
    start = PREAMBLE_BYTES + space.offset_bytes
    prefix_bytes = start + (n_pages + 7) // 8 + CHECKSUM_BYTES
    prefix = space.checked(address, prefix_bytes, what="a fixed array's data block")
    check_preamble(prefix, b"FADB", kinds=(0, 1))
    check_owner(space, prefix, owner)
    written = np.unpackbits(np.frombuffer(prefix[start:], np.uint8), count=n_pages).view(bool)
    pages = np.flatnonzero(written).astype(np.int64)
    starts = pages * page_elements
    return needed_blocks(
        space,
        element,
        elements,
        address + prefix_bytes + pages * (page_elements * element.n_bytes + CHECKSUM_BYTES),
        starts,
        n_elements=np.minimum(page_elements, n_elements - starts),
        prefix_bytes=0,
    )
