"""Chunks that libhdf5 has to decode: it is given a file in memory that holds nothing but them.

For filters that no other library has: szip, scale-offset, n-bit, LZF, bitshuffle, Blosc2, and whatever else hdf5plugin
brings. A filter sees bytes and its options, never the type or the shape of a dataset, so that the file in memory is
one dataset of bytes whose pipeline is the stored one.

libhdf5 holds one lock for the whole process: only on the thread that asks, never in a pool.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module

import numpy as np
from h5py import h5d, h5f, h5s, h5z
from numcodecs.jenkins import jenkins_lookup3

from nwb_dask.backends.hdf5.boundary import H5PY_ERRORS
from nwb_dask.backends.hdf5.codecs import Bytes
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import Filter
from nwb_dask.storage import Buffer

MAX_CHUNKS = 1 << 10
"""As many as a fixed array holds without being paged."""

_PLUGINS = "hdf5plugin"
_MAX_FILTERS = 31
_MAX_OPTIONS = 1 << 13
_MAX_CHUNK_BYTES = (1 << 32) - 1
_NAMED = 256
_PAGE_BITS = 10
_UNDEFINED = b"\xff" * 8
_DATASET = b"x"

_LENGTH_CHECK = 511
"""Number of a filter of ours; those from 256 to 511 are free for tests and for use inside a program."""


def require_filters(filters: Iterable[Filter]) -> None:
    """Make filters known to libhdf5.

    Raises
    ------
    UnsupportedLayoutError
        If one is not to be had, with its number.
    """
    missing = [step for step in filters if not h5z.filter_avail(step.id)]
    if not missing:
        return
    with suppress(ImportError):
        import_module(_PLUGINS)  # registers its filters with libhdf5
    for step in missing:
        if not h5z.filter_avail(step.id):
            name = f" ({step.name})" if step.name else ""
            raise UnsupportedLayoutError(f"compressed with HDF5 filter {step.id}{name}, which is not installed")


def decode_with_libhdf5(
    stored: Sequence[Buffer], filters: Sequence[Filter], *, masks: Sequence[int], n_bytes: int
) -> Bytes:
    """Return the contents of chunks of one dataset, shape (n_chunks, n_bytes).

    Parameters
    ----------
    stored : sequence of buffers
        The chunks as stored; at most `MAX_CHUNKS`.
    filters : sequence of Filter
        In the order of writing.
    masks : sequence of int
        For each chunk, the filters that were skipped, by bit.
    n_bytes : int
        Contents of one chunk.

    Raises
    ------
    MalformedFileError
        If libhdf5 does not decode one to exactly `n_bytes`.
    UnsupportedLayoutError
        If a filter is not installed, or there are too many.
    """
    n_options = sum(len(step.options) for step in filters)
    if len(filters) > _MAX_FILTERS or n_options > _MAX_OPTIONS or n_bytes > _MAX_CHUNK_BYTES:
        raise UnsupportedLayoutError(f"{len(filters)} filters of {n_options} options on chunks of {n_bytes} bytes")
    if max(map(len, stored)) >= 1 << 8 * _size_bytes(n_bytes):
        raise MalformedFileError(f"damaged: a chunk of {n_bytes} bytes is stored in {max(map(len, stored))}")
    require_filters(filters)
    _register_length_check()
    # libhdf5 reads past the end of what a filter gives if that is too short, so that the length is checked last.
    steps = (Filter(_LENGTH_CHECK, (n_bytes,)), *filters)
    image = _image(stored, [mask << 1 for mask in masks], steps, n_bytes=n_bytes)
    out = np.empty((len(stored), n_bytes), np.uint8)
    try:
        file = h5f.open_file_image(image)
        try:
            h5d.open(file, _DATASET).read(h5s.ALL, h5s.ALL, out.reshape(-1))
        finally:
            file.close()
    except H5PY_ERRORS as exc:
        raise MalformedFileError(f"damaged: a chunk does not decode: {exc}") from exc
    return out


_FilterFunction = ctypes.CFUNCTYPE(
    ctypes.c_size_t,
    ctypes.c_uint,
    ctypes.c_size_t,
    ctypes.POINTER(ctypes.c_uint),
    ctypes.c_size_t,
    ctypes.POINTER(ctypes.c_size_t),
    ctypes.POINTER(ctypes.c_void_p),
)


class _FilterClass(ctypes.Structure):
    """``H5Z_class2_t`` of libhdf5."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("id", ctypes.c_int),
        ("encoder_present", ctypes.c_uint),
        ("decoder_present", ctypes.c_uint),
        ("name", ctypes.c_char_p),
        ("can_apply", ctypes.c_void_p),
        ("set_local", ctypes.c_void_p),
        ("filter", _FilterFunction),
    )


def _check_length(_flags: int, _n: int, options: ctypes.Array[ctypes.c_uint], n_bytes: int, *_buffer: object) -> int:
    """Return the length of what has been decoded if it is right, else 0, which libhdf5 takes for a failure."""
    return n_bytes if n_bytes == options[0] else 0


_LENGTH_CHECK_CLASS = _FilterClass(
    1, _LENGTH_CHECK, 1, 1, b"nwb_dask: length", None, None, _FilterFunction(_check_length)
)


@cache
def _register_length_check() -> None:
    h5z.register_filter(ctypes.addressof(_LENGTH_CHECK_CLASS))


def _size_bytes(n_bytes: int) -> int:
    """Return how wide the stored size of a chunk with `n_bytes` of contents is (*Fixed Array Data Block*)."""
    return min(1 + (n_bytes.bit_length() + 7) // 8, 8)


def _image(stored: Sequence[Buffer], masks: Sequence[int], filters: Sequence[Filter], *, n_bytes: int) -> bytes:
    """Return an HDF5 file of one dataset of bytes, whose chunks are `stored` (HDF5 File Format Specification, 3.0)."""
    at_root = 48
    at_dataset = at_root + len(_root(0))
    at_array = at_dataset + len(_dataset(filters, 0, n_chunks=0, n_bytes=n_bytes))
    size_bytes = _size_bytes(n_bytes)
    at_entries = at_array + len(_array_header(0, n_chunks=0, size_bytes=size_bytes))
    begin = (
        at_entries + len(_array_entries([], [], at_array, 0, size_bytes=size_bytes)) + len(stored) * (12 + size_bytes)
    )
    end = begin + sum(map(len, stored))
    superblock = b"\x89HDF\r\n\x1a\n\x02\x08\x08\x00" + struct.pack("<Q8sQQ", 0, _UNDEFINED, end, at_root)
    return b"".join(
        (
            _summed(superblock),
            _root(at_dataset),
            _dataset(filters, at_array, n_chunks=len(stored), n_bytes=n_bytes),
            _array_header(at_entries, n_chunks=len(stored), size_bytes=size_bytes),
            _array_entries(list(map(len, stored)), masks, at_array, begin, size_bytes=size_bytes),
            *stored,
        )
    )


def _root(dataset: int) -> bytes:
    """Return the object header of a group: *Link Info*, *Group Info*, and a *Link* to the dataset."""
    link = b"\x01\x00" + struct.pack("<B1sQ", len(_DATASET), _DATASET, dataset)
    return _object_header([(2, b"\x00\x00" + 2 * _UNDEFINED), (10, b"\x00\x00"), (6, link)])


def _dataset(filters: Sequence[Filter], index: int, *, n_chunks: int, n_bytes: int) -> bytes:
    """Return the object header of a dataset of unsigned bytes, one chunk after the other."""
    width = (n_bytes.bit_length() + 7) // 8
    pipeline = struct.pack("<BB", 2, len(filters))
    for step in filters:
        # Filters of the library have no name, others here an empty one.
        name = struct.pack("<H", 0) if step.id >= _NAMED else b""
        pipeline += struct.pack("<H", step.id) + name + struct.pack("<HH", 0, len(step.options))
        pipeline += struct.pack(f"<{len(step.options)}I", *step.options)
    dimensions = n_bytes.to_bytes(width, "little") + (1).to_bytes(width, "little")
    return _object_header(
        [
            (1, b"\x02\x01\x00\x01" + struct.pack("<Q", n_chunks * n_bytes)),
            (3, b"\x10\x00\x00\x00" + struct.pack("<IHH", 1, 0, 8)),
            (5, b"\x03\x0b"),
            (8, struct.pack("<5B", 4, 2, 0, 2, width) + dimensions + struct.pack("<BBQ", 3, _PAGE_BITS, index)),
            (11, pipeline),
        ]
    )


def _array_header(entries: int, *, n_chunks: int, size_bytes: int) -> bytes:
    """Return a *Fixed Array Header* for filtered chunks."""
    return _summed(b"FAHD" + struct.pack("<BBBBQQ", 0, 1, 12 + size_bytes, _PAGE_BITS, n_chunks, entries))


def _array_entries(sizes: Sequence[int], masks: Sequence[int], header: int, begin: int, *, size_bytes: int) -> bytes:
    """Return a *Fixed Array Data Block*: where each chunk is, its stored size, and its mask."""
    block = b"FADB" + struct.pack("<BBQ", 0, 1, header)
    for size, mask in zip(sizes, masks, strict=True):
        block += struct.pack("<Q", begin) + size.to_bytes(size_bytes, "little") + struct.pack("<I", mask)
        begin += size
    return _summed(block)


def _object_header(messages: Sequence[tuple[int, bytes]]) -> bytes:
    """Return a version 2 *Object Header*."""
    body = b"".join(struct.pack("<BHB", kind, len(message), 0) + message for kind, message in messages)
    return _summed(b"OHDR\x02\x02" + struct.pack("<I", len(body)) + body)


def _summed(structure: bytes) -> bytes:
    return structure + struct.pack("<I", jenkins_lookup3(structure, 0))
