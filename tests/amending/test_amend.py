"""Files opened for additions: what is added is seen by every reader, and the original stays as it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pynwb
import pytest
from hdmf.data_utils import DataChunkIterator

import nwb_dask
from nwb_dask.amending import AmendedFile, amend
from nwb_dask.amending.lock import WriterLock
from nwb_dask.errors import (
    FormatError,
    OutputError,
    PathNotFoundError,
    SchemaConflictError,
    SourceAccessError,
    SourceChangedError,
)
from nwb_dask.testing import RangeServer
from tests.amending.oracle import read_numbers, read_output

INTEROP = Path(__file__).parents[3] / "shared" / "data" / "interop"
QUALITY = np.linspace(0, 1, 6)
LABELS = [f"label {n}" for n in range(6)]
NEAR = [[float(n)] * (n % 3) for n in range(6)]


def add_all(amended: AmendedFile) -> None:
    amended.add_column("/units", "contamination", QUALITY, description="share of foreign spikes")
    amended.add_column("/units", "label", LABELS, description="what it is called")
    amended.add_column("/units", "near", NEAR, description="distances")
    frame = pd.DataFrame({"start_time": [0.5, 1.5], "stop_time": [1.0, 2.0], "kind": ["a", "b"]})
    amended.add_table("/intervals/rests", frame, description="when it rested")
    speed = np.arange(400.0).reshape(200, 2)
    amended.add_timeseries("/processing/motion/speed", speed, unit="m/s", rate=50.0, starting_time=2.0, chunks=(64, 2))
    amended.add_timeseries("/acquisition/licks", np.arange(5), unit="a.u.", timestamps=np.arange(5) / 3)


def check_all(path: Path) -> None:
    units = nwb_dask.read_table(path, "/units")
    np.testing.assert_array_equal(units["contamination"], QUALITY)
    assert list(units["label"]) == LABELS
    assert [list(one) for one in units["near"]] == NEAR
    rests = nwb_dask.read_table(path, "/intervals/rests", engine="arrow").to_pydict()
    assert rests["start_time"] == [0.5, 1.5]
    assert rests["kind"] == ["a", "b"]
    speed = nwb_dask.open_timeseries(path, "/processing/motion/speed")
    np.testing.assert_array_equal(speed, np.arange(400.0).reshape(200, 2))
    np.testing.assert_array_equal(speed["time"], 2.0 + np.arange(200) / 50)
    np.testing.assert_array_equal(nwb_dask.open_timeseries(path, "/acquisition/licks")["time"], np.arange(5) / 3)


def urls_of(document: dict[str, Any]) -> set[str]:
    """Return the other files that a document names."""
    named = {value[0] for value in document["refs"].values() if isinstance(value, list)}
    return {document.get("templates", {}).get(one[2:-2], one) for one in named if not one.startswith("./")}


def test_what_is_added_is_read_by_tables_series_and_pynwb(session: Path, out: Path) -> None:
    with amend(session, out) as amended:
        add_all(amended)
    check_all(out)
    np.testing.assert_array_equal(read_numbers(out, "/units/contamination"), QUALITY)
    with pynwb.NWBHDF5IO(file=nwb_dask.open_h5(out), mode="r") as io:
        file = io.read()
        assert file.units["near"][4] == pytest.approx(NEAR[4])
        assert list(file.intervals["rests"]["kind"][:]) == ["a", "b"]
        assert file.processing["motion"]["speed"].rate == 50.0
        if out.is_file():
            assert pynwb.validate(io=io) == []


def test_what_was_there_is_read_as_before(session: Path, out: Path) -> None:
    with amend(session, out) as amended:
        add_all(amended)
    before, after = nwb_dask.read_table(session, "/units"), nwb_dask.read_table(out, "/units")
    for name in before.columns.drop("_nwb_path"):
        assert list(map(str, before[name])) == list(map(str, after[name]))
    with h5py.File(session) as file:
        spikes = nwb_dask.open_h5(out)["units/spike_times"][:]
        np.testing.assert_array_equal(spikes, file["units/spike_times"][:])


def test_a_remote_file_is_amended_without_copying_it(session: Path, tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    (served / "session.nwb").write_bytes(session.read_bytes())
    out = tmp_path / "here.lindi.tar"
    with RangeServer(served) as server:
        url = server.url("session.nwb")
        with amend(url, out) as amended:
            add_all(amended)
            with h5py.File(session) as file:
                np.testing.assert_array_equal(amended["units/spike_times"][:], file["units/spike_times"][:])
        check_all(out)
        document, blobs = read_output(out)
        assert urls_of(document) == {url}
        assert sum(map(len, blobs.values())) < 10_000
    assert (served / "session.nwb").read_bytes() == session.read_bytes()


def test_another_url_can_be_written_for_the_original(session: Path, out: Path) -> None:
    amend(session, out, url="https://example.org/session.nwb").close()
    document, _ = read_output(out)
    assert urls_of(document) == {"https://example.org/session.nwb"}


def test_an_amended_file_is_amended_again(session: Path, out: Path) -> None:
    amend(session, out).close()
    with amend(out) as amended:
        add_all(amended)
    with amend(session, out) as amended:
        amended.add_column("/intervals/rests", "depth", [0.1, 0.2], description="how deep")
    check_all(out)
    assert list(nwb_dask.read_table(out, "/intervals/rests")["depth"]) == [0.1, 0.2]


def test_an_amended_file_is_the_original_of_another(session: Path, out: Path, tmp_path: Path) -> None:
    with amend(session, out) as amended:
        add_all(amended)
    before = read_output(out)
    other = tmp_path / "other.lindi.tar"
    with amend(out, other) as amended:
        amended.add_column("/units", "more", QUALITY, description="more")
        np.testing.assert_array_equal(amended["processing/motion/speed/data"][:], np.arange(400.0).reshape(200, 2))
    check_all(other)
    assert read_output(out) == before


@pytest.mark.skipif(not INTEROP.is_dir(), reason="the files of other tools are not here")
def test_a_file_that_lindi_amended_is_amended(tmp_path: Path) -> None:
    path = tmp_path / "amended.lindi.tar"
    path.write_bytes((INTEROP / "amended.lindi.tar").read_bytes())
    path.chmod(0o644)
    old, blobs = read_output(path)
    with amend(path) as amended:
        amended.add_column("/units", "contamination", np.arange(20.0), description="share of foreign spikes")
        data = amended["processing/behavior/amended/data"]
        before = data[:]
        data.resize((len(before) + 1, *before.shape[1:]))
        data[-1] = 7
    document, now = read_output(path)
    assert blobs.items() <= now.items()
    assert document["refs"]["units/id/.zarray"] == old["refs"]["units/id/.zarray"]
    found = read_numbers(path, "processing/behavior/amended/data")
    np.testing.assert_array_equal(found[:-1], before)
    assert (found[-1] == 7).all()


def test_pynwb_reads_it_and_writes_to_it(session: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.lindi.d"
    values = np.random.default_rng(0).normal(size=(300, 2))
    with amend(session, out) as amended, pynwb.NWBHDF5IO(file=amended, mode="r+") as io:
        file = io.read()
        series = pynwb.TimeSeries(
            name="speed",
            data=pynwb.H5DataIO(values, compression="gzip", chunks=(100, 2), shuffle=True),
            unit="m/s",
            rate=30.0,
        )
        file.create_processing_module(name="motion", description="how it moves").add(series)
        rows = DataChunkIterator((np.arange(3.0) + n for n in range(20)), buffer_size=4)
        file.add_acquisition(pynwb.TimeSeries(name="steps", data=rows, unit="m", timestamps=np.arange(20.0)))
        file.units.add_column(name="label", description="what it is called", data=LABELS)
        rests = pynwb.epoch.TimeIntervals(name="rests", description="when it rested")
        rests.add_column(name="kind", description="of rest")
        reference = pynwb.base.TimeSeriesReference(0, 5, series)
        rests.add_row(start_time=0.0, stop_time=1.0, kind="a", tags=["x", "y"], timeseries=[reference])
        file.add_time_intervals(rests)
        io.write(file)
    assert list(nwb_dask.read_table(out, "/units")["label"]) == LABELS
    found = nwb_dask.read_table(out, "/intervals/rests", engine="arrow").to_pylist()[0]
    assert found["tags"] == ["x", "y"]
    assert list(found["timeseries"][0].values()) == [0, 5, "/processing/motion/speed"]
    np.testing.assert_array_equal(nwb_dask.open_timeseries(out, "/processing/motion/speed"), values)
    np.testing.assert_array_equal(read_numbers(out, "/acquisition/steps/data")[-1], np.arange(3.0) + 19)
    with pynwb.NWBHDF5IO(file=nwb_dask.open_h5(out), mode="r") as io:
        assert io.read().intervals["rests"]["timeseries"][0][0].timeseries.name == "speed"


def test_an_error_in_the_block_leaves_nothing_though_pynwb_closed_the_file(session: Path, out: Path) -> None:
    def run() -> None:
        with amend(session, out) as amended, pynwb.NWBHDF5IO(file=amended, mode="r+"):
            add_all(amended)
            raise KeyError("broken off")

    with pytest.raises(KeyError, match="broken off"):
        run()
    assert [path.name for path in out.parent.iterdir()] == ["session.nwb"]


def test_an_error_in_the_block_keeps_what_was_flushed(session: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.lindi.tar"

    def run() -> None:
        with amend(session, out) as amended:
            add_all(amended)
            amended.flush()
            amended.add_column("/units", "lost", QUALITY, description="never seen")
            raise KeyError("broken off")

    with pytest.raises(KeyError, match="broken off"):
        run()
    check_all(out)
    assert "lost" not in nwb_dask.read_table(out, "/units")


def test_two_do_not_write_at_once(session: Path, out: Path) -> None:
    with amend(session, out), pytest.raises(OutputError, match=r"is being amended by process \d+"):
        amend(session, out)
    amend(session, out).close()
    assert sorted(path.name for path in out.parent.iterdir()) == ["session.nwb", out.name]


def test_another_process_does_not_write_meanwhile(session: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.lindi.tar"
    with amend(session, out):
        child = os.fork()
        if child == 0:
            try:
                WriterLock(out)
            except OutputError:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_reader_of_the_old_version_notices(session: Path, out: Path) -> None:
    amend(session, out).close()
    lazy = nwb_dask.open_timeseries(out, "/acquisition/lfp")
    with amend(out) as amended:
        add_all(amended)
    with pytest.raises(SourceChangedError):
        lazy.compute()


def test_an_original_that_changed_is_noticed(written: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.lindi.tar"
    session = out.parent / "session.nwb"
    session.write_bytes(written.read_bytes())
    amend(session, out).close()
    session.write_bytes(written.read_bytes() + b"\0")
    with pytest.raises(SourceChangedError, match="changed since"):
        amend(session, out)


@pytest.mark.parametrize("name", ["x.nwb", "x.lindi.json", "https://example.org/x.lindi.tar", "none/x.lindi.d"])
def test_outputs_that_cannot_be_are_refused(session: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError):
        amend(session, name if "://" in name else tmp_path / name)


def test_a_file_is_not_amended_in_place(session: Path) -> None:
    with pytest.raises(OutputError, match="out= says where"):
        amend(session)


def test_an_output_of_another_original_is_refused(session: Path, written: Path, out: Path) -> None:
    amend(session, out).close()
    with pytest.raises(OutputError, match=r"was made of .*session\.nwb"):
        amend(written, out)


def test_a_lindi_file_may_not_lead_where_its_own_readers_may_not_go(session: Path, tmp_path: Path) -> None:
    amend(session, tmp_path / "a.lindi.tar").close()
    served = tmp_path / "served"
    served.mkdir()
    (served / "a.lindi.tar").write_bytes((tmp_path / "a.lindi.tar").read_bytes())
    with RangeServer(served) as server, pytest.raises(SourceAccessError, match="of this machine"):
        amend(server.url("a.lindi.tar"), tmp_path / "b.lindi.tar")


@pytest.mark.parametrize(
    ("table", "name", "values", "error", "said"),
    [
        ("/units", "quality", QUALITY, OutputError, "is there already"),
        ("/units", "x", QUALITY[:5], SchemaConflictError, "6 rows"),
        ("/units", "x", [1, "a", 2, 3, 4, 5], FormatError, "different kinds"),
        ("/units", "x", [1, None, 2, 3, 4, 5], FormatError, "missing"),
        ("/units", "x", [[1], 2, 3, 4, 5, 6], SchemaConflictError, "some rows are lists"),
        ("/units", "x", np.arange(6) * 1j, FormatError, "no place"),
        ("/unit", "x", QUALITY, PathNotFoundError, "no table /unit"),
        ("/acquisition/lfp", "x", QUALITY, PathNotFoundError, "is no table"),
    ],
)
def test_columns_that_do_not_fit_are_refused_and_leave_nothing(
    session: Path, tmp_path: Path, *, table: str, name: str, values: object, error: type[Exception], said: str
) -> None:
    with amend(session, tmp_path / "x.lindi.tar") as amended:
        before = sorted(amended["units"])
        with pytest.raises(error, match=said):
            amended.add_column(table, name, values, description="does not fit")
        assert sorted(amended["units"]) == before
        assert "x" not in amended["units"].attrs["colnames"]


def test_a_column_of_rows_of_another_table(session: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.lindi.tar"
    electrodes = "/general/extracellular_ephys/electrodes"
    with amend(session, out) as amended:
        rows = [[0], [1, 2], [], [2], [0], [1]]
        amended.add_column("/units", "heard_at", rows, description="electrodes", region_of=electrodes)
        with pytest.raises(SchemaConflictError, match="has 3"):
            amended.add_column("/units", "bad", [3] * 6, description="electrodes", region_of=electrodes)
    with pynwb.NWBHDF5IO(file=nwb_dask.open_h5(out), mode="r") as io:
        assert list(io.read().units["heard_at"][1].index) == [1, 2]


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "mapping"])
def test_tables_come_from_every_kind_of_frame(session: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "x.lindi.tar"
    columns = {"id": [5, 7], "n": [1, 2], "x": [0.5, float("nan")], "text": ["a", "b"], "list": [[1.0, 2.0], []]}
    makers = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.table, "mapping": dict}
    with amend(session, out) as amended:
        amended.add_table("/scratch/mine", makers[kind](columns), description="mine", descriptions={"n": "a number"})
    found = nwb_dask.read_table(out, "/scratch/mine", engine="arrow").to_pydict()
    assert found["id"] == [5, 7]
    assert found["n"] == [1, 2]
    np.testing.assert_array_equal(found["x"], columns["x"])
    assert found["text"] == ["a", "b"]
    assert found["list"] == [[1.0, 2.0], []]
    document, _ = read_output(out)
    assert document["refs"]["scratch/mine/n/.zattrs"]["description"] == "a number"


@pytest.mark.parametrize("path", ["/units/x", "/general/x", "/x", "/processing/x"])
def test_tables_and_series_go_where_nwb_has_them(session: Path, tmp_path: Path, path: str) -> None:
    out = tmp_path / "x.lindi.tar"
    with amend(session, out) as amended:
        with pytest.raises(OutputError, match="name one of these"):
            amended.add_table(path, {"a": [1]}, description="misplaced")
        with pytest.raises(OutputError, match="name one of these"):
            amended.add_timeseries(path, [1.0], unit="m", rate=1.0)


def test_a_series_needs_a_rate_or_as_many_timestamps(session: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.lindi.tar"
    with amend(session, out) as amended:
        with pytest.raises(ValueError, match="either rate"):
            amended.add_timeseries("/acquisition/a", [1.0], unit="m")
        with pytest.raises(SchemaConflictError, match="1 samples"):
            amended.add_timeseries("/acquisition/a", [1.0], unit="m", timestamps=[0.0, 1.0])
        assert "a" not in amended["acquisition"]
