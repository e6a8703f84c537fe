"""Axes have the labels of numpy and of the file under every cut, and are searched as numpy searches these."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dask.base import tokenize

from nwb_dask.adapters.xarray_backend._xarray import lazy_time
from nwb_dask.adapters.xarray_backend.axes import (
    ArrayAxis,
    SampledAxis,
    StoredAxis,
    TimeAxis,
    concat_axes,
)
from nwb_dask.errors import MalformedFileError, UnsortedTimesError
from tests.adapters.xarray_backend.axis_cases import (
    RATES,
    STARTS,
    expected_search,
    random_axis,
    random_index,
    random_labels,
)
from tests.adapters.xarray_backend.stamps import ArrayStamps

ROOT = Path(__file__).parents[3]


def test_random_cuts_are_those_of_numpy() -> None:
    rng = np.random.default_rng(11)
    for _ in range(1500):
        axis, labels = random_axis(rng)
        n = len(labels)
        assert len(axis) == axis.n == n
        np.testing.assert_array_equal(axis.labels(), labels)
        start, stop = rng.integers(-n - 3, n + 4, 2).tolist()
        np.testing.assert_array_equal(axis.labels(start, stop), labels[start:stop])
        if n:
            positions = rng.integers(-n, n, (2, 3))
            np.testing.assert_array_equal(axis.label_at(positions), labels[positions])
            np.testing.assert_array_equal([axis.label(0), axis.last], labels[[0, -1]])
            if axis.is_free:
                np.testing.assert_array_equal(axis.bounds, labels[[0, -1]])
        again = pickle.loads(pickle.dumps(axis))
        assert again == axis
        assert hash(again) == hash(axis)
        assert tokenize(again) == tokenize(axis)


@pytest.mark.usefixtures("tiny_blocks")
def test_random_searches_are_those_of_numpy() -> None:
    rng = np.random.default_rng(12)
    n_searches = 0
    for _ in range(1500):
        axis, labels = random_axis(rng)
        values = np.concatenate([random_labels(rng, labels, 12), [np.nan, np.inf, -np.inf]])
        if axis.direction == 0:
            with pytest.raises(UnsortedTimesError):
                axis.searchsorted(values)
            continue
        if len(labels) > 1 and axis.direction < 0 and (labels == labels[0]).all():
            continue
        for side in ("left", "right"):
            expected = expected_search(labels, values, side)
            assert expected is not None, axis
            np.testing.assert_array_equal(axis.searchsorted(values, side), expected, err_msg=repr(axis))
            assert axis.searchsorted(values[0], side) == expected[0]
            n_searches += len(values)
    assert n_searches > 30_000


@pytest.mark.parametrize("positions", [[5], [-6], [[0, 9]]])
def test_positions_beyond_the_axis_are_refused(positions: Any) -> None:
    stored = StoredAxis(ArrayStamps("beyond", np.arange(5.0)))
    for axis in (SampledAxis(0.0, 1.0, 5), ArrayAxis(np.arange(5.0)), stored):
        with pytest.raises(IndexError):
            axis.label_at(positions)
        with pytest.raises(IndexError):
            axis.take(positions)
        with pytest.raises(IndexError):
            axis.label(5)
        with pytest.raises(IndexError, match="mask"):
            axis.take(np.ones(4, bool))
        with pytest.raises(TypeError, match="integers"):
            axis.take([0.5])


def test_tokens_are_the_same_in_another_process() -> None:
    code = (
        "import numpy as np\n"
        "from dask.base import tokenize\n"
        "from nwb_dask.adapters.xarray_backend.axes import SampledAxis, StoredAxis, concat_axes\n"
        "from nwb_dask.adapters.xarray_backend._xarray import lazy_time\n"
        "from tests.adapters.xarray_backend.stamps import ArrayStamps\n"
        "stored = StoredAxis(ArrayStamps('a', np.arange(10.0)))\n"
        "axis = concat_axes([SampledAxis(1.5, 30000.0, 10), stored.take([1, 2, 5])])\n"
        "print(tokenize(axis), tokenize(lazy_time(axis)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    stored = StoredAxis(ArrayStamps("a", np.arange(10.0)))
    axis = concat_axes([SampledAxis(1.5, 30_000.0, 10), stored.take([1, 2, 5])])
    assert run.stdout.split() == [tokenize(axis), tokenize(lazy_time(axis))]
    assert tokenize(axis) != tokenize(concat_axes([axis, SampledAxis(1.5, 30_000.0, 1)]))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("start", STARTS)
def test_sampled_labels_are_those_of_pynwb_bit_for_bit_however_often_they_are_cut(start: float, rate: float) -> None:
    full = np.arange(5000) / rate + start
    axis: TimeAxis = SampledAxis(start, rate, 5000)
    rng = np.random.default_rng(1)
    for _ in range(200):
        index = random_index(rng, len(full))
        if isinstance(index, slice) and len(full[index]) > 100:
            axis, full = axis.take(index), full[index]
    assert isinstance(axis, SampledAxis)
    assert axis.labels().tobytes() == np.ascontiguousarray(full).tobytes()
    assert [axis.label(k) for k in range(50)] == full[:50].tolist()
    assert axis.rate == rate / abs(axis.stride)


def test_rate_of_float32_counts_as_the_number_that_it_is() -> None:
    rate = np.float32(29_999.954846)
    axis = SampledAxis(np.float32(0.5), rate, 1000)  # type: ignore[arg-type]  # as a file may have them
    np.testing.assert_array_equal(axis.labels(), np.arange(1000) / float(rate) + 0.5)
    assert type(axis.fs) is float


def test_search_is_exact_where_float64_cannot_tell_samples_apart() -> None:
    axis = SampledAxis(1.7e9, 1e9, 3_000_000)
    labels = np.arange(3_000_000) / 1e9 + 1.7e9
    values = np.random.default_rng(0).choice(labels, 200)
    values = np.concatenate([values, np.nextafter(values, 0), [0.0, 1e10]])
    assert len(np.unique(labels)) < len(labels) / 100
    for side in ("left", "right"):
        np.testing.assert_array_equal(axis.searchsorted(values, side), np.searchsorted(labels, values, side))


def test_search_finds_every_label_of_a_long_recording() -> None:
    axis = SampledAxis(12.345, 30_000.0, 216_000_000)
    rows = np.random.default_rng(2).integers(0, axis.n, 20_000)
    labels = rows / 30_000.0 + 12.345
    np.testing.assert_array_equal(axis.searchsorted(labels, "left"), rows)
    np.testing.assert_array_equal(axis.searchsorted(labels, "right"), rows + 1)
    np.testing.assert_array_equal(axis.searchsorted(np.nextafter(labels, np.inf), "left"), rows + 1)


def test_one_sample_of_a_clock_that_stands_still_is_at_its_start() -> None:
    axis = SampledAxis(3.5, 0.0, 1)
    assert axis.labels().tolist() == [3.5]
    assert axis.rate is None
    assert axis.searchsorted([3.0, 3.5, 4.0], "right").tolist() == [0, 1, 1]
    assert axis.take([0, 0]).labels().tolist() == [3.5, 3.5]
    assert SampledAxis(3.5, 0.0, 0).labels().tolist() == []


@pytest.mark.parametrize(
    ("start", "rate", "n"),
    [
        (0, 0, 2),
        (0, -1, 5),
        (0, np.nan, 5),
        (0, np.inf, 5),
        (np.nan, 1, 5),
        (np.inf, 1, 5),
        (0, 5e-324, 5),
        (0, 1, 1 << 60),
    ],
)
def test_clocks_without_times_are_refused(start: float, rate: float, n: int) -> None:
    with pytest.raises(MalformedFileError, match="Hz"):
        SampledAxis(start, rate, n)


def test_lengths_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="-1 rows"):
        SampledAxis(0.0, 1.0, -1)
    with pytest.raises(ValueError, match="row 9 of 5"):
        StoredAxis(ArrayStamps("short", np.arange(5.0)), 0, 1, 10)
