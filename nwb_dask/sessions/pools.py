"""Who does the jobs: threads of this process, or the workers of a cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import Any, Protocol

import dask

from nwb_dask.sessions.failures import describe
from nwb_dask.sessions.task import Job, Outcome, Work, do

_MOMENT_SECONDS = 0.5
"""A wait without an end would not be interrupted on every system."""
_MORE_THREADS = 4
_N_THREADS = 32


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker died, and the job is begun anew elsewhere."""

    worker: str
    is_given_up: bool = False
    """Whether the cluster does not begin it anew, since it holds a job guilty that may only have waited there."""


class Pool(Protocol):
    """Does jobs in any order."""

    def submit(self, job: Job) -> None:
        """Have a job done."""

    def wait(self) -> tuple[Job, Outcome | Lost]:
        """Return what happened next."""

    def drop(self, job: Job) -> None:
        """Have a job done no more."""

    def stop(self) -> None:
        """Have nothing done any more; what is being done in threads goes on to its end."""


class Happenings:
    """What happened, from any thread to the one that waits."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[Job, Any]] = SimpleQueue()

    def put(self, job: Job, what: object) -> None:
        """Tell what happened to a job."""
        self._queue.put((job, what))

    def get(self, look: Callable[[], None] = lambda: None) -> tuple[Job, Any]:
        """Return what happened next; while nothing happens, call `look` now and then."""
        while True:
            try:
                return self._queue.get(timeout=_MOMENT_SECONDS)
            except Empty:
                look()


class ThreadPool:
    """Threads of this process; ``dask.config.set(num_workers=...)`` says how many."""

    def __init__(self, work: Work) -> None:
        self._work = work
        n_threads = dask.config.get("num_workers", None) or min(_N_THREADS, (os.cpu_count() or 1) + _MORE_THREADS)
        self._executor = ThreadPoolExecutor(n_threads, thread_name_prefix="nwb_dask-session")
        self._happened = Happenings()

    def submit(self, job: Job) -> None:
        """Have a job done."""
        # Each in a context of its own: options that the caller has set hold in it.
        future = self._executor.submit(copy_context().run, do, self._work, job)
        future.add_done_callback(lambda done: self._tell(job, done))

    def wait(self) -> tuple[Job, Outcome | Lost]:
        """Return what happened next."""
        return self._happened.get()

    def drop(self, job: Job) -> None:
        """Have a job done no more; no thread is ever lost."""

    def stop(self) -> None:
        """Have nothing begun any more."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _tell(self, job: Job, done: Future[Outcome]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        # What `do` lets through is no Exception, such as SystemExit.
        self._happened.put(job, done.result() if error is None else Outcome("", failure=describe(error, ())))


def find_client(client: object) -> Any:  # noqa: ANN401  # distributed.Client, which may not be loaded
    """Return the client of dask to use; None for threads.

    Parameters
    ----------
    client : distributed.Client, "threads" or None
        None for the current client, if there is one.
    """
    if isinstance(client, str):
        if client != "threads":
            raise ValueError(f"client={client!r}: a client of dask, 'threads', or None is wanted")
        return None
    if client is not None or "distributed" not in sys.modules:
        # There can be a client only if distributed is loaded already.
        return client
    try:
        return sys.modules["distributed"].Client.current(allow_global=True)
    except ValueError:
        return None


def open_pool(work: Work, client: object) -> Pool:
    """Return who does the jobs of some work; see `find_client`."""
    found = find_client(client)
    if found is None:
        return ThreadPool(work)
    pool: Pool = import_module("nwb_dask.sessions.cluster").ClusterPool(work, found)
    return pool
