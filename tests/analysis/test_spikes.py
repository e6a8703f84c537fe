"""Binned spikes and spikes in intervals, of one session in memory."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwb_dask.adapters.ragged_dtype import NWBDtype
from nwb_dask.analysis import bin_spikes, spikes_in_intervals
from nwb_dask.errors import PathNotFoundError
from tests.analysis.brute import histogram, is_observed

RAGGED = NWBDtype("list<double>")
INTERVALS = NWBDtype("large_list<fixed_size_list<double>[2]>")


def test_counts_are_those_of_a_histogram() -> None:
    random = np.random.default_rng(1)
    trains = [random.uniform(-20, 120, 3000), random.uniform(0, 100, 10), np.empty(0)]
    counts = bin_spikes(trains, bin_size=0.25, start_time=-3, stop_time=97)
    assert counts.dims == ("unit", "time")
    assert counts.dtype == np.float64
    edges = np.arange(-3, 97.1, 0.25)
    for unit, train in enumerate(trains):
        np.testing.assert_array_equal(counts[unit], histogram(train, list(edges)))
    np.testing.assert_array_equal(counts.time, edges[:-1] + 0.125)


@given(
    st.lists(st.integers(-300, 3000), max_size=60),
    st.integers(-50, 50),
    st.integers(1, 30),
    st.integers(0, 60),
    st.sampled_from([10, 30, 1000, 30000]),
)
def test_spikes_on_edges_are_in_the_bin_that_begins_there(
    spikes: list[int], start: int, size: int, count: int, clock: int
) -> None:
    stop = (start + count * size) / clock
    counts = bin_spikes([np.array(spikes) / clock], bin_size=size / clock, start_time=start / clock, stop_time=stop)
    expected = [sum((spike - start) // size == number for spike in spikes) for number in range(count)]
    assert counts[0].values.tolist() == expected


@given(st.lists(st.integers(-300, 3000), min_size=1, max_size=30), st.integers(1, 30))
def test_by_default_bins_are_multiples_and_hold_every_spike(spikes: list[int], size: int) -> None:
    counts = bin_spikes([np.array(spikes) / 10, []], bin_size=size / 10)
    first, last = min(spikes) // size, max(spikes) // size
    np.testing.assert_allclose(counts.time, (np.arange(first, last + 1) + 0.5) * size / 10, rtol=1e-12)
    assert counts[0].values.tolist() == [sum(s // size == k for s in spikes) for k in range(first, last + 1)]
    assert counts[1].sum() == 0


def test_bins_not_wholly_observed_are_missing() -> None:
    random = np.random.default_rng(2)
    observed: list[Any] = [[(0, 100)], [(0.3, 30.01), (40, 60)], [], None]
    units = pd.DataFrame({"id": [3, 4, 5, 6], "spike_times": [random.uniform(0, 100, 500) for _ in observed]})
    units["obs_intervals"] = pd.Series(observed, dtype=object)
    counts = bin_spikes(units, bin_size=0.5)
    assert counts.unit.values.tolist() == [3, 4, 5, 6]
    edges = np.arange(0, 100.1, 0.5)
    assert counts.sizes["time"] == len(edges) - 1
    for unit, intervals in enumerate(observed):
        expected = histogram(units.spike_times[unit], list(edges)).astype(float)
        seen = [is_observed(a, b, intervals) for a, b in pairwise(edges)]
        expected[~np.array(seen)] = np.nan
        np.testing.assert_array_equal(counts[unit], expected)
    assert np.isnan(counts[1, 0])
    assert np.isnan(counts[2]).all()


def test_by_default_bins_hold_all_that_was_observed() -> None:
    units = pd.DataFrame({"spike_times": [[2.5], []], "obs_intervals": [[[1.2, 8.9]], [[-0.5, 3.0]]]})
    counts = bin_spikes(units, bin_size=1)
    assert counts.time.values.tolist() == [k + 0.5 for k in range(-1, 9)]
    np.testing.assert_array_equal(counts[0], [*[np.nan] * 3, 1, 0, 0, 0, 0, 0, np.nan])
    np.testing.assert_array_equal(counts[1], [np.nan, 0, 0, 0, *[np.nan] * 6])


def test_bins_are_whole_and_end_before_the_stop() -> None:
    assert bin_spikes([[0.95]], bin_size=0.3, start_time=0, stop_time=1).sizes["time"] == 3
    assert bin_spikes([[0.95]], bin_size=0.1, start_time=0, stop_time=0.3).sizes["time"] == 3
    assert bin_spikes([[0.05, 0.95]], bin_size=0.3, stop_time=1).values.tolist() == [[1, 0, 0]]
    assert bin_spikes([[0.05, 0.95]], bin_size=0.3, start_time=0.5).values.tolist() == [[0, 1]]


def test_units_without_spike_times_are_missing() -> None:
    column = pd.Series([None, [], [1.0]], dtype=RAGGED)
    counts = bin_spikes(column, bin_size=1, start_time=0, stop_time=2)
    np.testing.assert_array_equal(counts, [[np.nan, np.nan], [0, 0], [0, 1]])


def test_a_session_without_spikes_has_bins_where_they_are_asked_for() -> None:
    assert bin_spikes([], bin_size=1).shape == (0, 0)
    assert bin_spikes([[]], bin_size=1).shape == (1, 0)
    assert bin_spikes([[]], bin_size=1, start_time=0, stop_time=3).values.tolist() == [[0, 0, 0]]
    assert bin_spikes([[], [np.nan]], bin_size=1, stop_time=2).shape == (2, 2)


def test_a_wild_time_does_not_exhaust_the_memory() -> None:
    with pytest.raises(ValueError, match="give start_time and stop_time"):
        bin_spikes([[0.0, 1e14]], bin_size=0.001)
    with pytest.raises(ValueError, match="more bins"):
        bin_spikes([[-1e308, 1e308]], bin_size=1e-3)
    assert bin_spikes([[0.0, 1e14]], bin_size=0.5, start_time=0, stop_time=1).values.tolist() == [[1, 0]]
    assert bin_spikes([[0.0, np.inf]], bin_size=0.5).values.tolist() == [[1]]


@pytest.mark.parametrize("size", [0.0, -1.0, np.nan, np.inf])
def test_a_bin_size_that_is_none_is_an_error(size: float) -> None:
    with pytest.raises(ValueError, match="bin_size"):
        bin_spikes([[1.0]], bin_size=size)


def test_a_stop_before_the_start_is_an_error() -> None:
    with pytest.raises(ValueError, match="before start_time"):
        bin_spikes([[1.0]], bin_size=1, start_time=3, stop_time=1)


@pytest.mark.parametrize("name", ["double", "float", "int64", "uint16"])
def test_spikes_in_intervals_keep_their_order_and_type(name: str) -> None:
    rows = [[9, 3, 1, 4, 1], [], None, [2, 20]]
    units = pd.DataFrame({"spike_times": pd.Series(rows, dtype=NWBDtype(f"list<{name}>")), "quality": list("abcd")})
    kept = spikes_in_intervals(units, [[1.0, 3.0], [2.0, 4.0], [9.0, 9.0], [9.0, 10.0], [np.nan, 30.0]])
    assert kept.spike_times.dtype == units.spike_times.dtype
    assert [None if row is pd.NA else row.tolist() for row in kept.spike_times] == [[9, 3, 1, 1], [], None, [2]]
    assert kept.quality.tolist() == list("abcd")
    assert kept.obs_intervals.dtype == INTERVALS
    assert [row.tolist() for row in kept.obs_intervals] == [[[1, 4], [9, 10]]] * 4
    assert "obs_intervals" not in units


def test_spikes_in_intervals_of_plain_lists() -> None:
    units = pd.DataFrame({"spike_times": [[1.0, 2.0, 3.0], []], "obs_intervals": [[[0.0, 2.5]], []]})
    kept = spikes_in_intervals(units, pd.DataFrame({"start_time": [2.0], "stop_time": [9.0]}))
    assert [row.tolist() for row in kept.spike_times] == [[2.0, 3.0], []]
    assert [row.tolist() for row in kept.obs_intervals] == [[[2.0, 2.5]], []]


def test_spikes_outside_the_intervals_are_missing_to_what_counts_them() -> None:
    units = pd.DataFrame({"spike_times": pd.Series([[0.5, 1.5, 3.5]], dtype=RAGGED)})
    counts = bin_spikes(spikes_in_intervals(units, [[1, 3]]), bin_size=1, start_time=0, stop_time=4)
    np.testing.assert_array_equal(counts, [[np.nan, 1, 0, np.nan]])


def test_intervals_of_a_frame_hold_for_their_session() -> None:
    units = pd.DataFrame(
        {"_nwb_path": ["b", "a", "b", "c"], "spike_times": pd.Series([[1.0, 5.0]] * 4, dtype=RAGGED)},
        index=[0, 0, 1, 0],
    )
    intervals = pd.DataFrame(
        {"_nwb_path": ["a", "b", "a", "d"], "start_time": [0.0, 4.0, 0.5, 0.0], "stop_time": [2.0, 6.0, 1.5, 9.0]}
    )
    kept = spikes_in_intervals(units, intervals)
    assert [row.tolist() for row in kept.spike_times] == [[5.0], [1.0], [5.0], []]
    assert [row.tolist() for row in kept.obs_intervals] == [[[4, 6]], [[0, 2]], [[4, 6]], []]
    pd.testing.assert_index_equal(kept.index, units.index)


def test_intervals_of_unknown_session_are_an_error() -> None:
    units = pd.DataFrame({"_nwb_path": ["a"], "spike_times": [[1.0]]})
    intervals = pd.DataFrame({"start_time": [0.0], "stop_time": [2.0]})
    with pytest.raises(ValueError, match="which rows belong together is unknown"):
        spikes_in_intervals(units, intervals)
    with pytest.raises(PathNotFoundError, match="no column 'stop_time' in intervals"):
        spikes_in_intervals(units, intervals[["start_time"]])
    with pytest.raises(PathNotFoundError, match="no column 'spike_times' in units"):
        spikes_in_intervals(units[["_nwb_path"]], [[0, 1]])
