"""Globs over names: what they match, and which files a user wants of those that are found. Pure."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

MAGIC = re.compile(r"[*?[]")
"""What makes a glob of a path."""

Order: TypeAlias = Literal["path", "-path", "created", "-created", "modified", "-modified"]
"""By what files are sorted; from the last to the first with a minus sign."""


def translate(pattern: str) -> str:
    """Return a glob as a regular expression; ``*`` stays in its folder, ``**/`` means any folders."""
    parts = []
    for part in re.split(r"(\*\*/|/)", pattern):
        if part == "**/":
            parts.append(r"(?:[^/.][^/]*/)*")
        elif part == "/":
            parts.append("/")
        else:
            # fnmatch wraps the expression; its dots would cross into other folders.
            body = re.sub(r"\(\?s:(.*)\)\\[zZ]", r"\1", fnmatch.translate(part))
            hidden = r"(?!\.)" if part[:1] in {"*", "?"} else ""
            parts.append(hidden + body.replace(".*", "[^/]*"))
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of the files that are found are wanted, and in which order."""

    include: tuple[str, ...] = ()
    """Globs; a file that matches none of them is left out. Empty: all are wanted."""
    exclude: tuple[str, ...] = ()
    """Globs; a file that matches one of them is left out."""
    order: Order = "path"

    def __post_init__(self) -> None:
        if self.order not in get_args(Order):
            raise ValueError(f"order={self.order!r} is none of {', '.join(get_args(Order))}")

    def keeps(self, name: str) -> bool:
        """Return whether a file is wanted. A glob is of the end of its name, from any folder on."""
        return (not self.include or _matches(self.include, name)) and not _matches(self.exclude, name)


def make_choice(include: str | Sequence[str] | None, exclude: str | Sequence[str] | None, order: Order) -> Choice:
    """Return a choice; one glob or several, or None for nothing said."""
    return Choice(_several("include", include), _several("exclude", exclude), order)


def _several(name: str, given: str | Sequence[str] | None) -> tuple[str, ...]:
    patterns = (given,) if isinstance(given, str) else tuple(given or ())
    if not all(isinstance(one, str) for one in patterns) or "" in patterns:
        raise TypeError(f"{name} is a glob, or a list of them")
    return patterns


def _matches(patterns: tuple[str, ...], name: str) -> bool:
    return any(re.fullmatch(r"(?s:.*/)?" + translate(one.lstrip("/")), name) for one in patterns)
