"""Lets reads that polars has under way come to an end before the interpreter does.

The streaming engine asks for batches ahead in threads of its own, and does not wait for them once it has the rows that
a query needs. Such a thread that comes back to an interpreter that is being torn down aborts the process (polars 2.1.0,
CPython before 3.14), although the query was answered.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Literal, TypeVar

_RUNNING_SECONDS = 60.0
"""Longest wait for batches that are being read."""
_HELD_SECONDS = 0.2
"""Longest wait for iterators that rest: a thread is about to drop them, or the user holds them."""

T = TypeVar("T")


class _Reads:
    """Iterators over batches in this process."""

    changed = threading.Condition()
    counts: dict[Literal["held", "running"], int] = {"held": 0, "running": 0}  # noqa: RUF012  # shared on purpose
    is_ending = False


def until_exit(items: Iterator[T]) -> Iterator[T]:
    """Yield the items, for as long as the interpreter does not end; its end waits for the one that is being made."""
    with _counted("held"):
        while True:
            with _counted("running"):
                found = [] if _Reads.is_ending else list(islice(items, 1))
            if not found:
                return
            yield from found


@contextmanager
def _counted(kind: Literal["held", "running"]) -> Iterator[None]:
    with _Reads.changed:
        _Reads.counts[kind] += 1
    try:
        yield
    finally:
        with _Reads.changed:
            _Reads.counts[kind] -= 1
            _Reads.changed.notify_all()


def _end() -> None:
    with _Reads.changed:
        _Reads.is_ending = True
        _Reads.changed.wait_for(lambda: _Reads.counts["running"] == 0, _RUNNING_SECONDS)
        _Reads.changed.wait_for(lambda: _Reads.counts["held"] == 0, _HELD_SECONDS)


def _forget() -> None:
    """Start anew after a fork, which has none of the threads."""
    _Reads.changed = threading.Condition()
    _Reads.counts = {"held": 0, "running": 0}


atexit.register(_end)
os.register_at_fork(after_in_child=_forget)
