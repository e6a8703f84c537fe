"""Operations of xarray on hours of samples read no times, or those of the window that they are about."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.base import tokenize

from nwb_dask.adapters.xarray_backend import _xarray
from nwb_dask.adapters.xarray_backend._xarray import TimeVariable, time_axis_of
from nwb_dask.adapters.xarray_backend.axes import ConcatAxis, SampledAxis, StoredAxis, TakeAxis, TimeAxis
from nwb_dask.adapters.xarray_backend.time_index import NoCommonTimesWarning, TimeIndex, time_coordinates
from nwb_dask.errors import TooManyLabelsError
from tests.adapters.xarray_backend.axis_cases import axis_of, log_of
from tests.adapters.xarray_backend.stamps import Labels, Rows, SimulatedStamps

N = 200_000_000
RATE = 30_000.0
START = 12.345
N_FEW = 1 << 18
"""Labels: more than any operation on a window of a second makes at once."""


def jittered(rows: Rows) -> Labels:
    return np.asarray(rows / RATE + START + 1e-6 * np.sin(rows * 0.7))


def with_one_gap(rows: Rows) -> Labels:
    return jittered(rows) + 3600.0 * (rows >= 123_456_789)


def with_hundred_gaps(rows: Rows) -> Labels:
    return jittered(rows) + 37.0 * np.floor(rows / 2_000_003)


def exponential(rows: Rows) -> Labels:
    return np.exp(rows / N * 40)


@pytest.fixture(params=["sampled", "stored"])
def axis(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> TimeAxis:
    """Return 200 million times, which raise if more than a few are asked for at once."""
    if request.param == "stored":
        return StoredAxis(SimulatedStamps(request.node.name, N, 16_384, jittered))
    labels, label_at = SampledAxis._labels, SampledAxis._label_at

    def few_labels(self: SampledAxis, start: int, stop: int) -> Labels:
        assert stop - start <= N_FEW
        return labels(self, start, stop)

    def labels_at_few(self: SampledAxis, positions: Rows) -> Labels:
        assert len(positions) <= N_FEW
        return label_at(self, positions)

    monkeypatch.setattr(SampledAxis, "_labels", few_labels)
    monkeypatch.setattr(SampledAxis, "_label_at", labels_at_few)
    return SampledAxis(START, RATE, N)


def series(axis: TimeAxis, n_channels: int = 2) -> xr.DataArray:
    """Return an array of dask whose samples are never computed."""
    values = da.zeros((axis.n, n_channels), chunks=(1 << 22, n_channels), dtype=np.int16)
    coords = time_coordinates(axis).assign(channel=np.arange(n_channels))
    return xr.DataArray(values, dims=("time", "channel"), coords=coords, name="lfp", attrs={"units": "V"})


def window(array: xr.DataArray, second: float = 1000.0) -> xr.DataArray:
    return array.sel(time=slice(START + second - 1e-5, START + second + 1 + 1e-5))


def negative(block: Any) -> Any:
    return -block


def interpolated(array: xr.DataArray) -> xr.DataArray:
    pytest.importorskip("scipy", reason="xarray interpolates with it")
    return array.compute().interp(time=START + 1000 + np.linspace(0.1, 0.9, 50))


def written_and_read(array: xr.DataArray) -> None:
    zarr = pytest.importorskip("zarr", reason="xarray writes with it")
    store: dict[str, Any] = {}
    array.compute().to_dataset().to_zarr(store, consolidated=False)
    back = zarr.open_group(store, mode="r")["time"]
    np.testing.assert_array_equal(back[:], array["time"].values)
    assert back.attrs["units"] == "s"


WITHOUT_READING: dict[str, Callable[[xr.DataArray], Any]] = {
    "repr": repr,
    "repr of the times": lambda a: repr(a.time),
    "repr as HTML": lambda a: [one._repr_html_() for one in (a, a.time, a.to_dataset())],
    "repr of the index": lambda a: repr(a.xindexes) + repr(a.xindexes["time"]),
    "isel of a slice": lambda a: a.isel(time=slice(5, -5, 3)),
    "isel backwards": lambda a: a.isel(time=slice(None, None, -1)),
    "isel of a number": lambda a: a.isel(time=N // 2),
    "isel of positions": lambda a: a.isel(time=[5, N // 2, 7]),
    "isel by an array": lambda a: a.isel(time=xr.DataArray([[1, 2], [3, 4]], dims=("event", "offset"))),
    "isel of a channel": lambda a: a.isel(channel=0),
    "arithmetic": lambda a: a * 2 + a / a.isel(channel=0),
    "comparison": lambda a: a.where(a > 0),
    "diff": lambda a: a.diff("time"),
    "shift": lambda a: a.shift(time=5),
    "roll": lambda a: a.roll(time=5, roll_coords=True),
    "rolling": lambda a: a.rolling(time=5).mean(),
    "mean": lambda a: (a.mean("channel"), a.mean("time"), a.max()),
    "expand_dims": lambda a: a.expand_dims(session=["one"]),
    "squeeze": lambda a: a.isel(channel=[0]).squeeze(),
    "transpose": lambda a: a.transpose("channel", "time"),
    "rename": lambda a: a.rename(time="t"),
    "copy": lambda a: (a.copy(), a.copy(deep=True), copy.copy(a), copy.deepcopy(a)),
    "pickle": lambda a: pickle.loads(pickle.dumps(a)),
    "chunk": lambda a: (a.chunk(time=1 << 20), a.to_dataset().chunk({}), a.chunk()),
    "concat along a session": lambda a: xr.concat([a, a.copy(), pickle.loads(pickle.dumps(a))], "session"),
    "concat of windows": lambda a: xr.concat([a.isel(time=slice(0, 9)), a.isel(time=slice(9, 99))], "time"),
    "merge": lambda a: xr.merge([a, (a + 1).rename("other")]),
    "align": lambda a: xr.align(a, a.copy(), join="outer"),
    "align exactly": lambda a: xr.align(a, a + 1, join="exact"),
    "equality of coordinates": lambda a: a.coords.equals(a.copy(deep=True).coords) and a.time.identical(a.time.copy()),
    "apply_ufunc": lambda a: xr.apply_ufunc(negative, a, dask="parallelized", output_dtypes=[a.dtype]),
    "tokens": lambda a: (tokenize(a), tokenize(a.to_dataset()), tokenize(a.time), tokenize(axis_of(a))),
    "delayed": dask.delayed(negative),
    "drop and reset": lambda a: (a.drop_vars("time"), a.reset_index("time"), a.reset_coords(drop=True)),
    "astype": lambda a: a.astype(np.float64).clip(0, 1).fillna(0),
    "other coordinates": lambda a: a.assign_coords(session="one", block=("time", da.zeros(N, chunks=1 << 22))),
    "coords of another": lambda a: xr.DataArray(a.data, dims=a.dims, coords=a.coords),
    "tree": lambda a: xr.DataTree.from_dict({"/": xr.Dataset(), "/a": a.to_dataset(), "/a/b": a.to_dataset()}),
    "where, without the rest": lambda a: a.where(a.channel > 0, drop=True),
    "set_xindex": lambda a: a.reset_index("time").set_xindex("time", TimeIndex),
    "weighted": lambda a: a.weighted(xr.DataArray([1.0, 2.0], dims="channel")).mean("channel"),
    "groupby of channels": lambda a: a.groupby("channel").mean(),
    "to a dataset of channels": lambda a: a.to_dataset("channel"),
    "stack of channels": lambda a: a.expand_dims(b=2).stack(z=("b", "channel")),
    "sizes": lambda a: (a.nbytes, a.time.nbytes, a.sizes, a.time.dtype, len(a.time)),
}


@pytest.mark.parametrize("operation", WITHOUT_READING.values(), ids=WITHOUT_READING)
def test_whole_series_stays_lazy(operation: Callable[[xr.DataArray], Any], axis: TimeAxis) -> None:
    operation(series(axis))
    assert log_of(axis).reads == []


WINDOW_ONLY: dict[str, Callable[[xr.DataArray], Any]] = {
    "sel of a slice": lambda a: a.values.sum(),
    "sel of a label": lambda a: a.sel(time=a.time.values[5]),
    "nearest": lambda a: a.sel(time=START + 1000.5, method="nearest"),
    "nearest of many": lambda a: a.sel(time=START + 1000 + np.linspace(0, 1, 50), method="nearest", tolerance=1),
    "pad and backfill": lambda a: [a.sel(time=START + 1000.5, method=m) for m in ("pad", "backfill")],
    "times": lambda a: a.time.values,
    "compute": lambda a: a.compute().load(),
    "groupby_bins": lambda a: a.groupby_bins("time", 10).mean().compute(),
    "coarsen": lambda a: a.coarsen(time=10, boundary="trim").mean().compute(),
    "interp": interpolated,
    "map_blocks": lambda a: xr.map_blocks(negative, a).compute(),
    "zarr": written_and_read,
    "where": lambda a: a.where(a.time > START + 1000.5),
    "where, without the rest": lambda a: a.where(a.time > START + 1000.5, drop=True),
    "sortby": lambda a: a.sortby("time", ascending=False),
    "differentiate": lambda a: a.astype(float).differentiate("time").compute(),
    "integrate": lambda a: a.integrate("time").compute(),
    "polyfit": lambda a: a.compute().polyfit("time", 1),
    "to_series": lambda a: a.isel(channel=0).to_series(),
    "to_dataframe": lambda a: a.to_dataframe(),
    "interpolate_na": lambda a: a.astype(float).compute().interpolate_na("time"),
    "dropna": lambda a: a.dropna("time"),
    "idxmax": lambda a: a.compute().idxmax("time"),
    "stack": lambda a: a.stack(z=("time", "channel")).unstack("z"),
    "to_dict": lambda a: a.to_dict(data=False),
    "indexes": lambda a: a.indexes["time"],
    "pad": lambda a: a.compute().pad(time=2),
    "equality": lambda a: a.compute().equals(a.compute()),
    "cumsum": lambda a: a.cumsum("time").compute(),
    "argmax": lambda a: a.compute().argmax("time"),
    "quantile": lambda a: a.compute().quantile(0.5, "time"),
    "sel by an index of pandas": lambda a: a.sel(time=a.indexes["time"]),
    "iteration": lambda a: next(iter(a.groupby("time"))),
}
"""What is done with a second of samples."""


@pytest.mark.parametrize("operation", WINDOW_ONLY.values(), ids=WINDOW_ONLY)
def test_window_reads_its_own_times_only(operation: Callable[[xr.DataArray], Any], axis: TimeAxis) -> None:
    cut = window(series(axis))
    assert cut.sizes["time"] == RATE + 1
    operation(cut)
    assert log_of(axis).n_bytes < 3_000_000


@pytest.mark.parametrize("compute", [jittered, with_one_gap, with_hundred_gaps, exponential])
@pytest.mark.parametrize("block", [131_072, 16_384, 1024])
def test_first_second_of_200_million_stamps_reads_under_20_megabytes(
    compute: Callable[[Rows], Labels], block: int, record_property: Any
) -> None:
    stamps = SimulatedStamps(f"{compute.__name__} {block}", N, block, compute)
    array = series(StoredAxis(stamps))
    counts = []
    for first in (77_777_777, 177_777_777):
        stamps.log.clear()
        start, stop = compute(np.array([first, first + 30_000])).tolist()
        cut = array.sel(time=slice(start, stop))
        np.testing.assert_array_equal(cut.time.values, compute(np.arange(first, first + 30_001)))
        counts.append((len(stamps.log.reads), stamps.log.n_bytes))
    record_property("reads and bytes of a first and a next slice", counts)
    assert counts[0][1] < 20e6
    assert max(n_reads for n_reads, _ in counts) <= 24
    stamps.log.clear()
    again = pickle.loads(pickle.dumps(array))
    assert "..." in repr(again)
    assert len(pickle.dumps(again)) < 20_000
    assert stamps.log.reads == []
    assert log_of(axis_of(again)).reads == []


def test_times_with_a_rate_take_no_memory(axis: TimeAxis) -> None:
    array = series(axis)
    assert len(pickle.dumps(array.time)) < 6000
    assert len(pickle.dumps(axis)) < 500
    assert array.time.nbytes == N * 8


def test_slice_of_a_slice_is_still_the_clock() -> None:
    array = series(SampledAxis(START, RATE, N))
    cut = array.isel(time=slice(100, -100)).sel(time=slice(20, 4000)).isel(time=slice(None, None, 7))
    axis = axis_of(cut)
    assert isinstance(axis, SampledAxis)
    full = (np.arange(N // 10) / RATE + START)[100:]
    expected = full[(full >= 20) & (full <= 4000)][::7][:1000]
    np.testing.assert_array_equal(axis.labels(0, len(expected)), expected)


def test_attribute_rate_is_that_of_the_times_or_absent() -> None:
    array = series(SampledAxis(START, RATE, 1000))
    assert array.time.attrs == {"units": "s", "long_name": "time", "rate": RATE}
    assert array.isel(time=slice(None, None, 10)).time.attrs["rate"] == RATE / 10
    first, gone, last = array.isel(time=slice(0, 10)), array.isel(time=slice(10, 20)), array.isel(time=slice(20, None))
    assert "rate" not in xr.concat([first, last], "time").time.attrs
    assert xr.concat([first, gone, last], "time").time.attrs["rate"] == RATE
    assert "rate" not in array.isel(time=[1, 2, 5]).time.attrs
    assert "rate" not in array.isel(time=3).time.attrs
    assert array.isel(time=3).time.attrs["units"] == "s"
    assert "rate" not in xr.align(first, last, join="outer")[0].time.attrs
    assert xr.concat([first, last], "time").sel(time=slice(START, START + 5e-5)).time.attrs["rate"] == RATE
    assert xr.concat([first, last], "time", combine_attrs="drop").time.attrs == {}
    kept = array.assign_coords(time_coordinates(SampledAxis(0.0, 10.0, 1000), attrs={"clock": "camera", "rate": 3.0}))
    assert kept.time.attrs == {"units": "s", "long_name": "time", "clock": "camera", "rate": 10.0}
    assert "rate" not in series(StoredAxis(SimulatedStamps("attrs", 1000, 64, jittered))).time.attrs


def test_adjacent_windows_become_one_and_others_pieces(axis: TimeAxis) -> None:
    array = series(axis)
    parts = [array.isel(time=slice(start, start + 1000)) for start in (0, 1000, 2000)]
    assert xr.concat(parts, "time").xindexes["time"].equals(array.isel(time=slice(0, 3000)).xindexes["time"])
    apart = axis_of(xr.concat([parts[2], parts[0]], "time"))
    assert isinstance(apart, ConcatAxis)
    assert len(apart.pieces) == 2
    assert log_of(axis).reads == []


def test_windows_of_one_clock_are_joined_by_arithmetic(axis: TimeAxis) -> None:
    one, other = TimeIndex(axis.take(slice(0, 150_000_000))), TimeIndex(axis.take(slice(50_000_000, N)))
    assert one.join(other, "inner").axis == axis.take(slice(50_000_000, 150_000_000))
    assert one.join(other, "outer").axis == axis
    apart = TimeIndex(axis.take(slice(0, 10))).join(TimeIndex(axis.take(slice(N - 10, N))), "outer")
    assert apart.axis.n == 20
    array = series(axis)
    left, right = xr.align(array.isel(time=slice(0, 1000)), array.isel(time=slice(500, 2000)), join="inner")
    assert left.sizes["time"] == right.sizes["time"] == 500
    # Only to see that whole windows differ are their ends looked at.
    assert log_of(axis).n_bytes < 1_000_000


def test_clocks_without_a_common_time_are_warned_about() -> None:
    one, other = series(SampledAxis(0.0, 1000.0, 1000)), series(SampledAxis(1e-5, 1000.0, 1000))
    with pytest.warns(NoCommonTimesWarning, match="no time of 'time' is the same"):
        assert (one + other).sizes["time"] == 0
    with pytest.raises(ValueError, match="exact"):
        xr.align(one, other, join="exact")


def test_what_would_bring_all_times_into_memory_is_refused_with_advice(axis: TimeAxis) -> None:
    array = series(axis)
    other = series(SampledAxis(0.0, 1e5, N))
    for operation in (
        lambda: array.indexes["time"],
        array.time.to_index,
        lambda: xr.align(array, other, join="inner"),
        lambda: xr.align(array, other, join="left"),
        lambda: array.isel(channel=0).to_series(),
    ):
        with pytest.raises(TooManyLabelsError, match=r"the limit is 67,108,864; select a window first"):
            operation()
    assert log_of(axis).n_bytes < 1_000_000


def test_load_and_chunks_leave_the_times_lazy(axis: TimeAxis) -> None:
    array = window(series(axis))
    log_of(axis).clear()
    for one in (array.compute(), array.copy().load(), array.persist(), array.chunk(time=100), dask.compute(array)[0]):
        assert isinstance(one.time.variable, TimeVariable)
        assert time_axis_of(one.time.variable) == axis_of(array)
        assert one.time.chunks is None
    assert log_of(axis).reads == []


def test_variable_that_holds_other_values_is_an_ordinary_one() -> None:
    array = series(SampledAxis(START, RATE, 100))
    shifted = array.time.variable.copy(data=np.arange(100.0))
    assert time_axis_of(shifted) is None
    assert shifted.chunk(10).chunks is not None
    assert shifted.load() is shifted
    assert tokenize(shifted) != tokenize(array.time.variable)
    assert not shifted.equals(array.time.variable)
    assert array.time.variable.equals(array.time.variable.copy(data=array.time.values))
    np.testing.assert_array_equal((array.time + 1).values, array.time.values + 1)
    bare = array.reset_index("time").time
    assert bare.chunk(time=10).chunks is not None


def test_many_blocks_are_searched_alike_by_many_threads() -> None:
    stamps = SimulatedStamps("threads", 20_000_000, 4096, with_hundred_gaps)
    array = series(StoredAxis(stamps))
    rows = np.random.default_rng(1).integers(0, 20_000_000 - 3000, 400)

    def is_right(row: int) -> bool:
        start, stop = with_hundred_gaps(np.array([row, row + 3000])).tolist()
        cut = array.sel(time=slice(start, stop))
        return np.array_equal(cut.time.values, with_hundred_gaps(np.arange(row, row + 3001)))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(is_right, rows.tolist()))


def test_many_scattered_labels_read_each_block_about_once() -> None:
    stamps = SimulatedStamps("scattered", N, 16_384, with_one_gap)
    index = TimeIndex(StoredAxis(stamps))
    rows = np.sort(np.random.default_rng(2).integers(0, N, 300))
    wanted = np.random.default_rng(3).permutation(with_one_gap(rows))
    found = index.sel({"time": wanted}).dim_indexers["time"]
    np.testing.assert_array_equal(with_one_gap(found), wanted)
    assert len(stamps.log.reads) < 3 * len(rows)


def test_taken_rows_are_searched_without_reading_their_labels() -> None:
    stamps = SimulatedStamps("taken", N, 16_384, jittered)
    rows = np.sort(np.unique(np.random.default_rng(5).integers(0, N, 1_000_000)))
    index = TimeIndex(StoredAxis(stamps).take(rows))
    assert isinstance(index.axis, TakeAxis)
    start, stop = jittered(rows[[500_000, 500_100]]).tolist()
    assert index.sel({"time": slice(start, stop)}).dim_indexers["time"] == slice(500_000, 500_101)
    assert stamps.log.n_bytes < 2_000_000
    copied = pickle.loads(pickle.dumps(index))
    assert copied.equals(index)


def test_every_axis_has_one_lazy_array_while_it_is_used() -> None:
    one, other = _xarray.lazy_time(SampledAxis(1.0, 2.0, 5)), _xarray.lazy_time(SampledAxis(1.0, 2.0, 5))
    assert one is other
    assert pickle.loads(pickle.dumps(one)) is one
    assert copy.deepcopy(one) is one
    assert _xarray.lazy_time(SampledAxis(1.0, 2.0, 6)) is not one
