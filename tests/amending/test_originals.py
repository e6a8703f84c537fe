"""What pynwb adds to what was added, and originals that move or change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pynwb
import pytest

import nwb_dask
from nwb_dask.amending import amend
from nwb_dask.errors import FormatError, OutputError, SourceChangedError
from nwb_dask.testing import RangeServer


def test_pynwb_adds_rows_to_a_table_that_was_added(session: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.lindi.tar"
    rests = {"start_time": [0.5, 1.5], "stop_time": [1.0, 2.0], "kind": ["a", "b"], "near": [[1.0], [2.0, 3.0]]}
    with amend(session, out) as amended:
        amended.add_table("/intervals/rests", rests, description="when it rested")
    with amend(out) as amended, pynwb.NWBHDF5IO(file=amended, mode="r+") as io:
        file = io.read()
        file.intervals["rests"].add_row(start_time=3.0, stop_time=4.0, kind="longer text", near=[4.0, 5.0])
        io.write(file)
    found = nwb_dask.read_table(out, "/intervals/rests", engine="arrow").to_pydict()
    assert found["id"] == [0, 1, 2]
    assert found["kind"] == ["a", "b", "longer text"]
    assert found["near"] == [[1.0], [2.0, 3.0], [4.0, 5.0]]


def test_what_is_there_is_not_renamed_and_the_error_says_what_to_do(session: Path, tmp_path: Path) -> None:
    with amend(session, tmp_path / "x.lindi.tar") as amended:
        with pytest.raises(OutputError, match="keeps its name"):
            amended.move("units", "cells")
        with pytest.raises(OutputError, match="link to what is here"):
            amended.copy("units", "cells")


def test_references_to_regions_are_refused(session: Path, tmp_path: Path) -> None:
    with amend(session, tmp_path / "x.lindi.tar") as amended, pytest.raises(FormatError, match="regions"):
        amended.create_dataset("region", data=1, dtype=h5py.regionref_dtype)


def lfp_of(path: Path | str) -> Any:
    return nwb_dask.open_timeseries(path, "/acquisition/lfp").to_numpy()


def test_both_files_go_to_another_folder_together(session: Path, out: Path, tmp_path: Path) -> None:
    with amend(session, out) as amended:
        amended.add_column("/units", "rating", np.arange(6), description="how good")
    expected = lfp_of(session)
    copies = tmp_path / "elsewhere"
    copies.mkdir()
    # As `cp -r` does, which keeps no times.
    (copies / "session.nwb").write_bytes(session.read_bytes())
    moved = Path(shutil.move(out, copies))
    np.testing.assert_array_equal(lfp_of(moved), expected)
    assert list(nwb_dask.read_table(moved, "/units")["rating"]) == list(range(6))
    with h5py.File(session) as file:
        stored = file["acquisition/lfp/data"][:]
    for source, to in ((moved, None), (copies / "session.nwb", moved)):
        with amend(source, to) as amended:
            np.testing.assert_array_equal(amended["acquisition/lfp/data"][:], stored)
    with RangeServer(copies) as server:
        if moved.is_file():
            np.testing.assert_array_equal(lfp_of(server.url(moved.name)), expected)


def test_an_original_that_changed_is_not_read_through_references_to_what_was_there(
    written: Path, out: Path, tmp_path: Path
) -> None:
    session = tmp_path / "session.nwb"
    for in_place in (True, False):
        session.write_bytes(written.read_bytes())
        amend(session, out).close()
        assert lfp_of(session).size
        other = bytearray(written.read_bytes())
        other[-1 if in_place else 100] ^= 1
        if not in_place:
            session.unlink()
        session.write_bytes(other)
        with pytest.raises(SourceChangedError, match="changed since"):
            lfp_of(out)
        shutil.rmtree(out) if out.is_dir() else out.unlink()


def test_a_remote_original_that_changed_is_not_read(written: Path, out: Path, tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    (served / "session.nwb").write_bytes(written.read_bytes())
    with RangeServer(served) as server:
        url = server.url("session.nwb")
        amend(f"{url}?signature=secret", out, url=url).close()
        data = written.read_bytes()
        (served / "session.nwb").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(SourceChangedError, match="changed since"):
            lfp_of(out)
    for path in [out, *out.rglob("*")]:
        assert path.is_dir() or b"secret" not in path.read_bytes()


def test_pynwb_links_to_datasets_as_in_a_file_of_h5py(session: Path, out: Path) -> None:
    for number in range(2):
        with pynwb.NWBHDF5IO(file=amend(session, out), mode="r+") as io:
            file = io.read()
            times = file.processing["motion"]["speed"].timestamps if number else np.arange(8.0)
            file.add_acquisition(pynwb.TimeSeries(name=f"s{number}", data=np.arange(8), unit="V", timestamps=times))
            if not number:
                file.create_processing_module("motion", "m").add(
                    pynwb.TimeSeries(name="speed", data=np.arange(8), unit="V", timestamps=np.arange(8) / 2)
                )
            io.write(file)
    with amend(out) as amended:
        link = amended["acquisition/s1"].get("timestamps", getlink=True)
        assert link.path == "/processing/motion/speed/timestamps"
        np.testing.assert_array_equal(amended["acquisition/s1/timestamps"][:], np.arange(8) / 2)


def test_numbers_that_are_called_objects_are_refused(session: Path, tmp_path: Path) -> None:
    with amend(session, tmp_path / "x.lindi.tar") as amended:
        made = amended.create_dataset("numbers", shape=(2,), dtype=object)
        with pytest.raises(FormatError, match="name their type"):
            made[:] = np.arange(2.0)
