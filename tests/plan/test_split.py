from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwb_dask.index import Identity, Url
from nwb_dask.plan.partition import Piece
from nwb_dask.plan.split import pack_bounds, parse_bytes, split_piece

PIECE = Piece(Url("/a.nwb"), "/a.nwb", Identity("size", "", 1), "/units", 0, 10)


@given(st.integers(0, 50), st.integers(0, 10_000), st.integers(1, 2_000))
def test_split_covers_all_rows_once_in_order(n_rows: int, decoded: int, block: int) -> None:
    piece = Piece(PIECE.url, PIECE.name, PIECE.identity, PIECE.table, 0, n_rows)
    parts = split_piece(piece, decoded, block_bytes=block)
    rows = [row for part in parts for row in range(part.start, part.stop)]
    assert rows == list(range(n_rows))


@given(st.lists(st.integers(0, 100), max_size=40), st.integers(1, 300))
def test_packing_keeps_order_and_stays_within_the_size(sizes: list[int], limit: int) -> None:
    bounds = pack_bounds(sizes, partition_bytes=limit).tolist()
    assert bounds[0] == 0
    assert bounds[-1] == len(sizes)
    for first, last in pairwise(bounds):
        assert last - first == 1 or sum(sizes[first:last]) <= limit


def test_without_a_size_each_piece_is_a_partition() -> None:
    assert pack_bounds([5, 5, 5], partition_bytes=None).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("text", "size"), [("100 MB", 100_000_000), ("64MiB", 2**26), ("5", 5), (1e3, 1000)])
def test_sizes_are_read_as_dask_writes_them(text: str | float, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["many", "-5", "", "5 parsecs", 0])
def test_what_is_no_size_is_refused(text: str | int) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_bytes(text)


@given(st.integers(2, 500), st.integers(1, 40), st.integers(1, 60), st.integers(1, 3))
def test_splits_fall_on_borders_of_chunks_that_fit_into_a_block(
    n_rows: int, chunk_rows: int, n_chunks: int, row_bytes: int
) -> None:
    piece = replace(PIECE, stop=n_rows)
    block = chunk_rows * n_chunks * row_bytes
    parts = split_piece(piece, n_rows * row_bytes, block_bytes=block, chunk_rows=chunk_rows)
    assert all(part.start % chunk_rows == 0 for part in parts)
    assert all((part.stop - part.start) * row_bytes <= block for part in parts)
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(n_rows))


def test_a_chunk_larger_than_a_block_is_split_all_the_same() -> None:
    parts = split_piece(PIECE, 1000, block_bytes=300, chunk_rows=8)
    assert [(part.start, part.stop) for part in parts] == [(0, 3), (3, 6), (6, 9), (9, 10)]
