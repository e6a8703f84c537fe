"""`open_timeseries`: lazy, labelled, picklable, and as many bytes as the question needs."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import h5py
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from distributed import Client, LocalCluster

import nwb_dask
from nwb_dask.errors import IrregularTimesError, PathNotFoundError, SourceChangedError
from tests.adapters.xarray_backend.files import RATE, START, ramp, write_sampled, write_stamped

N, CHANNELS = 20_000, 8
CHUNKS = (1000, 4)


@pytest.fixture(scope="module")
def raw() -> npt.NDArray[np.int16]:
    return ramp(N, CHANNELS)


@pytest.fixture(scope="module")
def path(raw: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sampled(tmp_path_factory.mktemp("opening") / "a.nwb", raw, chunks=CHUNKS, compression="gzip")


def test_array_has_dims_labels_and_units(path: Path, raw: Any) -> None:
    lfp = nwb_dask.open_timeseries(path, "/acquisition/lfp")
    assert lfp.dims == ("time", "channel")
    assert lfp.name == "lfp"
    assert lfp.dtype == np.float32
    assert lfp.attrs["units"] == "V"
    assert lfp["channel"].values.tolist() == list(range(100, 100 + CHANNELS))
    assert lfp["time"].attrs["units"] == "s"
    assert lfp["location"].values.tolist() == ["CA1"] * CHANNELS
    np.testing.assert_array_equal(lfp.values, (raw * 1e-6).astype(np.float32))


def test_stored_integers_have_the_attributes_that_decode_them(path: Path, raw: Any) -> None:
    stored = nwb_dask.open_timeseries(path, "lfp", scale=False)
    assert stored.dtype == np.int16
    np.testing.assert_array_equal(stored.values, raw)
    assert stored.attrs["scale_factor"] == 1e-6
    decoded = xr.decode_cf(stored.to_dataset(name="data"))["data"]
    np.testing.assert_allclose(decoded.values, raw * 1e-6, rtol=1e-7)


def test_nothing_is_read_before_values_are_asked_for(path: Path) -> None:
    lfp = nwb_dask.open_timeseries(path, "lfp")
    with nwb_dask.trace() as traced:
        repr(lfp)
        lfp._repr_html_()  # type: ignore[no-untyped-call]  # of xarray
        pickle.dumps(lfp)
        later = (lfp.sel(time=slice(START + 1, START + 2)) * 2).mean("channel")
        dask.base.tokenize(lfp)
    assert traced.requests == 0
    with nwb_dask.trace() as traced:
        later.compute()
    assert traced.bytes > 0


def test_slice_of_time_reads_the_chunks_that_hold_it(path: Path) -> None:
    lfp = nwb_dask.open_timeseries(path, "lfp")
    with h5py.File(path) as file:
        data = file["acquisition/lfp/data"]
        sizes = {data.id.get_chunk_info(i).chunk_offset: data.id.get_chunk_info(i).size for i in range(40)}
    with nwb_dask.trace() as traced:
        lfp.sel(time=slice(START + 3.2, START + 4.1)).compute()
    wanted = sum(size for (row, _), size in sizes.items() if row in (3000, 4000))
    assert wanted <= traced.bytes <= wanted + 20_000
    with nwb_dask.trace() as traced:
        lfp.sel(channel=slice(105, 106)).compute()
    wanted = sum(size for (_, column), size in sizes.items() if column == 4)
    assert wanted <= traced.bytes <= wanted + 20_000


def test_array_pickles_small_and_gives_the_same_elsewhere(path: Path, raw: Any, cluster: LocalCluster) -> None:
    lfp = nwb_dask.open_timeseries(path, "lfp", dtype="float64", chunks={"time": 5000})
    sent = pickle.dumps(lfp)
    assert len(sent) < 20_000
    back = pickle.loads(sent)
    xr.testing.assert_identical(back.compute(), lfp.compute())
    with Client(cluster):
        np.testing.assert_allclose(lfp.mean("time").values, (raw * 1e-6).mean(axis=0), rtol=1e-12)
        far = lfp.sel(time=slice(START + 7, START + 8)).compute()
    np.testing.assert_array_equal(far.values, raw[7000:8001] * 1e-6)


@pytest.mark.parametrize(
    ("chunks", "lengths"),
    [
        ("auto", ((N,), (CHANNELS,))),
        ({}, ((N,), (CHANNELS,))),
        ({"time": 6000}, ((6000, 6000, 6000, 2000), (CHANNELS,))),
        ({"channel": 3}, ((N,), (3, 3, 2))),
        ((10_000, -1), ((10_000, 10_000), (CHANNELS,))),
        (-1, ((N,), (CHANNELS,))),
    ],
)
def test_chunks_are_as_asked_for(path: Path, chunks: Any, lengths: Any) -> None:
    assert nwb_dask.open_timeseries(path, "lfp", chunks=chunks).chunks == lengths


def test_without_chunks_there_is_no_dask_and_reading_is_still_lazy(path: Path, raw: Any) -> None:
    with nwb_dask.trace() as opening:
        lfp = nwb_dask.open_timeseries(path, "lfp", chunks=None, scale=False)
    assert not dask.is_dask_collection(lfp)
    with nwb_dask.trace() as traced:
        part = lfp.isel(time=slice(10, 20)).values
    np.testing.assert_array_equal(part, raw[10:20])
    assert traced.bytes < raw.nbytes / 2
    assert opening.bytes < raw.nbytes / 2


def test_names_of_tasks_say_the_series_and_the_file_s_version(path: Path, tmp_path: Path, raw: Any) -> None:
    lfp = nwb_dask.open_timeseries(path, "lfp")
    assert isinstance(lfp.data, da.Array)
    assert lfp.data.name.startswith("nwb-lfp-")
    assert lfp.data.name == nwb_dask.open_timeseries(path, "lfp").data.name
    others = {
        nwb_dask.open_timeseries(path, "lfp", scale=False).data.name,
        nwb_dask.open_timeseries(path, "lfp", dtype="float64").data.name,
        nwb_dask.open_timeseries(write_sampled(tmp_path / "b.nwb", raw), "lfp").data.name,
    }
    assert len(others | {lfp.data.name}) == 4


def test_series_that_is_not_there_is_an_error_with_the_names_that_are(path: Path) -> None:
    with pytest.raises(PathNotFoundError, match="lfp"):
        nwb_dask.open_timeseries(path, "/acquisition/lpf")
    with pytest.raises(ValueError, match="open_sessions"):
        nwb_dask.open_timeseries([path, path], "lfp")
    with pytest.raises(ValueError, match="time='monthly'"):
        nwb_dask.open_timeseries(path, "lfp", time="monthly")  # type: ignore[arg-type]  # the point
    with pytest.raises(ValueError, match="the dims are time, channel"):
        nwb_dask.open_timeseries(path, "lfp", chunks={"electrode": 2})


def test_file_that_changed_since_is_an_error(tmp_path: Path, raw: Any) -> None:
    path = write_sampled(tmp_path / "a.nwb", raw)
    lfp = nwb_dask.open_timeseries(path, "lfp")
    assert float(lfp[0, 0]) == pytest.approx(0)
    (tmp_path / "a.nwb").unlink()
    write_sampled(path, raw[::-1].copy())
    with pytest.raises(SourceChangedError):
        lfp.isel(time=5).compute()


def test_arithmetic_of_two_series_on_one_clock_needs_no_labels(path: Path, raw: Any) -> None:
    lfp = nwb_dask.open_timeseries(path, "lfp", scale=False)
    both = lfp.isel(time=slice(0, RATE)) + nwb_dask.open_timeseries(path, "lfp", scale=False).isel(time=slice(0, RATE))
    np.testing.assert_array_equal(both.values, 2 * raw[:RATE])


def test_regular_times_are_read_once_and_stand_for_the_stored_ones(tmp_path: Path) -> None:
    n = 20_000
    stamps = START + np.arange(n) / RATE + np.random.default_rng(3).uniform(0, 1e-5, n)
    stamps[n // 2 :] += 60
    path = write_stamped(tmp_path / "a.nwb", ramp(n, 2), stamps)
    lazy = nwb_dask.open_timeseries(path, "lfp", scale=False)
    regular = nwb_dask.open_timeseries(path, "lfp", scale=False, time="regular")
    with nwb_dask.trace() as traced:
        np.testing.assert_allclose(regular["time"].values, stamps, atol=0.1 / RATE)
        part = regular.sel(time=slice(START + 9.9, START + 70.1))
    assert traced.requests == 0
    np.testing.assert_array_equal(part.values, lazy.sel(time=slice(START + 9.9, START + 70.1)).values)
    stamps[500] += 0.4 / RATE
    with pytest.raises(IrregularTimesError, match=r"lfp|times"):
        nwb_dask.open_timeseries(write_stamped(tmp_path / "b.nwb", ramp(n, 2), stamps), "lfp", time="regular")
