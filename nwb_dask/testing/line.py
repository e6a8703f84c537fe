"""How fast bytes leave the test server."""

from __future__ import annotations

import threading
import time

# Who could not send in time, because the operating system woke it late, catches up this much.
_SLACK_SECONDS = 0.02


class Line:
    """A cable: bytes go through it one after the other, whoever sends them.

    Parameters
    ----------
    bytes_per_second : float
        125e6 is 1 Gbit/s.
    """

    def __init__(self, bytes_per_second: float) -> None:
        if not bytes_per_second > 0:
            raise ValueError(f"a line carries more than nothing, not {bytes_per_second} bytes per second")
        self.bytes_per_second = bytes_per_second
        self._lock = threading.Lock()
        self._free = 0.0

    def reserve(self, n_bytes: int, since: float) -> float:
        """Return when the last of some bytes is through, on the clock of `time.monotonic`.

        Parameters
        ----------
        n_bytes : int
            How many.
        since : float
            When they were ready. One transfer passes what it got for its piece before this one, so that its rate is
            exact although each sleep is too long.
        """
        with self._lock:
            start = max(since, self._free, time.monotonic() - _SLACK_SECONDS)
            self._free = start + n_bytes / self.bytes_per_second
            return self._free
