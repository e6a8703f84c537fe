from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nwb_dask.index import ArrayEntry, ElementType, FilePath, Filter
from nwb_dask.plan.chunks import explain_huge_chunks, native_chunks, plan_chunks

MIB = 1 << 20
TARGET = 64 * MIB


@st.composite
def arrays(draw: st.DrawFn) -> tuple[tuple[int, ...], int, tuple[int, ...] | None, int, int]:
    shape = draw(st.lists(st.integers(0, 300), min_size=1, max_size=4).map(tuple))
    native = draw(st.none() | st.tuples(*(st.integers(1, 200) for _ in shape)))
    time_axis = draw(st.integers(0, len(shape) - 1))
    return shape, draw(st.sampled_from([1, 2, 4, 8, 16])), native, draw(st.integers(1, 100_000)), time_axis


@given(arrays())
def test_parts_cover_the_array_once_and_are_made_of_whole_stored_chunks(
    case: tuple[tuple[int, ...], int, tuple[int, ...] | None, int, int],
) -> None:
    shape, itemsize, native, target, time_axis = case
    chunks = plan_chunks(shape, itemsize, native, target_bytes=target, time_axis=time_axis)
    assert tuple(map(sum, chunks)) == shape
    for lengths, length, stored in zip(chunks, shape, native or (1,) * len(shape), strict=True):
        assert lengths == (0,) if not length else min(lengths) > 0
        # All parts but the last end where a stored chunk does.
        assert all(one % stored == 0 for one in lengths[:-1])
        assert len(set(lengths[:-1])) <= 1
        assert lengths[-1] <= lengths[0]


@given(arrays())
def test_no_part_is_larger_than_the_target_unless_it_is_one_stored_chunk(
    case: tuple[tuple[int, ...], int, tuple[int, ...] | None, int, int],
) -> None:
    shape, itemsize, native, target, time_axis = case
    chunks = plan_chunks(shape, itemsize, native, target_bytes=target, time_axis=time_axis)
    largest = tuple(max(lengths) for lengths in chunks)
    one = tuple(min(pair) for pair in zip(native, shape, strict=True)) if native else tuple(min(n, 1) for n in shape)
    assert prod(largest) * itemsize <= target or largest == one


@example(((229,), 16, (2,), 3664, 0))
@given(arrays())
def test_parts_are_as_large_as_they_may_be(
    case: tuple[tuple[int, ...], int, tuple[int, ...] | None, int, int],
) -> None:
    shape, itemsize, native, target, time_axis = case
    chunks = plan_chunks(shape, itemsize, native, target_bytes=target, time_axis=time_axis)
    whole = [len(lengths) == 1 for lengths in chunks]
    if all(whole) or 0 in shape:
        return
    # An axis is cut in time only if the next stored chunk would be too much.
    if not whole[time_axis]:
        step = (native or (1,) * len(shape))[time_axis]
        largest = [max(lengths) for lengths in chunks]
        largest[time_axis] = min(largest[time_axis] + step, shape[time_axis])
        assert prod(largest) * itemsize > target or any(
            not done for axis, done in enumerate(whole) if axis != time_axis
        )


@pytest.mark.parametrize(
    ("shape", "itemsize", "native", "first", "n"),
    [
        # Neuropixels, as spikeinterface and neuroconv write it.
        ((216_000_000, 384), 4, (13_653, 384), (40_959, 384), 5274),
        # Columns of chunks become whole rows before time grows.
        ((216_000_000, 384), 4, (4096, 64), (40_960, 384), 5274),
        ((18_000, 512, 512), 4, (1, 512, 512), (64, 512, 512), 282),
        ((3_000_000, 32), 4, None, (524_288, 32), 6),
        ((12_800_000,), 4, (128,), (12_800_000,), 1),
        ((12_800_000, 4), 4, (128, 4), (4_194_304, 4), 4),
        # One huge chunk is one part.
        ((10_000_000, 16), 4, (10_000_000, 16), (10_000_000, 16), 1),
        # A row that is too long is cut as well; so are channels that are stored one by one.
        ((10, 100_000_000), 4, None, (1, 16_666_667), 60),
        ((10_000_000, 384), 4, (1_000_000, 1), (1_000_000, 16), 240),
        ((1000, 3), 8, (4000, 3), (1000, 3), 1),
    ],
)
def test_layouts_of_recordings(
    shape: tuple[int, ...], itemsize: int, native: tuple[int, ...] | None, first: tuple[int, ...], n: int
) -> None:
    chunks = plan_chunks(shape, itemsize, native, target_bytes=TARGET)
    assert tuple(lengths[0] for lengths in chunks) == first
    assert prod(map(len, chunks)) == n


def test_a_hundred_thousand_stored_chunks_are_a_few_parts() -> None:
    chunks = plan_chunks((12_800_000,), 8, (128,), target_bytes=TARGET)
    assert chunks == ((8_388_608, 4_411_392),)


def test_time_may_be_another_axis_than_the_first() -> None:
    assert plan_chunks((100, 1_000_000), 4, (1, 1000), target_bytes=TARGET, time_axis=1)[0] == (100,)
    assert plan_chunks((100, 1_000_000), 4, (1, 1000), target_bytes=TARGET)[1] == (1_000_000,)


def test_arrays_without_axes_or_without_values_have_one_empty_part() -> None:
    assert plan_chunks((), 8, None, target_bytes=TARGET) == ()
    assert plan_chunks((0, 4), 8, (100, 4), target_bytes=TARGET) == ((0,), (4,))
    assert plan_chunks((5, 0), 8, None, target_bytes=TARGET) == ((5,), (0,))


@pytest.mark.parametrize("native", [(0,), (3, 3)])
def test_chunks_that_no_array_can_have_are_refused(native: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="chunks of"):
        plan_chunks((10,), 8, native, target_bytes=TARGET)


def test_huge_chunks_are_cut_only_where_they_are_not_compressed() -> None:
    plain = ArrayEntry(FilePath("/x"), ElementType("int", np.dtype("<i2")), (10_000_000, 16), "chunked")
    huge = replace(plain, chunks=(10_000_000, 16))
    gzip = replace(huge, filters=(Filter(1, (4,)),))
    small = replace(plain, chunks=(1000, 16))
    native = [native_chunks(one, 4, target_bytes=TARGET) for one in (huge, gzip, small)]
    assert native == [None, (10_000_000, 16), (1000, 16)]
    contiguous = replace(plain, layout="contiguous")
    assert native_chunks(contiguous, 4, target_bytes=TARGET) is None


def test_chunks_that_cannot_be_cut_are_explained() -> None:
    text = explain_huge_chunks((10_000_000, 16), 4, (10_000_000, 16), target_bytes=TARGET)
    assert text is not None
    assert "10000000 x 16 values, 610 MiB each" in text
    for native, itemsize in product([None, (1000, 16)], [4, 8]):
        assert explain_huge_chunks((10_000_000, 16), itemsize, native, target_bytes=TARGET) is None
