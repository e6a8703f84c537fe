"""What all contestants share: the three queries, how a result becomes a digest, and the talk with the driver.

A contestant is a program that calls `serve` with one function per way and query. The driver
(`benchmarks.tables`) starts it, asks for one run at a time and so interleaves the rounds of all contestants.
Needs numpy and nothing else, since it runs in the environment of every peer.
"""

from __future__ import annotations

import gc
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal, TextIO, TypeAlias

import numpy as np
import numpy.typing as npt

Columns: TypeAlias = Mapping[str, Sequence[Any] | npt.NDArray[Any]]
"""Values by name."""

Query = Literal["units", "spikes", "trials"]
QUERIES: dict[Query, str] = {
    "units": "id, firing_rate and location of the good units",
    "spikes": "spike_times of the good units",
    "trials": "start_time and stop_time of the later trials",
}
"""Good: ``quality == QUALITY and presence_ratio > PRESENCE_RATIO``. Later: ``start_time > START_TIME``."""

QUALITY = "good"
PRESENCE_RATIO = 0.95
START_TIME = 1800.0

UNIT_COLUMNS = ("id", "firing_rate", "location")
SPIKE_COLUMNS = ("spike_times",)
TRIAL_COLUMNS = ("start_time", "stop_time")


@dataclass(frozen=True, slots=True)
class Way:
    """One way to answer the queries."""

    queries: Mapping[str, Callable[[list[str]], Any]]
    """Files -> the rows, in whatever form users of that way work with."""
    columns: Callable[[Any], Columns]
    """That form -> its columns by name, for the digest; not timed."""
    forget: Callable[[], None] = lambda: None
    """Run before each round, not timed: drops what an earlier round left in memory or on disk."""


def serve(
    ways: Mapping[str, Way], packages: Iterable[str], *, digest_of: Callable[[Any, Columns], str] | None = None
) -> None:
    """Answer requests from standard input, one JSON object per line, until it closes.

    The first line that is written names the ways and the versions of `packages`. A request
    ``{"way", "query", "files"}`` is answered by ``{"seconds", "cpu_seconds", "rows", "digest"}``; the digest is what
    `digest_of` gives for the query and its columns, by default `digest`.
    """
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints must not come between the answers
    _say(answers, {"ways": list(ways), "versions": {name: version(name) for name in packages}})
    for line in sys.stdin:
        request = json.loads(line)
        way = ways[request["way"]]
        run, files = way.queries[request["query"]], request["files"]
        way.forget()
        gc.collect()
        start, cpu_start = time.perf_counter(), time.process_time()
        result = run(files)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        columns = way.columns(result)
        answer = {"seconds": seconds, "cpu_seconds": cpu_seconds, "rows": _n_rows(columns)}
        _say(answers, answer | {"digest": (digest_of or digest)(request["query"], columns)})
        del result, columns  # before the next round, which would otherwise pay for freeing them


def digest(query: Query, columns: Columns) -> str:
    """Return a hash of the rows that does not depend on their order, nor on the library that read them."""
    if query == "spikes":
        rows = sorted(np.asarray(row, dtype="<f8").tobytes() for row in columns["spike_times"])
    elif query == "trials":
        rows = sorted(row.tobytes() for row in np.column_stack([_floats(columns[name]) for name in TRIAL_COLUMNS]))
    else:
        rates = _floats(columns["firing_rate"])
        named = zip(columns["id"], rates, columns["location"], strict=True)
        rows = sorted(f"{int(number)} {rate.hex()} {location}".encode() for number, rate, location in named)
    return hashlib.blake2b(b"\0".join([*rows, str(len(rows)).encode()]), digest_size=16).hexdigest()


def _floats(values: Sequence[Any] | npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.asarray(values, dtype="<f8")


def _n_rows(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def _say(answers: TextIO, answer: Mapping[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
