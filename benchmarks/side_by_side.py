"""lazynwb and `nwb_dask.compat.lazynwb` side by side: every public function over real files, answers compared.

::

    python -m benchmarks.side_by_side                # everything: results/<date>-side-by-side.md and .json
    python -m benchmarks.side_by_side --files 10     # of the first ten files only
    python -m benchmarks.side_by_side --report       # of answers that are kept from an earlier run

lazynwb runs in its own environment, which is built when it is absent. Where answers differ, h5py says what the file
has, as far as a rule of `benchmarks.side_verdicts` asks it; what no rule explains is said to be so.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.contestants import Program, start
from benchmarks.environments import describe_machine
from benchmarks.side_questions import REAL, Question, questions
from benchmarks.side_verdicts import Difference, compare

RESULTS = Path(__file__).parent / "results"
EXAMPLES = 4
"""Calls that are told in full for each reason of each function."""
WORK = Path(__file__).parent / ".work" / "side"
PROGRAMS = (Program("nwb_dask", "side_nwb_dask"), Program("lazynwb", "side_lazynwb", "lazynwb"))
ALSO = {
    "small": (
        "clear_cache, clear_attrs_cache, load_dotenv, normalize_internal_file_path, from_pathlike, to_dict, config, "
        "get_threadpool_executor, get_processpool_executor, exceptions, constants"
    ),
    "LazyNWB": "LazyNWB, Subject, describe",
    "FileAccessor": "FileAccessor, is_group",
    "get_timeseries": "get_timeseries, TimeSeries",
    "get": "get, TimeSeries",
}
"""Names that one question asks for together."""

Answer = dict[str, Any]


def ask_all(program: Program, asked: Sequence[Question]) -> tuple[list[Answer], dict[str, str]]:
    """Return the answers of a program to all questions; one that ends it counts as an error."""
    WORK.mkdir(parents=True, exist_ok=True)
    environment = {"LAZYNWB_CATALOG_CACHE_PATH": os.fspath(WORK / "catalog.sqlite"), "PYTHONWARNINGS": "ignore"}
    answers: list[Answer] = []
    versions: dict[str, str] = {}
    while len(answers) < len(asked):
        with start(program, environment) as contestant:
            versions = contestant.versions
            try:
                while len(answers) < len(asked):
                    answers.append(contestant.ask(asked[len(answers)].request()))
            except RuntimeError:
                answers.append({"error": "Crash", "message": "the program ended"})
    return answers, versions


@dataclass(slots=True)
class Row:
    """What came of one function."""

    calls: int = 0
    equal: int = 0
    files: set[str] = field(default_factory=set)
    verdicts: Counter[str] = field(default_factory=Counter)
    """Calls by the worst that is in them."""
    reasons: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Verdict -> reason -> calls."""


_WORST = ("missing", "theirs", "ours", "other")


def tabulate(asked: Iterable[Question], ours: Iterable[Answer], theirs: Iterable[Answer]) -> dict[str, Row]:
    """Return the row of each function."""
    rows: dict[str, Row] = defaultdict(Row)
    for question, one, other in zip(asked, ours, theirs, strict=True):
        row = rows[question.function]
        row.calls += 1
        row.files.update(question.files)
        found = compare(question, one, other)
        if not found:
            row.equal += 1
            continue
        row.verdicts[min((one.verdict for one in found), key=_WORST.index)] += 1
        for verdict, reason in {(one.verdict, one.reason) for one in found}:
            row.reasons[verdict][reason] += 1
    return dict(rows)


def render(rows: Mapping[str, Row], facts: Mapping[str, object]) -> str:
    """Return the report as Markdown."""
    lines = [
        "# lazynwb 1.0 and nwb_dask.compat.lazynwb, side by side",
        "",
        "Every public function of lazynwb, called through both over the real files, and the answers compared: values,",
        f"types, number and order of rows; of tables and series the first {facts['rows_compared']} rows.",
        "Repeat with `python -m benchmarks.side_by_side`.",
        "",
        *(f"- {name}: {value}" for name, value in facts.items()),
        "",
        "*Ours right*: lazynwb fails, or h5py, asked by hand, has what nwb_dask says, or, marked [by rule], the",
        "difference looks like one that was looked into in a few files: h5py was not asked of each of these calls.",
        "*Another form*: the same values as another type, or members that are no columns, by rule as well. *Missing*:",
        "nwb_dask has no answer, or h5py has lazynwb's, or no rule explains it. *Equal* counts calls that both refuse.",
        "",
        "| function | calls | files | equal | ours right | another form | missing |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, row in rows.items():
        counts = row.verdicts
        missing = counts["missing"] + counts["theirs"]
        cells = (row.calls, len(row.files), row.equal, counts["ours"], counts["other"], missing)
        lines.append(f"| {ALSO.get(name, name)} | {' | '.join(map(str, cells))} |")
    lines += [
        "",
        "A call is counted once, by the worst that is in it. Why answers differ, with the number of calls:",
        "",
    ]
    for name, row in rows.items():
        for verdict, title in (
            ("missing", "missing"),
            ("theirs", "missing"),
            ("ours", "ours right"),
            ("other", "form"),
        ):
            for reason, count in row.reasons[verdict].most_common():
                lines.append(f"- **{name}**, {title}, {count}: {reason}")
    return "\n".join(lines) + "\n"


def details(asked: Sequence[Question], ours: Sequence[Answer], theirs: Sequence[Answer]) -> list[dict[str, object]]:
    """Return what differs, a few calls for each reason, without the folder of the files."""
    found = []
    told: Counter[tuple[str, str]] = Counter()
    for question, one, other in zip(asked, ours, theirs, strict=True):
        worst: dict[tuple[str, str], Difference] = {}
        for difference in compare(question, one, other):
            key = (question.function, difference.reason)
            if (difference.verdict, difference.reason) not in worst and told[key] < EXAMPLES:
                told[key] += 1
                worst[difference.verdict, difference.reason] = difference
        if worst:
            names = [os.path.relpath(file, REAL) for file in question.files]
            shown = [{name: _bare(text) for name, text in asdict(each).items()} for each in worst.values()]
            found.append(
                {"function": question.function, "files": names[:3], "path": question.path, "differences": shown}
            )
    return found


def _bare(text: str) -> str:
    return text.replace(f"{REAL}/", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--files", type=int, default=None)
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    asked = list(questions(limit=arguments.files))
    kept = WORK / "answers.json"
    if not arguments.report:
        said = {program.title: ask_all(program, asked) for program in PROGRAMS}
        kept.write_text(json.dumps(said), encoding="utf-8")
    said = json.loads(kept.read_text(encoding="utf-8"))
    (ours, _), (theirs, versions) = said["nwb_dask"], said["lazynwb"]
    rows = tabulate(asked, ours, theirs)
    facts: dict[str, object] = {
        "date": datetime.now(UTC).date().isoformat(),
        "questions": len(asked),
        "files": len({file for one in asked for file in one.files}),
        "rows_compared": 4000,
        "versions": ", ".join(f"{name.partition(': ')[2]} {value}" for name, value in versions.items()),
        "machine": ", ".join(str(value) for value in describe_machine().values()),
    }
    target = RESULTS / f"{facts['date']}-side-by-side"
    target.with_suffix(".md").write_text(render(rows, facts), encoding="utf-8")
    listed = {"facts": facts, "differences": details(asked, ours, theirs)}
    target.with_suffix(".json").write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    print(target.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
