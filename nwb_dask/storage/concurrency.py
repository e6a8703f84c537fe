"""Requests at once: the threads of this process, how many may ask one server, and what is left after a fork."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Generic, TypeVar

from nwb_dask.errors import SourceUnavailableError

T = TypeVar("T")

_N_THREADS = 128
"""Requests of this process that are under way at once, but for those on the threads of callers."""
_HEAD_START_SECONDS = 0.004
"""In which requests leave."""


class _Threads:
    """The pool, and for each server the calls that run and those that wait for their turn.

    A call waits in a queue, not in a thread: a server that is slow keeps no thread from another, and no thread of
    the pool ever waits for another.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pool: ThreadPoolExecutor | None = None
        self.running: dict[str, int] = {}
        self.waiting: dict[str, deque[Callable[[], None]]] = {}
        self.used = False
        self.forked = False

    def after_fork(self) -> None:
        """Give up everything in a forked child: the threads are not there, and obstore hangs (0.12.1)."""
        forked = self.used or self.forked
        self.__init__()  # type: ignore[misc]  # the same blank state as at import
        self.forked = forked

    def submit(self, host: str, call: Callable[[], None], *, limit: int) -> None:
        with self.lock:
            if self.running.get(host, 0) >= limit:
                self.waiting.setdefault(host, deque()).append(call)
                return
            self.running[host] = self.running.get(host, 0) + 1
            pool = self.pool = self.pool or ThreadPoolExecutor(_N_THREADS, "nwb_dask-read")
        pool.submit(self._run, host, call)

    def _run(self, host: str, call: Callable[[], None]) -> None:
        call()
        with self.lock:
            waiting = self.waiting.get(host)
            following = waiting.popleft() if waiting else None
            if following is None:
                self.waiting.pop(host, None)
                self.running[host] -= 1
                if not self.running[host]:
                    del self.running[host]
                return
            pool = self.pool
        if pool is not None:
            # At the end of the pool's queue, so that servers take turns.
            pool.submit(self._run, host, following)


_threads = _Threads()
os.register_at_fork(after_in_child=_threads.after_fork)


def check_process() -> None:
    """Raise if this process cannot use the network: it was forked from one that had."""
    if _threads.forked:
        raise SourceUnavailableError(
            "this process was forked from one that had read remote files, and connections do not survive that; "
            "start workers with the 'spawn' or 'forkserver' method"
        )
    _threads.used = True


class _Batch(Generic[T]):
    """Calls whose results are wanted together; after a fatal one those that have not begun are left out."""

    def __init__(self, is_fatal: Callable[[T], bool]) -> None:
        self.is_fatal = is_fatal
        self.stopped = False

    def run(self, call: Callable[[], T], future: Future[T | None]) -> None:
        if self.stopped:
            future.set_result(None)
            return
        try:
            result = call()
            if self.is_fatal(result):
                self.stopped = True
        except BaseException as exc:  # noqa: BLE001  # it is raised where the result is wanted
            self.stopped = True
            future.set_exception(exc)
        else:
            future.set_result(result)


def begin(call: Callable[[], T]) -> Future[T]:
    """Return the result of a call that reads, while this thread goes on: its requests are on their way by then.

    The call runs on a thread of its own, since it waits for those of the pool.
    """
    future: Future[T] = Future()
    context = copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(call))
        except BaseException as exc:  # noqa: BLE001  # it is raised where the result is wanted
            future.set_exception(exc)

    threading.Thread(target=run, name="nwb_dask-begun").start()
    # Threads that want to send would else wait for the interpreter's lock, 5 ms each time.
    wait([future], timeout=_HEAD_START_SECONDS)
    return future


def run_all(
    host: str, calls: Sequence[Callable[[], T]], *, limit: int, is_fatal: Callable[[T], bool] = lambda _: False
) -> list[T | None]:
    """Return what the calls return, in order; those of one server run at once, up to `limit` in the process.

    One call runs on the calling thread and waits for no other, whatever `limit` is: its caller may hold h5py's lock
    (see `BlockFile`).

    Parameters
    ----------
    host : str
        The server that all of them ask.
    calls : sequence of callable
        What to do. None of them may call this.
    limit : int
        Calls to this server that run at once, those of other callers included.
    is_fatal : callable, optional
        Whether a result makes the others worthless: calls that have not begun are left out, and give None.
    """
    check_process()
    if len(calls) == 1:
        return [calls[0]()]
    batch = _Batch(is_fatal)
    futures: list[Future[T | None]] = [Future() for _ in calls]
    for call, future in zip(calls, futures, strict=True):
        _threads.submit(host, lambda call=call, future=future: batch.run(call, future), limit=limit)  # type: ignore[misc]  # mypy cannot infer the types of the defaults
    try:
        return [future.result() for future in futures]
    finally:
        batch.stopped = True
