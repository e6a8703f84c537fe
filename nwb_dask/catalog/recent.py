"""Bounded, thread-safe caches of what this process has read, keyed by the file's identity so that nothing is stale."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock

MAX_DESCRIPTIONS = 16_384
"""Enough for one table of ten thousand files; a description of a table of ten columns takes about 8 kB."""
MAX_VALUE_BYTES = 1 << 26
MAX_RECORD_BYTES = 1 << 25


class Recent:
    """Remembers the most recently used values that together weigh at most `bound`.

    Keys hold the `Identity` of the file, so a file that changed is another key.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._weight = 0
        self._weights: dict[Hashable, int] = {}
        self._values: OrderedDict[Hashable, object] = OrderedDict()
        self.renew_lock()

    def renew_lock(self) -> None:
        """Take a lock of its own: in a forked process the old one may be held by a thread that does not exist."""
        self._lock = Lock()

    def get(self, key: Hashable) -> object | None:
        """Return the value kept for `key`, or None."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: Hashable, value: object, weight: int = 1) -> None:
        """Keep `value`, unless it alone is too heavy; the least recently used go when there is no room."""
        with self._lock:
            self._drop(key)
            if weight > self._bound:
                return
            self._values[key] = value
            self._weights[key] = weight
            self._weight += weight
            while self._weight > self._bound:
                self._drop(next(iter(self._values)))

    def _drop(self, key: Hashable) -> None:
        self._values.pop(key, None)
        self._weight -= self._weights.pop(key, 0)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()
            self._weights.clear()
            self._weight = 0


recent_tables = Recent(MAX_DESCRIPTIONS)
"""Descriptions of tables, by source, path and columns."""


recent_values = Recent(MAX_VALUE_BYTES)
"""Values of small datasets of local files, by source and path."""
recent_records = Recent(MAX_RECORD_BYTES)
"""What describes sessions, by source."""

_ALL = (recent_tables, recent_values, recent_records)


def clear() -> None:
    """Forget everything, so that the next plan reads the files' metadata again, and the next read their values."""
    for recent in _ALL:
        recent.clear()


def _renew_locks() -> None:
    for recent in _ALL:
        recent.renew_lock()


os.register_at_fork(after_in_child=_renew_locks)
