"""From dask's expressions to the predicate algebra: what a filter asks of each row, or that it cannot be said.

Only what the algebra says exactly is translated. Translated predicates are evaluated by the operations of pandas that
dask itself would have called, on the same dtypes; nothing is reinterpreted here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np
import pandas as pd

from nwb_dask.adapters.dask_frame import _compat as dx
from nwb_dask.errors import PredicateError
from nwb_dask.plan.operations import OPERATIONS
from nwb_dask.plan.predicate import Call, Column, Literal, Node, columns_of

ColumnOf: TypeAlias = Callable[[dx.Expr], str | None]
"""Gives the name of the source's column that an expression is; None if it is anything else."""

MAX_MEMBERS = 10_000
"""Values of an ``isin`` beyond which it stays with dask: they would travel in every task."""

_BINARY: Mapping[type, str] = {
    dx.EQ: "eq", dx.NE: "ne", dx.LT: "lt", dx.LE: "le", dx.GT: "gt", dx.GE: "ge",
    dx.EQSeries: "eq", dx.NESeries: "ne", dx.LTSeries: "lt", dx.LESeries: "le", dx.GTSeries: "gt", dx.GESeries: "ge",
    dx.And: "and", dx.Or: "or", dx.XOr: "xor",
    dx.Add: "add", dx.Sub: "sub", dx.Mul: "mul", dx.Div: "truediv",
    dx.FloorDiv: "floordiv", dx.Mod: "mod", dx.Pow: "pow",
}  # fmt: skip
_UNARY: Mapping[type, str] = {
    dx.Invert: "not", dx.Neg: "neg", dx.Pos: "pos", dx.Abs: "abs", dx.IsNa: "isna", dx.NotNull: "notna",
}  # fmt: skip
_METHODS: Mapping[str, str] = {"div": "truediv"} | {
    name: name for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")
}
_TEXT_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "lower": (),
    "upper": (),
    "len": (),
    "strip": ("to_strip",),
    "lstrip": ("to_strip",),
    "rstrip": ("to_strip",),
    "startswith": ("pat", "na"),
    "endswith": ("pat", "na"),
    "contains": ("pat", "case", "flags", "na", "regex"),
    "match": ("pat", "case", "flags", "na"),
    "fullmatch": ("pat", "case", "flags", "na"),
}
"""Parameters of the methods of ``Series.str``, in the order of pandas."""

_ROW_WISE: tuple[Any, ...] = (
    dx.Binop, dx.Unaryop, dx.Isin, dx.Between, dx.IsNa, dx.NotNull, dx.Abs, dx.Round, dx.Clip, dx.Fillna, dx.AsType,
    dx.FunctionMap, dx.PropertyMap, dx.Projection,
)  # fmt: skip
_ROW_WISE_ACCESSORS = frozenset({"str", "dt", "nwb"})
_FUNCTIONS: tuple[Any, ...] = (dx.Map, dx.Apply)
"""Row-wise too, but the function is the user's, and pandas makes up the dtype where there are no rows to call it on."""


class Condition(dx.Elemwise):
    """The predicate of a filter, as it is.

    Some operations of dask that end a predicate (``.astype(bool)``) take the filter over them for one of their own
    rows, and rewrite it into ``predicate[predicate]``; between them and the filter this stands.
    """

    _parameters: ClassVar[list[str]] = ["frame"]

    @staticmethod
    def operation(predicate: Any) -> Any:  # noqa: ANN401  # a boolean Series
        """Return the predicate."""
        return predicate


class _UntranslatableError(Exception):
    """The expression says something that the algebra has no words for."""


def translate(expr: dx.Expr, column_of: ColumnOf) -> Node | None:
    """Return `expr` as a predicate over the columns of a source, or None if it cannot be said exactly.

    Parameters
    ----------
    expr : Expr
        A boolean Series, as in ``frame[expr]``.
    column_of : callable
        Recognises the columns of the source.
    """
    try:
        node = _node(expr, column_of)
    # Literals and calls refuse what they cannot hold: such a filter stays with dask.
    except (_UntranslatableError, PredicateError):
        return None
    return node if columns_of(node) else None


def conjuncts(expr: dx.Expr) -> Iterator[dx.Expr]:
    """Yield the conditions that ``&`` joins; ``&`` of integers, which is arithmetic, joins none."""
    if type(expr) is Condition:
        yield from conjuncts(expr.frame)
    elif type(expr) is dx.And and all(_is_condition(side) for side in (expr.left, expr.right)):
        yield from conjuncts(expr.left)
        yield from conjuncts(expr.right)
    else:
        yield expr


def is_row_wise(expr: dx.Expr, column_of: ColumnOf, *, alone: bool) -> bool:
    """Whether the value of `expr` in a row depends on that row alone, and there are no surprises without rows.

    Only then may another condition take rows away before it is evaluated. A user's function is safe if it is `alone`,
    a filter by itself: where no rows are left, that filter is not looked at (`NWBFilter`).
    """
    if alone and isinstance(expr, _FUNCTIONS) and _is_condition(expr):
        inputs = expr.dependencies()
        return len(inputs) == 1 and expr.frame.ndim == 1 and _is_row_wise(expr.frame, column_of)
    return _is_row_wise(expr, column_of)


def _is_row_wise(expr: dx.Expr, column_of: ColumnOf) -> bool:
    if column_of(expr) is not None:
        return True
    if type(expr) is Condition:
        return _is_row_wise(expr.frame, column_of)
    if not isinstance(expr, _ROW_WISE) or (isinstance(expr, dx.Projection) and expr.frame.ndim == 1):
        return False
    if isinstance(expr, dx.FunctionMap | dx.PropertyMap) and expr.accessor not in _ROW_WISE_ACCESSORS:
        return False
    inputs = expr.dependencies()
    if isinstance(expr, dx.Isin):
        inputs = [one for one in inputs if not isinstance(one, dx.DelayedExpr)]
    return all(_is_row_wise(one, column_of) for one in inputs)


def _is_condition(value: Any) -> bool:  # noqa: ANN401  # an operand of dask
    return isinstance(value, dx.Expr) and value.ndim == 1 and pd.api.types.is_bool_dtype(dx.meta_of(value).dtype)


def _node(expr: dx.Expr, column_of: ColumnOf) -> Node:
    name = column_of(expr)
    if name is not None:
        return Column(name)
    kind = type(expr)
    if kind is Condition:
        return _node(expr.frame, column_of)
    if kind in _BINARY:
        if isinstance(expr, dx.BinOpSeries) and (expr.level is not None or expr.fill_value is not None):
            raise _UntranslatableError
        return Call(_BINARY[kind], (_operand(expr.left, column_of), _operand(expr.right, column_of)))
    if kind in _UNARY:
        return Call(_UNARY[kind], (_operand(expr.frame, column_of),))
    translator = _TRANSLATORS.get(kind)
    if translator is None:
        raise _UntranslatableError
    return translator(expr, column_of)


def _operand(value: object, column_of: ColumnOf) -> Node:
    return _node(value, column_of) if isinstance(value, dx.Expr) else Literal(value)


def _between(expr: dx.Expr, column_of: ColumnOf) -> Node:
    args = tuple(_operand(value, column_of) for value in (expr.frame, expr.left, expr.right))
    return Call("between", args, (("inclusive", expr.inclusive),))


def _isin(expr: dx.Expr, column_of: ColumnOf) -> Node:
    return Call("isin", (_operand(expr.frame, column_of), Literal(_members(expr.operand("values")))))


def _members(operand: object) -> tuple[object, ...]:
    values = dx.constant_of(operand)
    if isinstance(values, pd.Series | pd.Index):
        values = values.to_numpy()
    if isinstance(values, np.ndarray):
        if values.ndim != 1 or values.dtype.kind not in "biufUO":
            raise _UntranslatableError
    elif not isinstance(values, list | tuple | set | frozenset | range):
        raise _UntranslatableError
    if len(values) > MAX_MEMBERS:
        raise _UntranslatableError
    # The order has no meaning, and that of a set differs from process to process.
    return tuple(sorted(values, key=lambda value: (type(value).__name__, repr(value))))


def _method_operator(expr: dx.Expr, column_of: ColumnOf) -> Node:
    name = expr.operand("name")
    swapped = name not in _METHODS and name[:1] == "r"
    op = _METHODS.get(name[1:] if swapped else name)
    if op is None or expr.level is not None or expr.fill_value is not None or expr.left.ndim != 1:
        raise _UntranslatableError
    sides = (_operand(expr.left, column_of), _operand(expr.right, column_of))
    return Call(op, sides[::-1] if swapped else sides)


def _text(expr: dx.Expr, column_of: ColumnOf) -> Node:
    if expr.accessor != "str" or expr.attr not in _TEXT_PARAMETERS:
        raise _UntranslatableError
    parameters = _TEXT_PARAMETERS[expr.attr]
    if len(expr.operand("args")) > len(parameters):
        raise _UntranslatableError
    given: dict[str, object] = dict(zip(parameters, expr.operand("args"), strict=False)) | expr.operand("kwargs")
    op = f"str.{expr.attr}"
    args = [_operand(expr.frame, column_of)]
    if OPERATIONS[op].constants:
        args.append(Literal(given.pop("pat", None)))
    return Call(op, tuple(args), tuple(given.items()))


def _round(expr: dx.Expr, column_of: ColumnOf) -> Node:
    return Call("round", (_operand(expr.frame, column_of),), (("decimals", expr.decimals),))


def _clip(expr: dx.Expr, column_of: ColumnOf) -> Node:
    if expr.operand("axis") is not None:
        raise _UntranslatableError
    return Call("clip", tuple(_operand(value, column_of) for value in (expr.frame, expr.lower, expr.upper)))


def _fillna(expr: dx.Expr, column_of: ColumnOf) -> Node:
    return Call("fillna", (_operand(expr.frame, column_of), _operand(expr.operand("value"), column_of)))


def _astype(expr: dx.Expr, column_of: ColumnOf) -> Node:
    dtype = expr.operand("dtypes")
    name = getattr(dtype, "__name__", None) or getattr(dtype, "name", None) or dtype
    return Call("astype", (_operand(expr.frame, column_of),), (("dtype", name),))


_TRANSLATORS: Mapping[type, Callable[[Any, ColumnOf], Node]] = {
    dx.Between: _between,
    dx.Isin: _isin,
    dx.MethodOperator: _method_operator,
    dx.FunctionMap: _text,
    dx.Round: _round,
    dx.Clip: _clip,
    dx.Fillna: _fillna,
    dx.AsType: _astype,
}
