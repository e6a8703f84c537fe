"""How planning from a catalog grows: 100, 1,000 and 10,000 sessions that are not there; nothing is opened or read.

::

    python -m benchmarks.catalog                 # prints a table, results/catalog-<date>.json and .md
    python -m benchmarks.catalog --check         # exit code 1 if a target is missed

Each question is asked in a process of its own that has done its imports and used them once: *cold* opens the catalog
and reads its tables, *warm* asks the same open catalog again. Beside it, the same plan without a catalog: as many
local files, each opened (``no catalog``). The targets are for 10,000 sessions.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.environments import ROOT, describe_machine
from benchmarks.peers.catalog_nwb_dask import QUESTIONS
from benchmarks.scale import measure_on_disk
from nwb_dask.testing.catalogs import write_simulated_catalog

RESULTS = Path(__file__).parent / "results"
SIZES = (100, 1_000, 10_000)

SECONDS = 2.0
"""Most that opening, planning, pruning and optimizing a predicate may take, cold."""
SENT_BYTES = 1_000_000
SLOPE = 1.0
"""Of the logarithm of seconds over that of sessions: 1 is linear."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The best of all rounds of one question over one catalog."""

    n_sessions: int
    question: str
    cold_plan_seconds: float
    """Opening the catalog, reading what is needed of it, and `read_nwb`."""
    cold_optimize_seconds: float
    """The query, pruned and optimized."""
    cold_cpu_seconds: float
    """Of the processor, with sending and making the graph: what the other two take where nothing else runs."""
    warm_plan_seconds: float
    warm_optimize_seconds: float
    partitions: int
    tasks: int
    sent_bytes: int
    """The optimized expression as it is sent to the scheduler."""

    @property
    def cold_seconds(self) -> float:
        """Everything, cold."""
        return self.cold_plan_seconds + self.cold_optimize_seconds

    @property
    def warm_seconds(self) -> float:
        """Everything, warm."""
        return self.warm_plan_seconds + self.warm_optimize_seconds


def measure(folder: Path, small: Path, n_sessions: int, question: str, rounds: int) -> Measured:
    """Return the best of so many processes."""
    command = [sys.executable, "-m", "benchmarks.peers.catalog_nwb_dask", str(folder), question, str(small)]
    answers = [
        json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
        for _ in range(rounds)
    ]
    cold, warm = (
        min((one[way] for one in answers), key=lambda one: one["plan_seconds"] + one["optimize_seconds"])
        for way in ("cold", "warm")
    )
    return Measured(
        n_sessions,
        question,
        cold["plan_seconds"],
        cold["optimize_seconds"],
        min(one["cold"]["cpu_seconds"] for one in answers),
        warm["plan_seconds"],
        warm["optimize_seconds"],
        cold["partitions"],
        cold["tasks"],
        cold["sent_bytes"],
    )


def slopes(measured: Sequence[Measured]) -> dict[str, float]:
    """Return for each question the slope of the logarithm of cold seconds over that of sessions."""
    found = {}
    for question in QUESTIONS:
        mine = [one for one in measured if one.question == question]
        if len(mine) > 1:
            sizes, seconds = np.log([one.n_sessions for one in mine]), np.log([one.cold_seconds for one in mine])
            found[question] = float(np.polyfit(sizes, seconds, 1)[0])
    return found


def missed(measured: Sequence[Measured]) -> list[str]:
    """Return the targets that are missed."""
    largest = [one for one in measured if one.n_sessions == max(SIZES)]
    lines = [f"{one.question}: {SECONDS:g} s" for one in largest if one.cold_seconds >= SECONDS]
    lines += [f"{one.question}: {SENT_BYTES} bytes" for one in largest if one.sent_bytes >= SENT_BYTES]
    lines += [f"{one.question}: one task" for one in measured if one.question.startswith("one") and one.tasks != 1]
    lines += [f"{question}: slope {slope:.2f}" for question, slope in slopes(measured).items() if slope > SLOPE]
    return lines


def report(measured: Sequence[Measured], on_disk: dict[int, dict[str, float]]) -> str:
    """Return the measurements as Markdown."""
    columns = ("sessions", "question", "cold s: plan + optimize", "CPU s", "warm s: plan + optimize", "partitions")
    lines = [
        f"| {' | '.join(columns)} | tasks | sent kB |",
        "|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {m.n_sessions} | {m.question} | {m.cold_plan_seconds:.3f} + {m.cold_optimize_seconds:.3f} "
        f"| {m.cold_cpu_seconds:.3f} | {m.warm_plan_seconds:.3f} + {m.warm_optimize_seconds:.3f} "
        f"| {m.partitions} | {m.tasks} | {m.sent_bytes / 1e3:.1f} |"
        for m in measured
    ]
    lines += ["", "| growth, cold | slope of log seconds over log sessions |", "|---|--:|"]
    lines += [f"| {question} | {slope:.2f} |" for question, slope in slopes(measured).items()]
    lines += ["", "| no catalog, `read_nwb` of local files | first time s | known s |", "|--:|--:|--:|"]
    lines += [
        f"| {n_files} | {seconds['first time']:.2f} | {seconds['index known']:.2f} |"
        for n_files, seconds in on_disk.items()
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure, print the tables, save them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, nargs="*", default=SIZES)
    parser.add_argument("--rounds", type=int, default=3, help="processes; the best of them counts")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a target is missed")
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args()
    measured = []
    with TemporaryDirectory() as work:
        small = Path(work, "small")
        write_simulated_catalog(small, 20)
        for n_sessions in options.sessions:
            folder = Path(work, str(n_sessions))
            write_simulated_catalog(folder, n_sessions)
            measured += [measure(folder, small, n_sessions, question, options.rounds) for question in QUESTIONS]
    on_disk = {n_files: measure_on_disk(n_files, rounds=1) for n_files in options.sessions}
    tables = report(measured, on_disk)
    print(tables)
    if not options.no_save:
        RESULTS.mkdir(exist_ok=True)
        record = {
            "machine": describe_machine(),
            "versions": {name: version(name) for name in ("dask", "distributed", "pandas", "pyarrow")},
            "rounds": options.rounds,
            "load": os.getloadavg(),
            "questions": [asdict(one) for one in measured],
            "slopes": slopes(measured),
            "seconds_without_catalog": on_disk,
        }
        stem = RESULTS / f"catalog-{datetime.now(UTC):%Y-%m-%d}"
        stem.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
        stem.with_suffix(".md").write_text(tables + "\n")
    lines = missed(measured)
    for line in lines:
        print(f"MISSED {line}")
    return 1 if options.check and lines else 0


if __name__ == "__main__":
    sys.exit(main())
