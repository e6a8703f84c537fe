"""Spikes of each unit in each interval, compared with one comparison for each spike, unit and interval."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from nwb_dask.analysis import is_observed, peri_event_counts, spikes_per_interval
from nwb_dask.errors import PathNotFoundError
from tests.analysis.brute import is_observed as is_observed_brute

ENGINES = ("pandas", "polars", "arrow")
SESSIONS = ("b.nwb", "a.nwb", "b.nwb", "c.nwb", "a.nwb", "b.nwb")
"""Units of one session do not stand together, and none of c has intervals."""


def _units() -> dict[str, list[Any]]:
    random = np.random.default_rng(0)
    spikes: list[list[float] | None] = [
        np.round(random.uniform(0, 100, count), 2).tolist() for count in (400, 300, 0, 50, 200, 500)
    ]
    spikes[4] = None
    observed = [None, [[0.0, 50.0], [50.0, 80.0]], [], [[0.0, 100.0]], None, [[10.0, 20.5], [30.0, 90.0]]]
    return {
        "spike_times": spikes,
        "obs_intervals": observed,
        "area": [*"uvwxyz"],
        "_nwb_path": [*SESSIONS],
        "_table_index": [7, 3, 9, 0, 1, 2],
    }


def _intervals() -> dict[str, list[Any]]:
    random = np.random.default_rng(1)
    start = np.round(random.uniform(0, 95, 40), 2)
    start[5] = np.nan
    stop = start + np.round(random.uniform(-1, 9, 40), 2)
    stop[6] = np.nan
    go = start + 0.25
    go[7] = np.nan
    return {
        "start_time": start.tolist(),
        "stop_time": stop.tolist(),
        "go": go.tolist(),
        "kind": ["x", "y"] * 20,
        "_nwb_path": (["a.nwb", "b.nwb", "b.nwb", "d.nwb"] * 10),
        "_table_index": list(range(100, 140)),
    }


Times: TypeAlias = npt.NDArray[np.float64]

LISTS = pa.large_list(pa.float64())
TYPES = {"spike_times": LISTS, "obs_intervals": pa.large_list(pa.list_(pa.float64(), 2))}


def frame(values: dict[str, list[Any]], engine: str) -> Any:
    table = pa.table({name: pa.array(column, TYPES.get(name)) for name, column in values.items()})
    if engine == "arrow":
        return table
    return pl.from_arrow(table) if engine == "polars" else pd.DataFrame(values)


def columns(result: Any) -> dict[str, list[Any]]:
    """Columns as lists of python values, None for null."""
    if isinstance(result, pd.DataFrame):
        return {str(name): [_plain(value) for value in result[name]] for name in result}
    table = result.to_arrow() if isinstance(result, pl.DataFrame) else result
    found: dict[str, list[Any]] = table.to_pydict()
    return found


def _plain(value: Any) -> Any:
    if value is pd.NA:
        return None
    return value.tolist() if isinstance(value, np.ndarray) else value


def brute(
    starts: npt.NDArray[np.float64],
    stops: npt.NDArray[np.float64],
    align: npt.NDArray[np.float64],
    *,
    mask: bool = True,
) -> list[tuple[str, int, int, list[float] | None]]:
    """Path, unit, interval and spikes of each pair; None for what is not known."""
    units, intervals = _units(), _intervals()
    rows = []
    for unit, path in enumerate(units["_nwb_path"]):
        for number, where in enumerate(intervals["_nwb_path"]):
            if where != path:
                continue
            times, start, stop = units["spike_times"][unit], starts[number], stops[number]
            found: list[float] | None = None
            is_known = times is not None and not np.isnan([start, stop, align[number]]).any()
            observed = units["obs_intervals"][unit]
            if unit == 1 and mask:
                # Intervals that touch are one.
                observed = [[0.0, 80.0]]
            if is_known and (not mask or is_observed_brute(start, stop, observed)):
                found = [t - align[number] for t in sorted(times) if start <= t < stop]
            rows.append((path, units["_table_index"][unit], intervals["_table_index"][number], found))
    return rows


def asked() -> dict[str, Times]:
    return {name: np.array(_intervals()[name]) for name in ("start_time", "stop_time", "go")}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mask", [True, False])
def test_spikes_are_those_between_the_bounds(engine: str, mask: bool) -> None:  # noqa: FBT001  # a parameter of a test
    result = columns(spikes_per_interval(frame(_units(), engine), frame(_intervals(), engine), mask_unobserved=mask))
    times = asked()
    expected = brute(times["start_time"], times["stop_time"], np.zeros(40), mask=mask)
    assert list(result) == ["spike_times", "_nwb_path", "_units_table_index", "_intervals_table_index"]
    assert [*zip(*(result[name] for name in (*list(result)[1:], "spike_times")), strict=True)] == expected
    assert {spikes is None for *_, spikes in expected} == {True, False}


@pytest.mark.parametrize("engine", ENGINES)
def test_counts_are_null_where_lists_are(engine: str) -> None:
    units, intervals = frame(_units(), engine), frame(_intervals(), engine)
    lists = columns(spikes_per_interval(units, intervals))["spike_times"]
    counts = columns(spikes_per_interval(units, intervals, layout="counts"))["n_spikes"]
    assert counts == [None if spikes is None else len(spikes) for spikes in lists]


@pytest.mark.parametrize("engine", ENGINES)
def test_long_layout_has_one_row_per_spike(engine: str) -> None:
    units, intervals = frame(_units(), engine), frame(_intervals(), engine)
    lists = columns(spikes_per_interval(units, intervals, align_to="go", columns=["area"], interval_columns=["kind"]))
    long = columns(
        spikes_per_interval(units, intervals, align_to="go", columns=["area"], interval_columns=["kind"], layout="long")
    )
    rows = pd.DataFrame(lists).explode("spike_times").dropna().rename(columns={"spike_times": "spike_time"})
    assert len(rows) > 100
    assert list(long) == list(rows.columns)
    assert long == rows.to_dict("list")


@pytest.mark.parametrize("engine", ENGINES)
def test_several_bounds_are_expressions_over_the_rows_of_a_session(engine: str) -> None:
    units, intervals = frame(_units(), engine), frame(_intervals(), engine)
    bounds: dict[str, tuple[str | pl.Expr, str | pl.Expr]] = {
        "before": (pl.col("go") - 1, "go"),
        "until_next": ("start_time", pl.col("start_time").shift(-1)),
        "late": (pl.lit(50.0), pl.lit(60)),
    }
    result = columns(spikes_per_interval(units, intervals, bounds=bounds))
    times = asked()
    following = pd.DataFrame(_intervals()).groupby("_nwb_path").start_time.shift(-1).to_numpy()
    expected = {
        "before": (times["go"] - 1, times["go"]),
        "until_next": (times["start_time"], following),
        "late": (np.full(40, 50.0), np.full(40, 60.0)),
    }
    assert list(result)[:3] == list(bounds)
    for name, (start, stop) in expected.items():
        assert result[name] == [spikes for *_, spikes in brute(start, stop, np.zeros(40))]


@pytest.mark.parametrize("engine", ENGINES)
def test_an_array_of_intervals_holds_for_every_session(engine: str) -> None:
    result = columns(spikes_per_interval(frame(_units(), engine), [[0, 10], [20, 30.0]], layout="counts"))
    assert result["_units_table_index"] == [unit for unit in _units()["_table_index"] for _ in range(2)]
    assert result["_intervals_table_index"] == [0, 1] * 6
    assert result["n_spikes"][2:4] == [
        sum(start <= time < start + 10 for time in _units()["spike_times"][1]) for start in (0, 20)
    ]
    assert result["n_spikes"][4:6] == [None, None]


def test_a_window_counts_as_peri_event_counts_does() -> None:
    spikes = [[k / 10 for k in range(100)], [k / 30 for k in range(300)]]
    units = pd.DataFrame({"spike_times": spikes, "obs_intervals": [[[0.0, 8.0]], None]})
    trials = pd.DataFrame({"go": [k / 10 for k in range(3, 90, 4)]})
    trials.loc[4, "go"] = np.nan
    ours = spikes_per_interval(units, trials, align_to="go", window=(-0.3, 0.4), layout="counts")
    theirs = peri_event_counts(units, trials.go, window=(-0.3, 0.4), bin_size=0.7)
    counted = ours.n_spikes.to_numpy(np.float64, na_value=np.nan)
    np.testing.assert_array_equal(counted, theirs.to_numpy().ravel())


def test_spikes_keep_the_dtype_of_units_from_files() -> None:
    import nwb_dask.adapters.ragged_dtype  # noqa: F401, PLC0415  # registers the dtype

    units = pd.DataFrame({"spike_times": pd.Series([[1.0, 2.0], None], dtype="nwb[large_list<double>]")})
    result = spikes_per_interval(units, [[0.0, 1.5]])
    assert result.spike_times.dtype == units.spike_times.dtype
    assert list(result.spike_times[0]) == [1.0]


@pytest.mark.parametrize("engine", ENGINES)
def test_no_units_or_no_intervals_make_no_rows_of_the_same_columns(engine: str) -> None:
    units, intervals = frame(_units(), engine), frame(_intervals(), engine)
    for some, others in ((units[:0], intervals), (units, intervals[:0])):
        for layout in ("lists", "counts", "long"):
            full = spikes_per_interval(units, intervals, layout=layout, columns=["area"])
            result = spikes_per_interval(some, others, layout=layout, columns=["area"])
            assert not any(columns(result).values())
            assert list(columns(result)) == list(columns(full))
            if engine != "pandas":
                assert result.schema == full.schema


@pytest.mark.parametrize("engine", ENGINES)
def test_is_observed_says_it_of_each_pair(engine: str) -> None:
    units, intervals = _units(), _intervals()
    pairs = [
        {"_nwb_path": path, "_units_table_index": units["_table_index"][unit], "unit": unit}
        | {name: intervals[name][number] for name in ("start_time", "stop_time")}
        for unit, path in enumerate(units["_nwb_path"])
        for number in range(40)
    ]
    pairs.reverse()
    observed = [[[0.0, 80.0]] if unit == 1 else units["obs_intervals"][unit] for unit in range(6)]
    spans = [(pair["start_time"], pair["stop_time"]) for pair in pairs]
    expected = [
        bool(np.isfinite(span).all() and is_observed_brute(*span, observed[pair["unit"]]))
        for pair, span in zip(pairs, spans, strict=True)
    ]
    rows = {name: [pair[name] for pair in pairs] for name in pairs[0]}
    result = is_observed(frame(rows, engine), frame(units, engine))
    assert (result.to_pylist() if isinstance(result, pa.Array) else list(result)) == expected
    assert 20 < sum(expected) < 200


def test_is_observed_refuses_units_that_are_not_there_or_twice() -> None:
    units = pl.DataFrame({"_table_index": [0, 0], "obs_intervals": [[[0.0, 1.0]], None]})
    rows = pl.DataFrame({"_units_table_index": [1], "start_time": [0.0], "stop_time": [1.0]})
    with pytest.raises(ValueError, match="twice"):
        is_observed(rows, units)
    with pytest.raises(ValueError, match=r"lack the unit of 1 rows"):
        is_observed(rows, units[:1])


def test_what_has_no_meaning_is_refused() -> None:
    units, intervals = frame(_units(), "polars"), frame(_intervals(), "polars")
    with pytest.raises(TypeError, match=r"collect"):
        spikes_per_interval(units.lazy(), intervals)
    with pytest.raises(TypeError, match="kind of units"):
        spikes_per_interval(units, intervals.lazy())
    with pytest.raises(TypeError, match="kind of units"):
        spikes_per_interval(units, frame(_intervals(), "pandas"))
    with pytest.raises(ValueError, match="align_to"):
        spikes_per_interval(units, intervals, window=(0, 1))
    with pytest.raises(ValueError, match="each of the bounds by itself"):
        spikes_per_interval(units, intervals, bounds={"a": ("go", "go"), "b": ("go", "go")}, layout="long")
    with pytest.raises(ValueError, match="'_table_index' twice"):
        spikes_per_interval(units, intervals, columns=["_table_index"], interval_columns=["_table_index"])
    with pytest.raises(PathNotFoundError, match="did you mean 'start_time'"):
        spikes_per_interval(units, intervals, bounds=("start", "stop_time"))
    with pytest.raises(TypeError, match="number of seconds"):
        spikes_per_interval(units, intervals, bounds=("kind", "stop_time"))
    with pytest.raises(ValueError, match="_nwb_path"):
        spikes_per_interval(units, intervals.drop("_nwb_path"))
