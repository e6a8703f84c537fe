"""Statistics leave partitions, tables and rows unread; the answers stay the same."""

from __future__ import annotations

import pickle

import dask.dataframe as dd
import pandas as pd
import pytest

from nwb_dask.adapters.dask_frame import frame_of_scan
from nwb_dask.adapters.dask_frame.expr import ReadNWB
from tests.adapters.dask_frame.memory import Memory, in_known_ranges, make_scan, whole_frame

LENGTHS = [5, 0, 9, 4, 1, 8]


@pytest.fixture
def known(memory: Memory) -> dd.DataFrame:
    """Two files per partition, of which every two rows are known; ids of file i are from 100 (i + 1) on."""
    return frame_of_scan(in_known_ranges(memory, make_scan(memory, LENGTHS, pack=2), 2))


@pytest.fixture
def expected(memory: Memory) -> pd.DataFrame:
    return whole_frame(memory, make_scan(memory, LENGTHS))


def test_only_the_rows_that_may_match_are_read(known: dd.DataFrame, expected: pd.DataFrame, memory: Memory) -> None:
    kept = known[(known.id >= 303) & (known.id < 305)].compute()

    pd.testing.assert_frame_equal(kept, expected[(expected.id >= 303) & (expected.id < 305)])
    assert memory.files_read == {"ses-2.nwb"}
    assert kept.index.tolist() == kept._table_index.tolist() == [3, 4]
    read = known[known.id >= 303].optimize(fuse=False).expr
    assert isinstance(read, ReadNWB)
    pieces = read.operand("scan").partition(0, fields=()).pieces
    assert [(piece.name, piece.start, piece.stop) for piece in pieces] == [
        ("/data/ses-2.nwb", 2, 9),
        ("/data/ses-3.nwb", 0, 4),
    ]


def test_condition_that_all_rows_satisfy_is_not_looked_at(known: dd.DataFrame, memory: Memory) -> None:
    (plan,) = known[known.id < 1000].nwb.explain().reads
    assert (plan.predicate_columns, plan.pruned) == ((), ())

    assert len(known[(known.id >= 400) & (known.id < 500)]) == 4
    assert memory.log == []


def test_condition_that_some_rows_do_not_satisfy_is_counted_by_reading(
    known: dd.DataFrame, expected: pd.DataFrame, memory: Memory
) -> None:
    assert len(known[known.id > 400]) == int((expected.id > 400).sum())
    assert "ses-3.nwb" in memory.files_read


def test_nobody_reads_for_a_condition_that_no_row_satisfies(known: dd.DataFrame, memory: Memory) -> None:
    assert len(known[known.id < 0].compute()) == 0
    assert len(known[known.id < 0]) == 0
    assert memory.log == []


def test_partitions_that_are_counted_stay_and_open_nothing(known: dd.DataFrame, memory: Memory) -> None:
    sizes = known[known.id >= 600].map_partitions(len).compute()
    assert sizes.tolist() == [0, 0, 8]
    assert memory.files_read == {"ses-5.nwb"}


def test_scan_that_travels_leaves_statistics_behind_and_opens_no_more(known: dd.DataFrame) -> None:
    query = known[known.id >= 600].map_partitions(len).optimize(fuse=False)
    (scan,) = (node.operand("scan") for node in query.expr.walk() if isinstance(node, ReadNWB))
    travelled = pickle.loads(pickle.dumps(scan))

    assert (travelled, travelled.statistics) == (scan, None)
    assert b"ColumnStatistics" not in pickle.dumps(known.expr.operand("scan"))
    assert travelled.rows.tolist() == [0, 0, 8]


def test_row_numbers_are_known_of_any_scan(memory: Memory) -> None:
    frame = frame_of_scan(make_scan(memory, LENGTHS))
    kept = frame[frame._table_index >= 5].compute()
    assert kept._table_index.tolist() == [5, 6, 7, 8, 5, 6, 7]
    assert memory.files_read == {"ses-2.nwb", "ses-5.nwb"}


def test_explain_says_what_left_out_how_much(known: dd.DataFrame, no_compute: None) -> None:
    found = known[(known.id >= 300) & (known.name == "nowhere")].nwb.explain()
    (plan,) = found.reads
    assert plan.pruned[0] == ("id >= 300", 3)
    assert plan.pruned[1][0] == "name == 'nowhere'"
    assert plan.n_files_total == 6
    assert "left out    3 by id >= 300" in str(found)


def test_filters_argument_and_query_text_prune_too(known: dd.DataFrame, memory: Memory) -> None:
    scan = known.expr.operand("scan")
    assert len(frame_of_scan(scan, filters=[("id", ">=", 600)]).compute()) == 8
    assert len(known.query("600 <= id").compute()) == 8
    assert len(known.loc[known.id.isin([600, 605]), "id"].compute()) == 2
    assert memory.files_read == {"ses-5.nwb"}


def test_statistics_are_taken_with_the_partitions(known: dd.DataFrame) -> None:
    scan = known.expr.operand("scan")
    taken = scan.take([2, 0])
    assert taken.statistics["id"].minimum.to_pylist()[:2] == [500, 600]
    assert len(taken.statistics["id"]) == len(taken.names())
