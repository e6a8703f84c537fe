"""Clusters as the recipes start them, and what smoke.py says of them."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SMOKE = DEPLOY / "smoke.py"
DASK = (sys.executable, "-m", "dask")
PRELOAD = ("--preload", "nwb_dask.preload")
HANGS_SECONDS = 120
DIGEST = re.compile(r"^digest: (\w{16})$", re.MULTILINE)


def environment(**more: str) -> dict[str, str]:
    """Return the environment with this checkout as what is imported."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in paths if one), **more}


def load(path: Path) -> ModuleType:
    """Return a script as a module."""
    spec = importlib.util.spec_from_file_location(f"deploy_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def running(command: Sequence[str], log: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Let a process run, and end it."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment(**more), cwd=log.parent)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)


@contextmanager
def command_line_cluster(
    folder: Path, *, scheduler: Sequence[str] = (), worker: Sequence[str] = (), **more: str
) -> Iterator[Path]:
    """A scheduler and two workers in processes of their own, unless `worker` says else; yields the scheduler file."""
    file = folder / "scheduler.json"
    address = ("--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0")
    with ExitStack() as stack:
        begin = [*DASK, "scheduler", *address, "--scheduler-file", str(file), *PRELOAD, *scheduler]
        stack.enter_context(running(begin, folder / "scheduler.log", **more))
        join = [*DASK, "worker", "--scheduler-file", str(file), "--nworkers", "2", "--nthreads", "1", *PRELOAD, *worker]
        stack.enter_context(running(join, folder / "worker.log", **more))
        yield file


def smoke(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run smoke.py."""
    command = [sys.executable, str(SMOKE), *arguments]
    return subprocess.run(
        command, env=environment(**more), capture_output=True, text=True, timeout=HANGS_SECONDS, check=False
    )


def digest(ran: subprocess.CompletedProcess[str], words: Mapping[str, object] | str = "") -> str:
    """Return the digest that smoke.py printed, if all was well."""
    assert ran.returncode == 0, f"{ran.stderr}\n{words}"
    assert ran.stdout.splitlines()[-1].startswith("ok: ")
    found = DIGEST.search(ran.stdout)
    assert found is not None
    return found[1]
