"""Hooks and fixtures for the whole run. pytest-xdist's main process loads no conftest but this one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from nwb_dask.storage.engines import http
from tests import left
from tests.backends import summary as backends_summary
from tests.parity import summary as parity_summary
from tests.references import summary as references_summary

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

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


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """Two workers in processes of their own, which take seconds to start: one cluster for all tests of this process."""
    import dask  # noqa: PLC0415  # most tests need none
    from distributed import LocalCluster  # noqa: PLC0415  # likewise

    # Tests kill workers, and one that is gone 15 seconds after another death would not be started again.
    patient = dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"})
    # None would still take port 8787, for which clusters of other test processes compete.
    with patient, LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as found:
        yield found


@pytest.fixture(scope="module")
def client(cluster: LocalCluster) -> Iterator[Client]:
    """The cluster, as what computes everything in a module that asks for it."""
    from distributed import Client  # noqa: PLC0415  # the same

    with Client(cluster) as found:
        yield found


@pytest.fixture(autouse=True)
def _no_server_is_known_to_redirect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget servers of other tests: the system gives their ports to new ones."""
    monkeypatch.setattr(http, "_movers", set())


pytest_deselected = left.pytest_deselected
pytest_sessionfinish = left.pytest_sessionfinish


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a process of xdist has counted."""
    left.node_down(node.config, node)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was compared with h5py, pynwb and others, and what was left out."""
    parity_summary.pytest_terminal_summary(terminalreporter)
    parity_summary.series_summary(terminalreporter)
    parity_summary.query_summary(terminalreporter)
    backends_summary.pytest_terminal_summary(terminalreporter)
    left.pytest_terminal_summary(terminalreporter)
    references_summary.pytest_terminal_summary(terminalreporter)
