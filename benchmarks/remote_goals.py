"""Goals of `benchmarks.remote`, and the tables that it prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.peers.remote_contest import Action, Mode
from benchmarks.remote_runs import ACTIONS, LAZYNWB, OURS, REMFILE, Case, Measurement

Quantity = Literal["rounds", "requests", "seconds", "sent_share", "spike_share"]
NAMES: dict[Quantity, str] = {
    "rounds": "rounds",
    "requests": "requests",
    "seconds": "seconds",
    "sent_share": "bytes / spans needed",
    "spike_share": "bytes of spikes / spans needed",
}


@dataclass(frozen=True, slots=True)
class Goal:
    """At most `limit`, or `limit` times what `base` needs for the same in the same mode."""

    action: Action
    mode: Mode
    quantity: Quantity
    limit: float
    base: str | None = None
    is_many: bool = False
    layouts: tuple[str, ...] = ("contiguous", "chunked", "gzip")

    @property
    def title(self) -> str:
        """The goal in words."""
        limit = f"{self.limit:g}" if self.base is None else f"1/{1 / self.limit:.0f} of {self.base}"
        return (
            f"{'many: ' if self.is_many else ''}{ACTIONS[self.action]}, {self.mode}: {NAMES[self.quantity]} <= {limit}"
        )


GOALS = (
    Goal("list", "cold", "rounds", 9),
    Goal("list", "cold", "requests", 1 / 3, LAZYNWB),
    Goal("list", "cold", "seconds", 1 / 5, LAZYNWB),
    Goal("list", "cold", "seconds", 1 / 3, REMFILE),
    Goal("list", "warm", "requests", 1),
    Goal("trials", "cold", "rounds", 10),
    Goal("trials", "cold", "requests", 15),
    Goal("trials", "warm", "requests", 1),
    Goal("units", "cold", "rounds", 9),
    # What the file keeps elsewhere is metadata, which do not count.
    Goal("units", "cold", "spike_share", 1.3),
    Goal("units", "warm", "rounds", 1),
    Goal("units", "warm", "sent_share", 1.1, layouts=("contiguous", "chunked")),
    Goal("units", "warm", "seconds", 1 / 5, LAZYNWB),
    Goal("lfp", "cold", "rounds", 9),
    Goal("lfp", "warm", "rounds", 1),
    *(
        Goal(action, mode, "seconds", 1 / 10, LAZYNWB, is_many=True)
        for action in ("trials", "units", "lfp")
        for mode in ("cold", "warm")
    ),
)


def format_tables(measured: Sequence[Measurement]) -> str:
    """Return a Markdown table per layout and number of sessions: requests / MB / rounds / seconds."""
    tables = []
    for layout, is_many in dict.fromkeys((one.case.layout, one.case.is_many) for one in measured):
        part = [one for one in measured if (one.case.layout, one.case.is_many) == (layout, is_many)]
        actions = list(dict.fromkeys(one.case.action for one in part))
        lines = [
            f"**{layout}, {'many sessions' if is_many else 'one session'}**: requests / MB / rounds / seconds",
            "",
            "| | | " + " | ".join(ACTIONS[action] for action in actions) + " |",
            "|---|---|" + "--:|" * len(actions),
        ]
        for title, mode in dict.fromkeys((one.title, one.mode) for one in part):
            cells = [_cell(part, Case(layout, action, is_many), title, mode) for action in actions]
            lines.append(f"| {title} | {mode} | " + " | ".join(cells) + " |")
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def _cell(measured: Sequence[Measurement], case: Case, title: str, mode: Mode) -> str:
    found = _find(measured, case, title, mode)
    return "" if found is None else found.summary


def format_goals(measured: Sequence[Measurement]) -> str:
    """Return a Markdown table of the goals: what was measured, the limit, and whether it is met."""
    layouts = list(dict.fromkeys(one.case.layout for one in measured))
    lines = ["| goal | " + " | ".join(layouts) + " |", "|---|" + "---|" * len(layouts)]
    lines += [
        f"| {goal.title} | " + " | ".join(_verdict(measured, goal, layout) for layout in layouts) + " |"
        for goal in GOALS
    ]
    return "\n".join(lines)


def _verdict(measured: Sequence[Measurement], goal: Goal, layout: str) -> str:
    if layout not in goal.layouts:
        return "no goal"
    case = Case(layout, goal.action, goal.is_many)
    ours = _find(measured, case, OURS, goal.mode)
    if ours is None or not ours.runs:
        return "not measured"
    limit = goal.limit
    if goal.base is not None:
        base = _find(measured, case, goal.base, goal.mode)
        if base is None or not base.runs:
            return "not measured"
        limit *= getattr(base, goal.quantity)
    value: float = getattr(ours, goal.quantity)
    return f"{'met' if value <= limit else 'MISSED'}: {value:.3g} of {limit:.3g}"


def _find(measured: Sequence[Measurement], case: Case, title: str, mode: Mode) -> Measurement | None:
    return next((one for one in measured if (one.case, one.title, one.mode) == (case, title, mode)), None)
