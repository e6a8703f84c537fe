"""pynwb over `nwb_dask.open_h5`, remfile, fsspec and LINDI: open a remote session, its trials, 1 s of LFP.

::

    python -m benchmarks.pynwb_streaming                 # three rounds, results/pynwb-streaming-<date>.json and .md
    python -m benchmarks.pynwb_streaming --rounds 1 --no-save

pynwb's own time, on the local file, is subtracted: what is left is what streaming costs. The goal: at most a third of
what remfile costs; and no request at all when the same is read again with ``chunk_cache``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.environments import ROOT, describe_machine, ensure_environment
from benchmarks.ephys import FOLDER, ensure_ephys
from benchmarks.line import Line, count_rounds
from benchmarks.sessions import WORK

RESULTS = Path(__file__).parent / "results"
CACHE = WORK / "streaming-cache"
LFP = (12_500, 13_750)
"""Samples: one second."""
ACTIONS = ("open", "trials", "lfp")
SHARE = 1 / 3
"""Of remfile's cost, at most."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to stream."""

    title: str
    way: str
    environment: str | None = None
    keeps: bool = False
    """Uses what an earlier run has kept on disk."""
    chunk_cache: bool = False


LOCAL = Contestant("pynwb on the local file", "local")
REMFILE = Contestant("remfile", "remfile", "remote_pynwb")
OURS = Contestant("open_h5", "nwb_dask")
CONTESTANTS = (
    OURS,
    Contestant("open_h5, index known", "nwb_dask", keeps=True),
    REMFILE,
    Contestant("fsspec", "fsspec", "remote_pynwb"),
    Contestant("LINDI, trials without their timeseries", "lindi", "remote_lindi"),
)
CACHED = (
    Contestant("open_h5, chunk cache, first", "nwb_dask", chunk_cache=True),
    Contestant("open_h5, chunk cache, second", "nwb_dask", keeps=True, chunk_cache=True),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one contestant."""

    title: str
    seconds: dict[str, float]
    cpu_seconds: float
    requests: int
    rounds: int
    sent_bytes: int
    digest: str

    @property
    def total(self) -> float:
        """Seconds of all actions."""
        return sum(self.seconds.values())


def measure(one: Contestant, url: str, line: Line) -> Run:
    """Run a contestant in a process of its own, whose imports are done before the clock starts."""
    if not one.keeps:
        shutil.rmtree(CACHE, ignore_errors=True)
    python = sys.executable if one.environment is None else ensure_environment(one.environment)
    command = [python, "-m", "benchmarks.peers.stream_pynwb", one.way]
    environment = os.environ | {"NWB_DASK_CACHE_DIR": str(CACHE)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        line.reset()
        question = {"url": url, "lfp": LFP, "chunk_cache": "on" if one.chunk_cache else ""}
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        said = process.stdout.readline()
        if not said:
            raise RuntimeError(f"{one.title} ended without an answer; see its messages above")
        answer: dict[str, Any] = json.loads(said)
    log = line.log()
    sent = sum(exchange.sent for exchange in log)
    return Run(one.title, **answer, requests=len(log), rounds=count_rounds(log), sent_bytes=sent)


def table(runs: list[Run]) -> str:
    """Return a Markdown table: least seconds of each action, and of all without those of the local file."""
    local = min(run.total for run in runs if run.title == LOCAL.title)
    lines = [
        "| | open | trials | 1 s of LFP | without pynwb's own | requests / rounds / MB |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for title in dict.fromkeys(run.title for run in runs):
        mine = [run for run in runs if run.title == title]
        least = [min(run.seconds[action] for run in mine) for action in ACTIONS]
        cost = min(run.total for run in mine) - local
        last = mine[-1]
        asked = f"{last.requests} / {last.rounds} / {last.sent_bytes / 1e6:.1f}"
        lines.append(f"| {title} | " + " | ".join(f"{one:.2f}" for one in least) + f" | {cost:.2f} | {asked} |")
    return "\n".join(lines)


def verdict(runs: list[Run]) -> str:
    """Return whether the goal is met, in words."""
    cost = {
        title: min(run.total for run in runs if run.title == title)
        for title in (LOCAL.title, OURS.title, REMFILE.title)
    }
    ours, theirs = cost[OURS.title] - cost[LOCAL.title], cost[REMFILE.title] - cost[LOCAL.title]
    said = "met" if ours <= SHARE * theirs else "MISSED"
    return f"{said}: {ours:.2f} s of {SHARE * theirs:.2f} s (remfile {theirs:.2f} s)"


def main() -> int:
    """Measure, print, save; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layout", choices=("contiguous", "chunked", "gzip"), default="chunked")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay", type=float, default=0.03)
    parser.add_argument("--bytes-per-second", type=float, default=125e6)
    parser.add_argument("--cached", action="store_true", help="with the chunk cache, too")
    parser.add_argument("--only", nargs="*", default=[], help="titles of contestants")
    parser.add_argument("--no-save", action="store_true", help="print only")
    arguments = parser.parse_args()
    session = ensure_ephys(arguments.layout, is_tiny=False, n_many=0).one
    runs: list[Run] = []
    chosen = [*CONTESTANTS, *(CACHED if arguments.cached else ())]
    chosen = [one for one in chosen if not arguments.only or one.title in arguments.only]
    with Line(FOLDER, delay_seconds=arguments.delay, bytes_per_second=arguments.bytes_per_second) as line:
        url = f"{line.url}/{session.relative_to(FOLDER).as_posix()}"
        for _ in range(arguments.rounds):
            for one in (LOCAL, *chosen):
                runs.append(measure(one, str(session) if one is LOCAL else url, line))
                print(runs[-1].title, runs[-1].seconds, file=sys.stderr)
    wrong = {run.title for run in runs if run.digest != runs[0].digest}
    tables = f"{table(runs)}\n\n{verdict(runs)}" if not arguments.only else table(runs)
    print(tables)
    print(f"WRONG: {', '.join(wrong)}" if wrong else "all answers are those of the local file")
    if not arguments.no_save:
        RESULTS.mkdir(exist_ok=True)
        stem = RESULTS / f"pynwb-streaming-{datetime.now(UTC):%Y-%m-%d}"
        record = {"machine": describe_machine(), "delay": arguments.delay, "runs": [asdict(run) for run in runs]}
        stem.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
        stem.with_suffix(".md").write_text(tables + "\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
