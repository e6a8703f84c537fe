"""The index answers what an index of pandas over the same labels answers, errors included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import xarray as xr
from pandas.errors import InvalidIndexError
from xarray.indexes import PandasIndex

from nwb_dask.adapters.xarray_backend.axes import ArrayAxis, SampledAxis, StoredAxis, TimeAxis
from nwb_dask.adapters.xarray_backend.time_index import TimeIndex, time_coordinates
from tests.adapters.xarray_backend.axis_cases import random_axis, random_index, random_labels
from tests.adapters.xarray_backend.stamps import ArrayStamps, Labels

pytestmark = pytest.mark.usefixtures("tiny_blocks")

N_PARTS = 4
N_QUERIES, N_SLOW = 20_000 // N_PARTS, 100_000 // N_PARTS
PER_AXIS = 60
METHODS = ("nearest", "pad", "backfill", "ffill", "bfill")


class Query:
    """A selection by label, and what it gave: positions, or an error."""

    def __init__(self, label: Any, method: str | None = None, tolerance: Any = None) -> None:
        self.label = label
        self.options = {} if method is None and tolerance is None else {"method": method, "tolerance": tolerance}

    def on(self, index: xr.Index, n: int) -> npt.NDArray[Any] | Exception:
        try:
            found = index.sel({"time": self.label}, **self.options)
            positions = np.arange(n)[found.dim_indexers["time"]]
        except Exception as error:  # noqa: BLE001  # whichever it is, both must raise it
            return error
        return np.asarray(positions)

    def __repr__(self) -> str:
        return f"sel({self.label!r}, {self.options})"


def random_query(rng: np.random.Generator, labels: Labels, wanted: Labels) -> Query:
    """Return a slice, a label or several, of those `wanted`, with a method and a tolerance or without."""
    kind = rng.random()
    if kind < 0.45:
        start, stop = wanted[:2] if rng.random() < 0.2 else np.sort(wanted[:2])
        low, high = (None if rng.random() < 0.1 else float(one) for one in (start, stop))
        return Query(slice(low, high, None if rng.random() < 0.7 else int(rng.choice([-3, -1, 1, 2]))))
    label: Any = float(wanted[0]) if kind < 0.75 else wanted[: int(rng.integers(0, 5))]
    if rng.random() < 0.01:
        label = float(rng.choice([np.inf, -np.inf, np.nan]))
    if rng.random() < 0.35:
        return Query(label)
    if len(labels) and labels[0] > labels[-1]:
        # pandas finds nothing nearest to infinity where labels decrease, and the first where they increase.
        label = np.clip(label, -1e10, 1e10)
    tolerance = None if rng.random() < 0.6 else float(10 ** rng.uniform(-6, 1))
    return Query(label, str(rng.choice(METHODS)), tolerance)


def is_right(query: Query, ours: Any, theirs: Any, axis: TimeAxis, labels: Labels) -> bool:
    """Tell whether our answer is that of pandas, or what stands in for an error that pandas raises for repeats."""
    if isinstance(theirs, InvalidIndexError) and axis.direction != 0:
        return _is_right_despite_repeats(query, ours, labels)
    if isinstance(theirs, Exception):
        return isinstance(ours, type(theirs))
    return not isinstance(ours, Exception) and ours.shape == theirs.shape and bool((ours == theirs).all())


def _is_right_despite_repeats(query: Query, ours: Any, labels: Labels) -> bool:
    wanted = np.atleast_1d(query.label)
    unique = pd.Index(pd.unique(labels))
    expected = PandasIndex(unique, "time")
    theirs = Query(wanted, **query.options).on(expected, len(unique))
    if isinstance(theirs, Exception):
        return isinstance(ours, type(theirs))
    if not query.options and any((labels == one).sum() > 1 for one in wanted):
        return isinstance(ours, InvalidIndexError)
    return not isinstance(ours, Exception) and np.array_equal(labels[np.atleast_1d(ours)], unique[theirs])


def without_nan_at_the_end(labels: Labels) -> Labels:
    """Return the numbers of labels that increase up to NaN."""
    return labels[: np.flatnonzero(~np.isnan(labels))[-1] + 1] if not np.isnan(labels).all() else labels[:0]


def expected_index(axis: TimeAxis, labels: Labels) -> PandasIndex | None:
    """Return the index of pandas to compare with; None where NaN make pandas refuse what we answer."""
    if np.isnan(labels).any() and axis.direction != 0:
        return None
    return PandasIndex(pd.Index(labels), "time")


@pytest.mark.parametrize("count", [N_QUERIES, pytest.param(N_SLOW, marks=pytest.mark.slow)])
@pytest.mark.parametrize("part", range(N_PARTS))
def test_a_hundred_thousand_selections_are_those_of_pandas(part: int, count: int, record_property: Any) -> None:
    rng = np.random.default_rng(part)
    n_queries = n_answers = n_repeats = 0
    kinds: set[str] = set()
    while n_queries < count:
        axis, labels = random_axis(rng)
        ours, theirs = TimeIndex(axis), expected_index(axis, labels)
        np.testing.assert_array_equal(axis.labels(), labels)
        if theirs is None:
            continue
        kinds.add(type(axis).__name__)
        for wanted in random_labels(rng, labels, 4 * PER_AXIS).reshape(PER_AXIS, 4):
            query = random_query(rng, labels, wanted)
            got, expected = query.on(ours, len(labels)), query.on(theirs, len(labels))
            if not is_right(query, got, expected, axis, labels):
                pytest.fail(f"{query} on {axis!r} {labels!r}: {got!r}, not {expected!r}")
            n_queries += 1
            n_answers += not isinstance(expected, Exception)
            n_repeats += isinstance(expected, InvalidIndexError)
    record_property("queries against pandas", n_queries)
    assert n_queries >= count
    assert n_answers > 0.6 * n_queries
    assert n_repeats > count / 100
    assert kinds == {"SampledAxis", "StoredAxis", "ArrayAxis", "TakeAxis", "ConcatAxis"}


def test_nan_at_the_end_are_later_than_every_time() -> None:
    rng = np.random.default_rng(7)
    n_queries = 0
    for number in range(150):
        labels = np.cumsum(rng.uniform(0.5, 1.5, int(rng.integers(1, 30))))
        n = len(labels)
        padded = np.concatenate([labels, np.full(int(rng.integers(1, 5)), np.nan)])
        axis: TimeAxis = StoredAxis(ArrayStamps(f"nan {number}", padded, block=3))
        ours, theirs = TimeIndex(axis if number % 2 else ArrayAxis(padded)), PandasIndex(pd.Index(labels), "time")
        for wanted in random_labels(rng, labels, 240).reshape(60, 4):
            query = random_query(rng, labels, wanted)
            if isinstance(query.label, slice) and (query.label.step or 1) < 0:
                continue
            if np.isnan(query.label).any() if not isinstance(query.label, slice) else query.label.stop is None:
                continue
            got, expected = query.on(ours, len(padded)), query.on(theirs, n)
            assert is_right(query, got, expected, axis, labels), f"{query} on {padded!r}: {got!r}, not {expected!r}"
            n_queries += 1
        np.testing.assert_array_equal(Query(slice(labels[0], None)).on(ours, len(padded)), np.arange(len(padded)))
        np.testing.assert_array_equal(Query(np.nan).on(ours, len(padded)), np.arange(n, len(padded)).squeeze())
    assert n_queries > 5000


def on_both(axis: TimeAxis, labels: Labels) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the same array with our index and with that of pandas."""
    values = np.arange(len(labels), dtype=np.float64)
    ours = xr.DataArray(values, dims="time", coords=time_coordinates(axis))
    return ours, xr.DataArray(values, dims="time", coords={"time": labels})


def outcome(operation: Any, *arrays: xr.DataArray) -> tuple[Labels, Labels] | str:
    """Return values and times, or the kind of error."""
    try:
        found = operation(*arrays)
    except Exception as error:  # noqa: BLE001  # whichever it is, both must raise it
        return type(error).__name__
    return np.asarray(found.values), np.asarray(found["time"].values)


def assert_same(operation: Any, ours: tuple[xr.DataArray, ...], theirs: tuple[xr.DataArray, ...], say: object) -> None:
    got, expected = outcome(operation, *ours), outcome(operation, *theirs)
    if isinstance(expected, str) or isinstance(got, str):
        assert got == expected, say
    else:
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=str(say))


@pytest.mark.filterwarnings("ignore::nwb_dask.adapters.xarray_backend.time_index.NoCommonTimesWarning")
def test_two_arrays_are_aligned_as_with_pandas() -> None:
    rng = np.random.default_rng(3)
    n_compared = 0
    for _ in range(300):
        axis, labels = random_axis(rng, most=15)
        if rng.random() < 0.6:
            index = random_index(rng, len(labels))
            other, other_labels = axis.take(index), labels[index]
        else:
            other, other_labels = random_axis(rng, most=15)
        repeats = len(np.unique(labels)) < len(labels) or len(np.unique(other_labels)) < len(other_labels)
        if repeats or np.isnan(labels).any() or np.isnan(other_labels).any():
            continue
        ours, theirs = zip(on_both(axis, labels), on_both(other, other_labels), strict=True)
        for join in ("inner", "outer", "left", "right", "exact"):
            for which in (0, 1):
                said = (join, axis, other)
                assert_same(lambda a, b, j=join, w=which: xr.align(a, b, join=j)[w], ours, theirs, said)
                n_compared += 1
        assert_same(lambda a, b: a + b, ours, theirs, (axis, other))
        assert_same(lambda a, b: a.reindex_like(b, method="nearest", tolerance=0.5), ours, theirs, (axis, other))
        assert ours[0].indexes["time"].equals(theirs[0].indexes["time"])
        assert ours[0].equals(ours[1]) == theirs[0].equals(theirs[1])
    assert n_compared > 1000


@dataclass
class Cuts:
    """What one array is cut with."""

    first: Any
    second: Any
    shift: int
    mask: npt.NDArray[np.bool_]
    places: xr.DataArray


OPERATIONS: dict[str, Callable[[xr.DataArray, Cuts], xr.DataArray]] = {
    "isel": lambda a, c: a.isel(time=c.first),
    "isel twice": lambda a, c: a.isel(time=c.first).isel(time=slice(None, None, -1)),
    "isel of a number": lambda a, _: a.isel(time=3),
    "isel by an array": lambda a, c: a.isel(time=c.places),
    "isel of positions": lambda a, c: a.isel(time=c.places.values.ravel()),
    "concat": lambda a, c: xr.concat([a.isel(time=c.first), a.isel(time=c.second)], "time"),
    "roll": lambda a, c: a.roll(time=c.shift, roll_coords=True),
    "shift": lambda a, _: a.shift(time=1),
    "diff": lambda a, _: a.diff("time"),
    "rename": lambda a, _: a.rename(time="t").rename(t="time"),
    "where": lambda a, _: a.where(a > 3, drop=True),
    "mask": lambda a, c: a[c.mask],
    "sortby": lambda a, _: a.sortby("time"),
    "dropna": lambda a, _: a.dropna("time"),
    "copy": lambda a, _: a.transpose().copy(deep=True),
    "rolling": lambda a, _: a.rolling(time=2).mean(),
    "coarsen": lambda a, _: a.coarsen(time=2, boundary="trim").mean(),
    "groupby": lambda a, _: a.groupby("time").mean(),
    "set_xindex": lambda a, _: a.reset_index("time").set_xindex("time", type(a.xindexes["time"])),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_one_array_is_cut_moved_and_joined_as_with_pandas(
    operation: Callable[[xr.DataArray, Cuts], xr.DataArray],
) -> None:
    rng = np.random.default_rng(4)
    for _ in range(80):
        axis, labels = random_axis(rng, most=15)
        n = len(labels)
        places = xr.DataArray(rng.integers(0, n, (2, 3)) if n else np.empty((0, 3), np.int64), dims=("a", "b"))
        shift, mask = int(rng.integers(-20, 20)), rng.random(n) < 0.5
        cuts = Cuts(random_index(rng, n), random_index(rng, n), shift, mask, places)
        ours, theirs = on_both(axis, labels)
        assert_same(lambda a, cuts=cuts: operation(a, cuts), (ours,), (theirs,), axis)


def test_times_that_are_all_equal_are_in_order_both_ways() -> None:
    labels = np.full(5, 3.0)
    axis = StoredAxis(ArrayStamps("equal", labels)).take(slice(None, None, -1))
    for query in (Query(slice(2.0, 4.0)), Query(slice(4.0, 2.0)), Query(slice(4.0, 2.0, -1)), Query(3.0), Query(4.0)):
        got, expected = query.on(TimeIndex(axis), 5), query.on(PandasIndex(pd.Index(labels), "time"), 5)
        assert is_right(query, got, expected, axis, labels), query


def test_indexes_of_different_dims_are_not_equal() -> None:
    axis = SampledAxis(0.0, 1.0, 5)
    assert TimeIndex(axis).equals(TimeIndex(axis))
    assert not TimeIndex(axis).equals(TimeIndex(axis, "t"))
    assert not TimeIndex(axis).equals(PandasIndex(pd.Index(axis.labels()), "time"))


def test_indexes_are_joined_in_the_places_that_are_said() -> None:
    axis, labels = SampledAxis(0.0, 1.0, 5), np.arange(5.0)
    positions = [[3, 0], [4, 1, 2]]
    ours = TimeIndex.concat([TimeIndex(axis.take(slice(0, 2))), TimeIndex(axis.take(slice(2, 5)))], "time", positions)
    parts = [PandasIndex(pd.Index(labels[part]), "time") for part in (slice(0, 2), slice(2, 5))]
    expected = PandasIndex.concat(parts, "time", positions).to_pandas_index()
    np.testing.assert_array_equal(ours.axis.labels(), expected)
    with pytest.raises(ValueError, match="cannot concatenate along"):
        TimeIndex.concat([TimeIndex(axis), TimeIndex(axis, "t")], "time")


@pytest.mark.parametrize(
    "label",
    ["abc", "1", True, np.True_, (1.0,), {"a": 1}, None, np.datetime64("2024-01-01"), [[1.0]], [True] * 10, 2, [2]],
)
@pytest.mark.parametrize("method", [None, "nearest", "sideways", 5])
@pytest.mark.parametrize("tolerance", [None, 0.1, [0.1, 0.2, 0.3], "near"])
def test_labels_and_options_without_meaning_are_refused_as_with_pandas(label: Any, method: Any, tolerance: Any) -> None:
    axis = SampledAxis(0.0, 2.0, 10)
    query = Query(label, method, tolerance)
    ours = query.on(TimeIndex(axis), 10)
    theirs = query.on(PandasIndex(pd.Index(np.arange(10) / 2), "time"), 10)
    if isinstance(theirs, Exception):
        assert isinstance(ours, Exception)
        assert isinstance(ours, type(theirs)) or isinstance(theirs, type(ours))
    else:
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("bound", ["1", np.datetime64("2024-01-01"), np.timedelta64(1, "s"), object(), [1.0]])
def test_slices_of_what_is_no_time_are_refused(bound: Any) -> None:
    ours, _ = on_both(SampledAxis(0.0, 2.0, 10), np.arange(10) / 2)
    with pytest.raises((TypeError, ValueError)):
        ours.sel(time=slice(bound, None))


def test_slice_by_numbers_of_any_kind() -> None:
    ours, theirs = on_both(SampledAxis(0.0, 2.0, 10), np.arange(10) / 2)
    for one in (2, 2.0, np.float32(2), np.int16(2), np.array(2.0), xr.DataArray(2.0), True):
        np.testing.assert_array_equal(ours.sel(time=slice(one, 4)), theirs.sel(time=slice(one, 4)))
