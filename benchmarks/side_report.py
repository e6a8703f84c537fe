"""The table of what came of asking lazynwb and nwb_dask the same, and what differs, in full."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from tempfile import gettempdir

from benchmarks.side_questions import DATA, Question
from benchmarks.side_verdicts import WORST, Difference, Judgement

EXAMPLES = 4
"""Calls that are told in full for each reason of each function."""
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
TITLES = {
    "missing": "missing",
    "theirs": "h5py disagrees with ours",
    "unjudged": "unjudged",
    "ours": "ours right",
    "design": "by design",
}


@dataclass(slots=True)
class Row:
    """What came of one function."""

    calls: int = 0
    equal: int = 0
    refused: int = 0
    """Of those that are equal, calls that both refuse."""
    asked: int = 0
    """Values of ours of which h5py was asked and has the same, whether lazynwb has it or not."""
    unasked: int = 0
    files: set[str] = field(default_factory=set)
    verdicts: Counter[str] = field(default_factory=Counter)
    """Calls by the worst that is in them."""
    reasons: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Verdict -> reason -> calls."""
    wrong: list[tuple[Question, Difference]] = field(default_factory=list)


def tabulate(pairs: Iterable[tuple[Question, Judgement]]) -> dict[str, Row]:
    """Return the row of each function."""
    rows: dict[str, Row] = defaultdict(Row)
    for question, judged in pairs:
        row = rows[question.function]
        row.calls += 1
        row.files.update(question.files)
        row.refused += judged.both_refuse
        row.asked += judged.n_asked
        row.unasked += judged.n_unasked
        row.wrong += [(question, one) for one in judged.wrong]
        found = judged.differences
        if not found:
            row.equal += 1
            continue
        row.verdicts[min((one.verdict for one in found), key=WORST.index)] += 1
        for verdict, reason in {(one.verdict, one.reason) for one in found}:
            row.reasons[verdict][reason] += 1
    return dict(rows)


def render(rows: Mapping[str, Row], facts: Mapping[str, object]) -> str:
    """Return the report as Markdown."""
    lines = [
        "# lazynwb 1.0 and nwb_dask.compat.lazynwb, side by side",
        "",
        "Every public function of lazynwb, called through both over the real files, and the answers compared: values,",
        f"types, number and order of rows; of tables and series the first {facts['rows compared']} rows.",
        "Repeat with `python -m benchmarks.side_by_side`.",
        "",
        *(f"- {name}: {value}" for name, value in facts.items()),
        "",
        "A call counts once, by the worst in it. *Ours right*: lazynwb fails or has something else, and h5py, which",
        "was asked of every value that differs, has what nwb_dask says. *By design*: both say what h5py has, in",
        "another form, or what is meant, for one of the reasons below. *Unjudged*: no oracle knows it. *Missing*:",
        "nwb_dask has no answer, or h5py has another. *Checked*: values of nwb_dask's answers that h5py has too, of",
        "equal answers as well.",
        "No real file has `obs_intervals`: `insert_is_observed` is asked of a generated session.",
        "`get_dandi_sources` and `from_dandi_asset` are asked of a local archive that serves real files.",
        "",
        "| function | calls | files | equal | (both refuse) | ours right | by design | unjudged | missing | checked |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, row in [*rows.items(), ("all", _sum(rows.values()))]:
        counts = row.verdicts
        cells = (row.calls, len(row.files), row.equal, row.refused, counts["ours"], counts["design"])
        last = (counts["unjudged"], counts["missing"] + counts["theirs"], row.asked)
        lines.append(f"| {ALSO.get(name, name)} | {' | '.join(map(str, (*cells, *last)))} |")
    lines += ["", "Why answers differ, with the number of calls:", ""]
    for name, row in rows.items():
        for verdict, title in TITLES.items():
            lines += [f"- **{name}**, {title}, {n}: {reason}" for reason, n in row.reasons[verdict].most_common()]
    wrong = [(name, *one) for name, row in rows.items() for one in row.wrong]
    lines += ["", f"Equal answers of which h5py says something else: {len(wrong)}.", ""]
    lines += [
        f"- {name}, {_bare(question.files[0])}, {question.path}: {one.where}: {_bare(one.ours)}; h5py: "
        f"{_bare(one.oracle)}"
        for name, question, one in wrong[:40]
    ]
    return "\n".join(lines).rstrip() + "\n"


def _sum(rows: Iterable[Row]) -> Row:
    total = Row()
    for row in rows:
        for name in ("calls", "equal", "refused", "asked"):
            setattr(total, name, getattr(total, name) + getattr(row, name))
        total.files |= row.files
        total.verdicts += row.verdicts
    return total


def details(pairs: Sequence[tuple[Question, Judgement]]) -> list[dict[str, object]]:
    """Return what differs, a few calls for each reason and all that is not judged, without the folder of the files."""
    found = []
    told: Counter[tuple[str, str]] = Counter()
    for question, judged in pairs:
        worst: dict[tuple[str, str], Difference] = {}
        for one in judged.differences:
            key = (question.function, one.reason)
            is_open = one.verdict in {"unjudged", "theirs", "missing"}
            if (one.verdict, one.reason) not in worst and (is_open or told[key] < EXAMPLES):
                told[key] += 1
                worst[one.verdict, one.reason] = one
        if worst:
            names = [os.path.relpath(file, DATA) for file in question.files]
            shown = [{name: _bare(text) for name, text in asdict(each).items()} for each in worst.values()]
            found.append(
                {"function": question.function, "files": names[:3], "path": question.path, "differences": shown}
            )
    return found


def _bare(text: str) -> str:
    bare = text.replace(f"{DATA}/real/", "").replace(f"{DATA}/", "")
    return re.sub(rf"{re.escape(gettempdir())}/tmp\w+", "<folder>", bare)
