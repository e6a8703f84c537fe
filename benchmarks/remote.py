"""Four actions on remote ephys sessions, by every contestant in one run: requests, bytes, rounds and seconds.

::

    python -m benchmarks.remote                    # everything, results/remote-<date>.json and .md
    python -m benchmarks.remote --layout chunked --only nwb_dask lazynwb
    python -m benchmarks.remote --check            # small sessions, no delay: are all answers right?

Method, machine and results: ``benchmarks/README.md``; goals: ``benchmarks/remote_goals.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.environments import ROOT, describe_machine, ensure_environment
from benchmarks.ephys import FOLDER, LAYOUTS, N_MANY, Sessions, ensure_ephys
from benchmarks.line import Exchange, Line, count_rounds
from benchmarks.peers.remote_contest import Action, Mode, Question
from benchmarks.remote_goals import format_goals, format_tables
from benchmarks.remote_runs import ACTIONS, LAZYNWB, OURS, REMFILE, Case, Count, Measurement, Run, count_spikes
from benchmarks.sessions import WORK
from nwb_dask.testing.ephys import LFP_PATH, LFP_START, PRESENCE_RATIO, QUALITY

RESULTS = Path(__file__).parent / "results"
CACHES = WORK / "remote-caches"

DELAY_SECONDS = 0.03
BYTES_PER_SECOND = 125e6
LFP_SECONDS = 1.0
LIMIT_SECONDS = 900.0
"""Of one run; who takes longer is stopped."""


@dataclass(frozen=True, slots=True)
class Program:
    """A contestant's program and the environment that it runs in."""

    title: str
    module: str
    environment: str | None = None
    """Stem of its requirements in ``benchmarks/peers``; None for the environment of nwb_dask itself."""
    argument: str | None = None
    reads_many: bool = False
    """Takes part in the actions on many sessions."""
    rounds: int | None = None
    """Takes part in so many rounds only."""
    keeps_chunks: bool = False
    """Keeps bytes on disk, and believes a version for ever, as one may of published files."""
    is_local: bool = False
    """Reads the files themselves: what is left when there is no network."""


PROGRAMS = (
    Program(OURS, "remote_nwb_dask", reads_many=True),
    Program(f"{OURS}, chunk cache", "remote_nwb_dask", reads_many=True, keeps_chunks=True),
    Program(f"{OURS}, local file", "remote_nwb_dask", reads_many=True, is_local=True),
    Program(LAZYNWB, "remote_lazynwb", "lazynwb", reads_many=True),
    Program(REMFILE, "remote_h5py", "remote_pynwb", "remfile", reads_many=True),
    Program("remfile + pynwb", "remote_pynwb", "remote_pynwb", "remfile"),
    Program("fsspec + pynwb", "remote_pynwb", "remote_pynwb", "fsspec"),
    Program("LINDI", "remote_lindi", "remote_lindi", rounds=1),
)
REFERENCE = Program("h5py on the local file", "remote_h5py", argument="local")


@dataclass(slots=True)
class Bench:
    """What all runs share, and what they found."""

    line: Line
    rounds: int
    many_rounds: int
    measured: list[Measurement] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    _right: dict[Case, dict[str, str]] = field(default_factory=dict)

    def measure(self, case: Case, sessions: Sessions, programs: list[Program]) -> None:
        """Run one case with every program, cold and warm, interleaved.

        The order turns by one from round to round, so that nobody always runs after the same neighbour.
        """
        files = sessions.many if case.is_many else [sessions.one]
        urls = [f"{self.line.url}/{sessions.name(file)}" for file in files]
        local, _ = self._run(REFERENCE, case, self._question([str(file) for file in files], "cold", CACHES / "none"))
        if "error" in local:
            raise RuntimeError(f"{case.title}, {REFERENCE.title}: {local['error']}")
        self._right[case] = local["digests"]
        programs = [program for program in programs if program.reads_many or not case.is_many]
        found = {program: {mode: Measurement(program.title, case, mode) for mode in _modes()} for program in programs}
        spikes = count_spikes(files, {file: sessions.name(file) for file in files})
        for number in range(self.many_rounds if case.is_many else self.rounds):
            for program in programs:
                if program.rounds is not None and number >= program.rounds:
                    continue
                for mode in _modes():
                    places = [str(file) for file in files] if program.is_local else urls
                    self._measure_once(program, found[program][mode], places, spikes, is_first=number == 0)
            programs = programs[1:] + programs[:1]
        for modes in found.values():
            self.measured += modes.values()
        shutil.rmtree(CACHES, ignore_errors=True)

    def _measure_once(
        self, program: Program, measurement: Measurement, urls: list[str], spikes: Count, *, is_first: bool
    ) -> None:
        mode, case = measurement.mode, measurement.case
        cache = CACHES / program.title.replace(" ", "") / mode
        if measurement.error:
            return
        if mode == "cold":
            shutil.rmtree(cache, ignore_errors=True)
        elif is_first:
            answer, _ = self._run(program, case, self._question(urls, "fill", cache))
            measurement.error = answer.get("error", "")
        answer, log = self._run(program, case, self._question(urls, mode, cache))
        self._note(measurement, answer, log, spikes)
        print(f"{case.title}, {mode}, {program.title}: {measurement.summary}", file=sys.stderr)

    def _note(self, measurement: Measurement, answer: dict[str, Any], log: list[Exchange], spikes: Count) -> None:
        if "error" in answer:
            measurement.error = answer["error"]
            return
        right = self._right[measurement.case]
        measurement.wrong |= {name for name, value in answer["digests"].items() if right.get(name) != value}
        measurement.missing |= {name for name in right if name not in answer["digests"]}
        measurement.imported |= set(answer["imported"])
        measurement.needed_bytes = spikes.needed_bytes
        measurement.runs.append(
            Run(
                answer["seconds"],
                answer["cpu_seconds"],
                requests=len(log),
                sent_bytes=sum(exchange.sent for exchange in log),
                rounds=count_rounds(log),
                spike_bytes=sum(spikes.overlap(one.path, one.start, one.start + one.sent) for one in log),
            )
        )

    @staticmethod
    def _question(urls: list[str], mode: Mode, cache: Path) -> Question:
        # Between two samples, so that no rounding decides.
        start = LFP_START + 10.0001
        return Question(
            urls, mode, str(cache), QUALITY, PRESENCE_RATIO, LFP_PATH, start_time=start, stop_time=start + LFP_SECONDS
        )

    def _run(self, program: Program, case: Case, question: Question) -> tuple[dict[str, Any], list[Exchange]]:
        """Start the program, ask it once its imports are done, and return its answer and its requests."""
        python = sys.executable if program.environment is None else ensure_environment(program.environment)
        arguments = [] if program.argument is None else [program.argument]
        environment = os.environ | {
            "NWB_DASK_CACHE_DIR": str(Path(question.cache, "nwb_dask")),
            "LAZYNWB_CATALOG_CACHE_PATH": str(Path(question.cache, "lazynwb.sqlite")),
            "NWB_DASK_CHUNK_CACHE": "on" if program.keeps_chunks else "off",
            "NWB_DASK_CHUNK_CACHE_MAX_AGE": "inf",
        }
        with subprocess.Popen(
            [python, "-m", f"benchmarks.peers.{program.module}", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            watch = threading.Timer(LIMIT_SECONDS, process.kill)
            watch.start()
            try:
                hello = process.stdout.readline()
                self.line.reset()
                if hello:
                    self.versions |= {f"{program.title}: {k}": v for k, v in json.loads(hello)["versions"].items()}
                    process.stdin.write(json.dumps({"action": case.action, **asdict(question)}) + "\n")
                    process.stdin.flush()
                answer = process.stdout.readline()
                return json.loads(answer) if answer else {"error": "ended without an answer"}, self.line.log()
            finally:
                watch.cancel()


def _modes() -> tuple[Mode, Mode]:
    return "cold", "warm"


def _cases(layout: str, actions: list[Action], *, has_many: bool) -> Iterator[Case]:
    yield from (Case(layout, action) for action in actions)
    if has_many:
        yield from (Case(layout, action, is_many=True) for action in actions if action != "list")


def save(stem: Path, bench: Bench, line: dict[str, float], tables: str) -> None:
    """Write the measurements as JSON, and the tables as Markdown."""
    stem.parent.mkdir(exist_ok=True)
    record = {
        "machine": describe_machine(),
        "versions": bench.versions,
        "line": line,
        "measurements": [measurement.record() for measurement in bench.measured],
    }
    stem.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    stem.with_suffix(".md").write_text(tables + "\n")


def main() -> int:
    """Measure, print the tables, save the result; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layout", choices=LAYOUTS, nargs="*", default=LAYOUTS)
    parser.add_argument("--actions", choices=ACTIONS, nargs="*", default=ACTIONS)
    parser.add_argument("--only", nargs="*", default=[], help="titles of contestants")
    parser.add_argument("--sessions", type=int, default=N_MANY, help="of the actions on many; 0 leaves these out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--many-rounds", type=int, default=2, help="rounds of the actions on many sessions")
    parser.add_argument("--delay", type=float, default=DELAY_SECONDS, help="seconds before each answer")
    parser.add_argument("--bytes-per-second", type=float, default=BYTES_PER_SECOND)
    parser.add_argument("--check", action="store_true", help="small sessions, no delay, one round: only the answers")
    parser.add_argument("--no-save", action="store_true", help="print only")
    arguments = parser.parse_args()
    if arguments.check:
        arguments.delay, arguments.bytes_per_second, arguments.rounds, arguments.many_rounds = 0.0, 1e12, 1, 1
        arguments.sessions = min(arguments.sessions, 3)
    programs = [program for program in PROGRAMS if not arguments.only or program.title in arguments.only]
    network = {"delay_seconds": arguments.delay, "bytes_per_second": arguments.bytes_per_second}
    FOLDER.mkdir(parents=True, exist_ok=True)
    with Line(FOLDER, **network) as line:
        bench = Bench(line, arguments.rounds, arguments.many_rounds)
        for layout in arguments.layout:
            sessions = ensure_ephys(layout, is_tiny=arguments.check, n_many=arguments.sessions)
            for case in _cases(layout, arguments.actions, has_many=arguments.sessions > 0):
                bench.measure(case, sessions, programs)
    if arguments.check:
        print(f"{len(bench.measured)} answers compared with h5py on the local files")
    else:
        tables = f"{format_tables(bench.measured)}\n\n{format_goals(bench.measured)}"
        print(tables)
        if not arguments.no_save:
            save(RESULTS / f"remote-{datetime.now(UTC):%Y-%m-%d}", bench, network, tables)
    return report(bench.measured)


def report(measured: list[Measurement]) -> int:
    """Print what is wrong, partial or late imported; return the exit code."""
    code = 0
    for one in measured:
        where = f"{one.case.title}, {one.mode}, {one.title}"
        if one.error or one.wrong or (one.title == OURS and one.missing):
            code = 1
            print(f"WRONG {where}: {one.error or ', '.join(sorted(one.wrong | one.missing))}")
        elif one.missing:
            print(f"partial {where}: without {', '.join(sorted(one.missing))}")
        if one.imported:
            print(f"imported while timed, {where}: {', '.join(sorted(one.imported)[:8])}")
    return code


if __name__ == "__main__":
    sys.exit(main())
