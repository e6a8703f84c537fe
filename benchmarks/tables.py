"""Three table queries over many sessions, by every contestant side by side in one run.

::

    python -m benchmarks.tables                  # everything, results/<date>-tables.json
    python -m benchmarks.tables --check          # exit code 1 if a target is missed

Method, machine and results: ``benchmarks/README.md``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.contestants import Contestant, Program, start
from benchmarks.environments import describe_machine
from benchmarks.parquet_copies import ensure_parquet
from benchmarks.peers.contest import QUERIES, Query
from benchmarks.sessions import LAYOUTS, WORK, Recipe, ensure_sessions

RESULTS = Path(__file__).parent / "results"

BY_HAND = "h5py by hand"
PEER = "lazynwb"
READ_TABLE = "nwb_dask read_table"
DASK = "nwb_dask dask"


PROGRAMS = (
    Program(BY_HAND, "with_h5py"),
    Program("nwb_dask", "with_nwb_dask"),
    Program("Parquet", "with_parquet"),
    Program(PEER, "with_lazynwb", "lazynwb", slow=True),
    Program("pynwb", "with_pynwb", "pynwb", slow=True),
)


@dataclass(frozen=True, slots=True)
class Target:
    """At most `limit` times the fastest way of `base`, for every way whose title starts with `ways`."""

    ways: str
    base: str
    limit: float


TARGETS = (
    Target(f"{READ_TABLE} pandas, first time", BY_HAND, 1.5),
    Target(f"{READ_TABLE} polars, first time", BY_HAND, 1.5),
    Target(f"{DASK} threads, first time", BY_HAND, 2.5),
    Target(f"{DASK} threads optimized, first time", BY_HAND, 2.5),
    Target(READ_TABLE, PEER, 0.1),
    Target(DASK, PEER, 0.1),
)


@dataclass(slots=True)
class Timing:
    """All rounds of one way on one query."""

    title: str
    query: Query
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    """Of all threads: more than `seconds` where several work, less where others have the processor."""
    rows: int = -1
    digests: set[str] = field(default_factory=set)

    @property
    def best(self) -> float:
        """Seconds of the fastest round."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """Seconds of the middle round."""
        return statistics.median(self.seconds)


ENVIRONMENT = {"LAZYNWB_CATALOG_CACHE_PATH": str(WORK / "lazynwb" / "catalog.sqlite")}


def measure(contestants: list[Contestant], files: list[str], *, rounds: int, slow_rounds: int) -> list[Timing]:
    """Run every way on every query, interleaved, and return the timings in the order of the contestants.

    A first round warms the page cache and is not counted. The order turns by one from round to round, so that
    nobody always runs after the same neighbour.
    """
    turns = [(contestant, way) for contestant in contestants for way in contestant.hello["ways"]]
    timings = {
        (_title(contestant, way), query): Timing(_title(contestant, way), query)
        for query in QUERIES
        for contestant, way in turns
    }
    for round_number in range(rounds + 1):
        turns = turns[1:] + turns[:1]
        for query in QUERIES:
            for contestant, way in turns:
                timing = timings[_title(contestant, way), query]
                if contestant.program.slow and round_number > slow_rounds:
                    continue
                answer = contestant.ask({"way": way, "query": query, "files": files})
                timing.rows = answer["rows"]
                timing.digests.add(answer["digest"])
                if round_number > 0:
                    timing.seconds.append(answer["seconds"])
                    timing.cpu_seconds.append(answer["cpu_seconds"])
        print(f"round {round_number} of {rounds}", file=sys.stderr)
    return list(timings.values())


def _title(contestant: Contestant, way: str) -> str:
    return f"{contestant.program.title} {way}"


def find_wrong(timings: Iterable[Timing]) -> list[str]:
    """Return what disagrees with h5py by hand: a time without the right rows says nothing."""
    timings = list(timings)
    right = {timing.query: timing.digests for timing in reversed(timings) if timing.title.startswith(BY_HAND)}
    return [
        f"{timing.title}, {timing.query}: other rows than h5py by hand ({timing.rows} rows)"
        for timing in timings
        if timing.digests != right[timing.query]
    ]


def find_missed(timings: list[Timing]) -> list[str]:
    """Return the targets that are missed, one line each."""
    missed = []
    for target in TARGETS:
        for timing in timings:
            if not timing.title.startswith(target.ways):
                continue
            base = best_of(timings, target.base, timing.query)
            if base is None:
                continue
            ratio = timing.best / base
            if ratio > target.limit:
                missed.append(
                    f"{timing.title}, {timing.query}: {ratio:.2f} times {target.base}, target {target.limit:g}"
                )
    return missed


def best_of(timings: Iterable[Timing], base: str, query: Query) -> float | None:
    """Return the seconds of the fastest way of the contestant `base`, None if it took no part.

    Everybody is compared with the best mode of the others.
    """
    return min(
        (timing.best for timing in timings if timing.query == query and timing.title.startswith(base)), default=None
    )


def format_table(timings: list[Timing]) -> str:
    """Return a Markdown table: best seconds, and ratios against h5py by hand and lazynwb, per query."""
    lines = ["| | " + " | ".join(f"{query}: s | x h5py | x lazynwb" for query in QUERIES) + " |"]
    lines.append("|---|" + "--:|--:|--:|" * len(QUERIES))
    for title in dict.fromkeys(timing.title for timing in timings):
        cells = []
        for timing in (timing for timing in timings if timing.title == title):
            cells.append(f"{timing.best:.3f}")
            for base, digits in ((BY_HAND, 2), (PEER, 3)):
                seconds = best_of(timings, base, timing.query)
                cells.append("" if seconds is None else f"{timing.best / seconds:.{digits}f}")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def run(recipe: Recipe, *, rounds: int, slow_rounds: int, only: list[str]) -> tuple[list[Timing], dict[str, str]]:
    """Measure all contestants, or those whose titles are in `only`, on the sessions of `recipe`."""
    files = ensure_sessions(recipe)
    for table in ("/units", "/intervals/trials"):
        ensure_parquet(files, table)
    with ExitStack() as stack:
        programs = [program for program in PROGRAMS if not only or program.title in (*only, BY_HAND)]
        contestants = [stack.enter_context(start(program, ENVIRONMENT)) for program in programs]
        timings = measure(contestants, [str(file) for file in files], rounds=rounds, slow_rounds=slow_rounds)
        versions = {name: version for one in contestants for name, version in one.versions.items()}
    return timings, versions


def save(path: Path, recipe: Recipe, timings: list[Timing], versions: dict[str, str]) -> None:
    """Write the measurements as JSON."""
    path.parent.mkdir(exist_ok=True)
    record = {
        "sessions": asdict(recipe),
        "machine": describe_machine(),
        "versions": versions,
        "timings": [
            {
                "title": timing.title,
                "query": timing.query,
                "rows": timing.rows,
                "best": timing.best,
                "median": timing.median,
                "seconds": timing.seconds,
                "cpu_seconds": timing.cpu_seconds,
            }
            for timing in timings
        ],
    }
    path.write_text(json.dumps(record, indent=1) + "\n")


def main() -> int:
    """Measure, print the table, save the result; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=Recipe().n_sessions)
    parser.add_argument("--layout", choices=LAYOUTS, default="contiguous")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--slow-rounds", type=int, default=2, help="rounds of lazynwb and pynwb")
    parser.add_argument("--only", nargs="*", default=[], help="titles of contestants; h5py by hand always runs")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a target is missed")
    parser.add_argument("--no-save", action="store_true", help="print only")
    arguments = parser.parse_args()
    recipe = Recipe(layout=arguments.layout, n_sessions=arguments.sessions)
    timings, versions = run(recipe, rounds=arguments.rounds, slow_rounds=arguments.slow_rounds, only=arguments.only)
    print(format_table(timings))
    if not arguments.no_save:
        save(RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-tables-{recipe.layout}.json", recipe, timings, versions)
    wrong, missed = find_wrong(timings), find_missed(timings)
    for line in (*(f"WRONG {one}" for one in wrong), *(f"MISSED {one}" for one in missed)):
        print(line)
    return 1 if wrong or (arguments.check and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
