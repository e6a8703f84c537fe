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
_OTHERS = tuple(
    one / "io" for one in (_TASKS.iterdir() if _COUNTERS.exists() else ()) if int(one.name) != threading.get_native_id()
)
"""Of threads that were there before any test ran: one of pytest-xdist reads what its main process sends."""

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
        own = _difference(_counters(), _counters())
        before = _counters()
        result = call()
        after = _counters()
    n_bytes, n_calls = (used - one for used, one in zip(_difference(before, after), own, strict=True))
    return Measured(result, n_bytes, n_calls, traced)


def _counters() -> tuple[int, int]:
    others = [_read(one) for one in _OTHERS if one.exists()]
    n_bytes, n_calls = _read(_COUNTERS)
    return n_bytes - sum(one[0] for one in others), n_calls - sum(one[1] for one in others)


def _read(counters: Path) -> tuple[int, int]:
    text = counters.read_text()
    found = [re.search(rf"{name}: (\d+)", text) for name in ("rchar", "syscr")]
    n_bytes, n_calls = (int(one[1]) for one in found if one is not None)
    return n_bytes, n_calls


def _difference(before: tuple[int, int], after: tuple[int, int]) -> tuple[int, int]:
    return after[0] - before[0], after[1] - before[1]
