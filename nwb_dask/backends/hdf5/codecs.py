"""The codecs behind HDF5's filters, one function each: bytes in, bytes out.

Pure, and safe in any thread; numcodecs and isal leave the interpreter lock while they work, except for the checksum.
None allocates more than it is told that a chunk may hold.
"""

from __future__ import annotations

from bz2 import BZ2Decompressor
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from isal import isal_zlib
from numcodecs import blosc, lz4, zstd
from numcodecs.fletcher32 import Fletcher32

from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.storage import Buffer

Bytes: TypeAlias = npt.NDArray[np.uint8]
Index: TypeAlias = "tuple[slice | npt.NDArray[np.int64], ...]"

CHECKSUM_BYTES = 4
INFLATION = 1032
"""Most bytes that deflate makes of one."""

_BLOSC_HEADER_BYTES = 16
_BLOSC_COPIED = 0x2
_BLOSC_SNAPPY = 2
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_FEW_PLANES = 32
_REFUSALS = (RuntimeError, ValueError)
"""What numcodecs raises about damaged data."""

_fletcher32 = Fletcher32()


def inflate(data: Buffer, n_out: int) -> bytes:
    """Return a zlib stream decompressed.

    Raises
    ------
    MalformedFileError
        If it is damaged, incomplete, or holds more than `n_out` bytes.
    """
    stream = isal_zlib.decompressobj()
    try:
        out = stream.decompress(data, n_out)
        if not stream.eof and len(out) == n_out:
            # The checksum at the end is read only when there is room for more.
            out += stream.decompress(stream.unconsumed_tail, 1)
    except isal_zlib.IsalError as exc:  # type: ignore[misc]  # its stub says instance, not class
        raise MalformedFileError(f"damaged: a gzip chunk does not decompress: {exc}") from exc
    if not stream.eof:
        raise MalformedFileError("damaged: a gzip chunk is incomplete or decompresses to more than a chunk")
    return out


def decompress_bzip2(data: Buffer, n_out: int) -> bytes:
    """Return a bzip2 stream decompressed; raises as `inflate`."""
    stream = BZ2Decompressor()
    try:
        out = stream.decompress(data, n_out)
        while not stream.eof and not stream.needs_input and len(out) <= n_out:
            out += stream.decompress(b"", n_out + 1 - len(out))
    except (OSError, EOFError) as exc:
        raise MalformedFileError(f"damaged: a bzip2 chunk does not decompress: {exc}") from exc
    if not stream.eof or len(out) > n_out:
        raise MalformedFileError("damaged: a bzip2 chunk is incomplete or decompresses to more than a chunk")
    return out


def decompress_zstd(data: Buffer, out: Bytes) -> None:
    """Fill `out` with the contents of a Zstandard frame, which must be exactly as long.

    Raises
    ------
    MalformedFileError
        If they are not, or the frame is damaged.

    References
    ----------
    RFC 8878, *Frame_Header*; the filter's own reader also needs the size in it.
    """
    declared = zstd_content_bytes(bytes(data[:18]))
    if declared != len(out):
        raise MalformedFileError(f"damaged: a zstd chunk declares {declared} bytes in place of {len(out)}")
    try:
        zstd.decompress(data, out)
    except _REFUSALS as exc:
        raise MalformedFileError(f"damaged: a zstd chunk does not decompress: {exc}") from exc


def zstd_content_bytes(head: bytes) -> int | None:
    """Return how many bytes a Zstandard frame says that it holds; None if it does not say it, or is none.

    Parameters
    ----------
    head : bytes
        The first 18 bytes of the frame.
    """
    if len(head) <= len(_ZSTD_MAGIC) or not head.startswith(_ZSTD_MAGIC):
        return None
    descriptor = head[4]
    is_single = bool(descriptor & 0x20)
    begin = 5 + (not is_single) + (0, 1, 2, 4)[descriptor & 3]
    n_bytes = (int(is_single), 2, 4, 8)[descriptor >> 6]
    field = head[begin : begin + n_bytes]
    if not n_bytes or len(field) < n_bytes:
        return None
    return int.from_bytes(field, "little") + (256 if n_bytes == 2 else 0)  # noqa: PLR2004  # as the format has it


def decompress_blosc(data: Buffer, out: Bytes) -> None:
    """Fill `out` with the contents of a Blosc 1 chunk, which must be exactly as long.

    Raises
    ------
    MalformedFileError
        If they are not, or the chunk is damaged.
    UnsupportedLayoutError
        If it is compressed with snappy.

    References
    ----------
    c-blosc, *README_CHUNK_FORMAT*.
    """
    head = bytes(data[:_BLOSC_HEADER_BYTES])
    n_bytes, stored = int.from_bytes(head[4:8], "little"), int.from_bytes(head[12:16], "little")
    # Blosc itself trusts the header about the length of its input.
    if len(head) < _BLOSC_HEADER_BYTES or not _BLOSC_HEADER_BYTES <= stored <= len(data):
        raise MalformedFileError("damaged: a blosc chunk is shorter than it declares")
    if n_bytes != len(out):
        raise MalformedFileError(f"damaged: a blosc chunk declares {n_bytes} bytes in place of {len(out)}")
    if head[2] >> 5 == _BLOSC_SNAPPY and not head[2] & _BLOSC_COPIED:
        raise UnsupportedLayoutError("a chunk is compressed with snappy inside blosc")
    try:
        blosc.decompress(data, out)
    except _REFUSALS as exc:
        raise MalformedFileError(f"damaged: a blosc chunk does not decompress: {exc}") from exc


def decompress_lz4(data: Buffer, out: Bytes) -> None:
    """Fill `out` with the contents of LZ4 blocks in HDF5's framing, which must be exactly as long.

    The frame is big-endian: the decompressed size in eight bytes, that of a block in four, then each block after
    its stored size in four. A block that did not shrink is stored as it is.

    Raises
    ------
    MalformedFileError
        If they are not, or a block is damaged.

    References
    ----------
    HDF Group, *Registered Filter Plugins*, 32004.
    """
    n_bytes, block_bytes = int.from_bytes(data[:8], "big"), int.from_bytes(data[8:12], "big")
    if n_bytes != len(out) or not block_bytes:
        raise MalformedFileError(f"damaged: an lz4 chunk declares {n_bytes} bytes in place of {len(out)}")
    # numcodecs wants the decompressed size before each block, little-endian, where HDF5 has the stored size.
    stored = bytearray(data)
    view = memoryview(stored)
    at = 12
    for begin in range(0, n_bytes, block_bytes):
        n_block = min(block_bytes, n_bytes - begin)
        size = int.from_bytes(stored[at : at + 4], "big")
        stop = at + 4 + size
        if not size or stop > len(stored):
            raise MalformedFileError("damaged: an lz4 chunk is shorter than it declares")
        block = out[begin : begin + n_block]
        if size == n_block:
            block[:] = np.frombuffer(view[at + 4 : stop], np.uint8)
        else:
            stored[at : at + 4] = n_block.to_bytes(4, "little")
            try:
                lz4.decompress(view[at:stop], block)
            except _REFUSALS as exc:
                raise MalformedFileError(f"damaged: an lz4 chunk does not decompress: {exc}") from exc
        at = stop


def unshuffle(data: Buffer, size: int) -> Buffer:
    """Return items of `size` bytes whose first bytes stand together, then their second ones, and so on."""
    if size <= 1 or len(data) < size:
        return data
    stored = np.frombuffer(data, np.uint8)
    n_items = len(stored) // size
    out = np.empty(len(stored), np.uint8)
    body = n_items * size
    unshuffle_into(out[:body].view(f"V{size}"), stored[:body].reshape(size, n_items), (slice(None),))
    # What does not fill an item is left in place (HDF5, H5Zshuffle.c).
    out[body:] = stored[body:]
    return out.data


def unshuffle_into(out: npt.NDArray[np.generic], planes: Bytes, pick: Index) -> None:
    """Fill `out` with the items at `pick`.

    Parameters
    ----------
    out : ndarray, shape of ``planes[0][pick]``
        Items of ``len(planes)`` bytes; any strides.
    planes : ndarray of uint8, shape (n_bytes_of_an_item, ...)
        One array of items for each byte of an item.
    pick : tuple
        Index of the items, without a new axis.
    """
    size = len(planes)
    if size == 2:  # noqa: PLR2004  # the items of most recordings; vectorised, unlike copies of single bytes
        words = out.view("<u2")
        np.left_shift(planes[1][pick], 8, out=words, dtype=words.dtype)
        np.bitwise_or(words, planes[0][pick], out=words)
        return
    items = out[..., np.newaxis].view(np.uint8)
    if size > _FEW_PLANES:
        items[...] = np.moveaxis(planes[(slice(None), *pick)], 0, -1)
        return
    for number in range(size):
        items[..., number] = planes[number][pick]


def verify_fletcher32(data: Buffer) -> Buffer:
    """Return `data` without the checksum in its last four bytes.

    Raises
    ------
    MalformedFileError
        If it is not HDF5's Fletcher checksum of what is before it.
    """
    if len(data) <= CHECKSUM_BYTES:
        raise MalformedFileError("damaged: a chunk is shorter than its checksum")
    body = data[:-CHECKSUM_BYTES]
    try:
        _fletcher32.decode(data)
    except RuntimeError:
        # HDF5 before 1.6.3 wrote the bytes of each half the other way round; libhdf5 takes both.
        first, second, third, fourth = data[-CHECKSUM_BYTES:]
        try:
            _fletcher32.decode(b"".join((body, bytes((second, first, fourth, third)))))
        except RuntimeError as exc:
            raise MalformedFileError("damaged: the checksum of a chunk is wrong") from exc
    return body
