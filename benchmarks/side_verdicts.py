"""Compares two answers leaf by leaf, and lets what h5py has decide where they differ.

No difference is put down to a rule alone: `benchmarks.side_expected` says what a leaf should be, and what it does not
know is unjudged. Rules give reasons their words, and name the differences that are meant (`DESIGN`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from benchmarks import side_objects as objects
from benchmarks.side_expected import expected
from benchmarks.side_objects import ABSENT, UNKNOWN
from benchmarks.side_oracle import AnyOf, ColumnOf, Named, Part, Refused
from benchmarks.side_questions import Question
from benchmarks.side_reasons import design, why

Value: TypeAlias = Any
Verdict = Literal["ours", "design", "unjudged", "theirs", "missing"]
"""``ours``: h5py has what nwb_dask says. ``design``: both hold what h5py has, in another form."""
WORST: tuple[Verdict, ...] = ("missing", "theirs", "unjudged", "ours", "design")


@dataclass(frozen=True, slots=True)
class Difference:
    """One leaf that differs, and why."""

    verdict: Verdict
    reason: str
    where: str = ""
    ours: str = ""
    theirs: str = ""
    oracle: str = ""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One place of two answers, and what should be there."""

    where: tuple[str, ...]
    ours: Value
    theirs: Value
    want: Value


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of one question."""

    differences: tuple[Difference, ...] = ()
    both_refuse: bool = False
    n_asked: int = 0
    """Values of our answer that h5py has as well."""
    n_unasked: int = 0
    wrong: tuple[Difference, ...] = ()
    """Values of answers that are equal, of which h5py has something else."""


def judge(question: Question, ours: Mapping[str, Value], theirs: Mapping[str, Value]) -> Judgement:
    """Compare two answers to a question, and ask h5py of each value that differs and of all of ours."""
    if "error" in ours:
        if "error" in theirs:
            return Judgement(both_refuse=True)
        refused = expected(question)
        if isinstance(refused, Refused):
            return Judgement((Difference("design", f"an error says what cannot be read: {refused.reason}"),))
        return Judgement((Difference("missing", f"{ours['error']}: {ours['message']}", ours=ours["message"]),))
    want = expected(question)
    want = UNKNOWN if want is None else want
    own = _keyed(question, ours["answer"])
    failure = f"it fails: {theirs['error']}: {_without_names(theirs['message'])}" if "error" in theirs else ""
    other = ABSENT if failure else _keyed(question, theirs["answer"])
    found = [_judged(question, leaf, failure) for leaf in _leaves(own, other, want, ())]
    all_of_ours = [_judged(question, leaf, "-") for leaf in _leaves(own, ABSENT, want, ())]
    differing = {one.where for one in found}
    return Judgement(
        tuple(found),
        n_asked=sum(one.verdict in {"ours", "design"} for one in all_of_ours),
        n_unasked=sum(one.verdict == "unjudged" for one in all_of_ours),
        wrong=tuple(one for one in all_of_ours if one.verdict == "theirs" and one.where not in differing),
    )


def _keyed(question: Question, answer: Value) -> Value:
    """Return a list of paths as a mapping, so that each path is a leaf."""
    if question.function == "get_internal_paths" and isinstance(answer, list):
        return dict.fromkeys(answer, True)
    return answer


def _leaves(ours: Value, theirs: Value, want: Value, where: tuple[str, ...]) -> Iterator[Leaf]:
    if isinstance(ours, dict) and not _is_column(ours) and not isinstance(want, Refused):
        if not isinstance(theirs, dict) and not ours:
            yield Leaf(where, ours, theirs, want)
        for name in sorted({*ours, *(theirs if isinstance(theirs, dict) else ())}):
            # What is no mapping is an error, or absent, in each of its places.
            other = theirs.get(name, ABSENT) if isinstance(theirs, dict) else theirs
            yield from _leaves(ours.get(name, ABSENT), other, _below(want, name), (*where, name))
    elif _differ(ours, theirs):
        yield Leaf(where, ours, theirs, want)


def _below(want: Value, name: str) -> Value:
    if not isinstance(want, dict):
        return UNKNOWN
    return want.get(name, UNKNOWN if isinstance(want, Part) else ABSENT)


def _is_column(value: Value) -> bool:
    return isinstance(value, dict) and {"type", "digest", "first"} <= set(value)


def _differ(ours: Value, theirs: Value) -> bool:
    if _is_column(ours) and _is_column(theirs):
        return bool(ours["digest"] != theirs["digest"] or ours["type"] != theirs["type"])
    return bool(ours is ABSENT or theirs is ABSENT or ours != theirs)


def _judged(question: Question, leaf: Leaf, failure: str) -> Difference:
    want = objects.looked_up(question, leaf.where) if leaf.want is UNKNOWN else leaf.want
    verdict, reason = _verdict(question, leaf, want, failure)
    return Difference(verdict, reason, "/".join(leaf.where), _shown(leaf.ours), _shown(leaf.theirs), _shown(want))


def _verdict(question: Question, leaf: Leaf, want: Value, failure: str) -> tuple[Verdict, str]:
    meant = design(question, leaf.where, leaf.ours, leaf.theirs, want)
    if meant:
        return "design", meant
    if want is UNKNOWN:
        return "unjudged", "no oracle knows it"
    right, wrong = matches(leaf.ours, want), matches(leaf.theirs, want)
    if right and wrong:
        return "design", "another form of the same values"
    if right:
        return "ours", failure or why(question, leaf.where, leaf.theirs)
    return ("theirs", "h5py has what lazynwb says") if wrong else ("theirs", "h5py has something else than either")


def matches(value: Value, want: Value) -> bool:
    """Tell whether a leaf is what it should be."""
    if isinstance(want, Refused):
        return isinstance(value, str) and value.startswith("error")
    if isinstance(want, Named):
        return isinstance(value, str)
    if isinstance(want, AnyOf):
        return any(value is one or value == one for one in want.leaves)
    if isinstance(want, ColumnOf):
        return _is_column(value) and value["digest"] in want.digests and is_type(value["type"], want.type)
    if isinstance(want, dict) and isinstance(value, dict):
        return value == want
    return bool(value is want or (value is not ABSENT and want is not ABSENT and value == want))


def is_type(shown: str, wanted: str) -> bool:
    """Tell whether a type of polars is the wanted one; those of pandas are not looked at."""
    return shown == wanted or not wanted or not shown[:1].isupper()


def _shown(value: Value) -> str:
    text = "-" if value is ABSENT else "?" if value is UNKNOWN else str(value)
    return text if len(text) < 160 else text[:160] + " ..."  # enough


def _without_names(message: str) -> str:
    return " ".join("…" if "/" in word else word for word in message.split())[:110]
