"""``errors="skip"``, and files that change, vanish or are written to while they are read."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
from pynwb import NWBHDF5IO

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.errors import (
    MalformedFileError,
    NWBDaskError,
    PathNotFoundError,
    SkippedFilesWarning,
    SourceAccessError,
    SourceChangedError,
    SourceNotFoundError,
    SourceUnavailableError,
    UnsupportedLayoutError,
)
from nwb_dask.testing import RangeServer
from nwb_dask.testing.files import write_session
from tests.faults.reading import QUERY, SECRET, Read, check_error, every_engine, read_dask, read_pandas, values


@pytest.fixture
def bad(session: Path, tmp_path: Path) -> list[Path]:
    """A text file, a truncated one and one that does not exist."""
    paths = [tmp_path / name for name in ("text.nwb", "cut.nwb", "absent.nwb")]
    paths[0].write_text("text")
    paths[1].write_bytes(session.read_bytes()[:5000])
    return paths


def rewrite(path: Path, n_units: int) -> None:
    """Replace a file by one with another number of units, as a pipeline that runs again does."""
    write_session(path, seed=n_units, n_units=n_units, n_trials=0, n_samples=0, n_electrodes=0)


@every_engine
def test_skipping_leaves_corrupt_and_missing_files_out_and_keeps_the_order(
    read: Read, session: Path, bad: list[Path]
) -> None:
    other = session.with_name("other.nwb")
    rewrite(other, 2)
    with pytest.warns(SkippedFilesWarning):
        frame = read([bad[0], other, *bad[1:], session], "/units", columns=[], errors="skip")
    assert list(dict.fromkeys(values(frame, "_nwb_path"))) == [str(other), str(session)]
    assert len(values(frame, "_nwb_path")) == 2 + 6


@pytest.mark.parametrize("read", [read_pandas, read_dask])
def test_skipping_gives_one_warning_that_lists_the_files_and_points_at_the_caller(
    read: Read, session: Path, bad: list[Path]
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read([session, *bad], "/units", errors="skip")
    assert [one.category for one in caught] == [SkippedFilesWarning]
    message = str(caught[0].message)
    assert message.startswith("3 of 4 files are left out (errors='skip')")
    assert all(f"{path}: " in message for path in bad)
    assert str(session) not in message
    assert Path(caught[0].filename).name == "reading.py"


def test_the_report_says_which_files_were_left_out_and_why(session: Path, bad: list[Path]) -> None:
    with pytest.warns(SkippedFilesWarning):
        frame = dd.read_nwb([session, *bad], "/units", errors="skip")
    report = frame.nwb.report()
    assert report.columns.tolist() == ["file", "reason"]
    assert report["file"].tolist() == [str(path) for path in bad]
    assert [reason.split(":")[0] for reason in report["reason"]] == ["not an HDF5 file", "truncated", "no such file"]
    assert frame[frame.snr > 1].quality.nwb.report().equals(report)


def test_the_report_is_empty_where_nothing_was_left_out(session: Path) -> None:
    report = dd.read_nwb(session, "/units", errors="skip").nwb.report()
    assert (len(report), report.columns.tolist()) == (0, ["file", "reason"])


@every_engine
def test_nothing_left_after_skipping_is_an_error_and_no_warning(read: Read, bad: list[Path]) -> None:
    with pytest.raises(MalformedFileError, match="none of 3 files could be read") as caught:
        read(bad, "/units", errors="skip")
    check_error(caught.value, kind=MalformedFileError, builtin=ValueError, names=bad[0])


def test_all_files_missing_is_not_found_even_when_skipping(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="none of 2 files") as caught:
        nwb_dask.read_table([tmp_path / "a.nwb", tmp_path / "b.nwb"], "/units", errors="skip")
    check_error(caught.value, kind=SourceNotFoundError, builtin=FileNotFoundError, names=tmp_path / "a.nwb")


def test_a_table_that_the_good_files_lack_is_an_error_even_when_skipping(session: Path, bad: list[Path]) -> None:
    with pytest.warns(SkippedFilesWarning), pytest.raises(PathNotFoundError, match="did you mean '/units'"):
        nwb_dask.read_table([session, *bad], "/unit", errors="skip")


@pytest.mark.parametrize(
    ("status", "kind"), [(403, SourceAccessError), (401, SourceAccessError), (500, SourceUnavailableError)]
)
def test_skipping_never_skips_what_a_server_refuses(status: int, kind: type[NWBDaskError], session: Path) -> None:
    with RangeServer(session.parent) as server:
        server.inject(session.name, "status", status=status)
        with pytest.raises(kind):
            nwb_dask.read_table([session, server.url(session.name)], "/units", errors="skip")


def test_skipping_never_skips_files_that_are_not_supported(session: Path, tmp_path: Path) -> None:
    (tmp_path / "store.nwb").mkdir()
    with pytest.raises(UnsupportedLayoutError):
        nwb_dask.read_table([session, tmp_path / "store.nwb"], "/units", errors="skip")


def test_skipping_never_skips_a_file_without_permission(session: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked.nwb"
    locked.write_bytes(session.read_bytes())
    locked.chmod(0)
    if os.access(locked, os.R_OK):
        pytest.skip("PERMISSIONS ARE NOT TESTED: this user (root?) may read any file")
    with pytest.raises(SourceAccessError):
        nwb_dask.read_table([session, locked], "/units", errors="skip")


def test_remote_files_that_are_skipped_are_listed_without_their_signatures(session: Path) -> None:
    (session.parent / "page.nwb").write_text("<html></html>")
    with RangeServer(session.parent) as server:
        urls = [server.url(name) + QUERY for name in ("page.nwb", "absent.nwb")]
        with pytest.warns(SkippedFilesWarning) as caught:
            frame = dd.read_nwb([session, *urls], "/units", errors="skip")
    said = str(caught[0].message) + frame.nwb.report().to_csv()
    assert SECRET not in said
    assert all(server.url(name) in said for name in ("page.nwb", "absent.nwb"))


def replace_in_place(path: Path) -> None:
    rewrite(path, 9)


def replace_by_rename(path: Path) -> None:
    other = path.with_suffix(".tmp")
    rewrite(other, 9)
    other.replace(path)


def change_one_value(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["units/depth"][0] = 7


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(5000)


@pytest.mark.parametrize("change", [replace_in_place, replace_by_rename, change_one_value, cut])
@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_a_file_that_changes_between_plan_and_compute_is_an_error(
    change: Callable[[Path], None], scheduler: str, session: Path
) -> None:
    frame: Any = dd.read_nwb(session, "/units")
    change(session)
    with pytest.raises(SourceChangedError, match="plan again") as caught:
        frame.compute(scheduler=scheduler)
    check_error(caught.value, kind=SourceChangedError, builtin=RuntimeError, names=session)


def test_a_remote_file_that_changes_between_plan_and_compute_is_an_error(session: Path) -> None:
    with RangeServer(session.parent) as server:
        frame: Any = dd.read_nwb(server.url(session.name) + QUERY, "/units")
        rewrite(session, 9)
        with pytest.raises(SourceChangedError) as caught:
            frame.compute(scheduler="sync")
        check_error(caught.value, kind=SourceChangedError, builtin=RuntimeError, names=server.url(session.name))


def test_a_file_that_vanishes_between_plan_and_compute_is_not_found(session: Path) -> None:
    frame: Any = dd.read_nwb(session, "/units")
    session.unlink()
    with pytest.raises(SourceNotFoundError) as caught:
        frame.compute(scheduler="sync")
    check_error(caught.value, kind=SourceNotFoundError, builtin=FileNotFoundError, names=session)


@every_engine
@pytest.mark.parametrize("change", [replace_in_place, replace_by_rename])
def test_a_file_that_was_replaced_is_read_anew(read: Read, change: Callable[[Path], None], session: Path) -> None:
    assert len(values(read(session, "/units"), "id")) == 6
    change(session)
    with h5py.File(session) as file:
        expected = file["units/depth"][:].tolist()
    assert values(read(session, "/units"), "depth") == expected
    assert nwb_dask.open_nwb(session)["/units"].n_rows == len(expected) == 9


@every_engine
def test_a_value_that_was_written_is_seen_by_the_next_read(read: Read, session: Path) -> None:
    read(session, "/units")
    for value in (11, 12, 13):
        with h5py.File(session, "r+") as file:
            file["units/depth"][0] = value
        assert values(read(session, "/units"), "depth")[0] == value


@pytest.mark.parametrize("mode", ["a", "r+"])
def test_after_reading_h5py_can_open_the_file_for_writing(mode: str, session: Path) -> None:
    for engine in ("pandas", "polars", "arrow"):
        nwb_dask.read_table(session, "/units", engine)
    frame: Any = dd.read_nwb(session, "/units")
    frame.compute(scheduler="threads")
    assert nwb_dask.open_nwb(session).metadata["identifier"]
    with h5py.File(session, mode) as file:
        file["units/depth"][0] = 5
        file["units"].create_dataset("more", data=[1, 2])


def test_after_reading_pynwb_can_append_and_the_next_read_sees_it(session: Path) -> None:
    read_dask(session, "/units")
    read_pandas(session, "/units")
    with NWBHDF5IO(str(session), "a") as io:
        file = io.read()
        file.add_unit_column("score", "a new column", data=[0.5] * len(file.units))
        io.write(file)
    assert read_pandas(session, "/units")["score"].tolist() == [0.5] * 6
    assert read_dask(session, "/units")["score"].tolist() == [0.5] * 6


def test_after_an_error_the_file_can_be_opened_for_writing(session: Path) -> None:
    with pytest.raises(PathNotFoundError):
        nwb_dask.read_table(session, "/units", columns=["absent"])
    with h5py.File(session, "r+") as file:
        file["units/depth"][0] = 5


@every_engine
def test_a_file_that_is_open_for_writing_here_is_read_as_its_writer_sees_it(read: Read, session: Path) -> None:
    with h5py.File(session, "r+") as file:
        file["units/depth"][0] = 21
        file.flush()
        assert values(read(session, "/units"), "depth") == file["units/depth"][:].tolist()
        file["units/depth"][0] = 22
        file.flush()
        assert values(read(session, "/units"), "depth")[0] == 22
    assert values(read(session, "/units"), "depth")[0] == 22


@every_engine
def test_a_file_that_is_open_for_reading_elsewhere_is_read(read: Read, session: Path) -> None:
    with h5py.File(session) as file:
        assert values(read(session, "/units"), "depth") == file["units/depth"][:].tolist()
    with NWBHDF5IO(str(session), "r") as io:
        assert values(read(session, "/units"), "depth") == list(io.read().units["depth"][:])
