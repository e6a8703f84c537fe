"""What the test server counts."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from nwb_dask.testing.faulty import Failure
from nwb_dask.testing.messages import Request


class Counts:
    """Requests, bytes, faults and connections; safe for threads."""

    def __init__(self) -> None:
        self._counting = threading.Lock()
        self._in_flight: set[int] = set()
        self.reset()

    def reset(self) -> None:
        """Forget what was counted; injected faults stay."""
        with self._counting:
            self.log: list[Request] = []
            self.bytes_by_path: Counter[str] = Counter()
            self.faults_by_name: Counter[str] = Counter()
            self.max_in_flight = len(self._in_flight)
            self.n_connections = 0

    @property
    def n_requests(self) -> int:
        """Requests that arrived, of any method and with any outcome."""
        return len(self.log)

    @property
    def n_bytes(self) -> int:
        """Bytes of all bodies that were sent, but for those of errors; headers do not count."""
        return self.bytes_by_path.total()

    @property
    def n_faults(self) -> int:
        """Answers with which something went wrong on command; `faults_by_name` says what."""
        return self.faults_by_name.total()

    @contextmanager
    def budget(self, *, requests: int | None = None, bytes: int | None = None) -> Iterator[None]:  # noqa: A002  # as read
        """Fail the test if the block takes more requests, or more bytes of bodies, than this."""
        requests_before, bytes_before = self.n_requests, self.n_bytes
        yield
        used = (self.n_requests - requests_before, self.n_bytes - bytes_before)
        if (requests is not None and used[0] > requests) or (bytes is not None and used[1] > bytes):
            raise AssertionError(f"used {used[0]} requests of {requests} and {used[1]} bytes of {bytes}")

    def count(self, path: str, n_bytes: int) -> None:
        """Count bytes of a body, before they are sent: the client may look as soon as it has them."""
        with self._counting:
            self.bytes_by_path[path] += n_bytes

    def count_connection(self) -> None:
        """Count a connection that was accepted."""
        with self._counting:
            self.n_connections += 1

    @contextmanager
    def counting(self, request: Request) -> Iterator[None]:
        """Count a request; it is in flight while the block lasts, or until `departing`."""
        with self._counting:
            self.log.append(request)
            self._in_flight.add(id(request))
            self.max_in_flight = max(self.max_in_flight, len(self._in_flight))
        try:
            yield
        finally:
            self.departing(request)

    def departing(self, request: Request) -> None:
        """Count a request as answered, before the last of its answer is sent: the client may ask again at once."""
        with self._counting:
            self._in_flight.discard(id(request))

    def count_fault(self, failure: Failure) -> None:
        """Count an answer with which something goes wrong."""
        with self._counting:
            self.faults_by_name[failure.name] += 1

    def summary(self) -> dict[str, object]:
        """Return all counts as JSON has them; requests and bytes also for each path."""
        with self._counting:
            requests = Counter(request.path for request in self.log)
            by_path = {path: {"requests": n, "bytes": self.bytes_by_path[path]} for path, n in sorted(requests.items())}
            return {
                "requests": len(self.log),
                "bytes": self.bytes_by_path.total(),
                "max_in_flight": self.max_in_flight,
                "connections": self.n_connections,
                "faults": dict(self.faults_by_name),
                "by_path": by_path,
            }
