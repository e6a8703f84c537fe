"""Counting what is read: the budget tests and the curious ask here, readers report here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Request:
    name: str
    n_requests: int
    n_bytes: int
    n_retries: int
    began: float
    ended: float


class Trace:
    """What all stores of this process read while the trace was open.

    Requests that failed count too. Bytes that libhdf5 reads past this package do not: ``ros3``, and of
    local files what the own parser does not cover.
    """

    def __init__(self) -> None:
        # Only appended to, which is atomic: a lock might be waited for with h5py's own held (see `BlockFile`).
        self._requests: list[_Request] = []
        self._rounds: list[None] = []

    @property
    def requests(self) -> int:
        """Ranged reads: one GET, or one local ``pread``; each redirect is one more, retries are not counted here."""
        return sum(one.n_requests for one in self._requests[:])

    @property
    def bytes(self) -> int:
        """Bytes that arrived, those between coalesced ranges included; not those of tries that failed."""
        return sum(one.n_bytes for one in self._requests[:])

    @property
    def rounds(self) -> int:
        """Reads that had to ask, each with all its requests at once: what latency multiplies, for one file."""
        return len(self._rounds)

    @property
    def retries(self) -> int:
        """Requests that were sent again after a failure that may pass."""
        return sum(one.n_retries for one in self._requests[:])

    @property
    def max_in_flight(self) -> int:
        """Most requests that were under way at one moment, those that wait to be tried again included."""
        requests = self._requests[:]
        edges = [(one.began, 1) for one in requests] + [(one.ended, -1) for one in requests]
        most, now = min(len(requests), 1), 0
        for _, step in sorted(edges):
            now += step
            most = max(most, now)
        return most

    @property
    def by_url(self) -> dict[str, tuple[int, int]]:
        """Name of the file, without query string -> (requests, bytes)."""
        found: dict[str, tuple[int, int]] = {}
        for one in self._requests[:]:
            before = found.get(one.name, (0, 0))
            found[one.name] = (before[0] + one.n_requests, before[1] + one.n_bytes)
        return found

    def __repr__(self) -> str:
        return (
            f"Trace(requests={self.requests}, bytes={self.bytes}, rounds={self.rounds}, retries={self.retries}, "
            f"max_in_flight={self.max_in_flight})"
        )

    def _add(self, one: _Request) -> None:
        self._requests.append(one)

    def _add_round(self) -> None:
        self._rounds.append(None)


class _Active:
    """The open traces; replaced, never modified, so that readers need no lock."""

    traces: tuple[Trace, ...] = ()
    lock = threading.Lock()


@contextmanager
def trace() -> Iterator[Trace]:
    """Count the reads of every store in this process, in all its threads, until the block ends.

    Traces nest: each open one counts every read.
    """
    opened = Trace()
    with _Active.lock:
        _Active.traces = (*_Active.traces, opened)
    try:
        yield opened
    finally:
        with _Active.lock:
            _Active.traces = tuple(one for one in _Active.traces if one is not opened)


def is_tracing() -> bool:
    """Return whether any trace is open; lets the fast path skip its sums."""
    return bool(_Active.traces)


def record(name: str, *, requests: int, n_bytes: int, began: float, ended: float, retries: int = 0) -> None:
    """Report to the open traces what was read of the file `name` between two times of `time.monotonic`."""
    for one in _Active.traces:
        one._add(_Request(name, requests, n_bytes, retries, began, ended))  # noqa: SLF001  # same module


def record_round() -> None:
    """Report that a read had to ask, whatever number of requests it took."""
    for one in _Active.traces:
        one._add_round()  # noqa: SLF001  # same module
