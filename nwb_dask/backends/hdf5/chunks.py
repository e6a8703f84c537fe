"""Contiguous and chunked data by byte ranges, through the store: no more of the file is read than is asked for.

libhdf5 is asked where things are, on the calling thread, and reads nothing. Rows of a chunk follow each other, so
that without filters a part of a chunk can be read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from math import prod

import numpy as np
import numpy.typing as npt
from h5py import h5s

from nwb_dask.backends.hdf5.filters import DECODED_HERE, decode
from nwb_dask.backends.hdf5.index import OpenArray
from nwb_dask.backends.hdf5.limits import check_contiguous, fill_value
from nwb_dask.backends.hdf5.spans import Pieces, Spans, count, cut, rows
from nwb_dask.backends.protocol import ByteSource
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, Filter
from nwb_dask.storage import Buffer

_Raw = npt.NDArray[np.generic]

_BATCH_BYTES = 64 << 20
"""Stored bytes that are fetched at once, beside the result."""
_POOL_BYTES = 1 << 20
"""Contents from which on several threads decode."""


def read_contiguous(store: ByteSource, entry: ArrayEntry, spans: Spans, *, offset: int) -> _Raw:
    """Return rows of contiguous data, in the type as stored.

    Parameters
    ----------
    store : ByteSource
        The file's bytes.
    entry : ArrayEntry
        Its description; of a type that numpy knows.
    spans : ndarray of int64, shape (n, 2)
        Tidy, see `spans.tidy`; for a scalar its single row.
    offset : int
        First byte in the file.
    """
    dtype = entry.element.dtype
    if dtype is None:
        raise UnsupportedLayoutError("elements without a numpy type are not read by ranges", path=entry.path)
    inner = (entry.shape or ())[1:]
    row_bytes = prod(inner) * dtype.itemsize
    last = int(spans[-1, 1]) if len(spans) else 0
    check_contiguous(last, row_bytes, offset, file_bytes=store.size)
    ranges = [(offset + start * row_bytes, offset + stop * row_bytes) for start, stop in spans.tolist()]
    return _as_rows(store.read(ranges) if ranges else [], dtype, (count(spans), *inner))


def read_chunked(store: ByteSource, opened: OpenArray, entry: ArrayEntry, spans: Spans) -> _Raw | None:
    """Return rows of chunked data, in the type as stored; None if libhdf5 has to read them.

    Parameters
    ----------
    store : ByteSource
        The file's bytes.
    opened : OpenArray
        The dataset; asked for the addresses of its chunks.
    entry : ArrayEntry
        Its description.
    spans : ndarray of int64, shape (n, 2)
        Tidy, see `spans.tidy`; not empty.
    """
    dtype = entry.element.dtype
    shape, chunks = entry.shape, entry.chunks
    if dtype is None or shape is None or chunks is None or not opened.stored.exact:
        return None
    if any(step.id not in DECODED_HERE for step in entry.filters) or _has_unreliable_addresses(opened):
        return None
    if not entry.filters and shape[0] <= chunks[0] and shape[1:] == chunks[1:]:
        # Most columns: a single chunk, in which all rows follow each other.
        stored, _ = _find(
            opened, (0,) * len(shape), prod(chunks) * dtype.itemsize, filtered=False, file_bytes=store.size
        )
        if stored is not None:
            return read_contiguous(store, entry, spans, offset=stored[0])
    pieces = cut(spans, chunk_rows=chunks[0])
    selection = _Selection(dtype, shape, chunks, entry.filters, pieces, count(spans))
    return _assembled(store, opened, selection)


def _assembled(store: ByteSource, opened: OpenArray, selection: _Selection) -> _Raw | None:
    """Return rows of several chunks; None if their fill value is needed and only libhdf5 can tell it."""
    located = list(selection.locate(opened, file_bytes=store.size))
    missing = [chunk for chunk in located if chunk.stored is None]
    dtype, inner = selection.dtype, selection.shape[1:]
    if not selection.filters and not missing and selection.chunks[1:] == inner:
        ranges = [one for chunk in located for one in selection.ranges(chunk)]
        return _as_rows(store.read(ranges), dtype, (selection.n_rows, *inner))
    fill = fill_value(opened) if missing else np.empty((), dtype)
    if fill is None:
        return None
    out: _Raw = np.empty((selection.n_rows, *inner, *dtype.shape), dtype.base)
    for chunk in missing:
        out[chunk.window] = fill
    for batch in _batches([chunk for chunk in located if chunk.stored is not None], selection):
        wanted = [selection.ranges(chunk) for chunk in batch]
        got = iter(store.read([one for each in wanted for one in each]))
        parts = [[next(got) for _ in each] for each in wanted]
        _each(partial(selection.place, out), batch, parts, n_bytes=len(batch) * selection.chunk_bytes)
    return out


def _find(
    opened: OpenArray, corner: tuple[int, ...], chunk_bytes: int, *, filtered: bool, file_bytes: int
) -> tuple[tuple[int, int] | None, int]:
    """Return the half-open bytes of the chunk at `corner`, None if it was never written, and its filter mask."""
    found = opened.did.get_chunk_info_by_coord(corner)
    if found.byte_offset is None:
        return None, 0
    start, stop = found.byte_offset, found.byte_offset + found.size
    if start < 0 or stop > file_bytes:
        raise MalformedFileError(f"truncated: a chunk at {start} to {stop} is past the end at {file_bytes}")
    if not filtered and found.size != chunk_bytes:
        raise MalformedFileError(f"damaged: a chunk of {chunk_bytes} bytes is stored in {found.size}")
    return (start, stop), found.filter_mask


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One chunk of which rows are wanted."""

    first: int
    """Its first piece."""
    last: int
    """The piece after its last."""
    window: tuple[slice, ...]
    """Where its elements go in the result, one slice per axis."""
    stored: tuple[int, int] | None
    """Half-open bytes in the file; None if it was never written."""
    mask: int
    """Filters that were skipped, by bit."""


@dataclass(frozen=True, slots=True)
class _Selection:
    """Rows of one chunked dataset."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    filters: tuple[Filter, ...]
    pieces: Pieces
    n_rows: int

    @property
    def chunk_bytes(self) -> int:
        """Size of a decoded chunk; those at the edge are stored whole."""
        return prod(self.chunks) * self.dtype.itemsize

    def locate(self, opened: OpenArray, *, file_bytes: int) -> Iterator[_Chunk]:
        """Yield the chunks that hold the pieces, in row order."""
        numbers = self.pieces.chunk
        first = [0] if len(numbers) == 1 else np.concatenate(([0], np.flatnonzero(np.diff(numbers)) + 1)).tolist()
        outs = [*self.pieces.out[first].tolist(), self.n_rows]
        last = [*first[1:], len(numbers)]
        inner = [range(0, length, chunk) for length, chunk in zip(self.shape[1:], self.chunks[1:], strict=True)]
        for i, number in enumerate(numbers[first].tolist()):
            for corner in product(*inner):
                window = tuple(
                    slice(start, min(start + chunk, length))
                    for start, chunk, length in zip(corner, self.chunks[1:], self.shape[1:], strict=True)
                )
                at = (number * self.chunks[0], *corner)
                stored, mask = _find(opened, at, self.chunk_bytes, filtered=bool(self.filters), file_bytes=file_bytes)
                yield _Chunk(first[i], last[i], (slice(outs[i], outs[i + 1]), *window), stored, mask)

    def ranges(self, chunk: _Chunk) -> list[tuple[int, int]]:
        """Return the bytes to read of a chunk: all of it if it has to be decoded, else those of its pieces."""
        if chunk.stored is None:
            return []
        if self.filters:
            return [chunk.stored]
        row_bytes = self.chunk_bytes // self.chunks[0]
        begin = chunk.stored[0]
        starts = self.pieces.start[chunk.first : chunk.last].tolist()
        stops = self.pieces.stop[chunk.first : chunk.last].tolist()
        return [(begin + a * row_bytes, begin + b * row_bytes) for a, b in zip(starts, stops, strict=True)]

    def place(self, out: _Raw, chunk: _Chunk, parts: Sequence[Buffer]) -> None:
        """Decode a chunk and put its rows where they belong. Chunks do not overlap, so threads may share `out`."""
        inner = self.chunks[1:]
        if self.filters:
            data = decode(parts[0], self.filters, mask=chunk.mask, n_bytes=self.chunk_bytes)
            block = self._wanted(_as_rows([data], self.dtype, self.chunks), chunk)
        else:
            window = chunk.window[0]
            block = _as_rows(parts, self.dtype, (window.stop - window.start, *inner))
        # Edge chunks are stored whole; what is past the shape is cropped.
        crop = tuple(slice(0, one.stop - one.start) for one in chunk.window[1:])
        out[chunk.window] = block[(slice(None), *crop)]

    def _wanted(self, block: _Raw, chunk: _Chunk) -> _Raw:
        start = self.pieces.start[chunk.first : chunk.last]
        stop = self.pieces.stop[chunk.first : chunk.last]
        return block[int(start[0]) : int(stop[0])] if len(start) == 1 else block[rows(start, stop)]


def _as_rows(parts: Sequence[Buffer], dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> _Raw:
    """Return bytes as an array, without a copy if they are in one part."""
    if not prod(shape):
        return np.empty((*shape, *dtype.shape), dtype.base)
    data = parts[0] if len(parts) == 1 else b"".join(parts)
    flat = np.frombuffer(data, dtype.base)
    return flat.reshape((*shape, *dtype.shape))


def _batches(chunks: Sequence[_Chunk], selection: _Selection) -> Iterator[list[_Chunk]]:
    batch: list[_Chunk] = []
    n_bytes = 0
    for chunk in chunks:
        batch.append(chunk)
        n_bytes += sum(stop - start for start, stop in selection.ranges(chunk))
        if n_bytes >= _BATCH_BYTES:
            yield batch
            batch, n_bytes = [], 0
    if batch:
        yield batch


def _each(place: partial[None], chunks: Sequence[_Chunk], parts: Sequence[Sequence[Buffer]], *, n_bytes: int) -> None:
    if n_bytes < _POOL_BYTES or len(chunks) == 1:
        for chunk, part in zip(chunks, parts, strict=True):
            place(chunk, part)
        return
    for _ in _pool().map(place, chunks, parts):
        pass


def _has_unreliable_addresses(opened: OpenArray) -> bool:
    """Tell whether libhdf5 may give wrong addresses of chunks.

    libhdf5 2.0 looks chunks up in the wrong place of an extensible array (one unlimited dimension, libver 1.10 and
    later) if that dimension is not the first, and then says that they were never written.
    """
    if len(opened.shape or ()) < 2:  # noqa: PLR2004  # only the first dimension is there
        return False
    limits = opened.did.get_space().get_simple_extent_dims(maxdims=True)
    unlimited = [axis for axis, limit in enumerate(limits) if limit in (h5s.UNLIMITED, None)]
    return len(unlimited) == 1 and unlimited[0] != 0


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="nwb_dask-decode")


os.register_at_fork(after_in_child=_pool.cache_clear)
