"""Sessions whose units and trials are known, written with pynwb."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dask
import pytest

from tests.analysis.sessions import Session, write_sessions


@pytest.fixture(scope="session")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> list[Session]:
    """Six sessions: see `sessions`."""
    return write_sessions(tmp_path_factory.mktemp("sessions"))


@pytest.fixture(scope="session")
def files(sessions: list[Session]) -> list[Path]:
    return [session.path for session in sessions]


@pytest.fixture(autouse=True)
def in_one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compute in this thread, unless there is a client."""
    with dask.config.set({} if "client" in request.fixturenames else {"scheduler": "synchronous"}):
        yield


@pytest.fixture
def no_compute() -> Iterator[None]:
    """Fail if anything is computed."""

    def refuse(*args: object, **kwargs: object) -> None:
        message = "something was computed"
        raise AssertionError(message)

    with dask.config.set(scheduler=refuse):
        yield
