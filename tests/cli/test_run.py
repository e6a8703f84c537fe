"""`nwb-dask run` and `nwb-dask report`: functions from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import Run

SOURCE = "def count(session, factor=1):\n    return {'n': len(session.units) * factor}\n"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module of the user."""
    (tmp_path / "lab_counts.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("lab_counts", None)


@pytest.mark.parametrize("place", ["lab_counts", "lab_counts.py"])
def test_a_function_is_called_for_each_session(run: Run, sessions: list[Path], lab: Path, place: str) -> None:
    result = run(
        "run", f"{place}:count", *sessions, "--out", "out", "--set", "factor=2", "--session-column", "subject_id"
    )
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith(f"note: {lab / 'out'}: 2 done")
    assert pd.read_parquet(lab / "out")["n"].tolist() == [12, 6]
    assert list(pd.read_parquet(lab / "out").columns) == ["n", "subject_id", "_nwb_path"]
    again = run(
        "run", f"{place}:count", *sessions, "--out", "out", "--set", "factor=2", "--session-column", "subject_id"
    )
    assert "0 done, 2 skipped" in again.stderr


def test_what_failed_is_reported_and_run_again(run: Run, sessions: list[Path], lab: Path, bad: Path) -> None:
    result = run("run", "lab_counts:count", *sessions, bad, "--out", "out", "--set", "factor=3")
    assert result.exit_code == 4
    report = run("report", "out", "--format", "json")
    assert report.exit_code == 4
    (row,) = json.loads(report.stdout)
    assert (row["source"], row["error"], row["attempts"]) == (str(bad), "MalformedFileError", 1)
    bad.write_bytes(sessions[1].read_bytes())
    again = run("report", "out", "--rerun", "--format", "json")
    assert (again.exit_code, json.loads(again.stdout)) == (0, [])
    assert pd.read_parquet(lab / "out")["n"].tolist() == [18, 9, 9]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run", "lab_counts", "{good}", "--out", "x"], 2),
        (["run", "lab_counts:absent", "{good}", "--out", "x"], 2),
        (["run", "absent_module:f", "{good}", "--out", "x"], 2),
        (["run", "absent.py:f", "{good}", "--out", "x"], 2),
        (["run", "lab_counts:count", "{good}", "--out", "x", "--set", "nothing"], 2),
        (["run", "lab_counts:count", "{good}", "--out", "x", "--set", "wrong=1"], 2),
        (["run", "lab_counts:count", "{good}", "--out", "x", "--workers", "1", "--scheduler", "tcp://h:1"], 2),
        (["run", "lab_counts:count", "{bad}", "--out", "x", "--errors", "raise"], 3),
        (["run", "lab_counts:count", "{good}", "--out", "{good}"], 3),
        (["report", "absent"], 3),
        (["report", "absent", "--rerun"], 3),
    ],
)
@pytest.mark.usefixtures("lab")
def test_wrong_calls_have_the_exit_codes_of_other_commands(
    run: Run, sessions: list[Path], bad: Path, arguments: list[str], code: int
) -> None:
    result = run(*(one.format(good=sessions[0], bad=bad) for one in arguments))
    assert result.exit_code == code, result.stderr
    assert result.stderr.startswith("error: ")
