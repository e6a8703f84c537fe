"""Refuses what a file declares and cannot hold, before memory is allocated for it."""

from __future__ import annotations

from math import prod

from nwb_dask.backends.hdf5.codecs import INFLATION
from nwb_dask.backends.hdf5.index import OpenArray
from nwb_dask.backends.hdf5.spans import Spans, count, n_chunks
from nwb_dask.errors import MalformedFileError
from nwb_dask.index import ArrayEntry

_MAX_FILL_BYTES = 1 << 30
"""Rows that were never written, as their fill value."""
_BOUNDED_FILTERS = frozenset({1, 2, 3})
"""Deflate, shuffle and checksum, which make no more of a byte than `INFLATION`."""
_MAX_MISSING_CHUNKS = 1 << 20
_MAX_COMPACT_BYTES = 1 << 16
_MAX_LENGTH = 1 << 62


def checked_shape(entry: ArrayEntry) -> tuple[int, ...]:
    """Return the shape of `entry`, which is not null.

    Raises
    ------
    MalformedFileError
        If it has an extent that no array can have.
    """
    shape = entry.shape or ()
    if any(length < 0 or length > _MAX_LENGTH for length in shape):
        raise MalformedFileError(f"damaged: its shape is {shape}")
    return shape


def require_room(entry: ArrayEntry, n_bytes: int, *, file_bytes: int) -> None:
    """Raise if a file of `file_bytes` cannot hold `n_bytes` of a dataset, and more than 1 GiB that was never written.

    Raises
    ------
    MalformedFileError
        If it cannot. Nothing is known of filters that make any number of bytes of one.
    """
    if any(step.id not in _BOUNDED_FILTERS for step in entry.filters):
        return
    if n_bytes > file_bytes * (INFLATION if entry.filters else 1) + _MAX_FILL_BYTES:
        raise MalformedFileError(f"{n_bytes} bytes are declared and a file of {file_bytes} cannot hold them")


def check_size(opened: OpenArray, entry: ArrayEntry, spans: Spans, *, file_bytes: int) -> None:
    """Raise unless the file can hold the rows that are asked for, or they are not too many to make up.

    Raises
    ------
    MalformedFileError
        If the file is smaller than what it declares, or declares more than 1 GiB that was never written.
    """
    shape = checked_shape(entry)
    n_bytes = count(spans) * prod(shape[1:]) * int(opened.tid.get_size()) if shape else int(opened.tid.get_size())
    if entry.layout == "compact" and n_bytes > _MAX_COMPACT_BYTES:
        raise MalformedFileError(f"damaged: {n_bytes} bytes cannot be in an object's header")
    if entry.layout == "contiguous" and entry.stored_bytes:
        if n_bytes > file_bytes:
            raise MalformedFileError(f"truncated: {n_bytes} bytes of data are in a file of {file_bytes}")
        return
    if entry.layout == "contiguous" and n_bytes > _MAX_FILL_BYTES:
        raise MalformedFileError(f"{n_bytes} bytes were asked for and none were ever written")
    if entry.layout == "chunked" and entry.chunks is not None:
        _check_chunks(opened, entry.chunks, shape, spans, n_bytes)


def _check_chunks(
    opened: OpenArray, chunks: tuple[int, ...], shape: tuple[int, ...], spans: Spans, n_bytes: int
) -> None:
    if 0 in chunks or len(chunks) != len(shape):
        raise MalformedFileError(f"damaged: chunks of {chunks} for a shape of {shape}")
    if n_bytes <= _MAX_FILL_BYTES and n_chunks(shape, chunks) <= _MAX_MISSING_CHUNKS:
        return
    touched = int(((spans[:, 1] - 1) // chunks[0] - spans[:, 0] // chunks[0] + 1).sum())
    for length, chunk in zip(shape[1:], chunks[1:], strict=True):
        touched *= -(-length // chunk)
    if n_bytes <= _MAX_FILL_BYTES and touched <= _MAX_MISSING_CHUNKS:
        return
    written = int(opened.did.get_num_chunks())
    written_bytes = written * prod(chunks) * int(opened.tid.get_size())
    if n_bytes - written_bytes > _MAX_FILL_BYTES or touched - written > _MAX_MISSING_CHUNKS:
        message = f"{n_bytes} bytes in {touched} chunks were asked for and only {written} chunks were ever written"
        raise MalformedFileError(message)
