from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_dask.plan import selection as planning
from nwb_dask.plan.selection import Block, Selection, plan_blocks

Array = npt.NDArray[Any]
Key = tuple[Any, ...]


@st.composite
def keys(draw: st.DrawFn, length: int) -> Any:
    kind = draw(st.sampled_from(["slice", "array", "int"] if length else ["slice"]))
    if kind == "int":
        return draw(st.integers(-length, length - 1))
    if kind == "array":
        listed = draw(st.lists(st.integers(-length, length - 1), max_size=12))
        return np.array(sorted(listed) if draw(st.booleans()) else listed, np.int64)
    bound = st.none() | st.integers(-length - 2, length + 2)
    return slice(draw(bound), draw(bound), draw(st.none() | st.integers(-7, 7).filter(bool)))


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[int, ...], Key, tuple[int, ...] | None]:
    shape = tuple(draw(st.lists(st.integers(0, 20), min_size=1, max_size=3)))
    n_given = draw(st.integers(0, len(shape)))
    key = tuple(draw(keys(length)) for length in shape[:n_given])
    return shape, key, draw(st.none() | st.tuples(*(st.integers(1, 8) for _ in shape)))


def outer(values: Array, key: Key) -> Array:
    """Return what is picked along one axis after the other, last axis first, as numpy does it."""
    for axis in reversed(range(len(key))):
        values = values[(slice(None),) * axis + (key[axis],)]
    return values


def read(values: Array, block: Block) -> Array:
    """Return what a file gives for a block."""
    rows = np.concatenate([np.arange(*span) for span in block.spans.tolist()])
    found: Array = values[rows][(slice(None), *(slice(*one) for one in block.box))]
    return found


@given(case=cases(), max_bytes=st.sampled_from([1, 40, 400, 1 << 20]), gap=st.sampled_from([0, 3, 1 << 14]))
@settings(max_examples=600, deadline=None)
def test_blocks_make_up_what_numpy_picks(
    case: tuple[tuple[int, ...], Key, tuple[int, ...] | None], max_bytes: int, gap: int
) -> None:
    shape, key, native = case
    values = np.arange(prod(shape)).reshape(shape)
    selection = Selection.of(key, shape)
    expected = outer(values, key)
    assert selection.shape == expected.shape
    out = np.full(selection.ordered_shape, -1)
    n_filled = 0
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(planning, "GAP_BYTES", gap)
        for blocks in plan_blocks(selection, shape, 1, native, max_bytes=max_bytes):
            for block in blocks:
                starts, stops = block.spans.T
                assert (starts < stops).all()
                assert (stops[:-1] <= starts[1:]).all()
                picked = block.pick(read(values, block))
                selection.flipped(out)[block.places] = picked
                n_filled += picked.size
            n_rows = int((blocks[0].spans[:, 1] - blocks[0].spans[:, 0]).sum())
            n_bytes = sum(n_rows * prod(stop - start for start, stop in block.box) for block in blocks)
            unit = 1 if native is None else native[0]
            assert n_bytes <= max(max_bytes, unit * (n_bytes // n_rows))
    assert n_filled == out.size
    np.testing.assert_array_equal(selection.arranged(out), expected)


def blocks_of(key: Any, shape: tuple[int, ...], native: tuple[int, ...] | None = None, **options: int) -> list[Any]:
    found = plan_blocks(Selection.of(key, shape), shape, 2, native, max_bytes=options.get("max_bytes", 1 << 26))
    return [[(block.spans.tolist(), block.box) for block in blocks] for blocks in found]


def test_a_window_of_a_few_channels_is_one_block() -> None:
    assert blocks_of((slice(30_000, 60_000), slice(5, 8)), (10**9, 384)) == [[([[30_000, 60_000]], ((5, 8),))]]


def test_long_reads_end_where_stored_chunks_do() -> None:
    found = blocks_of((slice(50, 1050), slice(0, 10)), (5000, 10), (100, 10), max_bytes=6500)
    assert [spans for ((spans, _),) in found] == [[[50, 300]], [[300, 600]], [[600, 900]], [[900, 1050]]]


def test_short_reads_are_not_cut() -> None:
    for start in range(0, 700, 33):
        assert blocks_of((slice(start, start + 300),), (5000, 10), (100, 10), max_bytes=6500) == [
            [([[start, start + 300]], ((0, 10),))]
        ]
        listed = np.concatenate([np.arange(start, start + 150), np.arange(4000, 4150)])
        assert len(blocks_of((listed,), (5000, 1000), (100, 1000), max_bytes=650_000)) == 1


def test_rows_far_apart_are_read_alone_and_near_ones_with_those_between() -> None:
    rows = np.array([5, 7, 40_000, 40_001, 90_000])
    ((block,),) = blocks_of((rows,), (100_000, 4))
    assert block == ([[5, 8], [40_000, 40_002], [90_000, 90_001]], ((0, 4),))
    assert blocks_of((slice(0, 100_000, 30_000),), (100_000, 4)) == [
        [([[0, 1], [30_000, 30_001], [60_000, 60_001], [90_000, 90_001]], ((0, 4),))]
    ]
    assert blocks_of((slice(0, 100_000, 100),), (100_000, 4)) == [[([[0, 99_901]], ((0, 4),))]]


def test_channels_in_chunk_columns_far_apart_are_boxes_of_their_own() -> None:
    ((first, second),) = blocks_of((slice(0, 10), np.array([300, 3, 5])), (1000, 384), (100, 32))
    assert first == ([[0, 10]], ((3, 6),))
    assert second == ([[0, 10]], ((300, 301),))
    ((only,),) = blocks_of((slice(0, 10), np.array([3, 63])), (1000, 384), (100, 32))
    assert only == ([[0, 10]], ((3, 64),))


def test_lists_along_many_axes_do_not_become_boxes_without_number() -> None:
    every = np.arange(0, 1000, 10)
    ((*blocks,),) = blocks_of((0, every, every), (10, 1000, 1000), (1, 2, 2))
    assert len(blocks) <= 64


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ((10,), "index 10 is out of bounds for axis 0 with size 10"),
        ((-11,), "index -11 is out of bounds for axis 0 with size 10"),
        ((0, np.array([0, 4])), "index 4 is out of bounds for axis 1 with size 4"),
        ((0, [-5]), "index -5 is out of bounds for axis 1 with size 4"),
        ((0, 0, 0), "too many indices"),
        ((np.array([18446744073709551615], np.uint64),), "out of bounds"),
        ((np.zeros((2, 2), int),), "1-d array of integers"),
        ((np.array([True] * 10),), "1-d array of integers"),
        ((True,), "1-d array of integers"),
        ((1.0,), "1-d array of integers"),
        ((None,), "1-d array of integers"),
        ((np.array([1.5]),), "1-d array of integers"),
    ],
)
def test_what_numpy_would_not_take_as_an_outer_index_is_an_error(key: Key, message: str) -> None:
    with pytest.raises(IndexError, match=message):
        Selection.of(key, (10, 4))


def test_an_empty_list_picks_nothing() -> None:
    assert Selection.of(([],), (10, 4)).shape == (0, 4)
    assert Selection.of(np.int64(3), (10, 4)).shape == (4,)
    assert Selection.of(np.array(3), (10, 4)).shape == (4,)
