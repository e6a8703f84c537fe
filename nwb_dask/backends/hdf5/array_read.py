"""Rows of a dataset by byte ranges: first which bytes, which reads nothing, then what they mean.

Contiguous and unfiltered data are read by the rows that are wanted: the rows of a chunk follow each other. Of rows that
are wanted in part, as a box, the rest is read where it is so little that asking for the parts would take longer. Chunks
that have to be decoded are read whole, and decoded in threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Protocol

import numpy as np

from nwb_dask.backends.hdf5.boxes import Box, are_apart, box_slices, boxes_in, hull
from nwb_dask.backends.hdf5.chunk_grid import locate_chunks
from nwb_dask.backends.hdf5.chunk_rows import ChunkRows
from nwb_dask.backends.hdf5.odd_filters import require_filters
from nwb_dask.backends.hdf5.pages import Fetch
from nwb_dask.backends.hdf5.spans import Spans, cut, rows
from nwb_dask.backends.hdf5.wanted_rows import Raw, WantedRows, wanted_rows
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, ChunkManifest
from nwb_dask.storage import Buffer

_Range = tuple[int, int]

BATCH_BYTES = 64 << 20
"""Stored bytes that are fetched at once, beside the result."""

_MAX_FILL_BYTES = 1 << 30
"""Rows that were never written, as their fill value."""
_MAX_COMPACT_BYTES = 1 << 16
_PART_BYTES = 4 << 20
"""Of rows that are read for a box of each at most so much is in one range, so that batches can end between rows."""


class _Form(Protocol):
    """How bytes become rows."""

    def finish(self, buffers: Sequence[Buffer]) -> Raw: ...

    def run(self, ranges: Sequence[_Range], fetch: Fetch, *, is_local: bool, max_bytes: int) -> Raw: ...


@dataclass(frozen=True, slots=True, eq=False)
class ArrayRead:
    """A read that is planned: which bytes of the file, and how they become rows."""

    ranges: list[_Range]
    """Half-open bytes of the file, in the order in which `finish` wants them."""
    n_bytes: int
    """Bytes of all `ranges`."""
    form: _Form
    """What is behind `finish` and `run`."""

    def finish(self, buffers: Sequence[Buffer]) -> Raw:
        """Return the rows, made of the bytes of each of `ranges`; a view of them where they lie in one piece.

        The array has the shape ``(n_rows, *shape[1:])``, or that of the box in place of ``shape[1:]``, followed by that
        of an array type, and the stored dtype; elements without a numpy type are void of their size. It may be
        read-only.

        Raises
        ------
        MalformedFileError
            If a chunk is damaged.
        """
        return self.form.finish(buffers)

    def run(self, fetch: Fetch, *, is_local: bool, max_bytes: int = BATCH_BYTES) -> Raw:
        """Return the rows, reading them with `fetch` in batches.

        Beside the result at most two batches are in memory: one is fetched while the one before is decoded.

        Parameters
        ----------
        fetch : callable
            Reads ranges of the file.
        is_local : bool
            Whether many small reads cost no more than a large one, and `fetch` may be called from several threads
            at once. Then the threads that decode also read.
        max_bytes : int
            Stored bytes of a batch; a single chunk may be more.

        Raises
        ------
        MalformedFileError
            If a chunk is damaged.
        """
        if not is_local and self.n_bytes <= max_bytes:
            return self.form.finish(fetch(self.ranges))
        return self.form.run(self.ranges, fetch, is_local=is_local, max_bytes=max_bytes)


def plan_read(
    entry: ArrayEntry, spans: Spans, manifest: ChunkManifest | None, *, file_bytes: int, box: Box | None = None
) -> ArrayRead:
    """Return what to read for some rows of a dataset.

    Parameters
    ----------
    entry : ArrayEntry
        Its description.
    spans : ndarray of int64, shape (n, 2)
        Tidy, see `spans.tidy`; for a scalar its single row.
    manifest : ChunkManifest or None
        Of chunked data: at least those of its chunks that hold what is wanted, as far as they were ever written.
    file_bytes : int
        Length of the file.
    box : Box, optional
        What is wanted of each row, see `boxes.checked_box`; by default all.

    Raises
    ------
    MalformedFileError
        If the file is smaller than what it declares, or declares more than 1 GiB or 2**20 chunks that were never
        written.
    UnsupportedLayoutError
        If the data are in other files, the elements have no size, a filter is not installed, or a dataset is chunked
        and nothing is known of its chunks.
    """
    wanted = wanted_rows(entry, spans, box)
    if not wanted.n_bytes:
        return ArrayRead([], 0, _Ready(wanted.typed(wanted.empty())))
    if entry.layout == "contiguous":
        return _plan_contiguous(entry, wanted, file_bytes=file_bytes)
    if entry.layout == "compact":
        return _plan_compact(entry, wanted)
    if entry.layout == "chunked":
        return _plan_chunked(entry, wanted, manifest, file_bytes=file_bytes)
    raise UnsupportedLayoutError(f"its data are in other files ({entry.layout} storage)", path=entry.path)


def _plan_contiguous(entry: ArrayEntry, wanted: WantedRows, *, file_bytes: int) -> ArrayRead:
    if entry.offset is None:
        return _never_written(wanted)
    offset, row_bytes = entry.offset, wanted.stored_row_bytes
    end = offset + int(wanted.spans[-1, 1]) * row_bytes
    if offset < 0 or end > file_bytes:
        raise MalformedFileError(f"truncated: data at {offset} to {end} reach past the end at {file_bytes}")
    if not wanted.is_whole:
        return _plan_boxes(offset, wanted)
    ranges = [(offset + start * row_bytes, offset + stop * row_bytes) for start, stop in wanted.spans.tolist()]
    return ArrayRead(ranges, wanted.n_bytes, _Joined(wanted))


def _plan_boxes(offset: int, wanted: WantedRows) -> ArrayRead:
    """Return what to read of contiguous rows that are wanted in part."""
    folded = wanted.folded()
    row_bytes = folded.stored_row_bytes
    first, last = hull(folded.lengths, folded.box, folded.item_bytes)
    if are_apart(row_bytes, last - first):
        starts = rows(folded.spans[:, 0], folded.spans[:, 1])
        stops = starts + 1
    else:
        step = max(_PART_BYTES // row_bytes, 1)
        pieces = cut(folded.spans, chunk_rows=step)
        starts, stops = pieces.start + pieces.chunk * step, pieces.stop + pieces.chunk * step
    begins, ends = offset + starts * row_bytes + first, offset + (stops - 1) * row_bytes + last
    ranges = list(zip(begins.tolist(), ends.tolist(), strict=True))
    return ArrayRead(ranges, int((ends - begins).sum()), _Boxes(wanted, folded, (stops - starts).tolist()))


def _plan_compact(entry: ArrayEntry, wanted: WantedRows) -> ArrayRead:
    if wanted.n_bytes > _MAX_COMPACT_BYTES:
        raise MalformedFileError(f"damaged: {wanted.n_bytes} bytes cannot be in an object's header")
    if entry.inline is None:
        return _never_written(wanted)
    row_bytes = wanted.stored_row_bytes
    if len(entry.inline) < int(wanted.spans[-1, 1]) * row_bytes:
        raise MalformedFileError(f"truncated: an object's header holds {len(entry.inline)} bytes of its data")
    if not wanted.is_whole:
        return _compact_boxes(entry.inline, wanted)
    parts = [entry.inline[start * row_bytes : stop * row_bytes] for start, stop in wanted.spans.tolist()]
    return ArrayRead([], 0, _Ready(wanted.joined(parts)))


def _compact_boxes(inline: bytes, wanted: WantedRows) -> ArrayRead:
    n_rows = int(wanted.spans[-1, 1])
    units = np.frombuffer(inline, wanted.unit, n_rows * prod(wanted.lengths)).reshape((n_rows, *wanted.lengths))
    chosen = units[rows(wanted.spans[:, 0], wanted.spans[:, 1])]
    return ArrayRead([], 0, _Ready(wanted.typed(np.ascontiguousarray(chosen[:, *box_slices(wanted.box)]))))


def _plan_chunked(
    entry: ArrayEntry, wanted: WantedRows, manifest: ChunkManifest | None, *, file_bytes: int
) -> ArrayRead:
    if manifest is None:
        # Zeros in place of data that were not looked for would be a wrong answer.
        if entry.chunk_index is None or entry.chunk_index.address is not None:
            raise UnsupportedLayoutError("where its chunks are is not known", path=entry.path)
        return _never_written(wanted)
    if _is_one_run(entry, manifest):
        return _plan_contiguous(replace(entry, offset=int(manifest.offsets[0])), wanted, file_bytes=file_bytes)
    stored = locate_chunks(entry, wanted, manifest, file_bytes=file_bytes)
    if stored.is_odd.any():
        require_filters(entry.filters)
    starts, stops, n_extents = stored.extents()
    form: _Form
    if stored.is_joined:
        # Chunks that follow each other in the file are one range, and need no copy.
        breaks = np.flatnonzero(starts[1:] != stops[:-1])
        starts, stops = starts[np.concatenate(([0], breaks + 1))], stops[np.concatenate((breaks, [len(stops) - 1]))]
        form = _Joined(wanted)
    else:
        form = ChunkRows(wanted, stored, n_extents, entry.filters)
    ranges = list(zip(starts.tolist(), stops.tolist(), strict=True))
    return ArrayRead(ranges, int((stops - starts).sum()), form)


def _is_one_run(entry: ArrayEntry, manifest: ChunkManifest) -> bool:
    """Return whether one chunk without filters holds all rows, one after the other: so it is with most columns."""
    shape, chunks = entry.shape or (), entry.chunks or ()
    return (
        not entry.filters
        and len(manifest.numbers) == 1
        and len(shape) == len(chunks) > 0
        and shape[1:] == chunks[1:]
        and 0 < shape[0] <= chunks[0]
        and int(manifest.sizes[0]) == prod(chunks) * _item_bytes(entry)
    )


def _item_bytes(entry: ArrayEntry) -> int:
    return entry.element.size if entry.element.dtype is None else entry.element.dtype.itemsize


def _never_written(wanted: WantedRows) -> ArrayRead:
    if wanted.n_bytes > _MAX_FILL_BYTES:
        raise MalformedFileError(f"{wanted.n_bytes} bytes were asked for and none were ever written")
    return ArrayRead([], 0, _Ready(wanted.typed(wanted.unwritten())))


@dataclass(frozen=True, slots=True, eq=False)
class _Ready:
    """Rows that are known without reading."""

    values: Raw

    def finish(self, _buffers: Sequence[Buffer], /) -> Raw:
        return self.values

    def run(self, _ranges: Sequence[_Range], _fetch: Fetch, /, *, is_local: bool, max_bytes: int) -> Raw:  # noqa: ARG002  # as the others have it
        return self.values


@dataclass(frozen=True, slots=True, eq=False)
class _Joined:
    """Rows that are the bytes of the ranges, one after the other."""

    wanted: WantedRows

    def finish(self, buffers: Sequence[Buffer], /) -> Raw:
        return self.wanted.joined(buffers)

    def run(self, ranges: Sequence[_Range], fetch: Fetch, /, *, is_local: bool, max_bytes: int) -> Raw:
        if is_local and (len(ranges) == 1 or self.wanted.n_bytes <= max_bytes):
            return self.wanted.joined(fetch(ranges))
        out = np.empty(self.wanted.n_bytes, np.uint8)
        at = 0
        for batch in _batches(ranges, max_bytes=max_bytes):
            for part in fetch(batch):
                out[at : at + len(part)] = np.frombuffer(part, np.uint8)
                at += len(part)
        return self.wanted.joined([out.data])


@dataclass(frozen=True, slots=True, eq=False)
class _Boxes:
    """A box of each row, cut out of ranges that reach from the first box in some rows to the last."""

    wanted: WantedRows
    folded: WantedRows
    """The same, as it lies in the file."""
    n_rows: list[int]
    """Rows of `folded` in each range."""

    def finish(self, buffers: Sequence[Buffer], /) -> Raw:
        out = self.folded.empty()
        self._place(out, buffers, self.n_rows)
        return self.wanted.typed(out)

    def run(self, ranges: Sequence[_Range], fetch: Fetch, /, *, is_local: bool, max_bytes: int) -> Raw:
        # The part that is cut out stays in the processor's cache.
        most = _PART_BYTES if is_local else max_bytes
        out = self.folded.empty()
        low = at = n_bytes = 0
        for number, (start, stop) in enumerate(ranges):
            if number > low and n_bytes + stop - start > most:
                at += self._place(out[at:], fetch(ranges[low:number]), self.n_rows[low:number])
                low, n_bytes = number, 0
            n_bytes += stop - start
        self._place(out[at:], fetch(ranges[low:]), self.n_rows[low:])
        return self.wanted.typed(out)

    def _place(self, out: Raw, buffers: Sequence[Buffer], n_rows: Sequence[int]) -> int:
        """Put the boxes in `buffers` into `out`; return how many rows these are."""
        if len(n_rows) == sum(n_rows):
            # Hulls of one row each, which are of one length.
            data = buffers[0] if len(buffers) == 1 else b"".join(buffers)
            out[: len(n_rows)] = self._boxes(data, n_rows=len(n_rows), row_bytes=len(data) // len(n_rows))
            return len(n_rows)
        at = 0
        for data, n in zip(buffers, n_rows, strict=True):
            out[at : at + n] = self._boxes(data, n_rows=n, row_bytes=self.folded.stored_row_bytes)
            at += n
        return at

    def _boxes(self, data: Buffer, *, n_rows: int, row_bytes: int) -> Raw:
        folded = self.folded
        return boxes_in(
            data, n_rows=n_rows, row_bytes=row_bytes, lengths=folded.lengths, box=folded.box, unit=folded.unit
        )


def _batches(ranges: Sequence[_Range], *, max_bytes: int) -> Iterator[list[_Range]]:
    """Yield the ranges in their order, at most `max_bytes` at once; long ones in parts."""
    batch: list[_Range] = []
    room = max_bytes
    for start, stop in ranges:
        at = start
        while at < stop:
            end = min(stop, at + room)
            batch.append((at, end))
            room -= end - at
            at = end
            if not room:
                yield batch
                batch, room = [], max_bytes
    if batch:
        yield batch
