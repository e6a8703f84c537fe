"""Which bytes of a file are there already, and which requests the rest takes. Pure: nothing is read here."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from nwb_dask.storage.coalesce import Buffer, Range

Piece: TypeAlias = tuple[int, Buffer]
"""First byte in the file, and the bytes from there on."""


class Cover:
    """Ranges that are kept, and which of them has which byte; any thread may use it.

    Threads that add at once may make it know less than there is, and never other things than there are.
    """

    def __init__(self, kept: Iterable[Range] = ()) -> None:
        # (start, stop, the range kept that has these bytes), sorted, hardly ever overlapping.
        self._segments: list[tuple[int, int, Range]] = []
        for one in sorted(kept):
            self.add(one)

    def add(self, kept: Range) -> None:
        """Add a range that is kept."""
        at = kept[0]
        for start, stop, _ in [*self.parts(*kept), (kept[1], kept[1], kept)]:
            if start > at:
                insort(self._segments, (at, start, kept))
            at = max(at, stop)

    def parts(self, start: int, stop: int) -> list[tuple[int, int, Range]]:
        """Return the parts of ``[start, stop)`` that are kept, each with the range that has it."""
        segments = self._segments
        # The one before may reach in.
        i = max(bisect_left(segments, (start,)) - 1, 0)
        found = []
        while i < len(segments) and segments[i][0] < stop:
            first, last, kept = segments[i]
            if last > start < stop:
                found.append((max(first, start), min(last, stop), kept))
            i += 1
        return found

    def has(self, start: int, stop: int) -> bool:
        """Return whether all of ``[start, stop)`` is kept."""
        return sum(last - first for first, last, _ in self.parts(start, stop)) >= stop - start


def shrink_requests(requests: Sequence[Range], holes: Sequence[Range], *, gap_bytes: int) -> list[Range]:
    """Return what has to be requested of what would be without a cache: nothing beyond `requests`.

    Parameters
    ----------
    requests : sequence of (int, int)
        Increasing, without overlap; they cover the holes.
    holes : sequence of (int, int)
        What is not there, sorted and disjoint.
    gap_bytes : int
        A request is cut in two only where that saves more than this.
    """
    left: list[Range] = []
    for first, last in requests:
        fresh = True
        for start, stop in _inside(holes, first, last):
            if not fresh and start - left[-1][1] <= gap_bytes:
                left[-1] = (left[-1][0], stop)
            else:
                left.append((start, stop))
            fresh = False
    return left


def _inside(holes: Sequence[Range], first: int, last: int) -> Iterator[Range]:
    i = max(bisect_left(holes, (first, first)) - 1, 0)
    while i < len(holes) and holes[i][0] < last:
        start, stop = max(holes[i][0], first), min(holes[i][1], last)
        if start < stop:
            yield start, stop
        i += 1


def find_holes(ranges: Sequence[Range], pieces: Sequence[Piece]) -> list[Range]:
    """Return the bytes of `ranges` that no piece has: sorted and disjoint."""
    there = _united((start, start + len(body)) for start, body in pieces)
    found: list[Range] = []
    for start, stop in _united(ranges):
        i = max(bisect_left(there, (start, start)) - 1, 0)
        at = start
        while i < len(there) and there[i][0] < stop:
            if there[i][0] > at:
                found.append((at, there[i][0]))
            at = max(at, there[i][1])
            i += 1
        if at < stop:
            found.append((at, stop))
    return found


def _united(ranges: Iterable[Range]) -> list[Range]:
    """Return sorted and disjoint ranges with the same bytes, none empty."""
    united: list[Range] = []
    for start, stop in sorted(ranges):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], stop))
        elif start < stop:
            united.append((start, stop))
    return united


def join(ranges: Sequence[Range], pieces: Sequence[Piece]) -> list[Buffer]:
    """Return the bytes of each range; what one piece has is a view of it, and what several have is copied together.

    Raises
    ------
    ValueError
        If the pieces do not cover a range.
    """
    views = sorted(((start, memoryview(body)) for start, body in pieces), key=lambda one: (one[0], len(one[1])))
    starts = [start for start, _ in views]
    return [_joined(one, starts, views) for one in ranges]


def _joined(wanted: Range, starts: Sequence[int], views: Sequence[tuple[int, memoryview]]) -> Buffer:
    start, stop = wanted
    if start == stop:
        return b""
    parts = []
    # The last piece that begins at or before it, which has it in nearly all cases.
    i = max(bisect_left(starts, start + 1) - 1, 0)
    at = start
    while at < stop:
        if i >= len(views) or not _has(views[i], at):
            # Pieces overlap.
            i = next((j for j, one in enumerate(views) if _has(one, at)), -1)
            if i < 0:
                raise ValueError(f"byte {at} is in no piece")
        first, view = views[i]
        part = view[at - first : stop - first]
        parts.append(part)
        at += len(part)
        i += 1
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _has(piece: tuple[int, memoryview], at: int) -> bool:
    return piece[0] <= at < piece[0] + len(piece[1])
