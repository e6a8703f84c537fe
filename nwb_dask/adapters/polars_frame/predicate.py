"""Predicates evaluated by polars: NaN is greater than every number and equal to itself, null is neither."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from functools import reduce

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from polars.selectors import by_name

from nwb_dask.adapters.polars_frame.convert import schema, to_polars
from nwb_dask.errors import PredicateError
from nwb_dask.model import Field
from nwb_dask.plan.operations import BOOLEAN_DTYPES, TEXT_DTYPES
from nwb_dask.plan.predicate import Call, Column, Literal, Node, columns_of, describe

_OPERATORS: Mapping[str, Callable[..., pl.Expr]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
    "not": operator.invert,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "pow": operator.pow,
    "neg": operator.neg,
    "pos": operator.pos,
    "abs": operator.abs,
    "isna": pl.Expr.is_null,
    "notna": pl.Expr.is_not_null,
    "fillna": pl.Expr.fill_null,
    "str.lower": lambda text: text.str.to_lowercase(),
    "str.upper": lambda text: text.str.to_uppercase(),
    "str.len": lambda text: text.str.len_chars(),
}
_CLOSED: Mapping[object, str] = {"both": "both", "neither": "none", "left": "left", "right": "right"}
_STRIP: Mapping[str, Callable[..., pl.Expr]] = {
    "str.strip": lambda text, characters: text.str.strip_chars(characters),
    "str.lstrip": lambda text, characters: text.str.strip_chars_start(characters),
    "str.rstrip": lambda text, characters: text.str.strip_chars_end(characters),
}
_PATTERNS: Mapping[str, str] = {"str.contains": "{}", "str.match": r"\A(?:{})", "str.fullmatch": r"\A(?:{})\z"}
_FLAGS = {re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s", re.VERBOSE: "x"}


def mask(node: Node, table: pa.Table, fields: tuple[Field, ...]) -> npt.NDArray[np.bool_]:
    """Tell which rows of an Arrow table satisfy `node`, as ``DataFrame.filter`` would: null does not.

    Parameters
    ----------
    node : Node
        The predicate.
    table : pyarrow.Table
        Has at least the columns that `node` names, and as many rows as are asked about.
    fields : tuple of Field
        Fields of these columns, of which the polars dtypes follow.

    Raises
    ------
    PredicateError
        If polars cannot evaluate it for these dtypes, or it is not true or false in each row.
    """
    needed = columns_of(node)
    chosen = tuple(field for field in fields if field.name in needed)
    frame = to_polars(table, chosen)
    try:
        result = frame.select(to_expr(node, chosen).alias("kept")).to_series()
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
        raise PredicateError(f"polars cannot evaluate {describe(node)}: {error}") from error
    if result.dtype not in {pl.Boolean, pl.Null}:
        raise PredicateError(f"the filter {describe(node)} is {result.dtype}, not true or false")
    truth = result.cast(pl.Boolean).fill_null(value=False).to_numpy()
    # A predicate of constants alone has one value for all rows.
    return truth if len(truth) == table.num_rows else np.full(table.num_rows, bool(truth[0]), dtype=np.bool_)


def to_expr(node: Node, fields: tuple[Field, ...]) -> pl.Expr:
    """Return `node` as an expression on frames with the schema of `fields`."""
    return _expr(node, pl.DataFrame(schema=schema(fields)))


def _expr(node: Node, empty: pl.DataFrame) -> pl.Expr:
    if isinstance(node, Column):
        # To `col` a star is every column, and what stands between ^ and $ is a pattern.
        is_plain = node.name != "*" and not (node.name.startswith("^") and node.name.endswith("$"))
        return pl.col(node.name) if is_plain else by_name(node.name).as_expr()
    if isinstance(node, Literal):
        return pl.lit(node.value)
    if node.op == "isin":
        return _is_in(node, empty)
    args = [_expr(arg, empty) for arg in node.args]
    if node.op.startswith("str."):
        # polars has no text functions for Enum; the other engines treat categories as text.
        args[0] = args[0].cast(pl.String)
    if node.op in _OPERATORS:
        function = _OPERATORS[node.op]
        return reduce(function, args[1:], args[0]) if len(args) > 1 else function(args[0])
    if node.op.startswith("str."):
        return _text(node, args[0])
    return _with_options(node, args)


def _with_options(node: Call, args: list[pl.Expr]) -> pl.Expr:
    if node.op == "between":
        closed = _CLOSED[node.option("inclusive", "both")]
        return args[0].is_between(args[1], args[2], closed=closed)  # type: ignore[arg-type]  # one of four literals
    if node.op == "round":
        return args[0].round(int(str(node.option("decimals", 0))))
    if node.op == "clip":
        return args[0].clip(*(arg.value if isinstance(arg, Literal) else None for arg in node.args[1:]))  # type: ignore[arg-type]  # a number, or polars says so
    if node.op == "astype":
        return args[0].cast(_dtype(str(node.option("dtype"))))
    raise PredicateError(f"polars has no operation {node.op!r}")


def _dtype(name: str) -> pl.DataType:
    if name in BOOLEAN_DTYPES:
        return pl.Boolean()
    if name in TEXT_DTYPES:
        return pl.String()
    widths = {"int": "Int64", "float": "Float64"}
    kind = widths.get(name, name.replace("uint", "UInt").replace("int", "Int").replace("float", "Float"))
    dtype: pl.DataType = getattr(pl, kind)()
    return dtype


def _text(node: Call, text: pl.Expr) -> pl.Expr:
    if node.op in _STRIP:
        return _STRIP[node.op](text, node.option("to_strip"))
    constant = node.args[1]
    pattern = constant.value if isinstance(constant, Literal) else None
    if isinstance(pattern, tuple):
        found = reduce(operator.or_, [_find(node, text, str(part)) for part in pattern], pl.lit(value=False))
        # No pattern is found in null either.
        found = pl.when(text.is_not_null()).then(found)
    else:
        found = _find(node, text, str(pattern))
    absent = node.option("na")
    return found if absent is None else found.fill_null(pl.lit(absent))


def _find(node: Call, text: pl.Expr, pattern: str) -> pl.Expr:
    if node.op == "str.startswith":
        return text.str.starts_with(pattern)
    if node.op == "str.endswith":
        return text.str.ends_with(pattern)
    flags = int(str(node.option("flags", 0)))
    letters = "".join(letter for flag, letter in _FLAGS.items() if flags & flag)
    if node.option("case") is False and "i" not in letters:
        letters += "i"
    if node.option("regex") is False:
        pattern = re.escape(pattern)
    inline = f"(?{letters})" if letters else ""
    return text.str.contains(inline + _PATTERNS[node.op].format(pattern))


def _is_in(node: Call, empty: pl.DataFrame) -> pl.Expr:
    """Return whether the value equals one of the constants.

    ``is_in`` of polars refuses integers among floats and the reverse; ``==`` does not, and the two mean the same.
    """
    value = _expr(node.args[0], empty)
    constant = node.args[1]
    members = constant.value if isinstance(constant, Literal) and isinstance(constant.value, tuple) else ()
    dtype = empty.select(value).to_series().dtype
    if not dtype.is_numeric():
        return value.is_in(pl.Series(values=members, dtype=None if members else dtype).implode())
    numbers = [number for member in members for number in _as_number(member, dtype)]
    return value.is_in(pl.Series(values=numbers, dtype=dtype).implode())


def _as_number(member: object, dtype: pl.DataType) -> list[int | float]:
    """Return the member as a number of the dtype, or nothing if no such number equals it."""
    if isinstance(member, str | bytes):
        raise PredicateError(f"{member!r} is not a number")
    if member is None:
        return []
    exact = pl.Series([member]).cast(dtype, strict=False)
    if exact.has_nulls():
        return []
    number: int | float = exact.item()
    # A plain Python float takes the width of the column, as it does in a comparison.
    takes_width = type(member) is float and dtype.is_float()
    # NaN equals itself, whatever it is written as.
    return [number] if takes_width or number == member or math.isnan(number) else []
