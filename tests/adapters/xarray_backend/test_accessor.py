"""``.nwb`` of a DataArray: intervals, blocks, other clocks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import dask
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import xarray as xr

import nwb_dask
from tests.adapters.xarray_backend.files import RATE, START, ramp, write_sampled, write_stamped

N, CHANNELS = 10_050, 3


@pytest.fixture(scope="module")
def raw() -> npt.NDArray[np.int16]:
    return ramp(N, CHANNELS)


@pytest.fixture(scope="module")
def times() -> npt.NDArray[np.float64]:
    return np.arange(N) / RATE + START


@pytest.fixture(scope="module", params=["sampled", "stamped"])
def path(request: pytest.FixtureRequest, raw: Any, times: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp(request.param) / "a.nwb"
    storage = {"chunks": (1024, CHANNELS), "compression": "gzip"}
    if request.param == "sampled":
        return write_sampled(file, raw, **storage)
    return write_stamped(file, raw, times, **storage)


@pytest.fixture
def lfp(path: Path) -> xr.DataArray:
    return nwb_dask.open_timeseries(path, "lfp", scale=False, chunks={"time": 1024})


def test_restrict_keeps_the_samples_in_any_interval_once(lfp: xr.DataArray, raw: Any, times: Any) -> None:
    intervals = np.array([[START + 5, START + 6], [START + 1, START + 2], [START + 1.5, START + 2.5], [0, 1]])
    got = lfp.nwb.restrict(intervals)
    inside = ((times[:, None] >= intervals[:, 0]) & (times[:, None] <= intervals[:, 1])).any(axis=1)
    np.testing.assert_array_equal(got.values, raw[inside])
    np.testing.assert_array_equal(got["time"].values, times[inside])
    expected = np.select([times[inside] <= START + 2, times[inside] <= START + 2.5], [1, 2], 0)
    np.testing.assert_array_equal(got["interval"].values, expected)


def test_restrict_takes_tables_and_pairs_and_is_lazy(lfp: xr.DataArray, times: Any) -> None:
    table = pd.DataFrame({"start_time": [START + 1, START + 3], "stop_time": [START + 2, START + 3.5]})
    with nwb_dask.trace() as traced:
        got = lfp.nwb.restrict(table)
    n_bytes = traced.bytes
    assert n_bytes <= times.nbytes
    assert dask.is_dask_collection(got)
    xr.testing.assert_equal(got.compute(), lfp.nwb.restrict(table.to_numpy()).compute())
    pair = lfp.nwb.restrict((START + 1, START + 2))
    assert pair.sizes["time"] == RATE + 1
    assert lfp.nwb.restrict([(0, 1)]).sizes["time"] == 0


def test_intervals_that_are_none_are_refused(lfp: xr.DataArray) -> None:
    with pytest.raises(ValueError, match="interval 1 ends at 1"):
        lfp.nwb.restrict([(0, 1), (2, 1)])
    with pytest.raises(ValueError, match="pairs of a start and a stop"):
        lfp.nwb.restrict([1, 2, 3])
    with pytest.raises(ValueError, match="start_time and stop_time"):
        lfp.nwb.restrict(pd.DataFrame({"onset": [1.0]}))


@pytest.mark.parametrize("n", [1, 7, 1000, 1024, 20_000])
@pytest.mark.parametrize("how", ["mean", "min", "max"])
def test_blocks_are_reduced_as_numpy_does(lfp: xr.DataArray, raw: Any, times: Any, n: int, how: str) -> None:
    got = getattr(lfp.nwb, f"block_{how}")(n)
    expected = np.stack([getattr(raw[at : at + n], how)(axis=0) for at in range(0, N, n)])
    assert dask.is_dask_collection(got)
    np.testing.assert_array_equal(got.values, expected)
    np.testing.assert_array_equal(got["time"].values, times[::n])
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(getattr(lfp.compute().nwb, f"block_{how}")(n).values, expected)


def test_nan_is_left_out_of_blocks_unless_it_is_asked_for() -> None:
    values = np.array([1.0, np.nan, 3.0, np.nan, np.nan, np.nan, 7.0])
    array = xr.DataArray(values, dims="time", coords={"time": np.arange(7.0)})
    np.testing.assert_array_equal(array.nwb.block_mean(3), [2.0, np.nan, 7.0])
    np.testing.assert_array_equal(array.nwb.block_max(3, skipna=False), [np.nan, np.nan, 7.0])
    with pytest.raises(ValueError, match="at least one sample"):
        array.nwb.block_mean(0)


def test_timedelta_times_can_be_resampled(lfp: xr.DataArray, raw: Any) -> None:
    got = lfp.isel(time=slice(0, 2000)).nwb.to_timedelta()
    assert got["time"].dtype == "timedelta64[ns]"
    means = got.resample(time="500ms").mean()
    np.testing.assert_allclose(means.values[0], raw[:500].mean(axis=0))


def test_materialized_times_are_an_index_of_pandas(lfp: xr.DataArray, times: Any) -> None:
    got = lfp.nwb.materialize_time()
    np.testing.assert_array_equal(got.indexes["time"], times)
    assert isinstance(got.xindexes["time"], xr.indexes.PandasIndex)
    assert got["time"].attrs["units"] == "s"


def test_uniform_chunks_let_a_slice_go_to_zarr(lfp: xr.DataArray, tmp_path: Path) -> None:
    part = lfp.isel(time=slice(500, 9000))
    assert part.chunks is not None
    assert len(set(part.chunks[0][:-1])) > 1
    even = part.nwb.uniform_chunks()
    assert even.chunks is not None
    assert len(set(even.chunks[0][:-1])) == 1
    even.nwb.materialize_time().to_dataset(name="data").to_zarr(tmp_path / "a.zarr", zarr_format=2)
    back = xr.open_zarr(tmp_path / "a.zarr", mask_and_scale=False)["data"]
    np.testing.assert_array_equal(back.values, part.values)


def test_pynapple_gets_times_and_physical_values(path: Path, raw: Any, times: Any) -> None:
    nap = pytest.importorskip("pynapple", reason="PYNAPPLE IS NOT TESTED: it is not installed")
    got = nwb_dask.open_timeseries(path, "lfp", dtype="float64").nwb.to_pynapple()
    assert isinstance(got, nap.TsdFrame)
    np.testing.assert_array_equal(got.t, times)
    np.testing.assert_array_equal(got.d, raw * 1e-6)
    assert list(got.columns) == [100, 101, 102]
    one = nwb_dask.open_timeseries(path, "lfp").isel(channel=0).nwb.to_pynapple()
    assert isinstance(one, nap.Tsd)


def test_pynapple_that_is_missing_is_named(lfp: xr.DataArray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynapple", None)
    with pytest.raises(ImportError, match="pip install pynapple"):
        lfp.nwb.to_pynapple()


def test_array_without_times_says_so(lfp: xr.DataArray) -> None:
    with pytest.raises(ValueError, match="has no times"):
        lfp.drop_vars("time").nwb.around([1.0], (0, 1))
