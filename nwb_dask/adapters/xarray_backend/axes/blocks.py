"""The search for times in a dataset of timestamps, which reads a few blocks of it."""

from __future__ import annotations

import itertools
import math
import threading
import weakref
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict

import numpy as np

from nwb_dask.adapters.xarray_backend.axes.axis import (
    Labels,
    Positions,
    Side,
    Stamps,
    is_before,
    is_sorted,
)
from nwb_dask.errors import MalformedFileError, UnsortedTimesError

WHOLE_BYTES = 1 << 20
"""Datasets of at most so many bytes are one block."""
BLOCK_BYTES = 1 << 16
"""Least bytes of a block: less costs as much time to fetch."""
_MAX_BLOCKS = 32
_MAX_BYTES = 64 << 20
"""Blocks kept of one dataset, by number and by bytes, whichever is less; one is kept in any case."""
_MAX_BYTES_OF_ALL = 256 << 20
_ITEM_BYTES = 8
_FEW_BLOCKS = 4
"""Windows within so many blocks are read through the blocks that are kept: a search has just read them."""
_MAX_MISSES = 2
"""Guesses that leave more than half of the blocks: after so many every other block is that in the middle."""

_searches: weakref.WeakValueDictionary[Stamps, BlockSearch] = weakref.WeakValueDictionary()
_searches_lock = threading.Lock()
_clock = itertools.count()


class BlockSearch:
    """What this process knows of one dataset of timestamps: ends of blocks, and the blocks it used last.

    May be used from several threads; a block that two of them want at once is read twice.
    """

    def __init__(self, stamps: Stamps) -> None:
        self.stamps = stamps
        is_small = stamps.n * _ITEM_BYTES <= WHOLE_BYTES
        native = max(int(stamps.block), 1)
        rows = stamps.n if is_small else -(-(BLOCK_BYTES // _ITEM_BYTES) // native) * native
        self.rows = max(min(rows, stamps.n), 1)
        """Rows of a block, but for the last."""
        self.used = 0
        self.held_bytes = 0
        self._lock = threading.Lock()
        self._blocks: OrderedDict[int, Labels] = OrderedDict()
        self._known: list[int] = []
        self._ends: dict[int, tuple[float, float]] = {}
        self._disorder: str | None = None

    def read(self, start: int, stop: int) -> Labels:
        """Return the rows ``[start, stop)``, in whatever order they are."""
        if start >= stop:
            return np.empty(0, np.float64)
        first, last = start // self.rows, (stop - 1) // self.rows
        if last - first >= _FEW_BLOCKS:
            return self._fetch(start, stop)
        parts = [self._block(b)[max(start - b * self.rows, 0) : stop - b * self.rows] for b in range(first, last + 1)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def gather(self, rows: Positions) -> Labels:
        """Return the labels of rows in any order; each block is read once."""
        found = np.empty(len(rows), np.float64)
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        at = 0
        while at < len(ordered):
            b = int(ordered[at]) // self.rows
            end = int(np.searchsorted(ordered, (b + 1) * self.rows, "left"))
            found[order[at:end]] = self._block(b)[ordered[at:end] - b * self.rows]
            at = end
        return found

    def known_label(self, row: int) -> float | None:
        """Return the label of a row if its block is in memory."""
        with self._lock:
            block = self._blocks.get(row // self.rows)
        return None if block is None else float(block[row % self.rows])

    def rank(self, values: Labels, side: Side, low: int, high: int) -> Positions:
        """Return how many rows of the dataset are below each value, or not above it, as far as `low` to `high` tell.

        Parameters
        ----------
        values : ndarray, shape (m,)
            Seconds.
        side : {"left", "right"}
            As of `numpy.searchsorted`.
        low, high : int
            Only blocks with rows of ``[low, high)`` are looked at.

        Raises
        ------
        UnsortedTimesError
            If blocks that are read are not in order.
        """
        found = np.empty(len(values), np.int64)
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        first, last = low // self.rows, (max(high, low + 1) - 1) // self.rows
        at = 0
        while at < len(ordered):
            b, is_inside = self._find(float(ordered[at]), side, first, last)
            if not is_inside:
                found[order[at]] = b * self.rows
                at += 1
                continue
            block = self._ordered(b)
            # What is inside the same block needs no other search.
            end = at + int(np.searchsorted(ordered[at:], block[-1], "right" if side == "left" else "left"))
            found[order[at:end]] = b * self.rows + np.searchsorted(block, ordered[at:end], side)
            first, at = b, end
        return found

    def _find(self, value: float, side: Side, first: int, last: int) -> tuple[int, bool]:
        """Return the block that a value belongs into; or, and False, the one before whose start it belongs."""
        misses = 0
        while True:
            length = last - first
            first, last, is_inside = self._narrow(value, side, first, last)
            if is_inside or first > last:
                return first, is_inside
            misses += 2 * (last - first) > length
            # Interpolation finds even times at once and fails where they are uneven; bisection bounds the reads.
            if misses > _MAX_MISSES:
                self._ordered((first + last) // 2)
                misses -= 1
            else:
                self._ordered(self._guess(value, first, last))

    def _narrow(self, value: float, side: Side, first: int, last: int) -> tuple[int, int, bool]:
        """Return the blocks left to look at, by the ends of those that are known; or the right one, and True."""
        with self._lock:
            self._check_order()
            known = self._known
            low, high = bisect_left(known, first), bisect_right(known, last)
            while low < high:
                middle = (low + high) // 2
                if is_before(self._ends[known[middle]][1], value, side):
                    low = middle + 1
                else:
                    high = middle
            if low and known[low - 1] >= first:
                first = known[low - 1] + 1
            if low == len(known) or known[low] > last:
                return first, last, False
            candidate = known[low]
            if is_before(self._ends[candidate][0], value, side):
                return candidate, candidate, True
            return first, candidate - 1, False

    def _guess(self, value: float, first: int, last: int) -> int:
        """Return a block in ``[first, last]``, none of which is known, by the known ones beside them."""
        with self._lock:
            before, after = self._ends.get(first - 1), self._ends.get(last + 1)
        if before is None:
            return first
        length = before[1] - before[0] if after is None else (after[0] - before[1]) / (last - first + 1)
        ahead = (value - before[1]) / length if length > 0 else math.inf
        if math.isnan(ahead):
            return last if after is None else (first + last) // 2
        return first + int(min(max(ahead, 0), last - first))

    def _ordered(self, b: int) -> Labels:
        """Return a block whose labels are in order, and in order with those of the other known blocks."""
        block = self._block(b)
        with self._lock:
            if b not in self._ends:
                self._note(b, block)
            self._check_order()
        return block

    def _note(self, b: int, block: Labels) -> None:
        ends = float(block[0]), float(block[-1])
        at = bisect_left(self._known, b)
        before = self._ends[self._known[at - 1]][1] if at else ends[0]
        after = self._ends[self._known[at]][0] if at < len(self._known) else ends[1]
        if not (is_sorted(block) and is_before(before, ends[0], "right") and is_before(ends[1], after, "right")):
            rows = f"{b * self.rows} to {b * self.rows + len(block)}"
            self._disorder = f"timestamps are not in order, in or around rows {rows}"
        insort(self._known, b)
        self._ends[b] = ends

    def _check_order(self) -> None:
        if self._disorder is not None:
            raise UnsortedTimesError(f"{self._disorder}: samples can be taken by position only (isel)")

    def _block(self, b: int) -> Labels:
        with self._lock:
            self.used = next(_clock)
            if (block := self._blocks.get(b)) is not None:
                self._blocks.move_to_end(b)
                return block
        block = self._fetch(b * self.rows, min((b + 1) * self.rows, self.stamps.n))
        if block.flags.writeable:
            block = block.copy() if block.base is not None else block
            block.flags.writeable = False
        with self._lock:
            if b not in self._blocks:
                self._blocks[b] = block
                self.held_bytes += block.nbytes
            while len(self._blocks) > 1 and (len(self._blocks) > _MAX_BLOCKS or self.held_bytes > _MAX_BYTES):
                self.held_bytes -= self._blocks.popitem(last=False)[1].nbytes
        _bound_all(self)
        return block

    def _fetch(self, start: int, stop: int) -> Labels:
        found = np.asarray(self.stamps.read(start, stop), np.float64)
        if found.shape != (stop - start,):
            raise MalformedFileError(f"rows {start} to {stop} of timestamps were read as an array of {found.shape}")
        return found

    def forget(self) -> None:
        """Give up the blocks in memory; their ends stay known."""
        with self._lock:
            self._blocks.clear()
            self.held_bytes = 0


def block_search(stamps: Stamps) -> BlockSearch:
    """Return what this process knows of a dataset, the same object for equal addresses while an axis uses it."""
    with _searches_lock:
        found = _searches.get(stamps)
        if found is None:
            found = _searches[stamps] = BlockSearch(stamps)
        return found


def _bound_all(current: BlockSearch) -> None:
    """Give up the blocks of the datasets that were used longest ago, where all together hold too much."""
    with _searches_lock:
        others = [one for one in _searches.values() if one is not current]
    total = current.held_bytes + sum(one.held_bytes for one in others)
    for one in sorted(others, key=lambda one: one.used):
        if total <= _MAX_BYTES_OF_ALL:
            return
        total -= one.held_bytes
        one.forget()
