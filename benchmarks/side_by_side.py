"""lazynwb and `nwb_dask.compat.lazynwb` side by side: every public function over real files, answers compared.

::

    python -m benchmarks.side_by_side                # everything: results/<date>-side-by-side.md and .json
    python -m benchmarks.side_by_side --files 10     # of the first ten files only, printed and not kept
    python -m benchmarks.side_by_side --fresh        # without answers that an earlier run has kept

lazynwb runs in its own environment, which is built when it is absent. Both are asked at the same time, file by file;
answers are kept, so that a run that was stopped goes on where it was. A call has 20 seconds. Where answers differ, and
where lazynwb fails, h5py says what the file has (`benchmarks.side_expected`); what it does not say is unjudged.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.contestants import Contestant, Program, start
from benchmarks.environments import ROOT, describe_machine, ensure_environment
from benchmarks.side_questions import DANDISET, PUBLISHED, Question, archived, questions
from benchmarks.side_report import details, render, tabulate
from benchmarks.side_verdicts import Judgement, judge
from nwb_dask.testing import DandiServer

RESULTS = Path(__file__).parent / "results"
WORK = Path(__file__).parent / ".work" / "side"
PROGRAMS = (Program("nwb_dask", "side_nwb_dask"), Program("lazynwb", "side_lazynwb", "lazynwb"))

Answer = dict[str, Any]
Parts = Sequence[tuple[str, Sequence[Question]]]


class Asker:
    """A program that is asked, and started again when a question has ended it."""

    def __init__(self, program: Program, environment: Mapping[str, str]) -> None:
        self.program = program
        self._environment = environment
        self._stack = ExitStack()
        self._running: Contestant | None = None
        self.n_kept = 0
        """Parts whose answers an earlier run has kept."""
        self._folder = WORK / program.title
        self._folder.mkdir(parents=True, exist_ok=True)

    def answers(self, parts: Parts) -> list[list[Answer]]:
        """Return the answers of each part; those that are kept are not asked again."""
        with self._stack:
            return [self._of_part(name, asked) for name, asked in parts]

    def _of_part(self, name: str, asked: Sequence[Question]) -> list[Answer]:
        key = json.dumps([_sources(self.program), *(one.request() for one in asked)])
        kept = self._folder / f"{hashlib.sha256((name + key).encode()).hexdigest()[:24]}.json"
        if kept.exists():
            self.n_kept += 1
            found: list[Answer] = json.loads(kept.read_text(encoding="utf-8"))
            return found
        found = [self._one(question) for question in asked]
        part = kept.with_suffix(".part")
        part.write_text(json.dumps(found), encoding="utf-8")
        part.replace(kept)
        return found

    def _one(self, question: Question) -> Answer:
        if self._running is None:
            self._running = self._stack.enter_context(start(self.program, self._environment))
        try:
            return self._running.ask(question.request())
        except (RuntimeError, BrokenPipeError):
            self._running = None
            return {"error": "Crash", "message": "the program ended"}


@cache
def _sources(program: Program) -> str:
    """Return a name of what a program is made of: answers of another one are not taken for its own."""
    files = [
        ROOT / "benchmarks" / "peers" / name for name in ("side_contest.py", f"{program.module}.py", "lazynwb.txt")
    ]
    if program.environment is None:
        files += sorted((ROOT / "nwb_dask").rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@contextmanager
def archive() -> Iterator[dict[str, str]]:
    """Yield the environment variables that say where an archive of some real files is."""
    with tempfile.TemporaryDirectory() as folder, DandiServer(Path(folder)) as server:
        assets = [server.add(DANDISET, f"sub-{n % 3}/{file.name}", file) for n, file in enumerate(archived())]
        server.publish(DANDISET, PUBLISHED)
        yield {"SIDE_DANDI": json.dumps({"api": server.api_url, "assets": assets})}


def ask_both(parts: Parts) -> tuple[list[list[list[Answer]]], int]:
    """Return the answers of both programs, which are asked at the same time, and how many parts were kept."""
    ensure_environment("lazynwb")
    with archive() as variables, ThreadPoolExecutor(len(PROGRAMS)) as pool:
        cache = {"LAZYNWB_CATALOG_CACHE_PATH": os.fspath(WORK / "catalog.sqlite"), "PYTHONWARNINGS": "ignore"}
        askers = [Asker(program, cache | variables) for program in PROGRAMS]
        return list(pool.map(lambda one: one.answers(parts), askers)), max(one.n_kept for one in askers)


def judge_part(part: tuple[Sequence[Question], Sequence[Answer], Sequence[Answer]]) -> list[Judgement]:
    """Return what h5py says of each pair of answers."""
    return [judge(*one) for one in zip(*part, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--files", type=int, default=None)
    parser.add_argument("--fresh", action="store_true")
    arguments = parser.parse_args()
    if arguments.fresh:
        shutil.rmtree(WORK, ignore_errors=True)
    started = time.perf_counter()
    parts = list(questions(limit=arguments.files))
    (ours, theirs), n_kept = ask_both(parts)
    asked_seconds = time.perf_counter() - started
    with ProcessPoolExecutor(2) as pool:
        judged = list(pool.map(judge_part, zip([asked for _, asked in parts], ours, theirs, strict=True)))
    pairs = [pair for (_, asked), found in zip(parts, judged, strict=True) for pair in zip(asked, found, strict=True)]
    facts: dict[str, object] = {
        "date": datetime.now(UTC).date().isoformat(),
        "questions": len(pairs),
        "files": len({file for question, _ in pairs for file in question.files}),
        "rows compared": 4000,
        "versions": "lazynwb 1.0.0",
        "machine": ", ".join(str(value) for value in describe_machine().values()),
        "seconds to ask": f"{asked_seconds:.0f} ({n_kept} of {len(parts)} parts kept from an earlier run)",
        "seconds to judge": f"{time.perf_counter() - started - asked_seconds:.0f}",
    }
    report = render(tabulate(pairs), facts)
    if arguments.files is None:
        target = RESULTS / f"{facts['date']}-side-by-side"
        target.with_suffix(".md").write_text(report, encoding="utf-8")
        listed = {"facts": facts, "differences": details(pairs)}
        target.with_suffix(".json").write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()
