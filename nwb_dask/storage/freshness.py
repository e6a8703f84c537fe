"""How long an answer may be believed without asking again: RFC 9111, "HTTP Caching". Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

DAY = 86_400.0
YEAR = 365 * DAY
_SHARE = 0.1
"""Of the time for which a file has not changed: what section 4.2.2 of RFC 9111 calls a typical setting."""
_DIRECTIVE = re.compile(r'([!#$%&\'*+.^_`|~\w-]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^,\s]*))?')


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer says about how long it may be believed. Times are seconds since 1970; None: nothing is said."""

    cache_control: str = ""
    expires: float | None = None
    """A time that is not understood has passed (section 5.3)."""
    date: float | None = None
    age: float = 0.0
    """Seconds that it has spent in caches on its way."""
    modified: float | None = None
    varies: bool = False
    """Whether the next answer may be another for reasons of its own (``Vary: *``)."""

    @property
    def may_be_kept(self) -> bool:
        """Whether it may be written down at all."""
        return "no-store" not in _directives(self.cache_control)

    def updated(self, later: Said) -> Said:
        """Return what holds after an answer that repeats nothing but what it changes (304; section 3.2)."""
        return Said(
            later.cache_control or self.cache_control,
            self.expires if later.expires is None and not later.cache_control else later.expires,
            later.date,
            later.age,
            self.modified if later.modified is None else later.modified,
            later.varies or self.varies,
        )

    def lifetime(self, asked: float) -> float:
        """Return for how many seconds it may be believed, counted from when it was made (section 4.2.1).

        What is said twice holds in its stricter form, and what is not understood allows nothing. Where nothing is said,
        it is a tenth of the time for which the file had not changed, up to a day. ``immutable`` (RFC 8246) without a
        time means a year.

        Parameters
        ----------
        asked : float
            When the question was sent, in seconds since 1970.
        """
        directives = _directives(self.cache_control)
        if self.varies or "no-cache" in directives or "no-store" in directives:
            return 0.0
        if "max-age" in directives:
            return min(_seconds(one) for one in directives["max-age"])
        made = asked if self.date is None else self.date
        if self.expires is not None:
            return max(self.expires - made, 0.0)
        if "immutable" in directives:
            return YEAR
        if self.modified is None:
            return 0.0
        return min(max((made - self.modified) * _SHARE, 0.0), DAY)


def is_fresh(said: Said, *, asked: float, now: float, max_age: float | None) -> bool:
    """Return whether an answer may still be believed.

    Parameters
    ----------
    said : Said
        What it says.
    asked : float
        When the question was sent, so that the time on the way counts as age (section 4.2.3).
    now : float
        What time it is. All times are seconds since 1970.
    max_age : float, optional
        Seconds to believe it, whatever it says itself; 0 for never, infinity for ever.
    """
    if max_age is not None:
        return max_age == math.inf or 0 <= now - asked < max_age
    apparent = 0.0 if said.date is None else max(asked - said.date, 0.0)
    return 0 <= now - asked < said.lifetime(asked) - max(apparent, said.age)


def _directives(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in _DIRECTIVE.findall(text):
        found.setdefault(name.lower(), []).append(value.strip('"'))
    return found


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdecimal() else 0.0
