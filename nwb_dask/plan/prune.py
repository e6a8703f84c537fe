"""Which pieces cannot hold a row that satisfies a predicate, from values that are the same in all their rows."""

from __future__ import annotations

import datetime as dt
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from nwb_dask.errors import display_url
from nwb_dask.model.field import NWB_PATH
from nwb_dask.plan.predicate import Call, Column, Literal, Node, columns_of, replace_nodes

_Mask = npt.NDArray[np.bool_]
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


def may_match(node: Node, constants: Mapping[str, Sequence[object]]) -> _Mask:
    """Tell for each piece whether some row of it may satisfy `node`.

    Parameters
    ----------
    node : Node
        The predicate.
    constants : mapping of str to sequence of length n_pieces
        Columns whose value is the same in all rows of a piece, such as ``_nwb_path``; None where it is absent. Floats
        are those of 64-bit columns: with narrower ones constants are compared in other ways.

    Returns
    -------
    ndarray of bool, shape (n_pieces,)
        False only if no row can satisfy `node` in any engine, whatever the other columns hold: NaN, null
        and the differences between the engines are taken into account.
    """
    return _possible(node, constants, _count(constants))[0]


def must_match(node: Node, constants: Mapping[str, Sequence[object]]) -> _Mask:
    """Tell for each piece whether all rows of it satisfy `node` in every engine, whatever the other columns hold.

    Parameters are those of `may_match`.
    """
    true, false, null = _possible(node, constants, _count(constants))
    return true & ~false & ~null


def _count(constants: Mapping[str, Sequence[object]]) -> int:
    lengths = {len(values) for values in constants.values()}
    if len(lengths) != 1:
        raise ValueError(f"constants must have one value per piece each; lengths: {sorted(lengths)}")
    return lengths.pop()


def resolve_path_literals(node: Node, spell: Mapping[str, str]) -> Node:
    """Return `node` with files written in another way replaced by their ``_nwb_path``.

    Only constants that are compared with the column ``_nwb_path`` by ``==``, ``!=`` or ``isin`` are
    replaced, so that the same predicate prunes pieces and selects rows. URLs lose user and query
    string, which no ``_nwb_path`` has.

    Parameters
    ----------
    node : Node
        The predicate.
    spell : mapping of str to str
        From the file as the user typed it to its ``_nwb_path``.
    """

    def replace(leaf: Node) -> Node:
        if isinstance(leaf, Call) and leaf.op in {"eq", "ne", "isin"} and Column(NWB_PATH) in leaf.args:
            args = tuple(_spelled(arg, spell) for arg in leaf.args)
            return leaf if args == leaf.args else Call(leaf.op, args, leaf.options)
        return leaf

    return replace_nodes(node, replace)


def _spelled(node: Node, spell: Mapping[str, str]) -> Node:
    if not isinstance(node, Literal):
        return node
    if isinstance(node.value, tuple):
        return Literal(tuple(_name(value, spell) if isinstance(value, str) else value for value in node.value))
    return Literal(_name(node.value, spell)) if isinstance(node.value, str) else node


def _name(file: str, spell: Mapping[str, str]) -> str:
    bare = display_url(file)
    return spell.get(file, spell.get(bare, bare))


def _possible(node: Node, constants: Mapping[str, Sequence[object]], count: int) -> tuple[_Mask, _Mask, _Mask]:
    """Whether `node` may be true, may be false and may be null in some row, for each piece.

    All three may be claimed of a piece and none be met. Logic is that of Kleene in all engines.
    """
    if not (isinstance(node, Call) and node.op in {"and", "or", "xor", "not"}):
        return _possible_leaf(node, constants, count)
    true, false, null = _possible(node.args[0], constants, count)
    if node.op == "not":
        return false, true, null
    for arg in node.args[1:]:
        t, f, n = _possible(arg, constants, count)
        if node.op == "and":
            true, false, null = true & t, false | f, (null & (t | n)) | (true & n)
        elif node.op == "or":
            true, false, null = true | t, false & f, (null & (f | n)) | (false & n)
        else:
            true, false, null = (true & f) | (false & t), (true & t) | (false & f), null | n
    return true, false, null


def _possible_leaf(node: Node, constants: Mapping[str, Sequence[object]], count: int) -> tuple[_Mask, _Mask, _Mask]:
    names = tuple(sorted(columns_of(node)))
    if not all(name in constants for name in names):
        return np.ones(count, np.bool_), np.ones(count, np.bool_), np.ones(count, np.bool_)
    numbers: dict[tuple[tuple[object, ...], tuple[type, ...]], int] = {}
    rows = list(zip(*(constants[name] for name in names), strict=True)) if names else [()] * count
    # Types belong to the key: 1, 1.0 and True are equal, and not compared alike.
    keys = ((row, tuple(map(type, row))) for row in rows)
    codes = np.fromiter((numbers.setdefault(key, len(numbers)) for key in keys), np.intp, count)
    answers = [_value(node, dict(zip(names, row, strict=True))) for row, _ in numbers]
    kinds = np.array([_OUTCOMES.get(answer, _OUTCOMES[_UNKNOWN]) for answer in answers], np.bool_).reshape(-1, 3)
    true, false, null = kinds[codes].T
    return true, false, null


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
