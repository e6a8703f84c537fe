"""The optimized expression is the one that one would write by hand, and reads what it must and no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from nwb_dask.adapters.dask_frame import frame_of_scan
from nwb_dask.adapters.dask_frame.expr import ReadNWB
from nwb_dask.adapters.dask_frame.nodes import NWBFilter, NWBProjection
from nwb_dask.errors import PathNotFoundError, PredicateError
from nwb_dask.plan.filters import parse_filters
from nwb_dask.plan.predicate import Node
from nwb_dask.plan.scan import Scan
from tests.adapters.dask_frame.memory import ALL_FIELDS, Memory, make_scan

GOOD = [("quality", "==", "good"), ("rate", ">", 0.1)]


def simplified(frame: Any) -> Any:
    return frame.optimize(fuse=False).expr


def read_of(frame: Any) -> ReadNWB:
    (read,) = {node._name: node for node in simplified(frame).walk() if isinstance(node, ReadNWB)}.values()
    return read


def with_rows(frame: Any) -> Scan:
    """The scan less the tables without rows, which any filter leaves out."""
    scan: Scan = frame.expr.operand("scan")
    return scan.take(np.flatnonzero(scan.rows > 0))


def predicate(filters: Any) -> Node:
    node = parse_filters(filters, ALL_FIELDS)
    assert node is not None
    return node


def good(d: Any) -> Any:
    return (d.quality == "good") & (d.rate > 0.1)


FORMS: dict[str, Callable[[Any], Any]] = {
    "df[p].x": lambda d: d[good(d)].spike_times,
    "df.x[p]": lambda d: d.spike_times[good(d)],
    "df[cols][p].x": lambda d: d[["spike_times", "quality"]][good(d)].spike_times,
    "df.loc[p, col]": lambda d: d.loc[good(d), "spike_times"],
    "df.loc[p].x": lambda d: d.loc[good(d)].spike_times,
    "df[p][q].x": lambda d: d[d.quality == "good"][d[d.quality == "good"].rate > 0.1].spike_times,
    "df.x[p][q]": lambda d: d[d.quality == "good"].spike_times[d[d.quality == "good"].rate > 0.1],
    "df.drop(...)[p].x": lambda d: d.drop(columns=["waveform"])[good(d)].spike_times,
    "constant first": lambda d: d[("good" == d.quality) & (0.1 < d.rate)].spike_times,  # noqa: SIM300  # on purpose
    "methods": lambda d: d[d.quality.eq("good") & d.rate.gt(0.1)].spike_times,
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_of_a_filter_become_the_same_read(frame: dd.DataFrame, form: str) -> None:
    by_hand = ReadNWB(with_rows(frame), ["spike_times"], None, predicate(GOOD), _series=True)
    assert read_of(FORMS[form](frame))._name == by_hand._name


def test_filter_of_columns_is_exactly_the_read_by_hand(frame: dd.DataFrame) -> None:
    by_hand = ReadNWB(with_rows(frame), ["x", "spike_times"], None, predicate(GOOD))
    assert simplified(frame[good(frame)][["x", "spike_times"]])._name == by_hand._name


def test_column_that_is_used_alone_is_one_task_per_partition(frame: dd.DataFrame) -> None:
    assert isinstance(simplified(frame.spike_times[frame.x > 1]), ReadNWB)
    both = simplified(frame.x + frame.id)
    assert len({node._name for node in both.walk() if isinstance(node, ReadNWB)}) == 1


def test_optimized_column_can_be_filtered_further(frame: dd.DataFrame, expected: pd.DataFrame) -> None:
    column = frame.x[frame.rate > 0].optimize(fuse=False)
    assert isinstance(simplified(column[column > 1]), ReadNWB)
    kept = expected.x[(expected.rate > 0) & (expected.x > 1)]
    pd.testing.assert_series_equal(column[column > 1].compute(), kept)
    assert len(column[column > 1]) == len(kept)
    assert len(column.index) == int((expected.rate > 0).sum())


def test_query_string_is_pushed_with_the_columns_above_it(frame: dd.DataFrame) -> None:
    by_hand = ReadNWB(with_rows(frame), ["id"], None, predicate("rate > 0.1 and x in [1, 2]"))
    assert simplified(frame.query("rate > 0.1 and x in [1, 2]")[["id"]])._name == by_hand._name


def test_query_string_with_variables_is_pushed(frame: dd.DataFrame) -> None:
    read = read_of(frame.query("rate > @least", local_dict={"least": 0.1}).id)
    assert read.operand("predicate") == predicate([("rate", ">", 0.1)])


def test_projection_alone_narrows_the_read(frame: dd.DataFrame) -> None:
    assert read_of(frame[["rate", "id"]]).columns == ["id", "rate"]
    assert read_of(frame.x + frame.id).columns == ["id", "x"]


@pytest.mark.parametrize("values", [[1, 2], (1, 2), {1, 2}, np.array([1, 2]), pd.Series([1, 2]), range(1, 3)])
def test_isin_is_pushed_whatever_holds_the_values(frame: dd.DataFrame, values: Any) -> None:
    expr = simplified(frame[frame.x.isin(values)])
    assert isinstance(expr, ReadNWB)


def test_isin_of_very_many_values_stays_with_dask(frame: dd.DataFrame, expected: pd.DataFrame) -> None:
    values = list(range(20_000))
    kept = frame[frame.x.isin(values)]
    assert read_of(kept).operand("predicate") is None
    pd.testing.assert_frame_equal(kept.compute(), expected[expected.x.isin(values)])


PUSHED_THROUGH: dict[str, Callable[[Any], Any]] = {
    "repartition": lambda d: d.repartition(npartitions=2)[d.repartition(npartitions=2).x > 1],
    "reset_index": lambda d: d.reset_index(drop=True)[d.reset_index(drop=True).x > 1],
    "merge": lambda d: joined(d)[joined(d).x > 1],
    "shuffle": lambda d: d.shuffle("name")[d.shuffle("name").x > 1],
}


def joined(d: dd.DataFrame) -> Any:
    weights = pd.DataFrame({"id": [1, 2], "weight": [1.0, 2.0]})
    return d[["id", "x"]].merge(dd.from_pandas(weights, npartitions=1), on="id", how="left")


@pytest.mark.parametrize("operation", PUSHED_THROUGH)
def test_filter_reaches_the_read_through_what_dask_lets_it(frame: dd.DataFrame, operation: str) -> None:
    expr = PUSHED_THROUGH[operation](frame[["id", "x", "name"]]).expr.simplify()
    (read,) = {node._name: node for node in expr.walk() if isinstance(node, ReadNWB)}.values()
    assert read.operand("predicate") == predicate([("x", ">", 1)])


STAYS: dict[str, Callable[[Any], Any]] = {
    "reduction": lambda d: d[d.x > d.x.mean()],
    "part of it is a reduction": lambda d: d[(d.rate > 1) & (d.x > d.x.mean())],
    "cumulative": lambda d: d[(d.rate > 1) & (d.x.cumsum() > 3)],
    "ufunc": lambda d: d[(d.rate > 1) & (np.log(d.id + 1) > 1)],
    "shift": lambda d: d[(d.rate > 1) & (d.x.shift(1) > 1)],
    "map_partitions": lambda d: d[(d.rate > 1) & d.x.map_partitions(lambda s: s > 1, meta=("x", bool))],
    "function in a comparison": lambda d: d[(d.rate > 1) & (d.name.map(len, meta=("name", "int64")) > 1)],
    "two functions": lambda d: d[(d.rate > 1) & d.x.map(bool, meta=("x", bool)) & d.id.map(bool, meta=("x", bool))],
    "used elsewhere too": lambda d: d[d.x > 1].x + d.x.sum(),
    "ragged": lambda d: d[d.spike_times.notnull()],  # noqa: PD004  # dask has no notna
    "after head": lambda d: d.head(3, compute=False)[d.head(3, compute=False).x > 1],
}


@pytest.mark.parametrize("case", STAYS)
def test_nothing_is_pushed_where_it_could_change_the_answer(frame: dd.DataFrame, case: str) -> None:
    assert read_of(STAYS[case](frame)).operand("predicate") is None


ROW_WISE: dict[str, Callable[[Any], Any]] = {
    "text": lambda d: d.name.str.slice(0, 1) == "a",
    "lengths": lambda d: d.spike_times.nwb.lengths() > 1,
    "function": lambda d: d.name.map(bool, meta=("name", bool)),
}


@pytest.mark.parametrize("rest", ROW_WISE)
def test_row_wise_rest_stays_as_a_filter_over_what_was_pushed(frame: dd.DataFrame, memory: Memory, rest: str) -> None:
    kept = frame[(frame.rate > 1) & ROW_WISE[rest](frame)][["id"]]
    assert read_of(kept).operand("predicate") == predicate([("rate", ">", 1)])
    assert any(isinstance(node, NWBFilter) for node in simplified(kept).walk())
    kept.compute()
    assert "waveform" not in memory.columns_read


def test_filter_on_scalar_column_reads_no_spike_times(frame: dd.DataFrame, memory: Memory) -> None:
    frame[frame.rate > 1][["id"]].compute()
    assert memory.columns_read == {"id"}


def test_heavy_columns_are_read_for_surviving_rows_only(
    frame: dd.DataFrame, memory: Memory, expected: pd.DataFrame
) -> None:
    frame[frame.x > 3].spike_times.compute()
    assert memory.rows_read == int((expected.x > 3).sum())


@pytest.mark.parametrize(
    "count",
    [
        len,
        lambda d: d.shape[0].compute(),
        lambda d: d.index.size.compute(),
        lambda d: d.size.compute() // len(d.columns),
        lambda d: d.spike_times.count().compute(),
        lambda d: d.flag.count().compute(),
        lambda d: len(d.spike_times),
        lambda d: len(d.index),
    ],
    ids=["len", "shape", "index size", "size", "ragged", "bools", "len of a column", "len of the index"],
)
def test_counts_are_known_without_reading(
    frame: dd.DataFrame, memory: Memory, expected: pd.DataFrame, count: Callable[[Any], int]
) -> None:
    assert count(frame) == len(expected)
    assert memory.log == []


def test_counts_of_filtered_rows_read_no_column(frame: dd.DataFrame, memory: Memory, expected: pd.DataFrame) -> None:
    n_rows = int((expected.x > 1).sum())
    assert len(frame[frame.x > 1]) == n_rows
    assert len(frame.spike_times[frame.x > 1]) == n_rows
    assert frame[frame.x > 1].spike_times.count().compute() == n_rows
    assert memory.columns_read == set()


def test_count_of_a_column_with_missing_values_reads_it(frame: dd.DataFrame, memory: Memory) -> None:
    frame.rate.count().compute()
    assert memory.columns_read == {"rate"}


def test_head_reads_its_rows_of_the_first_partition(
    frame: dd.DataFrame, memory: Memory, expected: pd.DataFrame
) -> None:
    pd.testing.assert_frame_equal(frame.head(3), expected.head(3))
    assert memory.rows_read == 3
    assert len(memory.log) == 1


def test_head_of_a_column_reads_that_column_only(frame: dd.DataFrame, memory: Memory, expected: pd.DataFrame) -> None:
    pd.testing.assert_series_equal(frame.spike_times.head(2), expected.spike_times.head(2))
    assert memory.columns_read == {"spike_times"}
    assert memory.rows_read == 2


def test_head_of_filtered_rows_stops_early(frame: dd.DataFrame, memory: Memory, expected: pd.DataFrame) -> None:
    result = frame[frame.x > -2][["id"]].head(2, npartitions=-1)
    pd.testing.assert_frame_equal(result, expected[expected.x > -2][["id"]].head(2))
    assert all(rows <= 2 for _, _, rows in memory.log)
    assert memory.columns_read == {"id"}


def test_tail_of_a_column_reads_the_last_partition_only(
    frame: dd.DataFrame, memory: Memory, expected: pd.DataFrame
) -> None:
    pd.testing.assert_series_equal(frame.id.tail(2), expected.id.tail(2))
    assert memory.columns_read == {"id"}
    assert memory.files_read == {"ses-5.nwb"}


def test_filter_on_the_file_leaves_others_unopened(frame: dd.DataFrame, memory: Memory, expected: pd.DataFrame) -> None:
    kept = frame[frame._nwb_path == "/data/ses-3.nwb"]
    assert kept.npartitions == 6
    assert kept.optimize().npartitions == 1
    pd.testing.assert_frame_equal(kept.compute(), expected[expected._nwb_path == "/data/ses-3.nwb"])
    assert memory.files_read == {"ses-3.nwb"}


@pytest.mark.parametrize("ask", [lambda s: s == "ses-3.nwb", lambda s: s.isin(["ses-3.nwb"])], ids=["==", "isin"])
def test_files_match_as_typed_pushed_or_not(frame: dd.DataFrame, memory: Memory, ask: Callable[[Any], Any]) -> None:
    assert set(frame[ask(frame._nwb_path)]._nwb_path.compute()) == {"/data/ses-3.nwb"}
    unpushed = frame[ask(frame._nwb_path) | (frame.x > frame.x.max())]
    assert set(unpushed._nwb_path.compute()) == {"/data/ses-3.nwb"}


def test_filter_that_no_file_meets_keeps_one_partition_unopened(frame: dd.DataFrame, memory: Memory) -> None:
    kept = frame[frame._nwb_path == "/data/absent.nwb"]
    assert kept.optimize().npartitions == 1
    assert len(kept.compute()) == 0
    assert memory.log == []


def test_partitions_stay_where_something_counts_them(frame: dd.DataFrame, memory: Memory) -> None:
    kept = frame[frame._nwb_path == "/data/ses-3.nwb"]
    assert kept.map_partitions(len).compute().tolist() == [0, 0, 0, 4, 0, 0]
    assert kept.id.to_dask_array(lengths=True).chunks == ((0, 0, 0, 4, 0, 0),)
    assert kept.id.to_dask_array(lengths=True).compute().shape == (4,)
    (persisted,) = dask.persist(kept)
    assert persisted.npartitions == 6
    assert len(persisted) == 4
    assert len(kept.partitions[3].compute()) == 4
    assert memory.files_read == {"ses-3.nwb"}


def test_persist_keeps_the_partitions_that_have_rows(frame: dd.DataFrame, expected: pd.DataFrame) -> None:
    persisted = frame[frame._nwb_path == "/data/ses-3.nwb"].persist()
    assert persisted.npartitions == 1
    pd.testing.assert_frame_equal(persisted.compute(), expected[expected._nwb_path == "/data/ses-3.nwb"])


def test_head_of_several_partitions_never_runs_out_of_them(frame: dd.DataFrame) -> None:
    kept = frame[frame._nwb_path == "/data/ses-3.nwb"]
    assert len(kept.head(3, npartitions=4)) == 3
    assert len(kept.head(3)) == 3


def test_partitions_then_filter_keeps_to_the_partitions(frame: dd.DataFrame, expected: pd.DataFrame) -> None:
    some = frame.partitions[2:4]
    kept = some[some._nwb_path != "/data/ses-2.nwb"]
    pd.testing.assert_frame_equal(kept.compute(), expected[expected._nwb_path == "/data/ses-3.nwb"])
    assert isinstance(simplified(kept), ReadNWB)


def test_sibling_that_is_not_filtered_keeps_the_partitions_aligned(frame: dd.DataFrame, expected: pd.DataFrame) -> None:
    kept = frame[frame._nwb_path == "/data/ses-3.nwb"]
    result = kept.id - frame.id
    assert result.compute().notna().sum() == 4


def test_filters_argument_is_a_pushed_predicate(memory: Memory) -> None:
    scan = make_scan(memory, [5, 4])
    read = frame_of_scan(scan, filters=GOOD).expr
    assert read._name == ReadNWB(scan, [field.name for field in scan.fields], None, predicate(GOOD))._name


def test_filters_argument_on_files_leaves_partitions_out_at_once(memory: Memory) -> None:
    frame = frame_of_scan(make_scan(memory, [5, 4, 3]), filters=[("_nwb_path", "==", "ses-1.nwb")])
    assert frame.npartitions == 1
    assert len(frame.compute()) == 4


def test_filters_argument_on_a_ragged_column_is_refused(memory: Memory) -> None:
    with pytest.raises(PredicateError, match="spike_times"):
        frame_of_scan(make_scan(memory, [5]), filters=[("spike_times", ">", 3)])


def test_filters_argument_that_compares_text_to_numbers_is_refused(memory: Memory) -> None:
    with pytest.raises(PredicateError, match="quality"):
        frame_of_scan(make_scan(memory, [5]), filters="quality > 3")


def test_comparing_a_ragged_column_is_refused_when_it_is_written(frame: dd.DataFrame) -> None:
    with pytest.raises(PredicateError, match="spike_times"):
        _ = frame.spike_times > 3


def test_index_is_the_row_number_and_stays_with_the_rows(frame: dd.DataFrame, expected: pd.DataFrame) -> None:
    result = frame[frame.x > 1].compute()
    assert result.index.tolist() == expected[expected.x > 1]._table_index.tolist()
    assert result.index.name is None
    assert result.index.dtype == np.int64


def test_index_may_be_a_column(memory: Memory) -> None:
    frame = frame_of_scan(make_scan(memory, [5, 4]), index="id")
    result = frame[frame.x > 0].compute()
    assert result.index.name == "id"
    assert "id" not in result
    pd.testing.assert_index_equal(frame._meta.index, result.index[:0], exact=True)
    assert len(frame) == 9
    with pytest.raises(PredicateError, match="cannot label"):
        frame_of_scan(make_scan(memory, [5]), index="spike_times")
    with pytest.raises(PathNotFoundError, match="spike_times"):
        frame_of_scan(make_scan(memory, [5]), index="spike_time")


def test_explain_says_what_will_be_read(frame: dd.DataFrame, no_compute: None) -> None:
    kept = frame[(frame._nwb_path == "ses-3.nwb") & (frame.rate > 1) & (frame.spike_times.nwb.lengths() > 1)]
    (plan,) = kept[["id", "spike_times"]].nwb.explain().reads
    assert (plan.n_files, plan.n_files_total, plan.n_partitions, plan.n_partitions_total) == (1, 6, 1, 6)
    assert plan.predicate == "(_nwb_path == '/data/ses-3.nwb') & (rate > 1)"
    assert set(plan.columns) == {"id", "spike_times"}
    assert plan.predicate_columns == ("rate",)
    assert plan.pruned == (("_nwb_path == '/data/ses-3.nwb'", 4),)
    assert len(plan.residual) == 1
    assert plan.expected_bytes > 0
    text = str(kept.nwb.explain())
    assert "1 of 6" in text
    assert "left out    4 by _nwb_path == '/data/ses-3.nwb'" in text
    assert "not pushed" in text


def test_partitions_of_the_accessor_are_those_that_will_be_read(frame: dd.DataFrame, no_compute: None) -> None:
    assert frame.nwb.partitions["file"].tolist() == [f"/data/ses-{i}.nwb" for i in range(6)]
    kept = frame[frame._nwb_path.isin(["ses-1.nwb", "ses-4.nwb"])]
    assert kept.nwb.partitions["file"].tolist() == ["/data/ses-4.nwb"]


def test_accessor_refuses_frames_from_elsewhere() -> None:
    other = dd.from_pandas(pd.DataFrame({"x": [1, 2]}), npartitions=1)
    with pytest.raises(PathNotFoundError, match="read_nwb"):
        other.nwb.explain()


def test_projection_of_a_projection_is_ours_and_dasks(frame: dd.DataFrame) -> None:
    assert isinstance(frame[["id", "x"]].expr, NWBProjection)
    assert isinstance(simplified(frame.drop(columns=["x"])), ReadNWB)
