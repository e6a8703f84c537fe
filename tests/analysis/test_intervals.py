"""Intervals against the times that they hold, one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwb_dask.analysis import as_intervals, contains, covers, intersect_intervals, merge_intervals

bounds = st.integers(0, 12)
many = st.lists(st.tuples(bounds, bounds), max_size=6)
TIMES = np.arange(-1, 14, 0.5)
"""Every bound, and a time between each two."""


def holds(intervals: list[tuple[int, int]], time: float) -> bool:
    return any(start <= time < stop for start, stop in intervals)


@given(many)
def test_merged_intervals_hold_the_same_times_and_have_gaps_between_them(intervals: list[tuple[int, int]]) -> None:
    merged = merge_intervals(intervals)
    assert [any(a <= t < b for a, b in merged) for t in TIMES] == [holds(intervals, t) for t in TIMES]
    assert (merged[:, 0] < merged[:, 1]).all()
    assert (merged[1:, 0] > merged[:-1, 1]).all()


@given(many, many)
def test_the_intersection_holds_the_times_that_both_hold(
    one: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    shared = intersect_intervals(one, other)
    assert [any(a <= t < b for a, b in shared) for t in TIMES] == [holds(one, t) and holds(other, t) for t in TIMES]
    np.testing.assert_array_equal(shared, merge_intervals(shared))


@given(many)
def test_times_are_contained_as_they_are_held_one_by_one(intervals: list[tuple[int, int]]) -> None:
    assert contains(intervals, TIMES).tolist() == [holds(intervals, t) for t in TIMES]
    assert contains(intervals, TIMES.reshape(2, -1)).shape == (2, len(TIMES) // 2)


@given(many, bounds, st.integers(1, 5))
def test_a_span_is_covered_if_all_of_its_times_are_held(
    intervals: list[tuple[int, int]], start: int, length: int
) -> None:
    # Bounds are integers, so that the time between two of them speaks for all times there.
    expected = all(holds(intervals, start + i + 0.5) for i in range(length))
    assert covers(intervals, [start], [start + length]).tolist() == [expected]


def test_a_span_may_stand_out_by_the_tolerance() -> None:
    spans = [0.999, 1.0], [2.0, 2.001]
    assert covers([[1, 2]], *spans).tolist() == [False, False]
    assert covers([[1, 2]], *spans, tolerance=0.01).tolist() == [True, True]
    assert covers([[1, 2]], *spans, tolerance=np.array([0.01, 0.0])).tolist() == [True, False]


def test_nan_is_nowhere_and_bounds_may_be_infinite() -> None:
    assert contains([[-np.inf, np.inf]], [np.nan, -1e300, 0.0]).tolist() == [False, True, True]
    spans = [np.nan, np.nan, 0.0, 0.0], [np.nan, 1.0, np.nan, 1.0]
    assert covers([[-np.inf, np.inf]], *spans).tolist() == [False, False, False, True]
    assert covers([[-9, 9]], *spans).tolist() == [False, False, False, True]
    assert merge_intervals([[0.0, np.nan], [np.nan, 1.0], [5.0, 4.0], [3.0, 3.0]]).shape == (0, 2)
    np.testing.assert_array_equal(intersect_intervals([[-np.inf, 3]], [[1, np.inf]]), [[1, 3]])


def test_intervals_come_as_lists_arrays_and_frames() -> None:
    frame = pd.DataFrame({"start_time": [1, 3], "stop_time": pd.array([2, None], dtype="Int64"), "tags": ["a", "b"]})
    np.testing.assert_array_equal(as_intervals(frame), [[1, 2], [3, np.nan]])
    np.testing.assert_array_equal(as_intervals([1, 2]), [[1, 2]])
    assert as_intervals([]).shape == (0, 2)
    assert as_intervals(np.empty((0, 2), np.float32)).dtype == np.float64


@pytest.mark.parametrize("values", [[1, 2, 3], [[1, 2, 3]], 5.0, [[[1, 2]]]])
def test_another_shape_is_an_error(values: object) -> None:
    with pytest.raises(ValueError, match=r"shape \(n, 2\)"):
        as_intervals(values)  # type: ignore[arg-type]  # that is the test


def test_a_frame_without_bounds_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"lacks \['stop_time'\]"):
        as_intervals(pd.DataFrame({"start_time": [1.0]}))
