"""What `benchmarks.series` measures, when two answers are equal, and which goals are met."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.peers.series_contest import ACTIONS, Action

OURS, BY_HAND, PYNWB = "nwb_dask", "h5py by hand", "pynwb"

RELATIVE = 1e-6
"""What values in float32 may differ by, as a part of the largest: nwb_dask's default for int16."""
MEAN_RELATIVE = 1e-2
"""What means may differ by: sums in float32 of samples a thousand times as large as their mean."""
TIME_SECONDS = 1e-9
"""What times may differ by."""


@dataclass(slots=True)
class Measurement:
    """All rounds of one way of doing one action."""

    way: str
    action: Action
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    """Of the contestant's own process, without those that it started."""
    error: str = ""
    wrong: set[str] = field(default_factory=set)
    """Parts of the answer that differ from those of h5py by hand."""
    missing: set[str] = field(default_factory=set)
    """Parts of the answer that the contestant does not give."""
    n_compared: int = 0
    """Answers that were compared."""

    @property
    def best(self) -> float:
        """Seconds of the fastest round."""
        return min(self.seconds)

    @property
    def summary(self) -> str:
        """Seconds of the fastest round, with what is not right."""
        if self.error:
            return f"fails: {self.error}".splitlines()[0][:60].replace("|", "/")
        if not self.seconds:
            return "not measured"
        return f"{self.best:.4f}" + (" WRONG" if self.wrong else "")

    def compare(self, answer: Mapping[str, Any], right: Mapping[str, Any]) -> None:
        """Note what of an answer differs from the right one, or is not in it."""
        self.missing |= set(right) - set(answer)
        self.wrong |= {name for name, value in answer.items() if not is_equal(name, value, right[name])}
        self.n_compared += 1

    def record(self) -> dict[str, Any]:
        """Return what is saved."""
        return {
            "way": self.way,
            "action": self.action,
            "error": self.error,
            "wrong": sorted(self.wrong),
            "missing": sorted(self.missing),
            "best": self.best if self.seconds else None,
            "median": statistics.median(self.seconds) if self.seconds else None,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
        }


def is_equal(name: str, value: object, right: object) -> bool:
    """Tell whether a part of an answer is what it is to be: shapes exactly, times and values but for rounding.

    Nothing is equal to nothing: a question whose answer is empty compares nobody.
    """
    given, wanted = np.asarray(value, "f8"), np.asarray(right, "f8")
    if given.shape != wanted.shape or not wanted.size:
        return False
    if name.startswith("shape"):
        return bool((given == wanted).all())
    if name in ("times", "ends"):
        return bool(np.abs(given - wanted).max(initial=0.0) <= TIME_SECONDS)
    # Each row, and each kind of sum, has a size of its own.
    largest = np.abs(wanted).max(axis=-1, keepdims=True)
    limit = MEAN_RELATIVE if name == "mean" else RELATIVE
    return bool((np.abs(given - wanted) <= limit * largest).all())


@dataclass(frozen=True, slots=True)
class Goal:
    """nwb_dask is at least `factor` times as fast as the fastest way of `base`."""

    action: Action
    base: str
    factor: float

    @property
    def title(self) -> str:
        """The goal in words."""
        return f"{ACTIONS[self.action]}: {self.factor:g} times as fast as {self.base}"


GOALS = (
    Goal("open", PYNWB, 5.0),
    Goal("open_stamped", PYNWB, 5.0),
    Goal("whole_stored", BY_HAND, 1.5),
    Goal("whole", BY_HAND, 1.5),
)


def format_table(measured: Sequence[Measurement]) -> str:
    """Return a Markdown table: seconds of the fastest round, and how often nwb_dask does it in the same time."""
    actions = [action for action in ACTIONS if any(one.action == action for one in measured)]
    lines = ["| seconds (times nwb_dask's) | " + " | ".join(ACTIONS[action] for action in actions) + " |"]
    lines.append("|---|" + "--:|" * len(actions))
    lines += [
        f"| {way} | " + " | ".join(_cell(measured, action, way) for action in actions) + " |"
        for way in dict.fromkeys(one.way for one in measured)
    ]
    return "\n".join(lines)


def _cell(measured: Sequence[Measurement], action: Action, way: str) -> str:
    one, ours = _find(measured, action, way), _find(measured, action, OURS)
    if one is None:
        return ""
    if not one.seconds or ours is None or not ours.seconds:
        return one.summary
    return f"{one.summary} ({one.best / ours.best:.2f})" + (" no times" if "ends" in one.missing else "")


def format_goals(measured: Sequence[Measurement]) -> str:
    """Return a Markdown table of the goals: what was measured, and whether it is met."""
    lines = ["| goal | |", "|---|---|"]
    lines += [f"| {goal.title} | {_verdict(measured, goal)} |" for goal in GOALS]
    return "\n".join(lines)


def _verdict(measured: Sequence[Measurement], goal: Goal) -> str:
    ours = _find(measured, goal.action, OURS)
    # Everybody is compared with the best mode of the others.
    bases = [
        one.best
        for one in measured
        if one.action == goal.action and one.way.partition(",")[0] == goal.base and one.seconds
    ]
    if ours is None or not ours.seconds or not bases:
        return "not measured"
    factor = min(bases) / ours.best
    return f"{'met' if factor >= goal.factor else 'MISSED'}: {factor:.2f} times"


def _find(measured: Sequence[Measurement], action: Action, way: str) -> Measurement | None:
    return next((one for one in measured if (one.action, one.way) == (action, way)), None)


def find_faults(measured: Sequence[Measurement]) -> list[str]:
    """Return what is wrong, one line each: a time without the right answer says nothing.

    Another contestant may fail or leave something out; nwb_dask and h5py by hand may not.
    """
    faults = []
    for one in measured:
        where = f"{ACTIONS[one.action]}, {one.way}"
        if one.wrong:
            faults.append(f"{where}: differs in {', '.join(sorted(one.wrong))}")
        if one.way.partition(",")[0] in (OURS, BY_HAND):
            if one.error:
                faults.append(f"{where}: {one.error}")
            if one.missing:
                faults.append(f"{where}: lacks {', '.join(sorted(one.missing))}")
    return faults
