"""Object headers: the messages that say what an object is."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache, partial
from struct import Struct
from typing import Literal, NamedTuple, TypeAlias

from nwb_dask.backends.hdf5.format.space import AddressSpace, gather, number
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError

DATASPACE, LINK_INFO, DATATYPE, OLD_FILL, FILL, LINK, EXTERNAL_FILES = range(0x01, 0x08)
LAYOUT, FILTERS, ATTRIBUTE = 0x08, 0x0B, 0x0C
CONTINUATION, SYMBOL_TABLE, DRIVER, ATTRIBUTE_INFO = 0x10, 0x11, 0x14, 0x15
_NIL = 0x00
_LAST_KNOWN = 0x18
"""Cache image: the latest that the specification has."""

_SHARED = 0x02
_FAIL_IF_UNKNOWN = 0x80
_SHARED_IN_HEAP = 1
_SHARED_VERSIONS = range(1, 4)
_TYPED_SHARED_VERSION = 3

_SIGNATURE, _BLOCK_SIGNATURE = b"OHDR", b"OCHK"
_CHECKSUM_BYTES = 4
_LEAST_BYTES = 11
"""Of an object header of version 2; one of version 1 is longer."""
_OLD_VERSION, _OLD_PREFIX_BYTES = 1, 16
_TIMES, _PHASES, _ORDERED, _UNKNOWN_FLAGS = 0x20, 0x10, 0x04, 0xC0
_OLD_MESSAGE = Struct("<HHB3x")
_MESSAGE = Struct("<BHB")
_ORDERED_MESSAGE = Struct("<BHB2x")
_KEPT_BYTES = 2048
"""Of a block of messages that is remembered."""
_MAX_MESSAGES = 1 << 18
"""65535 attributes and as many links may be in a header; more stand elsewhere."""


class Message(NamedTuple):
    """One message of an object header."""

    type: int
    flags: int
    body: memoryview


_Parsed: TypeAlias = "tuple[tuple[Message, ...], tuple[memoryview, ...], int]"


def read_messages(space: AddressSpace, address: int) -> tuple[Message, ...]:
    """Return the messages of an object, shared ones as if they were its own.

    Parameters
    ----------
    space : AddressSpace
        The file.
    address : int
        Of the object header, of version 1 or 2.

    Returns
    -------
    tuple of Message
        In the order of the header and its continuation blocks, without these and without empty ones.

    Raises
    ------
    MalformedFileError
        If the header is damaged.
    UnsupportedLayoutError
        If a message is in the heap of shared messages, or is unknown and must be known.

    References
    ----------
    HDF5 File Format Specification, *Data Object Headers*.
    """
    found, flags = _own_messages(space, address)
    if flags & _SHARED:
        return tuple(gather(partial(_resolved, space, message) for message in found))
    return found


def read_first_messages(space: AddressSpace, address: int) -> tuple[Message, ...]:
    """Return the messages in the first block of an object header, as they stand: those written when it was made.

    What was added later may be in continuation blocks, each of which costs a read. Raises as `read_messages`.
    """
    form, block = _first_block(space, address)
    return _messages_in(block, form)[0]


def get_body(messages: Iterable[Message], kind: int) -> memoryview | None:
    """Return the body of the first message of a type, or None."""
    for message in messages:
        if message.type == kind:
            return message.body
    return None


def find_body(messages: Iterable[Message], kind: int, *, what: str) -> memoryview:
    """Return the body of the first message of a type; a MalformedFileError says that `what` is missing."""
    body = get_body(messages, kind)
    if body is None:
        raise MalformedFileError(f"damaged: the object has no {what}")
    return body


def kind_of(messages: Iterable[Message]) -> Literal["group", "array", "datatype"]:
    """Return what an object is, told by its messages as libhdf5 does.

    Raises
    ------
    MalformedFileError
        If they are of none.
    """
    kinds = {message.type for message in messages}
    if SYMBOL_TABLE in kinds or LINK_INFO in kinds:
        return "group"
    if DATATYPE in kinds:
        return "array" if DATASPACE in kinds else "datatype"
    raise MalformedFileError("damaged: the object is neither a group nor a dataset nor a datatype")


def shared_body(space: AddressSpace, pointer: memoryview, kind: int) -> memoryview:
    """Return the body of a message that another object holds, such as a committed datatype.

    Parameters
    ----------
    space : AddressSpace
        The file.
    pointer : memoryview
        What stands instead of the body (HDF5 File Format Specification, *Shared Message*, versions 1 to 3).
    kind : int
        Type of the message.

    Raises
    ------
    UnsupportedLayoutError
        If it is in the heap of shared messages.
    """
    version = number(pointer, 0, 1)
    if version not in _SHARED_VERSIONS:
        raise UnsupportedLayoutError(f"shared messages of version {version} are not read")
    if version == _TYPED_SHARED_VERSION and number(pointer, 1, 1) == _SHARED_IN_HEAP:
        if not space.may_share:
            raise MalformedFileError("damaged: it has a message in a heap of shared messages, and there is none")
        raise UnsupportedLayoutError("it has a message in the heap of shared messages, which is not read")
    # Version 1 is a symbol table entry: a name comes before the address.
    address = space.offset(pointer, 8 + space.length_bytes if version == 1 else 2)
    if address is None:
        raise MalformedFileError("damaged: a shared message is nowhere")
    for message in _own_messages(space, address)[0]:
        if message.type == kind and not message.flags & _SHARED:
            return message.body
    raise MalformedFileError(f"damaged: the object at {address} should share a message and has none of its type")


def _resolved(space: AddressSpace, message: Message) -> Message:
    if not message.flags & _SHARED:
        return message
    return Message(message.type, message.flags & ~_SHARED, shared_body(space, message.body, message.type))


def _own_messages(space: AddressSpace, address: int) -> tuple[tuple[Message, ...], int]:
    """Return the messages as they stand in the header and its continuation blocks, and all their flags."""
    form, block = _first_block(space, address)
    found, onward, flags = _messages_in(block, form)
    if not onward:
        return found, flags
    if len(onward) == 1:
        start, size = _continuation(space, onward[0])
        if start != address and size <= space.image.size:
            more, further, of_block = _messages_in(_block(space, start, size, form), form)
            if not further:
                _check_number(len(found) + len(more))
                return found + more, flags | of_block
    out = list(found)
    seen = {address}
    n_bytes = 0
    while onward:
        following = [_continuation(space, body) for body in onward]
        n_bytes += sum([size for _, size in following])
        n_seen = len(seen) + len(following)
        seen.update([start for start, _ in following])
        if len(seen) < n_seen or n_bytes > space.image.size:
            raise MalformedFileError("damaged: an object header continues in itself")
        onward = ()
        reads = [partial(_block, space, start, size, form) for start, size in following]
        for block in gather(reads) if len(reads) > 1 else [reads[0]()]:
            found, further, of_block = _messages_in(block, form)
            out += found
            onward += further
            flags |= of_block
        _check_number(len(out) + len(onward))
    return tuple(out), flags


def _first_block(space: AddressSpace, address: int) -> tuple[Struct, memoryview]:
    """Return the form of messages in a header and those in its first block, undivided."""
    left = space.image.size - space.base - address
    head = space.read(address, min(max(left, _LEAST_BYTES), _OLD_PREFIX_BYTES))
    if head[0] == _OLD_VERSION:
        if left < _OLD_PREFIX_BYTES:
            head = space.read(address, _OLD_PREFIX_BYTES)
        return _OLD_MESSAGE, space.read(address + _OLD_PREFIX_BYTES, int.from_bytes(head[8:12], "little"))
    if head[:4] != _SIGNATURE:
        raise MalformedFileError(f"damaged: there is no object header at {address}")
    version, flags = head[4], head[5]
    if version != 2:  # noqa: PLR2004  # the only one with a signature
        raise UnsupportedLayoutError(f"object headers of version {version} are not read")
    if flags & _UNKNOWN_FLAGS:
        raise MalformedFileError(f"damaged: an object header has unknown flags {flags:#x}")
    at = 6 + (16 if flags & _TIMES else 0) + (4 if flags & _PHASES else 0)
    first = at + (1 << (flags & 3))
    n_bytes = number(head if first <= len(head) else space.read(address, first), at, first - at)
    whole = space.checked(address, first + n_bytes + _CHECKSUM_BYTES, what="an object header")
    return _ORDERED_MESSAGE if flags & _ORDERED else _MESSAGE, whole[first:]


def _block(space: AddressSpace, start: int, n_bytes: int, form: Struct) -> memoryview:
    """Return the messages in a continuation block, undivided (*Object Header Continuation Block*)."""
    if form is _OLD_MESSAGE:
        return space.read(start, n_bytes)
    block = space.checked(start, n_bytes, what="a continuation block of an object header")
    if block[:4] != _BLOCK_SIGNATURE:
        raise MalformedFileError(f"damaged: there is no continuation of an object header at {start}")
    return block[4:]


def _continuation(space: AddressSpace, body: memoryview) -> tuple[int, int]:
    start, n_bytes = space.offset(body, 0), space.length(body, space.offset_bytes)
    if start is None or not n_bytes:
        raise MalformedFileError("damaged: an object header continues nowhere")
    return start, n_bytes


def _messages_in(block: memoryview, form: Struct) -> _Parsed:
    """Return the messages of a block that are not empty, the bodies of continuations, and the flags of all.

    Their bodies can be hashed.
    """
    stored = bytes(block)
    return _kept(stored, form) if len(stored) <= _KEPT_BYTES else _parsed(stored, form)


def _parsed(stored: bytes, form: Struct) -> _Parsed:
    """Return what is in a block; what is too short for a message is a gap."""
    block = memoryview(stored)
    out: list[Message] = []
    onward: list[memoryview] = []
    unpack, head_bytes = form.unpack_from, form.size
    at, end = 0, len(block)
    every = 0
    while at + head_bytes <= end:
        kind, n_bytes, flags = unpack(block, at)
        start = at + head_bytes
        at = start + n_bytes
        if at > end:
            raise MalformedFileError("damaged: a message reaches past the end of its object header")
        if kind == CONTINUATION:
            onward.append(block[start:at])
        elif kind > _LAST_KNOWN and flags & _FAIL_IF_UNKNOWN:
            raise UnsupportedLayoutError(f"it has a message of unknown type {kind}, which it says must be known")
        elif kind != _NIL:
            out.append(Message(kind, flags, block[start:at]))
            every |= flags
    _check_number(len(out) + len(onward))
    return tuple(out), tuple(onward), every


# Objects of the same kind have the same header in many files of one writer.
_kept = lru_cache(maxsize=2048)(_parsed)


def _check_number(n_messages: int) -> None:
    if n_messages > _MAX_MESSAGES:
        raise MalformedFileError(f"damaged: an object header of more than {_MAX_MESSAGES} messages")
