"""What all pictures share, and the labels of those that xarray draws by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgba

import nwb_dask


def test_pictures_are_drawn_where_they_are_wanted(lfp_path: Path, counts: xr.DataArray) -> None:
    _, ax = plt.subplots()
    assert nwb_dask.plot.raster([[0.1]], ax=ax) is ax
    assert nwb_dask.plot.psth(counts, ax=ax) is ax
    assert nwb_dask.plot.overview(nwb_dask.open_timeseries(lfp_path, "lfp"), ax=ax) is ax
    assert nwb_dask.plot.raster([[0.1]]) is not ax
    assert plt.get_fignums() == [1, 2]


def test_more_groups_than_colours_of_the_cycle_differ() -> None:
    axes = nwb_dask.plot.raster([[0.1]] * 12, by=list(range(12)))
    assert len({to_rgba(line.get_color()) for line in axes.lines}) == 12


def test_whole_pictures_can_be_drawn(lfp_path: Path, counts: xr.DataArray) -> None:
    for axes in (
        nwb_dask.plot.raster([[0.1], []], by=["", None]),
        nwb_dask.plot.psth(counts, by="unit"),
        nwb_dask.plot.overview(nwb_dask.open_timeseries(lfp_path, "lfp")),
    ):
        figure = axes.get_figure(root=True)
        assert figure is not None
        figure.draw_without_rendering()


def test_without_matplotlib_the_way_to_get_it_is_said() -> None:
    code = "import sys; sys.modules['matplotlib'] = None; import nwb_dask; nwb_dask.plot.raster([[0.1]])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "ImportError: pictures need matplotlib: pip install nwb-dask[plot]" in ran.stderr


def test_series_is_labelled_with_units_by_xarray(lfp_path: Path) -> None:
    lfp = nwb_dask.open_timeseries(lfp_path, "lfp").sel(time=slice(1.0, 2.0))
    lfp.isel(channel=0).plot()  # type: ignore[call-arg]  # of the wrapper's own self
    axes = plt.gca()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time [s]", "lfp [V]")
    plt.figure()
    lfp.plot()  # type: ignore[call-arg]  # of the wrapper's own self
    (image,) = (one for one in plt.gcf().axes if one.get_label() == "<colorbar>")
    assert image.get_ylabel() == "lfp [V]"
    speed = nwb_dask.open_timeseries(lfp_path, "running_speed")
    plt.figure()
    speed.plot()  # type: ignore[call-arg]  # of the wrapper's own self
    assert (plt.gca().get_xlabel(), plt.gca().get_ylabel()) == ("time [s]", "running_speed [cm/s]")


def test_windows_around_events_are_labelled_with_units_by_xarray(lfp_path: Path) -> None:
    lfp = nwb_dask.open_timeseries(lfp_path, "lfp")
    lfp.nwb.around([3.0, 5.0], (-0.1, 0.1)).isel(channel=0).mean("trial", keep_attrs=True).plot()
    assert plt.gca().get_xlabel() == "time from the event [s]"
    assert plt.gca().get_ylabel() == "lfp [V]"
