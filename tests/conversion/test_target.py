"""Where is written, what is refused, and what is done again."""

from __future__ import annotations

import gc
import json
import os
import resource
from pathlib import Path

import numpy as np
import pytest

import nwb_dask
from nwb_dask import OutputError
from nwb_dask.conversion import convert
from nwb_dask.conversion.planning import Format
from nwb_dask.conversion.staging import Staging, staging
from nwb_dask.testing.files import write_session
from nwb_dask.testing.odd_columns import add_series, add_table, new_file

TRIALS = "/intervals/trials"


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_public_name_is_the_function() -> None:
    assert nwb_dask.convert is convert


def test_the_report_and_the_manifest_list_every_file(tmp_path: Path, sessions: list[Path]) -> None:
    report = convert(sessions, tmp_path / "out", tables=TRIALS)
    manifest = json.loads((tmp_path / "out" / "_nwb_dask_manifest.json").read_text())
    on_disk = {name: len(data) for name, data in bytes_of(tmp_path / "out").items() if not name.startswith("_")}
    assert {one.path: one.bytes for one in report.files} == on_disk
    assert {one["path"]: one["bytes"] for one in manifest["files"]} == on_disk
    assert report.rows == 12
    assert report.sessions == {"day1/mouse": str(sessions[0]), "day2/mouse": str(sessions[1])}
    assert [one["name"] for one in manifest["sources"]] == [str(path) for path in sessions]


def test_series_are_left_out_and_the_report_says_so(tmp_path: Path, sessions: list[Path]) -> None:
    report = convert(sessions, tmp_path / "out")
    assert [one.path for one in report.left_out] == ["/acquisition/lfp", "/processing/behavior/running_speed"]
    assert "/acquisition/lfp" in repr(report)
    named = convert(sessions, tmp_path / "named", tables="/acquisition/*")
    assert named.tables == ("/acquisition/lfp",)
    assert named.rows == 500


def test_the_same_files_give_the_same_bytes(tmp_path: Path, sessions: list[Path]) -> None:
    for format_ in ("parquet", "ipc", "csv", "jsonl", "delta", "excel"):
        for out in ("one", "two"):
            convert(sessions, tmp_path / f"{format_}-{out}", format=format_, tables=[TRIALS, "session"])
        assert bytes_of(tmp_path / f"{format_}-one") == bytes_of(tmp_path / f"{format_}-two")


def test_a_folder_that_holds_something_else_is_never_replaced(tmp_path: Path, sessions: list[Path]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "keep.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="not empty"):
            convert(sessions, tmp_path / "out", tables=TRIALS, overwrite=overwrite)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["keep.txt"]


def test_a_file_that_a_user_put_into_an_output_is_not_removed(tmp_path: Path, sessions: list[Path]) -> None:
    convert(sessions[0], tmp_path / "out", tables=TRIALS)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"notes\.txt"):
        convert(sessions, tmp_path / "out", tables=TRIALS, overwrite=True)


def test_an_output_is_replaced_when_that_is_asked_for(tmp_path: Path, sessions: list[Path]) -> None:
    convert(sessions[0], tmp_path / "out", tables=TRIALS)
    with pytest.raises(OutputError, match="overwrite=True"):
        convert(sessions, tmp_path / "out", tables=TRIALS)
    report = convert(sessions, tmp_path / "out", tables=TRIALS, overwrite=True)
    assert report.rows == 12
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_output_is_replaced_where_folders_cannot_change_places(
    tmp_path: Path, sessions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nwb_dask.conversion.staging.exchange", lambda one, other: False)
    convert(sessions[0], tmp_path / "out", tables=TRIALS)
    assert convert(sessions, tmp_path / "out", tables=TRIALS, overwrite=True).rows == 12
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_was_taken_away_by_a_run_that_was_killed_is_put_back(tmp_path: Path, sessions: list[Path]) -> None:
    convert(sessions[0], tmp_path / "out", tables=TRIALS)
    before = bytes_of(tmp_path / "out")
    with staging(tmp_path / "out") as held:
        (tmp_path / "out").rename(held.folder / "old")
    with pytest.raises(OutputError, match="overwrite=True"):
        convert(sessions, tmp_path / "out", tables=TRIALS)
    assert bytes_of(tmp_path / "out") == before


def test_a_finished_output_is_left_as_it_is(tmp_path: Path, sessions: list[Path]) -> None:
    first = convert(sessions, tmp_path / "out", tables=TRIALS)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    again = convert(sessions, tmp_path / "out", tables=TRIALS)
    assert again.files == first.files
    assert again.n_resumed == 2
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == times
    with pytest.raises(OutputError, match="overwrite=True"):
        convert(sessions, tmp_path / "out", tables=TRIALS, resume=False)


def interrupted(out: Path, sources: object, monkeypatch: pytest.MonkeyPatch, after: int = 1, **options: object) -> None:
    """Run until so many parts are written."""
    true_add = Staging.add
    seen = 0

    def add(self: Staging, *arguments: object) -> object:
        nonlocal seen
        seen += 1
        if seen > after:
            raise KeyboardInterrupt
        return true_add(self, *arguments)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(Staging, "add", add)
    with pytest.raises(KeyboardInterrupt):
        convert(sources, out, **options)  # type: ignore[arg-type]  # options of `convert`
    monkeypatch.setattr(Staging, "add", true_add)
    assert not out.exists()


def test_an_unfinished_run_is_finished(tmp_path: Path, sessions: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(tmp_path / "out", sessions, monkeypatch, tables=TRIALS)
    assert convert(sessions, tmp_path / "out", tables=TRIALS).n_resumed == 1
    convert(sessions, tmp_path / "whole", tables=TRIALS)
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_an_unfinished_run_that_asked_for_something_else_is_not_continued(
    tmp_path: Path, sessions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(tmp_path / "out", sessions, monkeypatch, tables=TRIALS)
    with pytest.raises(OutputError, match=r"format='parquet'.*resume=False"):
        convert(sessions, tmp_path / "out", tables=TRIALS, format="csv")
    assert convert(sessions, tmp_path / "out", tables=TRIALS, format="csv", resume=False).n_resumed == 0


def test_parts_of_a_file_that_changed_are_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / "a.nwb", tmp_path / "b.nwb"]
    for seed, path in enumerate(paths):
        write_session(path, seed=seed, n_units=2, n_trials=4, n_samples=0)
    interrupted(tmp_path / "out", paths, monkeypatch, after=2, tables=[TRIALS, "/units"])
    write_session(paths[0], seed=9, n_units=2, n_trials=4, n_samples=0)
    report = convert(paths, tmp_path / "out", tables=[TRIALS, "/units"])
    assert report.n_resumed == 1
    convert(paths, tmp_path / "whole", tables=[TRIALS, "/units"])
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_two_processes_do_not_write_one_output(tmp_path: Path, sessions: list[Path]) -> None:
    with staging(tmp_path / "out"), pytest.raises(OutputError, match="another process"):
        convert(sessions, tmp_path / "out", tables=TRIALS)


def test_sources_are_never_in_the_way_of_an_overwrite(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path = write_session(tmp_path / "data" / "a.nwb", n_units=0, n_samples=0)
    for out in (tmp_path / "data", tmp_path):
        with pytest.raises(OutputError, match="holds the source"):
            convert(path, out, overwrite=True)
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with pytest.raises(OutputError, match="holds the source"):
        convert(path, tmp_path / "link", overwrite=True)


def test_an_output_among_the_sources_is_no_source(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_session(tmp_path / f"{name}.nwb", n_units=0, n_samples=0)
    convert(tmp_path, tmp_path / "parquet")
    assert len(convert(tmp_path, tmp_path / "again", tables=TRIALS).sessions) == 2


@pytest.mark.parametrize(
    ("out", "message"),
    [("https://host/out?secret=1", "local folders only"), ("missing/out", "does not exist"), ("file", "is a file")],
)
def test_places_that_cannot_be_written_to_are_refused(
    tmp_path: Path, sessions: list[Path], monkeypatch: pytest.MonkeyPatch, out: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=message) as caught:
        convert(sessions, out)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("format_", ["parquet", "csv", "excel"])
def test_a_full_disk_says_so_and_the_next_run_goes_on(tmp_path: Path, format_: Format) -> None:
    with new_file(tmp_path / "a.nwb") as file:
        add_table(file, "processing/x/table", {"values": np.random.default_rng(0).random(20_000)})
        values = np.random.default_rng(1).random(20_000)
        add_series(file, "acquisition/series", data=values, starting_time=(0.0, 10.0))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"out cannot be written: .*File too large"):
            convert(tmp_path / "a.nwb", tmp_path / "out", format=format_)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    gc.collect()
    assert not (tmp_path / "out").exists()
    assert convert(tmp_path / "a.nwb", tmp_path / "out", format=format_).rows >= 20_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nwb", "out"]


def test_a_name_that_the_system_refuses_is_no_place(tmp_path: Path, sessions: list[Path]) -> None:
    with pytest.raises(OutputError, match="cannot be written: File name too long"):
        convert(sessions, tmp_path / ("x" * 250))


def test_an_empty_folder_is_written_to(tmp_path: Path, sessions: list[Path]) -> None:
    (tmp_path / "out").mkdir()
    convert(sessions, os.fspath(tmp_path / "out"), tables=TRIALS)
    assert (tmp_path / "out" / "intervals.trials").is_dir()


def test_a_bar_is_drawn_only_where_it_is_wanted(
    tmp_path: Path, sessions: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    convert(sessions, tmp_path / "quiet", tables=TRIALS)
    quiet = capsys.readouterr()
    assert (quiet.out, quiet.err) == ("", "")
    convert(sessions, tmp_path / "loud", tables=TRIALS, progress=True)
    loud = capsys.readouterr()
    assert loud.out == ""
    assert "2/2" in loud.err


def test_options_that_mean_nothing_are_refused(tmp_path: Path, sessions: list[Path]) -> None:
    with pytest.raises(ValueError, match="one layout"):
        convert(sessions, tmp_path / "out", format="excel", layout="one")
    with pytest.raises(ValueError, match="none of"):
        convert(sessions, tmp_path / "out", format="pickle")  # type: ignore[arg-type]  # that is the point
    assert not list(tmp_path.iterdir())
