"""The files that this process has used last, as they were read from the cache."""

from __future__ import annotations

import os
from collections import OrderedDict
from threading import Lock
from weakref import WeakSet

from nwb_dask.backends.known import Known
from nwb_dask.catalog.lazy import weigh

_WEIGH_AGAIN = 32
"""After so many files all are weighed again."""


class Memory:
    """Remembers what was used last, within bounds; any thread may use it, and a forked process goes on with it.

    Parameters
    ----------
    max_bytes : int
        Bound of the estimated sizes. They grow while files are read, and are looked at again from time to time.
    max_files : int
        Bound of the number.
    """

    def __init__(self, max_bytes: int, max_files: int) -> None:
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._weights: dict[bytes, int] = {}
        self._n_put = 0
        self.renew_lock()
        _memories.add(self)

    def renew_lock(self) -> None:
        """Take a lock of its own: in a forked process the old one may be held by a thread that does not exist."""
        self._lock = Lock()

    def get(self, key: bytes) -> Known | None:
        """Return what was put in for `key`, or None."""
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
            return known

    def put(self, key: bytes, known: Known) -> None:
        """Remember `known`; the least recently used go when there is no room, but never `known` itself."""
        with self._lock:
            self._known[key] = known
            self._known.move_to_end(key)
            self._n_put += 1
            if self._n_put % _WEIGH_AGAIN == 0:
                self._weights = {one: weigh(other) for one, other in self._known.items()}
            self._weights[key] = weigh(known)
            n_bytes = sum(self._weights.values())
            while len(self._known) > 1 and (n_bytes > self._max_bytes or len(self._known) > self._max_files):
                n_bytes -= self._weights.pop(self._known.popitem(last=False)[0], 0)

    def forget(self, key: bytes) -> None:
        """Remember nothing of `key`."""
        with self._lock:
            self._known.pop(key, None)
            self._weights.pop(key, None)

    def clear(self) -> None:
        """Remember nothing."""
        with self._lock:
            self._known.clear()
            self._weights.clear()


_memories: WeakSet[Memory] = WeakSet()


def _renew_locks() -> None:
    for memory in _memories:
        memory.renew_lock()


os.register_at_fork(after_in_child=_renew_locks)
