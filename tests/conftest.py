"""Hooks and fixtures for the whole run. pytest-xdist's main process loads no conftest but this one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.parity.summary import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]

CACHE_DIR = "NWB_DASK_CACHE_DIR"


@pytest.fixture(autouse=True, scope="session")
def _cache_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is learned of files in a folder of this run, not in the user's."""
    before = os.environ.get(CACHE_DIR)
    os.environ[CACHE_DIR] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ[CACHE_DIR]
    else:
        os.environ[CACHE_DIR] = before
