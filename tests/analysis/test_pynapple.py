"""The same counts as pynapple's: of random times, and of times that were read from a clock.

``count`` of pynapple rounds times and edges to nanoseconds, so that it too puts a spike that is on an edge but for
rounding errors into the bin that begins there. Its ``compute_perievent`` does not round the differences: there no spike
must be on an edge. Those that are, `test_events` compares with exact fractions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from nwb_dask.analysis import bin_spikes, contains, peri_event_counts, psth, spikes_in_intervals

nap: Any = pytest.importorskip("pynapple", reason="pynapple, which counts are compared with, is not installed")

N_UNITS, N_EVENTS, SECONDS = 5, 60, 120
CLOCKS = [None, 30_000, 1_000]
"""Ticks per second of the clock that times are read from; None for times as they come."""


def times(random: np.random.Generator, count: int, clock: int | None) -> npt.NDArray[np.float64]:
    """Different times in ascending order."""
    if clock is None:
        return np.sort(random.uniform(0, SECONDS, count))
    return np.sort(random.choice(SECONDS * clock, count, replace=False)) / clock


def trains(seed: int, clock: int | None) -> list[npt.NDArray[np.float64]]:
    random = np.random.default_rng(seed)
    return [times(random, int(random.integers(500, 3000)), clock) for _ in range(N_UNITS)]


def group(spikes: list[npt.NDArray[np.float64]]) -> Any:
    support = nap.IntervalSet(-10, SECONDS + 10)
    return nap.TsGroup({unit: nap.Ts(train) for unit, train in enumerate(spikes)}, time_support=support)


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("size", [0.01, 0.05, 0.5])
def test_binned_spikes_are_those_of_count(clock: int | None, size: float) -> None:
    spikes = trains(1, clock)
    theirs = group(spikes).count(size, ep=nap.IntervalSet(0, SECONDS))
    ours = bin_spikes(spikes, bin_size=size, start_time=0, stop_time=SECONDS)
    assert ours.sum() > 1000
    np.testing.assert_array_equal(ours.transpose("time", "unit"), theirs.values)
    np.testing.assert_allclose(ours.time, theirs.index.values, atol=1e-8)


@pytest.mark.parametrize("clock", CLOCKS)
def test_counts_around_events_are_those_of_compute_perievent(clock: int | None) -> None:
    spikes = trains(2, clock)
    events = times(np.random.default_rng(3), N_EVENTS, clock)
    # Between two ticks of every clock.
    window = (-0.50001, 0.99999)
    around = nap.compute_perievent(group(spikes), nap.Ts(events), window=window)
    ours = peri_event_counts(spikes, events, window=window, bin_size=0.02)
    for unit in range(N_UNITS):
        theirs = around[unit].count(0.02, ep=nap.IntervalSet(*window))
        assert theirs.values.sum() > 50
        np.testing.assert_array_equal(ours[unit].transpose("time", "trial"), theirs.values)


def test_rates_are_the_means_of_compute_perievent() -> None:
    spikes = trains(4, None)
    events = times(np.random.default_rng(5), N_EVENTS, None)
    trials = pd.DataFrame({"go": events, "side": np.where(np.arange(N_EVENTS) % 3, "left", "right")})
    rates = psth(pd.DataFrame({"spike_times": spikes}), trials, align="go", window=(-0.5, 1), bin_size=0.1, by="side")
    for side, rows in trials.groupby("side"):
        around = nap.compute_perievent(group(spikes), nap.Ts(rows.go.to_numpy()), window=(-0.5, 1.0))
        for unit in range(N_UNITS):
            theirs = around[unit].count(0.1, ep=nap.IntervalSet(-0.5, 1.0)).values
            ours = rates[(rates.unit == unit) & (rates.side == side)]
            np.testing.assert_array_equal(ours["count"], theirs.sum(axis=1))
            np.testing.assert_allclose(ours.rate, theirs.mean(axis=1) / 0.1, rtol=1e-14)


def test_spikes_in_intervals_are_those_of_restrict() -> None:
    spikes = trains(6, None)
    intervals = np.array([[1.0, 5.0], [3.0, 9.0], [50.0, 51.0], [119.0, 200.0]])
    merged = nap.IntervalSet([1.0, 50.0, 119.0], [9.0, 51.0, 200.0])
    kept = spikes_in_intervals(pd.DataFrame({"spike_times": spikes}), intervals).spike_times
    for unit, train in enumerate(spikes):
        theirs = nap.Ts(train).restrict(merged).index.values
        assert len(theirs) > 10
        np.testing.assert_allclose(kept[unit], theirs, atol=1e-9, rtol=0)
        assert contains(intervals, train).sum() == len(theirs)
