"""The threads of this process that decode chunks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache

_MAX_THREADS = 8


@cache
def decoding_threads() -> ThreadPoolExecutor | None:
    """Return threads for decoding, one for each processor; None if there is only one."""
    n_processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if n_processors == 1:
        return None
    return ThreadPoolExecutor(min(n_processors, _MAX_THREADS), thread_name_prefix="nwb_dask-decode")


def wait_for(running: Sequence[Future[None]]) -> None:
    """Return when all is done; if one fails, those that have not begun are given up and its error is raised."""
    try:
        for one in running:
            one.result()
    except BaseException:
        # Those that run write into an array that the caller must be free to drop, and read what it may close.
        wait([one for one in running if not one.cancel()])
        raise


os.register_at_fork(after_in_child=decoding_threads.cache_clear)
