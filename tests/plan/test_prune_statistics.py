"""Pruning by statistics: never drops what could match in any engine, and drops what cannot."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_dask.adapters import arrow_predicate, polars_frame
from nwb_dask.adapters.pandas_frame.predicate import evaluate
from nwb_dask.adapters.pandas_frame.predicate import mask as pandas_mask
from nwb_dask.errors import PredicateError
from nwb_dask.plan.predicate import Call, Column, Literal, Node, columns_of, describe
from nwb_dask.plan.prune import may_match, must_match
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
_texts = st.sampled_from(
    ["good", "", "a", "b", "CA1", "CA", "g", "é", "noise", "Good", "good unit", "\U0010ffff", "a\n"]
)
_moments = st.sampled_from([*MOMENTS[:-1], np.datetime64("2026-01-01T00:00:01"), np.datetime64("2026-01-01")])
_SEARCHES = ("str.contains", "str.match", "str.fullmatch")
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
    op = draw(st.sampled_from([*(f"str.{one}with" for one in ("starts", "ends")), *_SEARCHES, "lower"]))
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


seeds = st.integers(0, 10**6)


def masks(node: Node, table: pa.Table) -> dict[str, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Which rows each engine keeps; engines that refuse the predicate are left out."""
    frame = table.to_pandas().astype({"maybe": "boolean"} if "maybe" in table.column_names else {})
    ways: dict[str, Callable[[], np.ndarray[Any, np.dtype[np.bool_]]]] = {
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
    sure = must_match(node, {"_": [0] * N_PIECES}, statistics, unordered=UNORDERED)
    for engine, mask in masks(node, table).items():
        wrong = np.flatnonzero(mask & ~kept[piece])
        assert not len(wrong), f"{engine} keeps a pruned row for {describe(node)}: {table.take(wrong[:1]).to_pylist()}"
        wrong = np.flatnonzero(~mask & sure[piece])
        assert not len(wrong), f"{engine} drops a sure row for {describe(node)}: {table.take(wrong[:1]).to_pylist()}"


@settings(max_examples=100, deadline=None)
@given(predicates, seeds)
def test_no_piece_is_pruned_of_which_a_row_matches_in_any_engine(node: Node, seed: int) -> None:
    check(node, seed)


@pytest.mark.slow
@settings(max_examples=6000, deadline=None)
@given(predicates, seeds)
def test_no_piece_is_pruned_of_which_a_row_matches_in_any_engine_thousands_of_times(node: Node, seed: int) -> None:
    check(node, seed)


TABLES: list[dict[str, list[Any]]] = [
    {"x": [1.0, 2.0], "f": [0.1, 0.2], "n": [1, 2], "t": ["CA1", "CA3"], "b": [True, True]},
    {"x": [2.0, NAN], "f": [0.5, NAN], "n": [None, 7], "t": ["DG", None], "b": [True, False]},
    {"x": [NAN, NAN], "f": [NAN, NAN], "n": [None, None], "t": [None, None], "b": [None, None]},
    {"x": [], "f": [], "n": [], "t": [], "b": []},
    {"x": [-1.0, 9.0], "f": [0.3, 0.9], "n": [BIG, BIG + 1], "t": ["CA1", "VISp"], "b": [False, False]},
]
TYPES = {"x": pa.float64(), "f": pa.float32(), "n": pa.int64(), "t": pa.string(), "b": pa.bool_()}


def statistics(n_few: int = 3) -> dict[str, ColumnStatistics]:
    bounds = np.cumsum([0, *(len(one["x"]) for one in TABLES)])
    columns = {name: [value for one in TABLES for value in one[name]] for name in TYPES}
    return {name: statistics_of(pa.array(values, TYPES[name]), bounds, n_few=n_few) for name, values in columns.items()}


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("x > 5", [1, 2, 4]),
        ("x >= 2", [0, 1, 2, 4]),
        ("x < 1", [4]),
        ("x == 1", [0]),
        ("x != 2", [0, 1, 2, 4]),
        ("5 <= x", [1, 2, 4]),
        ("f == 0.1", [0]),
        ("f == 0.3", [4]),
        ("f > 0.9", [1, 2]),
        ("f >= 0.9", [1, 2, 4]),
        ("n == 2", [0]),
        ("n > 1.5", [0, 1, 4]),
        ("n > 9007199254740993", [4]),
        ("n in [2, 7]", [0, 1]),
        ("not n > 5", [0, 1, 2]),
        ("n.between(3, 7)", [1]),
        ("t == 'CA1'", [0, 4]),
        ("t != 'CA1'", [0, 1, 2, 4]),
        ("t > 'E'", [4]),
        ("t.str.startswith('CA')", [0, 4]),
        ("~t.str.startswith('CA')", [1, 2, 4]),
        ("t.str.endswith('3')", [0]),
        ("t.str.contains('IS')", [4]),
        ("t in ['DG', 'x']", [1]),
        ("t.str.lower() == 'dg'", [1, 2]),
        ("t.isna()", [1, 2]),
        ("x.isna()", [1, 2]),
        ("n.notna()", [0, 1, 4]),
        ("b", [0, 1]),
        ("~b", [1, 2, 4]),
        ("b == False", [1, 4]),
        ("x > 5 and t == 'CA1'", [4]),
        ("n == 2 or t == 'DG'", [0, 1]),
        ("~(n == 2 or t == 'DG')", [0, 1, 2, 4]),
        ("x + 1 > 100", [0, 1, 2, 3, 4]),
        ("unknown > 5", [0, 1, 2, 3, 4]),
    ],
)
def test_pieces_that_cannot_match_are_pruned(text: str, pieces: list[int]) -> None:
    assert kept(text) == pieces


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("t == 'CA1'", [0, 4]),
        ("t == 'CA2'", [0, 4]),
        ("t.str.startswith('CB')", [4]),
        ("t.str.contains('IS')", [0, 4]),
        ("t in ['DG', 'x']", [1, 4]),
        ("x in [3, 4]", [4]),
    ],
)
def test_without_distinct_values_bounds_decide(text: str, pieces: list[int]) -> None:
    assert kept(text, n_few=-1) == pieces


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("x >= 1", [0, 3]),
        ("x < 100", [0, 3, 4]),
        ("t.str.startswith('CA')", [0, 3]),
        ("t in ['CA1', 'CA3', 'VISp']", [0, 3, 4]),
        ("b", [0, 3]),
        ("f == 0.1", [3]),
        ("x > 0 or x.isna()", [0, 3]),
    ],
)
def test_pieces_of_which_all_rows_match_are_known(text: str, pieces: list[int]) -> None:
    node = parse_query(text)
    assert node is not None
    assert np.flatnonzero(must_match(node, {}, statistics())).tolist() == pieces


def kept(text: str, n_few: int = 3) -> list[int]:
    node = parse_query(text)
    assert node is not None
    return np.flatnonzero(may_match(node, {}, statistics(n_few))).tolist()


def test_categories_are_not_compared_by_order() -> None:
    node = parse_query("t > 'E' or t == 'DG'")
    assert node is not None
    assert may_match(node, {}, statistics(), unordered={"t"}).tolist() == [True] * 5


def test_three_conditions_prune_ten_thousand_pieces_in_well_under_a_tenth_of_a_second() -> None:
    n = 10_000
    none, known = np.zeros(n, np.int64), np.ones(n, np.bool_)
    low = pa.array(np.arange(n, dtype=np.float64))
    regions = pa.array([["CA1", "CA3", "DG", f"area {i % 50}"] for i in range(n)], pa.large_list(pa.string()))
    texts = pa.array(["A"] * n), pa.array(["z"] * n)
    found = {
        "rate": ColumnStatistics(low, low, none, none, None, known),
        "location": ColumnStatistics(*texts, none, none, regions, known),
        "n": ColumnStatistics(pa.array(none), pa.array(none + 9), none, none, None, known),
    }
    node = parse_query("rate > 100 and location == 'area 7' and n >= 5")
    assert node is not None
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        assert may_match(node, {}, found).sum() == 198
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.1
