"""Units and trials of real files by many writers, counted by numpy over what h5py reads."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest

import nwb_dask.dataframe as dd
from nwb_dask.analysis import bin_spikes, peri_event_counts, psth
from tests.analysis.brute import counts_around, histogram

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
EDGES = [k / 20 - 0.5 for k in range(31)]
WITH_TRIALS = (
    "dandi__dandi-cli/sub-anm369963_ses-20170228.nwb",
    "hdmf-dev__hdmf-zarr/sub_anm00239123_ses_20170627T093549_ecephys_and_ogen@2.1.0.nwb",
)
NAMES = (
    *WITH_TRIALS,
    "NeurodataWithoutBorders__pynwb/3.0.0_electrodes_dynamic_table.nwb",
    "catalystneuro__neuroconv/ecephys_tutorial_v2.5.0.nwb",
    "catalystneuro__nwb-conversion-tools/example_converter_spec_3.nwb",
    "pynapple-org__pynapple/A2929-200711.neurosuite.nwb",
    "pynapple-org__pynapple/A8604-211122.nwb",
)

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real files are not there: {REAL}")


def spikes_of(path: Path) -> list[npt.NDArray[np.float64]]:
    """Return the spike times of each unit, by h5py alone."""
    with h5py.File(path) as file:
        units = file["units"]
        return np.split(units["spike_times"][:], units["spike_times_index"][:].astype(np.int64))[:-1]


def trials_of(path: Path) -> npt.NDArray[np.float64]:
    """Return when each trial starts, by h5py alone."""
    with h5py.File(path) as file:
        starts: npt.NDArray[np.float64] = file["intervals/trials/start_time"][:]
    return starts


@pytest.mark.parametrize("name", NAMES)
def test_spikes_of_a_real_file_are_binned_as_numpy_bins_them(name: str) -> None:
    path = REAL / name
    spikes = spikes_of(path)
    units = dd.read_nwb(path, "/units")[["id", "spike_times"]].compute()
    counts = bin_spikes(units, bin_size=0.5)
    assert counts.sum() == sum(map(len, spikes))
    edges = [*(counts.time.values - 0.25), counts.time.values[-1] + 0.25]
    for unit, times in enumerate(spikes):
        np.testing.assert_array_equal(counts[unit], histogram(times, edges))


@pytest.mark.parametrize("name", WITH_TRIALS)
def test_spikes_around_the_trials_of_a_real_file_are_counted_as_numpy_counts_them(name: str) -> None:
    path = REAL / name
    spikes, starts = spikes_of(path), trials_of(path)
    units, trials = dd.read_nwb(path, "/units"), dd.read_nwb(path, "/intervals/trials")
    counts = peri_event_counts(
        units[["id", "spike_times"]].compute(), trials.start_time.compute(), window=(-0.5, 1.0), bin_size=0.05
    )
    for unit, times in enumerate(spikes):
        np.testing.assert_array_equal(counts[unit], counts_around(times, list(starts), EDGES))
    rates = psth(units, trials, align="start_time", window=(-0.5, 1.0), bin_size=0.05).compute()
    np.testing.assert_array_equal(rates["count"].to_numpy().reshape(len(spikes), -1), counts.sum("trial"))
    assert set(rates.n_trials) == {len(starts)}
