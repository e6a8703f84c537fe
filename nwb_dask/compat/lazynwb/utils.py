"""Short names of tables, and executors for the user's own work."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import lru_cache

TABLE_SHORTCUTS = {
    "trials": "intervals/trials",
    "epochs": "intervals/epochs",
    "electrodes": "general/extracellular_ephys/electrodes",
    "optophysiology": "general/optophysiology",
    "session": "general",
}
"""Short name -> path, without the slash in front."""


def normalize_internal_file_path(path: str) -> str:
    """Return a path as it is in ``_table_path``: without the slash in front, short names written out."""
    bare = path.removeprefix("/") or "/"
    return TABLE_SHORTCUTS.get(bare, bare)


def absolute_path(path: str) -> str:
    """Return a path, or a short name, as nwb_dask has it: with the slash in front."""
    bare = normalize_internal_file_path(path).strip("/")
    return f"/{bare}"


@lru_cache(maxsize=1)
def get_threadpool_executor() -> ThreadPoolExecutor:
    """Return a pool of threads, the same at every call. nwb_dask has no use for it."""
    return ThreadPoolExecutor()


@lru_cache(maxsize=1)
def get_processpool_executor() -> ProcessPoolExecutor:
    """Return a pool of processes that are started afresh, the same at every call. nwb_dask has no use for it."""
    return ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"))
