"""The part of a file that is in memory: pages, fetched in rounds as the parser needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from nwb_dask.backends.hdf5.format.space import Need
from nwb_dask.errors import MalformedFileError
from nwb_dask.storage import Buffer

Fetch = Callable[[Sequence[tuple[int, int]]], Sequence[Buffer]]
"""Half-open ranges in, their bytes out: `ByteSource.read`."""

_Run: TypeAlias = "tuple[int, int]"

_BRIDGED_BYTES = 2 << 20
"""Bytes in a row that are fetched because much around them is needed: on most lines they cost less than a round."""


@dataclass(frozen=True, slots=True)
class Coming:
    """Pages that are about to be read."""

    fetch: Callable[[], None]
    """Reads them."""
    pages: frozenset[int]
    """Their numbers."""


class Pages:
    """Bytes of one version of a file, in pages; see `format.space.Image`.

    Parameters
    ----------
    size : int
        Length of the file in bytes.
    fetch : callable
        Reads ranges of the file.
    page_bytes : int
        What is asked for is widened to whole pages: structures that belong together are often near each other.
    gap_bytes : int
        Pages this near to each other are fetched together with those between, which may be needed later.
    at_once : bool
        Whether a page that is absent is read there and then, as suits a local file, and `Need` is never raised.
    """

    def __init__(self, size: int, fetch: Fetch, *, page_bytes: int, gap_bytes: int = 0, at_once: bool = False) -> None:
        self._size = size
        self._fetch = fetch
        self._page_bytes = page_bytes
        self._gap_bytes = gap_bytes
        self._at_once = at_once
        self._pages: dict[int, memoryview] = {}
        self._along: list[_Run] = []
        self._fills = False

    @property
    def waits(self) -> bool:
        """Whether absent bytes are waited for, in rounds."""
        return not self._at_once

    @property
    def size(self) -> int:
        """Length of the file in bytes."""
        return self._size

    def view(self, start: int, stop: int, *, once: bool = False) -> memoryview:
        """Return the bytes ``[start, stop)``; raises as `format.space.Image.view`."""
        page_bytes = self._page_bytes
        first = start // page_bytes
        page = self._pages.get(first)
        if page is not None and 0 <= start <= stop:
            begin = first * page_bytes
            if stop <= begin + len(page):
                return page[start - begin : stop - begin]
        return self._view_slowly(start, stop, once=once)

    def _view_slowly(self, start: int, stop: int, *, once: bool) -> memoryview:
        if not 0 <= start <= stop <= self._size:
            message = f"truncated: bytes {start} to {stop} were asked of a file of {self._size} bytes"
            raise MalformedFileError(message)
        if start == stop:
            return memoryview(b"")
        page_bytes = self._page_bytes
        begin, end = start // page_bytes, (stop - 1) // page_bytes + 1
        first = begin * page_bytes
        numbers = range(begin, end)
        if begin not in self._pages or not all(number in self._pages for number in numbers):
            if not self._at_once:
                raise Need(((start, stop),))
            if once:
                return memoryview(self._fetch([(start, stop)])[0])
            body = self._fetch([(first, min(end * page_bytes, self._size))])[0]
            if end - begin == 1:
                self._pages[begin] = page = memoryview(body)
                return page[start - first : stop - first]
            self.hold(first, body)
            return memoryview(body)[start - first : stop - first]
        if end - begin == 1:
            return self._pages[begin][start - first : stop - first]
        whole = b"".join([self._pages[number] for number in numbers])
        return memoryview(whole)[start - first : stop - first]

    def holds(self, start: int, stop: int) -> bool:
        """Return whether all bytes of a range are here."""
        if not 0 <= start <= stop <= self._size:
            return False
        page_bytes = self._page_bytes
        return start == stop or all(
            number in self._pages for number in range(start // page_bytes, (stop - 1) // page_bytes + 1)
        )

    def held(self) -> tuple[_Run, ...]:
        """Return which ranges of the file are here, in order and apart from each other."""
        return tuple(self._runs(sorted(self._pages), gap_bytes=0))

    def _runs(self, numbers: Iterable[int], *, gap_bytes: int) -> list[_Run]:
        page_bytes = self._page_bytes
        return _joined([(one * page_bytes, min((one + 1) * page_bytes, self._size)) for one in numbers], gap_bytes)

    def bring_along(self, start: int, stop: int) -> None:
        """Fetch a range too when anything is fetched next: it will probably be needed, and costs no round then."""
        self._along.append((start, stop))

    def fill_gaps(self) -> None:
        """From now on fetch also what lies between parts of the file of which at least as much is needed.

        What is needed next is most often there, since structure stands together.
        """
        self._fills = True

    def fetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Read the pages that hold `ranges` and are not here yet, in one call."""
        self.fetching(ranges).fetch()

    def fetch_again(self, runs: Sequence[_Run]) -> None:
        """Read what `held` returned of the same file, and no gaps: a cache may have no other bytes."""
        absent = [run for run in runs if not self.holds(*run)]
        for (begin, _), body in zip(absent, self._fetch(absent) if absent else (), strict=True):
            self.hold(begin, body)

    def fetching(self, ranges: Iterable[_Run], coming: frozenset[int] = frozenset()) -> Coming:
        """Return a call that reads the pages that hold `ranges`, are not here yet, and are none of those that come.

        It may run on another thread, while pages are looked at here. Who names pages that come must wait for these.
        """
        if self._along:
            ranges, self._along = [*ranges, *self._along], []
        page_bytes = self._page_bytes
        missing = sorted(
            {
                number
                for start, stop in ranges
                if start < stop
                for number in range(max(start, 0) // page_bytes, (min(stop, self._size) - 1) // page_bytes + 1)
                if number not in self._pages and number not in coming
            }
        )
        runs = self._runs(missing, gap_bytes=self._gap_bytes)
        if self._fills and runs:
            here = self._runs(sorted({*self._pages, *coming}), gap_bytes=0)
            runs = _joined(_filled(runs, here), self._gap_bytes)

        def fetch() -> None:
            for (begin, _), body in zip(runs, self._fetch(runs) if runs else (), strict=True):
                self.hold(begin, body)

        numbers = (number for begin, end in runs for number in range(begin // page_bytes, -(-end // page_bytes)))
        return Coming(fetch, frozenset(numbers))

    def hold(self, start: int, body: Buffer) -> None:
        """Keep the whole pages of `body`, which begins at `start` of the file and was fetched by someone else."""
        page_bytes, view = self._page_bytes, memoryview(body)
        for number in range(-(-start // page_bytes), -(-(start + len(view)) // page_bytes)):
            begin = number * page_bytes
            end = min(begin + page_bytes, self._size)
            if end <= start + len(view):
                self._pages.setdefault(number, view[begin - start : end - start])


def _joined(runs: Sequence[_Run], gap_bytes: int) -> list[_Run]:
    """Return runs, in order, of which those as near as that are one."""
    out: list[_Run] = []
    for begin, end in runs:
        if out and begin - out[-1][1] <= gap_bytes:
            out[-1] = (out[-1][0], end)
        else:
            out.append((begin, end))
    return out


def _filled(wanted: Sequence[_Run], held: Sequence[_Run]) -> list[_Run]:
    """Return what to fetch for what is wanted: gaps too, where no more is missing than is wanted or held on both sides.

    So what is fetched in vain is never more than what was needed.
    """
    is_wanted = set(wanted)
    groups: list[tuple[int, int, int, list[_Run]]] = []
    for run in sorted((*wanted, *held)):
        group = (*run, run[1] - run[0], [run])
        while groups and group[0] - groups[-1][1] <= min(groups[-1][2] + group[2], _BRIDGED_BYTES):
            before = groups.pop()
            group = (before[0], group[1], before[2] + group[2], before[3] + group[3])
        groups.append(group)
    out: list[_Run] = []
    for _, _, _, members in groups:
        if is_wanted.isdisjoint(members):
            continue
        at = members[0][0]
        for begin, end in members:
            if begin > at:
                out.append((at, begin))
            if (begin, end) in is_wanted:
                out.append((begin, end))
            at = max(at, end)
    return out
