"""Stamps in a dataset are searched as in memory, and a search reads little of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from nwb_dask.adapters.xarray_backend.axes import (
    StoredAxis,
    blocks,
)
from nwb_dask.adapters.xarray_backend.axes.blocks import BlockSearch, block_search
from nwb_dask.errors import MalformedFileError, UnsortedTimesError
from tests.adapters.xarray_backend.axis_cases import (
    expected_search,
    random_labels,
    steady,
)
from tests.adapters.xarray_backend.stamps import ArrayStamps, H5Stamps, Labels, Rows, SimulatedStamps


@pytest.fixture(params=["contiguous", "chunked", "small chunks", "float32"])
def h5_axis(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[StoredAxis, Labels]:
    n = 150_000
    steps = np.random.default_rng(4).uniform(0.9, 1.1, n) / 1000
    steps[n // 2] += 100
    stamps = np.cumsum(steps).astype(np.float32 if request.param == "float32" else np.float64)
    chunks = {"contiguous": None, "chunked": 10_000, "small chunks": 100, "float32": 4096}[request.param]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("t", data=stamps, chunks=None if chunks is None else (chunks,))
    return StoredAxis(H5Stamps(tmp_path / "a.h5", "t")), stamps.astype(np.float64)


def test_stamps_of_hdf5_files_are_cut_and_searched_as_in_memory(h5_axis: tuple[StoredAxis, Labels]) -> None:
    axis, labels = h5_axis
    rng = np.random.default_rng(5)
    values = random_labels(rng, labels, 100)
    for index in (slice(None), slice(1000, 100_000), slice(None, None, -7), slice(5, None, 20_000)):
        cut, part = axis.take(index), labels[index]
        np.testing.assert_array_equal(cut.labels(), part)
        for side in ("left", "right"):
            np.testing.assert_array_equal(cut.searchsorted(values, side), expected_search(part, values, side))
    rows = rng.integers(0, axis.n, 300)
    np.testing.assert_array_equal(axis.label_at(rows), labels[rows])
    np.testing.assert_array_equal(axis.take(rows).labels(), labels[rows])


def test_small_stamps_are_read_once_and_whole() -> None:
    stamps = ArrayStamps("small", np.arange(131_072.0))
    axis = StoredAxis(stamps)
    axis.searchsorted([5.0, 100_000.0])
    axis.take(slice(10, 20)).searchsorted(15.0)
    axis.labels(500, 600)
    StoredAxis(ArrayStamps("small", stamps.values)).searchsorted(3.0)
    assert stamps.log.reads == [(0, 131_072)]
    assert axis.bounds == (0.0, 131_071.0)


def test_bounds_of_stored_times_are_told_only_where_they_were_read() -> None:
    axis = StoredAxis(SimulatedStamps("bounds", 10_000_000, 8192, steady))
    unread = axis.bounds
    assert unread is None
    assert not axis.is_free
    assert (axis.first, axis.last) == (0.0, 9999.999)
    assert axis.bounds == (0.0, 9999.999)
    assert axis.take(slice(100, 200)).bounds == (0.1, 0.199)


def test_blocks_in_memory_are_bounded_for_one_dataset_and_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    n = 8192 * 1000
    axis = StoredAxis(SimulatedStamps("bounded", n, 8192, steady))
    axis.label_at(np.arange(0, n, 8192))
    search = block_search(axis.stamps)
    assert search.held_bytes == 32 * 8192 * 8
    monkeypatch.setattr(blocks, "_MAX_BYTES_OF_ALL", 64 * 8192 * 8)
    others = [StoredAxis(SimulatedStamps(f"bounded {i}", n, 8192, steady)) for i in range(5)]
    for other in others:
        other.label_at(np.arange(0, 1_000_000, 8192))
    held = [block_search(one.stamps).held_bytes for one in (axis, *others)]
    assert sum(held) <= 64 * 8192 * 8
    assert held[-1] == 32 * 8192 * 8
    assert held[0] == 0
    assert axis.label(5) == 0.005


def test_large_blocks_are_bounded_by_their_bytes() -> None:
    rows = 3_000_000
    axis = StoredAxis(SimulatedStamps("huge chunks", 30_000_000, rows, steady))
    axis.label_at(np.arange(0, 30_000_000, rows))
    assert block_search(axis.stamps).held_bytes == 2 * rows * 8


def test_what_is_known_of_stamps_is_given_up_with_the_last_axis() -> None:
    axis = StoredAxis(SimulatedStamps("given up", 10_000_000, 8192, steady))
    search = block_search(axis.stamps)
    assert block_search(SimulatedStamps("given up", 10_000_000, 8192, steady)) is search
    assert isinstance(search, BlockSearch)
    del axis, search
    assert SimulatedStamps("given up", 10_000_000, 8192, steady) not in blocks._searches


def test_stamps_that_are_fewer_than_was_said_are_an_error() -> None:
    class Short(ArrayStamps):
        def read(self, start: int, stop: int) -> Labels:
            return super().read(start, stop)[:-1]

    with pytest.raises(MalformedFileError, match="were read as an array of"):
        StoredAxis(Short("fewer", np.arange(10.0))).searchsorted(3.0)


UNSORTED = {
    "swapped": [0.0, 2.0, 1.0, 3.0],
    "decreasing": [3.0, 2.0, 1.0, 0.0],
    "with NaN inside": [0.0, np.nan, 2.0, 3.0],
    "with NaN first": [np.nan, 0.0, 2.0, 3.0],
}


@pytest.mark.parametrize("labels", UNSORTED.values(), ids=UNSORTED)
def test_unsorted_stamps_are_taken_by_position_and_never_searched(labels: list[float]) -> None:
    axis = StoredAxis(ArrayStamps(f"unsorted {labels}", np.array(labels)))
    for cut in (axis, axis.take(slice(None, None, -1)), axis.take([0, 1, 3])):
        for _ in range(2):
            with pytest.raises(UnsortedTimesError, match="not in order"):
                cut.searchsorted(1.0)
    np.testing.assert_array_equal(axis.take(slice(1, 3)).labels(), labels[1:3])
    assert issubclass(UnsortedTimesError, KeyError)
    assert issubclass(UnsortedTimesError, ValueError)


def step_back(rows: Rows) -> Labels:
    return steady(rows) - 5000.0 * (rows >= 9_000_000)


def test_disorder_of_large_stamps_is_noticed_between_the_blocks_that_are_read() -> None:
    axis = StoredAxis(SimulatedStamps("step back", 10_000_000, 8192, step_back))
    assert axis.searchsorted(0.005) == 5
    with pytest.raises(UnsortedTimesError, match="not in order"):
        axis.searchsorted(8999.0)
    with pytest.raises(UnsortedTimesError, match="not in order"):
        axis.searchsorted(0.005)
    assert axis.label(5) == 0.005


def lower_from_block_600(rows: Rows) -> Labels:
    return np.asarray(steady(rows) - 1e6 * (rows >= 600 * 8192))


def higher_in_blocks_300_to_400(rows: Rows) -> Labels:
    return np.asarray(steady(rows) + 1e6 * ((rows >= 300 * 8192) & (rows < 400 * 8192)))


@pytest.mark.parametrize("compute", [lower_from_block_600, higher_in_blocks_300_to_400])
def test_blocks_that_are_in_order_must_be_so_among_each_other(compute: Callable[[Rows], Labels]) -> None:
    axis = StoredAxis(SimulatedStamps(compute.__name__, 1000 * 8192, 8192, compute))
    if compute is higher_in_blocks_300_to_400:
        assert axis.searchsorted(4100.0) == 4_100_000
    with pytest.raises(UnsortedTimesError, match="not in order"):
        axis.searchsorted(5000.0 if compute is lower_from_block_600 else 2900.0)


def mostly_repeated(rows: Rows) -> Labels:
    return np.floor(rows / 3_000_000)


def test_repeated_stamps_are_found_across_blocks() -> None:
    axis = StoredAxis(SimulatedStamps("repeated", 10_000_000, 8192, mostly_repeated))
    assert axis.searchsorted([0.0, 1.0, 2.0, 2.5], "left").tolist() == [0, 3_000_000, 6_000_000, 9_000_000]
    assert axis.searchsorted([0.0, 1.0, 2.0, 9.0], "right").tolist() == [3_000_000, 6_000_000, 9_000_000, 10_000_000]
