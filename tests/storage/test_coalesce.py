from __future__ import annotations

from itertools import pairwise

import hypothesis.strategies as st
from hypothesis import given

from nwb_dask.storage.coalesce import plan_requests

CONTENT = bytes(range(256)) * 8
positions = st.integers(0, len(CONTENT))
ranges = st.lists(st.tuples(positions, positions).map(lambda pair: (min(pair), max(pair))), max_size=30)


@given(ranges, st.integers(0, 300), st.integers(1, 600))
def test_slices_of_the_responses_are_the_bytes_of_every_range(
    wanted: list[tuple[int, int]], gap_bytes: int, cap_bytes: int
) -> None:
    plan = plan_requests(wanted, gap_bytes=gap_bytes, free_bytes=gap_bytes, waste=0.5, cap_bytes=cap_bytes)
    got = plan.slices([CONTENT[start:stop] for start, stop in plan.requests])
    assert [bytes(one) for one in got] == [CONTENT[start:stop] for start, stop in wanted]


@given(ranges, st.integers(0, 300), st.integers(1, 600))
def test_requests_increase_without_overlap_and_none_is_empty_or_longer_than_the_cap(
    wanted: list[tuple[int, int]], gap_bytes: int, cap_bytes: int
) -> None:
    requests = plan_requests(wanted, gap_bytes=gap_bytes, free_bytes=gap_bytes, waste=0.5, cap_bytes=cap_bytes).requests
    assert all(0 < stop - start <= cap_bytes for start, stop in requests)
    assert all(before[1] <= after[0] for before, after in pairwise(requests))


def test_neighbours_within_the_gap_share_a_request() -> None:
    assert plan_requests([(0, 10), (15, 20)], gap_bytes=5, free_bytes=5, waste=0.0, cap_bytes=100).requests == (
        (0, 20),
    )


def test_neighbours_beyond_the_gap_have_their_own_requests() -> None:
    assert plan_requests([(0, 10), (16, 20)], gap_bytes=5, free_bytes=5, waste=0.0, cap_bytes=100).requests == (
        (0, 10),
        (16, 20),
    )


def test_many_small_ranges_spread_out_are_not_fetched_with_all_that_lies_between() -> None:
    spread = [(start, start + 10) for start in range(0, 1000, 100)]
    assert plan_requests(spread, gap_bytes=90, free_bytes=5, waste=0.25, cap_bytes=2000).requests == tuple(spread)


def test_a_gap_is_bridged_where_much_is_wanted_on_its_sides() -> None:
    wide = [(0, 400), (490, 890)]
    assert plan_requests(wide, gap_bytes=90, free_bytes=5, waste=0.25, cap_bytes=2000).requests == ((0, 890),)


def test_neighbours_are_not_merged_beyond_the_cap() -> None:
    assert plan_requests([(0, 60), (60, 120)], gap_bytes=5, free_bytes=5, waste=0.0, cap_bytes=100).requests == (
        (0, 60),
        (60, 120),
    )


def test_long_range_is_split_evenly() -> None:
    assert plan_requests([(0, 250)], gap_bytes=0, free_bytes=0, waste=0.0, cap_bytes=100).requests == (
        (0, 83),
        (83, 166),
        (166, 250),
    )


def test_range_inside_one_response_is_a_view_of_it() -> None:
    plan = plan_requests([(2, 4), (6, 8)], gap_bytes=5, free_bytes=5, waste=0.0, cap_bytes=100)
    response = CONTENT[2:8]
    views = plan.slices([response])
    assert all(isinstance(view, memoryview) and view.obj is response for view in views)
