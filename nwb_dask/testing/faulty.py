"""What goes wrong on command: faults that are scripted for a file, and those that chance decides."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Fault: TypeAlias = Literal[
    "status",
    "expired",
    "close",
    "reset",
    "reset-body",
    "truncate",
    "stall",
    "drip",
    "short-range",
    "wrong-start",
    "wrong-total",
    "no-content-range",
    "ignore-range",
    "no-suffix",
    "chunked",
    "gzip",
]
"""What goes wrong.

================ =============================================================================================
status           an error status (`Failure.status`), with Retry-After and an S3 error code if those are given
expired          403 with the XML of S3 for a signature that was valid until now
close            the connection is closed before the answer, as by a server that was idle for too long
reset            the connection is reset before the answer
reset-body       the connection is reset in the middle of the body
truncate         the connection is closed in the middle of the body
stall            nothing is sent for `Failure.seconds`; the answer that follows is right
drip             the body comes at `Failure.bytes_per_second`
short-range      the first half of the range that was asked for, and Content-Range says so
wrong-start      another part of the file, of the right length, and Content-Range says so
wrong-total      Content-Range says that the file is a byte longer than it is
no-content-range 206 without Content-Range
ignore-range     the whole file with 200 instead of a part
no-suffix        ranges that count from the end are refused with 416
chunked          the body has no length beforehand (Transfer-Encoding: chunked); this is no error
gzip             the body is compressed, for clients that accept that; this is no error
================ =============================================================================================
"""

TRANSIENT: tuple[Fault | int, ...] = (500, 502, 503, 504, 429, "close", "reset", "reset-body", "truncate")
"""What passes if it is tried again."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What is to go wrong with one answer."""

    fault: Fault
    status: int = 500
    code: str = ""
    """S3 error code, ``SlowDown``: the body is then XML that has it."""
    retry_after: int | str | None = None
    """Value of the header: seconds, or a date."""
    bytes_per_second: float = 1000.0
    seconds: float = 60.0

    @property
    def name(self) -> str:
        """What it is counted under: the fault, or the status as text."""
        return str(self.status) if self.fault == "status" else self.fault


@dataclass(slots=True)
class Rule:
    """When something goes wrong: after `after` good requests, `times` times (None: for ever), by chance or always."""

    failures: Sequence[Failure]
    """One of them is drawn."""
    after: int = 0
    times: int | None = None
    probability: float = 1.0
    seed: int = 0

    def due(self, drawn_for: str) -> Failure | None:
        """Return what goes wrong with the next request.

        Chance is a function of the seed and of `drawn_for` only: the order in which threads ask does not matter.
        """
        if self.after > 0:
            self.after -= 1
            return None
        draw = random.Random(f"{self.seed} {drawn_for}")  # noqa: S311  # repeatable, not secret
        if self.times == 0 or draw.random() >= self.probability:
            return None
        if self.times is not None:
            self.times -= 1
        return draw.choice(self.failures)


class FaultScript:
    """The rules of all files. Not safe for threads: its owner holds a lock."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._everywhere: Rule | None = None
        self._asked: Counter[tuple[str, str]] = Counter()

    def put(self, path: str, rule: Rule) -> None:
        """Let requests of a file fail, in place of its rule until now."""
        self._rules[path] = rule

    def put_everywhere(self, rule: Rule) -> None:
        """Let requests of all files fail that have no rule of their own."""
        self._everywhere = rule

    def clear(self) -> None:
        """Forget all rules."""
        self._rules.clear()
        self._everywhere = None
        self._asked.clear()

    def due(self, path: str, asked: str) -> Failure | None:
        """Return what goes wrong with a request of a file.

        Parameters
        ----------
        path : str
            The file.
        asked : str
            What tells this request from others of the file: method and range.
        """
        rule = self._rules.get(path) or self._rules.get(path.rstrip("/")) or self._everywhere
        if rule is None:
            return None
        self._asked[path, asked] += 1
        return rule.due(f"{path} {asked} {self._asked[path, asked]}")
