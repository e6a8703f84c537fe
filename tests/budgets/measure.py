"""What a call reads, as the operating system counts it: no reader of ours can forget to report to it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import pytest

import nwb_dask
from nwb_dask.storage.trace import Trace

_COUNTERS = Path("/proc/self/io")
_TASKS = Path("/proc/self/task")
_ALL = frozenset(one.name for one in _TASKS.iterdir()) if _COUNTERS.exists() else frozenset()
_FIRST = _ALL - {str(threading.get_native_id())}
"""Threads that were there before any test ran: one of pytest-xdist reads what its main process sends."""
_LOOP = "IO loop"
"""Name of the threads in which clusters of other tests look at the machine."""
_CALLS = 2
"""System calls that reading a counter takes: one for its text, one for its end."""

needs_counters = pytest.mark.skipif(not _COUNTERS.exists(), reason="only Linux counts what a process reads")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Measured(Generic[T]):
    """One call: its result and what it read."""

    result: T
    bytes: int
    """Read by this process in any way: system calls of Python, of libhdf5 and of Arrow."""
    calls: int
    """System calls that read."""
    trace: Trace
    """What our stores say."""


def measure(call: Callable[[], T]) -> Measured[T]:
    """Return what `call` reads. It must have run before: importing a module reads files too."""
    with nwb_dask.trace() as traced:
        counters = _Counters()
        before = counters.look()
        result = call()
        after = counters.look()
    n_bytes, n_calls = (late - early for early, late in zip(before, after, strict=True))
    return Measured(result, n_bytes, n_calls, traced)


class _Counters:
    """Bytes and calls of this process, without those of threads that do not belong to a call, and of looking."""

    def __init__(self) -> None:
        loops = {str(one.native_id) for one in threading.enumerate() if one.name.startswith(_LOOP)}
        self._others = [_TASKS / one / "io" for one in sorted(_FIRST | loops) if (_TASKS / one).exists()]
        self._looking = (0, 0)

    def look(self) -> tuple[int, int]:
        """Return what has been read so far."""
        while True:
            first = [self._read(one) for one in self._others]
            looking = self._looking
            n_bytes, n_calls = self._read(_COUNTERS)
            if first == [self._read(one) for one in self._others]:
                break
        n_bytes -= looking[0] + sum(one[0] for one in first)
        return n_bytes, n_calls - looking[1] - sum(one[1] for one in first)

    def _read(self, counters: Path) -> tuple[int, int]:
        text = counters.read_text()
        self._looking = (self._looking[0] + len(text), self._looking[1] + _CALLS)
        found = [re.search(rf"{name}: (\d+)", text) for name in ("rchar", "syscr")]
        n_bytes, n_calls = (int(one[1]) for one in found if one is not None)
        return n_bytes, n_calls
