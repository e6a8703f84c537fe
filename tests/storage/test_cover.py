from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_dask.storage.coalesce import Range, plan_requests
from nwb_dask.storage.cover import Cover, find_holes, join, shrink_requests

SIZE = 120
CONTENT = bytes(i % 251 for i in range(SIZE))


@st.composite
def some_ranges(draw: st.DrawFn) -> list[Range]:
    pairs = st.tuples(st.integers(0, SIZE), st.integers(0, 40))
    return draw(st.lists(pairs.map(lambda pair: (pair[0], min(sum(pair), SIZE))), max_size=8))


def members(ranges: list[Range]) -> set[int]:
    return {i for start, stop in ranges for i in range(start, stop)}


@settings(max_examples=80)
@given(kept=some_ranges(), wanted=some_ranges())
def test_a_cover_knows_each_byte_that_is_kept_and_who_has_it(kept: list[Range], wanted: list[Range]) -> None:
    cover = Cover(one for one in kept if one[0] < one[1])
    for start, stop in wanted:
        found = cover.parts(start, stop)
        assert members([(a, b) for a, b, _ in found]) == members(kept) & set(range(start, stop))
        assert all(one[0] <= a < b <= one[1] and one in kept for a, b, one in found)
        assert cover.has(start, stop) == (set(range(start, stop)) <= members(kept))


@settings(max_examples=80)
@given(kept=some_ranges(), wanted=some_ranges(), gap=st.integers(0, 20), cap=st.integers(1, 40))
def test_the_rest_is_within_what_would_be_asked_without_and_completes_it(
    kept: list[Range], wanted: list[Range], gap: int, cap: int
) -> None:
    pieces = [(start, CONTENT[start:stop]) for start, stop in kept]
    plan = plan_requests(wanted, gap_bytes=gap, free_bytes=4, waste=0.25, cap_bytes=cap)
    holes = find_holes(wanted, pieces)
    assert members(holes) == members(wanted) - members(kept)
    assert all(a[1] < b[0] or a[1] == b[0] for a, b in pairwise(holes))
    requests = shrink_requests(plan.requests, holes, gap_bytes=gap)
    assert members(requests) <= members(list(plan.requests))
    assert members(holes) <= members(requests)
    assert all(stop - start <= cap for start, stop in requests)
    if not kept:
        assert sum(stop - start for start, stop in requests) <= sum(stop - start for start, stop in plan.requests)
    fetched = [(start, CONTENT[start:stop]) for start, stop in requests]
    assert [bytes(one) for one in join(wanted, pieces + fetched)] == [CONTENT[a:b] for a, b in wanted]


def test_a_request_is_cut_only_where_that_saves_more_than_a_gap() -> None:
    holes = [(0, 10), (20, 30), (50, 60)]
    assert shrink_requests([(0, 100)], holes, gap_bytes=10) == [(0, 30), (50, 60)]
    assert shrink_requests([(0, 25), (25, 100)], holes, gap_bytes=10) == [(0, 25), (25, 30), (50, 60)]
    assert shrink_requests([(0, 100)], [], gap_bytes=10) == []


def test_pieces_that_lack_a_byte_are_an_error_and_no_answer() -> None:
    with pytest.raises(ValueError, match="byte 5 is in no piece"):
        join([(0, 10)], [(0, b"12345"), (6, b"7890")])
    with pytest.raises(ValueError, match="byte 0 is in no piece"):
        join([(0, 10)], [])
