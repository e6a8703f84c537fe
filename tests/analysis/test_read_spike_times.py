"""Spike times from files, compared with what pynwb, h5py and pynapple say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pynwb import NWBHDF5IO

import nwb_dask
from nwb_dask import read_spike_times
from nwb_dask.adapters.eager import Engine
from nwb_dask.catalog import recent
from nwb_dask.errors import PathNotFoundError
from nwb_dask.testing.performance_sessions import write_performance_sessions
from tests.analysis.sessions import Session
from tests.analysis.test_real_sessions import REAL, WITH_TRIALS, spikes_of, trials_of

ENGINES: tuple[Engine, ...] = ("pandas", "polars", "arrow")
GOOD_CA1 = [("default_qc", "==", True), ("location", "==", "CA1"), ("presence_ratio", ">", 0.9)]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four sessions of blocks; in the last one half of the units are observed for the first half."""
    return write_performance_sessions(tmp_path_factory.mktemp("performance"), 4, n_units=30, spikes_per_unit=300)


def as_pandas(frame: Any) -> pd.DataFrame:
    table = pa.Table.from_pandas(frame, preserve_index=False) if isinstance(frame, pd.DataFrame) else frame
    table = table.to_arrow() if isinstance(table, pl.DataFrame) else table
    found: pd.DataFrame = table.to_pandas()
    return found


def by_pynwb(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Units and trials of a session."""
    with NWBHDF5IO(path, "r") as io:
        file = io.read()
        return file.units.to_dataframe(), file.trials.to_dataframe()


def is_good(units: pd.DataFrame) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = (
        units.default_qc & (units.location == "CA1") & (units.presence_ratio > 0.9)
    ).to_numpy()
    return mask


@pytest.mark.parametrize("engine", ENGINES)
def test_units_that_pass_the_filter_come_with_their_spikes(paths: list[Path], engine: Engine) -> None:
    found = as_pandas(read_spike_times(paths, engine, filters=GOOD_CA1, columns=["id", "quality"]))
    assert list(found) == ["id", "quality", "spike_times", "_nwb_path", "_units_table_index"]
    rows = []
    for path in paths:
        units = by_pynwb(path)[0]
        rows += [(str(path), row, units.spike_times.iloc[row].tolist()) for row in np.flatnonzero(is_good(units))]
    assert len(rows) > 5
    assert rows == [
        (path, row, times.tolist())
        for path, row, times in zip(found["_nwb_path"], found["_units_table_index"], found["spike_times"], strict=True)
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_spikes_around_trials_are_those_that_pynwb_has(paths: list[Path], engine: Engine) -> None:
    found = as_pandas(
        read_spike_times(
            paths,
            engine,
            filters=GOOD_CA1,
            intervals="/intervals/trials",
            interval_filters="is_rewarded",
            interval_columns=["stim_name", "stim_start_time"],
            align_to="stim_start_time",
            window=(-0.50001, 1.00001),
        )
    )
    expected = []
    for path in paths:
        units, trials = by_pynwb(path)
        for row in np.flatnonzero(is_good(units)):
            times, end = units.spike_times.iloc[row], units.obs_intervals.iloc[row][0, 1]
            for trial, event in trials.stim_start_time[trials.is_rewarded].items():
                near = times[(times >= event - 0.50001) & (times < event + 1.00001)] - event
                expected.append((str(path), row, trial, near.tolist() if event + 1.00001 <= end else None))
    assert len(expected) > 100
    assert None in [spikes for *_, spikes in expected]
    keys = ["_nwb_path", "_units_table_index", "_intervals_table_index"]
    assert expected == [
        (*row, None if spikes is None or spikes is pd.NA else spikes.tolist())
        for row, spikes in zip(found[keys].itertuples(index=False, name=None), found.spike_times, strict=True)
    ]
    trials = by_pynwb(paths[0])[1]
    first = found[found["_nwb_path"] == str(paths[0])]
    assert list(first.stim_name) == list(trials.stim_name[first["_intervals_table_index"]])


def test_counts_are_those_of_pynapple(paths: list[Path]) -> None:
    nap: Any = pytest.importorskip("pynapple", reason="pynapple, which counts are compared with, is not installed")
    units, trials = by_pynwb(paths[0])
    found = read_spike_times(paths[0], "polars", intervals="/intervals/trials", layout="counts")
    group = nap.TsGroup({row: nap.Ts(times) for row, times in enumerate(units.spike_times)})
    theirs = group.count(ep=nap.IntervalSet(trials.start_time, trials.stop_time))
    ours = found["n_spikes"].to_numpy().reshape(len(units), len(trials))
    np.testing.assert_array_equal(ours.T, theirs.values)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real files are not there: {REAL}")
@pytest.mark.parametrize("name", WITH_TRIALS)
def test_spikes_in_the_trials_of_real_files_are_those_that_h5py_has(name: str) -> None:
    spikes, starts = spikes_of(REAL / name), trials_of(REAL / name)
    found = read_spike_times(
        REAL / name,
        "polars",
        intervals="/intervals/trials",
        align_to="start_time",
        window=(0, 1.5),
        mask_unobserved=False,
    )
    expected = [
        np.sort(times[(times >= start) & (times < start + 1.5)] - start).tolist()
        for times in spikes
        for start in starts
    ]
    assert sum(map(len, expected)) > 0
    assert found["spike_times"].to_list() == expected


@pytest.mark.parametrize("engine", ENGINES)
def test_sessions_without_units_or_trials_have_no_rows(sessions: list[Session], engine: Engine) -> None:
    files = [session.path for session in sessions]
    found = as_pandas(read_spike_times(files, engine, intervals="/intervals/trials", layout="counts"))
    expected = {str(one.path): len(one.ids) * len(one.trials) for one in sessions if len(one.ids) * len(one.trials)}
    assert found.groupby("_nwb_path").size().to_dict() == expected
    assert len(expected) == 4
    never = found[(found["_nwb_path"] == str(sessions[4].path)) & (found["_units_table_index"] == 1)]
    assert len(never)
    assert never.n_spikes.isna().all()


def test_spikes_that_are_not_sorted_are(sessions: list[Session]) -> None:
    found = read_spike_times(sessions[5].path, "polars")
    for ours, written in zip(found["spike_times"], sessions[5].spikes, strict=True):
        assert ours.to_list() == np.sort(written).tolist()


def test_intervals_may_be_frames_and_lists(paths: list[Path]) -> None:
    trials = nwb_dask.scan_nwb(paths, "/intervals/trials").filter(pl.col("is_target"))
    columns: dict[str, Any] = {"layout": "counts", "filters": GOOD_CA1}
    named = read_spike_times(paths, "polars", intervals="/intervals/trials", interval_filters="is_target", **columns)
    assert read_spike_times(paths, "polars", intervals=trials, **columns).equals(named)
    assert read_spike_times(paths, "polars", intervals=trials.collect(), **columns).equals(named)
    whole = read_spike_times(paths, "polars", intervals=[(0, 1000.0)], mask_unobserved=False, **columns)
    assert whole["n_spikes"].to_list() == read_spike_times(paths, "polars", **columns)["n_spikes"].to_list()


def test_intervals_of_several_tables_are_told_apart_by_their_path(paths: list[Path]) -> None:
    found = read_spike_times(
        paths[0], "polars", intervals="/intervals/*", interval_columns=["_table_path"], columns=["_nwb_path"]
    )
    count = found.group_by("_table_path", "_units_table_index").len()
    assert set(count.select("_table_path", "len").unique().rows()) == {
        ("/intervals/trials", 120),
        ("/intervals/performance", 6),
    }


def test_long_layout_of_whole_sessions_has_every_spike(paths: list[Path]) -> None:
    found = read_spike_times(paths, "polars", layout="long")
    lists = read_spike_times(paths, "polars").explode("spike_times").rename({"spike_times": "spike_time"})
    assert found.equals(lists)
    assert len(found) == 4 * 30 * 300


def bytes_of(call: Callable[[], object]) -> int:
    """Return how many bytes a call reads that knows nothing from before."""
    recent.clear()
    with nwb_dask.options(cache="off"), nwb_dask.trace() as traced:
        call()
    return traced.bytes


def test_only_spikes_of_units_that_pass_are_read(paths: list[Path]) -> None:
    light = bytes_of(lambda: nwb_dask.read_table(paths, "/units", columns=["obs_intervals"]))
    some = bytes_of(lambda: read_spike_times(paths, "polars", filters=GOOD_CA1, intervals=[(0, 10)]))
    every = bytes_of(lambda: read_spike_times(paths, "polars", intervals=[(0, 10)]))
    spikes = 4 * 30 * 300 * 8
    assert every - light > 0.9 * spikes
    assert some - light < 0.5 * spikes
    assert 0 < len(read_spike_times(paths, filters=GOOD_CA1)) < 0.1 * 4 * 30


@pytest.mark.parametrize("interval_filters", [None, "stop_time > 0", [("stop_time", ">", 0)]])
def test_trials_of_sessions_without_a_unit_are_not_read(paths: list[Path], interval_filters: Any) -> None:
    one = [*GOOD_CA1, ("_nwb_path", "==", str(paths[1]))]
    options: dict[str, Any] = {"intervals": "/intervals/trials", "interval_filters": interval_filters}
    assert set(read_spike_times(paths, filters=one, **options)["_nwb_path"]) == {str(paths[1])}
    narrow = bytes_of(lambda: read_spike_times(paths, filters=one, **options))
    assert narrow < bytes_of(lambda: read_spike_times(paths, filters=GOOD_CA1, **options))


@pytest.mark.parametrize("engine", ENGINES)
def test_no_unit_that_passes_is_an_empty_frame(paths: list[Path], engine: Engine) -> None:
    none = [("location", "==", "nowhere")]
    trials: dict[str, Any] = {"intervals": "/intervals/trials"}
    ways: list[dict[str, Any]] = [{}, trials, {**trials, "layout": "long"}]
    for options in ways:
        found = read_spike_times(paths, engine, filters=none, **options)
        full = read_spike_times(paths, engine, **options)
        assert len(found) == 0
        assert list(as_pandas(found)) == list(as_pandas(full))
        if isinstance(found, pd.DataFrame) and isinstance(full, pd.DataFrame):
            assert list(found.dtypes) == list(full.dtypes)


def test_what_has_no_meaning_is_refused(paths: list[Path]) -> None:
    with pytest.raises(ValueError, match="without intervals="):
        read_spike_times(paths, align_to="stim_start_time", window=(0, 1))
    with pytest.raises(ValueError, match="interval_filters are for a table that is read"):
        read_spike_times(paths, intervals=[(0, 1)], interval_filters="is_target")
    with pytest.raises(ValueError, match="name each file once"):
        read_spike_times([paths[0], paths[0]], intervals="/intervals/trials")
    with pytest.raises(ValueError, match="later stop"):
        read_spike_times(paths, intervals="/intervals/trials", align_to="stim_start_time", window=(1, 1))
    with pytest.raises(ValueError, match="layout='wide'"):
        read_spike_times(paths, layout="wide")  # type: ignore[call-overload]  # what a user may type
    with pytest.raises(PathNotFoundError, match="'spike_time'"):
        read_spike_times(paths, columns=["spike_time"], intervals="/intervals/trials")
    with pytest.raises(PathNotFoundError, match="did you mean 'stim_start_time'"):
        read_spike_times(paths, intervals="/intervals/trials", align_to="stim_start_tim", window=(0, 1))
