"""Windows around events are what numpy takes by hand, and read only what they touch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import xarray as xr

import nwb_dask
from tests.adapters.xarray_backend.files import RATE, START, write_sampled, write_stamped

N, CHANNELS = 40_000, 4
Values = npt.NDArray[Any]


@pytest.fixture(scope="module")
def raw() -> Values:
    return np.random.default_rng(5).integers(-3000, 3000, (N, CHANNELS)).astype(np.int16)


@pytest.fixture(scope="module")
def sampled(raw: Values, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sampled(tmp_path_factory.mktemp("sampled") / "a.nwb", raw)


@pytest.fixture(scope="module")
def stamps() -> Values:
    rng = np.random.default_rng(6)
    steps = 1 / RATE + rng.normal(0, 1e-6, N)
    steps[N // 2] += 3.0
    return START + np.cumsum(steps)


@pytest.fixture(scope="module")
def stamped(raw: Values, stamps: Values, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stamped(tmp_path_factory.mktemp("stamped") / "a.nwb", raw, stamps)


def by_hand(values: Values, times: Values, events: Values, offsets: Values, tolerance: float) -> Values:
    """Take the sample nearest to each event, or to each offset of it, NaN if there is none near."""
    out = np.full((len(events), len(offsets), values.shape[1]), np.nan)
    for i, event in enumerate(events):
        for j, offset in enumerate(offsets):
            at = int(np.argmin(np.abs(times - (event + offset))))
            if abs(times[at] - (event + offset)) <= tolerance:
                out[i, j] = values[at]
    return out


def test_windows_of_a_regular_series_are_slices_around_the_nearest_sample(sampled: Path, raw: Values) -> None:
    lfp = nwb_dask.open_timeseries(sampled, "lfp", dtype="float64")
    times = np.arange(N) / RATE + START
    events = np.random.default_rng(1).uniform(START + 1, START + N / RATE - 1, 50)
    got = lfp.nwb.around(events, (-0.05, 0.1))
    nearest = np.abs(times[:, np.newaxis] - events).argmin(axis=0)
    first, last = round(-0.05 * RATE), round(0.1 * RATE)
    expected = np.stack([raw[at + first : at + last + 1] for at in nearest]) * 1e-6
    assert got.dims == ("trial", "time", "channel")
    np.testing.assert_array_equal(got.values, expected)
    np.testing.assert_array_equal(got["time"], np.arange(first, last + 1) / RATE)
    np.testing.assert_array_equal(got["event_time"], events)
    np.testing.assert_array_equal(got["time_offset"], times[nearest] - events)
    assert (np.abs(got["time_offset"].values) <= 0.5 / RATE * 1.001).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_windows_of_a_regular_series_are_those_of_pynapple(sampled: Path) -> None:
    nap = pytest.importorskip("pynapple", reason="PYNAPPLE IS NOT ASKED: it is not installed")
    lfp = nwb_dask.open_timeseries(sampled, "lfp", dtype="float64")
    events = np.sort(np.random.default_rng(2).uniform(START + 1, START + N / RATE - 1, 200))
    theirs = nap.compute_perievent(lfp.nwb.to_pynapple(), nap.Ts(events), (-0.05, 0.1))
    ours = lfp.nwb.around(events, (-0.05, 0.1))
    np.testing.assert_array_equal(ours.transpose("time", "trial", "channel").values, np.asarray(theirs.d))
    np.testing.assert_allclose(ours["time"], theirs.t, atol=1e-12)


def test_windows_of_a_stamped_series_hold_the_nearest_samples_and_nan_in_gaps(
    stamped: Path, raw: Values, stamps: Values
) -> None:
    lfp = nwb_dask.open_timeseries(stamped, "lfp", dtype="float64")
    middle = stamps[N // 2 - 1]
    events = np.array([stamps[500], middle - 0.02, middle + 1.0, stamps[-1], stamps[0] - 5])
    got = lfp.nwb.around(events, (-0.05, 0.05))
    expected = by_hand(raw * 1e-6, stamps, events, got["time"].values, 0.5 / RATE)
    np.testing.assert_array_equal(np.isnan(got.values), np.isnan(expected))
    np.testing.assert_array_equal(got.values, expected)
    assert np.isnan(got.values).any(axis=(1, 2)).tolist() == [False, True, True, True, True]


def test_table_of_trials_gives_its_columns_and_labels(sampled: Path) -> None:
    lfp = nwb_dask.open_timeseries(sampled, "lfp")
    trials = pd.DataFrame(
        {"start_time": [START + 1, START + 2], "stop_time": [START + 1.5, START + 2.5], "side": ["left", "right"]},
        index=pd.Index([10, 11], name="id"),
    )
    got = lfp.nwb.around(trials, (0, 0.01))
    assert got["trial"].values.tolist() == [10, 11]
    assert got["side"].values.tolist() == ["left", "right"]
    assert got.sel(trial=11)["stop_time"].item() == START + 2.5
    by_stop = lfp.nwb.around(trials, (0, 0.01), column="stop_time")
    assert by_stop["event_time"].values.tolist() == [START + 1.5, START + 2.5]
    with pytest.raises(ValueError, match="no column 'go_cue'"):
        lfp.nwb.around(trials, (0, 1), column="go_cue")


@pytest.mark.parametrize("edges", ["nan", "drop", "raise"])
def test_windows_past_the_ends_are_nan_or_dropped_or_refused(sampled: Path, raw: Values, edges: Any) -> None:
    lfp = nwb_dask.open_timeseries(sampled, "lfp", scale=False)
    events = np.array([START, START + 1, np.nan, START + N / RATE])
    if edges == "raise":
        with pytest.raises(ValueError, match=r"event 0 .* past the series"):
            lfp.nwb.around(events, (-0.01, 0.01), edges=edges)
        return
    got = lfp.nwb.around(events, (-0.01, 0.01), edges=edges)
    half = round(0.01 * RATE)
    if edges == "drop":
        assert got["event_time"].values.tolist() == [START + 1]
        assert got.dtype == np.int16
        np.testing.assert_array_equal(got.values[0], raw[RATE - half : RATE + half + 1])
        return
    assert got.dtype == np.float32
    expected = np.full((4, 2 * half + 1, CHANNELS), np.nan)
    expected[0, half:], expected[3, :half] = raw[: half + 1], raw[-half:]
    expected[1] = raw[RATE - half : RATE + half + 1]
    np.testing.assert_array_equal(got.values, expected)


def test_thousand_trials_build_their_graph_in_a_few_tasks_and_read_nothing(sampled: Path) -> None:
    lfp = nwb_dask.open_timeseries(sampled, "lfp")
    events = np.linspace(START + 1, START + N / RATE - 2, 1000)
    with nwb_dask.trace() as traced:
        got = lfp.nwb.around(events, (-0.5, 1.0))
    assert traced.requests == 0
    assert len(dict(got.__dask_graph__())) < 20


def test_one_trial_reads_its_own_rows_only(sampled: Path) -> None:
    lfp = nwb_dask.open_timeseries(sampled, "lfp")
    windows = lfp.nwb.around(np.linspace(START + 1, START + 30, 100), (0, 0.1))
    with nwb_dask.trace() as traced:
        windows.isel(trial=7).compute()
    n_rows = round(0.1 * RATE) + 1
    assert traced.bytes == n_rows * CHANNELS * 2


def test_changed_array_gives_the_same_windows_as_the_stored_one(sampled: Path, stamped: Path) -> None:
    for path in (sampled, stamped):
        lfp = nwb_dask.open_timeseries(path, "lfp", dtype="float64")
        events = np.array([START - 0.01, START + 1.23, START + 2])
        direct = lfp.nwb.around(events, (-0.02, 0.03))
        changed = (lfp * 1.0).nwb.around(events, (-0.02, 0.03))
        in_memory = lfp.compute().nwb.around(events, (-0.02, 0.03))
        assert dask.is_dask_collection(changed)
        xr.testing.assert_equal(direct.compute(), changed.compute())
        xr.testing.assert_equal(direct.compute(), in_memory)
        part = lfp.isel(channel=[1, 3]).nwb.around(events, (-0.02, 0.03))
        xr.testing.assert_equal(direct.isel(channel=[1, 3]).compute(), part.compute())
