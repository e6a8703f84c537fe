"""Tables and series that are in other files, through the engines: permission and versions travel with the plan."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import dask
import h5py
import numpy as np
import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.errors import MalformedFileError, SourceChangedError, UnsupportedLayoutError
from nwb_dask.options import options
from nwb_dask.testing.odd_columns import add_index, add_series, add_table, new_file
from tests.read.elsewhere import ENDS, compare_engines

N_SAMPLES = 20
SERIES = ("/acquisition/far", "/acquisition/raw", "/acquisition/virtual")


def write_main(path: Path) -> None:
    """Write a session with a table, a column and series in other files, in the folder ``data`` beside it."""
    other = path.with_name("data") / "other.nwb"
    with new_file(other) as file:
        electrodes = add_table(file, "general/electrodes", {"depth": np.arange(3) * 10.0})
        table = add_table(file, "units", {"rate": np.arange(6) * 2.5, "times": np.arange(9.0)}, n_rows=6)
        add_index(table, "times", ENDS)
        place = table.create_dataset("place", data=np.array([2, 1, 0, 0, 1, 2]))
        place.attrs.update({"neurodata_type": "DynamicTableRegion", "namespace": "hdmf-common", "description": "x"})
        place.attrs["table"] = electrodes.ref
        table.attrs.create("colnames", ["rate", "times", "place"], dtype=h5py.string_dtype())
        add_series(file, "acquisition/far", data=np.arange(20.0), starting_time=(0.0, 10.0))
    with new_file(path) as file:
        file["units"] = h5py.ExternalLink("data/other.nwb", "/units")
        table = add_table(file, "intervals/own", {"near": np.arange(6), "rate": np.arange(6)})
        del table["rate"]
        table["rate"] = h5py.ExternalLink("data/other.nwb", "/units/rate")
        for name in ("raw", "virtual"):
            add_series(file, f"acquisition/{name}", starting_time=(0.0, 10.0))
        raw = [("data/raw", 0, 8 * N_SAMPLES)]
        file["acquisition/raw"].create_dataset("data", (N_SAMPLES,), "<f8", external=raw)
        layout = h5py.VirtualLayout((N_SAMPLES,), "<f8")
        layout[...] = h5py.VirtualSource("data/other.nwb", "/acquisition/far/data", (N_SAMPLES,))
        file["acquisition/virtual"].create_virtual_dataset("data", layout)
        file["acquisition/far"] = h5py.ExternalLink("data/other.nwb", "/acquisition/far")
    (other.parent / "raw").write_bytes(np.arange(20.0).tobytes())


@pytest.fixture
def main(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    write_main(tmp_path / "main.nwb")
    return tmp_path / "main.nwb"


@pytest.fixture
def allowed(main: Path) -> dict[str, object]:
    return {"allow_external": [str(main.with_name("data"))]}


def test_a_table_in_another_file_is_read_by_every_engine(main: Path, allowed: dict[str, object]) -> None:
    compare_engines(main, allowed)


def test_regions_of_a_table_in_another_file_lead_to_their_own_tables(main: Path, allowed: dict[str, object]) -> None:
    frame = nwb_dask.read_table(main, "/units", engine="pandas", resolve=["place"], storage_options=allowed)
    assert frame["place.depth"].tolist() == [20, 10, 0, 0, 10, 20]


def test_a_column_in_another_file_is_a_column_or_says_how_to_become_one(main: Path, allowed: dict[str, object]) -> None:
    frame = nwb_dask.read_table(main, "/intervals/own", engine="pandas", storage_options=allowed)
    assert frame["rate"].tolist() == [0, 2.5, 5, 7.5, 10, 12.5]
    with pytest.raises(MalformedFileError, match=r"'data/other.nwb'.*allow_external=\["):
        nwb_dask.read_table(main, "/intervals/own", columns=["rate"])
    with pytest.raises(UnsupportedLayoutError, match=r"'data/other.nwb'.*allow_external=\["):
        nwb_dask.read_table(main, "/units")


@pytest.mark.parametrize("path", SERIES)
def test_series_in_other_files_are_arrays_or_say_how_to_become_one(
    main: Path, allowed: dict[str, object], path: str
) -> None:
    assert path in nwb_dask.open_nwb(main, storage_options=allowed).contents
    series = nwb_dask.open_timeseries(main, path, storage_options=allowed)
    sent = pickle.loads(pickle.dumps(series.sel(time=slice(0.5, 0.8))))  # our own
    assert sent.compute(scheduler="sync").values.tolist() == [5, 6, 7, 8]
    with pytest.raises((UnsupportedLayoutError, MalformedFileError), match=r"allow_external=\["):
        nwb_dask.open_timeseries(main, path)


@pytest.mark.parametrize("path", SERIES)
def test_a_series_whose_file_changed_since_it_was_opened_says_so(
    main: Path, allowed: dict[str, object], path: str
) -> None:
    series = nwb_dask.open_timeseries(main, path, storage_options=allowed)
    assert series[3:5].values.tolist() == [3, 4]
    for other in main.with_name("data").iterdir():
        other.write_bytes(other.read_bytes())
        os.utime(other, ns=(1, 1))
    with pytest.raises(SourceChangedError, match="plan again"):
        series[5:7].compute()


@pytest.mark.parametrize("table", ["/units", "/intervals/own"])
def test_a_table_whose_file_changed_since_the_plan_says_so(main: Path, allowed: dict[str, object], table: str) -> None:
    frame = dd.read_nwb(main, table, storage_options=allowed)
    assert len(frame.compute()) == 6
    other = main.with_name("data") / "other.nwb"
    with h5py.File(other, "r+") as file:
        file["units/rate"][:] = -1
    os.utime(other, ns=(1, 1))
    with dask.config.set(scheduler="sync"), pytest.raises(SourceChangedError, match="plan again"):
        frame["rate"].compute()
    again = nwb_dask.read_table(main, table, engine="pandas", storage_options=allowed)
    assert again["rate"].tolist() == [-1] * 6


def test_permission_may_come_from_a_block_or_the_environment_and_is_never_remembered(
    main: Path, allowed: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(main.with_name("data"))
    for _ in range(2):
        with pytest.raises(UnsupportedLayoutError, match="allow_external"):
            nwb_dask.read_table(main, "/units")
        with options(allow_external=folder):
            inside = dd.read_nwb(main, "/units")
            assert len(nwb_dask.read_table(main, "/units")) == 6
        assert len(inside.compute()) == 6
        with monkeypatch.context() as patched:
            patched.setenv("NWB_DASK_ALLOW_EXTERNAL", f"/nowhere{os.pathsep}{folder}")
            assert len(nwb_dask.read_table(main, "/units")) == 6
            with pytest.raises(UnsupportedLayoutError, match="allow_external"):
                nwb_dask.read_table(main, "/units", storage_options={"allow_external": []})


def test_regions_behind_a_chain_of_links_lead_to_their_own_tables(main: Path) -> None:
    with new_file(main.with_name("chain.nwb")) as file:
        file["units"] = h5py.ExternalLink("main.nwb", "/units")
    frame = nwb_dask.read_table(
        main.with_name("chain.nwb"),
        "/units",
        engine="pandas",
        resolve=["place"],
        storage_options={"allow_external": [str(main.parent)]},
    )
    assert frame["place.depth"].tolist() == [20, 10, 0, 0, 10, 20]
