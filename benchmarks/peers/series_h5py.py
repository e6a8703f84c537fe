"""h5py by hand: what somebody who knows the file layout writes. What the others are compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

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

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Opened: TypeAlias = tuple[h5py.File, h5py.Dataset, tuple[float, float] | h5py.Dataset]
"""File, samples, and start and rate or the timestamps."""


def open_series(file: str, series: str) -> Opened:
    """Return the open file, the dataset and what its times are."""
    handle = h5py.File(file)
    group = handle[series]
    if "timestamps" in group:
        return handle, group["data"], group["timestamps"]
    start = group["starting_time"]
    return handle, group["data"], (float(start[()]), float(start.attrs["rate"]))


def open_one(question: Question) -> Opened:
    """Return the series of the question."""
    return open_series(question.files[0], question.series)


def describe(_: Question, result: Opened) -> Answer:
    """Return shape and ends."""
    handle, data, times = result
    with handle:
        labels = sampled_times(len(data), *times) if isinstance(times, tuple) else times[()]
        return opened(data.shape, (labels[0], labels[-1]))


def read_part(question: Question) -> tuple[Floats, Floats]:
    """Return the samples that are wanted, in units, with their times."""
    handle, data, times = open_one(question)
    with handle:
        conversion = data.attrs["conversion"]
        if isinstance(times, tuple):
            start, stop = question.span(*times)
            labels = np.arange(start, stop) / times[1] + times[0]
        else:
            labels = times[:]
            start, stop = np.searchsorted(labels, [question.start_time, question.stop_time])
            labels = labels[start:stop]
        return labels, data[start:stop] * conversion


def read_stored(question: Question) -> npt.NDArray[Any]:
    """Return all samples as they are stored."""
    handle, data, _ = open_one(question)
    with handle:
        values: npt.NDArray[Any] = data[()]
        return values


def read_double(question: Question) -> Floats:
    """Return all samples in units, float64 as numpy has it without being asked."""
    handle, data, _ = open_one(question)
    with handle:
        values: Floats = data[()] * data.attrs["conversion"]
        return values


def read_single(question: Question) -> Floats:
    """Return all samples in units, float32: half of the memory."""
    handle, data, _ = open_one(question)
    with handle:
        values: Floats = data[()] * np.float32(data.attrs["conversion"])
        return values


def sum_rows(file: str, series: str, start: int, stop: int) -> npt.NDArray[np.int64]:
    """Return the sum of a span of rows."""
    handle, data, _ = open_series(file, series)
    with handle:
        return sum_blocks(lambda *span: data[slice(*span)], start, stop)


def read_mean(question: Question) -> Floats:
    """Return the mean over time, in units."""
    handle, data, _ = open_one(question)
    with handle:
        count, conversion = len(data), data.attrs["conversion"]
    mean: Floats = mean_by_halves(question, count, sum_rows) * conversion
    return mean


def open_many(question: Question) -> list[Opened]:
    """Return all series; the files stay open."""
    return [open_series(file, question.series) for file in question.files]


def describe_many(question: Question, result: list[Opened]) -> Answer:
    """Return all shapes, and rows of some."""
    by_file = dict(zip(question.files, result, strict=True))
    rows = [by_file[file][1][0] * by_file[file][1].attrs["conversion"] for file in question.sampled]
    answer = many((data.shape for _, data, _ in result), rows)
    for handle, _, _ in result:
        handle.close()
    return answer


def _whole(read: Callable[[Question], Any]) -> Way:
    return Way(read, lambda _, values: whole(values))


if __name__ == "__main__":
    opening = Way(open_one, describe)
    slicing = Way(read_part, lambda _, result: part(*result))
    serve(
        {
            "h5py by hand": {
                "open": opening,
                "open_stamped": opening,
                "slice": slicing,
                "slice_stamped": slicing,
                "whole_stored": _whole(read_stored),
                "whole": _whole(read_double),
                "mean": Way(read_mean, lambda _, mean: {"mean": mean}, start_processes),
                "many": Way(open_many, describe_many),
            },
            "h5py by hand, float32": {"whole": _whole(read_single)},
        },
        ["h5py", "numpy"],
    )
