"""Functions over sessions on a cluster, whose workers die."""

from __future__ import annotations

import pickle
from pathlib import Path

import pandas as pd
import pytest
from distributed import Client

import nwb_dask
from nwb_dask.errors import FunctionError, SkippedFilesWarning
from nwb_dask.sessions import cluster as pools
from nwb_dask.sessions.task import Call
from tests.sessions.functions import count, deadly

CANARY = "canary-in-the-mine"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


def test_workers_compute_and_write(sessions: Path, tmp_path: Path, client: Client) -> None:
    report = nwb_dask.map_sessions(count, sessions, factor=2).to_parquet(tmp_path / "out")
    assert pd.read_parquet(tmp_path / "out")["n"].tolist() == [6, 8, 10]
    assert {one.worker for one in report.done} <= set(client.scheduler_info(n_workers=-1)["workers"])
    here = nwb_dask.map_sessions(count, sessions, factor=2, client="threads").to_parquet(tmp_path / "out")
    assert len(here.skipped) == 3


def test_code_of_the_user_travels_with_the_function(
    sessions: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab_helper.py").write_text("def turn(n): return -n\n")
    (tmp_path / "lab_code.py").write_text(
        "import lab_helper\ndef func(session): return lab_helper.turn(len(session.units))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import lab_code  # type: ignore[import-not-found]  # noqa: PLC0415  # made for this test

    found = nwb_dask.map_sessions(lab_code.func, sessions, client=client).compute()
    assert list(found["value"]) == [-3, -4, -5]


def test_a_worker_that_dies_is_an_attempt(sessions: Path, tmp_path: Path, client: Client, notes: Path) -> None:
    report = nwb_dask.map_sessions(deadly, sessions, str(notes), "s1.nwb", 1).to_parquet(tmp_path / "out")
    assert client.status == "running"
    found = {Path(one.source).name: one for one in report.done}
    assert (found["s1.nwb"].attempts, (notes / "s1.nwb").read_text()) == (2, "xx")
    assert found["s0.nwb"].attempts == found["s2.nwb"].attempts == 1
    assert pd.read_parquet(tmp_path / "out")["n"].tolist() == [3, 4, 5]


@pytest.mark.slow
def test_a_session_that_kills_three_workers_is_listed(
    sessions: Path, tmp_path: Path, client: Client, notes: Path
) -> None:
    with pytest.warns(SkippedFilesWarning):
        report = nwb_dask.map_sessions(deadly, sessions, str(notes), "s1.nwb", 99, client=client).to_parquet(
            tmp_path / "out"
        )
    (bad,) = report.quarantined
    assert (Path(bad.source).name, bad.error, bad.attempts, len(bad.worker.split(", "))) == (
        "s1.nwb",
        "KilledWorker",
        3,
        3,
    )
    assert pd.read_parquet(tmp_path / "out")["n"].tolist() == [3, 5]


def test_an_error_ends_the_run_and_leaves_nothing_on_the_cluster(
    sessions: Path, tmp_path: Path, client: Client
) -> None:
    def func(session: object) -> None:
        raise RuntimeError("no")

    with pytest.raises(FunctionError, match="RuntimeError: no"):
        nwb_dask.map_sessions(func, sessions, client=client).to_parquet(tmp_path / "out", errors="raise")
    assert len(nwb_dask.map_sessions(count, sessions, client=client).to_parquet(tmp_path / "out").done) == 3


def test_tasks_are_small_and_hold_no_secret(sessions: Path, client: Client) -> None:
    options = {"key": "AKIA", "secret": CANARY}
    results = nwb_dask.map_sessions(count, sessions, storage_options=options)
    pool = pools.ClusterPool(results.work, client)
    try:
        task = pickle.dumps((pool._work, results.jobs[0]))
    finally:
        pool.stop()
    assert len(task) < 10_000
    call = results.work.call
    assert isinstance(call, Call)
    assert CANARY.encode() not in task + call.packed() + repr((results, results.work, results.jobs)).encode()


def test_a_cluster_without_workers_is_named_in_the_log_once(
    sessions: Path, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool = pools.ClusterPool(nwb_dask.map_sessions(count, sessions).work, client)
    monkeypatch.setattr(pools, "_LOOK_SECONDS", 0)
    try:
        with monkeypatch.context() as lonely:
            lonely.setattr(client, "nthreads", dict)
            for _ in range(3):
                pool._look()
        pool._look()
    finally:
        pool.stop()
    said = [record.getMessage() for record in caplog.records if record.name == pools.__name__]
    assert said == [
        f"0 sessions wait: the cluster at {client.scheduler_info()['address']} has no workers",
        "the cluster has workers again",
    ]
