"""pynwb by hand: series of `NWBFile` read as its documentation advises for large files."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pynwb import NWBHDF5IO, TimeSeries

from benchmarks.peers.series_contest import (
    Answer,
    Question,
    Way,
    many,
    mean_by_halves,
    opened,
    part,
    sampled_times,
    serve,
    start_processes,
    sum_blocks,
    whole,
)

Opened: TypeAlias = tuple[NWBHDF5IO, TimeSeries]


def open_series(file: str, path: str) -> Opened:
    """Return a series and what has its file open."""
    io = NWBHDF5IO(file, "r")
    _, _, module, container, name = path.split("/")
    return io, io.read().processing[module][container][name]


def open_one(question: Question) -> Opened:
    """Return the series of the question."""
    return open_series(question.files[0], question.series)


def describe(_: Question, result: Opened) -> Answer:
    """Return shape and ends."""
    io, series = result
    with io:
        if series.rate is None:
            return opened(series.data.shape, (series.timestamps[0], series.timestamps[-1]))
        times = sampled_times(len(series.data), series.starting_time, series.rate)
        return opened(series.data.shape, (times[0], times[-1]))


def read_part(question: Question) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the samples that are wanted, in units, with their times."""
    io, series = open_one(question)
    with io:
        if series.rate is not None:
            start, stop = question.span(series.starting_time, series.rate)
            times = np.arange(start, stop) / series.rate + series.starting_time
        else:
            stamps = series.timestamps[:]
            start, stop = np.searchsorted(stamps, [question.start_time, question.stop_time])
            times = stamps[start:stop]
        return times, series.data[start:stop] * series.conversion


def read_stored(question: Question) -> npt.NDArray[Any]:
    """Return all samples as they are stored."""
    io, series = open_one(question)
    with io:
        values: npt.NDArray[Any] = series.data[:]
        return values


def read_in_units(question: Question) -> npt.NDArray[Any]:
    """Return all samples in units, float64."""
    io, series = open_one(question)
    with io:
        values: npt.NDArray[Any] = series.get_data_in_units()
        return values


def sum_rows(file: str, path: str, start: int, stop: int) -> npt.NDArray[np.int64]:
    """Return the sum of a span of rows."""
    io, series = open_series(file, path)
    with io:
        return sum_blocks(lambda *span: series.data[slice(*span)], start, stop)


def read_mean(question: Question) -> npt.NDArray[Any]:
    """Return the mean over time, in units."""
    io, series = open_one(question)
    with io:
        count, conversion = len(series.data), series.conversion
    mean: npt.NDArray[Any] = mean_by_halves(question, count, sum_rows) * conversion
    return mean


def open_many(question: Question) -> list[Opened]:
    """Return all series; the files stay open."""
    return [open_series(file, question.series) for file in question.files]


def describe_many(question: Question, result: list[Opened]) -> Answer:
    """Return all shapes, and rows of some."""
    by_file = {file: series for file, (_, series) in zip(question.files, result, strict=True)}
    rows = [by_file[file].data[0] * by_file[file].conversion for file in question.sampled]
    answer = many((series.data.shape for _, series in result), rows)
    for io, _ in result:
        io.close()
    return answer


if __name__ == "__main__":
    opening = Way(open_one, describe)
    slicing = Way(read_part, lambda _, result: part(*result))
    serve(
        {
            "pynwb": {
                "open": opening,
                "open_stamped": opening,
                "slice": slicing,
                "slice_stamped": slicing,
                "whole_stored": Way(read_stored, lambda _, values: whole(values)),
                "whole": Way(read_in_units, lambda _, values: whole(values)),
                "mean": Way(read_mean, lambda _, mean: {"mean": mean}, start_processes),
                "many": Way(open_many, describe_many),
            }
        },
        ["pynwb", "hdmf", "h5py", "numpy"],
    )
