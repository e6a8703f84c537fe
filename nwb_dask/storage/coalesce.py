"""Ranges to requests and back. Pure: nothing is fetched here."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

Buffer: TypeAlias = "bytes | memoryview"
"""What a read gives for one range: its bytes, perhaps as a view into a larger response."""

Range: TypeAlias = tuple[int, int]
"""Half-open ``[start, stop)`` in bytes."""


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """Requests that together cover some ranges."""

    ranges: tuple[Range, ...]
    """As asked: any order, overlaps and empty ranges allowed."""
    requests: tuple[Range, ...]
    """What to fetch: increasing, without overlap, none empty."""

    def slices(self, responses: Sequence[Buffer]) -> list[Buffer]:
        """Return the bytes of each range, in the order asked.

        Parameters
        ----------
        responses : sequence of buffers
            The bytes of each of `requests`. Ranges inside one response become views of it; ranges that several
            responses share are copied together.
        """
        starts = [start for start, _ in self.requests]
        views = [memoryview(response) for response in responses]
        return [self._slice(one, starts, views) for one in self.ranges]

    def _slice(self, wanted: Range, starts: Sequence[int], views: Sequence[memoryview]) -> Buffer:
        start, stop = wanted
        if start == stop:
            return b""
        first = bisect_right(starts, start) - 1
        if stop <= self.requests[first][1]:
            offset = starts[first]
            return views[first][start - offset : stop - offset]
        last = bisect_right(starts, stop - 1)
        return b"".join(
            views[i][max(start - starts[i], 0) : min(stop, self.requests[i][1]) - starts[i]] for i in range(first, last)
        )


def plan_requests(
    ranges: Sequence[Range], *, gap_bytes: int, free_bytes: int, waste: float, cap_bytes: int
) -> RequestPlan:
    """Requests that cover `ranges`: neighbours merged, long ranges split.

    One connection carries only so many bytes a second, so that a long request is slower than several at once; a
    short one costs a round trip for little.

    Parameters
    ----------
    ranges : sequence of (int, int)
        Half-open, any order.
    gap_bytes : int
        Ranges this near to each other may be fetched together with what lies between.
    free_bytes : int
        What a request may fetch in vain, however little is wanted of it.
    waste : float
        What it may fetch in vain for each byte that is wanted, where that is more: many small ranges spread over
        a file must not become the whole file.
    cap_bytes : int
        No request is longer; longer ranges are split evenly.
    """
    requests: list[Range] = []
    wanted = 0
    for start, stop in _disjoint(ranges):
        if requests and start - requests[-1][1] <= gap_bytes and stop - requests[-1][0] <= cap_bytes:
            total = wanted + stop - start
            if stop - requests[-1][0] - total <= max(free_bytes, waste * total):
                requests[-1] = (requests[-1][0], stop)
                wanted = total
                continue
        n_parts = -(-(stop - start) // cap_bytes)
        edges = [start + (stop - start) * i // n_parts for i in range(n_parts + 1)]
        requests.extend(pairwise(edges))
        wanted = edges[-1] - edges[-2]
    return RequestPlan(tuple(ranges), tuple(requests))


def _disjoint(ranges: Sequence[Range]) -> list[Range]:
    """Return the ranges sorted, without empty ones, and overlapping ones united.

    Ranges that only touch stay apart, so that a request ends where a range does and no range must be joined from
    two responses.
    """
    united: list[Range] = []
    for start, stop in sorted(ranges):
        if start == stop:
            continue
        if united and start < united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], stop))
        else:
            united.append((start, stop))
    return united
