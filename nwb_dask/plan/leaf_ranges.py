"""What a condition on one column says of pieces of which the ranges of its values are known. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nwb_dask.plan.leaf import outcome_of
from nwb_dask.plan.predicate import Call, Column, Literal, Node, columns_of
from nwb_dask.plan.ranges import Mask, Range, Ranges, constant

Answer: TypeAlias = tuple[Mask, Mask, Mask]
"""Whether a condition may be true, false and null in some row of each piece."""
Pair: TypeAlias = tuple[Mask, Mask]
"""Whether it may be true, and whether it may be false, of some value of each range."""
_Outcome: TypeAlias = tuple[bool, bool, bool]

_ANY, _TRUE, _FALSE = (True, True, True), (True, False, False), (False, True, False)
_NOT_TRUE, _NOT_FALSE = (False, True, True), (True, False, True)
_FLIPPED: Mapping[str, str] = MappingProxyType({"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"})


def answer_of(node: Node, ranges: Ranges, *, is_ordered: bool) -> Answer | None:
    """Return whether a condition may be true, false and null in some row of each piece.

    Parameters
    ----------
    node : Node
        Names one column, and is none of ``and``, ``or``, ``xor`` and ``not``.
    ranges : Ranges
        The values of that column.
    is_ordered : bool
        Whether the engines order its values as Python does.

    Returns
    -------
    three ndarray of bool, shape (n_pieces,), or None
        None if nothing is known.
    """
    if isinstance(node, Column):
        return _flag(ranges)
    if isinstance(node, Literal):
        return None
    if node.op in {"isna", "notna"} and isinstance(node.args[0], Column):
        return _absence(node.op, ranges)
    compared = _compared(node)
    if compared is not None:
        return _comparison(*compared, ranges, is_ordered=is_ordered)
    if isinstance(node.args[0], Column):
        if node.op == "between":
            return _between(node, ranges) if is_ordered else None
        if node.op == "isin":
            return _membership(node.args[1], ranges)
        if node.op in {"str.startswith", "str.endswith"} and ranges.kind == "text":
            return _prefix(node, ranges) if node.op == "str.startswith" else _suffix(node, ranges)
    return _each_text(node, ranges) if ranges.kind == "text" else None


def _flag(ranges: Ranges) -> Answer | None:
    """A column of true and false by itself."""
    if ranges.kind != "bool":
        return None
    zero, one = Range(0.0, 0.0), Range(1.0, 1.0)
    return _together(ranges, (ranges.is_above(one, equal=True), ranges.is_below(zero, equal=True)), null=_NOT_TRUE)


def _absence(op: str, ranges: Ranges) -> Answer:
    # NaN is absent to pandas, and a value to Arrow and polars.
    none, all_ = np.zeros(len(ranges.owner), np.bool_), np.ones(len(ranges.owner), np.bool_)
    true, false, null = _together(ranges, (none, all_), null=_TRUE, nan=(True, True, False))
    return (true, false, null) if op == "isna" else (false, true, null)


def _compared(node: Call) -> tuple[str, object] | None:
    """Return operation and constant of a comparison of a column with one."""
    if node.op not in _FLIPPED:
        return None
    left, right = node.args
    if isinstance(left, Column) and isinstance(right, Literal):
        return node.op, right.value
    if isinstance(left, Literal) and isinstance(right, Column):
        return _FLIPPED[node.op], left.value
    return None


def _comparison(op: str, value: object, ranges: Ranges, *, is_ordered: bool) -> Answer | None:
    bound = constant(value, ranges.kind)
    if bound is None or not (is_ordered or op in {"eq", "ne"}):
        return None
    if op == "ne":
        true, false = _ordered("eq", bound, ranges)
        return _together(ranges, (false, true), null=_NOT_FALSE, nan=_NOT_FALSE)
    # To polars, NaN is greater than all numbers.
    nan = _ANY if op in {"gt", "ge"} else _NOT_TRUE
    return _together(ranges, _ordered(op, bound, ranges), null=_NOT_TRUE, nan=nan)


def _ordered(op: str, bound: Range, ranges: Ranges) -> Pair:
    """Compare each range with a constant."""
    if op in {"lt", "le"}:
        return ranges.is_below(bound, equal=op == "le"), ranges.is_above(bound, equal=op == "lt")
    if op in {"gt", "ge"}:
        return ranges.is_above(bound, equal=op == "ge"), ranges.is_below(bound, equal=op == "gt")
    true = ranges.is_below(bound, equal=True) & ranges.is_above(bound, equal=True)
    return true, ~(true & ranges.is_point) | (bound.low != bound.high)


def _between(node: Call, ranges: Ranges) -> Answer | None:
    ends = [constant(arg.value, ranges.kind) if isinstance(arg, Literal) else None for arg in node.args[1:]]
    if ends[0] is None or ends[1] is None:
        return None
    inclusive = node.option("inclusive", "both")
    above = _ordered("ge" if inclusive in {"both", "left"} else "gt", ends[0], ranges)
    below = _ordered("le" if inclusive in {"both", "right"} else "lt", ends[1], ranges)
    return _together(ranges, (above[0] & below[0], above[1] | below[1]), null=_NOT_TRUE, nan=_NOT_TRUE)


def _membership(literal: Node, ranges: Ranges) -> Answer | None:
    values = literal.value if isinstance(literal, Literal) and isinstance(literal.value, tuple) else ()
    absent = [value is None or (isinstance(value, float | np.floating) and math.isnan(value)) for value in values]
    members = [constant(value, ranges.kind) for value, is_absent in zip(values, absent, strict=True) if not is_absent]
    found = [one for one in members if one is not None]
    if len(found) < len(members):
        return None
    missing = _ANY if any(absent) else _NOT_TRUE
    return _together(ranges, _among(found, ranges), null=missing, nan=missing)


def _among(members: list[Range], ranges: Ranges) -> Pair:
    if isinstance(ranges.low, pa.Array):
        return _among_texts([one.low for one in members], ranges)
    lows, highs = (np.sort(np.array([getattr(one, end) for one in members], np.float64)) for end in ("low", "high"))
    true, near = _nearest(highs, ranges.low)
    exact = np.zeros(len(true), np.bool_)
    # To pandas' Arrow dtypes, 0.0 and -0.0 are different members.
    exact[true] = (lows[near] == highs[near]) & (lows[near] != 0)
    true[true] = lows[near] <= ranges.high[true]
    return true, ~(true & exact & ranges.is_point)


def _among_texts(members: list[object], ranges: Ranges) -> Pair:
    is_point = ranges.is_point
    true = _mask(pc.is_in(ranges.low, pa.array(members, pa.array(ranges.low).type)))
    false = ~(true & is_point)
    wide = np.flatnonzero(~is_point)
    bounds = (pa.array(one).take(pa.array(wide)) for one in (ranges.low, ranges.high))
    lows, highs = (one.to_numpy(zero_copy_only=False) for one in bounds)
    ordered = np.sort(np.array(members, object))
    found, near = _nearest(ordered, lows)
    found[found] = ordered[near] <= highs[found]
    true[wide] = found
    return true, false


def _nearest(members: npt.NDArray[Any], lows: npt.NDArray[Any]) -> tuple[Mask, npt.NDArray[np.intp]]:
    """Tell of which ranges some member is not below the start; and where, of those, the first of them is."""
    first = np.searchsorted(members, lows)
    found = first < len(members)
    return found, first[found]


def _prefix(node: Call, ranges: Ranges) -> Answer:
    pattern = node.args[1].value if isinstance(node.args[1], Literal) else ()
    patterns = pattern if isinstance(pattern, tuple) else (str(pattern),)
    true, false = np.zeros(len(ranges.owner), np.bool_), np.ones(len(ranges.owner), np.bool_)
    for one in patterns:
        start = _start(ranges.low, len(one))
        last = _start(ranges.high, len(one))
        true |= _mask(pc.and_(pc.less_equal(start, one), pc.greater_equal(ranges.high, one)))
        false &= ~_mask(pc.and_(pc.equal(start, one), pc.equal(last, one)))
    return _together(ranges, (true, false), null=_missing_text(node))


def _suffix(node: Call, ranges: Ranges) -> Answer:
    pattern = node.args[1].value if isinstance(node.args[1], Literal) else ()
    found = np.zeros(len(ranges.owner), np.bool_)
    for one in pattern if isinstance(pattern, tuple) else (str(pattern),):
        found |= _mask(pc.ends_with(ranges.low, one))
    is_point = ranges.is_point
    return _together(ranges, (found | ~is_point, ~found | ~is_point), null=_missing_text(node))


def _start(values: pa.Array, n_characters: int) -> pa.Array:
    return pc.utf8_slice_codeunits(values, 0, n_characters)


def _missing_text(node: Call) -> _Outcome:
    return _NOT_TRUE if node.option("na") is None else _ANY


def _each_text(node: Call, ranges: Ranges) -> Answer:
    """Look at each distinct value once."""
    is_point = ranges.is_point
    encoded = pa.array(ranges.low).filter(pa.array(is_point)).dictionary_encode()
    (name,) = columns_of(node)
    outcomes = [outcome_of(node, {name: value}) for value in encoded.dictionary.to_pylist()]
    found = np.ones((len(is_point), 3), np.bool_)
    found[is_point] = np.array(outcomes, np.bool_).reshape(-1, 3)[encoded.indices.to_numpy()]
    is_plain = node.op.startswith("str.") and isinstance(node.args[0], Column)
    true, false, null = found.T
    return _together(ranges, (true, false), null=_missing_text(node) if is_plain else _ANY, null_of_values=null)


def _mask(values: pa.Array) -> Mask:
    found: Mask = pc.fill_null(values, fill_value=True).to_numpy(zero_copy_only=False)
    return found


def _together(
    ranges: Ranges, found: Pair, *, null: _Outcome, nan: _Outcome = _FALSE, null_of_values: Mask | None = None
) -> Answer:
    """Return what is true of pieces, from what is true of their ranges, of null and of NaN."""
    never = np.zeros(len(ranges.owner), np.bool_) if null_of_values is None else null_of_values
    answers = []
    for one, of_null, of_nan in zip((*found, never), null, nan, strict=True):
        pieces = ranges.pieces(one)
        if of_null:
            pieces |= ranges.may_be_null
        if of_nan:
            pieces |= ranges.may_be_nan
        answers.append(pieces)
    return answers[0], answers[1], answers[2]
