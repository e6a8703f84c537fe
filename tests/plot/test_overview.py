"""`nwb_dask.plot.overview` draws the extremes of each block that numpy finds, and reads each chunk once."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import h5py
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from pynwb import NWBHDF5IO, H5DataIO, NWBFile, TimeSeries

import nwb_dask
from nwb_dask.testing.files import write_session
from tests.plot.pictures import (
    LFP_RATE,
    LFP_SAMPLES,
    LFP_START,
    assert_corners,
    boxes,
    column_of,
    row_names,
    shades_of,
    volts_of,
)


class Recording:
    """An array of 16-bit steps that counts how often each element is read."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.ndim, self.dtype = shape, len(shape), np.dtype(np.float32)
        self.reads: list[tuple[slice, ...]] = []

    def values(self) -> npt.NDArray[Any]:
        flat = np.arange(int(np.prod(self.shape)), dtype=np.int64)
        return ((flat * 48_271 % 65_521) - 32_760).astype(np.float32).reshape(self.shape)

    def __getitem__(self, key: tuple[slice, ...]) -> npt.NDArray[Any]:
        self.reads.append(key)
        start = key[0].start or 0
        rows = np.arange(start, key[0].stop, dtype=np.int64)[:, np.newaxis]
        columns = np.arange(self.shape[1], dtype=np.int64)[key[1]]
        return (((rows * self.shape[1] + columns) * 48_271 % 65_521) - 32_760).astype(np.float32)

    def array(self, chunks: int, rate: float) -> xr.DataArray:
        name = f"recording-{id(self)}"
        data = da.from_array(self, (chunks, self.shape[1]), name=name, meta=np.empty((0, 0), np.float32))
        time = np.arange(self.shape[0]) / rate
        return xr.DataArray(data, dims=("time", "channel"), coords={"time": time}, name="lfp", attrs={"units": "uV"})


def test_overview_of_one_channel_is_the_span_of_each_block(lfp_path: Path) -> None:
    lfp = nwb_dask.open_timeseries(lfp_path, "lfp")
    axes = nwb_dask.plot.overview(lfp.isel(channel=2), n_points=100)
    values, times = volts_of(lfp_path)[:, 2].astype(np.float64) * 1e6, np.arange(LFP_SAMPLES) / LFP_RATE + LFP_START
    (corners,) = shades_of(axes)
    assert_corners(corners * [1, 1e6], boxes(values, times, 1001))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time [s]", "lfp [V]")


def test_channels_are_stacked_without_overlap(lfp_path: Path) -> None:
    lfp = nwb_dask.open_timeseries(lfp_path, "lfp")
    axes = nwb_dask.plot.overview(lfp, n_points=100)
    values, times = volts_of(lfp_path).astype(np.float64) * 1e6, np.arange(LFP_SAMPLES) / LFP_RATE + LFP_START
    levels = np.asarray(axes.get_yticks(), np.float64) * 1e6
    shades = [corners * [1, 1e6] for corners in shades_of(axes)]
    assert len(shades) == 4
    for channel, corners in enumerate(shades):
        blocks = [values[first : first + 1001, channel] for first in range(0, LFP_SAMPLES, 1001)]
        middle = np.median([(block.min() + block.max()) / 2 for block in blocks])
        assert_corners(corners, {(x, y - middle + levels[channel]) for x, y in boxes(values[:, channel], times, 1001)})
    above = [corners[:, 1].max() for corners in shades[:-1]]
    below = [corners[:, 1].min() for corners in shades[1:]]
    gaps = np.array(below) - above
    assert gaps.min() == pytest.approx(0, abs=1e-3)
    assert row_names(axes) == list(map(str, column_of(lfp_path, "general/extracellular_ephys/electrodes/id")))
    assert axes.get_ylabel() == f"channel, {levels[1] / 1e6:.3g} V apart"


def test_overview_reads_each_chunk_once_and_nothing_before() -> None:
    recording = Recording((1_000_003, 8))
    lazy = recording.array(50_000, 1000.0).sel(time=slice(3.0, 980.0))
    assert recording.reads == []
    nwb_dask.plot.overview(lazy)
    rows = sorted((key[0].start, key[0].stop) for key in recording.reads)
    assert [stop for _, stop in rows[:-1]] == [start for start, _ in rows[1:]]
    assert rows[0][0] <= 3000
    assert rows[-1][1] > 980_000


def test_overview_holds_a_few_chunks_of_a_long_series() -> None:
    recording = Recording((4_000_000, 16))
    lazy = recording.array(40_000, 1000.0)
    tracemalloc.start()
    try:
        with dask.config.set(scheduler="synchronous"):
            axes = nwb_dask.plot.overview(lazy, n_points=500)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(shades_of(axes)) == 16
    # The series takes 256 MB, a chunk 2.6 MB (and its making five times as much), the times, in memory here, 32 MB.
    assert peak < 80e6


def test_overview_of_a_stored_series_reads_its_bytes_once(lfp_path: Path) -> None:
    with nwb_dask.trace() as opening:
        lfp = nwb_dask.open_timeseries(lfp_path, "lfp", chunks={"time": 4096})
    with h5py.File(lfp_path) as file:
        stored = file["acquisition/lfp/data"].id.get_storage_size()
    assert opening.bytes < stored / 4
    with nwb_dask.trace() as drawing:
        nwb_dask.plot.overview(lfp, n_points=100)
    assert stored <= drawing.bytes < 1.2 * stored


def test_series_without_dask_is_drawn_the_same(lfp_path: Path) -> None:
    wanted = shades_of(nwb_dask.plot.overview(nwb_dask.open_timeseries(lfp_path, "lfp"), n_points=100))
    for lfp in (
        nwb_dask.open_timeseries(lfp_path, "lfp", chunks=None),
        nwb_dask.open_timeseries(lfp_path, "lfp").load(),
    ):
        found = shades_of(nwb_dask.plot.overview(lfp, n_points=100))
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)


def test_short_series_is_a_line(lfp_path: Path) -> None:
    lfp = nwb_dask.open_timeseries(lfp_path, "lfp").isel(channel=0, time=slice(0, 50))
    axes = nwb_dask.plot.overview(lfp, n_points=50)
    x, y = map(np.asarray, axes.lines[0].get_data())
    np.testing.assert_array_equal(x, np.arange(50) / LFP_RATE + LFP_START)
    np.testing.assert_allclose(y, volts_of(lfp_path)[:50, 0])
    assert not axes.collections


@pytest.mark.parametrize(("seconds", "unit", "scale"), [(119.0, "s", 1), (121.0, "min", 60), (7300.0, "h", 3600)])
def test_unit_of_time_suits_the_length(seconds: float, unit: str, scale: int) -> None:
    time = np.linspace(10.0, 10.0 + seconds, 1001)
    series = xr.DataArray(np.arange(1001.0), dims="time", coords={"time": time}, name="speed", attrs={"units": "cm/s"})
    axes = nwb_dask.plot.overview(series, n_points=10)
    assert axes.get_xlabel() == f"time [{unit}]"
    np.testing.assert_allclose(axes.get_xlim(), [10.0 / scale, (10.0 + seconds) / scale])


def test_gap_longer_than_a_block_stays_white() -> None:
    time = np.concatenate([np.arange(500.0), np.arange(2000.0, 2500.0)])
    series = xr.DataArray(np.arange(1000.0), dims="time", coords={"time": time})
    axes = nwb_dask.plot.overview(series, n_points=10)
    first, second = (np.asarray(path.vertices) * [60, 1] for path in axes.collections[0].get_paths())
    assert (first[:, 0].min(), round(first[:, 0].max(), 6)) == (0.0, 499.0)
    assert (round(second[:, 0].min(), 6), round(second[:, 0].max(), 6)) == (2000.0, 2499.0)


def test_block_without_numbers_stays_white() -> None:
    values = np.arange(1000.0)
    values[300:400] = np.nan
    values[55] = np.nan
    series = xr.DataArray(values, dims="time", coords={"time": np.arange(1000) / 10})
    axes = nwb_dask.plot.overview(series, n_points=10)
    corners = [np.asarray(path.vertices)[:, 0] for path in axes.collections[0].get_paths()]
    spans = [(one.min(), one.max()) for one in corners]
    assert spans == [(0.0, 30.0), (40.0, 99.9)]


def test_series_without_times_is_drawn_against_sample_numbers() -> None:
    series = xr.DataArray(np.arange(1000.0), dims="time")
    axes = nwb_dask.plot.overview(series, n_points=10)
    assert axes.get_xlabel() == "sample"
    assert axes.get_xlim() == (0.0, 999.0)


def test_series_of_timedeltas_is_drawn_in_seconds(lfp_path: Path) -> None:
    lfp = nwb_dask.open_timeseries(lfp_path, "lfp").isel(channel=0)
    wanted, found = (nwb_dask.plot.overview(one, n_points=10) for one in (lfp, lfp.nwb.to_timedelta()))
    np.testing.assert_allclose(shades_of(found)[0], shades_of(wanted)[0])


def test_series_with_time_last_is_drawn_the_same(lfp_path: Path) -> None:
    lfp = nwb_dask.open_timeseries(lfp_path, "lfp")
    wanted, found = (nwb_dask.plot.overview(one, n_points=10) for one in (lfp, lfp.transpose("channel", "time")))
    for one, other in zip(shades_of(found), shades_of(wanted), strict=True):
        np.testing.assert_array_equal(one, other)


def test_spacing_is_what_is_asked_for(lfp_path: Path) -> None:
    axes = nwb_dask.plot.overview(nwb_dask.open_timeseries(lfp_path, "lfp"), n_points=10, spacing=0.01)
    np.testing.assert_allclose(axes.get_yticks(), [0, 0.01, 0.02, 0.03])


def test_default_spacing_is_the_least_without_overlap() -> None:
    up, down, unknown = np.zeros(100), np.zeros(100), np.full(100, np.nan)
    up[20], down[30] = 10.0, -6.0
    series = xr.DataArray(
        np.column_stack([up, down, unknown]), dims=("time", "space"), coords={"time": np.arange(100.0)}
    )
    for n_points in (100, 50):
        axes = nwb_dask.plot.overview(series, n_points=n_points)
        assert list(axes.get_yticks()) == [0.0, 16.0, 32.0]
        assert axes.get_ylabel() == "space, 16 apart"


def test_overview_refuses_what_is_no_series(lfp_path: Path) -> None:
    lfp = nwb_dask.open_timeseries(lfp_path, "lfp")
    with pytest.raises(ValueError, match="at most one other dim"):
        nwb_dask.plot.overview(lfp.nwb.around([5.0], (-1.0, 1.0)))
    with pytest.raises(ValueError, match="at most one other dim"):
        nwb_dask.plot.overview(lfp.isel(time=0))
    with pytest.raises(ValueError, match="real numbers"):
        nwb_dask.plot.overview(xr.DataArray(["a", "b"], dims="time"))
    with pytest.raises(ValueError, match="n_points=0"):
        nwb_dask.plot.overview(lfp, n_points=0)


def test_stored_times_are_placed_as_h5py_reads_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    stamps, values = np.cumsum(rng.uniform(0.5, 1.5, 5000)), rng.normal(size=5000)
    path = write_session(tmp_path / "s.nwb", n_units=0, n_trials=0, n_samples=0)
    with NWBHDF5IO(path, "r+") as io:
        file: NWBFile = io.read()
        data = H5DataIO(values, chunks=(512,), compression="gzip")
        times = H5DataIO(stamps, chunks=(512,), compression="gzip")
        file.add_acquisition(TimeSeries(name="lick", data=data, timestamps=times, unit="N"))
        io.write(file)
    axes = nwb_dask.plot.overview(nwb_dask.open_timeseries(path, "lick"), n_points=50)
    assert_corners(shades_of(axes)[0] * [60, 1], boxes(values, stamps, 100))
    assert axes.get_xlabel() == "time [min]"
