"""The threads of this process that decode chunks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache

from nwb_dask.options import current_options, is_default

_MAX_THREADS = 8


def decoding_threads() -> ThreadPoolExecutor | None:
    """Return threads for decoding, as many as the options say; None for the thread that asks."""
    return _threads(None if is_default("decode_threads") else current_options().decode_threads)


@cache
def _threads(wanted: int | None) -> ThreadPoolExecutor | None:
    if wanted is None:
        n_processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        wanted = min(n_processors, _MAX_THREADS)
    return None if wanted == 1 else ThreadPoolExecutor(wanted, thread_name_prefix="nwb_dask-decode")


def wait_for(running: Sequence[Future[None]]) -> None:
    """Return when all is done; if one fails, those that have not begun are given up and its error is raised."""
    try:
        for one in running:
            one.result()
    except BaseException:
        # Those that run write into an array that the caller must be free to drop, and read what it may close.
        wait([one for one in running if not one.cancel()])
        raise


os.register_at_fork(after_in_child=_threads.cache_clear)
