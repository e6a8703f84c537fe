"""Whether a predicate has a meaning for the columns of a scan."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

import numpy as np
import pyarrow as pa

from nwb_dask.errors import PathNotFoundError, PredicateError
from nwb_dask.model.field import Field
from nwb_dask.plan.operations import BOOLEAN_DTYPES, OPERATIONS, TEXT_DTYPES
from nwb_dask.plan.predicate import Call, Column, Literal, Node, columns_of, describe


class Kind(Enum):
    """What a value can be compared with."""

    BOOL = "true or false"
    NUMBER = "a number"
    TEXT = "text"
    CATEGORY = "a category"
    BYTES = "bytes"
    TIME = "a time"
    NOTHING = "nothing"
    OTHER = "a value without order"


_TEXTUAL = {Kind.TEXT, Kind.CATEGORY}
_NUMERIC = {Kind.BOOL, Kind.NUMBER}
_ORDERINGS = {"lt", "le", "gt", "ge", "between", "clip"}


def check_predicate(node: Node, fields: Sequence[Field]) -> None:
    """Raise unless `node` is true or false in each row of a table with `fields`.

    Raises
    ------
    PathNotFoundError
        If `node` names a column that is not among `fields`.
    PredicateError
        If it filters on a ragged, n-dimensional or unreadable column, compares what cannot be compared,
        or is not a condition.
    """
    kind = kind_of(node, {field.name: field for field in fields})
    if not columns_of(node):
        raise PredicateError(f"the filter {describe(node)} names no column")
    if kind not in {Kind.BOOL, Kind.NOTHING}:
        raise PredicateError(f"the filter {describe(node)} is {kind.value}, not true or false")


def kind_of(node: Node, fields: Mapping[str, Field]) -> Kind:
    """What `node` is in each row of a table with `fields`; raises as `check_predicate` does."""
    if isinstance(node, Column):
        return _column_kind(node.name, fields)
    if isinstance(node, Literal):
        if isinstance(node.value, tuple):
            raise PredicateError(f"{node.value!r} can stand in isin only")
        return literal_kind(node.value)
    kinds = [kind_of(arg, fields) for arg in node.args if not _is_tuple(arg)]
    operation = OPERATIONS[node.op]
    if operation.kind == "logic":
        _require(node, kinds, {Kind.BOOL})
        return Kind.BOOL
    if operation.kind == "null":
        return Kind.BOOL
    if operation.kind == "text":
        _require(node, kinds, _TEXTUAL)
        return {"str.len": Kind.NUMBER}.get(node.op, _text_result(node.op))
    if operation.kind in {"comparison", "membership"}:
        _require_comparable(node, kinds)
        return Kind.BOOL
    if operation.kind == "arithmetic":
        return _arithmetic_kind(node, kinds)
    return _converted_kind(node, kinds)


def literal_kind(value: object) -> Kind:
    """What a constant is."""
    for kind, types in _LITERAL_KINDS:
        if isinstance(value, types):
            return kind
    return Kind.OTHER


_LITERAL_KINDS: tuple[tuple[Kind, tuple[type, ...]], ...] = (
    (Kind.NOTHING, (type(None),)),
    (Kind.BOOL, (bool,)),
    (Kind.TIME, (dt.datetime, dt.date, np.datetime64, np.timedelta64)),
    (Kind.NUMBER, (int, float, np.integer, np.floating)),
    (Kind.TEXT, (str,)),
    (Kind.BYTES, (bytes,)),
)


def filterable(fields: Iterable[Field]) -> tuple[str, ...]:
    """Names of the columns that a filter can use."""
    return tuple(field.name for field in fields if not field.heavy and not field.problem)


def _column_kind(name: str, fields: Mapping[str, Field]) -> Kind:
    field = fields.get(name)
    usable = filterable(fields.values())
    if field is None:
        near = difflib.get_close_matches(name, fields, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"columns that can be filtered: {', '.join(usable) or 'none'}"
        raise PathNotFoundError(f"no column {name!r} to filter on; {hint}")
    if field.problem:
        raise PredicateError(f"cannot filter on column {name!r}, which cannot be read: {field.problem}")
    if field.heavy:
        raise PredicateError(
            f"cannot filter on column {name!r}: it holds {field.type} in each row, not one value. Filter on "
            f"{', '.join(usable) or 'other columns'}, or read it and then compute what to compare, such as the "
            "length of each row"
        )
    return _arrow_kind(field.type)


def _arrow_kind(arrow: pa.DataType) -> Kind:
    types = pa.types
    if types.is_dictionary(arrow):
        return Kind.CATEGORY
    tests = (
        (types.is_boolean, Kind.BOOL),
        (types.is_integer, Kind.NUMBER),
        (types.is_floating, Kind.NUMBER),
        (types.is_string, Kind.TEXT),
        (types.is_large_string, Kind.TEXT),
        (types.is_binary, Kind.BYTES),
        (types.is_fixed_size_binary, Kind.BYTES),
        (types.is_large_binary, Kind.BYTES),
        (types.is_temporal, Kind.TIME),
        (types.is_null, Kind.NOTHING),
    )
    return next((kind for test, kind in tests if test(arrow)), Kind.OTHER)


def _require(node: Call, kinds: Iterable[Kind], allowed: set[Kind]) -> None:
    for kind, arg in zip(kinds, node.args, strict=False):
        if kind not in allowed | {Kind.NOTHING}:
            wanted = " or ".join(sorted(one.value for one in allowed))
            raise PredicateError(f"in {describe(node)}, {describe(arg)} is {kind.value} and must be {wanted}")


def _require_comparable(node: Call, kinds: list[Kind]) -> None:
    constants = node.args[-1].value if node.op == "isin" and isinstance(node.args[-1], Literal) else ()
    others = kinds[1:] + [literal_kind(value) for value in (constants if isinstance(constants, tuple) else ())]
    for other in others:
        if not _comparable(kinds[0], other, ordering=node.op in _ORDERINGS):
            raise PredicateError(
                f"cannot evaluate {describe(node)}: {describe(node.args[0])} is {kinds[0].value}, "
                f"compared with {other.value}"
            )


def _comparable(left: Kind, right: Kind, *, ordering: bool) -> bool:
    if Kind.NOTHING in {left, right}:
        return not ordering
    if ordering and Kind.CATEGORY in {left, right}:
        # Categories of an enumeration have names, and no order that the file promises.
        return False
    if Kind.OTHER in {left, right}:
        return False
    return left == right or {left, right} <= _NUMERIC or {left, right} <= _TEXTUAL


def _arithmetic_kind(node: Call, kinds: list[Kind]) -> Kind:
    if node.op == "add" and set(kinds) == {Kind.TEXT}:
        return Kind.TEXT
    _require(node, kinds, _NUMERIC)
    if set(kinds) == {Kind.BOOL}:
        raise PredicateError(f"in {describe(node)}, one side must be a number")
    return Kind.NUMBER


def _converted_kind(node: Call, kinds: list[Kind]) -> Kind:
    if node.op == "fillna":
        _require_comparable(node, kinds)
        return kinds[0] if kinds[0] is not Kind.NOTHING else kinds[1]
    _require(node, kinds, _NUMERIC | {Kind.TEXT})
    dtype = node.option("dtype")
    if dtype in TEXT_DTYPES:
        return Kind.TEXT
    return Kind.BOOL if dtype in BOOLEAN_DTYPES else Kind.NUMBER


def _text_result(op: str) -> Kind:
    return Kind.TEXT if len(OPERATIONS[op].constants) == 0 else Kind.BOOL


def _is_tuple(node: Node) -> bool:
    return isinstance(node, Literal) and isinstance(node.value, tuple)
