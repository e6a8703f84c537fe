"""Series as lazy arrays: open, slice, read whole, reduce on two processes; every contestant side by side in one run.

::

    python -m benchmarks.series                  # everything, results/<date>-series.json and .md
    python -m benchmarks.series --only nwb_dask pynwb --actions open slice
    python -m benchmarks.series --check          # small sessions, one round: are all answers equal?

The exit code is 1 if an answer of nwb_dask is wrong or missing, or one of another contestant is wrong.

Method, machine and results: ``benchmarks/README.md``; goals: ``benchmarks/series_goals.py``.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.contestants import Contestant, Program, start
from benchmarks.environments import describe_machine
from benchmarks.peers.series_contest import ACTIONS, Action, Question
from benchmarks.series_goals import BY_HAND, OURS, Measurement, find_faults, format_goals, format_table
from benchmarks.series_sessions import SAMPLED, STAMPED, START, ensure_copies, ensure_small

RESULTS = Path(__file__).parent / "results"

ROUNDS: dict[Action, int] = {
    "open": 7, "open_stamped": 7, "slice": 7, "slice_stamped": 7, "whole_stored": 4, "whole": 4, "mean": 4, "many": 2,
}  # fmt: skip
"""Rounds that count, of each action."""
SLICE_SECONDS = 1.0
N_MANY = 1000
N_CHECK = 5
"""Sessions of the action ``many`` with `--check`."""


PROGRAMS = (
    Program(BY_HAND, "series_h5py"),
    Program(OURS, "series_nwb_dask"),
    Program("pynwb", "series_pynwb", "pynwb", most=50),
    Program("pynapple", "series_pynapple", "series_pynapple", most=50),
    Program("h5netcdf", "series_h5netcdf", "series_h5netcdf", most=200),
    Program("VirtualiZarr", "series_virtualizarr", "series_virtualizarr", most=200),
)
"""The first is what the others are compared with."""


ENVIRONMENT = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
"""Two processes are two cores: no library is to start threads of its own for arithmetic."""


@dataclass(slots=True)
class Bench:
    """What all runs share: the contestants, the files, and the right answers."""

    contestants: list[Contestant]
    copies: list[Path]
    """One recording, a copy for each round."""
    many: list[Path]
    measured: list[Measurement] = field(default_factory=list)

    def measure(self, action: Action, rounds: int) -> None:
        """Run an action in every way, interleaved.

        A first round is not counted: it does the imports that come with the first use. Each round reads another copy.
        The order turns by one from round to round, so that nobody always runs after the same neighbour.
        """
        turns = [
            (one, way) for one in self.contestants for way, actions in one.hello["ways"].items() if action in actions
        ]
        found = {way: Measurement(way, action) for _, way in turns}
        right: dict[int, dict[str, Any]] = {}
        for number in range(rounds + 1):
            for contestant, way in turns:
                measurement = found[way]
                if measurement.error:
                    continue
                question = self._question(action, number, contestant.program.most)
                answer = _ask(contestant, way, action, question)
                if "error" in answer:
                    measurement.error = answer["error"]
                    continue
                n_files = len(question.files)
                if n_files not in right:
                    # Every copy, and so every round, has the same answer.
                    right[n_files] = _ask(self.contestants[0], BY_HAND, action, question)["answer"]
                measurement.compare(answer["answer"], right[n_files])
                if number > 0:
                    scale = len(self.many) / n_files if action == "many" else 1.0
                    measurement.seconds.append(answer["seconds"] * scale)
                    measurement.cpu_seconds.append(answer["cpu_seconds"] * scale)
            turns = turns[1:] + turns[:1]
        for measurement in found.values():
            print(f"{ACTIONS[action]}, {measurement.way}: {measurement.summary}", file=sys.stderr)
        self.measured += found.values()

    def _question(self, action: Action, number: int, most: int | None) -> Question:
        files = self.many[:most] if action == "many" else [self.copies[number]]
        series = STAMPED if action.endswith("_stamped") else SAMPLED
        # Between two samples, so that no rounding decides.
        start = START + 10.0001
        return Question([str(file) for file in files], series, start_time=start, stop_time=start + SLICE_SECONDS)


def _ask(contestant: Contestant, way: str, action: Action, question: Question) -> dict[str, Any]:
    """Run one action once; return its seconds and its answer, or its error."""
    return contestant.ask({"way": way, "action": action, **asdict(question)})


def run(actions: Sequence[Action], *, only: Sequence[str], n_many: int, is_check: bool) -> tuple[Bench, dict[str, str]]:
    """Measure all contestants, or those whose titles are in `only`; h5py by hand always takes part."""
    rounds = {action: 1 if is_check else ROUNDS[action] for action in actions}
    copies = ensure_copies(max(rounds.values(), default=0) + 1, is_tiny=is_check)
    many = ensure_small(n_many) if "many" in actions else []
    with ExitStack() as stack:
        programs = [program for program in PROGRAMS if not only or program.title in (*only, BY_HAND)]
        bench = Bench([stack.enter_context(start(program, ENVIRONMENT)) for program in programs], copies, many)
        for action, count in rounds.items():
            bench.measure(action, count)
    versions = {name: version for one in bench.contestants for name, version in one.versions.items()}
    return bench, versions


def save(stem: Path, bench: Bench, versions: dict[str, str], tables: str) -> None:
    """Write the measurements as JSON, and the tables as Markdown."""
    stem.parent.mkdir(exist_ok=True)
    record = {
        "machine": describe_machine(),
        "versions": versions,
        "sessions_of_many": len(bench.many),
        "sessions_opened": {one.program.title: len(bench.many[: one.program.most]) for one in bench.contestants},
        "measurements": [measurement.record() for measurement in bench.measured],
    }
    stem.with_name(f"{stem.name}.json").write_text(json.dumps(record, indent=1) + "\n")
    stem.with_name(f"{stem.name}.md").write_text(tables + "\n")


def main() -> int:
    """Measure, print the tables, save the result; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actions", choices=ACTIONS, nargs="*", default=list(ACTIONS))
    parser.add_argument("--only", nargs="*", default=[], help="titles of contestants; h5py by hand always runs")
    parser.add_argument("--sessions", type=int, default=N_MANY, help="of the action on many")
    parser.add_argument("--check", action="store_true", help="small sessions, one round: only the answers")
    parser.add_argument("--no-save", action="store_true", help="print only")
    arguments = parser.parse_args()
    # Some keep every file open.
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    n_many = min(arguments.sessions, N_CHECK) if arguments.check else arguments.sessions
    bench, versions = run(arguments.actions, only=arguments.only, n_many=n_many, is_check=arguments.check)
    if arguments.check:
        print(f"{sum(one.n_compared for one in bench.measured)} answers compared with h5py by hand")
    else:
        tables = f"{format_table(bench.measured)}\n\n{format_goals(bench.measured)}"
        print(tables)
        if not arguments.no_save:
            save(RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-series", bench, versions, tables)
    for one in bench.measured:
        if one.error:
            print(f"fails {ACTIONS[one.action]}, {one.way}: {one.error}")
    faults = find_faults(bench.measured)
    for fault in faults:
        print(f"WRONG {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
