"""A bounded, thread-safe cache of descriptions, keyed by the file's identity so that none is ever stale."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock

MAX_DESCRIPTIONS = 16_384
"""Enough for one table of ten thousand files; a description of a table of ten columns takes about 8 kB."""


class Recent:
    """Remembers the `bound` most recently used values.

    Keys hold the `Identity` of the file, so a file that changed is another key.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._lock = Lock()
        self._values: OrderedDict[Hashable, object] = OrderedDict()

    def get(self, key: Hashable) -> object | None:
        """Return the value kept for `key`, or None."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: Hashable, value: object) -> None:
        """Keep `value`; the least recently used goes when there is no room."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._bound:
                self._values.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()


recent_tables = Recent(MAX_DESCRIPTIONS)
"""Descriptions of tables, by source, path and columns."""


def clear() -> None:
    """Forget every description, so that the next plan reads the files' metadata again."""
    recent_tables.clear()
