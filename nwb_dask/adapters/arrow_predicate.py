"""Predicates evaluated by Arrow's compute functions, for ``engine="arrow"``.

Null is absence: a comparison with it is neither true nor false, ``not`` of that is still neither, and the
row is not selected. NaN is a value: ``isna`` does not find it, and no ordering comparison with it holds.
"""

from __future__ import annotations

import decimal
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nwb_dask.errors import PredicateError
from nwb_dask.model.field import Field
from nwb_dask.plan.operations import BOOLEAN_DTYPES, NUMERIC_DTYPES
from nwb_dask.plan.predicate import Call, Column, Literal, Node, columns_of, describe

_Value: TypeAlias = pa.Array | pa.ChunkedArray | pa.Scalar
# Holds every 64-bit integer, signed or not; Arrow has no integer type that does.
_WIDE = pa.decimal128(38, 0)
_COMPARE = {
    "eq": pc.equal, "ne": pc.not_equal, "lt": pc.less, "le": pc.less_equal, "gt": pc.greater, "ge": pc.greater_equal,
}  # fmt: skip
_LOGIC = {"and": pc.and_kleene, "or": pc.or_kleene, "xor": pc.xor}
_ARITHMETIC = {"add": pc.add, "sub": pc.subtract, "mul": pc.multiply, "truediv": pc.divide, "pow": pc.power}
_UNARY = {"not": pc.invert, "neg": pc.negate, "abs": pc.abs, "isna": pc.is_null, "notna": pc.is_valid}
_TEXT = {"str.lower": pc.utf8_lower, "str.upper": pc.utf8_upper, "str.len": pc.utf8_length}
_STRIP = {
    "str.strip": (pc.utf8_trim_whitespace, pc.utf8_trim),
    "str.lstrip": (pc.utf8_ltrim_whitespace, pc.utf8_ltrim),
    "str.rstrip": (pc.utf8_rtrim_whitespace, pc.utf8_rtrim),
}


def mask(node: Node, table: pa.Table, fields: tuple[Field, ...]) -> npt.NDArray[np.bool_]:
    """Tell which rows of an Arrow table satisfy `node`; a row where it is null does not.

    Parameters
    ----------
    node : Node
        The predicate.
    table : pyarrow.Table
        Has at least the columns that `node` names, and as many rows as are asked about.
    fields : tuple of Field
        Fields of these columns.

    Raises
    ------
    PredicateError
        If Arrow has no such operation, or not for these types.
    """
    missing = columns_of(node) - ({field.name for field in fields} & set(table.column_names))
    if missing:
        raise PredicateError(f"the table lacks columns of the filter: {', '.join(sorted(missing))}")
    try:
        result = _value(node, table)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, OverflowError) as error:
        raise PredicateError(f"Arrow cannot evaluate {describe(node)}: {error}") from error
    if isinstance(result, pa.Scalar):
        return np.full(table.num_rows, result.as_py() is True)
    if pa.types.is_null(result.type):
        return np.zeros(table.num_rows, np.bool_)
    if not pa.types.is_boolean(result.type):
        raise PredicateError(f"the filter {describe(node)} is {result.type}, not true or false in each row")
    selected: npt.NDArray[np.bool_] = np.asarray(pc.fill_null(result, fill_value=False), np.bool_)
    return selected


def _value(node: Node, table: pa.Table) -> _Value:
    if isinstance(node, Column):
        return _plain(table.column(node.name))
    if isinstance(node, Literal):
        return _scalar(node.value)
    if node.op in _COMPARE or node.op in _ARITHMETIC:
        return _binary(node, table)
    if node.op in _LOGIC:
        return reduce(_LOGIC[node.op], (_boolean(_value(arg, table)) for arg in node.args))
    if node.op == "between":
        return _between(node, table)
    value = _value(node.args[0], table)
    if node.op == "not":
        value = _boolean(value)
    if node.op in _UNARY:
        return _UNARY[node.op](value)
    if node.op in _CONVERSIONS:
        return _CONVERSIONS[node.op](node, value)
    if node.op.startswith("str."):
        return _text(node, value)
    raise PredicateError(f"Arrow has no operation for {describe(node)}; use engine='pandas' or 'polars'")


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the column in a type that Arrow's functions accept."""
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column.cast(pa.float32()) if pa.types.is_float16(column.type) else column


def _scalar(value: object) -> pa.Scalar:
    if type(value) is int and not -(2**63) <= value < 2**63:
        return pa.scalar(decimal.Decimal(value), _WIDE)
    return pa.scalar(float(value), pa.float32()) if isinstance(value, np.float16) else pa.scalar(value)


def _boolean(value: _Value) -> _Value:
    return value.cast(pa.bool_()) if pa.types.is_null(value.type) else value


def _binary(node: Call, table: pa.Table) -> _Value:
    left, right = _value(node.args[0], table), _value(node.args[1], table)
    if node.op == "add" and pa.types.is_string(left.type):
        return pc.binary_join_element_wise(left, right, "")
    left, right = _common(left, right, weak=tuple(isinstance(arg, Literal) for arg in node.args))
    if node.op in _COMPARE:
        return _COMPARE[node.op](left, right)
    if pa.types.is_decimal(left.type):
        raise PredicateError(f"{describe(node)} mixes signed and unsigned 64-bit integers")
    if node.op == "truediv":
        left, right = _floating(left), _floating(right)
    return _ARITHMETIC[node.op](left, right)


def _between(node: Call, table: pa.Table) -> _Value:
    inclusive = node.option("inclusive", "both")
    above = Call("ge" if inclusive in {"both", "left"} else "gt", (node.args[0], node.args[1]))
    below = Call("le" if inclusive in {"both", "right"} else "lt", (node.args[0], node.args[2]))
    return _value(Call("and", (above, below)), table)


def _common(left: _Value, right: _Value, *, weak: tuple[bool, ...]) -> tuple[_Value, _Value]:
    """Return both in the type in which they are compared, without Arrow's refusal of large integers.

    A plain number takes the type of the column, as in numpy; columns of different types meet in float64,
    or, if both are integers, in a type that holds both.
    """
    kinds = (left.type, right.type)
    if left.type == right.type or any(pa.types.is_null(kind) for kind in kinds) or not all(map(_is_number, kinds)):
        return left, right
    if weak == (False, True):
        right = _fit(right, left.type)
    elif weak == (True, False):
        left = _fit(left, right.type)
    if left.type == right.type:
        return left, right
    kinds = (left.type, right.type)
    if any(map(pa.types.is_floating, kinds)):
        target = pa.float64()
    else:
        unsafe = pa.uint64() in kinds or any(map(pa.types.is_decimal, kinds))
        target = _WIDE if unsafe else pa.int64()
    return _cast(left, target), _cast(right, target)


def _fit(scalar: pa.Scalar, target: pa.DataType) -> pa.Scalar:
    """Return a plain number in the column's type if it has that value there."""
    number = scalar.as_py()
    # The types of Python's own numbers yield to the column; a float32 or an int8 was chosen on purpose.
    if number is None or scalar.type not in {pa.int64(), pa.float64(), pa.bool_()} | {_WIDE}:
        return scalar
    if pa.types.is_floating(target):
        limit = float(np.finfo(target.to_pandas_dtype()).max)
        return scalar if limit < abs(number) < float("inf") else pa.scalar(float(number), target)
    if pa.types.is_integer(target) and not isinstance(number, float):
        info = np.iinfo(target.to_pandas_dtype())
        return pa.scalar(int(number), target) if info.min <= number <= info.max else scalar
    return scalar


def _is_number(kind: pa.DataType) -> bool:
    tests: Sequence[Callable[[pa.DataType], bool]] = (
        pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal,
    )  # fmt: skip
    return any(test(kind) for test in tests)


def _cast(value: _Value, target: pa.DataType) -> _Value:
    if pa.types.is_boolean(value.type) and pa.types.is_decimal(target):
        value = pc.cast(value, pa.int64())
    return pc.cast(value, target, safe=False)


def _floating(value: _Value) -> _Value:
    return value if pa.types.is_floating(value.type) else _cast(value, pa.float64())


def _is_in(node: Call, value: _Value) -> _Value:
    members = node.args[1].value if isinstance(node.args[1], Literal) else ()
    if pa.types.is_string(value.type) and isinstance(members, tuple):
        return pc.is_in(value, value_set=pa.array(members, value.type))
    scalars = [_scalar(member) for member in (members if isinstance(members, tuple) else ())]
    answers = []
    for scalar in scalars:
        if not scalar.is_valid:
            answers.append(pc.is_null(value))
            continue
        left, right = _common(value, scalar, weak=(False, True))
        answers.append(pc.fill_null(_equal_or_both_nan(left, right), fill_value=False))
    if not answers:
        return pc.and_(pc.is_null(value), pc.is_valid(value))
    return reduce(pc.or_, answers)


def _equal_or_both_nan(left: _Value, right: pa.Scalar) -> _Value:
    """Compare as `pyarrow.compute.is_in` does, for which NaN is a member like others."""
    if pa.types.is_floating(right.type) and math.isnan(right.as_py()):
        return pc.is_nan(left)
    return pc.equal(left, right)


def _fill_null(node: Call, value: _Value) -> _Value:
    fill = _value(node.args[1], pa.table({}))
    value, fill = _common(value, fill, weak=(False, True))
    return pc.coalesce(value, fill)


def _round(node: Call, value: _Value) -> _Value:
    decimals = node.option("decimals", 0)
    return pc.round(value, ndigits=decimals, round_mode="half_to_even")


def _clip(node: Call, value: _Value) -> _Value:
    for arg, function in zip(node.args[1:], (pc.max_element_wise, pc.min_element_wise), strict=True):
        if isinstance(arg, Literal) and arg.value is not None:
            left, right = _common(value, _scalar(arg.value), weak=(False, True))
            value = pc.if_else(pc.is_valid(left), function(left, right, skip_nulls=False), left)
    return value


def _as_type(node: Call, value: _Value) -> _Value:
    dtype = str(node.option("dtype"))
    if dtype in BOOLEAN_DTYPES:
        return pc.cast(value, pa.bool_())
    if dtype in NUMERIC_DTYPES and dtype != "float16":
        target = pa.from_numpy_dtype(np.dtype(dtype.lower()))
        if pa.types.is_floating(target):
            return _cast(value, target)
        # Fractions are cut off as in numpy; what no integer can hold, such as NaN, is an error and not a number.
        return pc.cast(pc.trunc(value) if pa.types.is_floating(value.type) else value, target)
    raise PredicateError(f"Arrow has no operation for {describe(node)}; use engine='pandas' or 'polars'")


_CONVERSIONS: Mapping[str, Callable[[Call, _Value], _Value]] = {
    "isin": _is_in,
    "fillna": _fill_null,
    "round": _round,
    "clip": _clip,
    "astype": _as_type,
    "pos": lambda _, value: value,
}


def _text(node: Call, value: _Value) -> _Value:
    if node.op in _TEXT:
        return _TEXT[node.op](value)
    if node.op in _STRIP:
        characters = node.option("to_strip")
        plain, given = _STRIP[node.op]
        return plain(value) if characters is None else given(value, characters)
    pattern = node.args[1].value if isinstance(node.args[1], Literal) else None
    patterns = pattern if isinstance(pattern, tuple) else (pattern,)
    nothing = pc.not_equal(value, value)
    found = reduce(pc.or_, (_match(node, value, str(part)) for part in patterns), nothing)
    na = node.option("na")
    return found if na is None else pc.fill_null(found, fill_value=na)


def _match(node: Call, value: _Value, pattern: str) -> _Value:
    if node.op == "str.startswith":
        return pc.starts_with(value, pattern)
    if node.op == "str.endswith":
        return pc.ends_with(value, pattern)
    flags = node.option("flags", 0)
    ignore_case = node.option("case") is False or flags == re.IGNORECASE
    if flags not in {0, re.IGNORECASE}:
        raise PredicateError(f"Arrow has no such flags: {describe(node)}")
    if node.op == "str.contains" and node.option("regex") is False:
        return pc.match_substring(value, pattern, ignore_case=ignore_case)
    pattern = {"str.match": f"^(?:{pattern})", "str.fullmatch": f"^(?:{pattern})$"}.get(node.op, pattern)
    return pc.match_substring_regex(value, pattern, ignore_case=ignore_case)
