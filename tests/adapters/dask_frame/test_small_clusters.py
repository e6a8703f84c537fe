"""Frames with ragged columns on clusters that have little memory, or workers that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import dask
import pandas as pd
import pytest
from distributed import Client, LocalCluster, wait

import nwb_dask.dataframe as dd
from nwb_dask.testing.files import write_session

N_FILES, N_UNITS, N_SPIKES = 3, 10, 2_000
# Of what the tasks hold, as dask.sizeof has it; the memory of this process is not what is limited.
LITTLE_MEMORY = {
    "distributed.worker.memory.target": 0.6,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sessions")
    return [
        write_session(folder / f"{i}.nwb", seed=i, n_units=N_UNITS, spikes_per_unit=N_SPIKES, layout="contiguous")
        for i in range(N_FILES)
    ]


@pytest.fixture
def expected(files: list[Path]) -> pd.DataFrame:
    with dask.config.set(scheduler="synchronous"):
        frame: pd.DataFrame = dd.read_nwb(files, "/units").compute()
    return frame


@pytest.fixture
def small(tmp_path: Path) -> Iterator[LocalCluster]:
    """One worker in this process that keeps a quarter of a megabyte in memory."""
    with dask.config.set(LITTLE_MEMORY | {"temporary-directory": str(tmp_path)}):
        cluster = LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            memory_limit=400_000,
            dashboard_address="127.0.0.1:0",
        )
        with cluster:
            yield cluster


def same(found: pd.DataFrame, expected: pd.DataFrame) -> bool:
    return [list(one) for one in found.spike_times] == [list(one) for one in expected.spike_times]


def test_ragged_columns_spill_to_disk_and_come_back(
    small: LocalCluster, files: list[Path], expected: pd.DataFrame
) -> None:
    with Client(small):
        kept = dd.read_nwb(files, "/units").persist()
        wait(kept)
        (worker,) = small.workers.values()
        assert len(worker.data.disk) >= 1
        assert worker.data.spilled_total.memory > 100_000
        assert same(kept.compute(), expected)


def test_workers_come_when_there_is_work_and_go(files: list[Path], expected: pd.DataFrame) -> None:
    cluster = LocalCluster(n_workers=0, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0")
    with cluster, Client(cluster) as client:
        cluster.adapt(minimum=0, maximum=2, interval="100 ms", wait_count=2)
        units = dd.read_nwb(files, "/units")
        assert same(units[units.id >= 0].compute(), expected)
        client.sync(_no_workers, client)


async def _no_workers(client: Client) -> None:
    assert client.scheduler is not None
    for _ in range(200):
        if not (await client.scheduler.identity())["workers"]:
            return
        await asyncio.sleep(0.05)
    pytest.fail("workers without work did not go")
