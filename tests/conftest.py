"""Hooks and fixtures for the whole run. pytest-xdist's main process loads no conftest but this one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from nwb_dask.storage.engines import http
from tests.backends import summary as backends_summary
from tests.parity import summary as parity_summary
from tests.references import summary as references_summary

CACHE_DIR = "NWB_DASK_CACHE_DIR"

# No test is timed: a machine may be busy.
settings.register_profile("untimed", parent=settings(), deadline=None)
settings.load_profile("untimed")


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


@pytest.fixture(autouse=True)
def _no_server_is_known_to_redirect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget servers of other tests: the system gives their ports to new ones."""
    monkeypatch.setattr(http, "_movers", set())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was compared with h5py, pynwb and others, and what was left out."""
    parity_summary.pytest_terminal_summary(terminalreporter)
    parity_summary.series_summary(terminalreporter)
    parity_summary.query_summary(terminalreporter)
    backends_summary.pytest_terminal_summary(terminalreporter)
    references_summary.pytest_terminal_summary(terminalreporter)
