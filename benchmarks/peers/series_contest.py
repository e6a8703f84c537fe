"""What all contestants of `benchmarks.series` share: the question, what of an answer is compared, two processes.

A contestant is a program that calls `serve`. The driver starts it, asks for one run at a time and so interleaves the
rounds of all contestants. Needs numpy and nothing else, since it runs in the environment of every peer.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Action = Literal["open", "open_stamped", "slice", "slice_stamped", "whole_stored", "whole", "mean", "many"]
ACTIONS: Mapping[Action, str] = {
    "open": "open, rate",
    "open_stamped": "open, timestamps",
    "slice": "1 s, rate",
    "slice_stamped": "1 s, timestamps",
    "whole_stored": "whole, as stored",
    "whole": "whole, in volts",
    "mean": "mean, 2 processes",
    "many": "open many sessions",
}

Answer: TypeAlias = Mapping[str, npt.ArrayLike]
"""Numbers that are compared with those of h5py by hand; what a contestant does not give it leaves out."""

N_ROWS = 64
"""Rows of a whole series that are compared one by one; of the others, sums."""
BLOCK_ROWS = 1 << 17
"""Rows that a process of a pool reads at a time."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked; the same for every contestant."""

    files: list[str]
    """Many for the action ``many``, one for the others."""
    series: str
    """Path in the file."""
    start_time: float
    stop_time: float
    """Samples are wanted where ``start_time <= timestamps < stop_time``; none is at either."""

    def span(self, starting_time: float, rate: float) -> tuple[int, int]:
        """Return the half-open span of samples of a regular series."""
        start, stop = (int(np.ceil((at - starting_time) * rate)) for at in (self.start_time, self.stop_time))
        return start, stop

    @property
    def sampled(self) -> list[str]:
        """The files of many whose values are compared."""
        return [self.files[0], self.files[len(self.files) // 2], self.files[-1]]


@dataclass(frozen=True, slots=True)
class Way:
    """How one action is done."""

    run: Callable[[Question], Any]
    """Question -> the result, in whatever form users of that library work with. Timed."""
    answer: Callable[[Question, Any], Answer]
    """That form -> what is compared, and everything closed. Not timed."""
    prepare: Callable[[Question], object] = lambda _question: None
    """Run before, not timed: starts processes, forgets what is known, or learns what is to be known."""


Ways: TypeAlias = Mapping[str, Mapping[Action, Way]]


def serve(ways: Ways, packages: Iterable[str]) -> None:
    """Answer requests from standard input, one JSON object per line, until it closes.

    The first line that is written has the actions of each way and the versions of `packages`. A request
    ``{"way", "action", ...}``, with the fields of `Question`, is answered by ``{"seconds", "cpu_seconds", "answer"}``
    or ``{"error"}``. CPU seconds are of this process.
    """
    # What libraries and the processes that they start print must not come between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(answer: Mapping[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    actions = {name: list(of) for name, of in ways.items()}
    say({"ways": actions, "versions": {name: version(name) for name in packages}})
    with _processes:
        for line in sys.stdin:
            asked = json.loads(line)
            way = ways[asked.pop("way")][asked.pop("action")]
            say(_run(way, Question(**asked)))
            gc.collect()


def _run(way: Way, question: Question) -> dict[str, Any]:
    try:
        way.prepare(question)
        gc.collect()
        start, cpu_start = time.perf_counter(), time.process_time()
        result = way.run(question)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        answer = {name: np.asarray(value).tolist() for name, value in way.answer(question, result).items()}
    except Exception as error:  # noqa: BLE001  # whatever stops a peer is its result
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "answer": answer}


def opened(shape: Iterable[int], ends: tuple[float, float] | None = None) -> Answer:
    """Return what opening is compared by: the shape, and the first and the last time of those who have times."""
    return {"shape": list(shape)} | ({} if ends is None else {"ends": ends})


def part(times: npt.ArrayLike, values: npt.ArrayLike) -> Answer:
    """Return what a slice is compared by: all of it."""
    return {"times": np.asarray(times, "f8"), "values": np.asarray(values, "f8")}


def whole(values: npt.NDArray[Any]) -> Answer:
    """Return what a whole series is compared by: some rows, and sums of all."""
    rows = np.linspace(0, len(values) - 1, N_ROWS).astype(int)
    sums = [
        (block.sum(axis=0), (block**2).sum(axis=0))
        for start in range(0, len(values), BLOCK_ROWS)
        for block in [values[start : start + BLOCK_ROWS].astype("f8")]
    ]
    return {"shape": values.shape, "rows": values[rows].astype("f8"), "sums": np.sum(sums, axis=0)}


def many(shapes: Iterable[tuple[int, ...]], rows: npt.ArrayLike) -> Answer:
    """Return what many sessions are compared by: all shapes, and the first row of those in `Question.sampled`."""
    return {"shapes": np.array(list(shapes)), "rows": np.asarray(rows, "f8")}


def sampled_times(count: int, starting_time: float, rate: float) -> npt.NDArray[np.float64]:
    """Return the times of a regular series, as pynwb computes them."""
    times: npt.NDArray[np.float64] = np.arange(count) / rate + starting_time
    return times


_processes = ExitStack()


@cache
def two_processes() -> ProcessPoolExecutor:
    """Return two processes that have imported what the contestant has."""
    context = multiprocessing.get_context("spawn")
    pool = _processes.enter_context(ProcessPoolExecutor(2, mp_context=context))
    # Each takes one: none is done before both have started.
    list(pool.map(time.sleep, [1.0, 1.0]))
    return pool


@cache
def two_workers() -> Any:  # noqa: ANN401  # a distributed.Client, which not every environment has
    """Return the client of a cluster of two processes with one thread each."""
    from distributed import Client, LocalCluster  # noqa: PLC0415  # the same

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0")
    _processes.enter_context(cluster)
    return _processes.enter_context(Client(cluster))


def start_processes(_: Question) -> None:
    """Prepare `two_processes`."""
    two_processes()


def mean_by_halves(
    question: Question, count: int, sum_rows: Callable[[str, str, int, int], npt.NDArray[np.int64]]
) -> npt.NDArray[np.float64]:
    """Return the mean over time of stored integers, half of the rows summed by each of `two_processes`."""
    (file,) = question.files
    spans = [(0, count // 2), (count // 2, count)]
    sums = two_processes().map(sum_rows, *zip(*[(file, question.series, *span) for span in spans], strict=True))
    mean: npt.NDArray[np.float64] = np.sum(list(sums), axis=0) / count
    return mean


def sum_blocks(read: Callable[[int, int], npt.NDArray[Any]], start: int, stop: int) -> npt.NDArray[np.int64]:
    """Return the sum of rows that are read a block at a time."""
    edges = [*range(start, stop, BLOCK_ROWS), stop]
    sums = [read(*span).sum(axis=0, dtype="i8") for span in pairwise(edges)]
    total: npt.NDArray[np.int64] = np.sum(sums, axis=0)
    return total
