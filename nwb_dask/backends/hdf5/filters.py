"""Undoes the filters of chunks, as far as codecs outside libhdf5 do it. Pure, and safe in any thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5 import codecs
from nwb_dask.backends.hdf5.codecs import Bytes, Index
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import Filter
from nwb_dask.storage import Buffer

GZIP, SHUFFLE, FLETCHER32, BZIP2, BLOSC, LZ4, ZSTD = 1, 2, 3, 307, 32001, 32004, 32015

_RETURNING: dict[int, Callable[[Buffer, int], Buffer]] = {GZIP: codecs.inflate, BZIP2: codecs.decompress_bzip2}
_FILLING: dict[int, Callable[[Buffer, Bytes], None]] = {
    BLOSC: codecs.decompress_blosc,
    LZ4: codecs.decompress_lz4,
    ZSTD: codecs.decompress_zstd,
}
DECODED_HERE = frozenset({SHUFFLE, FLETCHER32, *_RETURNING, *_FILLING})


def is_decoded_here(filters: Sequence[Filter], mask: int) -> bool:
    """Return whether `decode` takes a pipeline: known filters, and at most one that changes the size at will."""
    ids = [step.id for step in _used(filters, mask)]
    return DECODED_HERE.issuperset(ids) and len(ids) - ids.count(SHUFFLE) - ids.count(FLETCHER32) <= 1


def decode(data: Buffer, filters: Sequence[Filter], *, mask: int, n_bytes: int, out: Bytes | None = None) -> Buffer:
    """Return the contents of a chunk.

    Parameters
    ----------
    data : buffer
        The chunk as stored.
    filters : sequence of Filter
        In the order of writing; see `is_decoded_here`.
    mask : int
        Bit i is set if filter i was skipped for this chunk.
    n_bytes : int
        Size of the contents; not much more is allocated.
    out : ndarray of uint8, shape (n_bytes,), optional
        Where the contents go, and what is returned.

    Raises
    ------
    MalformedFileError
        If the data do not decode to exactly `n_bytes`, or the checksum is wrong.
    UnsupportedLayoutError
        If the pipeline is of another kind.
    """
    if not is_decoded_here(filters, mask):
        raise UnsupportedLayoutError(f"the filters {[step.id for step in filters]} are not undone here")
    steps = _used(filters, mask)
    for number in reversed(range(len(steps))):
        step = steps[number]
        # What a compressor gives back is what it was given: the contents, and the checksums taken before.
        n_out = n_bytes + codecs.CHECKSUM_BYTES * sum(before.id == FLETCHER32 for before in steps[:number])
        if step.id == SHUFFLE:
            data = codecs.unshuffle(data, step.options[0] if step.options else 1)
        elif step.id == FLETCHER32:
            data = codecs.verify_fletcher32(data)
        elif step.id in _RETURNING:
            data = _RETURNING[step.id](data, n_out)
        else:
            filled = out if out is not None and number == 0 else np.empty(n_out, np.uint8)
            _FILLING[step.id](data, filled)
            data = filled.data
    if len(data) != n_bytes:
        raise MalformedFileError(f"damaged: a chunk of {n_bytes} bytes decodes to {len(data)}")
    if out is None:
        return data
    if not steps or steps[0].id not in _FILLING:
        out[:] = np.frombuffer(data, np.uint8)
    return out.data


def decode_items(
    out: npt.NDArray[np.generic],
    data: Buffer,
    filters: Sequence[Filter],
    *,
    mask: int,
    chunks: tuple[int, ...],
    pick: Index,
) -> None:
    """Decode a chunk and put some of its items into `out`, with as few copies as can be.

    Parameters
    ----------
    out : ndarray
        Of the shape that `pick` gives; any strides. Its items are the elements of the dataset.
    data, filters, mask
        As for `decode`, which also says what is raised.
    chunks : tuple of int
        Shape of the chunk.
    pick : tuple
        Index of the wanted items in the chunk: increasing rows or a slice of them, then slices.
    """
    n_bytes = prod(chunks) * out.itemsize
    if is_shuffled(filters, mask, out.itemsize):
        planes = decode(data, filters[1:], mask=mask >> 1, n_bytes=n_bytes)
        place_items(out, planes, shuffled=True, chunks=chunks, pick=pick)
    elif out.nbytes == n_bytes and out.flags.c_contiguous:
        decode(data, filters, mask=mask, n_bytes=n_bytes, out=out.reshape(-1).view(np.uint8))
    else:
        contents = decode(data, filters, mask=mask, n_bytes=n_bytes)
        place_items(out, contents, shuffled=False, chunks=chunks, pick=pick)


def is_shuffled(filters: Sequence[Filter], mask: int, item_bytes: int) -> bool:
    """Return whether what is undone last is the shuffle of whole elements."""
    if not filters or mask & 1 or item_bytes == 1:
        return False
    return filters[0].id == SHUFFLE and filters[0].options == (item_bytes,)


def place_items(
    out: npt.NDArray[np.generic], contents: Buffer | Bytes, *, shuffled: bool, chunks: tuple[int, ...], pick: Index
) -> None:
    """Put items of a decoded chunk, which may still be shuffled, into `out`; see `decode_items`."""
    if not shuffled:
        block = np.frombuffer(contents, out.dtype).reshape(chunks)[pick]
    else:
        planes = np.frombuffer(contents, np.uint8).reshape(out.itemsize, *chunks)
        # What stands apart in memory is put together first: short runs of single items would take far longer.
        block = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
        codecs.unshuffle_into(block, planes, pick)
    if block is not out:
        _put(out, block)


def _put(out: npt.NDArray[np.generic], block: npt.NDArray[np.generic]) -> None:
    if out.strides[-1] == block.strides[-1] == out.itemsize:
        # Runs along the last axis move as one.
        run = np.dtype((np.void, out.shape[-1] * out.itemsize))
        out, block = out.view(run), block.view(run)
    out[...] = block


def _used(filters: Sequence[Filter], mask: int) -> list[Filter]:
    return [step for number, step in enumerate(filters) if not mask >> number & 1] if mask else list(filters)
