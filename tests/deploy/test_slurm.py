"""The recipes for Slurm on a real one, which runs on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nwb_dask
from tests.deploy.clusters import DEPLOY, ROOT, SMOKE, digest, environment, load, smoke
from tests.deploy.packages import install
from tests.deploy.slurm import missing_programs, slurm
from tests.deploy.test_smoke import expected_digest

JOBQUEUE = "dask-jobqueue==0.9.0"
ARRAY = DEPLOY / "slurm" / "array.sbatch"


@pytest.fixture(scope="module")
def jobqueue(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which dask_jobqueue is installed and configured as in the recipe, for a small node."""
    folder = install(tmp_path_factory.mktemp("jobqueue"), JOBQUEUE)
    small = {"CORES": "2", "PROCESSES": "2", "MEMORY": "4GiB"}
    return {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
        "DASK_CONFIG": str(DEPLOY / "slurm" / "jobqueue.yaml"),
        **{f"DASK_JOBQUEUE__SLURM__{name}": value for name, value in small.items()},
    }


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    missing = missing_programs()
    if missing:
        pytest.skip(f"Slurm is not installed ({', '.join(missing)}): apt install slurmctld slurmd slurm-client munge")
    with slurm(tmp_path_factory.mktemp("slurm")) as found:
        yield found


def run(command: list[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment(**more), cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.slow
def test_job_script_loads_the_preload_and_asks_for_what_the_configuration_says(
    jobqueue: dict[str, str], tmp_path: Path
) -> None:
    done = run([sys.executable, str(DEPLOY / "slurm" / "cluster.py"), "--script"], tmp_path, **jobqueue)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert {"#SBATCH -J nwb-dask", "#SBATCH --cpus-per-task=2", "#SBATCH --mem=4G", "#SBATCH -t 01:00:00"} <= set(lines)
    (worker,) = [line for line in lines if "distributed.cli.dask_worker" in line]
    assert " --preload nwb_dask.preload --lifetime 55m --lifetime-stagger 4m" in worker
    assert {"--nthreads 1", "--nworkers 2", "--memory-limit 2.00GiB"} <= set(re.findall(r"--[nm][\w-]+ \S+", worker))


@pytest.mark.slurm
def test_workers_as_jobs_give_the_digest(cluster: dict[str, str], jobqueue: dict[str, str], tmp_path: Path) -> None:
    jobs = [sys.executable, str(DEPLOY / "slurm" / "cluster.py"), "--jobs", "1", "--"]
    question = [sys.executable, str(SMOKE), "--folder", str(tmp_path / "shared"), "--workers", "2", "--timeout", "120"]
    done = run([*jobs, *question], tmp_path, **cluster, **jobqueue)
    logs = "\n".join(one.read_text(errors="replace") for one in tmp_path.glob("slurm-logs/*"))
    assert digest(done, logs) == expected_digest(load(SMOKE), tmp_path / "expected")
    assert "Run preload setup: nwb_dask.preload" in logs


@pytest.mark.slurm
def test_job_array_writes_parts_with_the_same_digest_and_only_what_is_missing(
    cluster: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "slurm-logs").mkdir()
    (tmp_path / "deploy").symlink_to(DEPLOY)
    sources = smoke("--write", str(tmp_path / "sessions")).stdout
    (tmp_path / "sources.txt").write_text(sources, encoding="utf-8")
    submit = ["sbatch", "--wait", "--array=0-1", "--mem=1G", "deploy/slurm/array.sbatch", "sources.txt", "parts"]
    done = run(submit, tmp_path, PYTHON=sys.executable, **cluster)
    logs = "\n".join(one.read_text(errors="replace") for one in tmp_path.glob("slurm-logs/*"))
    assert done.returncode == 0, done.stderr + logs
    parts = sorted((tmp_path / "parts").glob("share-*-of-2/*"))
    assert len(parts) == 3
    assert digest(smoke("--parts", str(tmp_path / "parts"))) == expected_digest(load(SMOKE), tmp_path / "expected")
    parts[0].unlink()
    before = {one: one.stat().st_mtime_ns for one in parts[1:]}
    again = run(submit, tmp_path, PYTHON=sys.executable, **cluster)
    assert again.returncode == 0, again.stderr
    assert sorted((tmp_path / "parts").glob("share-*-of-2/*")) == parts
    assert {one: one.stat().st_mtime_ns for one in parts[1:]} == before


def array_task(folder: Path, **slurm: str) -> subprocess.CompletedProcess[str]:
    """Run one task of the array with a program in place of Python that says how it is called."""
    command = ["bash", str(ARRAY), "sources.txt", "parts", "analysis.py:f"]
    return run(command, folder, PYTHON="echo", **{f"SLURM_{name}": value for name, value in slurm.items()})


def test_tasks_of_an_array_share_the_sources_without_gaps(tmp_path: Path) -> None:
    sources = [f"s3://b/session {number}.nwb" for number in range(7)]
    (tmp_path / "sources.txt").write_text("\n\n".join(sources), encoding="utf-8")
    array = {"ARRAY_TASK_COUNT": "3", "ARRAY_TASK_MIN": "4", "ARRAY_TASK_STEP": "2"}
    calls = [array_task(tmp_path, ARRAY_TASK_ID=task, **array).stdout.strip() for task in ("4", "6", "8")]
    begin = "-m nwb_dask run analysis.py:f"
    assert calls == [f"{begin} {' '.join(sources[number::3])} --out parts/share-{number}-of-3" for number in range(3)]
    more = array_task(tmp_path, ARRAY_TASK_COUNT="9", ARRAY_TASK_ID="8")
    assert (more.returncode, more.stdout) == (0, "no session is left for task 8 of 9\n")


def test_array_of_another_size_is_refused_where_results_are(tmp_path: Path) -> None:
    (tmp_path / "sources.txt").write_text("s3://b/0.nwb", encoding="utf-8")
    for name in ("share-0-of-2", "share-0-of-2.nwb_dask"):
        (tmp_path / "parts" / name).mkdir(parents=True)
    assert array_task(tmp_path, ARRAY_TASK_COUNT="2").returncode == 0
    refused = array_task(tmp_path, ARRAY_TASK_COUNT="12")
    assert refused.returncode == 3
    assert "not of 12 tasks" in refused.stderr


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # dask 2026.8 with pandas 3.1
def test_function_of_the_array_gives_the_digest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = load(SMOKE)
    urls, units = script.write_sessions(str(tmp_path / "sessions"))
    for number in range(2):
        mapped = nwb_dask.map_sessions(load(DEPLOY / "slurm" / "units.py").units, urls[number::2], client="threads")
        mapped.to_parquet(tmp_path / "parts" / f"share-{number}-of-2")
    script.run_on_parts(str(tmp_path / "parts"))
    assert capsys.readouterr().out.startswith(f"digest: {script.digest_of(script.expect(units))}\n")
