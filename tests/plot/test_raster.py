"""`nwb_dask.plot.raster` draws every spike that h5py reads, and no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from tests.plot.pictures import column_of, legend_of, row_names, spikes_of, ticks_of


def test_raster_has_a_tick_for_each_spike_of_each_unit(sessions: list[Path]) -> None:
    units = nwb_dask.read_table(sessions[0], "/units")
    axes = nwb_dask.plot.raster(units)
    (line,) = axes.lines
    assert ticks_of(line) == [(t, row) for row, spikes in enumerate(spikes_of(sessions[0])) for t in spikes]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time [s]", "unit")
    assert row_names(axes) == list(map(str, column_of(sessions[0], "units/id")))


def test_raster_keeps_to_the_half_open_stretch_of_time() -> None:
    spikes = [np.array([0.0, 1.0, 2.0, 3.0]), np.array([2.0])]
    axes = nwb_dask.plot.raster(spikes, start_time=1.0, stop_time=3.0)
    assert ticks_of(axes.lines[0]) == [(1.0, 0), (2.0, 0), (2.0, 1)]
    assert axes.get_xlim() == (1.0, 3.0)


def test_raster_of_a_dask_frame_is_that_of_the_frame_in_memory(sessions: list[Path]) -> None:
    lazy = dd.read_nwb(sessions[1], "/units", blocksize="60 kB")
    assert lazy.npartitions > 1
    axes = nwb_dask.plot.raster(lazy, start_time=100.0, stop_time=101.5, by="quality")
    quality = np.array(column_of(sessions[1], "units/quality"))
    row = 0
    for line, value in zip(axes.lines, sorted(set(quality)), strict=True):
        wanted = []
        for unit in np.flatnonzero(quality == value):
            spikes = spikes_of(sessions[1])[unit]
            wanted += [(t, row) for t in spikes if 100.0 <= t < 101.5]
            row += 1
        assert ticks_of(line) == wanted
        assert line.get_label() == value
    assert legend_of(axes) == ("quality", sorted(set(quality)))


def test_spikes_outside_the_stretch_stay_on_the_worker(sessions: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    computed: Callable[..., Any] = dask.compute

    def watched(*args: Any, **kwargs: Any) -> Any:
        found = computed(*args, **kwargs)
        calls.append(sum(len(row) for part in found for row in part.spikes))
        return found

    monkeypatch.setattr(dask, "compute", watched)
    nwb_dask.plot.raster(dd.read_nwb(sessions[1], "/units"), start_time=100.0, stop_time=101.0)
    assert calls == [sum(((row >= 100.0) & (row < 101.0)).sum() for row in spikes_of(sessions[1]))]


def test_raster_of_trials_puts_conditions_together() -> None:
    spikes = [[0.1], [0.2, 0.3], [], [0.4], [0.5]]
    condition = pd.Series(["go", "catch", "go", None, "catch"], name="condition", index=[9, 8, 7, 6, 5])
    axes = nwb_dask.plot.raster(spikes, by=condition)
    assert [ticks_of(line) for line in axes.lines] == [[(0.2, 0), (0.3, 0), (0.5, 1)], [(0.1, 2)], [(0.4, 4)]]
    assert legend_of(axes) == ("condition", ["catch", "go", "(missing)"])
    assert row_names(axes) == ["1", "4", "0", "2", "3"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time from the event [s]", "trial")


def test_units_whose_spikes_are_null_have_an_empty_row() -> None:
    units = pd.DataFrame({"spike_times": [[1.0], None, [2.0]]}, index=["a", "b", "c"])
    axes = nwb_dask.plot.raster(units)
    assert ticks_of(axes.lines[0]) == [(1.0, 0), (2.0, 2)]
    assert row_names(axes) == ["a", "b", "c"]
    assert axes.get_ylim() == (-0.5, 2.5)


def test_some_of_many_rows_are_named() -> None:
    axes = nwb_dask.plot.raster([[float(row)] for row in range(95)])
    assert row_names(axes) == [str(row) for row in range(0, 95, 10)]


def test_raster_refuses_units_of_several_sessions(sessions: list[Path]) -> None:
    for units in (nwb_dask.read_table(sessions, "/units"), dd.read_nwb(sessions, "/units")):
        with pytest.raises(ValueError, match="3 sessions"):
            nwb_dask.plot.raster(units)


def test_raster_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="by has 1 values, and there are 2 rows"):
        nwb_dask.plot.raster([[0.1], [0.2]], by=["go"])
    with pytest.raises(ValueError, match="by='go' is a column"):
        nwb_dask.plot.raster([[0.1], [0.2]], by="go")
    with pytest.raises(nwb_dask.PathNotFoundError, match="quality"):
        nwb_dask.plot.raster(pd.DataFrame({"spike_times": [[0.1]], "quality": ["good"]}), by="qualty")


def test_raster_without_rows_is_empty_axes() -> None:
    axes = nwb_dask.plot.raster(pd.DataFrame({"spike_times": [], "area": []}), by="area")
    assert not axes.lines
    assert axes.get_legend() is None
