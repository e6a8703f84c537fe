"""References of one remote ephys session, made by nwb_dask and by LINDI: requests, bytes, rounds and seconds.

::

    python -m benchmarks.references                # three layouts, 30 ms a request; results/references-<date>.*
    python -m benchmarks.references --layout gzip --rounds 5

The two take turns, each in a process of its own whose imports are done before the clock starts. The documents are
compared: the same keys, and the same ranges of the file. Goal: at most a third of LINDI's time.
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
from statistics import median
from typing import Any

from benchmarks.environments import ROOT, describe_machine, ensure_environment
from benchmarks.ephys import FOLDER, LAYOUTS, ensure_ephys
from benchmarks.line import Line, count_rounds

RESULTS = Path(__file__).parent / "results"
GOAL = 1 / 3
PROGRAMS = {"nwb_dask": ("references_nwb_dask", None), "LINDI": ("references_lindi", "remote_lindi")}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one program."""

    layout: str
    program: str
    seconds: float
    cpu_seconds: float
    requests: int
    sent_bytes: int
    rounds: int
    written_bytes: int


def measure(line: Line, layout: str, program: str, path: str, folder: Path) -> tuple[Run, dict[str, Any]]:
    """Return one run, and the document that it wrote."""
    module, environment = PROGRAMS[program]
    python = sys.executable if environment is None else ensure_environment(environment)
    out = folder / f"{module}.lindi.json"
    out.unlink(missing_ok=True)
    command = [python, "-W", "ignore", "-m", f"benchmarks.peers.{module}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        line.reset()
        process.stdin.write(json.dumps([f"{line.url}/{path}", str(out)]) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.read().splitlines()[-1])
    log = line.log()
    sent = sum(one.sent for one in log)
    run = Run(layout, program, **answer, requests=len(log), sent_bytes=sent, rounds=count_rounds(log),
              written_bytes=out.stat().st_size)  # fmt: skip
    return run, json.loads(out.read_text())["refs"]


def compare(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Raise unless two documents say the same: keys, ranges of the file, attributes of LINDI's convention."""
    assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
    for key, one in theirs.items():
        if isinstance(one, list) or key.endswith((".zattrs", ".zgroup")):
            assert ours[key] == one, key
        elif key.endswith(".zarray"):
            assert (ours[key]["shape"], ours[key]["chunks"]) == (one["shape"], one["chunks"]), key
            assert ours[key]["dtype"] == one["dtype"], key


def report(runs: list[Run]) -> str:
    """Return a table of Markdown, with the goal of each layout."""
    lines = ["| layout | | s, best | s, median | CPU s | requests | MB | rounds | kB written |", "|---" * 9 + "|"]
    for layout in dict.fromkeys(run.layout for run in runs):
        best = {}
        for program in PROGRAMS:
            mine = [run for run in runs if (run.layout, run.program) == (layout, program)]
            best[program] = min(run.seconds for run in mine)
            one = mine[0]
            lines.append(
                f"| {layout} | {program} | {best[program]:.2f} | {median(run.seconds for run in mine):.2f} "
                f"| {min(run.cpu_seconds for run in mine):.2f} | {one.requests} | {one.sent_bytes / 1e6:.1f} "
                f"| {one.rounds} | {one.written_bytes / 1e3:.0f} |"
            )
        ratio = best["nwb_dask"] / best["LINDI"]
        lines.append(
            f"| {layout} | ratio of the best | {ratio:.2f} | {'met' if ratio <= GOAL else 'missed'} | | | | | |"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure, print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layout", choices=LAYOUTS, nargs="*", default=LAYOUTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay", type=float, default=0.03, help="seconds before each answer")
    parser.add_argument("--bytes-per-second", type=float, default=125e6)
    parser.add_argument("--check", action="store_true", help="small sessions: are the documents the same?")
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args()
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as folder:
        for layout in options.layout:
            sessions = ensure_ephys(layout, is_tiny=options.check, n_many=0)
            with Line(FOLDER, delay_seconds=options.delay, bytes_per_second=options.bytes_per_second) as line:
                for _ in range(options.rounds):
                    found = {}
                    for program in PROGRAMS:
                        run, found[program] = measure(line, layout, program, sessions.name(sessions.one), Path(folder))
                        runs.append(run)
                        print(
                            f"{layout}, {program}: {run.seconds:.2f} s, load {os.getloadavg()[0]:.1f}", file=sys.stderr
                        )
                    compare(found["nwb_dask"], found["LINDI"])
    table = report(runs)
    print(table)
    if not (options.check or options.no_save):
        RESULTS.mkdir(exist_ok=True)
        stem = RESULTS / f"references-{datetime.now(UTC):%Y-%m-%d}"
        record = {"machine": describe_machine(), "delay": options.delay, "runs": [asdict(run) for run in runs]}
        stem.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
        stem.with_suffix(".md").write_text(table + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
