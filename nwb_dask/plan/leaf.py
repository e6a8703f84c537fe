"""What a condition says of one row of known values, where all engines agree. Pure."""

from __future__ import annotations

import datetime as dt
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from nwb_dask.plan.predicate import Call, Column, Literal, Node

_EXACT_INTEGER = 2**53
# Characters that mean the same in every dialect of regular expressions, the dot included.
_PLAIN_PATTERN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/ :.")


class _Unknown:
    """A value that is not known, or on which the engines may differ."""


class _NotTrue:
    """A truth that is false in one engine and null in another."""


_UNKNOWN: Final = _Unknown()
_NOT_TRUE: Final = _NotTrue()
_OUTCOMES: Mapping[object, tuple[bool, bool, bool]] = MappingProxyType(
    {
        True: (True, False, False),
        False: (False, True, False),
        None: (False, False, True),
        _NOT_TRUE: (False, True, True),
        _UNKNOWN: (True, True, True),
    }
)
"""Whether a truth may be true, false and null."""
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {"eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}
)


def outcome_of(node: Node, row: Mapping[str, object]) -> tuple[bool, bool, bool]:
    """Return whether `node` may be true, false and null where columns have the values of `row`; None is null."""
    return _OUTCOMES.get(_value(node, row), _OUTCOMES[_UNKNOWN])


def _value(node: Node, row: Mapping[str, object]) -> object:
    if isinstance(node, Column):
        return row[node.name]
    if isinstance(node, Literal):
        return _plain(node.value)
    values = [_value(arg, row) for arg in node.args]
    for arg, value in zip(node.args, values, strict=True):
        if value is _UNKNOWN or value is _NOT_TRUE or (value is None and isinstance(arg, Literal)):
            return _UNKNOWN
    if node.op in _COMPARE:
        return _compare(node.op, values[0], values[1])
    if node.op == "between":
        return _between(node, values)
    if node.op == "isin":
        return _is_in(values[0], values[1])
    if node.op in {"isna", "notna"}:
        return _UNKNOWN if _is_nan(values[0]) else (values[0] is None) == (node.op == "isna")
    if node.op.startswith("str.") and values[0] is None:
        return node.option("na")
    if node.op.startswith("str.") and isinstance(values[0], str):
        return _text(node, values[0], *values[1:])
    return _UNKNOWN


def _plain(value: object) -> object:
    """Return a constant as Python has it, if all engines take it for the same; floats of 32 bits they do not."""
    if isinstance(value, np.integer):
        return int(value)
    return float(value) if isinstance(value, np.float64) else value


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _compare(op: str, left: object, right: object) -> object:
    # Engines convert between types in their own ways; only values of one kind compare alike in all.
    if left is None or right is None:
        return _compare_null(op, right if left is None else left)
    types = {type(left), type(right)}
    is_alike = types == {str} or (types == {bool} and op in {"eq", "ne"}) or _are_moments(left, right)
    if is_alike or (_is_exact_number(left) and _is_exact_number(right)):
        return _COMPARE[op](left, right)
    return _UNKNOWN


def _compare_null(op: str, other: object) -> object:
    """Compare an absent value: null, but pandas has NaN for absent floats, which differs from all numbers."""
    if isinstance(other, str | dt.datetime) or (isinstance(other, bool) and op in {"eq", "ne"}):
        return None
    return _NOT_TRUE if isinstance(other, int | float) and not isinstance(other, bool) and op != "ne" else _UNKNOWN


def _between(node: Call, values: Sequence[object]) -> object:
    inclusive = node.option("inclusive", "both")
    above = _compare("ge" if inclusive in {"both", "left"} else "gt", values[0], values[1])
    below = _compare("le" if inclusive in {"both", "right"} else "lt", values[0], values[2])
    if above is _UNKNOWN or below is _UNKNOWN:
        return _UNKNOWN
    if isinstance(above, bool) and isinstance(below, bool):
        return above and below
    return None if above is None and below is None else _NOT_TRUE


def _is_in(value: object, members: object) -> object:
    if not isinstance(members, tuple):
        return _UNKNOWN
    members = tuple(map(_plain, members))
    has_null = any(member is None or _is_nan(member) for member in members)
    if value is None:
        # To pandas and Arrow null is a member like others, to polars it is in nothing.
        return _UNKNOWN if has_null else _NOT_TRUE
    answers = [_compare("eq", value, member) if type(member) is type(value) else _UNKNOWN for member in members]
    if True in answers:
        return True
    # `_UNKNOWN` means a member of another type, which an engine may convert before it compares.
    return _UNKNOWN if _UNKNOWN in answers else False


def _is_exact_number(value: object) -> bool:
    if type(value) is int:
        return abs(value) <= _EXACT_INTEGER
    return type(value) is float and not math.isnan(value)


def _are_moments(left: object, right: object) -> bool:
    """Whether both are points in time: without an offset one is none."""
    return all(isinstance(value, dt.datetime) and value.tzinfo is not None for value in (left, right))


def _text(node: Call, value: str, *args: object) -> object:
    pattern = args[0] if args else ""
    if node.op in {"str.startswith", "str.endswith"}:
        if not isinstance(pattern, str | tuple):
            return _UNKNOWN
        return value.startswith(pattern) if node.op == "str.startswith" else value.endswith(pattern)
    if node.op == "str.len":
        return len(value)
    if node.op in {"str.lower", "str.upper"}:
        # The case of letters beyond ASCII depends on the library.
        change = str.lower if node.op == "str.lower" else str.upper
        return change(value) if value.isascii() else _UNKNOWN
    if node.op in {"str.contains", "str.match", "str.fullmatch"} and isinstance(pattern, str):
        return _search(node, value, pattern)
    return _UNKNOWN


def _search(node: Call, value: str, pattern: str) -> object:
    """Look for a pattern that means the same everywhere: plain characters, and the dot for any of them."""
    regular = node.op != "str.contains" or node.option("regex") is not False
    if node.option("flags", 0) or (regular and not _PLAIN_PATTERN.issuperset(pattern)):
        return _UNKNOWN
    if node.option("case") is False:
        if not (value.isascii() and pattern.isascii()):
            return _UNKNOWN
        value, pattern = value.lower(), pattern.lower()
    if not (regular and "." in pattern):
        return {"str.contains": pattern in value, "str.match": value.startswith(pattern)}.get(node.op, value == pattern)
    if not value.isprintable():
        return _UNKNOWN
    starts = {"str.contains": range(len(value) - len(pattern) + 1), "str.match": range(1)}.get(node.op, range(1))
    if node.op == "str.fullmatch" and len(value) != len(pattern):
        return False
    return any(_fits(value[start : start + len(pattern)], pattern) for start in starts)


def _fits(part: str, pattern: str) -> bool:
    return len(part) == len(pattern) and all(mark in (".", char) for char, mark in zip(part, pattern, strict=True))
