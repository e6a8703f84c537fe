from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run


def test_catalog_is_built_searched_and_given_as_source(run: Run, sessions: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "catalog"
    built = run("catalog", "build", *sessions, out)
    assert (built.exit_code, "2 sessions" in built.stderr) == (0, True)
    (found,) = json.loads(run("catalog", "find", "--has", "trials", "-f", "json", out).stdout)
    assert found["_nwb_path"] == str(sessions[0])
    (told,) = json.loads(run("catalog", "info", "-f", "json", out).stdout)
    assert (told["sessions"], told["failed"]) == (2, 0)
    assert run("head", out, "/units", "-f", "csv").stdout == run("head", *sessions, "/units", "-f", "csv").stdout
    assert (
        run("metadata", out / "nwb_dask_catalog.json", "-f", "csv").stdout
        == run("metadata", *sessions, "-f", "csv").stdout
    )
    assert run("catalog", "update", out).exit_code == 0


def test_files_that_fail_are_listed_and_told_by_the_exit_code(
    run: Run, sessions: list[Path], bad: Path, tmp_path: Path
) -> None:
    out = tmp_path / "catalog"
    built = run("catalog", "build", sessions[0], bad, out)
    assert (built.exit_code, "bad.nwb" in built.stderr) == (4, True)
    (failed,) = json.loads(run("catalog", "info", "--failed", "-f", "json", out).stdout)
    assert failed["error"] == "MalformedFileError"
    assert run("catalog", "find", "--where", "lab", out).exit_code == 2
    assert run("catalog", "info", tmp_path / "nothing").exit_code == 3


def test_update_lists_folders_again_and_takes_more_sources(run: Run, sessions: list[Path], tmp_path: Path) -> None:
    out, folder = tmp_path / "catalog", tmp_path / "folder"
    folder.mkdir()
    (folder / "a.nwb").hardlink_to(sessions[0])
    assert run("catalog", "build", folder, out).exit_code == 0
    (folder / "b.nwb").hardlink_to(sessions[1])
    assert "2 sessions" in run("catalog", "update", out).stderr
    assert "3 sessions" in run("catalog", "update", out, sessions[0]).stderr
    (folder / "a.nwb").unlink()
    assert "2 sessions" in run("catalog", "update", out).stderr
