"""Everything that goes wrong, at once: the result is that of a calm day, less what is listed."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import dask
import h5py
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.adapters.browse import Session
from nwb_dask.errors import SkippedFilesWarning
from nwb_dask.testing import RangeServer
from tests.sessions.functions import last_spike

N_SESSIONS = 120
N_KILLS = 3


@pytest.fixture
def many(written: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(N_SESSIONS):
        shutil.copy(written / f"s{i % 3}.nwb", folder / f"m{i:03d}.nwb")
    return folder


@pytest.fixture
def own_client() -> Iterator[Client]:
    # Workers that die again while they are looked for would be given up.
    patient = dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"})
    with (
        patient,
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def slowly(session: Session, notes: str, changing: str, replacement: str) -> dict[str, float]:
    """Return the last spike, replace one of the files on the way, and leave a note."""
    name = session.name.rpartition("/")[2]
    with Path(notes, name).open("a") as file:
        file.write("x")
    found = last_spike(session)
    time.sleep(0.05)
    if changing and Path(changing).name == name:
        shutil.copy(replacement, f"{changing}.new")
        Path(f"{changing}.new").replace(changing)
    return found


def kill_now_and_then(client: Client, notes: Path, killed: list[int]) -> None:
    for share in range(1, N_KILLS + 1):
        while len(list(notes.iterdir())) < share * N_SESSIONS // (N_KILLS + 2):
            time.sleep(0.05)
        pid = next(iter(client.run(os.getpid, on_error="ignore").values()))
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)


@pytest.mark.slow
def test_the_result_is_that_of_a_calm_day_less_what_is_listed(
    many: Path, written: Path, tmp_path: Path, own_client: Client
) -> None:
    notes, killed = tmp_path / "notes", list[int]()
    notes.mkdir()
    calm = nwb_dask.map_sessions(last_spike, many, client="threads").compute()
    expected = dict(zip([Path(one).name for one in calm["_nwb_path"]], calm["last"], strict=True))
    corrupt, changing = ["m017.nwb", "m090.nwb"], "m055.nwb"
    for name in corrupt:
        (many / name).write_bytes((many / name).read_bytes()[:3000])
    with RangeServer(many) as server:
        server.random_failures(0.1, seed=7)
        urls = [server.url(f"m{i:03d}.nwb") for i in range(N_SESSIONS)]
        results = nwb_dask.map_sessions(
            slowly, urls, str(notes), str(many / changing), str(written / "s0.nwb"), client=own_client
        )
        killer = threading.Thread(target=kill_now_and_then, args=(own_client, notes, killed))
        killer.start()
        with pytest.warns(SkippedFilesWarning):
            report = results.to_parquet(tmp_path / "out")
        killer.join()
        failed = {one.source.rpartition("/")[2]: one.error for one in report.quarantined}
        assert len(killed) == N_KILLS
        assert failed == {**dict.fromkeys(corrupt, "MalformedFileError"), changing: "SourceChangedError"}
        found = pd.read_parquet(tmp_path / "out")
        rows = dict(zip([one.rpartition("/")[2] for one in found["_nwb_path"]], found["last"], strict=True))
        assert rows == {name: value for name, value in expected.items() if name not in failed}
        assert max(one.attempts for one in report.done) > 1
        for path in notes.iterdir():
            path.unlink()
        with pytest.warns(SkippedFilesWarning):
            again = results.to_parquet(tmp_path / "out")
    # Of the corrupt ones the function is not called.
    assert [path.name for path in notes.iterdir()] == [changing]
    assert (len(again.done) + len(again.quarantined), len(again.skipped)) == (3, N_SESSIONS - 3)


def lengths(frame: pd.DataFrame, notes: str) -> pd.DataFrame:
    """Return how many spikes each unit has, slowly, and leave a note."""
    time.sleep(0.05)
    Path(notes, uuid.uuid4().hex).touch()
    return pd.DataFrame({"file": frame["_nwb_path"], "id": frame["id"], "n": frame["spike_times"].nwb.lengths()})


@pytest.mark.slow
def test_frames_are_those_of_a_calm_day_less_what_is_left_out(
    many: Path, written: Path, tmp_path: Path, own_client: Client
) -> None:
    notes, killed = tmp_path / "notes", list[int]()
    notes.mkdir()
    expected = []
    corrupt = ["m017.nwb", "m090.nwb"]
    for name in corrupt:
        (many / name).write_bytes((many / name).read_bytes()[:3000])
    with RangeServer(many) as server:
        for i in range(N_SESSIONS):
            if f"m{i:03d}.nwb" not in corrupt:
                with h5py.File(written / f"s{i % 3}.nwb") as file:
                    counts = np.diff(file["units/spike_times_index"][:], prepend=0).tolist()
                    ids = file["units/id"][:].tolist()
                expected += [(server.url(f"m{i:03d}.nwb"), *row) for row in zip(ids, counts, strict=True)]
        server.random_failures(0.1, seed=7)
        urls = [server.url(f"m{i:03d}.nwb") for i in range(N_SESSIONS)]
        with pytest.warns(SkippedFilesWarning):
            frame = dd.read_nwb(urls, "/units", columns=["id", "spike_times"], errors="skip")
        assert sorted(Path(one).name for one in frame.nwb.report()["file"]) == corrupt
        meta = pd.DataFrame({"file": pd.Series(dtype="str"), "id": pd.Series(dtype=int), "n": pd.Series(dtype=int)})
        counted = frame.map_partitions(lengths, str(notes), meta=meta, enforce_metadata=False)
        killer = threading.Thread(target=kill_now_and_then, args=(own_client, notes, killed))
        killer.start()
        found = own_client.compute(counted.optimize(), retries=3).result()
        killer.join()
    assert len(killed) == N_KILLS
    assert list(found.itertuples(index=False, name=None)) == expected


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_on_the_cluster_and_what_was_done(
    many: Path, written: Path, tmp_path: Path, own_client: Client
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    results = nwb_dask.map_sessions(slowly, many, str(notes), "", "", client=own_client)

    def interrupt() -> None:
        while len(list((tmp_path / "out").glob("*.parquet"))) < 10:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        results.to_parquet(tmp_path / "out")
    thread.join()
    until = time.monotonic() + 10
    while any(own_client.processing().values()) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(own_client.processing().values())
    n_called = len(list(notes.iterdir()))
    assert 10 <= n_called < N_SESSIONS
    report = results.to_parquet(tmp_path / "out")
    assert len(report.skipped) >= 10
    assert len(report.done) + len(report.skipped) == N_SESSIONS
    # At most what each of two workers was at was done for nothing.
    assert sum(len(path.read_text()) for path in notes.iterdir()) <= N_SESSIONS + 2


@pytest.mark.slow
def test_a_cluster_that_grows_and_shrinks_does_all(
    many: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    with (
        LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        results = nwb_dask.map_sessions(slowly, many, str(notes), "", "", client=client)
        later = threading.Timer(8, lambda: cluster.adapt(minimum=0, maximum=2, interval="200ms"))
        later.start()
        with caplog.at_level(logging.WARNING, "nwb_dask"):
            report = results.to_parquet(tmp_path / "out")
    assert (len(report.done), len(report.quarantined)) == (N_SESSIONS, 0)
    said = [record.getMessage() for record in caplog.records if record.name.startswith("nwb_dask")]
    assert f"{N_SESSIONS} sessions wait: the cluster at {cluster.scheduler_address} has no workers" in said
