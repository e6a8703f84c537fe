"""Axes that are taken of others, put behind others, and compared with others."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_dask.adapters.xarray_backend.axes import (
    ArrayAxis,
    ConcatAxis,
    SampledAxis,
    StoredAxis,
    TakeAxis,
    TimeAxis,
    concat_axes,
    find_positions,
    joined_window,
    positions_in_window,
    same_labels,
)
from nwb_dask.errors import UnsortedTimesError
from tests.adapters.xarray_backend.axis_cases import (
    steady,
)
from tests.adapters.xarray_backend.stamps import ArrayStamps, Labels, Rows, SimulatedStamps


def test_positions_that_are_evenly_spaced_are_a_slice() -> None:
    axis = SampledAxis(0.0, 10.0, 100)
    assert axis.take([3, 5, 7]) == axis.take(slice(3, 8, 2))
    assert axis.take([7, 5, 3]) == axis.take(slice(7, 2, -2))
    assert axis.take([2, 1, 0]) == axis.take(slice(2, None, -1))
    assert axis.take([-1]) == axis.take(slice(99, 100))
    assert axis.take([]) == axis.take(slice(0, 0))
    assert isinstance(axis.take([3, 5, 8]), TakeAxis)
    assert axis.take([3, 5, 8]).take([0, 1]) == axis.take([3, 5])
    assert isinstance(axis.take([4, 4]), TakeAxis)


def test_labels_in_memory_cannot_be_changed_from_outside() -> None:
    values = np.arange(10.0)
    axes = ArrayAxis(values), ArrayAxis(values[2:5]), SampledAxis(0.0, 1.0, 10).take(rows := np.array([1, 5, 2]))
    expected = [axis.labels().tolist() for axis in axes]
    values[:] = -1
    rows[:] = 0
    assert [axis.labels().tolist() for axis in axes] == expected
    with pytest.raises(ValueError, match="read-only"):
        axes[0].labels()[0] = 5.0
    stored = StoredAxis(ArrayStamps("read only", np.arange(10.0)))
    with pytest.raises(ValueError, match="read-only"):
        stored.labels(2, 5)[0] = 3.0


def test_windows_that_follow_each_other_become_one() -> None:
    clock = SampledAxis(12.5, 30_000.0, 1_000_000)
    stored = StoredAxis(SimulatedStamps("fused", 1_000_000, 8192, steady))
    for axis in (clock, stored):
        assert concat_axes(axis.take(slice(at, at + 10)) for at in range(0, 100, 10)) == axis.take(slice(0, 100))
        assert concat_axes([axis.take(slice(k, k + 1)) for k in (5, 6, 7)]) == axis.take(slice(5, 8))
        assert concat_axes([axis.take(slice(0, 9, 3)), axis.take(slice(9, 30, 3))]) == axis.take(slice(0, 30, 3))
        assert concat_axes([axis.take(slice(9, 4, -1)), axis.take(slice(4, 0, -1))]) == axis.take(slice(9, 0, -1))
        apart = concat_axes([axis.take(slice(0, 5)), axis.take(slice(5, 5)), axis.take(slice(6, 9))])
        assert isinstance(apart, ConcatAxis)
        assert [piece.n for piece in apart.pieces] == [5, 3]
        assert apart.take(slice(0, 5)) == axis.take(slice(0, 5))
        assert concat_axes([apart, axis.take(slice(9, 12))]) == concat_axes([apart.pieces[0], axis.take(slice(6, 12))])
    assert isinstance(concat_axes([clock, SampledAxis(12.5, 30_000.1, 5)]), ConcatAxis)
    joined = concat_axes([ArrayAxis([1.0]), ArrayAxis([2.0, 5.0])])
    assert isinstance(joined, ArrayAxis)
    assert joined.labels().tolist() == [1.0, 2.0, 5.0]
    assert concat_axes([]).n == 0


def test_stretches_of_stored_times_are_searched_as_one_dataset() -> None:
    stamps = SimulatedStamps("stretches", 50_000_000, 8192, steady)
    axis = StoredAxis(stamps)
    pieces = [axis.take(slice(at, at + 1000)) for at in range(0, 50_000_000, 500_000)]
    joined = concat_axes(pieces)
    assert joined.direction == 1
    assert stamps.log.reads == []
    assert joined.searchsorted([12_000.5, 12_000.0, 12_001.5], "left").tolist() == [24_500, 24_000, 25_000]
    assert len(stamps.log.reads) < 12


def test_overlapping_stretches_are_out_of_order() -> None:
    axis = SampledAxis(0.0, 10.0, 100)
    joined = concat_axes([axis.take(slice(0, 10)), axis.take(slice(5, 15))])
    assert joined.direction == 0
    with pytest.raises(UnsortedTimesError):
        joined.searchsorted(0.3)


def test_axes_of_equal_labels_are_the_same_whatever_they_are_made_of() -> None:
    labels = np.arange(1_000_000) / 1000.0
    made = [
        SampledAxis(0.0, 1000.0, 1_000_000),
        StoredAxis(SimulatedStamps("same", 1_000_000, 8192, steady)),
        ArrayAxis(labels),
        SampledAxis(0.0, 1000.0, 2_000_000).take(np.arange(1_000_000)),
    ]
    for one in made:
        for other in made:
            assert same_labels(one, other)
        assert not same_labels(one, one.take(slice(0, -1)))
        assert not same_labels(one, SampledAxis(1e-9, 1000.0, 1_000_000))
    assert not same_labels(made[0], ArrayAxis(np.where(labels == 500.0, 500.0001, labels)))
    assert same_labels(ArrayAxis([1.0, np.nan]), ArrayAxis([1.0, np.nan]).take([0, 1]))
    assert same_labels(SampledAxis(0.0, 1.0, 0), ArrayAxis([]))


def test_two_windows_of_one_sample_apart_at_the_end_of_a_recording_differ() -> None:
    clock = SampledAxis(0.0, 30_000.0, 216_000_000)
    assert not same_labels(clock.take(slice(0, -1)), clock.take(slice(1, None)))


def test_comparing_stored_times_stops_at_the_first_difference() -> None:
    one = SimulatedStamps("compared", 100_000_000, 8192, steady)
    other = SimulatedStamps("compared with", 100_000_000, 8192, steady_but_one)
    assert not same_labels(StoredAxis(one), StoredAxis(other))
    assert one.log.n_bytes < 20_000_000
    one.log.clear()
    assert not same_labels(StoredAxis(one), StoredAxis(other))
    assert one.log.reads == []


def steady_but_one(rows: Rows) -> Labels:
    return np.asarray(steady(rows) + 1e-4 * (rows == 1_000_000))


@pytest.mark.parametrize("step", [1, 3])
def test_windows_of_one_clock_meet_where_their_rows_do(step: int) -> None:
    rng = np.random.default_rng(6)
    clock = SampledAxis(1.5, 10.0, 60)
    labels = clock.labels()
    for _ in range(500):
        ends = np.sort(rng.integers(0, 61, (2, 2))).tolist()
        first, second = (slice(low, high, step) for low, high in ends)
        one, other = clock.take(first), clock.take(second)
        inner, outer = joined_window(one, other, "inner"), joined_window(one, other, "outer")
        if inner is None or outer is None:
            assert step > 1
            continue
        np.testing.assert_array_equal(inner.labels(), np.intersect1d(labels[first], labels[second]))
        np.testing.assert_array_equal(outer.labels(), np.union1d(labels[first], labels[second]))
        found = positions_in_window(one, other)
        np.testing.assert_array_equal(found, find_positions(ArrayAxis(labels[first]), labels[second]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SampledAxis(0.0, 1.0, 5), SampledAxis(0.5, 1.0, 5)),
        (SampledAxis(0.0, 1.0, 5), ArrayAxis(np.arange(5.0))),
        (SampledAxis(0.0, 1.0, 5), SampledAxis(0.0, 1.0, 9).take(slice(None, None, -1))),
        (SampledAxis(1.7e9, 1e9, 50), SampledAxis(1.7e9, 1e9, 60)),
    ],
)
def test_other_axes_do_not_meet_by_arithmetic(one: TimeAxis, other: TimeAxis) -> None:
    assert joined_window(one, other, "inner") is None
    assert positions_in_window(one, other) is None


def test_nearest_of_repeated_times_is_the_first_of_them() -> None:
    axis = ArrayAxis([0.0, 1.0, 1.0, 1.0, 2.0])
    assert find_positions(axis, [1.0, 1.1, 0.9, 5.0, -5.0], "nearest").tolist() == [1, 3, 1, 4, 0]
    assert find_positions(axis, [1.0, 5.0, -5.0], "pad").tolist() == [1, 4, -1]
    assert find_positions(axis, [[1.0, 0.5], [5.0, np.nan]], "backfill").tolist() == [[1, 1], [-1, -1]]
    assert find_positions(axis, [1.0, 0.5]).tolist() == [1, -1]
    assert find_positions(axis, [0.5, 0.25], "nearest", 0.5).tolist() == [1, 0]
    assert find_positions(axis, [0.5, 0.25], "nearest", [0.25, 0.25]).tolist() == [-1, 0]
    assert find_positions(axis, 1.4, "nearest", 0.3) == -1
    assert find_positions(ArrayAxis([]), [1.0], "nearest").tolist() == [-1]
