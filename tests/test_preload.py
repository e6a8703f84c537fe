"""What workers do before their first task."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Nanny, Scheduler, Worker
from distributed.versions import get_versions

from nwb_dask import preload
from nwb_dask.backends.threads import decoding_threads
from nwb_dask.options import current_options
from nwb_dask.read import read_partition, scan_sources
from nwb_dask.read.open_files import open_files
from nwb_dask.testing.files import write_session


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give back the environment as it was, and what the libraries of this process make of it."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in preload.worker_environment(1):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(preload, "_READ_BY", {})


def started(**options: Any) -> list[dict[str, str]]:
    """Start a scheduler and a worker with the preload here; return the reasons for which workers left."""
    left: list[dict[str, str]] = []

    async def run() -> None:
        async with Scheduler(
            host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0", preload=["nwb_dask.preload"]
        ) as scheduler:
            worker = Worker(scheduler.address, nthreads=2, preload=["nwb_dask.preload"], dashboard_address=":0")
            async with worker:
                if options.get("nwb-dask.versions") == "refuse":
                    await asyncio.wait_for(worker.finished(), 20)
                left.append({"status": worker.status.name, "workers": str(len(scheduler.workers))})

    with dask.config.set(options):
        asyncio.run(run())
    return left


def test_worker_reads_without_locks_on_as_many_threads_as_it_has() -> None:
    assert started() == [{"status": "running", "workers": "1"}]
    assert os.environ["HDF5_USE_FILE_LOCKING"] == "FALSE"
    assert os.environ["OMP_NUM_THREADS"] == os.environ["BLOSC_NTHREADS"] == "1"
    assert os.environ["POLARS_MAX_THREADS"] == "2"
    assert current_options().requests_per_host == 32
    pool = decoding_threads()
    assert pool is not None
    assert pool._max_workers == 2


def test_what_the_environment_says_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARS_MAX_THREADS", "7")
    monkeypatch.setenv("NWB_DASK_DECODE_THREADS", "1")
    preload.set_environment(preload.worker_environment(8))
    assert os.environ["POLARS_MAX_THREADS"] == "7"
    assert decoding_threads() is None
    assert current_options().requests_per_host == 64


def test_options_come_from_the_configuration_of_dask() -> None:
    with dask.config.set({"nwb-dask.options": {"requests-per-host": 3, "cache": "off"}}):
        preload.set_environment(preload.worker_environment(2))
    assert (current_options().requests_per_host, current_options().cache) == (3, "off")
    with dask.config.set({"nwb-dask.options": {"requests_per_hots": 3}}), pytest.raises(TypeError, match="per_hots"):
        preload.worker_environment(2)


def test_variable_that_comes_too_late_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(preload, "_READ_BY", {"HDF5_USE_FILE_LOCKING": "h5py"})
    monkeypatch.setitem(sys.modules, "h5py", sys)
    preload.set_environment(preload.worker_environment(1))
    assert "HDF5_USE_FILE_LOCKING=FALSE comes too late" in caplog.text


@pytest.fixture
def other_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the scheduler report another nwb_dask, and no pyarrow."""

    def versions(self: Scheduler, packages: object = None) -> dict[str, Any]:
        here = get_versions(packages=preload.PACKAGES)
        return {**here, "packages": {**here["packages"], "nwb_dask": "9.9", "pyarrow": None}}

    monkeypatch.setattr(Scheduler, "versions", versions)


@pytest.mark.usefixtures("other_versions")
def test_worker_of_another_version_warns_or_leaves(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "nwb_dask.preload")
    assert started() == [{"status": "running", "workers": "1"}]
    assert "the scheduler 9.9; install the same where the scheduler, the workers and the client run" in caplog.text
    assert "the scheduler none" in caplog.text
    caplog.clear()
    assert started(**{"nwb-dask.versions": "ignore"}) == [{"status": "running", "workers": "1"}]
    assert not [one for one in caplog.records if one.name == "nwb_dask.preload"]
    assert started(**{"nwb-dask.versions": "refuse"}) == [{"status": "closed", "workers": "0"}]


def test_python_is_compared_by_its_first_two_numbers() -> None:
    here = preload.versions_of({"packages": {"nwb_dask": "1", "python": "3.12.1.final.0"}})
    there = preload.versions_of({"packages": {"nwb_dask": "1", "python": "3.12.9.final.0"}})
    assert list(preload.compare(here, there, "the scheduler")) == []
    older = preload.versions_of({"packages": {"nwb_dask": "1", "python": "3.11.9.final.0"}})
    assert list(preload.compare(here, older, "the client")) == ["python 3.12, the client 3.11"]


def test_worker_that_ends_keeps_no_file_open(tmp_path: Path) -> None:
    path = write_session(tmp_path / "one.nwb", n_units=3)
    scan = scan_sources(path, "/units")
    before = _open_descriptors(path)
    read_partition(scan.partition(0, fields=scan.fields))
    started()
    assert len(open_files) == 0
    assert _open_descriptors(path) == before == 0


def _open_descriptors(path: Path) -> int:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        return 0
    targets = [one.readlink() for one in folder.iterdir() if one.is_symlink()]
    return targets.count(path)


def test_nannies_are_left_as_they_are() -> None:
    asyncio.run(preload.dask_setup(object.__new__(Nanny)))
    assert "HDF5_USE_FILE_LOCKING" not in os.environ
