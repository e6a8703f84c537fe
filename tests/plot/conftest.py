"""Sessions to draw, and axes that no other test sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import pytest
import xarray as xr
from matplotlib import pyplot as plt

import nwb_dask
from nwb_dask.testing.files import write_session
from tests.plot.pictures import BIN, LFP_SAMPLES, WINDOW


@pytest.fixture(autouse=True)
def _agg() -> Iterator[None]:
    """Draw into memory, and keep no figure for the next test."""
    before = mpl.get_backend()
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(before)


@pytest.fixture(scope="session")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three sessions with units and trials."""
    folder = tmp_path_factory.mktemp("plot")
    return [
        write_session(folder / f"s{seed}.nwb", seed=seed, n_units=7 + seed, spikes_per_unit=3000, n_trials=40)
        for seed in range(3)
    ]


@pytest.fixture(scope="session")
def lfp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session with 80 s of LFP on 4 channels, in compressed chunks."""
    path = tmp_path_factory.mktemp("plot-lfp") / "s.nwb"
    return write_session(path, n_units=0, n_trials=0, n_samples=LFP_SAMPLES, n_electrodes=4, layout="gzip")


@pytest.fixture(scope="session")
def counts(sessions: list[Path]) -> xr.DataArray:
    """Spike counts of the first session in each trial."""
    units, trials = (nwb_dask.read_table(sessions[0], table) for table in ("/units", "/intervals/trials"))
    found: xr.DataArray = nwb_dask.analysis.peri_event_counts(units, trials.start_time, window=WINDOW, bin_size=BIN)
    return found
