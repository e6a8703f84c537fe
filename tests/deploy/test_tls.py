"""A cluster with TLS answers who has a certificate, and nobody else."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.clusters import DEPLOY, command_line_cluster, digest, load, smoke
from tests.deploy.test_smoke import expected_digest

pytestmark = pytest.mark.slow


def make_certificates(folder: Path) -> dict[str, str]:
    """Return the environment of a process that has the certificates."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(["bash", str(DEPLOY / "tls" / "certificates.sh"), str(folder)], check=True, capture_output=True)
    return {"DASK_CONFIG": str(folder / "tls.yaml")}


@pytest.fixture(scope="module")
def holder(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_certificates(tmp_path_factory.mktemp("certificates") / "tls")


@pytest.fixture(scope="module")
def scheduler_file(holder: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cluster")
    with command_line_cluster(folder, scheduler=["--protocol", "tls"], **holder) as file:
        yield file


def test_holder_of_a_certificate_gets_the_digest(scheduler_file: Path, holder: dict[str, str], tmp_path: Path) -> None:
    ran = smoke(str(scheduler_file), "--workers", "2", **holder)
    assert digest(ran) == expected_digest(load(DEPLOY / "smoke.py"), tmp_path)
    assert "tls://" in scheduler_file.read_text(encoding="utf-8")


def test_who_has_none_is_refused(scheduler_file: Path, holder: dict[str, str]) -> None:
    assert digest(smoke(str(scheduler_file), "--workers", "2", **holder))
    ran = smoke(str(scheduler_file), "--timeout", "5")
    assert ran.returncode == 1
    assert "no cluster at" in ran.stderr


def test_who_has_one_of_another_authority_is_refused(
    scheduler_file: Path, holder: dict[str, str], tmp_path: Path
) -> None:
    assert digest(smoke(str(scheduler_file), "--workers", "2", **holder))
    ran = smoke(str(scheduler_file), "--timeout", "5", **make_certificates(tmp_path / "other"))
    assert ran.returncode == 1
    assert "no cluster at" in ran.stderr


def test_keys_are_for_the_owner_alone(holder: dict[str, str]) -> None:
    files = sorted(Path(holder["DASK_CONFIG"]).parent.iterdir())
    assert [one.name for one in files if one.name.endswith("-key.pem")] == [
        "ca-key.pem",
        "client-key.pem",
        "scheduler-key.pem",
        "worker-key.pem",
    ]
    assert not [one.name for one in files if one.stat().st_mode & 0o077]
    assert [one.name for one in files if one.suffix != ".pem"] == ["tls.yaml"]
