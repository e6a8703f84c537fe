"""Counting what is read: the budget tests and the curious ask here, readers report here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Trace:
    """What all stores of this process read while the trace was open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests = 0
        """Ranged reads: one GET, or one local ``pread``. Retries inside the HTTP client do not count."""
        self.bytes = 0
        """Bytes that arrived, those between coalesced ranges included."""
        self.rounds = 0
        """Groups of reads that were under way together: what latency multiplies."""
        self.by_url: dict[str, tuple[int, int]] = {}
        """Name of the file, without query string -> (requests, bytes)."""

    def __repr__(self) -> str:
        return f"Trace(requests={self.requests}, bytes={self.bytes}, rounds={self.rounds})"

    def _add(self, name: str, requests: int, n_bytes: int) -> None:
        with self._lock:
            self.requests += requests
            self.bytes += n_bytes
            self.rounds += 1
            before = self.by_url.get(name, (0, 0))
            self.by_url[name] = (before[0] + requests, before[1] + n_bytes)


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


def record(name: str, *, requests: int, n_bytes: int) -> None:
    """Report one round of reads of the file `name` to the open traces."""
    for one in _Active.traces:
        one._add(name, requests, n_bytes)  # noqa: SLF001  # same module
