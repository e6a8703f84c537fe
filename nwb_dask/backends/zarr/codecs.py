"""The codecs between elements and stored bytes: bytes in, bytes out. Pure, and safe in any thread.

None makes more than it is told that a chunk may hold. zlib, gzip, blosc and zstd leave the interpreter lock.
"""

from __future__ import annotations

import lzma
from collections.abc import Callable, Mapping
from typing import TypeAlias

import google_crc32c
import numpy as np
import pyarrow as pa
from isal import isal_zlib
from numcodecs import lz4

from nwb_dask.backends.hdf5 import codecs
from nwb_dask.backends.zarr import checks
from nwb_dask.backends.zarr.documents import Codec, Json
from nwb_dask.errors import MalformedFileError
from nwb_dask.storage import Buffer

Decode: TypeAlias = "Callable[[Buffer, Mapping[str, Json], int], Buffer]"
"""Stored bytes, options, and the most bytes that may come of them."""

_GZIP = 31
"""Window bits that mean a gzip header (zlib, *inflateInit2*)."""
_CHECKSUM_BYTES = 4
_ZSTD_RATIO = 15
"""A block of four bytes holds at most 128 KiB (RFC 8878, *RLE_Block*): as a shift."""
_LZ4_RATIO = 255
_PIECE_BYTES = 1 << 20
_LZMA_BYTES = 1 << 28
_MAX_ITEM_BYTES = 1 << 16


def decode_bytes(codec: Codec, data: Buffer, most: int) -> Buffer:
    """Return bytes as they were before a codec of `BYTES` wrote them.

    Raises
    ------
    MalformedFileError
        If they are damaged, or more than `most`.
    """
    return BYTES[codec.id](data, codec.options, most)


def _zlib(data: Buffer, _options: Mapping[str, Json], most: int) -> Buffer:
    return codecs.inflate(data, most)


def _gzip(data: Buffer, _options: Mapping[str, Json], most: int) -> Buffer:
    """Return what is in a gzip file, which may have several members."""
    out: list[bytes] = []
    left = most
    rest: Buffer = data
    while len(rest):
        stream = isal_zlib.decompressobj(_GZIP)
        try:
            out.append(stream.decompress(rest, left + 1))
        except isal_zlib.IsalError as exc:  # type: ignore[misc]  # its stub says instance, not class
            raise MalformedFileError(f"damaged: a gzip chunk does not decompress: {exc}") from exc
        left -= len(out[-1])
        if not stream.eof or left < 0:
            raise MalformedFileError("damaged: a gzip chunk is incomplete or decompresses to more than a chunk")
        rest = stream.unused_data
    return out[0] if len(out) == 1 else b"".join(out)


def _blosc(data: Buffer, _options: Mapping[str, Json], most: int) -> Buffer:
    declared = int.from_bytes(bytes(data[4:8]), "little")
    out = np.empty(_bounded(declared, most, "blosc"), np.uint8)
    codecs.decompress_blosc(data, out)
    return out.data


def _zstd(data: Buffer, _options: Mapping[str, Json], most: int) -> Buffer:
    declared = codecs.zstd_content_bytes(bytes(data[:18]))
    if declared is None:
        return _streamed_zstd(data, most)
    if declared > len(data) << _ZSTD_RATIO:
        raise MalformedFileError(f"damaged: a zstd chunk of {len(data)} bytes declares {declared}")
    out = np.empty(_bounded(declared, most, "zstd"), np.uint8)
    codecs.decompress_zstd(data, out)
    return out.data


def _streamed_zstd(data: Buffer, most: int) -> Buffer:
    """Return the contents of a frame that does not say how long they are."""
    out = bytearray()
    try:
        with pa.CompressedInputStream(pa.BufferReader(pa.py_buffer(data)), "zstd") as stream:
            while piece := stream.read(_PIECE_BYTES):
                out += piece
                if len(out) > most:
                    raise MalformedFileError("damaged: a zstd chunk decompresses to more than a chunk")
    except (OSError, pa.ArrowException) as exc:
        raise MalformedFileError(f"damaged: a zstd chunk does not decompress: {exc}") from exc
    return bytes(out)


def _lz4(data: Buffer, _options: Mapping[str, Json], most: int) -> Buffer:
    """Return an LZ4 block behind its length in four bytes, as numcodecs writes it."""
    declared = int.from_bytes(bytes(data[:4]), "little")
    if declared > len(data) * _LZ4_RATIO:
        raise MalformedFileError(f"damaged: an lz4 chunk of {len(data)} bytes declares {declared}")
    out = np.empty(_bounded(declared, most, "lz4"), np.uint8)
    try:
        lz4.decompress(data, out)
    except (RuntimeError, ValueError) as exc:
        raise MalformedFileError(f"damaged: an lz4 chunk does not decompress: {exc}") from exc
    return out.data


def _bz2(data: Buffer, _options: Mapping[str, Json], most: int) -> Buffer:
    return codecs.decompress_bzip2(data, most)


def _lzma(data: Buffer, options: Mapping[str, Json], most: int) -> Buffer:
    kind = options.get("format", lzma.FORMAT_XZ)
    raw = options.get("filters") if kind == lzma.FORMAT_RAW else None
    try:
        if raw is None:
            stream = lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=_LZMA_BYTES)
        else:
            stream = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[dict(one) for one in raw])
        out = stream.decompress(bytes(data), most + 1)
    except (lzma.LZMAError, EOFError, TypeError, ValueError) as exc:
        raise MalformedFileError(f"damaged: an lzma chunk does not decompress: {exc}") from exc
    if len(out) > most or (raw is None and not stream.eof):
        raise MalformedFileError("damaged: an lzma chunk is incomplete or decompresses to more than a chunk")
    return out


def _shuffle(data: Buffer, options: Mapping[str, Json], _most: int) -> Buffer:
    size = checks.integer(options.get("elementsize", 4), "the item of a shuffle", most=_MAX_ITEM_BYTES)
    return codecs.unshuffle(data, size)


def _fletcher32(data: Buffer, _options: Mapping[str, Json], _most: int) -> Buffer:
    return codecs.verify_fletcher32(data)


def _crc32(data: Buffer, options: Mapping[str, Json], _most: int) -> Buffer:
    return _checked(data, options.get("location", "start"), isal_zlib.crc32)


def _adler32(data: Buffer, options: Mapping[str, Json], _most: int) -> Buffer:
    return _checked(data, options.get("location", "start"), isal_zlib.adler32)


def _crc32c(data: Buffer, options: Mapping[str, Json], _most: int) -> Buffer:
    return _checked(data, options.get("location", "end"), lambda body: google_crc32c.value(bytes(body)))


def _checked(data: Buffer, location: Json, checksum: Callable[[Buffer], int]) -> Buffer:
    """Return bytes without the checksum of four bytes before or behind them, which has to be theirs."""
    if len(data) < _CHECKSUM_BYTES:
        raise MalformedFileError("damaged: a chunk is shorter than its checksum")
    view = memoryview(data)
    if location == "start":
        stored, body = view[:_CHECKSUM_BYTES], view[_CHECKSUM_BYTES:]
    else:
        stored, body = view[-_CHECKSUM_BYTES:], view[:-_CHECKSUM_BYTES]
    if int.from_bytes(stored, "little") != checksum(body):
        raise MalformedFileError("damaged: the checksum of a chunk is not that of what is stored")
    return body


def _bounded(declared: int, most: int, name: str) -> int:
    if declared > most:
        raise MalformedFileError(f"damaged: a {name} chunk declares {declared} bytes, and a chunk has {most}")
    return declared


BYTES: Mapping[str, Decode] = {
    "adler32": _adler32,
    "blosc": _blosc,
    "bz2": _bz2,
    "crc32": _crc32,
    "crc32c": _crc32c,
    "fletcher32": _fletcher32,
    "gzip": _gzip,
    "lz4": _lz4,
    "lzma": _lzma,
    "shuffle": _shuffle,
    "zlib": _zlib,
    "zstd": _zstd,
}
"""Codecs that take bytes for bytes, by their id."""
