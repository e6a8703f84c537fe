"""Pruning by what describes sessions, absent values included: what all engines say of one row per piece decides."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_dask.adapters import arrow_predicate
from nwb_dask.adapters.pandas_frame import predicate as pandas_predicate
from nwb_dask.adapters.polars_frame import mask as polars_mask
from nwb_dask.errors import NWBDaskError
from nwb_dask.model.field import Field
from nwb_dask.plan.check import check_predicate
from nwb_dask.plan.predicate import Call, Column, Literal, Node, describe
from nwb_dask.plan.prune import may_match, must_match

NAN = float("nan")
DAYS = [dt.datetime(2024, 1, day, 12, tzinfo=dt.UTC) for day in (1, 2, 3)]
ELSEWHERE = dt.datetime(2024, 1, 2, 14, tzinfo=dt.timezone(dt.timedelta(hours=2)))
CONSTANTS: dict[str, list[Any]] = {
    "text": ["a", "b", None, "", "é", "a"],
    "count": [0, 7, None, 2**53 + 1, -1, 7],
    "size": [0.0, None, NAN, 2.5, float("inf"), 7.0],
    "day": [*DAYS, None, DAYS[0], DAYS[1]],
    "flag": [True, False, None, True, False, True],
}
TYPES = {
    "text": pa.string(),
    "count": pa.int64(),
    "size": pa.float64(),
    "day": pa.timestamp("us", "UTC"),
    "flag": pa.bool_(),
}
FIELDS = tuple(Field(name, type_, nullable=True) for name, type_ in TYPES.items())
TABLE = pa.table({name: pa.array(CONSTANTS[name], type_) for name, type_ in TYPES.items()})
LITERALS: dict[str, list[Any]] = {
    "text": ["a", "b", "", "zz", None],
    "count": [0, 7, 7.0, 6.5, 2**53, NAN, np.int64(7), np.float64(7), None],
    "size": [0, 0.0, 2.5, 7, NAN, float("inf"), np.float32(2.5), np.float64(2.5), None],
    "day": [*DAYS, ELSEWHERE, None],
    "flag": [True, False, None],
}
MASKS = {"pandas": pandas_predicate.mask, "polars": polars_mask, "arrow": arrow_predicate.mask}


@st.composite
def leaves(draw: st.DrawFn) -> Node:
    name = draw(st.sampled_from(list(CONSTANTS)))
    column, values = Column(name), st.sampled_from(LITERALS[name])
    form = draw(st.sampled_from(["compare", "compare", "isin", "between", "null", "text", "itself", "empty"]))
    if form == "compare":
        sides = (column, Literal(draw(values)))
        return Call(
            draw(st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"])), sides[:: draw(st.sampled_from([1, -1]))]
        )
    if form == "isin":
        return Call("isin", (column, Literal(tuple(draw(st.lists(values, max_size=3))))))
    if form == "between":
        inclusive = draw(st.sampled_from(["both", "neither", "left", "right"]))
        return Call("between", (column, Literal(draw(values)), Literal(draw(values))), (("inclusive", inclusive),))
    if form == "text":
        na = draw(st.sampled_from([None, True, False]))
        return Call("str.startswith", (Column("text"), Literal("a")), (("na", na),))
    if form == "itself":
        return Column("flag")
    if form == "empty":
        return Call("eq", (Call("str.len", (Column("text"),)), Literal(0)))
    return Call(draw(st.sampled_from(["isna", "notna"])), (column,))


def _branches(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.one_of(
        st.builds(Call, st.sampled_from(["and", "or", "xor"]), st.tuples(children, children)),
        st.builds(Call, st.just("not"), st.tuples(children)),
    )


predicates = st.recursive(leaves(), _branches, max_leaves=4)


def answers(node: Node) -> dict[str, Any]:
    """Return which rows each engine selects, for those that can say."""
    found = {}
    for name, mask in MASKS.items():
        try:
            check_predicate(node, FIELDS)
            found[name] = mask(node, TABLE, FIELDS)
        except NWBDaskError:
            continue
    return found


def agrees(node: Node) -> None:
    known = {name: CONSTANTS[name] for name in CONSTANTS}
    may, must = may_match(node, known), must_match(node, known)
    for engine, selected in answers(node).items():
        assert may[selected].all(), f"{describe(node)} is pruned, and {engine} selects {selected}"
        assert selected[must].all(), f"{describe(node)} is taken for granted, and {engine} selects {selected}"


@settings(max_examples=120, deadline=None)
@given(predicates)
def test_no_engine_selects_what_is_pruned_nor_drops_what_is_taken_for_granted(node: Node) -> None:
    agrees(node)


@pytest.mark.slow
@settings(max_examples=4_000, deadline=None)
@given(predicates)
def test_no_engine_disagrees_with_pruning_in_many_cases(node: Node) -> None:
    agrees(node)


def _is(op: str, name: str, value: object) -> Node:
    return Call(op, (Column(name), Literal(value)))


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (_is("eq", "text", "a"), [0, 5]),
        (_is("ne", "text", "a"), [1, 3, 4]),
        (Call("not", (_is("eq", "text", "a"),)), [1, 3, 4]),
        (_is("isin", "text", ("a", "é")), [0, 4, 5]),
        (Call("isna", (Column("text"),)), [2]),
        (Call("notna", (Column("day"),)), [0, 1, 2, 4, 5]),
        (_is("gt", "day", DAYS[0]), [1, 2, 5]),
        (_is("eq", "day", ELSEWHERE), [1, 5]),
        (Call("between", (Column("day"), Literal(DAYS[0]), Literal(DAYS[1]))), [0, 1, 4, 5]),
        # What no integer of 53 bits is equal to is left to the engines, and so is NaN.
        (_is("gt", "count", 0), [1, 3, 5]),
        (_is("eq", "count", np.int64(7)), [1, 3, 5]),
        (_is("lt", "size", 3), [0, 2, 3]),
        (Column("flag"), [0, 3, 5]),
        (Call("not", (Column("flag"),)), [1, 4]),
        (_is("ne", "flag", True), [1, 4]),
    ],
)  # fmt: skip
def test_only_pieces_that_may_match_are_left(node: Node, expected: list[int]) -> None:
    assert np.flatnonzero(may_match(node, CONSTANTS)).tolist() == expected


@pytest.mark.parametrize("combine", [may_match, must_match])
def test_columns_that_vary_decide_nothing(combine: Callable[..., Any]) -> None:
    both = Call("and", (_is("eq", "text", "a"), _is("gt", "rate", 5)))
    either = Call("or", (_is("eq", "text", "a"), _is("gt", "rate", 5)))
    expected = ([0, 5], [0, 1, 2, 3, 4, 5]) if combine is may_match else ([], [0, 5])
    assert tuple(np.flatnonzero(combine(node, CONSTANTS)).tolist() for node in (both, either)) == expected
