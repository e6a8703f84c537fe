from __future__ import annotations

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
