"""Undoes the filters that most NWB files use: gzip, shuffle, fletcher32. Pure, and safe in any thread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from nwb_dask.errors import MalformedFileError
from nwb_dask.index import Filter
from nwb_dask.storage import Buffer

GZIP, SHUFFLE, FLETCHER32 = 1, 2, 3
DECODED_HERE = frozenset({GZIP, SHUFFLE, FLETCHER32})

_CHECKSUM_BYTES = 4
# Sums of 16-bit words times their position stay below 2**63 over this many words.
_WORDS_AT_ONCE = 1 << 20


def decode(data: Buffer, filters: Sequence[Filter], *, mask: int, n_bytes: int) -> Buffer:
    """Return the contents of a chunk.

    Parameters
    ----------
    data : buffer
        The chunk as stored.
    filters : sequence of Filter
        In the order of writing; only those of `DECODED_HERE`.
    mask : int
        Bit i is set if filter i was skipped for this chunk.
    n_bytes : int
        Size of the contents; never more is allocated.

    Raises
    ------
    MalformedFileError
        If the data do not decode to exactly `n_bytes`, or the checksum is wrong.
    """
    for number in reversed(range(len(filters))):
        if mask >> number & 1:
            continue
        step = filters[number]
        if step.id == GZIP:
            # A checksum may still be at the end, if it was taken before compression.
            data = _inflate(data, limit=n_bytes + _CHECKSUM_BYTES * len(filters))
        elif step.id == SHUFFLE:
            data = _unshuffle(data, size=step.options[0] if step.options else 1)
        else:
            data = _checked(data)
    if len(data) != n_bytes:
        raise MalformedFileError(f"damaged: a chunk of {n_bytes} bytes decodes to {len(data)}")
    return data


def _inflate(data: Buffer, *, limit: int) -> bytes:
    stream = isal_zlib.decompressobj()
    try:
        out = stream.decompress(data, limit)
        if not stream.eof and len(out) == limit:
            out += stream.decompress(stream.unconsumed_tail, 1)
    except isal_zlib.IsalError as exc:  # type: ignore[misc]  # its stub says instance, not class
        raise MalformedFileError(f"damaged: a gzip chunk does not decompress: {exc}") from exc
    if not stream.eof:
        raise MalformedFileError("damaged: a gzip chunk is incomplete or decompresses to more than a chunk")
    return out


def _unshuffle(data: Buffer, *, size: int) -> Buffer:
    if size <= 1 or len(data) < size:
        return data
    stored = np.frombuffer(data, np.uint8)
    n_items = len(stored) // size
    out = np.empty(len(stored), np.uint8)
    planes = stored[: n_items * size].reshape(size, n_items)
    items = out[: n_items * size].reshape(n_items, size)
    for byte in range(size):
        items[:, byte] = planes[byte]
    # What does not fill an element is left in place (HDF5, H5Zshuffle.c).
    out[n_items * size :] = stored[n_items * size :]
    return out.data


def _checked(data: Buffer) -> Buffer:
    if len(data) < _CHECKSUM_BYTES:
        raise MalformedFileError("damaged: a chunk is shorter than its checksum")
    body = data[:-_CHECKSUM_BYTES]
    stored = int.from_bytes(data[-_CHECKSUM_BYTES:], "little")
    high, low = _fletcher32(np.frombuffer(body, np.uint8))
    # HDF5 before 1.6.3 wrote the bytes of each half the other way round; libhdf5 takes both.
    swapped = int.from_bytes(bytes(data[-_CHECKSUM_BYTES:][i] for i in (1, 0, 3, 2)), "little")
    # 0 and 65535 are the same in the arithmetic of this checksum.
    if not any(((value >> 16) % 65535, (value & 65535) % 65535) == (high, low) for value in (stored, swapped)):
        raise MalformedFileError("damaged: the checksum of a chunk is wrong")
    return body


def _fletcher32(body: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Return the two halves of HDF5's Fletcher checksum over big-endian words, modulo 65535."""
    if len(body) % 2:
        body = np.concatenate((body, np.zeros(1, np.uint8)))
    words = body.view(">u2")
    total = weighted = 0
    for start in range(0, len(words), _WORDS_AT_ONCE):
        block = words[start : start + _WORDS_AT_ONCE].astype(np.int64)
        weights = np.arange(len(block), 0, -1, dtype=np.int64)
        weighted = (weighted + total * len(block) + int(block @ weights)) % 65535
        total = (total + int(block.sum())) % 65535
    return weighted, total
