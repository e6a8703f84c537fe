"""Spikes of a tenth of the units of one Zarr session, remote and local: nwb_dask and zarr-python by hand.

::

    python -m benchmarks.zarr_sessions                 # 30 ms a request; results/zarr-<date>.json and .md
    python -m benchmarks.zarr_sessions --check         # exit code 1 if a goal is missed

zarr-python opens the consolidated group, reads the column of the filter and the index, and slices unit by unit. The
goal: at most a quarter of its requests. Local stores of numbers, shuffled and compressed, are read in part and whole.
xarray is no contestant: arrays of a table have no named dimensions, without which it opens no group.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np

from benchmarks.environments import ROOT, describe_machine
from benchmarks.line import Line, count_rounds
from nwb_dask.testing.zarr_sessions import ZarrColumn, write_zarr_session, write_zarr_tables

RESULTS = Path(__file__).parent / "results"
GOAL = 0.25
PROGRAMS = {"nwb_dask": "zarr_nwb_dask", "zarr-python": "zarr_by_hand"}
SHANKS = tuple(range(0, 40, 10))
"""A tenth of the 400 units, ten rows of each shank after each other."""
LOCAL_REPEATS = 5
RUNS = (("unknown", "nwb_dask"), ("known", "nwb_dask"), ("unknown", "zarr-python"))


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one program."""

    question: str
    program: str
    seconds: float
    cpu_seconds: float
    n_units: int
    digest: str
    requests: int = 0
    rounds: int = 0
    sent_bytes: int = 0


def ask(program: str, question: dict[str, Any], line: Line | None, cache: str) -> dict[str, Any]:
    """Return the answer of a program in a process of its own, whose imports are done before the clock starts."""
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.peers.{PROGRAMS[program]}"]
    environment = os.environ | {"NWB_DASK_CACHE_DIR": cache}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        if line is not None:
            line.reset()
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(process.stdout.readline())
    if line is not None:
        log = line.log()
        answer |= {"requests": len(log), "rounds": count_rounds(log), "sent_bytes": sum(one.sent for one in log)}
    return answer


def remote(folder: Path, delay: float) -> list[Run]:
    """Return runs over stores on a server, of which nothing is known, or as much as a run before has kept."""
    runs = []
    for version in (2, 3):
        write_zarr_session(
            folder / f"v{version}.nwb.zarr", version, n_units=400, spikes_per_unit=5000, chunk_spikes=50_000
        )
    with Line(folder, delay_seconds=delay, bytes_per_second=125e6) as line:
        for version in (2, 3):
            url = f"{line.url}/v{version}.nwb.zarr"
            cache = str(folder / f"cache-{version}")
            for question, program in RUNS:
                answer = ask(program, {"url": url, "shanks": SHANKS, "n_times": 1}, line, cache)
                runs.append(Run(f"v{version}, {question}", program, **answer))
    return runs


def local(folder: Path) -> list[Run]:
    """Return runs over local stores of shuffled and compressed numbers; the best of some in one process."""
    rng = np.random.default_rng(0)
    spikes = np.cumsum(rng.exponential(0.01, 4_000_000))
    ends = np.linspace(0, len(spikes), 401).astype("i8")[1:]
    options = {"chunks": (250_000,), "filters": [numcodecs.Shuffle(8)], "compressors": numcodecs.Zlib(4)}
    columns = {
        "spike_times": ZarrColumn(spikes, options=options),
        "spike_times_index": ZarrColumn(ends, target="spike_times"),
        "shank": ZarrColumn(np.arange(400) // 10),
    }
    path = write_zarr_tables(folder / "local.nwb.zarr", 2, {"units": ("Units", columns)})
    runs = []
    for question, shanks in (("local, a tenth", SHANKS), ("local, all", tuple(range(40)))):
        for program in PROGRAMS:
            answer = ask(program, {"url": str(path), "shanks": shanks, "n_times": LOCAL_REPEATS}, None, "")
            runs.append(Run(question, program, **answer))
    return runs


def report(runs: list[Run]) -> str:
    """Return a table of Markdown."""
    lines = ["| question | | s | CPU s | requests | rounds | MB |", "|---|---|--:|--:|--:|--:|--:|"]
    lines += [
        f"| {run.question} | {run.program} | {run.seconds:.3f} | {run.cpu_seconds:.3f} | {run.requests} | {run.rounds} "
        f"| {run.sent_bytes / 1e6:.1f} |"
        for run in runs
    ]
    return "\n".join(lines)


def verdicts(runs: list[Run]) -> list[tuple[str, bool]]:
    """Return the goals with whether they were met; raise if answers differ."""
    found = []
    for version in (2, 3):
        ours, known, theirs = (run for run in runs if run.question.startswith(f"v{version}"))
        assert ours.digest == known.digest == theirs.digest
        share = ours.requests / theirs.requests
        found.append((f"v{version}: {share:.2f} of the requests of zarr-python", share <= GOAL))
    for question in ("local, a tenth", "local, all"):
        ours, theirs = (run for run in runs if run.question == question)
        assert ours.digest == theirs.digest
        share = ours.seconds / theirs.seconds
        found.append((f"{question}: {share:.2f} of the time of zarr-python", share <= 1))
    return found


def main() -> int:
    """Measure, print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay", type=float, default=0.03, help="seconds before each answer")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a goal is missed")
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = [*remote(Path(folder), options.delay), *local(Path(folder))]
    found = verdicts(runs)
    text = report(runs) + "\n\n" + "\n".join(f"- {said}: {'met' if is_met else 'missed'}" for said, is_met in found)
    print(text)
    if not options.no_save:
        stem = RESULTS / f"zarr-{datetime.now(UTC):%Y-%m-%d}"
        record = {"machine": describe_machine(), "delay": options.delay, "runs": [asdict(run) for run in runs]}
        stem.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
        stem.with_suffix(".md").write_text(f"# Zarr sessions\n\n{text}\n")
    return 0 if all(is_met for _, is_met in found) or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
