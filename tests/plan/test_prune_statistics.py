"""Pruning by statistics: never drops what could match in any engine, and drops what cannot."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nwb_dask.adapters import arrow_predicate, polars_frame
from nwb_dask.adapters.pandas_frame.predicate import evaluate
from nwb_dask.adapters.pandas_frame.predicate import mask as pandas_mask
from nwb_dask.errors import PredicateError
from nwb_dask.plan.predicate import Call, Column, Literal, Node, columns_of, describe
from nwb_dask.plan.prune import always_matches, may_match
from nwb_dask.plan.query import parse_query
from nwb_dask.plan.statistics import ColumnStatistics
from tests.plan.known_pieces import FIELDS, MOMENTS, random_pieces, statistics_of
from tests.plan.predicates import BIG, NAN, predicate_cases

N_PIECES = 20
UNORDERED = frozenset(field.name for field in FIELDS if field.categories is not None)
_numbers = st.sampled_from(
    [
        *(0, -0.0, 1, 2, 5, 255, 256, -1, 0.1, 1.5, 16777217, 3.5e38, -1e300, float("inf"), float("-inf"), NAN, True),
        *(BIG, BIG + 1, BIG + 2.0, -BIG - 1, 2**63 - 1, 2**63, -(2**63), 2**64 - 1, 2**64, 10**30),
        *(np.float32(0.1), np.float64(0.1), np.int64(BIG + 1), np.uint64(2**64 - 1), np.int8(-1)),
    ]
)
_texts = st.sampled_from(["good", "", "a", "b", "CA1", "CA", "g", "é", "noise", "Good", "good unit", "\U0010ffff", "a\n"])
_moments = st.sampled_from([*MOMENTS[:-1], dt.datetime(2026, 1, 1, 0, 0, 1), np.datetime64("2026-01-01")])
_compare = st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"])
_constants = {
    **dict.fromkeys(("rate", "snr", "half", "count", "big", "unsigned", "n"), _numbers),
    **dict.fromkeys(("quality", "electrodes.location", "kind"), _texts),
    **dict.fromkeys(("flag", "maybe"), st.sampled_from([True, False, 0, 1])),
    "when": _moments,
}


@st.composite
def leaves(draw: st.DrawFn) -> Node:
    name = draw(st.sampled_from(sorted(_constants)))
    column, values = Column(name), _constants[name]
    forms = ["compare", "reversed", "isin", "between", "null"]
    form = draw(st.sampled_from([*forms, *(["flag"] if values is _constants["flag"] else [])]))
    if values is _texts and draw(st.booleans()):
        return draw(text_leaves(column))
    if form == "flag":
        return column
    if form == "null":
        return Call(draw(st.sampled_from(["isna", "notna"])), (column,))
    if form == "isin":
        absent = st.sampled_from([None, NAN]) if values is _numbers else st.none()
        members = draw(st.lists(st.one_of(values, values, values, absent), max_size=3))
        return Call("isin", (column, Literal(tuple(members))))
    if form == "between":
        options = (("inclusive", draw(st.sampled_from(["both", "neither", "left", "right"]))),)
        return Call("between", (column, Literal(draw(values)), Literal(draw(values))), options)
    args = (column, Literal(draw(values)))
    return Call(draw(_compare), args if form == "compare" else args[::-1])


@st.composite
def text_leaves(draw: st.DrawFn, column: Column) -> Node:
    op = draw(st.sampled_from(["str.startswith", "str.endswith", "str.contains", "str.match", "str.fullmatch", "lower"]))
    if op == "lower":
        return Call(draw(_compare), (Call("str.lower", (column,)), Literal(draw(_texts))))
    options: dict[str, Any] = {"na": draw(st.sampled_from([None, None, True, False]))}
    if op == "str.contains":
        options["regex"] = draw(st.booleans())
    several = op == "str.startswith" and draw(st.booleans())
    pattern = tuple(draw(st.lists(_texts, min_size=1, max_size=2))) if several else draw(_texts)
    return Call(op, (column, Literal(pattern)), tuple(options.items()))


def _branches(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    pair = st.tuples(children, children)
    return st.one_of(
        pair.map(lambda args: Call("and", args)),
        pair.map(lambda args: Call("or", args)),
        pair.map(lambda args: Call("xor", args)),
        children.map(lambda arg: Call("not", (arg,))),
    )


predicates = st.one_of(st.recursive(leaves(), _branches, max_leaves=4), predicate_cases().map(lambda case: case.node))


def masks(node: Node, table: pa.Table) -> dict[str, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Which rows each engine keeps; engines that refuse the predicate are left out."""
    frame = table.to_pandas()
    ways = {
        "pandas": lambda: pandas_mask(node, table, FIELDS),
        "polars": lambda: polars_frame.mask(node, table, FIELDS),
        "arrow": lambda: arrow_predicate.mask(node, table, FIELDS),
        "pandas, its own dtypes": lambda: evaluate(node, frame),
        "pandas, nullable dtypes": lambda: evaluate(node, frame.convert_dtypes()),
        "pandas, Arrow dtypes": lambda: evaluate(node, table.to_pandas(types_mapper=pd.ArrowDtype)),
    }
    found = {}
    for name, way in ways.items():
        try:
            with np.errstate(all="ignore"):
                found[name] = np.asarray(way(), np.bool_)
        except (PredicateError, AttributeError, TypeError, ValueError, OverflowError, NotImplementedError):
            continue
    return found


def check(node: Node, seed: int) -> None:
    table, bounds, statistics = random_pieces(np.random.default_rng(seed), N_PIECES, columns_of(node))
    piece = np.repeat(np.arange(N_PIECES), np.diff(bounds))
    kept = may_match(node, {"_": [0] * N_PIECES}, statistics, unordered=UNORDERED)
    sure = always_matches(node, {"_": [0] * N_PIECES}, statistics, unordered=UNORDERED)
    for engine, mask in masks(node, table).items():
        wrong = np.flatnonzero(mask & ~kept[piece])
        assert not len(wrong), f"{engine} keeps a pruned row for {describe(node)}: {table.slice(wrong[0], 1).to_pylist()}"
        wrong = np.flatnonzero(~mask & sure[piece])
        assert not len(wrong), f"{engine} drops a sure row for {describe(node)}: {table.slice(wrong[0], 1).to_pylist()}"


seeds = st.integers(0, 10**6)


@settings(max_examples=150, deadline=None)
@given(predicates, seeds)
def test_no_piece_is_pruned_of_which_a_row_matches_in_any_engine(node: Node, seed: int) -> None:
    check(node, seed)


@pytest.mark.slow
@settings(max_examples=6000, deadline=None)
@given(predicates, seeds)
def test_no_piece_is_pruned_of_which_a_row_matches_in_any_engine_thousands_of_times(node: Node, seed: int) -> None:
    check(node, seed)
