"""smoke.py finds nothing wrong with a cluster that is right, and says what is wrong with others."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import moto.server as moto_server
import pytest
import s3fs
from distributed import Client, LocalCluster

from tests.deploy.clusters import SMOKE, command_line_cluster, digest, load, smoke


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load(SMOKE)


def expected_digest(script: ModuleType, folder: Path) -> str:
    """The digest that follows from what is written, without any cluster."""
    _, units = script.write_sessions(str(folder))
    found: str = script.digest_of(script.expect(units))
    return found


def test_wrong_answer_ends_with_its_name(script: ModuleType, tmp_path: Path) -> None:
    _, units = script.write_sessions(str(tmp_path))
    right = script.expect(units)
    with pytest.raises(SystemExit, match="wrong answer: merge gives 44 rows, 45 are expected; 1 differ"):
        script.report(right | {"merge": right["merge"][1:]}, right)


def test_no_cluster_is_said_in_words(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SCHEDULER_FILE", "DASK_SCHEDULER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit, match="no cluster: give the address"):
        script.main([])
    with pytest.raises(SystemExit, match=r"no cluster at absent\.json: there is no such file"):
        script.main(["absent.json", "--timeout", "0.1"])


@pytest.fixture(scope="module")
def by_command_line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("cluster")
    with command_line_cluster(folder) as file:
        yield smoke("--workers", "2", SCHEDULER_FILE=str(file))


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # dask 2026.8 with pandas 3.1
def test_worker_by_command_line_gives_the_digest(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with command_line_cluster(tmp_path, worker=["--nworkers", "1", "--no-nanny"]) as file:
        script.main([str(file), "--folder", str(tmp_path / "disk")])
    said = capsys.readouterr().out
    assert f"digest: {expected_digest(script, tmp_path)}\n" in said
    assert said.splitlines()[-1].startswith("ok: 3 sessions, 1 workers")
    assert list((tmp_path / "disk").iterdir()) == []
    for log in ("scheduler.log", "worker.log"):
        assert "Run preload setup: nwb_dask.preload" in (tmp_path / log).read_text()


@pytest.mark.slow
def test_cluster_by_command_line_gives_the_digest(
    by_command_line: subprocess.CompletedProcess[str], script: ModuleType, tmp_path: Path
) -> None:
    assert digest(by_command_line) == expected_digest(script, tmp_path)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A bucket whose credentials are in the environment, as those of the workers of a recipe."""
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    secrets = {"AWS_ACCESS_KEY_ID": "AKIAXYZZY", "AWS_SECRET_ACCESS_KEY": "sesame-open", "AWS_REGION": "us-east-1"}
    for name, value in {**secrets, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("lab")
    yield "s3://lab/run"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of moto and of aiobotocore's sessions, which are not what is asked
def test_workers_read_from_a_bucket_and_write_parquet_to_it(
    bucket: str, script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0")
    with cluster, Client(cluster) as client:
        script.check(client, folder=bucket, source=[], n_workers=2, seconds=60)
    assert f"digest: {expected_digest(script, tmp_path)}\n" in capsys.readouterr().out
    assert s3fs.S3FileSystem(use_listings_cache=False).find("lab") == []
