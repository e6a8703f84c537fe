"""pynapple: its lazy objects of a file, which hold stored integers; ``conversion`` is read with h5py and applied."""

from __future__ import annotations

from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt
import pynapple as nap

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
"""File and series."""


def open_series(file: str, path: str) -> Opened:
    """Return a series and its file."""
    session = nap.load_file(file)
    return session, session[path.rpartition("/")[2]]


def open_one(question: Question) -> Opened:
    """Return the series of the question."""
    return open_series(question.files[0], question.series)


def read_conversion(file: str, path: str) -> float:
    """Return what pynapple leaves out."""
    with h5py.File(file) as handle:
        return float(handle[path]["data"].attrs["conversion"])


def describe(_: Question, result: Opened) -> Answer:
    """Return shape and ends."""
    session, series = result
    answer = opened(series.shape, (series.t[0], series.t[-1]))
    session.close()
    return answer


def read_part(question: Question) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the samples that are wanted, in units, with their times."""
    session, series = open_one(question)
    wanted = series.get(question.start_time, question.stop_time)
    values = np.asarray(wanted.d) * read_conversion(question.files[0], question.series)
    session.close()
    return wanted.t, values


def read_stored(question: Question) -> npt.NDArray[Any]:
    """Return all samples as they are stored."""
    session, series = open_one(question)
    values = np.asarray(series.d)
    session.close()
    return values


def read_in_units(question: Question) -> npt.NDArray[Any]:
    """Return all samples in units, float64."""
    return read_stored(question) * read_conversion(question.files[0], question.series)


def sum_rows(file: str, path: str, start: int, stop: int) -> npt.NDArray[np.int64]:
    """Return the sum of a span of rows."""
    session, series = open_series(file, path)
    total = sum_blocks(lambda *span: np.asarray(series.d[slice(*span)]), start, stop)
    session.close()
    return total


def read_mean(question: Question) -> npt.NDArray[Any]:
    """Return the mean over time, in units."""
    session, series = open_one(question)
    count = len(series)
    session.close()
    return mean_by_halves(question, count, sum_rows) * read_conversion(question.files[0], question.series)


def open_many(question: Question) -> list[Opened]:
    """Return all series; the files stay open."""
    return [open_series(file, question.series) for file in question.files]


def describe_many(question: Question, result: list[Opened]) -> Answer:
    """Return all shapes, and rows of some."""
    by_file = {file: series for file, (_, series) in zip(question.files, result, strict=True)}
    rows = [by_file[file].d[0] * read_conversion(file, question.series) for file in question.sampled]
    answer = many((series.shape for _, series in result), rows)
    for session, _ in result:
        session.close()
    return answer


if __name__ == "__main__":
    opening = Way(open_one, describe)
    slicing = Way(read_part, lambda _, result: part(*result))
    serve(
        {
            "pynapple": {
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
        ["pynapple", "pynwb", "h5py", "numpy"],
    )
