"""Filters as users of ``dd.read_parquet`` and pyarrow write them, as one predicate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from nwb_dask.errors import PredicateError
from nwb_dask.model.field import Field
from nwb_dask.plan.check import check_predicate
from nwb_dask.plan.predicate import Call, Column, Literal, Node, all_of, columns_of
from nwb_dask.plan.query import parse_query

Condition: TypeAlias = tuple[str, str, object]
Filters: TypeAlias = str | Node | Condition | Sequence[Condition | Sequence[Condition]]
"""Text as for ``DataFrame.query``; one condition; a list of them (all hold); a list of lists (all of one list hold)."""

_COMPARISONS: Mapping[str, str] = MappingProxyType(
    {"=": "eq", "==": "eq", "!=": "ne", "<": "lt", ">": "gt", "<=": "le", ">=": "ge"}
)
_PARTS = 3
_FORM = "write filters as [('quality', '==', 'good'), ('rate', '>', 5)], a list of such lists, or \"rate > 5\""


def parse_filters(filters: Filters | None, fields: Sequence[Field]) -> Node | None:
    """Return the predicate that `filters` means, checked against `fields`; None for no filters.

    A condition is ``(column, operator, value)`` with one of the operators ``= == != < > <= >= in``,
    ``not in``, ``is``, ``is not``; the last two take None, and ask whether a value is absent. A list of
    conditions keeps the rows where all hold, a list of lists the rows where all of any one list hold.
    Text is read as `pandas.DataFrame.query` reads it. Rows where a value is absent or NaN are kept or
    not as the engine that evaluates the predicate does it.

    Raises
    ------
    PathNotFoundError
        If a column does not exist.
    PredicateError
        If the filters are malformed, or have no meaning for their columns.
    """
    if filters is None:
        return None
    node = _node(filters, fields)
    check_predicate(node, fields)
    return node


def named_columns(filters: Filters | None) -> frozenset[str] | None:
    """Names of the columns that `filters` need, before the fields are known; None if that takes the fields."""
    if filters is None:
        return frozenset()
    if isinstance(filters, str):
        node = parse_query(filters)
        return None if node is None else columns_of(node)
    return columns_of(_node(filters, ()))


def also(filters: Filters | None, condition: Condition) -> Filters:
    """Return filters that ask for `condition` besides; its value is text, a number, or a list of these."""
    if filters is None:
        return [condition]
    if isinstance(filters, str):
        # What text means may depend on the fields: it stays text.
        name, operator, value = condition
        return f"({filters}) and `{name}` {operator} {value!r}"
    return Call("and", (_node(filters, ()), _condition(condition)))


def _node(filters: object, fields: Sequence[Field]) -> Node:
    if isinstance(filters, Column | Literal | Call):
        return filters
    if isinstance(filters, str):
        node = parse_query(filters, {}, {}, fields=fields)
        if node is None:
            raise PredicateError(f"cannot read the filter {filters!r} as a condition on the columns of a row; {_FORM}")
        return node
    if _is_condition(filters):
        return _condition(filters)
    if not isinstance(filters, list | tuple) or len(filters) == 0:
        raise PredicateError(f"malformed filters {filters!r}; {_FORM}")
    if all(_is_condition(part) for part in filters):
        return _conjunction(filters)
    if any(_is_condition(part) for part in filters) or not all(isinstance(part, list | tuple) for part in filters):
        raise PredicateError(f"malformed filters {filters!r}; {_FORM}")
    alternatives = tuple(_conjunction(part) for part in filters)
    return alternatives[0] if len(alternatives) == 1 else Call("or", alternatives)


def _is_condition(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == _PARTS and all(isinstance(part, str) for part in value[:2])


def _conjunction(conditions: Iterable[object]) -> Node:
    node = all_of(_condition(condition) for condition in conditions)
    if node is None:
        raise PredicateError(f"malformed filters: a list of conditions is empty; {_FORM}")
    return node


def _condition(condition: object) -> Node:
    if not isinstance(condition, list | tuple) or not _is_condition(condition):
        raise PredicateError(f"malformed condition {condition!r}; {_FORM}")
    name, operator, value = condition
    column = Column(name)
    operator = " ".join(operator.lower().split())
    if operator in {"in", "not in"}:
        member = Call("isin", (column, Literal(_values(condition))))
        return member if operator == "in" else Call("not", (member,))
    absent = value is None or (isinstance(value, float | np.floating) and bool(np.isnan(value)))
    if operator in {"is", "is not"}:
        if not absent:
            raise PredicateError(f"{condition!r}: {operator!r} asks for absent values, and takes None")
        return Call("isna" if operator == "is" else "notna", (column,))
    if operator not in _COMPARISONS:
        known = ", ".join([*_COMPARISONS, "in", "not in", "is", "is not"])
        raise PredicateError(f"{condition!r}: unknown operator {operator!r}; there are {known}")
    if absent:
        raise PredicateError(f"{condition!r}: to ask for absent values write ({name!r}, 'is', None) or 'is not'")
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        raise PredicateError(f"{condition!r}: to compare with several values write 'in' or 'not in'")
    return Call(_COMPARISONS[operator], (column, Literal(value)))


def _values(condition: Sequence[object]) -> tuple[object, ...]:
    values = condition[2]
    if isinstance(values, np.ndarray) and values.ndim == 1:
        return tuple(values)
    if isinstance(values, set | frozenset):
        # A set has no order of its own; the predicate must be the same in every process.
        return tuple(sorted(values, key=lambda value: (type(value).__name__, repr(value))))
    if isinstance(values, list | tuple | range):
        return tuple(values)
    raise PredicateError(f"{condition!r}: {condition[1]!r} takes a list of values")
