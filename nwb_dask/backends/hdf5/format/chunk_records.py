"""Chunks as an index lists them, many at a time: fields of any width, and the elements of array indexes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.format.chunk_grid import ElementOrder, Numbers, WantedElements
from nwb_dask.backends.hdf5.format.space import AddressSpace, gather
from nwb_dask.backends.hdf5.spans import rows
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError

Bytes = npt.NDArray[np.uint8]

CHECKSUM_BYTES = 4
MASK_BYTES = 4
"""Bytes of a filter mask."""
SIGNATURE_BYTES = 4
PREAMBLE_BYTES = SIGNATURE_BYTES + 2
"""Signature, version, and what the structure is for."""
WORD = 8
"""Bytes of a position along an axis, and the widest of numbers."""


class Found(NamedTuple):
    """Chunks in any order; arrays of one length."""

    numbers: Numbers
    addresses: npt.NDArray[np.uint64]
    """As stored."""
    sizes: Numbers | None
    """Stored bytes; None where every chunk is stored whole."""
    masks: npt.NDArray[np.uint32] | None
    """None where no filter was skipped."""


NOTHING = Found(np.zeros(0, np.int64), np.zeros(0, np.uint64), None, None)


def column(raw: Bytes, at: int, n_bytes: int) -> npt.NDArray[np.uint64]:
    """Return the little-endian numbers of `n_bytes` (at most 8) at position `at` of the last axis of `raw`."""
    wide = np.zeros((*raw.shape[:-1], WORD), np.uint8)
    wide[..., :n_bytes] = raw[..., at : at + n_bytes]
    return wide.view("<u8")[..., 0].astype(np.uint64, copy=False)


def signed(values: npt.NDArray[np.uint64], *, what: str) -> Numbers:
    """Return sizes or positions as signed numbers; raises if one is too large for any file."""
    if values.size and values.max() >= 1 << 62:
        raise MalformedFileError(f"damaged: {what} is larger than any file")
    return values.astype(np.int64)


def check_preamble(body: memoryview, signature: bytes, *, kinds: Sequence[int]) -> int:
    """Return what a structure is for, its sixth byte.

    Raises
    ------
    MalformedFileError
        If the signature is another, or it is for none of `kinds`.
    UnsupportedLayoutError
        If its version is not 0.
    """
    name = signature.decode()
    if body[:SIGNATURE_BYTES] != signature:
        raise MalformedFileError(f"damaged: no {name} where an index of chunks needs one")
    if body[4] != 0:
        raise UnsupportedLayoutError(f"version {body[4]} of {name}")
    if body[5] not in kinds:
        raise MalformedFileError(f"damaged: {name} is of kind {body[5]}, which indexes no chunks")
    return body[5]


def check_owner(space: AddressSpace, body: memoryview, owner: int) -> None:
    """Raise unless a block says, after its preamble, that it belongs to the array whose header is at `owner`."""
    if space.offset(body, PREAMBLE_BYTES) != owner:
        raise MalformedFileError(f"damaged: a block of the array at {owner} belongs to another")


@dataclass(frozen=True, slots=True)
class ElementFormat:
    """One element of a fixed or extensible array: the address of a chunk; if filtered, also its size and mask.

    HDF5 file format, *Fixed Array Data Block* and *Extensible Array Data Block*, "Filtered dataset chunk".
    """

    n_bytes: int
    offset_bytes: int

    @classmethod
    def of(cls, space: AddressSpace, kind: int, n_bytes: int) -> Self:
        """Return the elements of an array for chunks without (0) or with filters (1).

        The width of the size follows from that of the element: writers agree on the field, not on how wide it is.
        """
        size_bytes = n_bytes - space.offset_bytes - MASK_BYTES
        if n_bytes != space.offset_bytes if kind == 0 else not 1 <= size_bytes <= WORD:
            raise MalformedFileError(f"damaged: an array of chunks has elements of {n_bytes} bytes")
        return cls(n_bytes, space.offset_bytes)

    @property
    def undefined(self) -> int:
        """The address of a chunk that was never written."""
        return (1 << 8 * self.offset_bytes) - 1

    def found(self, order: ElementOrder, elements: Numbers, raw: Bytes) -> Found:
        """Return the chunks of `elements` that exist and lie in the shape; `raw` has one row for each."""
        addresses = column(raw, 0, self.offset_bytes)
        here = np.flatnonzero(addresses != self.undefined)
        numbers = order.numbers(elements[here])
        here, numbers = here[numbers >= 0], numbers[numbers >= 0]
        if self.n_bytes == self.offset_bytes:
            return Found(numbers, addresses[here], None, None)
        size_bytes = self.n_bytes - self.offset_bytes - MASK_BYTES
        sizes = signed(column(raw, self.offset_bytes, size_bytes)[here], what="a chunk")
        masks = column(raw, self.offset_bytes + size_bytes, MASK_BYTES)[here]
        return Found(numbers, addresses[here], sizes, masks.astype(np.uint32))


class Block(NamedTuple):
    """Elements that follow each other in the file, before their checksum: a data block, or a page of one."""

    address: int
    prefix_bytes: int
    """What comes before the elements and is under the same checksum."""
    first: int
    """Number of the first element."""
    n_elements: int

    def body_bytes(self, element: ElementFormat) -> int:
        """Bytes with prefix and checksum."""
        return self.prefix_bytes + self.n_elements * element.n_bytes + CHECKSUM_BYTES


def read_blocks(
    space: AddressSpace,
    blocks: Sequence[Block],
    element: ElementFormat,
    order: ElementOrder,
    signature: bytes,
    *,
    owner: int,
) -> Found:
    """Return the chunks that `blocks` of the array at `owner` list, which are read together.

    Raises
    ------
    MalformedFileError
        If a checksum or a signature is wrong.
    """
    if not blocks:
        return NOTHING
    name = signature.decode()
    bodies = gather(
        partial(space.checked, block.address, block.body_bytes(element), what=f"a block of {name}") for block in blocks
    )
    for block, body in zip(blocks, bodies, strict=True):
        if block.prefix_bytes:
            check_preamble(body, signature, kinds=(0, 1))
            check_owner(space, body, owner)
    joined = b"".join([body[block.prefix_bytes :] for block, body in zip(blocks, bodies, strict=True)])
    starts = np.array([block.first for block in blocks], np.int64)
    stops = starts + np.array([block.n_elements for block in blocks], np.int64)
    raw = np.frombuffer(joined, np.uint8).reshape(-1, element.n_bytes)
    return element.found(order, rows(starts, stops), raw)


def needed_blocks(
    space: AddressSpace,
    element: ElementFormat,
    elements: WantedElements,
    at: Numbers,
    starts: Numbers,
    *,
    n_elements: Numbers | int,
    prefix_bytes: int,
) -> list[Block]:
    """Return those blocks that hold elements that are looked for.

    Parameters
    ----------
    space : AddressSpace
        The file.
    element : ElementFormat
        What blocks hold.
    elements : WantedElements
        What is looked for.
    at : ndarray of int64, shape (n,)
        Addresses of blocks that exist.
    starts : ndarray of int64, shape (n,)
        First element of each.
    n_elements : ndarray of int64, shape (n,), or int
        Elements of each.
    prefix_bytes : int
        As in `Block`.

    Raises
    ------
    MalformedFileError
        If the file cannot hold the blocks.
    """
    stops = starts + n_elements
    near = elements.may_be_in(starts, stops)
    at, starts, stops = at[near], starts[near], stops[near]
    check_room(space, at, prefix_bytes + (stops - starts) * element.n_bytes + CHECKSUM_BYTES)
    needed = elements.are_in(starts, stops)
    return [
        Block(where, prefix_bytes, start, stop - start)
        for where, start, stop in zip(at[needed].tolist(), starts[needed].tolist(), stops[needed].tolist(), strict=True)
    ]


def check_room(space: AddressSpace, addresses: Numbers, lengths: Numbers) -> None:
    """Raise if structures overlap or reach past the end: no damaged file makes more of them than it has bytes."""
    if not len(addresses):
        return
    order = np.argsort(addresses)
    starts, stops = addresses[order], (addresses + lengths)[order]
    if (starts[1:] < stops[:-1]).any():
        raise MalformedFileError("damaged: two blocks of an index of chunks are in the same place")
    if stops[-1] > space.image.size - space.base:
        raise MalformedFileError("truncated: a block of an index of chunks reaches past the end of the file")


def check_sorted(
    before: Sequence[Numbers], after: Sequence[Numbers], where: npt.NDArray[np.bool_] | None = None
) -> None:
    """Raise unless each position of `before` precedes that of `after`, lexicographically.

    One array per axis, all of one shape; what is false in `where` is not looked at.
    """
    order = np.zeros(before[0].shape, np.int8)
    for one, other in zip(before, after, strict=True):
        order = np.where(order == 0, np.sign(other - one), order)
    wrong = order <= 0 if where is None else where & (order <= 0)
    if wrong.any():
        raise MalformedFileError("damaged: the keys of a B-tree of chunks do not increase")
