from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwb_dask.errors import MalformedFileError
from nwb_dask.plan.ragged import element_spans, index_spans, merge_spans, rows_of_spans, spans_of_rows

lengths_and_rows = st.lists(st.integers(0, 6), min_size=1, max_size=30).flatmap(
    lambda lengths: st.tuples(st.just(lengths), st.sets(st.integers(0, len(lengths) - 1)))
)


@given(st.sets(st.integers(0, 200)))
def test_spans_cover_exactly_the_rows(chosen: set[int]) -> None:
    rows = np.array(sorted(chosen), np.int64)
    spans = spans_of_rows(rows)
    assert rows_of_spans(spans).tolist() == rows.tolist()
    assert (spans[1:, 0] > spans[:-1, 1]).all()


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 10)), max_size=20))
def test_merged_spans_cover_the_same_numbers_once(pairs: list[tuple[int, int]]) -> None:
    spans = np.array(sorted((start, start + length) for start, length in pairs), np.int64).reshape(-1, 2)
    merged = merge_spans(spans)
    covered = sorted({number for start, stop in spans.tolist() for number in range(start, stop)})
    assert rows_of_spans(merged).tolist() == covered
    assert (merged[1:, 0] > merged[:-1, 1]).all()


@given(lengths_and_rows)
def test_element_spans_are_those_of_slicing_by_hand(case: tuple[list[int], set[int]]) -> None:
    lengths, chosen = case
    ends = np.cumsum(lengths)
    rows = spans_of_rows(np.array(sorted(chosen), np.int64))
    known = index_spans(rows)
    spans = element_spans(ends[rows_of_spans(known)], known, rows, n_elements=int(ends[-1]))
    assert spans.tolist() == [[int(ends[row] - lengths[row]), int(ends[row])] for row in sorted(chosen)]


def test_an_index_that_decreases_is_malformed() -> None:
    rows = np.array([[0, 3]])
    with pytest.raises(MalformedFileError, match="decreases at row 1"):
        element_spans(np.array([5, 3, 8]), rows, rows, n_elements=8)


def test_an_index_that_decreases_between_the_rows_asked_for_is_malformed() -> None:
    rows = np.array([[0, 1], [2, 3]])
    with pytest.raises(MalformedFileError, match="decreases"):
        element_spans(np.array([5, 3, 8]), index_spans(rows), rows, n_elements=8)


def test_an_index_beyond_its_target_is_malformed() -> None:
    rows = np.array([[0, 2]])
    with pytest.raises(MalformedFileError, match="reaches element 9 of 8"):
        element_spans(np.array([5, 9]), rows, rows, n_elements=8)
