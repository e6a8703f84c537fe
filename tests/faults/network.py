"""Questions about one session on a server, and their answers by h5py."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.errors import (
    MalformedFileError,
    NWBDaskError,
    SourceAccessError,
    SourceChangedError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from nwb_dask.testing import RangeServer
from nwb_dask.testing.files import write_session
from tests.faults.reading import QUERY, check_error, values

NAME = "session.nwb"
END_SECONDS = 15.0
"""Whatever happens, a question about a small file has ended by then."""

BUILTINS: Mapping[type[NWBDaskError], type[Exception]] = {
    MalformedFileError: ValueError,
    SourceAccessError: PermissionError,
    SourceChangedError: RuntimeError,
    SourceNotFoundError: FileNotFoundError,
    SourceUnavailableError: OSError,
}

Answer: TypeAlias = dict[str, list[Any]]


@dataclass(frozen=True)
class Question:
    """Columns of a table, perhaps of good units only."""

    table: str
    columns: tuple[str, ...]
    only_good: bool = False

    @property
    def options(self) -> dict[str, Any]:
        filters = [("quality", "==", "good")] if self.only_good else None
        return {"columns": list(self.columns), "filters": filters}

    def by_h5py(self, path: Path) -> Answer:
        with h5py.File(path) as file:
            group = file[self.table]
            rows = np.arange(len(group["id"]))
            if self.only_good:
                rows = rows[group["quality"].asstr()[:] == "good"]
            return {column: _column(group, column, rows) for column in self.columns}


def _column(group: h5py.Group, name: str, rows: np.ndarray[Any, np.dtype[np.int64]]) -> list[Any]:
    if f"{name}_index" in group:
        ends = [0, *group[f"{name}_index"][:].tolist()]
        items = group[name][:]
        return [items[ends[row] : ends[row + 1]].tolist() for row in rows]
    stored = group[name].asstr()[:] if group[name].dtype == object else group[name][:]
    return [stored[row].tolist() if isinstance(stored[row], np.generic) else stored[row] for row in rows]


SPIKES = Question("/units", ("quality", "spike_times"))
GOOD_SPIKES = Question("/units", ("spike_times", "depth"), only_good=True)
TRIALS = Question("/intervals/trials", ("start_time", "condition", "block"))
QUESTIONS = {"spikes": SPIKES, "good spikes": GOOD_SPIKES, "trials": TRIALS}


def write_large(path: Path, layout: Any = "gzip") -> Path:
    """Write a session whose spikes are not in the head and the tail of the file."""
    return write_session(
        path, n_units=40, spikes_per_unit=4000, n_trials=50, n_samples=4000, layout=layout, chunk_rows=8192
    )


def ask_pandas(source: object, question: Question, **options: Any) -> Answer:
    return _answer(nwb_dask.read_table(source, question.table, **question.options, **options), question)


def ask_dask(source: object, question: Question, **options: Any) -> Answer:
    return compute(dd.read_nwb(source, question.table, **question.options, **options), question)


def plan(source: object, question: Question = SPIKES) -> Any:
    """Return the lazy frame of a question, planned and not read."""
    return dd.read_nwb(source, question.table, **question.options)


def compute(frame: Any, question: Question = SPIKES) -> Answer:
    return _answer(frame.compute(scheduler="threads"), question)


def _answer(frame: Any, question: Question) -> Answer:
    return {column: values(frame, column) for column in question.columns}


Ask: TypeAlias = Callable[..., Answer]
DOORS: Mapping[str, Ask] = {"pandas": ask_pandas, "dask": ask_dask}
both_doors = pytest.mark.parametrize("ask", DOORS.values(), ids=DOORS.keys())


@contextmanager
def fails_as(
    kind: type[NWBDaskError], url: str, *, match: str | None = None, seconds: float = END_SECONDS
) -> Iterator[None]:
    """Expect an error of ours that keeps secrets, in time."""
    began = time.monotonic()
    with pytest.raises(kind, match=match) as caught:
        yield
    assert time.monotonic() - began < seconds
    check_error(caught.value, kind=kind, builtin=BUILTINS[kind], names=url)


def check_exact(server: RangeServer, path: Path, ask: Ask, question: Question = SPIKES) -> None:
    """Ask about the file at its signed URL, in time; compare with h5py."""
    began = time.monotonic()
    assert ask(server.url(NAME) + QUERY, question) == question.by_h5py(path)
    assert time.monotonic() - began < END_SECONDS
