"""Predicates evaluated by pandas: the very operations that the user's expression consists of."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from nwb_dask.adapters.pandas_frame.convert import to_pandas
from nwb_dask.adapters.ragged_dtype import flat_array
from nwb_dask.errors import PredicateError
from nwb_dask.model.field import Field
from nwb_dask.plan.operations import OPERATIONS
from nwb_dask.plan.predicate import Call, Column, Literal, Node, all_of, columns_of, conjuncts, describe

_OPERATORS: Mapping[str, Callable[..., object]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "pow": operator.pow,
    "neg": operator.neg,
    "pos": operator.pos,
}

_TEXT_COMPARISONS: Mapping[str, str] = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
"""Names in `pyarrow.compute`."""


def mask(node: Node, table: pa.Table, fields: tuple[Field, ...]) -> npt.NDArray[np.bool_]:
    """Tell which rows of an Arrow table satisfy `node`, as pandas would for the frame made of it.

    Parameters
    ----------
    node : Node
        The predicate.
    table : pyarrow.Table
        Has at least the columns that `node` names, and as many rows as are asked about.
    fields : tuple of Field
        Fields of these columns, of which the pandas dtypes follow.
    """
    by_name = {field.name: field for field in fields}
    keep, rest = np.ones(table.num_rows, np.bool_), []
    for part in conjuncts(node):
        found = _compare_array(part, table, by_name)
        if found is None:
            rest.append(part)
        else:
            keep &= found
    left = all_of(rest)
    if left is None or not keep.any():
        return keep
    needed = columns_of(left)
    chosen = tuple(field for field in fields if field.name in needed)
    if not chosen:
        return keep & evaluate(left, pd.DataFrame(index=pd.RangeIndex(table.num_rows)))
    frame = to_pandas(table.select([field.name for field in chosen]), chosen)
    keep[keep] = evaluate(left, frame if keep.all() else frame.loc[keep])
    return keep


def _compare_array(node: Node, table: pa.Table, fields: Mapping[str, Field]) -> npt.NDArray[np.bool_] | None:
    """Compare a column with a constant of its own kind; None for any other predicate.

    A comparison of a Series is that of the array in it, at ten times the price for a few hundred rows.
    """
    if not isinstance(node, Call) or OPERATIONS[node.op].kind != "comparison" or len(node.args) != 2:  # noqa: PLR2004  # two sides
        return None
    column = next((arg for arg in node.args if isinstance(arg, Column)), None)
    constant = next((arg for arg in node.args if isinstance(arg, Literal)), None)
    if column is None or constant is None or column.name not in fields or node.op not in _OPERATORS:
        return None
    field = fields[column.name]
    is_text = pa.types.is_string(field.type) and type(constant.value) is str
    is_number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    if not is_text and not (is_number and not field.nullable and type(constant.value) in {int, float}):
        return None
    if is_text:
        return _compare_text(node, table.column(column.name), constant.value, reverse=node.args[0] is constant)
    values = flat_array(table.column(column.name), nullable=field.nullable)
    sides = [values if arg is column else constant.value for arg in node.args]
    with np.errstate(all="ignore"):
        result: Any = _OPERATORS[node.op](*sides)
    found: npt.NDArray[np.bool_] = (
        result if isinstance(result, np.ndarray) else result.to_numpy(dtype=np.bool_, na_value=False)
    )
    return found


def _compare_text(node: Call, values: pa.ChunkedArray, constant: object, *, reverse: bool) -> npt.NDArray[np.bool_]:
    """Compare text with a constant by the Arrow function to which pandas leaves it (`StringDtype("pyarrow")`)."""
    compare = getattr(pc, _TEXT_COMPARISONS[node.op])
    scalar = pa.scalar(constant, values.type)
    found = compare(scalar, values) if reverse else compare(values, scalar)
    result: npt.NDArray[np.bool_] = (found.fill_null(fill_value=False) if found.null_count else found).to_numpy()
    return result


def evaluate(node: Node, frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Tell which rows of `frame` satisfy `node`; a row where it is NA does not.

    Conditions joined by ``and`` are evaluated one after the other, each on the rows that are left, as
    ``frame[first][second]`` would: the second may not be possible for the others (``astype``).

    Raises
    ------
    PredicateError
        If pandas cannot evaluate it for these dtypes, or it is not true or false in each row.
    """
    keep = np.ones(len(frame), np.bool_)
    for part in conjuncts(node):
        if not keep.any():
            # pandas gives no rows other dtypes than some rows in places.
            break
        rows = frame if keep.all() else frame.loc[keep]
        keep[keep] = _truth(part, rows)
    return keep


def _truth(node: Node, frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    try:
        # A constant beyond the column's float type is compared as infinity: right, and no news to the user.
        with np.errstate(all="ignore"):
            result = _value(node, frame)
    except TypeError as error:
        raise PredicateError(f"pandas cannot evaluate {describe(node)}: {error}") from error
    if isinstance(result, bool | np.bool_):
        return np.full(len(frame), bool(result))
    if isinstance(result, pd.Series) and pd.api.types.is_bool_dtype(result.dtype):
        return result.to_numpy(dtype=np.bool_, na_value=False)
    if isinstance(result, pd.Series) and result.dtype == np.dtype(object):
        # Operations on an object column give booleans and NA as objects.
        present = result[result.notna()]
        if present.map(lambda value: isinstance(value, bool | np.bool_)).all():
            return (result.notna() & (result == True)).to_numpy(dtype=np.bool_)  # noqa: E712  # objects, not booleans
    raise PredicateError(f"the filter {describe(node)} is not true or false in each row")


def _value(node: Node, frame: pd.DataFrame) -> object:
    if isinstance(node, Column):
        return frame[node.name]
    if isinstance(node, Literal):
        return list(node.value) if isinstance(node.value, tuple) else node.value
    args = [_value(arg, frame) for arg in node.args]
    if OPERATIONS[node.op].kind == "logic":
        args = [_boolean(arg) for arg in args]
    if node.op == "not":
        return _invert(args[0])
    if node.op in _OPERATORS:
        return reduce(_OPERATORS[node.op], args[1:], args[0]) if len(args) > 1 else _OPERATORS[node.op](args[0])
    return _method(node, _series(args[0], frame), args[1:])


def _boolean(value: object) -> object:
    # Comparing text gives bool[pyarrow]. pandas 3.1 raises "boolean value of NA is ambiguous" for `boolean` combined
    # with it, but not the other way round; both have the same three-valued logic.
    if isinstance(value, pd.Series) and isinstance(value.dtype, pd.ArrowDtype):
        return value.astype("boolean")
    return value


def _invert(value: object) -> object:
    # Python inverts its own True to -2.
    invert: Callable[..., object] = operator.not_ if isinstance(value, bool | np.bool_) else operator.invert
    return invert(value)


def _method(node: Call, series: pd.Series, args: list[object]) -> object:
    owner: object = series
    *accessor, name = node.op.split(".")
    if accessor:
        owner = series.str
    if OPERATIONS[node.op].kind == "text" and args and isinstance(args[0], list):
        args = [tuple(args[0]), *args[1:]]
    method: Callable[..., object] = getattr(owner, name)
    return method(*args, **dict(node.options))


def _series(value: object, frame: pd.DataFrame) -> pd.Series:
    """Return the value as a column, where it is the same constant in every row."""
    if isinstance(value, pd.Series):
        return value
    dtype = pd.StringDtype("pyarrow") if isinstance(value, str) else None
    return pd.Series(value, index=frame.index, dtype=dtype)
