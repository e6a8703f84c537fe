"""What a condition says of one row of known values; unknown where the engines may differ. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from nwb_dask.plan.predicate import Call, Column, Literal, Node

_EXACT_INTEGER = 2**53
# Characters that mean the same in every dialect of regular expressions, the dot included.
_PLAIN_PATTERN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/ :.")


class _Unknown:
    """A value that is not known, or on which the engines may differ."""


UNKNOWN: Final = _Unknown()
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {"eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}
)


def value_of(node: Node, row: Mapping[str, object]) -> object:
    """Return what `node` is where columns have the values of `row`; `UNKNOWN` where engines may differ."""
    if isinstance(node, Column):
        return row[node.name]
    if isinstance(node, Literal):
        return node.value
    values = [value_of(arg, row) for arg in node.args]
    if any(value is UNKNOWN or value is None for value in values):
        return UNKNOWN
    if node.op in _COMPARE:
        return _compare(node.op, values[0], values[1])
    if node.op == "between":
        return _between(node, values)
    if node.op == "isin":
        return _is_in(values[0], values[1])
    if node.op in {"isna", "notna"}:
        return UNKNOWN if isinstance(values[0], float) else node.op == "notna"
    if node.op.startswith("str.") and isinstance(values[0], str):
        return _text(node, values[0], *values[1:])
    return UNKNOWN


def _compare(op: str, left: object, right: object) -> object:
    # Engines convert between types in their own ways; only values of one exact type compare alike in all.
    texts = type(left) is str and type(right) is str
    if texts or (_is_exact_integer(left) and _is_exact_integer(right)):
        return _COMPARE[op](left, right)
    return UNKNOWN


def _between(node: Call, values: Sequence[object]) -> object:
    inclusive = node.option("inclusive", "both")
    above = _compare("ge" if inclusive in {"both", "left"} else "gt", values[0], values[1])
    below = _compare("le" if inclusive in {"both", "right"} else "lt", values[0], values[2])
    if above is UNKNOWN or below is UNKNOWN:
        return UNKNOWN
    return bool(above) and bool(below)


def _is_in(value: object, members: object) -> object:
    if not isinstance(members, tuple):
        return UNKNOWN
    answers = [_compare("eq", value, member) for member in members]
    if True in answers:
        return True
    # `UNKNOWN` means a member of another type, which an engine may convert before it compares.
    return UNKNOWN if UNKNOWN in answers else False


def _is_exact_integer(value: object) -> bool:
    return type(value) is int and abs(value) <= _EXACT_INTEGER


def _text(node: Call, value: str, *args: object) -> object:
    pattern = args[0] if args else ""
    if node.op in {"str.startswith", "str.endswith"}:
        if not isinstance(pattern, str | tuple):
            return UNKNOWN
        return value.startswith(pattern) if node.op == "str.startswith" else value.endswith(pattern)
    if node.op == "str.len":
        return len(value)
    if node.op in {"str.lower", "str.upper"}:
        # The case of letters beyond ASCII depends on the library.
        change = str.lower if node.op == "str.lower" else str.upper
        return change(value) if value.isascii() else UNKNOWN
    if node.op in {"str.contains", "str.match", "str.fullmatch"} and isinstance(pattern, str):
        return _search(node, value, pattern)
    return UNKNOWN


def _search(node: Call, value: str, pattern: str) -> object:
    """Look for a pattern that means the same everywhere: plain characters, and the dot for any of them."""
    regular = node.op != "str.contains" or node.option("regex") is not False
    if node.option("flags", 0) or (regular and not _PLAIN_PATTERN.issuperset(pattern)):
        return UNKNOWN
    if node.option("case") is False:
        if not (value.isascii() and pattern.isascii()):
            return UNKNOWN
        value, pattern = value.lower(), pattern.lower()
    if not (regular and "." in pattern):
        return {"str.contains": pattern in value, "str.match": value.startswith(pattern)}.get(node.op, value == pattern)
    if not value.isprintable():
        return UNKNOWN
    starts = {"str.contains": range(len(value) - len(pattern) + 1), "str.match": range(1)}.get(node.op, range(1))
    if node.op == "str.fullmatch" and len(value) != len(pattern):
        return False
    return any(_fits(value[start : start + len(pattern)], pattern) for start in starts)


def _fits(part: str, pattern: str) -> bool:
    return len(part) == len(pattern) and all(mark in (".", char) for char, mark in zip(part, pattern, strict=True))
