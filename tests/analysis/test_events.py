"""Counts around events against numpy's histogram, event by event, and against fractions where edges are hit."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import dask.dataframe as dd
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from nwb_dask.adapters.ragged_dtype import NWBDtype
from nwb_dask.analysis import events as events_module
from nwb_dask.analysis import peri_event_counts
from nwb_dask.errors import PathNotFoundError
from tests.analysis.brute import counts_around

WINDOW = (-0.5, 1.0)
BIN = 0.05
EDGES = np.linspace(-0.5, 1.0, 31)


def spike_trains(seed: int, n_units: int = 6) -> list[npt.NDArray[np.float64]]:
    """Unsorted spikes over 100 s, one unit without any, some of them twice."""
    random = np.random.default_rng(seed)
    trains = [random.uniform(0, 100, random.integers(1, 2000)) for _ in range(n_units - 1)]
    trains[0] = np.concatenate([trains[0], trains[0][:5]])
    return [*trains, np.empty(0)]


def test_counts_are_those_of_a_histogram_for_each_unit_and_event() -> None:
    trains = spike_trains(1)
    events = np.random.default_rng(2).uniform(-1, 101, 50)
    events[7] = events[8]
    counts = peri_event_counts(trains, events, window=WINDOW, bin_size=BIN)
    assert counts.dims == ("unit", "trial", "time")
    assert counts.dtype == np.float64
    assert counts.sum() > 100
    for unit, train in enumerate(trains):
        np.testing.assert_array_equal(counts[unit], counts_around(train, list(events), list(EDGES)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.int64, np.uint64])
def test_spikes_of_any_number_type_are_counted(dtype: type[np.generic]) -> None:
    spikes = (np.random.default_rng(3).uniform(0, 100, 500)).astype(dtype)
    events = [10.25, 50.25]
    counts = peri_event_counts([spikes], events, window=(-8, 8), bin_size=0.5)
    expected = counts_around(spikes, events, list(np.arange(-8, 8.25, 0.5)))
    assert expected.sum() > 50
    np.testing.assert_array_equal(counts[0], expected)


@given(
    st.lists(st.integers(0, 3000), max_size=40),
    st.lists(st.integers(0, 3000), min_size=1, max_size=5),
    st.integers(-40, 0),
    st.tuples(st.integers(1, 9), st.integers(1, 12)),
    st.sampled_from([10, 30, 1000, 30000]),
)
def test_spikes_on_edges_are_in_the_bin_that_begins_there(
    spikes: list[int], events: list[int], start: int, bins: tuple[int, int], clock: int
) -> None:
    # Times are ticks of a clock, as in a recording: exact as fractions, each rounded once as a float.
    size, count = bins
    window = (start / clock, float(Fraction(start + size * count, clock)))
    counts = peri_event_counts(
        [np.array(spikes) / clock], np.array(events) / clock, window=window, bin_size=size / clock
    )
    expected = np.zeros((len(events), count))
    for row, event in enumerate(events):
        for spike in spikes:
            number = (spike - event - start) // size
            if 0 <= number < count:
                expected[row, number] += 1
    np.testing.assert_array_equal(counts[0], expected)


def test_spikes_on_the_bounds_of_the_window_are_in_its_first_bin_and_not_in_its_last() -> None:
    # 0.1 + 0.2 is above 0.3, and 0.7 - 0.6 is below 0.1.
    np.testing.assert_array_equal(peri_event_counts([[0.3]], [0.1], window=(0.2, 0.4), bin_size=0.1)[0, 0], [1, 0])
    np.testing.assert_array_equal(peri_event_counts([[0.7]], [0.6], window=(-0.1, 0.1), bin_size=0.1)[0, 0], [0, 0])


def test_rounding_errors_are_those_of_the_times_so_that_late_ones_are_on_edges_too() -> None:
    spike = 1e9 + 0.3
    assert spike - 1e9 < 0.3
    counts = peri_event_counts([[0.4, spike]], [0.1, 1e9], window=(0, 0.5), bin_size=0.1)
    np.testing.assert_array_equal(counts[0], [[0, 0, 0, 1, 0], [0, 0, 0, 1, 0]])


def test_windows_that_overlap_count_a_spike_once_each() -> None:
    counts = peri_event_counts([[1.25]], [1.0, 1.0, 1.1], window=(0, 1), bin_size=0.5)
    np.testing.assert_array_equal(counts[0], [[1, 0], [1, 0], [1, 0]])


def test_bins_not_wholly_observed_are_missing() -> None:
    trains = spike_trains(4, n_units=5)
    observed: list[Any] = [[(0, 100)], [(0, 30.01), (40, 60)], [], [(5, 5.2)], [(-np.inf, np.inf)]]
    units = pd.DataFrame({"spike_times": trains, "obs_intervals": [np.array(one).reshape(-1, 2) for one in observed]})
    events = [0.2, 10.0, 29.5, 35.0, 59.7, 99.3]
    counts = peri_event_counts(units, events, window=WINDOW, bin_size=BIN)
    for unit, train in enumerate(trains):
        np.testing.assert_array_equal(counts[unit], counts_around(train, events, list(EDGES), observed[unit]))
    assert np.isnan(counts[2]).all()
    assert np.isnan(counts[1]).any()
    assert not np.isnan(counts[4]).any()


def test_intervals_that_touch_or_overlap_leave_no_gap() -> None:
    units = pd.DataFrame({"spike_times": [[1.0]], "obs_intervals": [[[1.0, 3.0], [0.0, 0.7], [0.7, 1.2]]]})
    counts = peri_event_counts(units, [1.0], window=(-1, 2), bin_size=1.0)
    np.testing.assert_array_equal(counts[0, 0], [0, 1, 0])


def test_a_bin_that_ends_with_its_interval_is_observed_in_spite_of_rounding() -> None:
    units = pd.DataFrame({"spike_times": [[0.65]], "obs_intervals": [[[0.6, 0.7]]]})
    for event in (0.6, 0.5, 0.4, 0.1):
        counts = peri_event_counts(units, [event], window=(-0.8, 0.8), bin_size=0.1)
        assert np.isfinite(counts).sum() == 1
        assert counts.sum() == 1
    # 0.1 + 0.2 is above 0.3.
    units = pd.DataFrame({"spike_times": [[0.25]], "obs_intervals": [[[0.2, 0.3]]]})
    np.testing.assert_array_equal(peri_event_counts(units, [0.1], window=(0.1, 0.2), bin_size=0.1), [[[1]]])


def test_units_without_spike_times_are_missing_and_those_without_spikes_have_zeros() -> None:
    column = pd.Series([None, [], [1.0]], dtype=NWBDtype("list<double>"))
    counts = peri_event_counts(pd.DataFrame({"spike_times": column}), [1.0], window=(0, 1), bin_size=1)
    np.testing.assert_array_equal(counts[:, 0, 0], [np.nan, 0, 1])


def test_units_with_null_intervals_are_always_observed() -> None:
    dtype = NWBDtype("list<fixed_size_list<double>[2]>")
    units = pd.DataFrame(
        {"spike_times": [[1.0], [1.0], [1.0]], "obs_intervals": pd.Series([None, [], [[0.0, 9.0]]], dtype=dtype)}
    )
    counts = peri_event_counts(units, [1.0], window=(0, 1), bin_size=1)
    np.testing.assert_array_equal(counts[:, 0, 0], [1, np.nan, 1])


def test_one_interval_for_each_unit_is_an_interval() -> None:
    # Without an index, obs_intervals is a column of pairs.
    observed = pd.Series([[0.0, 9.0], [2.0, 9.0]], dtype=NWBDtype("fixed_size_list<double>[2]"))
    units = pd.DataFrame({"spike_times": [[1.0], [1.0]], "obs_intervals": observed})
    counts = peri_event_counts(units, [1.0], window=(0, 1), bin_size=1)
    np.testing.assert_array_equal(counts[:, 0, 0], [1, np.nan])


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_events_that_are_missing_give_missing_rows(missing: float) -> None:
    events = [1.0, missing, 2.0]
    counts = peri_event_counts([[1.5, 2.5], []], events, window=(0, 1), bin_size=0.5)
    np.testing.assert_array_equal(counts[0], [[0, 1], [np.nan, np.nan], [0, 1]])
    np.testing.assert_array_equal(counts.event_time, [1.0, np.nan, 2.0])


def test_missing_spikes_are_in_no_bin() -> None:
    counts = peri_event_counts([[np.nan, 1.0, np.inf, -np.inf]], [1.0], window=(-1, 1), bin_size=1)
    np.testing.assert_array_equal(counts[0, 0], [0, 1])
    spikes = [np.nan, 0.5, np.nan, 1.2, np.nan, 1.7]
    counts = peri_event_counts([spikes], [1.0, np.nan], window=(-1, 1), bin_size=1)
    np.testing.assert_array_equal(counts[0], [[1, 2], [np.nan, np.nan]])


ROWS = [[1.0, 2.0], [], [3.0]]
SHAPES: dict[str, Any] = {
    "list": ROWS,
    "tuple": tuple(map(tuple, ROWS)),
    "objects": np.array([*map(np.array, ROWS), None], dtype=object)[:-1],
    "series": pd.Series(ROWS),
    "ragged series": pd.Series(ROWS, dtype=NWBDtype("list<double>")),
    "ragged array": pd.Series(ROWS, dtype=NWBDtype("list<double>")).array,
    "arrow lists": pd.Series(ROWS, dtype=pd.ArrowDtype(pa.list_(pa.float64()))),
    "frame": pd.DataFrame({"spike_times": ROWS}),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_units_come_as_lists_arrays_series_and_frames(shape: str) -> None:
    counts = peri_event_counts(SHAPES[shape], [0.0], window=(0, 4), bin_size=1)
    np.testing.assert_array_equal(counts[:, 0], [[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]])


def test_coordinates_are_ids_labels_and_centres() -> None:
    units = pd.DataFrame({"id": [70, 71], "spike_times": [[], []]}, index=[5, 6])
    events = pd.Series([1.0, 2.0, np.nan], index=["a", "b", "c"])
    counts = peri_event_counts(units, events, window=(-0.1, 0.2), bin_size=0.1)
    assert counts.unit.values.tolist() == [70, 71]
    assert counts.trial.values.tolist() == ["a", "b", "c"]
    assert counts.time.values.tolist() == [-0.05, 0.05, 0.15]
    assert counts.time.attrs["units"] == "s"
    assert peri_event_counts(units[["spike_times"]], [1.0], window=(0, 1), bin_size=1).unit.values.tolist() == [5, 6]
    array = xr.DataArray([1.0], dims="trial", coords={"trial": [9]})
    assert peri_event_counts(units, array, window=(0, 1), bin_size=1).trial.values.tolist() == [9]


def test_no_units_and_no_events_give_empty_arrays() -> None:
    assert peri_event_counts([], [1.0], window=(0, 1), bin_size=0.5).shape == (0, 1, 2)
    assert peri_event_counts([[1.0]], [], window=(0, 1), bin_size=0.5).shape == (1, 0, 2)
    empty = pd.DataFrame({"spike_times": pd.Series([], dtype=NWBDtype("list<double>"))})
    assert peri_event_counts(empty, [1.0], window=(0, 1), bin_size=0.5).shape == (0, 1, 2)


@pytest.mark.parametrize("pairs", [1, 3, 1000])
def test_blocks_of_any_size_give_the_same_counts(monkeypatch: pytest.MonkeyPatch, pairs: int) -> None:
    trains = spike_trains(5)
    events = [*np.random.default_rng(6).uniform(0, 100, 30), np.nan]
    whole = peri_event_counts(trains, events, window=WINDOW, bin_size=BIN)
    monkeypatch.setattr(events_module, "_PAIRS_AT_ONCE", pairs)
    xr.testing.assert_identical(peri_event_counts(trains, events, window=WINDOW, bin_size=BIN), whole)


@pytest.mark.parametrize("units", [np.array([1.0, 2.0]), ["text"], [[[1.0, 2.0]]], [{"a": 1}], [["1.0"]], [[True]]])
def test_spike_times_that_are_no_lists_of_seconds_are_an_error(units: Any) -> None:
    with pytest.raises(TypeError, match="seconds"):
        peri_event_counts(units, [1.0], window=(0, 1), bin_size=1)


@pytest.mark.parametrize("events", [["1.0"], np.array(["2020-01-01"], "M8[s]"), pd.Series(pd.to_datetime(["2020"]))])
def test_events_that_are_no_seconds_are_an_error(events: Any) -> None:
    with pytest.raises(TypeError, match="events are numbers of seconds"):
        peri_event_counts([[1.0]], events, window=(0, 1), bin_size=1)


def test_a_table_of_events_is_an_error() -> None:
    with pytest.raises(ValueError, match="one column"):
        peri_event_counts([[1.0]], np.ones((3, 2)), window=(0, 1), bin_size=1)


def test_units_of_several_sessions_are_an_error() -> None:
    units = pd.DataFrame({"_nwb_path": ["a", "b"], "spike_times": [[1.0], [1.0]]})
    with pytest.raises(ValueError, match="2 sessions"):
        peri_event_counts(units, [1.0], window=(0, 1), bin_size=1)


def test_lazy_units_are_an_error_that_says_what_to_do() -> None:
    units = dd.from_pandas(pd.DataFrame({"spike_times": [1.0]}), npartitions=1)
    with pytest.raises(TypeError, match=r"units\.compute\(\)"):
        peri_event_counts(units, [1.0], window=(0, 1), bin_size=1)


def test_a_table_without_spike_times_is_an_error() -> None:
    with pytest.raises(PathNotFoundError, match="did you mean 'spike_time'"):
        peri_event_counts(pd.DataFrame({"spike_time": [[1.0]]}), [1.0], window=(0, 1), bin_size=1)
