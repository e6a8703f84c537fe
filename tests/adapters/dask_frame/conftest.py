from __future__ import annotations

from collections.abc import Iterator

import dask
import dask.dataframe as dd
import pandas as pd
import pytest

from nwb_dask.adapters.dask_frame import frame_of_scan, task
from tests.adapters.dask_frame.memory import Memory, make_scan, whole_frame

LENGTHS = [5, 0, 7, 4, 1, 6]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """An empty store that every task of this process reads from."""
    store = Memory()
    monkeypatch.setattr(task, "read_partition", store.read)
    return store


@pytest.fixture
def frame(memory: Memory) -> dd.DataFrame:
    """Six files, one of them without rows, as a Dask DataFrame."""
    return frame_of_scan(make_scan(memory, LENGTHS))


@pytest.fixture
def expected(memory: Memory) -> pd.DataFrame:
    """The same rows in memory."""
    return whole_frame(memory, make_scan(memory, LENGTHS))


@pytest.fixture(autouse=True)
def in_one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compute in this thread, unless there is a client: the order of the log is then that of the partitions."""
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
