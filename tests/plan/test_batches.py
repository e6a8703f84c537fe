"""A scan goes through batches that keep to limits, and every row is in one of them."""

from __future__ import annotations

import pickle
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwb_dask.index import Identity, Url
from nwb_dask.model.field import Field, path_fields
from nwb_dask.plan.batches import BatchLimits, plan_batches
from nwb_dask.plan.partition import Partition, Piece
from nwb_dask.plan.predicate import Call, Column, Literal, Node
from nwb_dask.plan.scan import Scan, pieces_table
from nwb_dask.plan.split import pack_bounds

X, Y = Field("x", pa.float64()), Field("y", pa.list_(pa.float64()), heavy=True)


def make_scan(lengths: list[int], *, together: int | None = None, row_bytes: int = 8) -> Scan:
    pieces = [
        Piece(Url(f"/{i}.nwb"), f"/{i}.nwb", Identity("size", "1", 1), "/units", 0, length)
        for i, length in enumerate(lengths)
    ]
    table = pieces_table((piece, piece.name) for piece in pieces)
    bounds = pack_bounds([1] * len(pieces), partition_bytes=together)
    total = sum(lengths)
    return Scan("/units", (X, Y, *path_fields()), table, bounds, (("x", 8 * total), ("y", row_bytes * total)))


def batches(scan: Scan, limits: tuple[int, int, int] = (128, 10**9, 10**9), **options: Any) -> list[Partition]:
    given: dict[str, Any] = {"fields": (X,), "predicate": None, "predicate_fields": (), "n_rows": None} | options
    return list(plan_batches(scan, limits=BatchLimits(*limits), **given))


def spans(found: list[Partition]) -> list[list[tuple[str, int, int]]]:
    return [[(piece.name[1:-4], piece.start, piece.stop) for piece in batch.pieces] for batch in found]


def test_tables_share_a_batch_while_it_is_small() -> None:
    scan = make_scan([3, 0, 2, 4])
    assert spans(batches(scan)) == [[("0", 0, 3), ("2", 0, 2), ("3", 0, 4)]]
    assert spans(batches(scan, (2, 100, 1000))) == [[("0", 0, 3), ("2", 0, 2)], [("3", 0, 4)]]
    assert spans(batches(scan, (9, 4, 1000))) == [[("0", 0, 3)], [("2", 0, 2)], [("3", 0, 4)]]
    assert spans(batches(scan, (9, 1, 1000))) == [[("0", 0, 3)], [("2", 0, 2)], [("3", 0, 4)]]


def test_large_tables_are_split_by_the_bytes_of_the_columns_that_are_read() -> None:
    scan = make_scan([5], row_bytes=100)
    assert spans(batches(scan, (9, 100, 250))) == [[("0", 0, 5)]]
    assert spans(batches(scan, (9, 100, 250), fields=(Y,))) == [[("0", 0, 2)], [("0", 2, 4)], [("0", 4, 5)]]
    assert spans(batches(scan, (9, 100, 250), predicate_fields=(Y,))) == [[("0", 0, 2)], [("0", 2, 4)], [("0", 4, 5)]]


@pytest.mark.parametrize("together", [None, 2, 9])
def test_first_rows_are_of_the_first_files(together: int | None) -> None:
    scan = make_scan([3, 0, 2, 4], together=together)
    assert spans(batches(scan, n_rows=4)) == [[("0", 0, 3), ("2", 0, 1)]]
    assert spans(batches(scan, n_rows=3)) == [[("0", 0, 3)]]
    assert spans(batches(scan, n_rows=100)) == spans(batches(scan))
    assert spans(batches(scan, n_rows=0)) == []


def test_files_that_cannot_match_are_left_out_and_their_rows_count_as_first_ones() -> None:
    scan = make_scan([3, 2, 4])
    other: Node = Call("ne", (Column("_nwb_path"), Literal("/0.nwb")))
    found = batches(scan, predicate=other, predicate_fields=path_fields()[:1], n_rows=4)
    assert spans(found) == [[("1", 0, 1)]]
    assert found[0].predicate == other


def test_scan_without_tables_or_rows_has_no_batch() -> None:
    assert batches(make_scan([0, 0])) == []
    assert batches(make_scan([])) == []


def test_batch_carries_what_its_read_needs() -> None:
    (batch,) = batches(make_scan([3]))
    assert (batch.fields, batch.limit) == ((X,), None)
    assert pickle.loads(pickle.dumps(batch)) == batch


@pytest.mark.parametrize("wrong", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_limits_that_no_batch_can_keep_are_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        BatchLimits(*wrong)


@given(
    lengths=st.lists(st.integers(0, 20), max_size=8),
    limits=st.tuples(st.integers(1, 4), st.integers(1, 30), st.integers(1, 2000)),
    n_rows=st.none() | st.integers(0, 60),
    together=st.none() | st.integers(1, 4),
    row_bytes=st.integers(0, 300),
)
def test_every_row_is_in_one_batch_in_order(
    lengths: list[int], limits: tuple[int, int, int], n_rows: int | None, together: int | None, row_bytes: int
) -> None:
    scan = make_scan(lengths, together=together, row_bytes=row_bytes)
    found = batches(scan, limits, fields=(X, Y), n_rows=n_rows)
    rows = [(p.name, row) for batch in found for p in batch.pieces for row in range(p.start, p.stop)]
    assert rows == [(f"/{i}.nwb", row) for i, length in enumerate(lengths) for row in range(length)][:n_rows]
    for batch in found:
        counts = [piece.stop - piece.start for piece in batch.pieces]
        assert len(counts) <= limits[0]
        assert min(counts) > 0
        assert len(counts) == 1 or sum(counts) <= limits[1]
        assert sum(counts) == 1 or sum(counts) * (8 + row_bytes) <= limits[2]
