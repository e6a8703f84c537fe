"""From polars' expressions to the predicate algebra: the parts of a filter that can be said in it.

The algebra says which columns a condition needs and which files it leaves out. Which rows satisfy it is asked of the
expression itself, so that there is one meaning of NaN and null: polars' own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from nwb_dask.adapters.polars_frame.convert import to_polars
from nwb_dask.errors import PredicateError
from nwb_dask.model import Field
from nwb_dask.plan.predicate import Call, Column, Literal, Node, all_of, columns_of
from nwb_dask.read import MaskFunction

_BINARY: Mapping[object, str] = {
    "Eq": "eq", "NotEq": "ne", "Lt": "lt", "LtEq": "le", "Gt": "gt", "GtEq": "ge",
    "And": "and", "LogicalAnd": "and", "Or": "or", "LogicalOr": "or", "Xor": "xor",
    "Plus": "add", "Minus": "sub", "Multiply": "mul", "TrueDivide": "truediv",
    "FloorDivide": "floordiv", "Modulus": "mod",
}  # fmt: skip
_FUNCTIONS: Mapping[object, str] = {
    "Negate": "neg", "Abs": "abs", "FillNull": "fillna", ("Pow", "Generic"): "pow",
    ("Boolean", "Not"): "not", ("Boolean", "IsNull"): "isna", ("Boolean", "IsNotNull"): "notna",
    ("Boolean", "IsIn"): "isin", ("Boolean", "IsBetween"): "between",
    ("StringExpr", "LenChars"): "str.len", ("StringExpr", "Lowercase"): "str.lower",
    ("StringExpr", "Uppercase"): "str.upper", ("StringExpr", "StartsWith"): "str.startswith",
    ("StringExpr", "EndsWith"): "str.endswith", ("StringExpr", "Contains"): "str.contains",
    ("StringExpr", "StripChars"): "str.strip", ("StringExpr", "StripCharsStart"): "str.lstrip",
    ("StringExpr", "StripCharsEnd"): "str.rstrip",
}  # fmt: skip
"""Names of functions in polars' serialized expressions -> operations."""
_INFINITY = Literal(float("inf"))
_OF_FLOATS: Mapping[object, Callable[[Node], Node]] = {
    ("Boolean", "IsNan"): lambda value: Call("gt", (value, _INFINITY)),
    ("Boolean", "IsNotNan"): lambda value: Call("le", (value, _INFINITY)),
    ("Boolean", "IsFinite"): lambda value: Call("lt", (Call("abs", (value,)), _INFINITY)),
    ("Boolean", "IsInfinite"): lambda value: Call("eq", (Call("abs", (value,)), _INFINITY)),
}
"""What the algebra has no operation for, and can say: to polars NaN is greater than infinity."""
_CLOSED: Mapping[object, str] = {"Both": "both", "None": "neither", "Left": "left", "Right": "right"}
_STRIPS = frozenset({"str.strip", "str.lstrip", "str.rstrip"})
_NUMBERS = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64")


class _UntranslatableError(Exception):
    """The expression says something that the algebra has no words for."""


def pushed_down(predicate: pl.Expr | None, fields: tuple[Field, ...]) -> tuple[Node | None, MaskFunction]:
    """Return what of `predicate` the read can make use of, and what tells which rows satisfy that.

    A predicate is taken apart where ``&`` joins it. Of a condition that the algebra cannot say, it says the columns. A
    condition is left out if it calls a function of Python, or needs a column that is ragged, n-dimensional or
    unreadable: the caller applies the whole predicate in any case.

    Parameters
    ----------
    predicate : Expr or None
        Row-wise, as polars hands it to a source.
    fields : tuple of Field
        The columns that there are.

    Returns
    -------
    node : Node or None
        Every row that satisfies the predicate satisfies this.
    mask : callable
        Keeps every row that satisfies the predicate.
    """
    light = {field.name for field in fields if not field.heavy and not field.problem}
    pushed: list[tuple[Node, pl.Expr]] = []
    for part in [] if predicate is None else _conjuncts(predicate):
        node = translate(part) or _any_values(part)
        if node is not None and columns_of(node) <= light:
            pushed.append((node, part))
    return all_of(node for node, _ in pushed), _mask_of([part for _, part in pushed])


def translate(expr: pl.Expr) -> Node | None:
    """Return `expr` as a predicate, or None if it cannot be said exactly or names no column."""
    tree = _tree(expr)
    try:
        node = _node(tree, expr)
    # Literals and calls refuse what they cannot hold, and a thousand conditions may be nested too deep. The others
    # say that this polars serializes in another way.
    except (_UntranslatableError, PredicateError, RecursionError, KeyError, TypeError, ValueError):
        return None
    return node if columns_of(node) else None


def _any_values(expr: pl.Expr) -> Node | None:
    """Return what is true of any values of the columns that `expr` needs; None if it is not pure."""
    names = sorted(set(expr.meta.root_names()))
    try:
        text = expr.meta.serialize(format="json")
    except (pl.exceptions.PolarsError, ValueError):
        return None
    # What a function of Python says may differ from one call to the next.
    if not names or "AnonymousFunction" in text:
        return None
    return Call("or", tuple(Call(op, (Column(name),)) for name in names for op in ("isna", "notna")))


def _mask_of(parts: list[pl.Expr]) -> MaskFunction:
    def mask(_: Node, table: pa.Table, fields: tuple[Field, ...]) -> npt.NDArray[np.bool_]:
        frame = to_polars(table, fields)
        try:
            kept = frame.select(pl.all_horizontal(parts).fill_null(value=False).alias("kept")).to_series()
        except pl.exceptions.PolarsError:
            # The same error, or none, comes when the whole predicate is applied.
            return np.ones(table.num_rows, np.bool_)
        found: npt.NDArray[np.bool_] = kept.to_numpy()
        return found

    return mask


def _tree(expr: pl.Expr) -> Any:  # noqa: ANN401  # JSON
    """Return the expression as polars serializes it; None if it cannot be."""
    try:
        return json.loads(expr.meta.serialize(format="json"))
    except (pl.exceptions.PolarsError, RecursionError, ValueError):
        return None


def _conjuncts(expr: pl.Expr) -> list[pl.Expr]:
    """Return the conditions that ``&`` joins, in order."""
    found, left = [], [(_tree(expr), expr)]
    while left:
        tree, one = left.pop()
        body = tree.get("BinaryExpr") if isinstance(tree, dict) else None
        body = body if isinstance(body, dict) else {}
        inputs = one.meta.pop() if body.get("op") in ("And", "LogicalAnd") else []
        if len(inputs) == 2:  # noqa: PLR2004  # two sides
            left += zip((body.get("right"), body.get("left")), inputs, strict=True)
        else:
            found.append(one)
    return found


def _node(tree: Any, expr: pl.Expr) -> Node:  # noqa: ANN401  # JSON
    if not isinstance(tree, dict) or len(tree) != 1:
        raise _UntranslatableError
    [(kind, body)] = tree.items()
    if kind == "Column" and isinstance(body, str):
        return Column(body)
    if kind == "Literal" and isinstance(body, dict):
        return Literal(_constant(body, expr))
    if kind == "BinaryExpr" and body["op"] in _BINARY:
        return Call(_BINARY[body["op"]], _nodes([body["left"], body["right"]], expr))
    if kind == "Alias":
        return _nodes([body[0]], expr)[0]
    if kind == "Cast" and body["options"] == "Strict":
        return Call("astype", _nodes([body["expr"]], expr), (("dtype", _dtype(body["dtype"]["Literal"])),))
    if kind == "Function":
        return _function(body["function"], body["input"], expr)
    raise _UntranslatableError


def _nodes(trees: list[Any], expr: pl.Expr) -> tuple[Node, ...]:
    inputs = expr.meta.pop()[::-1]
    if len(inputs) != len(trees):
        raise _UntranslatableError
    return tuple(_node(tree, one) for tree, one in zip(trees, inputs, strict=True))


def _constant(body: Mapping[str, Any], expr: pl.Expr) -> object:
    """Return the value of a literal; its text in JSON loses NaN and infinities."""
    [(kind, value)] = body.items()
    type_ = next(iter(value), None) if kind in {"Dyn", "Scalar"} and isinstance(value, dict) else kind
    values = pl.select(expr).to_series()
    if kind == "Dyn" or type_ in {"String", "Boolean", "Null"}:
        return values.item()
    if type_ in _NUMBERS:
        return values.to_numpy()[0]
    if _has_moments(values.dtype):
        return values.item()
    if type_ in {"List", "Series"}:
        # SQL writes the members as a series of one list.
        is_list = type_ == "List" or (values.dtype == pl.List and len(values) == 1)
        members = values.explode() if is_list else values
        is_plain = members.dtype.is_numeric() or members.dtype in {pl.String, pl.Boolean, pl.Null}
        if is_plain or _has_moments(members.dtype):
            return tuple(members.to_list())
    raise _UntranslatableError


def _has_moments(dtype: pl.DataType) -> bool:
    """Whether values are points in time that `datetime` holds: with an offset, and no nanoseconds."""
    return isinstance(dtype, pl.Datetime) and dtype.time_zone is not None and dtype.time_unit != "ns"


def _function(function: object, trees: list[Any], expr: pl.Expr) -> Node:
    name, options = _named(function)
    if name in _OF_FLOATS:
        return _OF_FLOATS[name](*_nodes(trees, expr))
    op = _FUNCTIONS.get(name)
    if op is None:
        raise _UntranslatableError
    args = _nodes(trees, expr)
    if op in _STRIPS:
        characters = args[1]
        return Call(op, args[:1], (("to_strip", characters.value if isinstance(characters, Literal) else characters),))
    if op == "between":
        return Call(op, args, (("inclusive", _CLOSED[options["closed"]]),))
    if op == "isin" and options.get("nulls_equal") is not False:
        raise _UntranslatableError
    if op == "str.contains":
        return Call(op, args, (("regex", not options["literal"]),))
    return Call(op, args)


def _dtype(name: object) -> str:
    return {"String": "str", "Boolean": "bool"}.get(str(name), str(name).lower())


def _named(function: object) -> tuple[object, Mapping[str, Any]]:
    """Return the name of a function and its options: ``{"Boolean": {"IsIn": {"nulls_equal": false}}}``."""
    if not isinstance(function, dict):
        return function, {}
    [(family, inner)] = function.items()
    if isinstance(inner, dict) and len(inner) == 1:
        [(name, options)] = inner.items()
        return (family, name), options if isinstance(options, dict) else {}
    return (family, inner) if isinstance(inner, str) else None, {}
