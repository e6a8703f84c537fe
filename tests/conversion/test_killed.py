"""A conversion that is killed at any step leaves the old or the new, and the next run finishes it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import pytest

from nwb_dask.conversion.planning import Format

ROOT = Path(__file__).resolve().parents[2]

SOME = ("parquet", "delta", "zarr")
"""A file for each table, a folder with a log of its own for each table, and a folder for each series."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is one: what is tested are steps, not the disk."""
    memory = Path("/dev/shm")
    found = Path(tempfile.mkdtemp(prefix="nwb-dask-", dir=memory if os.access(memory, os.W_OK) else None))
    yield found
    shutil.rmtree(found)


def kill(folder: Path, sources: list[Path], formats: list[str], *, n_kills: int, n_signals: int) -> dict[str, object]:
    arguments = [[str(path) for path in sources], formats, n_kills, n_signals]
    script = [sys.executable, str(Path(__file__).with_name("killing.py")), str(folder), json.dumps(arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(script, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr
    report: dict[str, object] = json.loads(run.stdout)
    return report


@pytest.mark.parametrize(
    "formats", [SOME, pytest.param(tuple(map(str, get_args(Format))), marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_a_killed_conversion_is_finished_by_the_next_run(
    folder: Path, sessions: list[Path], formats: Sequence[str]
) -> None:
    report = kill(folder, sessions, list(formats), n_kills=1, n_signals=1)
    assert report["failures"] == []
    assert len(report["steps"]) == 2 * len(formats)  # type: ignore[arg-type]  # a dict


@pytest.mark.slow
@pytest.mark.parametrize("format_", get_args(Format))
def test_a_conversion_may_be_killed_at_every_step(folder: Path, sessions: list[Path], format_: str) -> None:
    report = kill(folder, sessions, [format_], n_kills=0, n_signals=10)
    assert report["failures"] == []
    assert report["killed"] > 100  # type: ignore[operator]  # a number
