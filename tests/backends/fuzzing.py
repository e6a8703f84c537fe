"""Has both readers read damaged files, and judges what they say."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.backends.answers import Answer, Answers, Refusal, comparable_chunks, is_same
from tests.backends.fuzz_mutations import WAYS, Anatomy, Mutation, Outcome

ROOT = Path(__file__).parents[2]
MAX_GROWN_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a damaged file that must not be, or that someone has to look at."""

    kind: str
    """``hang``, ``crash``, ``error``, ``memory``, ``wrong``, ``missing``; or ``unconfirmed``."""
    mutation: Mutation
    text: str
    reason: str = ""
    """Why h5py does not confirm it."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.mutation}: {self.text}{self.reason and f'; h5py: {self.reason}'}"


@dataclass
class Report:
    """What came of many mutations."""

    n_mutations: int = 0
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)
    slowest: float = 0

    @property
    def faults(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.kind != "unconfirmed"]

    @property
    def unconfirmed(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.kind == "unconfirmed"]

    def lines(self) -> Iterator[str]:
        yield f"{self.n_mutations} damaged files, the slowest took {self.slowest:.2f} s"
        yield ", ".join(f"{n} {name}" for name, n in sorted(self.counts.items()))


def fuzz(
    folder: Path, anatomies: Mapping[str, Anatomy], mutations: Sequence[Mutation], originals: Mapping[str, Answers]
) -> Report:
    """Return what both readers make of damaged files; see `_fuzz_once`.

    Where h5py cannot confirm what comes of several edits, because of one of them, each is looked at by itself.
    """
    report = _fuzz_once(folder, anatomies, mutations, originals)
    mixed = dict.fromkeys(one.mutation for one in report.unconfirmed if len(one.mutation.edits) > 1)
    if mixed:
        singles = [replace(one, edits=(edit,)) for one in mixed for edit in one.edits]
        again = _fuzz_once(folder, anatomies, singles, originals)
        kept = [one for one in report.findings if one.kind != "unconfirmed" or one.mutation not in mixed]
        report.findings = kept + again.findings
    return report


def _fuzz_once(
    folder: Path, anatomies: Mapping[str, Anatomy], mutations: Sequence[Mutation], originals: Mapping[str, Answers]
) -> Report:
    """Return what both readers make of damaged files.

    Parameters
    ----------
    folder : Path
        For temporary files.
    anatomies : mapping
        The files, by name.
    mutations : sequence of Mutation
        What is done to them.
    originals : mapping
        What we say of the undamaged files.
    """
    plan = folder / "plan"
    plan.write_bytes(pickle.dumps((dict(anatomies), list(mutations))))
    with ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.map(lambda who: _run(who, plan, len(mutations)), ("ours", "h5py"))
    report = Report(len(mutations))
    for number, mutation in enumerate(mutations):
        mine, other = ours[number], theirs[number]
        if isinstance(mine, str):
            report.findings.append(Finding(mine.partition(":")[0], mutation, mine))
            continue
        answers = Answers() if isinstance(other, str) else other.answers[0]
        report.counts[f"files of which h5py says {_state(other)}"] += 1
        report.slowest = max(report.slowest, mine.seconds)
        if mine.grown_bytes > MAX_GROWN_BYTES:
            report.findings.append(Finding("memory", mutation, f"{mine.grown_bytes >> 20} MiB"))
        report.fallbacks.update(reason for _, reason in mine.fallbacks)
        for way, said in zip(WAYS, mine.answers, strict=True):
            original = originals[mutation.name]
            if way == "by group":
                # A group that several links lead to is met under each path.
                known = original.found.keys() | answers.found.keys()
                said.found = {key: answer for key, answer in said.found.items() if key in known}
            for kind, text, reason in judge(said, answers, original, report.counts):
                if kind == "unconfirmed" and isinstance(other, str):
                    # Nobody can say: h5py ended before it did.
                    report.counts["answers about files that h5py ends with"] += 1
                    continue
                if way == "by group" and kind == "missing":
                    continue
                report.findings.append(Finding(kind, mutation, f"{way} {text}", reason))
    return report


def _state(outcome: Outcome | str) -> str:
    if isinstance(outcome, str):
        return f"nothing: {outcome.partition(':')[0]}"
    return (
        "that they cannot be opened"
        if list(outcome.answers[0].found) == ["/"] and isinstance(outcome.answers[0].found["/"], Refusal)
        else "something"
    )  # one sentence


def judge(ours: Answers, theirs: Answers, original: Answers, counted: Counter[str]) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong with the answers about a damaged file: kind, text, reason; counts the others."""
    for fault in ours.faults:
        yield "error", fault, ""
    for key, answer in ours.found.items():
        other = theirs.found.get(key)
        before = original.found.get(key)
        if isinstance(answer, Refusal):
            counted["errors"] += 1
        elif answer == before:
            counted["answers as of the undamaged file"] += 1
        elif other is None or isinstance(other, Refusal):
            yield "unconfirmed", f"{key}: {answer!r:.300}; undamaged {before!r:.200}", _why(key, theirs)
        elif _is_same(key, answer, other, theirs):
            counted["other answers that h5py confirms"] += 1
        elif not (key.endswith("#chunks") and _is_doubtful(key, ours, theirs)):
            yield "wrong", f"{key}: {answer!r:.300} is by h5py {other!r:.300}", ""
    for key, other in theirs.found.items():
        if key not in ours.found and not isinstance(other, Refusal) and _is_expected(key, ours):
            yield "missing", f"{key}: h5py says {other!r:.200}", ""


def _is_doubtful(key: str, ours: Answers, theirs: Answers) -> bool:
    """Return whether what h5py lists of chunks says nothing: it finds them by other ways than it lists them.

    So if the values are the same, or it does not number chunks, of which some may be outside of the shape, or has them
    where no file reaches.
    """
    values = key.replace("#chunks", "#values")
    one, other = ours.found.get(values), theirs.found.get(values)
    listed = theirs.found[key]
    nonsense = any(number is None or offset + size >= 1 << 40 for number, offset, size, _ in listed)
    return nonsense or (one is not None and other is not None and is_same(one, other, theirs))


def _why(key: str, theirs: Answers) -> str:
    """Return why h5py says nothing under a key: of the value, of its object, or of a group that it is in."""
    while True:
        found = theirs.found.get(key)
        if found is None and "@" in key:
            # What h5py says of all attributes of an object, if it cannot list them.
            found = theirs.found.get(key.rpartition("@")[0] + "@")
        if isinstance(found, Refusal):
            return found.reason
        if key == "/":
            return "it is not there"
        mark = next((mark for mark in "#@>" if mark in key), "/")
        key = key.rpartition(mark)[0] or "/"


def _is_expected(key: str, ours: Answers) -> bool:
    """Return whether we said what a value belongs to, or what an object is in, so that silence hides something."""
    owner = next((key.rpartition(mark)[0] for mark in "#@" if mark in key), key.rpartition("/")[0]) or "/"
    said = ours.found.get(owner)
    if "@" in key and any(isinstance(ours.found[one], Refusal) for one in ours.found if one.startswith(f"{owner}@")):
        # It may be the one of which we say that it cannot be read, under the name that it has then.
        return False
    return isinstance(said, tuple) and said[0] in {"group", "array"}


def _is_same(key: str, ours: Answer, theirs: Answer, tree: Answers) -> bool:
    if key.endswith("#chunks"):
        ours = comparable_chunks(ours, theirs)
    return is_same(ours, theirs, tree)


def _run(who: str, plan: Path, n: int) -> list[Outcome | str]:
    """Return the outcome of each mutation, or how the process ended that read it."""
    out, done = plan.with_name(f"{who}-outcomes"), 0
    found: list[Outcome | str] = []
    env = {**os.environ, "MALLOC_ARENA_MAX": "1", "PYTHONWARNINGS": "ignore", "HDF5_USE_FILE_LOCKING": "FALSE"}
    while done < n:
        out.write_bytes(b"")
        command = [sys.executable, "-m", "tests.backends.fuzz_worker", who, str(plan), str(out), str(done)]
        ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        outcomes = list(_outcomes(out))
        if not outcomes:
            raise RuntimeError(ended.stderr[-3000:])
        found += outcomes[1:]
        if ended.returncode:
            kind = "hang" if ended.returncode == -signal.SIGVTALRM or "Timeout" in ended.stderr else "crash"
            found.append(f"{kind}: {ended.returncode} {_last_calls(ended.stderr)}")
        done = len(found)
    return found


def _outcomes(path: Path) -> Iterator[Outcome]:
    with path.open("rb") as file:
        while True:
            try:
                yield pickle.load(file)
            except (EOFError, pickle.UnpicklingError):
                return


def _last_calls(text: str) -> str:
    """Return where a process was when it ended, as far as it said so."""
    return " < ".join(re.findall(r'File "[^"]*?(\w+\.py", line \d+)', text)[:4]) or text[-300:]
