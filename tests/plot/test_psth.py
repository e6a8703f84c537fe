"""`nwb_dask.plot.psth` draws the means and standard errors of what is counted spike by spike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import nwb_dask
import nwb_dask.dataframe as dd
from tests.plot.pictures import (
    BIN,
    WINDOW,
    Floats,
    assert_mean_and_error,
    column_of,
    legend_of,
    rates_around,
    shades_of,
    spikes_of,
)


@pytest.fixture(scope="module")
def brute(sessions: list[Path]) -> Floats:
    """Rates of the first session, shape (units, trials, bins)."""
    events = column_of(sessions[0], "intervals/trials/start_time")
    return np.array([rates_around(spikes, events) for spikes in spikes_of(sessions[0])])


def test_counts_are_drawn_as_the_mean_rate_over_trials(counts: xr.DataArray, brute: Floats) -> None:
    axes = nwb_dask.plot.psth(counts)
    assert_mean_and_error(axes, 0, brute.mean(axis=0))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time from the event [s]", "rate [Hz]")
    assert axes.get_legend() is None
    assert np.asarray(axes.lines[-1].get_xdata()).tolist() == [0.0, 0.0]


def test_counts_are_drawn_for_each_condition(sessions: list[Path], counts: xr.DataArray, brute: Floats) -> None:
    condition = np.array(column_of(sessions[0], "intervals/trials/condition"))
    named = counts.assign_coords(condition=("trial", condition))
    for axes in (nwb_dask.plot.psth(named, by="condition"), nwb_dask.plot.psth(counts, by=condition)):
        for number, value in enumerate(sorted(set(condition))):
            assert_mean_and_error(axes, number, brute[:, condition == value].mean(axis=0))
        assert legend_of(axes)[1] == sorted(set(condition))


def test_counts_are_drawn_over_units_for_each_area(sessions: list[Path], counts: xr.DataArray, brute: Floats) -> None:
    area = np.array(column_of(sessions[0], "units/brain_area"))
    assert min(Counter(area).values()) > 1
    axes = nwb_dask.plot.psth(counts.assign_coords(area=("unit", area)), by="area", over="unit")
    for number, value in enumerate(sorted(set(area))):
        assert_mean_and_error(axes, number, brute[area == value].mean(axis=1))


def test_counts_of_one_unit_need_no_dim_of_units(counts: xr.DataArray, brute: Floats) -> None:
    assert_mean_and_error(nwb_dask.plot.psth(counts.isel(unit=3)), 0, brute[3])
    assert_mean_and_error(nwb_dask.plot.psth(counts.mean("trial"), over="unit"), 0, brute.mean(axis=1))


def test_missing_bins_are_left_out_of_mean_and_error() -> None:
    values = np.array([[[1.0, np.nan, np.nan], [3.0, 2.0, np.nan], [5.0, 4.0, np.nan]]])
    counts = xr.DataArray(values, dims=("unit", "trial", "time"), coords={"time": [-0.5, 0.5, 1.5]})
    axes = nwb_dask.plot.psth(counts)
    assert np.asarray(axes.lines[0].get_ydata())[:2].tolist() == [3.0, 3.0]
    assert np.isnan(np.asarray(axes.lines[0].get_ydata())[2])
    corners = shades_of(axes)[0]
    assert set(corners[corners[:, 0] == -0.5, 1].round(9)) == {round(3 - 2 / 3**0.5, 9), round(3 + 2 / 3**0.5, 9)}
    assert set(corners[corners[:, 0] == 0.5, 1].round(9)) == {2.0, 4.0}


def test_width_of_bins_is_that_of_the_counts(counts: xr.DataArray, brute: Floats) -> None:
    bare = counts.assign_coords(time=counts.time.values)
    assert not bare.time.attrs
    assert_mean_and_error(nwb_dask.plot.psth(bare), 0, brute.mean(axis=0))
    one = nwb_dask.plot.psth(counts.isel(time=[2]))
    np.testing.assert_allclose(np.asarray(one.lines[0].get_ydata()), brute.mean(axis=(0, 1))[2])
    with pytest.raises(ValueError, match="how long their only bin is"):
        nwb_dask.plot.psth(bare.isel(time=[2]))


def test_psth_refuses_counts_that_do_not_fit(counts: xr.DataArray) -> None:
    with pytest.raises(ValueError, match="dims trial and time"):
        nwb_dask.plot.psth(counts.mean("trial"))
    with pytest.raises(ValueError, match="no coordinate of the units or of the trials; there are unit, trial"):
        nwb_dask.plot.psth(counts, by="condition")
    with pytest.raises(ValueError, match="by has 2 values, and the counts have 40 trials"):
        nwb_dask.plot.psth(counts, by=["a", "b"])


def _rates_by_hand(sessions: list[Path]) -> dict[str, Floats]:
    """Rates of each unit of all sessions in each condition, shape (units, bins): counts of its trials pooled."""
    found: dict[str, list[Floats]] = {}
    for path in sessions:
        events = np.array(column_of(path, "intervals/trials/start_time"))
        condition = np.array(column_of(path, "intervals/trials/condition"))
        for spikes in spikes_of(path):
            for value in [*sorted(set(condition)), "all"]:
                chosen = events[(condition == value) | (value == "all")].tolist()
                found.setdefault(value, []).append(rates_around(spikes, chosen).mean(axis=0))
    return {value: np.array(rows) for value, rows in found.items()}


@pytest.mark.parametrize("read", [dd.read_nwb, nwb_dask.read_table])
def test_rates_of_many_sessions_are_drawn_over_units(sessions: list[Path], read: Callable[..., Any]) -> None:
    units, trials = (read(sessions, table) for table in ("/units", "/intervals/trials"))
    rates = nwb_dask.analysis.psth(
        units, trials, align="start_time", window=WINDOW, bin_size=BIN, by="condition", unit_columns=["brain_area"]
    )
    wanted = _rates_by_hand(sessions)
    pooled = nwb_dask.plot.psth(rates)
    assert_mean_and_error(pooled, 0, wanted.pop("all"))
    parted = nwb_dask.plot.psth(rates, by="condition")
    assert legend_of(parted) == ("condition", sorted(wanted))
    for number, value in enumerate(sorted(wanted)):
        assert_mean_and_error(parted, number, wanted[value])
    areas = nwb_dask.plot.psth(rates, by=["brain_area", "condition"])
    pairs = sorted(
        {(area, value) for path in sessions for area in column_of(path, "units/brain_area") for value in wanted}
    )
    assert [line.get_label() for line in areas.lines[:-1]] == [", ".join(pair) for pair in pairs]


def test_units_without_a_trial_in_a_bin_are_missing_there() -> None:
    rates = pd.DataFrame(
        {
            "_nwb_path": ["a", "a", "a", "b"],
            "unit": [0, 1, 2, 0],
            "time": [0.5] * 4,
            "n_trials": [4, 0, 4, 4],
            "rate": [1.0, np.nan, 2.0, 6.0],
        }
    )
    axes = nwb_dask.plot.psth(rates)
    assert np.asarray(axes.lines[0].get_ydata()).tolist() == [3.0]
    assert set(shades_of(axes)[0][:, 1].round(9)) <= {round(3 + sign * 7**0.5 / 3**0.5, 9) for sign in (-1, 1)}


def test_rows_of_a_unit_in_two_partitions_are_refused(sessions: list[Path]) -> None:
    units, trials = (nwb_dask.read_table(sessions[0], table) for table in ("/units", "/intervals/trials"))
    rates = nwb_dask.analysis.psth(units, trials, align="start_time", window=WINDOW, bin_size=BIN, by="condition")
    with pytest.raises(ValueError, match="one unit are in several partitions"):
        nwb_dask.plot.psth(dd.from_pandas(rates, chunksize=5))
    with pytest.raises(ValueError, match="rates are of units"):
        nwb_dask.plot.psth(rates, over="trial")
    with pytest.raises(nwb_dask.PathNotFoundError, match="no column 'area'"):
        nwb_dask.plot.psth(rates, by="area")
