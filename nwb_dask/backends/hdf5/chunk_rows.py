"""Bytes of chunks to rows: in threads, as far as the codecs leave the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future

import numpy as np

from nwb_dask.backends.hdf5.boxes import boxes_in
from nwb_dask.backends.hdf5.chunk_grid import Integers, StoredChunks
from nwb_dask.backends.hdf5.filters import decode_items, is_shuffled, place_items
from nwb_dask.backends.hdf5.odd_filters import MAX_CHUNKS, decode_with_libhdf5
from nwb_dask.backends.hdf5.pages import Fetch
from nwb_dask.backends.hdf5.spans import rows
from nwb_dask.backends.hdf5.wanted_rows import Raw, WantedRows
from nwb_dask.backends.threads import decoding_threads, wait_for
from nwb_dask.index import Filter
from nwb_dask.storage import Buffer

_Range = tuple[int, int]
_Get = Callable[[int, int], Sequence[Buffer]]
"""Buffers of the ranges from one number to before another."""

_TASK_BYTES = 1 << 20
"""Contents that one task decodes: with less, handing it to a thread takes a noticeable part of the time."""
_ODD_BYTES = 4 << 20
"""Contents that libhdf5 decodes at once."""


class ChunkRows:
    """Rows, or boxes of rows, of a dataset in chunks.

    Parameters
    ----------
    wanted : WantedRows
        The rows.
    stored : StoredChunks
        Their chunks.
    n_extents : ndarray of int64
        How many ranges each chunk is read in, see `StoredChunks.extents`.
    filters : sequence of Filter
        Of the dataset.
    """

    def __init__(
        self, wanted: WantedRows, stored: StoredChunks, n_extents: Integers, filters: Sequence[Filter]
    ) -> None:
        grid = stored.grid
        self._wanted = wanted
        self._stored = stored
        self._filters = filters
        self._chunk_bytes = grid.chunk_bytes
        self._windows = grid.windows()
        self._hulls = grid.hulls()
        self._first: list[int] = grid.first.tolist()
        self._out: list[int] = [*grid.pieces.out[grid.first[:-1]].tolist(), wanted.n_rows]
        self._places: list[int] = stored.places.tolist()
        self._masks: list[int] = stored.masks.tolist()
        self._is_raw: list[bool] = stored.is_raw.tolist()
        # First range of each chunk, and the number of ranges.
        self._at: list[int] = [0, *np.cumsum(n_extents).tolist()]

    def finish(self, buffers: Sequence[Buffer], /) -> Raw:
        """Return the rows; `buffers` are the bytes of `StoredChunks.extents`."""
        out = self._blank()
        wait_for(self._start(out, lambda first, last: buffers[first:last], 0, len(self._places)))
        return self._wanted.typed(out)

    def run(self, ranges: Sequence[_Range], fetch: Fetch, /, *, is_local: bool, max_bytes: int) -> Raw:
        """Return the rows; see `array_read.ArrayRead.run`."""
        out = self._blank()
        if is_local:
            wait_for(self._start(out, lambda first, last: fetch(ranges[first:last]), 0, len(self._places)))
            return self._wanted.typed(out)
        running: list[Future[None]] = []
        try:
            for low, high in self._batches(ranges, max_bytes=max_bytes):
                base = self._at[low]
                buffers = fetch(ranges[base : self._at[high]])
                wait_for(running)
                running = self._start(out, _slices(buffers, base), low, high)
        finally:
            wait_for(running)
        return self._wanted.typed(out)

    def _blank(self) -> Raw:
        missing, fill = self._stored.missing.tolist(), self._wanted.fill
        if missing and fill is None:
            return self._wanted.unwritten()
        out = self._wanted.empty()
        if fill is not None:
            for place in missing:
                out[self._window(place)] = fill
        return out

    def _window(self, place: int) -> tuple[slice, ...]:
        """Return where a chunk goes in the result."""
        group, inner = divmod(place, len(self._windows))
        return (slice(self._out[group], self._out[group + 1]), *self._windows[inner][0])

    def _batches(self, ranges: Sequence[_Range], *, max_bytes: int) -> Iterator[tuple[int, int]]:
        """Yield chunks, half-open, of about `max_bytes` to read."""
        low = n_bytes = 0
        for number in range(len(self._places)):
            here = sum(stop - start for start, stop in ranges[self._at[number] : self._at[number + 1]])
            if number > low and n_bytes + here > max_bytes:
                yield low, number
                low, n_bytes = number, 0
            n_bytes += here
        if low < len(self._places):
            yield low, len(self._places)

    def _start(self, out: Raw, get: _Get, low: int, high: int) -> list[Future[None]]:
        """Begin to decode the chunks ``[low, high)``, and return what is still under way."""
        step = max(_TASK_BYTES // self._chunk_bytes, 1)
        tasks = [(at, min(at + step, high)) for at in range(low, high, step)]
        odd = np.flatnonzero(self._stored.is_odd[low:high]) + low
        running: list[Future[None]] = []
        if len(odd) < high - low:
            pool = decoding_threads() if len(tasks) > 1 else None
            if pool is not None:
                running = [pool.submit(self._place_all, out, get, *task) for task in tasks]
            else:
                for task in tasks:
                    self._place_all(out, get, *task)
        if len(odd):
            try:
                self._place_odd(out, get, odd.tolist())
            except BaseException:
                wait_for(running)
                raise
        return running

    def _place_all(self, out: Raw, get: _Get, low: int, high: int) -> None:
        """Decode those chunks that need no libhdf5. They do not overlap, so that threads may share `out`."""
        base = self._at[low]
        buffers = get(base, self._at[high])
        odd = self._stored.is_odd
        for number in range(low, high):
            if not odd[number]:
                self._place(out, number, buffers[self._at[number] - base : self._at[number + 1] - base])

    def _place(self, out: Raw, number: int, parts: Sequence[Buffer]) -> None:
        place, grid = self._places[number], self._stored.grid
        target = out[self._window(place)]
        crop = self._windows[place % len(self._windows)][1]
        if self._is_raw[number]:
            self._place_raw(target, place, parts, crop)
            return
        pick = (self._rows(place), *crop)
        mask = self._masks[number]
        decode_items(target, parts[0], self._filters, mask=mask, chunks=grid.chunks, pick=pick)

    def _place_raw(self, target: Raw, place: int, parts: Sequence[Buffer], crop: tuple[slice, ...]) -> None:
        """Put what is wanted of a chunk without filters into the result."""
        grid = self._stored.grid
        first, last = self._hulls[place % len(self._windows)]
        n_rows = len(target)
        if last - first == grid.row_bytes:
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            place_items(target, data, shuffled=False, chunks=(n_rows, *grid.chunks[1:]), pick=(slice(None), *crop))
            return
        box = tuple((one.start, one.stop) for one in crop)
        if len(parts) == n_rows:
            # A range for each row, of one length.
            data = parts[0] if n_rows == 1 else b"".join(parts)
            target[...] = boxes_in(
                data, n_rows=n_rows, row_bytes=last - first, lengths=grid.chunks[1:], box=box, unit=target.dtype
            )
            return
        at = 0
        for part in parts:
            n = (len(part) - (last - first)) // grid.row_bytes + 1
            target[at : at + n] = boxes_in(
                part, n_rows=n, row_bytes=grid.row_bytes, lengths=grid.chunks[1:], box=box, unit=target.dtype
            )
            at += n

    def _place_odd(self, out: Raw, get: _Get, numbers: Sequence[int]) -> None:
        step = min(max(_ODD_BYTES // self._chunk_bytes, 1), MAX_CHUNKS)
        chunks = self._stored.grid.chunks
        for at in range(0, len(numbers), step):
            group = numbers[at : at + step]
            stored = [get(self._at[number], self._at[number] + 1)[0] for number in group]
            shuffled = [is_shuffled(self._filters, self._masks[number], out.itemsize) for number in group]
            # The shuffle is undone faster here.
            masks = [self._masks[number] | skip for number, skip in zip(group, shuffled, strict=True)]
            contents = decode_with_libhdf5(stored, self._filters, masks=masks, n_bytes=self._chunk_bytes)
            for number, one, is_apart in zip(group, contents, shuffled, strict=True):
                place = self._places[number]
                pick = (self._rows(place), *self._windows[place % len(self._windows)][1])
                place_items(out[self._window(place)], one, shuffled=is_apart, chunks=chunks, pick=pick)

    def _rows(self, place: int) -> slice | Integers:
        """Return the index of the wanted rows of a chunk."""
        group, pieces = place // len(self._windows), self._stored.grid.pieces
        first, last = self._first[group], self._first[group + 1]
        if last - first == 1:
            return slice(int(pieces.start[first]), int(pieces.stop[first]))
        return rows(pieces.start[first:last], pieces.stop[first:last])


def _slices(buffers: Sequence[Buffer], base: int) -> _Get:
    return lambda first, last: buffers[first - base : last - base]
