"""Arithmetic on rows: what is cut at chunks is put together again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwb_dask.backends.hdf5.spans import count, cut, join, n_chunks, rows, tidy


def spans_within(n_rows: int) -> st.SearchStrategy[np.ndarray[tuple[int, int], np.dtype[np.int64]]]:
    cuts = st.lists(st.integers(0, n_rows), max_size=20).filter(lambda cuts: len(cuts) % 2 == 0)
    return cuts.map(lambda cuts: np.array(sorted(cuts), np.int64).reshape(-1, 2))


@given(spans=spans_within(100), chunk=st.integers(1, 120))
def test_pieces_lie_in_one_chunk_and_cover_the_rows_in_order(
    spans: np.ndarray[tuple[int, int], np.dtype[np.int64]], chunk: int
) -> None:
    wanted = tidy(spans, n_rows=100)
    pieces = cut(wanted, chunk_rows=chunk)
    assert (pieces.start >= 0).all()
    assert (pieces.stop <= chunk).all()
    assert (pieces.start < pieces.stop).all()
    base = pieces.chunk * chunk
    covered = rows(pieces.start + base, pieces.stop + base)
    expected = [row for start, stop in spans.tolist() for row in range(start, stop)]
    assert covered.tolist() == expected
    assert count(wanted) == len(expected)
    lengths = (pieces.stop - pieces.start).tolist()
    assert pieces.out.tolist() == [sum(lengths[:i]) for i in range(len(lengths))]


@given(spans=spans_within(100), gap=st.integers(0, 30))
def test_joined_spans_cover_the_same_rows_and_lie_apart(
    spans: np.ndarray[tuple[int, int], np.dtype[np.int64]], gap: int
) -> None:
    wanted = tidy(spans, n_rows=100)
    joined = join(wanted, gap=gap)
    assert set(rows(wanted[:, 0], wanted[:, 1])) <= set(rows(joined[:, 0], joined[:, 1]))
    assert (joined[1:, 0] - joined[:-1, 1] > gap).all()


def test_all_rows_are_one_span_and_no_rows_none() -> None:
    assert tidy(None, n_rows=5).tolist() == [[0, 5]]
    assert tidy(None, n_rows=0).shape == (0, 2)
    assert tidy(np.array([[0, 2], [2, 2], [2, 5]]), n_rows=5).tolist() == [[0, 5]]


def test_chunks_are_counted_without_overflow() -> None:
    assert n_chunks((1 << 62, 1 << 62), (1, 3)) == (1 << 62) * ((1 << 62) // 3 + 1)


@pytest.mark.parametrize("spans", [[[0, 6]], [[3, 1]], [[-1, 2]], [[2, 4], [0, 1]]])
def test_rows_that_are_not_there_are_refused(spans: list[list[int]]) -> None:
    with pytest.raises(IndexError):
        tidy(np.array(spans), n_rows=5)
