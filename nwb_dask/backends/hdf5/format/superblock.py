"""The superblock: where a file's structures begin and how wide their numbers are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from nwb_dask.backends.hdf5.format.object_header import DRIVER, get_body, read_messages
from nwb_dask.backends.hdf5.format.space import AddressSpace, Image, gather, number
from nwb_dask.backends.hdf5.format.stored_link import SymbolTable
from nwb_dask.backends.hdf5.format.symbol_table import CACHED_GROUP
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError

SIGNATURE = b"\x89HDF\r\n\x1a\n"

_FIRST_USER_BLOCK = 512
_WIDTHS = frozenset({2, 4, 8})
_WIDER = frozenset({16, 32})
_OPEN_FOR_WRITING = 0b101
_SPLITTING = {b"NCSAfami": "family", b"NCSAmult": "multi"}
_ENTRY_VERSION, _CHECKED_VERSION, _FLAGGED_VERSION = 1, 2, 3
_SHARED_MESSAGES = 0x0F


@dataclass(frozen=True, slots=True)
class Superblock:
    """How to read a file, and where to begin."""

    space: AddressSpace
    root: int
    """Object header of the root group, counted from the superblock."""
    table: SymbolTable | None = None
    """Where the members of the root group are, as far as the superblock says so."""


@dataclass(frozen=True, slots=True)
class _Start:
    """What all versions say."""

    space: AddressSpace
    base: int
    """Position of the superblock when the file was written: a user block may have been put before it since."""
    end: int
    """End of the file, counted from where `base` counts."""
    root: int | None
    extra: int | None
    """Driver information block of versions 0 and 1, superblock extension of versions 2 and 3."""
    table: SymbolTable | None = None


def read_superblock(image: Image) -> Superblock:
    """Return the superblock of a file (HDF5 File Format Specification, *Format Signature and Superblock*).

    Addresses count from where it is found, whatever base address it holds: so does libhdf5.

    Raises
    ------
    MalformedFileError
        If there is none, it is damaged, the file ends before it says, or a writer has the file open or never
        closed it.
    UnsupportedLayoutError
        If its addresses are wider than 8 bytes, it is of a later version, or the file is one of several parts.
    """
    base = _position(image)
    version = image.view(base, base + 9)[8]
    if version > _FLAGGED_VERSION:
        raise UnsupportedLayoutError(f"superblocks of version {version} are not read")
    start = _old(image, base, version) if version <= _ENTRY_VERSION else _checked(image, base, version)
    end = start.end + base - start.base
    if end > image.size:
        raise MalformedFileError(f"truncated: the file should have {end} bytes and has {image.size}")
    if start.root is None:
        raise MalformedFileError("damaged: the superblock does not say where the root group is")
    if start.extra is not None:
        _refuse_parts(start.space, start.extra, version)
    return Superblock(replace(start.space, may_share=_may_share(start, version)), start.root, start.table)


def _position(image: Image) -> int:
    n_bytes = len(SIGNATURE)
    if image.size < n_bytes:
        raise MalformedFileError("not an HDF5 file: it is shorter than a signature")
    if image.view(0, n_bytes) == SIGNATURE:
        return 0
    starts = []
    start = _FIRST_USER_BLOCK
    while start + n_bytes <= image.size:
        starts.append(start)
        start *= 2
    for start, head in zip(starts, gather(partial(image.view, at, at + n_bytes) for at in starts), strict=True):
        if head == SIGNATURE:
            return start
    raise MalformedFileError("not an HDF5 file: it has no superblock")


def _space(image: Image, base: int, offset_bytes: int, length_bytes: int) -> AddressSpace:
    for width in (offset_bytes, length_bytes):
        if width in _WIDER:
            raise UnsupportedLayoutError(f"files with addresses or lengths of {width} bytes are not read")
        if width not in _WIDTHS:
            raise MalformedFileError(f"damaged: addresses or lengths of {width} bytes")
    return AddressSpace(image, base, offset_bytes, length_bytes)


def _defined(space: AddressSpace, data: memoryview, at: int) -> int:
    value = space.offset(data, at)
    if value is None:
        raise MalformedFileError("damaged: the superblock does not say where the file begins or ends")
    return value


def _old(image: Image, base: int, version: int) -> _Start:
    """Return a superblock of version 0 or 1, which ends with the symbol table entry of the root group."""
    head = image.view(base, base + 16)
    if head[9] or head[10] or head[12]:
        raise MalformedFileError("damaged: the superblock names unknown versions of its parts")
    space = _space(image, base, head[13], head[14])
    width = space.offset_bytes
    # Version 1 has the K of chunk indexes before the addresses, with two reserved bytes.
    first = 24 + (4 if version == _ENTRY_VERSION else 0)
    # The name in a symbol table entry is as wide as a length, whatever the specification says: so does libhdf5.
    entry = first + 4 * width + space.length_bytes
    data = image.view(base, base + entry + 3 * width + 8)
    tree, heap = space.offset(data, entry + width + 8), space.offset(data, entry + 2 * width + 8)
    is_group = number(data, entry + width, 4) == CACHED_GROUP
    # In order: base, free space, end of file, driver information; then the name and the object header of the root.
    return _Start(
        space,
        _defined(space, data, first),
        _defined(space, data, first + 2 * width),
        space.offset(data, entry),
        space.offset(data, first + 3 * width),
        SymbolTable(tree, heap) if is_group and tree is not None and heap is not None else None,
    )


def _checked(image: Image, base: int, version: int) -> _Start:
    """Return a superblock of version 2 or 3, which has a checksum."""
    head = image.view(base, base + 12)
    space = _space(image, base, head[9], head[10])
    width = space.offset_bytes
    data = space.checked(0, 16 + 4 * width, what="the superblock")
    # Since version 3 writers mark a file that they have open; libhdf5 does not open it either.
    if version == _FLAGGED_VERSION and data[11] & _OPEN_FOR_WRITING:
        message = "damaged: a writer has the file open, or did not close it; `h5clear -s` takes the mark away"
        raise MalformedFileError(message)
    return _Start(
        space,
        _defined(space, data, 12),
        _defined(space, data, 12 + 2 * width),
        space.offset(data, 12 + 3 * width),
        space.offset(data, 12 + width),
    )


def _may_share(start: _Start, version: int) -> bool:
    """Return whether the file has a table of shared messages (*Shared Message Table Message*)."""
    if version < _CHECKED_VERSION or start.extra is None:
        return False
    return get_body(read_messages(start.space, start.extra), _SHARED_MESSAGES) is not None


def _refuse_parts(space: AddressSpace, address: int, version: int) -> None:
    """Raise if the file was written as several (*File Driver Info*, *Driver Info Message*)."""
    if version >= _CHECKED_VERSION:
        message = get_body(read_messages(space, address), DRIVER)
        name = b"" if message is None else bytes(message[1:9])
    else:
        name = bytes(space.read(address, 16)[8:])
    if name in _SPLITTING:
        raise UnsupportedLayoutError(f"it is one part of a file that the {_SPLITTING[name]} driver wrote as several")
