"""What all contestants of `benchmarks.remote` share: the question, the digest of an answer, the talk with the driver.

A contestant is a program that calls `serve`. The driver starts a fresh one for each run, waits until its imports are
done, asks one question, and compares the digests with those of h5py on the local file. Needs numpy and nothing else,
since it runs in the environment of every peer.
"""

from __future__ import annotations

import gc
import hashlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias

import numpy as np

Action = Literal["list", "trials", "units", "lfp"]
Mode = Literal["cold", "fill", "warm"]
"""``cold``: nothing is known of the file. ``fill``: the same, and what later processes can use is kept, not timed.
``warm``: that is there."""

Columns: TypeAlias = Mapping[str, Sequence[Any] | np.ndarray[Any, Any]]
"""Values by column, of all files one after the other."""

UNIT_COLUMNS = ("id", "firing_rate", "location", "spike_times")
LFP_COLUMNS = ("timestamps", "data")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked; the same for every contestant."""

    urls: list[str]
    """Paths for the contestant that reads local files."""
    mode: Mode
    cache: str
    """Folder for what is kept from process to process; absent at first if `mode` is ``cold``."""
    quality: str
    presence_ratio: float
    """Units are wanted where ``quality == quality and presence_ratio > presence_ratio``: `UNIT_COLUMNS`."""
    series: str
    start_time: float
    stop_time: float
    """Samples of `series` are wanted where ``start_time <= timestamps < stop_time``: `LFP_COLUMNS`."""

    def span(self, starting_time: float, rate: float) -> tuple[int, int]:
        """Return the half-open span of samples of a regular series."""
        start, stop = (int(np.ceil((at - starting_time) * rate)) for at in (self.start_time, self.stop_time))
        return start, stop

    def kept(self, name: str) -> Path:
        """Return the path of a file or folder in the cache, whose folder is made."""
        Path(self.cache).mkdir(parents=True, exist_ok=True)
        return Path(self.cache, name)


@dataclass(frozen=True, slots=True)
class Way:
    """How one action is done."""

    run: Callable[[Question], Any]
    """Question -> the answer, in whatever form users of that library work with. Timed."""
    columns: Callable[[Any], Columns]
    """That form -> values by column; of ``list``, what `listed` returns. Not timed."""
    keep: Callable[[Question, Any], None] = lambda _question, _answer: None
    """Run after ``fill``, where what later processes need is not kept by itself."""


def serve(ways: Mapping[Action, Way], packages: Iterable[str], *, preload: Iterable[str] = ()) -> None:
    """Answer one question from standard input.

    The modules of `preload` are those that the libraries import at their first use, which is not to be timed. The first
    line that is written names the versions of `packages`. The question ``{"action", ...}``, with the fields
    of `Question`, is answered by ``{"seconds", "cpu_seconds", "rows", "digests", "imported"}`` or ``{"error"}``.
    """
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints must not come between the answers
    for module in preload:
        import_module(module)
    _say(answers, {"versions": {name: version(name) for name in packages}})
    line = sys.stdin.readline()
    if not line:
        return
    asked = json.loads(line)
    way, question = ways[asked.pop("action")], Question(**asked)
    known = set(sys.modules)
    gc.collect()
    try:
        start, cpu_start = time.perf_counter(), time.process_time()
        result = way.run(question)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        imported = sorted(set(sys.modules) - known)
        if question.mode == "fill":
            way.keep(question, result)
        columns = way.columns(result)
        digests = digest(columns, is_ordered=len(question.urls) == 1)
    except Exception as error:  # noqa: BLE001  # whatever stops a peer is its result
        traceback.print_exc()
        _say(answers, {"error": f"{type(error).__name__}: {error}"[:300]})
        return
    answer = {"seconds": seconds, "cpu_seconds": cpu_seconds, "digests": digests, "imported": imported}
    _say(answers, answer | {"rows": len(next(iter(columns.values())))})


def listed(tables: Mapping[str, tuple[int, Iterable[str]]], series: Mapping[str, int]) -> Columns:
    """Return what a list of a file is compared by.

    Parameters
    ----------
    tables : mapping
        Path -> number of rows and names of the columns, id and indexes left out, of each DynamicTable.
    series : mapping
        Path -> number of samples of each TimeSeries.
    """
    return {
        "tables": [f"{path} {n_rows} {' '.join(sorted(names))}" for path, (n_rows, names) in sorted(tables.items())],
        "series": [f"{path} {n_samples}" for path, n_samples in sorted(series.items())],
    }


def digest(columns: Columns, *, is_ordered: bool) -> dict[str, str]:
    """Return a hash of each column that does not depend on the library that read it.

    Numbers count as float64. Unless `is_ordered`, the order of the rows does not matter.
    """
    digests = {}
    for name, values in columns.items():
        rows = _encoded(values)
        whole = b"\0".join(rows if is_ordered else sorted(rows))
        digests[name] = hashlib.blake2b(whole + str(len(rows)).encode(), digest_size=8).hexdigest()
    return digests


def _encoded(values: Sequence[Any] | np.ndarray[Any, Any]) -> list[bytes]:
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return [row.tobytes() for row in values.astype("<f8")]
    return [_encode(value) for value in values]


def _encode(value: Any) -> bytes:  # noqa: ANN401  # anything that a column holds
    if value is None:
        return b"null"
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bool | int | float | np.number | np.bool_):
        return np.float64(value).tobytes()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value.astype("<f8").tobytes()
    if isinstance(value, Mapping):
        return _encode(list(value.values()))
    items = list(value)
    if items and all(isinstance(item, bool | int | float | np.number) for item in items):
        return np.asarray(items, "<f8").tobytes()
    return b"\x1f".join(_encode(item) for item in items)


def _say(answers: TextIO, answer: Mapping[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
