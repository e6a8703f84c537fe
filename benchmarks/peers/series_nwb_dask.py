"""nwb_dask: `open_timeseries`, `open_sessions`, and xarray with the engine ``nwb``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

import nwb_dask
import nwb_dask.catalog
from benchmarks.peers.series_contest import (
    Answer,
    Question,
    Way,
    many,
    opened,
    part,
    serve,
    two_workers,
    whole,
)


def open_one(question: Question) -> xr.DataArray:
    """Return the series of the question."""
    return nwb_dask.open_timeseries(question.files[0], question.series)


def open_with_xarray(question: Question) -> xr.DataArray:
    """Return the same through xarray's own function."""
    return xr.open_dataset(question.files[0], engine="nwb", group=question.series)["data"]


def describe(_: Question, series: xr.DataArray) -> Answer:
    """Return shape and ends."""
    return opened(series.shape, (float(series["time"][0]), float(series["time"][-1])))


def read_part(question: Question) -> xr.DataArray:
    """Return the samples that are wanted, in units, with their times."""
    return open_one(question).sel(time=slice(question.start_time, question.stop_time)).compute()


def read_part_with_xarray(question: Question) -> xr.DataArray:
    """Return the same through xarray's own function."""
    return open_with_xarray(question).sel(time=slice(question.start_time, question.stop_time)).compute()


def read_stored(question: Question) -> npt.NDArray[Any]:
    """Return all samples as they are stored."""
    values: npt.NDArray[Any] = nwb_dask.open_timeseries(question.files[0], question.series, scale=False).to_numpy()
    return values


def read_single(question: Question) -> npt.NDArray[Any]:
    """Return all samples in units, float32 as is the default."""
    values: npt.NDArray[Any] = open_one(question).to_numpy()
    return values


def read_single_undivided(question: Question) -> npt.NDArray[Any]:
    """Return the same without dask."""
    values: npt.NDArray[Any] = nwb_dask.open_timeseries(question.files[0], question.series, chunks=None).to_numpy()
    return values


def read_double(question: Question) -> npt.NDArray[Any]:
    """Return all samples in units, float64."""
    series = nwb_dask.open_timeseries(question.files[0], question.series, dtype="float64")
    values: npt.NDArray[Any] = series.to_numpy()
    return values


def read_mean(question: Question) -> npt.NDArray[Any]:
    """Return the mean over time, in units, computed by the cluster."""
    with two_workers().as_current():
        values: npt.NDArray[Any] = open_one(question).mean("time").to_numpy()
    return values


def open_many(question: Question) -> xr.DataTree:
    """Return all series."""
    return nwb_dask.open_sessions(question.files, question.series)


def describe_many(question: Question, tree: xr.DataTree) -> Answer:
    """Return all shapes, and rows of some."""
    nodes = {str(node.attrs["source"]): node.to_dataset()["data"] for node in tree.children.values()}
    rows = [nodes[file][0].to_numpy() for file in question.sampled]
    return many((nodes[file].shape for file in question.files), np.stack(rows))


def forget(_: object = None) -> None:
    """Drop what earlier rounds have left in this process, and in the cluster."""
    nwb_dask.catalog.clear()


def _prepare_cluster(_: Question) -> None:
    two_workers().run(forget)


def _whole(read: Any) -> Way:  # noqa: ANN401  # any of the above
    return Way(read, lambda _, values: whole(values), forget)


def _part(_: Question, series: xr.DataArray) -> Answer:
    return part(series["time"].to_numpy(), series.to_numpy())


if __name__ == "__main__":
    opening, slicing = Way(open_one, describe, forget), Way(read_part, _part, forget)
    also_opening, also_slicing = Way(open_with_xarray, describe, forget), Way(read_part_with_xarray, _part, forget)
    serve(
        {
            "nwb_dask": {
                "open": opening,
                "open_stamped": opening,
                "slice": slicing,
                "slice_stamped": slicing,
                "whole_stored": _whole(read_stored),
                "whole": _whole(read_single),
                "mean": Way(read_mean, lambda _, mean: {"mean": mean}, _prepare_cluster),
                "many": Way(open_many, describe_many, forget),
            },
            "nwb_dask, float64": {"whole": _whole(read_double)},
            "nwb_dask, chunks=None": {"whole": _whole(read_single_undivided)},
            "nwb_dask, engine": {
                "open": also_opening,
                "open_stamped": also_opening,
                "slice": also_slicing,
                "slice_stamped": also_slicing,
            },
        },
        ["xarray", "dask", "distributed", "h5py", "numpy"],
    )
