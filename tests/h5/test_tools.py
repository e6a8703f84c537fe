"""Tools that take an ``h5py.File``, over what `open_h5` gives; each against the same tool over h5py's own file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import pynwb
import pytest
import xarray as xr

import nwb_dask
from nwb_dask.testing import RangeServer
from tests.h5.facade import open_facade

INTEROP = Path(__file__).parents[3] / "shared" / "data" / "interop"
has_session = pytest.mark.skipif(not INTEROP.exists(), reason="the session in all forms is not here")


@pytest.fixture(params=["facade", "streamed"])
def opened(path: Path, server: RangeServer, request: pytest.FixtureRequest) -> Iterator[h5py.File]:
    with open_facade(path) if request.param == "facade" else nwb_dask.open_h5(server.url(path.name)) as file:
        yield file


def test_dask_makes_an_array_of_a_dataset(opened: h5py.File, path: Path) -> None:
    lazy = da.from_array(opened["series"], chunks=(10_000, 16))
    with h5py.File(path) as expected:
        assert lazy.dtype == expected["series"].dtype
        np.testing.assert_array_equal(lazy[5000:25_000:3, 4].compute(), expected["series"][5000:25_000:3, 4])
        assert lazy.sum().compute() == expected["series"][()].sum()


def test_dask_takes_the_chunks_of_the_file(opened: h5py.File) -> None:
    lazy = da.from_array(opened["series"])
    assert all(size % 4096 == 0 for size in lazy.chunks[0][:-1])


def test_numpy_makes_an_array_of_a_dataset(opened: h5py.File, path: Path) -> None:
    with h5py.File(path) as expected:
        np.testing.assert_array_equal(np.asarray(opened["plain"]), expected["plain"][()])
        assert np.asarray(opened["table/text"]).dtype == object
        np.testing.assert_array_equal(np.mean(opened["series"], axis=0), expected["series"][()].mean(axis=0))


@pytest.mark.parametrize("place", ["local", "remote"])
def test_xarray_opens_a_group_with_h5netcdf(place: str, tmp_path: Path) -> None:
    pytest.importorskip("h5netcdf", reason="xarray's engine for h5py's files is not installed")
    with h5py.File(tmp_path / "scaled.h5", "w") as file:
        file["time"], file["values"] = np.arange(5.0), np.arange(10).reshape(5, 2)
        file["time"].make_scale("time")
        file["channel"] = np.arange(2)
        file["channel"].make_scale("channel")
        file["values"].dims[0].attach_scale(file["time"])
        file["values"].dims[1].attach_scale(file["channel"])
        file["values"].attrs["unit"] = "V"
    with (
        RangeServer(tmp_path) as server,
        nwb_dask.open_h5(tmp_path / "scaled.h5" if place == "local" else server.url("scaled.h5")) as file,
        xr.open_dataset(file, engine="h5netcdf") as found,
        xr.open_dataset(tmp_path / "scaled.h5", engine="h5netcdf") as expected,
    ):
        xr.testing.assert_identical(found.load(), expected.load())


@pytest.mark.slow
@has_session
@pytest.mark.parametrize("form", ["facade", "streamed"])
def test_pynapple_gives_the_same_units(form: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nap = pytest.importorskip("pynapple")
        with RangeServer(INTEROP) as server, pynwb.NWBHDF5IO(INTEROP / "session.nwb", "r") as local:
            source = open_facade(INTEROP / "session.nwb") if form == "facade" else None
            file = nwb_dask.open_h5(server.url("session.nwb")) if source is None else source
            with file, pynwb.NWBHDF5IO(file=file, mode="r") as io:
                expected, found = nap.NWBFile(local.read()), nap.NWBFile(io.read())
                assert sorted(found.keys()) == sorted(expected.keys())
                for number, spikes in expected["units"].items():
                    np.testing.assert_array_equal(found["units"][number].t, spikes.t)


@pytest.mark.parametrize("kind", ["streamed", "guarded"])
def test_datasets_count_as_those_of_h5py_where_modules_are_compared(kind: str, path: Path, server: RangeServer) -> None:
    with h5py.File(path.parent / f"{kind}.h5", "w") as file:
        file["x"] = np.arange(3)
    source = path.parent / f"{kind}.h5" if kind == "guarded" else server.url(f"{kind}.h5")
    with nwb_dask.open_h5(source) as file:
        assert file["x"].__module__.startswith("h5py.")
