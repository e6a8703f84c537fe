"""``engine="nwb"`` of xarray, and trees of sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import nwb_dask
from nwb_dask import SkippedFilesWarning
from nwb_dask.adapters.xarray_backend import NwbBackend
from nwb_dask.errors import PathNotFoundError, SourceNotFoundError
from nwb_dask.testing import series as written
from nwb_dask.testing import series_odd as odd
from tests.adapters.xarray_backend.files import ramp, write_sampled

RAW = ramp(3000, 2)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sampled(tmp_path_factory.mktemp("one") / "one.nwb", RAW, chunks=(500, 2))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written.write_series(tmp_path_factory.mktemp("many") / "many.nwb")


def test_xarray_knows_the_engine() -> None:
    assert isinstance(xr.backends.list_engines()["nwb"], NwbBackend)


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("a.nwb", True),
        (Path("b/a.NWB"), True),
        ("https://host/a.nwb?X-Amz-Signature=1", True),
        ("a.nwb.zarr", True),
        ("a.h5", False),
        ("a.zarr", False),
        ("anwb", False),
        (b"\x89HDF", False),
    ],
)
def test_engine_is_chosen_for_names_of_nwb_files(name: Any, is_ours: bool) -> None:  # noqa: FBT001  # expected
    assert NwbBackend().guess_can_open(name) is is_ours


def test_dataset_is_the_series_under_the_name_data(one: Path) -> None:
    found = xr.open_dataset(one)
    array = nwb_dask.open_timeseries(one, "lfp")
    xr.testing.assert_equal(found["data"].compute(), array.rename("data").compute())
    assert found["data"].attrs == array.attrs
    raw = xr.open_dataset(one, engine="nwb", mask_and_scale=False, drop_variables="location")
    np.testing.assert_array_equal(raw["data"], RAW)
    assert "location" not in raw.coords


def test_chunks_of_the_dataset_are_multiples_of_the_stored_ones(one: Path) -> None:
    found = xr.open_dataset(one, engine="nwb", chunks={})
    assert found["data"].chunks == ((3000,), (2,))
    with pytest.warns(UserWarning, match="separate the stored chunks"):
        split = xr.open_dataset(one, engine="nwb", chunks={"time": 1000})
    assert split["data"].chunks == ((1000,) * 3, (2,))


def test_file_with_several_series_wants_one_to_be_named(many: Path) -> None:
    with pytest.raises(ValueError, match="TimeSeries; name one with group=") as caught:
        xr.open_dataset(many, engine="nwb")
    assert all(path in str(caught.value) for path in written.SERIES)
    with pytest.raises(PathNotFoundError):
        xr.open_dataset(many, engine="nwb", group="/acquisition/none")


@pytest.mark.filterwarnings("ignore:.*stored as .roi, time.")
def test_tree_has_every_series_and_reads_no_samples(many: Path) -> None:
    with nwb_dask.trace():
        tree = xr.open_datatree(many, engine="nwb")
    found = {node.path for node in tree.subtree if "data" in node.dataset}
    assert found == set(written.SERIES)


@pytest.mark.filterwarnings("ignore:.*stored as .roi, time.")
def test_tree_of_a_group_has_paths_from_there(many: Path) -> None:
    below = [path for path in written.SERIES if path.startswith("/processing/")]
    tree = xr.open_datatree(many, engine="nwb", group="/processing")
    found = {f"/processing{node.path}" for node in tree.subtree if "data" in node.dataset}
    assert found == set(below)
    alone = xr.open_datatree(many, engine="nwb", group=below[0])
    assert "data" in alone.dataset
    with pytest.raises(PathNotFoundError, match="no TimeSeries below /general"):
        xr.open_datatree(many, engine="nwb", group="/general")


def test_bad_series_is_left_out_of_a_tree_with_a_warning(tmp_path: Path) -> None:
    path = odd.write_odd_series(tmp_path / "odd.nwb")
    with pytest.warns(UserWarning, match="of .*odd.nwb") as said:  # a glance at the name
        tree = xr.open_datatree(path, engine="nwb")
    found = {node.path for node in tree.subtree if "data" in node.dataset}
    # Whether a link that leads nowhere was one to a series, nothing tells.
    lost = {place for place in odd.ODD_SERIES if not place.startswith("/acquisition/series_")} - found
    warned = [str(one.message) for one in said]
    assert all(any(text.startswith(place + " ") and "left out" in text for text in warned) for place in lost)
    assert len(found) > len(lost)


def test_sessions_are_nodes_named_after_their_files(tmp_path: Path) -> None:
    for name in ("a/one", "a/two", "b/one"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_sampled(tmp_path / f"{name}.nwb", RAW[: len(name) * 100])
    tree = nwb_dask.open_sessions(tmp_path, "lfp", scale=False)
    assert list(tree.children) == ["a_one", "two", "b_one"]
    assert tree["two"].attrs["source"] == str(tmp_path / "a/two.nwb")
    means = tree.mean("time")
    np.testing.assert_allclose(np.asarray(means["b_one"]["data"]), RAW[:500].mean(axis=0))
    twice = nwb_dask.open_sessions([tmp_path / "a/two.nwb"] * 2, "lfp")
    assert list(twice.children) == ["two_1", "two_2"]


def test_bad_session_is_an_error_or_is_left_out(tmp_path: Path) -> None:
    good = write_sampled(tmp_path / "good.nwb", RAW)
    bad = tmp_path / "bad.nwb"
    bad.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"bad\.nwb"):
        nwb_dask.open_sessions([good, bad], "lfp")
    with pytest.raises(SourceNotFoundError):
        nwb_dask.open_sessions([good, tmp_path / "none.nwb"], "lfp")
    with pytest.warns(SkippedFilesWarning, match="1 of 3 files"):
        tree = nwb_dask.open_sessions([good, bad, good], "lfp", errors="skip")
    assert list(tree.children) == ["good_1", "good_2"]
    with pytest.raises(PathNotFoundError):
        nwb_dask.open_sessions([good], "spikes", errors="skip")
