"""Where dask 2026.8 itself answers otherwise than pandas, a frame of ours does not."""

from __future__ import annotations

from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from nwb_dask.adapters.dask_frame import frame_of_scan
from nwb_dask.adapters.dask_frame._compat import new_collection
from tests.adapters.dask_frame.memory import Memory, make_scan, whole_frame


def is_long(text: str) -> bool:
    return len(text) > 1


def by_function(d: Any) -> Any:
    return d.name.map(is_long) if isinstance(d, pd.DataFrame) else d.name.map(is_long, meta=("name", bool))


def starts_with_a(d: Any) -> Any:
    return d.name.str.slice(0, 1) == "a"


def test_condition_that_ends_in_a_cast_is_a_condition(frame: dd.DataFrame, expected: pd.DataFrame) -> None:
    kept = frame[by_function(frame).astype(bool)]
    pd.testing.assert_frame_equal(kept.compute(), expected[by_function(expected).astype(bool)])


def test_condition_that_ends_in_a_cast_is_one_over_a_filter_too(frame: dd.DataFrame, expected: pd.DataFrame) -> None:
    some, same = frame[frame.x > 0], expected[expected.x > 0]
    pd.testing.assert_series_equal(
        some.id[by_function(some).astype(bool)].compute(), same.id[by_function(same).astype(bool)]
    )


def test_running_sum_of_filtered_rows_runs_over_those_only(memory: Memory) -> None:
    scan = make_scan(memory, [9, 9, 9])
    frame, expected = frame_of_scan(scan), whole_frame(memory, scan)
    some, same = frame[starts_with_a(frame)], expected[starts_with_a(expected)]
    result = some[some.x.cumsum() > 2].id.compute()
    pd.testing.assert_series_equal(result, same[same.x.cumsum() > 2].id)
    joined = expected[starts_with_a(expected) & (expected.x.cumsum() > 2)].id
    assert joined.tolist() != result.tolist()


def test_filter_asks_for_values_as_they_were_cast(frame: dd.DataFrame, expected: pd.DataFrame) -> None:
    cast, same = frame[["id", "x"]].astype({"x": "uint8"}), expected[["id", "x"]].astype({"x": "uint8"})
    pd.testing.assert_frame_equal(cast[cast.x > 3].compute(), same[same.x > 3])
    column, series = frame.x.astype("uint8"), expected.x.astype("uint8")
    pd.testing.assert_series_equal(column[column > 3].compute(), series[series > 3])
    assert (expected.x < 0).any()


def test_users_function_is_no_trouble_where_no_rows_are_left(frame: dd.DataFrame, expected: pd.DataFrame) -> None:
    kept = frame[(frame.x > 4) & by_function(frame)]
    pd.testing.assert_frame_equal(kept.compute(), expected[(expected.x > 4) & by_function(expected)])
    pd.testing.assert_frame_equal(frame[by_function(frame)].compute(), expected[by_function(expected)])


def test_filter_keeps_the_columns_where_there_are_no_rows(frame: dd.DataFrame, expected: pd.DataFrame) -> None:
    def doubled(d: pd.DataFrame) -> pd.DataFrame:
        return d.assign(y=d.x * 2)

    kept = frame[by_function(frame)].map_partitions(doubled, meta=doubled(frame._meta))
    pd.testing.assert_frame_equal(kept.compute(), doubled(expected[by_function(expected)]))


def test_partitions_pair_with_those_of_a_column_that_was_optimized_before(frame: dd.DataFrame) -> None:
    column = frame.x.optimize(fuse=False)
    kept = frame[frame._nwb_path == "/data/ses-3.nwb"]
    total = (kept.id + column).compute()
    assert total.notna().sum() == 4
    assert len(total) == len(frame)


def test_filter_over_a_limited_read_sees_the_limited_rows(frame: dd.DataFrame, expected: pd.DataFrame) -> None:
    limited = new_collection(frame.expr.with_operands(limit=2))
    first = expected[expected._table_index < 2]
    pd.testing.assert_frame_equal(limited[limited.x > 0].compute(), first[first.x > 0])
    assert len(limited) == len(first)


@pytest.mark.filterwarnings("ignore:Boolean Series key will be reindexed:UserWarning")  # dask has reordered the rows
def test_columns_can_be_chosen_of_rows_that_a_function_of_numpy_chose(memory: Memory) -> None:
    scan = make_scan(memory, [5])
    frame, expected = frame_of_scan(scan), whole_frame(memory, scan)
    kept = frame[np.logical_and(frame.x > 0, frame.id > 1)]
    same = expected[(expected.x > 0) & (expected.id > 1)]
    pd.testing.assert_frame_equal(kept[["id", "name"]].compute().sort_index(), same[["id", "name"]])


def test_column_is_found_by_the_labels_of_its_rows(frame: dd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_series_equal(frame.x.loc[frame.index > 2].compute(), expected.x.loc[expected.index > 2])
