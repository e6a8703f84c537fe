"""Pruning by what is known of a piece: never drops what could match."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_dask.adapters import arrow_predicate
from nwb_dask.adapters.pandas_frame.predicate import evaluate
from nwb_dask.model.field import Field
from nwb_dask.plan.predicate import Call, Column, Literal, Node, describe
from nwb_dask.plan.prune import may_match, resolve_path_literals
from nwb_dask.plan.query import parse_query

PATHS = [
    "/data/a.nwb",
    "/data/b.nwb",
    "/data/sub-A_ses.1.nwb",
    "s3://bucket/é.nwb",
    "/data/c\nd.nwb",
    "",
    "/Data/A.NWB",
]
CONSTANTS = {"_nwb_path": PATHS, "_table_path": ["/units"] * 5 + ["/intervals/trials"] * 2}
FIELDS = (
    *(Field(name, pa.string()) for name in CONSTANTS),
    Field("rate", pa.float64(), nullable=True),
    Field("quality", pa.string(), nullable=True),
    Field("flag", pa.bool_()),
)

_texts = st.sampled_from([*PATHS, "/data", ".nwb", "a", "A", "data/.", "s.s", "^/data", "/units", "é", "x", r"\d"])
_known = st.sampled_from(["_nwb_path", "_table_path"])
_compare = st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"])


@st.composite
def leaves(draw: st.DrawFn) -> Node:
    column: Node = Column(draw(_known))
    if draw(st.booleans()):
        column = Call(draw(st.sampled_from(["str.lower", "str.upper"])), (column,))
    form = draw(
        st.sampled_from(["compare", "isin", "text", "between", "len", "null", "unknown", "flag", "quality", "both"])
    )
    if form == "compare":
        args = (column, Literal(draw(_texts)))
        return Call(draw(_compare), args if draw(st.booleans()) else args[::-1])
    if form == "isin":
        return Call("isin", (column, Literal(tuple(draw(st.lists(_texts, max_size=3))))))
    if form == "text":
        op = draw(st.sampled_from(["str.startswith", "str.endswith", "str.contains", "str.match", "str.fullmatch"]))
        options = (("case", draw(st.booleans())),) if op == "str.contains" else ()
        return Call(op, (column, Literal(draw(_texts))), options)
    if form == "between":
        return Call("between", (column, Literal(draw(_texts)), Literal(draw(_texts))))
    if form == "len":
        return Call("gt", (Call("str.len", (column,)), Literal(draw(st.integers(0, 20)))))
    if form == "null":
        return Call(draw(st.sampled_from(["isna", "notna"])), (column,))
    if form == "unknown":
        return Call(draw(_compare), (Column("rate"), Literal(1.0)))
    if form == "both":
        return Call(draw(_compare), (Column("_nwb_path"), Column("_table_path")))
    return Column("flag") if form == "flag" else Call(draw(_compare), (column, Column("quality")))


def _branches(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(children, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        several.map(lambda args: Call("and", args)),
        several.map(lambda args: Call("or", args)),
        st.tuples(children, children).map(lambda args: Call("xor", args)),
        children.map(lambda arg: Call("not", (arg,))),
    )


predicates = st.recursive(leaves(), _branches, max_leaves=5)


def rows_of(piece: int) -> pa.Table:
    """Every combination of values that the columns which are not known may have."""
    rates = [0.0, 1.0, 2.0, float("nan"), None]
    qualities = ["/data/a.nwb", "", "zz", None]
    rows = [(rate, quality, flag) for rate in rates for quality in qualities for flag in (True, False)]
    names = {name: pa.array([values[piece]] * len(rows)) for name, values in CONSTANTS.items()}
    rate, quality, flag = (list(column) for column in zip(*rows, strict=True))
    return pa.table(
        {
            **names,
            "rate": pa.array(rate, pa.float64()),
            "quality": pa.array(quality, pa.string()),
            "flag": pa.array(flag),
        }
    )


def as_frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame.astype({field.name: "string[pyarrow]" for field in FIELDS if field.type == pa.string()})


TABLES = [rows_of(piece) for piece in range(len(PATHS))]
FRAMES = [as_frame(table) for table in TABLES]


def check(node: Node) -> None:
    kept = may_match(node, CONSTANTS)
    for piece in np.flatnonzero(~kept):
        assert not evaluate(node, FRAMES[piece]).any(), describe(node)
        assert not arrow_predicate.mask(node, TABLES[piece], FIELDS).any(), describe(node)


@settings(max_examples=120, deadline=None)
@given(predicates)
def test_no_piece_is_pruned_of_which_a_row_matches_in_pandas_or_arrow(node: Node) -> None:
    check(node)


@pytest.mark.slow
@settings(max_examples=4_000, deadline=None)
@given(predicates)
def test_no_piece_is_pruned_of_which_a_row_matches_in_pandas_or_arrow_thousands_of_times(node: Node) -> None:
    check(node)


def kept(text: str) -> list[int]:
    node = parse_query(text)
    assert node is not None
    return np.flatnonzero(may_match(node, CONSTANTS)).tolist()


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("_nwb_path == '/data/a.nwb'", [0]),
        ("_nwb_path != '/data/a.nwb'", [1, 2, 3, 4, 5, 6]),
        ("_nwb_path in ['/data/a.nwb', '/data/b.nwb', '/else']", [0, 1]),
        ("_nwb_path == '/data/a.nwb' and rate > 5", [0]),
        ("_nwb_path == '/data/a.nwb' or rate > 5", [0, 1, 2, 3, 4, 5, 6]),
        ("~(_nwb_path == '/data/a.nwb' or rate > 5)", [1, 2, 3, 4, 5, 6]),
        ("_nwb_path.str.startswith('s3://')", [3]),
        ("_nwb_path.str.endswith('.nwb') & _table_path == '/intervals/trials'", []),
        ("_nwb_path.str.contains('ses.1')", [2, 4]),
        ("_nwb_path.str.lower() == '/data/a.nwb'", [0, 3, 6]),
        ("_nwb_path.str.len() > 12", [2, 3, 4]),
        ("_nwb_path.isna()", []),
        ("_nwb_path.str.contains('^/data')", [0, 1, 2, 3, 4, 5, 6]),
        ("rate.isna()", [0, 1, 2, 3, 4, 5, 6]),
        ("not rate > 5", [0, 1, 2, 3, 4, 5, 6]),
        ("'/data/a.nwb' == _nwb_path", [0]),
        ("'/data' < _nwb_path < '/data/b'", [0]),
    ],
)
def test_pieces_that_cannot_match_are_pruned(text: str, pieces: list[int]) -> None:
    assert kept(text) == pieces


def test_numbers_are_compared_only_if_all_engines_compare_them_alike() -> None:
    values = {"x": [1, 2**53 + 1, True, 1.0, float("nan")]}
    node = Call("eq", (Column("x"), Literal(2)))
    assert may_match(node, values).tolist() == [False, True, True, False, True]


def test_constants_must_say_how_many_pieces_there_are() -> None:
    with pytest.raises(ValueError, match="one value per piece"):
        may_match(Column("flag"), {})
    with pytest.raises(ValueError, match="one value per piece"):
        may_match(Column("flag"), {"a": ["x"], "b": []})


def test_no_pieces_give_no_answers() -> None:
    assert may_match(Call("eq", (Column("a"), Literal("x"))), {"a": []}).shape == (0,)


def test_a_file_as_typed_is_replaced_by_its_path_where_it_is_compared() -> None:
    node = parse_query(
        "(_nwb_path == 'a.nwb' or 'b.nwb' != _nwb_path or _nwb_path in ['b.nwb', 'c']) and quality == 'a.nwb'"
    )
    assert node is not None
    assert resolve_path_literals(node, {"a.nwb": "/data/a.nwb", "b.nwb": "/data/b.nwb"}) == parse_query(
        "(_nwb_path == '/data/a.nwb' or '/data/b.nwb' != _nwb_path or _nwb_path in ['/data/b.nwb', 'c'])"
        " and quality == 'a.nwb'"
    )
    equal = Call("eq", (Literal("a.nwb"), Column("_nwb_path")))
    assert resolve_path_literals(equal, {"a.nwb": "/d"}) == Call("eq", (Literal("/d"), Column("_nwb_path")))


def test_signed_urls_are_compared_as_they_are_shown() -> None:
    signed, shown = "https://user:pw@host/a.nwb?X-Amz-Signature=secret", "https://host/a.nwb"
    column = Column("_nwb_path")
    different, among = Call("ne", (column, Literal(signed))), Call("isin", (column, Literal((signed, shown))))
    assert resolve_path_literals(different, {}) == Call("ne", (column, Literal(shown)))
    assert resolve_path_literals(among, {}) == Call("isin", (column, Literal((shown, shown))))
    odd = Call("eq", (column, Literal("/data/what?.nwb")))
    assert resolve_path_literals(odd, {}) is odd


def test_nothing_else_is_replaced() -> None:
    node = Call("str.startswith", (Column("_nwb_path"), Literal("a.nwb")))
    assert resolve_path_literals(node, {"a.nwb": "/data/a.nwb"}) is node


def test_ten_thousand_pieces_are_pruned_in_well_under_a_second() -> None:
    paths = [f"/data/sub-{i:05}/session.nwb" for i in range(10_000)]
    node = parse_query("_nwb_path.str.contains('sub-00017') and _nwb_path != '/x' and rate > 5")
    assert node is not None
    start = time.perf_counter()
    assert may_match(node, {"_nwb_path": paths}).sum() == 1
    assert time.perf_counter() - start < 0.5
