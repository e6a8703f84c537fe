"""h5netcdf: the arrays of a series, by itself, and through xarray where xarray can open the group.

xarray's engine fails on series with electrodes, whose attribute ``table`` is a reference. Neither knows what the times
of a regular series are; they are computed by hand, and so is ``conversion``.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import h5netcdf  # type: ignore[import-not-found]  # in the environment of this contestant
import numpy as np
import numpy.typing as npt
import xarray as xr

from benchmarks.peers.series_contest import (
    Answer,
    Question,
    Way,
    many,
    mean_by_halves,
    opened,
    part,
    serve,
    start_processes,
    sum_blocks,
    whole,
)

Opened: TypeAlias = tuple[Any, Any]
"""File and group."""


def open_series(file: str, path: str) -> Opened:
    """Return the group of a series and its file, open."""
    handle = h5netcdf.File(file, "r", phony_dims="sort")
    return handle, handle[path]


def open_one(question: Question) -> Opened:
    """Return the group of the question, and its samples looked up."""
    handle, group = open_series(question.files[0], question.series)
    _ = group.variables["data"].shape
    return handle, group


def describe(_: Question, result: Opened) -> Answer:
    """Return the shape."""
    handle, group = result
    with handle:
        return opened(group.variables["data"].shape)


def read_part(question: Question) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the samples that are wanted, in units, with their times."""
    handle, group = open_one(question)
    with handle:
        variables = group.variables
        data = variables["data"]
        if "timestamps" in variables:
            stamps = variables["timestamps"][:]
            start, stop = np.searchsorted(stamps, [question.start_time, question.stop_time])
            times = stamps[start:stop]
        else:
            first, rate = float(variables["starting_time"][()]), float(variables["starting_time"].attrs["rate"])
            start, stop = question.span(first, rate)
            times = np.arange(start, stop) / rate + first
        return times, data[start:stop] * data.attrs["conversion"]


def read_stored(question: Question) -> npt.NDArray[Any]:
    """Return all samples as they are stored."""
    handle, group = open_one(question)
    with handle:
        values: npt.NDArray[Any] = group.variables["data"][:]
        return values


def read_in_units(question: Question) -> npt.NDArray[Any]:
    """Return all samples in units, float64."""
    handle, group = open_one(question)
    with handle:
        data = group.variables["data"]
        values: npt.NDArray[Any] = data[:] * data.attrs["conversion"]
        return values


def sum_rows(file: str, path: str, start: int, stop: int) -> npt.NDArray[np.int64]:
    """Return the sum of a span of rows."""
    handle, group = open_series(file, path)
    with handle:
        data = group.variables["data"]
        return sum_blocks(lambda *span: data[slice(*span)], start, stop)


def read_mean(question: Question) -> npt.NDArray[Any]:
    """Return the mean over time, in units."""
    handle, group = open_one(question)
    with handle:
        data = group.variables["data"]
        count, conversion = data.shape[0], data.attrs["conversion"]
    mean: npt.NDArray[Any] = mean_by_halves(question, count, sum_rows) * conversion
    return mean


def open_many(question: Question) -> list[Opened]:
    """Return all groups; the files stay open."""
    return [open_series(file, question.series) for file in question.files]


def describe_many(question: Question, result: list[Opened]) -> Answer:
    """Return all shapes, and rows of some."""
    data = {file: group.variables["data"] for file, (_, group) in zip(question.files, result, strict=True)}
    rows = [data[file][0] * data[file].attrs["conversion"] for file in question.sampled]
    answer = many((data[file].shape for file in question.files), rows)
    for handle, _ in result:
        handle.close()
    return answer


def open_with_xarray(question: Question) -> xr.Dataset:
    """Return the group of the question as a dataset, decoded lazily by the attributes that CF knows."""
    return xr.open_dataset(
        question.files[0], engine="h5netcdf", group=question.series, phony_dims="sort", decode_times=False, chunks={}
    )


def describe_with_xarray(_: Question, dataset: xr.Dataset) -> Answer:
    """Return the shape, and the times where they are stored."""
    with dataset:
        stamps = dataset["timestamps"].to_numpy() if "timestamps" in dataset else None
        return opened(dataset["data"].shape, None if stamps is None else (stamps[0], stamps[-1]))


def read_part_with_xarray(question: Question) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the samples that are wanted, in units, with their times."""
    with open_with_xarray(question) as dataset:
        (time,) = dataset["timestamps"].dims
        stamps = dataset["timestamps"].to_numpy()
        start, stop = np.searchsorted(stamps, [question.start_time, question.stop_time])
        data = dataset["data"].isel({time: slice(start, stop)})
        return stamps[start:stop], data.to_numpy() * data.attrs["conversion"]


if __name__ == "__main__":
    opening, opening_with_xarray = Way(open_one, describe), Way(open_with_xarray, describe_with_xarray)
    slicing = Way(read_part, lambda _, result: part(*result))
    serve(
        {
            "h5netcdf": {
                "open": opening,
                "open_stamped": opening,
                "slice": slicing,
                "slice_stamped": slicing,
                "whole_stored": Way(read_stored, lambda _, values: whole(values)),
                "whole": Way(read_in_units, lambda _, values: whole(values)),
                "mean": Way(read_mean, lambda _, mean: {"mean": mean}, start_processes),
                "many": Way(open_many, describe_many),
            },
            "h5netcdf, xarray": {
                "open": opening_with_xarray,
                "open_stamped": opening_with_xarray,
                "slice_stamped": Way(read_part_with_xarray, lambda _, result: part(*result)),
            },
        },
        ["h5netcdf", "xarray", "h5py", "numpy"],
    )
