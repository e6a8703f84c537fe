"""Servers that see rounds, which no client can hide from them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nwb_dask.testing import RangeServer
from nwb_dask.testing.messages import Answer, Request


class WatchingServer(RangeServer):
    """Counts how often a request came when no other was waiting for its answer.

    Parameters
    ----------
    folder : Path
        What to serve.
    delay_seconds : float
        Waited before each answer; requests that are sent within it count as sent at once.
    """

    def __init__(self, folder: Path, *, delay_seconds: float) -> None:
        super().__init__(folder, delay_seconds=delay_seconds)
        self._watching = threading.Lock()
        self._n_waiting = 0
        self.n_rounds = 0

    @contextmanager
    def serving(self, request: Request) -> Iterator[Answer]:
        """Answer a request; see `RangeServer.serving`."""
        with self._watching:
            self.n_rounds += not self._n_waiting
            self._n_waiting += 1
        with super().serving(request) as answer:
            # Before the answer is sent: the next round may begin as soon as it is there.
            with self._watching:
                self._n_waiting -= 1
            yield answer


class LockstepServer(RangeServer):
    """Answers the first requests of each of some files when all of these files have had as many.

    Whoever asks for one file after the other, or for one round of them after the other, gets no answer in time.

    Parameters
    ----------
    folder : Path
        What to serve.
    n_files : int
        How many files must keep step.
    """

    def __init__(self, folder: Path, *, n_files: int) -> None:
        super().__init__(folder)
        self._n_files = n_files
        self._arriving = threading.Condition()
        self._n_arrived: Counter[str] = Counter()
        self.late: list[str] = []
        """Files that waited in vain for the others."""

    @contextmanager
    def serving(self, request: Request) -> Iterator[Answer]:
        """Answer a request; see `RangeServer.serving`."""
        with self._arriving:
            self._n_arrived[request.path] += 1
            number = self._n_arrived[request.path]
            self._arriving.notify_all()
            if not self.late and not self._arriving.wait_for(lambda: self._n_in_step(number) == self._n_files, 20.0):
                self.late.append(request.path)
                self._arriving.notify_all()
        with super().serving(request) as answer:
            yield answer

    def _n_in_step(self, number: int) -> int:
        return sum(found >= number for found in self._n_arrived.values()) if not self.late else self._n_files
