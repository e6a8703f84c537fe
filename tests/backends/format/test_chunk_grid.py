from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwb_dask.backends.hdf5.format.chunk_grid import ChunkGrid, ElementOrder, WantedElements, contains, overlaps, tidy
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, ChunkIndex, ElementType, FilePath

RANGES = st.lists(st.tuples(st.integers(-5, 40), st.integers(-5, 40)), max_size=6)
SIDES = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(0, 5)), min_size=1, max_size=4)


def entry_of(shape: tuple[int, ...], chunks: tuple[int, ...], maxshape: tuple[int | None, ...]) -> ArrayEntry:
    index = ChunkIndex("extensible", 0, tuple(length is None for length in maxshape), maxshape)
    return ArrayEntry(FilePath("/x"), ElementType("int", size=4), shape, "chunked", chunks=chunks, chunk_index=index)


def numbers_in(ranges: list[tuple[int, int]], limit: int) -> set[int]:
    return {number for start, stop in ranges for number in range(max(start, 0), min(stop, limit))}


@given(RANGES, st.integers(0, 35))
def test_tidy_ranges_hold_the_same_numbers_once(ranges: list[tuple[int, int]], limit: int) -> None:
    tidied = tidy(np.array(ranges, np.int64).reshape(-1, 2), limit=limit)
    bounds = tidied.reshape(-1).tolist()
    assert bounds == sorted(set(bounds))
    assert numbers_in([(start, stop) for start, stop in tidied.tolist()], limit) == numbers_in(ranges, limit)


@given(RANGES, RANGES)
def test_overlaps_says_whether_a_number_is_shared(ranges: list[tuple[int, int]], asked: list[tuple[int, int]]) -> None:
    tidied = tidy(np.array(ranges, np.int64).reshape(-1, 2), limit=40)
    starts, stops = np.array(asked, np.int64).reshape(-1, 2).T
    expected = [bool(set(range(start, stop)) & numbers_in(ranges, 40)) for start, stop in asked]
    assert overlaps(tidied, starts, stops).tolist() == expected
    assert contains(tidied, np.arange(40)).tolist() == [n in numbers_in(ranges, 40) for n in range(40)]


def _brute_elements(shape: tuple[int, ...], chunks: tuple[int, ...], maxshape: tuple[int | None, ...]) -> list[int]:
    """Return the element of each chunk, by enumerating the largest grid in its order."""
    counts = [-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True)]
    largest = [
        count if length is None else -(-length // chunk)
        for count, length, chunk in zip(counts, maxshape, chunks, strict=True)
    ]
    growing = [axis for axis, length in enumerate(maxshape) if length is None]
    axes = growing + [axis for axis in range(len(shape)) if axis not in growing]
    place_of = {}
    for element, place in enumerate(product(*[range(largest[axis]) for axis in axes])):
        place_of[tuple(place[axes.index(axis)] for axis in range(len(shape)))] = element
    return [place_of[place] for place in product(*map(range, counts))]


@given(SIDES, st.integers(-1, 3), st.data())
def test_elements_are_counted_over_the_largest_shape_the_growing_axis_first(
    sides: list[tuple[int, int, int]], growing: int, data: st.DataObject
) -> None:
    shape, chunks = tuple(side[0] for side in sides), tuple(side[1] for side in sides)
    maxshape = tuple(None if axis == growing else side[0] + side[2] for axis, side in enumerate(sides))
    entry = entry_of(shape, chunks, maxshape)
    grid = ChunkGrid.of(entry)
    order = ElementOrder.of(entry, grid)
    expected = _brute_elements(shape, chunks, maxshape)
    numbers = np.arange(grid.n_chunks)
    assert order.elements(numbers).tolist() == expected
    back = dict(zip(expected, numbers.tolist(), strict=True))
    every = np.arange(max(expected) + 3)
    assert order.numbers(every).tolist() == [back.get(element, -1) for element in every.tolist()]
    start = data.draw(st.integers(0, grid.n_chunks - 1))
    wanted = np.array([[start, data.draw(st.integers(start + 1, grid.n_chunks))]])
    elements = WantedElements.of(order, wanted, limit=max(expected) + 1)
    firsts = np.arange(max(expected) + 1)
    looked_for = [element in back and wanted[0, 0] <= back[element] < wanted[0, 1] for element in firsts.tolist()]
    exact = elements.are_in(firsts, firsts + 1).tolist()
    assert [said for said, true in zip(exact, looked_for, strict=True) if true] == [True] * sum(looked_for)
    if not order.is_monotone:
        assert exact == looked_for


def test_ranks_follow_the_lexicographic_order_even_outside_of_the_grid() -> None:
    grid = ChunkGrid((3, 4, 2))
    places = sorted(product(range(6), range(6), range(4)))
    ranks = grid.ranks([np.array(axis) for axis in zip(*places, strict=True)]).tolist()
    inside = [place for place in places if place[0] < 3 and place[1] < 4 and place[2] < 2]
    assert ranks == [sum(one < place for one in inside) for place in places]


@pytest.mark.parametrize(
    ("shape", "chunks", "maxshape"),
    [((4, 4), (2,), (4, 4)), ((4,), (0,), (4,)), ((-1,), (2,), (None,)), ((), (), ()), ((4,), (2,), (None, None))],
    ids=str,
)
def test_shapes_that_cannot_be_are_damage(
    shape: tuple[int, ...], chunks: tuple[int, ...], maxshape: tuple[int | None, ...]
) -> None:
    entry = entry_of(shape, chunks, maxshape)
    with pytest.raises(MalformedFileError):
        ElementOrder.of(entry, ChunkGrid.of(entry))


@pytest.mark.parametrize("maxshape", [(3, 4), (4, 3), (None, 3), (None, None)], ids=str)
def test_a_largest_shape_below_the_shape_is_damage(maxshape: tuple[int | None, ...]) -> None:
    entry = entry_of((4, 4), (1, 1), maxshape)
    with pytest.raises(MalformedFileError):
        ElementOrder.of(entry, ChunkGrid.of(entry))


def test_chunks_too_many_to_count_are_refused() -> None:
    with pytest.raises(UnsupportedLayoutError):
        ChunkGrid.of(entry_of((1 << 40, 1 << 40), (1, 1), (None, None)))
    entry = entry_of((5, 5, 5), (1, 1, 1), (None, 1 << 40, 1 << 40))
    with pytest.raises(UnsupportedLayoutError):
        ElementOrder.of(entry, ChunkGrid.of(entry))
