"""What is known of columns in pieces: taken, split and merged."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from nwb_dask.plan.statistics import ColumnStatistics, take_statistics

TEXTS = pa.large_list(pa.string())


def statistics() -> ColumnStatistics:
    """Of five pieces: two values, one value and a null, only nulls, no rows, nothing known."""
    return ColumnStatistics(
        minimum=pa.array(["a", "b", None, None, None]),
        maximum=pa.array(["c", "b", None, None, None]),
        n_null=np.array([0, 1, 3, 0, -1]),
        n_nan=np.zeros(5, np.int64),
        values=pa.array([["a", "c"], ["b"], [], [], None], TEXTS),
        is_known=np.array([True, True, True, True, False]),
    )


def test_statistics_of_chosen_pieces_come_in_their_order() -> None:
    taken = take_statistics({"x": statistics()}, [4, 1, 1])["x"]

    assert taken.minimum.to_pylist() == [None, "b", "b"]
    assert taken.n_null.tolist() == [-1, 1, 1]
    assert taken.values is not None
    assert taken.values.to_pylist() == [None, ["b"], ["b"]]
    assert taken.is_known.tolist() == [False, True, True]


def test_of_the_counts_of_a_whole_only_zero_holds_for_a_part() -> None:
    parts = statistics().of_parts([0, 0, 1])

    assert parts.n_null.tolist() == [0, 0, -1]
    assert parts.maximum.to_pylist() == ["c", "c", "b"]


def test_row_ranges_of_one_table_are_merged() -> None:
    merged = statistics().merged(np.array([0, 2, 2, 4, 5]))

    assert merged.minimum.to_pylist() == ["a", None, None, None]
    assert merged.maximum.to_pylist() == ["c", None, None, None]
    assert merged.n_null.tolist() == [1, 0, 3, -1]
    assert merged.is_known.tolist() == [True, True, True, False]
    assert merged.values is not None
    assert [None if one is None else sorted(one) for one in merged.values.to_pylist()] == [
        ["a", "b", "c"],
        [],
        [],
        None,
    ]


def test_merging_with_an_unknown_range_leaves_nothing_known() -> None:
    merged = statistics().merged(np.array([0, 5]))

    assert (merged.minimum.to_pylist(), merged.n_null.tolist(), merged.is_known.tolist()) == ([None], [-1], [False])


def test_an_absent_column_is_null_in_each_row() -> None:
    absent = ColumnStatistics.absent([2, 0], pa.float64())

    assert absent.n_null.tolist() == [2, 0]
    assert absent.is_known.all()
    assert absent.minimum.null_count == 2


def test_arrays_of_different_lengths_are_refused() -> None:
    none = np.zeros(2, np.int64)
    with pytest.raises(ValueError, match="lengths"):
        ColumnStatistics(pa.nulls(2, pa.int64()), pa.nulls(1, pa.int64()), none, none, None, np.ones(2, np.bool_))


def test_no_pieces_merge_to_none() -> None:
    assert len(statistics().take([]).merged(np.zeros(1, np.int64))) == 0
