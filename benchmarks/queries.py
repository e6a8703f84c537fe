"""Five queries over 120 sessions, local and at 30 ms a request, beside lazynwb and beside polars on Parquet.

::

    python -m benchmarks.queries                 # everything, results/queries-<date>.json and .md
    python -m benchmarks.queries --check         # exit code 1 if a goal is missed
    python -m benchmarks.queries --places local --only nwb_dask Parquet --no-save

Method, machine and results: ``benchmarks/README.md``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

from benchmarks.contestants import Contestant, Program, start
from benchmarks.environments import describe_machine
from benchmarks.line import Line, count_rounds
from benchmarks.peers.query_contest import QUERIES
from benchmarks.query_sessions import Recipe, ensure_performance
from benchmarks.remote import BYTES_PER_SECOND, DELAY_SECONDS
from benchmarks.remote_runs import Run
from benchmarks.sessions import WORK
from benchmarks.tables import Target

RESULTS = Path(__file__).parent / "results"
CACHES = WORK / "queries-caches"

Place: TypeAlias = Literal["local", "remote"]
PLACES: tuple[Place, ...] = ("local", "remote")

OURS, PEER, PARQUET = "nwb_dask", "lazynwb", "Parquet"
PROGRAMS = (
    Program(OURS, "query_nwb_dask"),
    Program(PARQUET, "query_parquet"),
    Program(PEER, "query_lazynwb", "lazynwb", slow=True),
)
GOALS = (
    Target(f"{OURS} cold", f"{PEER} cold", 0.1),
    Target(f"{OURS} warm", f"{PEER} warm", 0.1),
    Target(f"{OURS} warm", f"{PARQUET} per session", 1.5),
    Target(f"{OURS} warm", f"{PARQUET} one file", 1.5),
)
ENVIRONMENT = {
    "NWB_DASK_CACHE_DIR": str(CACHES / "nwb_dask"),
    "LAZYNWB_CATALOG_CACHE_PATH": str(CACHES / "lazynwb" / "catalog.sqlite"),
}


@dataclass(slots=True)
class Measured:
    """All runs of one way on one query at one place."""

    place: Place
    query: str
    title: str
    runs: list[Run] = field(default_factory=list)
    rows: int = -1
    digests: set[str] = field(default_factory=set)

    @property
    def seconds(self) -> float:
        """Seconds of the fastest run."""
        return min(run.seconds for run in self.runs)

    @property
    def summary(self) -> str:
        """Milliseconds; of a remote place also requests, MB and rounds of the run that needed most."""
        if self.place == "local":
            return f"{self.seconds * 1e3:.1f}"
        requests, rounds = max(run.requests for run in self.runs), max(run.rounds for run in self.runs)
        sent_bytes = max(run.sent_bytes for run in self.runs)
        return f"{self.seconds * 1e3:.0f} / {requests} / {sent_bytes / 1e6:.2f} / {rounds}"

    def record(self) -> dict[str, object]:
        """Return what is saved."""
        return {
            "place": self.place,
            "query": self.query,
            "title": self.title,
            "rows": self.rows,
            "best_seconds": self.seconds,
            "median_seconds": statistics.median(run.seconds for run in self.runs),
            "runs": [asdict(run) for run in self.runs],
        }


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of every way at a place, and how often."""

    place: Place
    queries: Sequence[str]
    rounds: int
    slow_rounds: int


def measure(contestants: Sequence[Contestant], sources: list[str], line: Line, asked: Asked) -> list[Measured]:
    """Ask every way every query, interleaved.

    The order of the contestants turns by one from round to round, so that nobody always runs after the same neighbour.
    The ways of one follow each other: ``cold`` forgets and finds out, then ``warm`` knows.
    """
    found: dict[tuple[str, str], Measured] = {}
    for query in asked.queries:
        turns = list(contestants)
        for number in range(asked.rounds):
            for contestant in turns:
                if contestant.program.slow and number >= asked.slow_rounds:
                    continue
                for way in contestant.hello["ways"]:
                    title = f"{contestant.program.title} {way}"
                    one = found.setdefault((query, title), Measured(asked.place, query, title))
                    _ask(contestant, way, one, sources, line)
            turns = turns[1:] + turns[:1]
        for one in found.values():
            if one.query == query:
                print(f"{one.place}, {query}, {one.title}: {one.summary}", file=sys.stderr)
    return list(found.values())


def _ask(contestant: Contestant, way: str, measured: Measured, sources: list[str], line: Line) -> None:
    line.reset()
    answer = contestant.ask({"way": way, "query": measured.query, "files": sources})
    log = line.log()
    measured.rows = answer["rows"]
    measured.digests.add(answer["digest"])
    sent_bytes = sum(exchange.sent for exchange in log)
    measured.runs.append(Run(answer["seconds"], answer["cpu_seconds"], len(log), sent_bytes, count_rounds(log)))


def warm_up(contestants: Sequence[Contestant], files: Sequence[Path], queries: Sequence[str]) -> None:
    """Let everyone import what it imports at the first use, and the system keep the files in memory."""
    for folder in {file.parent for file in files}:
        for file in folder.rglob("*.*"):
            file.read_bytes()
    for contestant in contestants:
        for way in contestant.hello["ways"]:
            for query in queries:
                contestant.ask({"way": way, "query": query, "files": [str(file) for file in files[:2]]})


def find_wrong(measured: Sequence[Measured]) -> list[str]:
    """Return whose rows are not those of polars on Parquet, which h5py wrote: a time without them says nothing."""
    right = {one.query: one.digests for one in measured if one.title.startswith(PARQUET)}
    return [
        f"{one.place}, {one.query}, {one.title}: other rows than {PARQUET} ({one.rows} rows)"
        for one in measured
        if one.digests != right.get(one.query, one.digests)
    ]


def format_tables(measured: Sequence[Measured]) -> str:
    """Return Markdown: a table of what was measured for each place, and one of the goals."""
    queries = [query for query in QUERIES if any(one.query == query for one in measured)]
    head = " | ".join(QUERIES[query] for query in queries)
    line = "--:|" * len(queries)
    parts = []
    for place in dict.fromkeys(one.place for one in measured):
        numbers = "ms" if place == "local" else "ms / requests / MB / rounds"
        rows = [f"**{place}**: {numbers}, fastest round", "", f"| | {head} |", f"|---|{line}"]
        for title in dict.fromkeys(one.title for one in measured):
            cells = [_find(measured, place, query, title) for query in queries]
            rows.append(f"| {title} | " + " | ".join("" if one is None else one.summary for one in cells) + " |")
        parts.append("\n".join(rows))
    rows = ["**goals**: how many times as long", "", f"| | | {head} |", f"|---|---|{line}"]
    for place in dict.fromkeys(one.place for one in measured):
        for goal in GOALS:
            verdicts = [_verdict(measured, place, query, goal) for query in queries]
            rows.append(
                f"| {goal.ways} / {goal.base}, at most {goal.limit:g} | {place} | " + " | ".join(verdicts) + " |"
            )
    return "\n\n".join([*parts, "\n".join(rows)])


def _verdict(measured: Sequence[Measured], place: Place, query: str, goal: Target) -> str:
    ours, base = (_find(measured, place, query, title) for title in (goal.ways, goal.base))
    if ours is None or base is None:
        return ""
    ratio = ours.seconds / base.seconds
    return f"{ratio:.3f}" if ratio <= goal.limit else f"MISSED {ratio:.3f}"


def _find(measured: Sequence[Measured], place: Place, query: str, title: str) -> Measured | None:
    return next((one for one in measured if (one.place, one.query, one.title) == (place, query, title)), None)


def save(stem: Path, recipe: Recipe, measured: Sequence[Measured], versions: dict[str, str], tables: str) -> None:
    """Write the measurements as JSON, and the tables as Markdown."""
    stem.parent.mkdir(exist_ok=True)
    record = {
        "sessions": asdict(recipe),
        "machine": describe_machine(),
        "versions": versions,
        "line": {"delay_seconds": DELAY_SECONDS, "bytes_per_second": BYTES_PER_SECOND},
        "measurements": [one.record() for one in measured],
    }
    stem.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    stem.with_suffix(".md").write_text(tables + "\n")


def run(recipe: Recipe, asked: Sequence[Asked], only: Sequence[str]) -> tuple[list[Measured], dict[str, str]]:
    """Measure all contestants, or those whose titles are in `only`, and return what they found with their versions."""
    files = ensure_performance(recipe)
    with ExitStack() as stack:
        line = Line(recipe.folder, delay_seconds=DELAY_SECONDS, bytes_per_second=BYTES_PER_SECOND)
        stack.enter_context(line)
        programs = [program for program in PROGRAMS if not only or program.title in only]
        contestants = [stack.enter_context(start(program, ENVIRONMENT)) for program in programs]
        warm_up(contestants, files, asked[0].queries)
        measured = []
        for one in asked:
            sources = [str(file) if one.place == "local" else f"{line.url}/{file.name}" for file in files]
            measured += measure(contestants, sources, line, one)
        versions = {name: version for one in contestants for name, version in one.versions.items()}
    return measured, versions


def main() -> int:
    """Measure, print the tables, save the result; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=Recipe().n_sessions)
    parser.add_argument("--places", choices=PLACES, nargs="*", default=PLACES)
    parser.add_argument("--queries", choices=QUERIES, nargs="*", default=list(QUERIES))
    parser.add_argument("--only", nargs="*", default=[], help="titles of contestants")
    parser.add_argument("--rounds", type=int, default=7, help="local ones; of the remote ones there are 3")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a goal is missed")
    parser.add_argument("--no-save", action="store_true", help="print only")
    arguments = parser.parse_args()
    recipe = Recipe(arguments.sessions)
    most = {"local": (arguments.rounds, 2), "remote": (min(arguments.rounds, 3), 1)}
    asked = [Asked(place, arguments.queries, *most[place]) for place in arguments.places]
    measured, versions = run(recipe, asked, arguments.only)
    tables = format_tables(measured)
    print(tables)
    if not arguments.no_save:
        save(RESULTS / f"queries-{datetime.now(UTC):%Y-%m-%d}", recipe, measured, versions, tables)
    wrong = find_wrong(measured)
    for one in wrong:
        print(f"WRONG {one}")
    return 1 if wrong or (arguments.check and "MISSED" in tables) else 0


if __name__ == "__main__":
    sys.exit(main())
