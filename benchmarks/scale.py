"""How plan, expression, graph and tasks grow: 10,000 file+table pairs, nothing read.

::

    python -m benchmarks.scale                   # prints a table, results/<date>-scale.json
    python -m benchmarks.scale --check           # exit code 1 if a target is missed

Everything after the description of the files is measured: what the client does (plan, optimize, pickle), what the
scheduler does with what it is sent (unpickle, make the graph), and what each worker is sent (one pickled task).
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from dask._expr import Expr
from dask._task_spec import convert_legacy_graph
from dask.dataframe import DataFrame
from distributed.protocol.pickle import dumps
from distributed.protocol.serialize import deserialize, serialize, to_serialize
from distributed.utils import nbytes

import nwb_dask.dataframe as dd
from benchmarks.environments import describe_machine
from benchmarks.sessions import WORK, Recipe, write_session
from nwb_dask.adapters.dask_frame.collection import frame_of_scan
from nwb_dask.index import (
    ArrayEntry,
    AttributeValue,
    ElementType,
    FileIndex,
    FilePath,
    GroupEntry,
    Identity,
    Reference,
    Source,
    Url,
)
from nwb_dask.model import build_table
from nwb_dask.plan.assemble import Found, Wish, assemble_scan

RESULTS = Path(__file__).parent / "results"

SECONDS = 1.0
"""Most that planning and optimizing together may take; and, apart from it, making the graph."""
EXPRESSION_BYTES = 1_000_000
TASK_BYTES = 3_000

TABLE = "/units"
N_UNITS = 300
N_SPIKES = 1_500_000


@dataclass(frozen=True, slots=True)
class Measured:
    """One query over all pairs."""

    query: str
    plan_seconds: float
    """From the descriptions of the files to the collection."""
    optimize_seconds: float
    expression_bytes: int
    """What the client sends to the scheduler."""
    graph_seconds: float
    """Unpickling the expression and making the graph from it, on the scheduler."""
    n_tasks: int
    largest_read_bytes: int
    """The largest of the tasks that read a file, with what dask has fused into them."""
    median_task_bytes: int
    largest_task_bytes: int
    """Of all tasks. Where dask combines all partitions in one task, that one names 10,000 inputs."""

    def missed(self) -> list[str]:
        """Return the targets that this query misses."""
        limits = {
            f"plan and optimize in {SECONDS:g} s": self.plan_seconds + self.optimize_seconds < SECONDS,
            f"expression under {EXPRESSION_BYTES} bytes": self.expression_bytes < EXPRESSION_BYTES,
            f"graph in {SECONDS:g} s": self.graph_seconds < SECONDS,
            f"tasks under {TASK_BYTES} bytes": max(self.largest_read_bytes, self.median_task_bytes) < TASK_BYTES,
        }
        return [f"{self.query}: {limit}" for limit, holds in limits.items() if not holds]


def describe_files(n_files: int) -> list[Found]:
    """Return what is known of `n_files` sessions after each was described once."""
    return [_describe_file(number) for number in range(n_files)]


def _describe_file(number: int) -> Found:
    url = f"s3://a-bucket-of-sessions/sub-{number // 10:04}/sub-{number // 10:04}_ses-{number:05}_behavior+ecephys.nwb"
    identity = Identity("etag", f'"{number:032x}-12"', 10**9 + number)
    source = Source(Url(url), identity)
    members = _members()
    group = GroupEntry(
        FilePath(TABLE),
        {"neurodata_type": "Units", "namespace": "core", "colnames": tuple(n for n in members if _is_column(n))},
        tuple(sorted(members)),
    )
    index = FileIndex(source, {TABLE: group}, {entry.path: entry for entry in members.values()})
    return Found(source, url, url, (build_table(index, TABLE),))


def _is_column(name: str) -> bool:
    return name != "id" and not name.endswith("_index")


def _members() -> dict[str, ArrayEntry]:
    number, text = ElementType("float", np.dtype("<f8")), ElementType("string")
    scalars = dict.fromkeys(("rate", "snr", "presence_ratio", "isi_violations", "amplitude_cutoff"), number)
    scalars |= {"quality": text, "location": text, "id": ElementType("int", np.dtype("<i8"))}
    members = {name: _array(name, element, (N_UNITS,)) for name, element in scalars.items()}
    members["spike_times"] = _array("spike_times", number, (N_SPIKES,))
    members["spike_times_index"] = _array(
        "spike_times_index",
        ElementType("uint", np.dtype("<u4")),
        (N_UNITS,),
        neurodata_type="VectorIndex",
        target=Reference(f"{TABLE}/spike_times"),
    )
    members["waveform_mean"] = _array("waveform_mean", number, (N_UNITS, 82, 384))
    return members


def _array(name: str, element: ElementType, shape: tuple[int, ...], **attributes: AttributeValue) -> ArrayEntry:
    size = int(np.prod(shape)) * (16 if element.dtype is None else element.dtype.itemsize)
    return ArrayEntry(
        FilePath(f"{TABLE}/{name}"),
        element,
        shape,
        "contiguous",
        {"neurodata_type": "VectorData", "description": name, **attributes},
        offset=4096,
        stored_bytes=size,
    )


def queries(path: str) -> Mapping[str, Callable[[DataFrame], Any]]:
    """Return the questions; `path` is one of the files."""
    return {
        "spike_times of good units": lambda df: df[(df.quality == "good") & (df.rate > 5)][["spike_times"]],
        "sum of id": lambda df: df.id.sum(),
        "one file": lambda df: df[df["_nwb_path"] == path],
        "mean rate by location": lambda df: df.groupby("location").rate.mean(),
        "everything": lambda df: df,
    }


def measure(name: str, query: Callable[[DataFrame], Any], found: list[Found]) -> Measured:
    """Plan, optimize, send, unpack and make the graph of one query, as client and scheduler do."""
    start = time.perf_counter()
    frame = frame_of_scan(assemble_scan(found, Wish(TABLE)))
    asked = query(frame)
    planned = time.perf_counter()
    optimized = asked.optimize().expr
    done = time.perf_counter()
    header, frames = serialize(to_serialize(optimized), on_error="raise")
    expression_bytes = sum(map(nbytes, [header, *frames]))
    # The client's objects would be found again in this process, and the graph in them.
    del asked, frame, optimized
    unpacking = time.perf_counter()
    received: Expr = deserialize(header, frames)
    graph = convert_legacy_graph(received.__dask_graph__())
    made = time.perf_counter()
    sizes = {key: len(dumps(task, protocol=pickle.HIGHEST_PROTOCOL)) for key, task in graph.items()}
    reads = [sizes[key] for key, task in graph.items() if not task.dependencies]
    return Measured(
        name,
        planned - start,
        done - planned,
        expression_bytes,
        made - unpacking,
        len(graph),
        max(reads),
        int(statistics.median(sizes.values())),
        max(sizes.values()),
    )


def measure_on_disk(n_files: int, *, rounds: int) -> dict[str, float]:
    """Return the seconds of `read_nwb` over `n_files` local files: the first time, and with their index known.

    The files are hard links to one small session: each has a path of its own and is opened by it.
    """
    WORK.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=WORK) as folder:
        session = Path(folder, "session.nwb")
        write_session(session, 0, Recipe(n_units=20, n_spikes=10))
        files = [str(Path(folder, f"link_{number:05}.nwb")) for number in range(n_files)]
        for file in files:
            os.link(session, file)
        seconds = []
        for _ in range(rounds + 1):
            start = time.perf_counter()
            dd.read_nwb(files, TABLE)
            seconds.append(time.perf_counter() - start)
    return {"first time": seconds[0], "index known": min(seconds[1:])}


def best_of(rounds: list[Measured]) -> Measured:
    """Return the smallest of each number over rounds of the same query."""
    return Measured(
        rounds[0].query,
        *(min(values) for values in zip(*(astuple(one)[1:] for one in rounds), strict=True)),
    )


def format_table(measured: list[Measured]) -> str:
    """Return the measurements as a Markdown table."""
    lines = [
        "| query | plan s | optimize s | sent MB | graph s | tasks | largest read B | median task B | largest task B |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {m.query} | {m.plan_seconds:.3f} | {m.optimize_seconds:.3f} | {m.expression_bytes / 1e6:.3f} "
        f"| {m.graph_seconds:.3f} | {m.n_tasks} | {m.largest_read_bytes} | {m.median_task_bytes} "
        f"| {m.largest_task_bytes} |"
        for m in measured
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure, print the table, save the result; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3, help="the best of them counts")
    parser.add_argument("--on-disk", action="store_true", help="also plan files on disk, unknown and known")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a target is missed")
    parser.add_argument("--no-save", action="store_true", help="print only")
    arguments = parser.parse_args()
    found = describe_files(arguments.files)
    asked = queries(found[len(found) // 2].name)
    measured = [best_of([measure(*one, found) for _ in range(arguments.rounds)]) for one in asked.items()]
    print(f"{arguments.files} file+table pairs, index known\n\n{format_table(measured)}")
    on_disk = measure_on_disk(arguments.files, rounds=arguments.rounds) if arguments.on_disk else {}
    for name, seconds in on_disk.items():
        print(f"read_nwb of {arguments.files} local files, {name}: {seconds:.2f} s")
    if not arguments.no_save:
        RESULTS.mkdir(exist_ok=True)
        record = {
            "files": arguments.files,
            "machine": describe_machine(),
            "versions": {name: version(name) for name in ("dask", "distributed", "pandas", "pyarrow")},
            "queries": [asdict(one) for one in measured],
            "seconds_on_disk": on_disk,
        }
        path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-scale.json"
        path.write_text(json.dumps(record, indent=1) + "\n")
    missed = [line for one in measured for line in one.missed()]
    if on_disk.get("index known", 0) >= SECONDS:
        missed.append(f"read_nwb of local files, index known, in {SECONDS:g} s")
    for line in missed:
        print(f"MISSED {line}")
    return 1 if arguments.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
