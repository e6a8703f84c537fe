"""polars frames from Arrow tables, and predicates against polars' own filter."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from nwb_dask.adapters.polars_frame import mask, schema, to_polars
from nwb_dask.errors import PredicateError, SchemaConflictError
from nwb_dask.model import Field
from nwb_dask.plan.predicate import Call, Column, Literal, Node, describe

CATEGORY = pa.dictionary(pa.int32(), pa.string())
TYPES: dict[str, tuple[pa.DataType, list[Any], pl.DataType]] = {
    "bool": (pa.bool_(), [True, None, False], pl.Boolean()),
    "int8": (pa.int8(), [-128, None, 127], pl.Int8()),
    "uint64": (pa.uint64(), [2**64 - 1, None, 2**63], pl.UInt64()),
    "halffloat": (pa.float16(), [1.5, None, -2.0], pl.Float16()),
    "float": (pa.float32(), [1.5, None, float("inf")], pl.Float32()),
    "text": (pa.string(), ["a", None, "é"], pl.String()),
    "binary": (pa.binary(), [b"a", None, b""], pl.Binary()),
    "fixed binary": (pa.binary(2), [b"ab", None, b"cd"], pl.Binary()),
    "null": (pa.null(), [None, None, None], pl.Null()),
    "list": (pa.large_list(pa.float64()), [[1.0], None, []], pl.List(pl.Float64())),
    "fixed": (pa.list_(pa.float32(), 2), [[1.0, 2.0], None, [3.0, 4.0]], pl.Array(pl.Float32(), 2)),
    "tensor": (
        pa.list_(pa.list_(pa.int16(), 2), 3),
        [[[1, 2], [3, 4], [5, 6]], None, [[0, 0]] * 3],
        pl.Array(pl.Int16(), (3, 2)),
    ),
    "no elements": (pa.list_(pa.float64(), 0), [[], None, []], pl.Array(pl.Float64(), 0)),
    "list of no elements": (pa.list_(pa.list_(pa.int8(), 0)), [[[]], None, []], pl.List(pl.Array(pl.Int8(), 0))),
    "ragged waveforms": (
        pa.list_(pa.list_(pa.list_(pa.float64(), 3))),
        [[[[1.0, 2.0, 3.0]], []], None, []],
        pl.List(pl.List(pl.Array(pl.Float64(), 3))),
    ),
    "full tensor": (
        pa.list_(pa.list_(pa.int16(), 2), 2),
        [[[1, 2], [3, 4]], [[5, 6], [7, 8]], [[9, 0], [1, 2]]],
        pl.Array(pl.Int16(), (2, 2)),
    ),
    "struct": (
        pa.struct([("x", pa.uint32()), ("name", pa.string())]),
        [{"x": 1, "name": "a"}, None, {"x": 2, "name": None}],
        pl.Struct({"x": pl.UInt32(), "name": pl.String()}),
    ),
    "pixel mask": (
        pa.large_list(pa.struct([("x", pa.uint32())])),
        [[{"x": 1}], None, []],
        pl.List(pl.Struct({"x": pl.UInt32()})),
    ),
    "list of categories": (pa.list_(CATEGORY), [["a"], None, ["b", "a"]], pl.List(pl.Categorical())),
}


@pytest.mark.parametrize("case", TYPES)
def test_values_and_schema_are_those_of_the_field(case: str) -> None:
    type_, rows, dtype = TYPES[case]
    fields = (Field("x", type_, nullable=True),)
    assert schema(fields) == pl.Schema({"x": dtype})
    array = pa.array(rows, type_)
    for values, expected in (
        (array, rows),
        (array.slice(1, 2), rows[1:]),
        (array.slice(0, 0), []),
        (pa.nulls(2, type_), [None, None]),
        (pa.chunked_array([array.slice(1), array.slice(0, 0), array]), rows[1:] + rows),
        (pa.chunked_array([], type_), []),
    ):
        frame = to_polars(pa.table({"x": values}), fields)
        assert frame.schema == schema(fields)
        assert frame["x"].to_list() == expected


def test_list_values_share_the_arrow_memory() -> None:
    values = pa.array(np.arange(1000.0))
    lists = pa.LargeListArray.from_arrays(pa.array([0, 400, 1000]), values)
    frame = to_polars(pa.table({"x": lists, "y": pa.array([1, 2])}), (Field("x", lists.type), Field("y", pa.int64())))
    inner = frame["x"].explode().to_arrow()
    assert inner.buffers()[1].address == values.buffers()[1].address


def test_categories_become_an_enum_of_the_field_whatever_the_dictionary() -> None:
    field = Field("x", CATEGORY, nullable=True, categories=("c", "a", "b"))
    array = pa.DictionaryArray.from_arrays(pa.array([1, None, 0], pa.int32()), pa.array(["b", "a"]))
    frame = to_polars(pa.table({"x": array}), (field,))
    assert frame.schema == schema((field,)) == pl.Schema({"x": pl.Enum(["c", "a", "b"])})
    assert frame["x"].to_list() == ["a", None, "b"]
    assert to_polars(pa.table({"x": array[:0]}), (field,)).schema == schema((field,))
    assert schema((Field("x", CATEGORY),)) == pl.Schema({"x": pl.Categorical()})


def test_value_outside_the_categories_is_an_error_that_names_the_column() -> None:
    table = pa.table({"x": pa.array(["z"]).dictionary_encode()})
    with pytest.raises(SchemaConflictError, match=r"'x'"):
        to_polars(table, (Field("x", CATEGORY, categories=("a",)),))


def test_type_that_is_not_the_planned_one_is_an_error() -> None:
    with pytest.raises(SchemaConflictError, match=r"'x'.*int64.*double"):
        to_polars(pa.table({"x": [1]}), (Field("x", pa.float64()),))


def test_frame_without_columns_keeps_its_rows() -> None:
    assert to_polars(pa.table({"x": [1, 2]}), ()).height == 2


DATA = pa.table(
    {
        "rate": pa.array([1.0, float("nan"), None, 15.0, -3.5]),
        "single": pa.array([0.1, float("nan"), None, 2.0, 0.0], pa.float32()),
        "half": pa.array([0.1, float("nan"), None, 2.0, 0.0], pa.float16()),
        "n": pa.array([1, 2, None, 2**31, -5], pa.int64()),
        "big": pa.array([2**63 + 5, 1, None, 2**64 - 1, 0], pa.uint64()),
        "flag": pa.array([True, False, None, True, False]),
        "text": pa.array(["good", "", None, "Good", "a.c"]),
        "kind": pa.array(["b", "a", None, "b", "a"]).dictionary_encode(),
        "nothing": pa.nulls(5),
    }
)
FIELDS = tuple(
    Field(f.name, f.type, nullable=True, categories=("a", "b", "c") if f.name == "kind" else None) for f in DATA.schema
)
rate, single, n, big, flag, text, kind = map(pl.col, ["rate", "single", "n", "big", "flag", "text", "kind"])


def c(op: str, *args: object, **options: object) -> Call:
    nodes = tuple(arg if isinstance(arg, Column | Call | Literal) else Literal(arg) for arg in args)
    return Call(op, nodes, tuple(options.items()))


RATE, SINGLE, N, BIG, FLAG, TEXT, KIND = map(Column, ["rate", "single", "n", "big", "flag", "text", "kind"])
PAIRS: list[tuple[Node, pl.Expr]] = [
    (c("gt", RATE, 0), rate > 0),
    (c("lt", 0, RATE), rate.gt(0)),
    (c("ne", RATE, 1.0), rate != 1.0),
    (c("eq", RATE, float("nan")), rate.is_nan()),
    (c("not", c("gt", RATE, 0)), ~(rate > 0)),
    (c("eq", SINGLE, 0.1), single == 0.1),
    (c("eq", SINGLE, np.float64(0.1)), single == np.float64(0.1)),
    (c("ge", Column("half"), 2), pl.col("half") >= 2),
    (c("eq", BIG, 2**63 + 5), big == 2**63 + 5),
    (c("gt", BIG, -1), big > -1),
    (c("and", FLAG, c("gt", N, 0), c("lt", N, 10)), flag & (n > 0) & (n < 10)),
    (c("or", FLAG, c("isna", N)), flag | n.is_null()),
    (c("xor", FLAG, c("notna", RATE)), flag ^ rate.is_not_null()),
    (c("isin", N, (1, 2**31, None)), n.is_in([1, 2**31])),
    (c("isin", RATE, (1, 15.0)), rate.is_in([1.0, 15.0])),
    (c("isin", RATE, (float("nan"),)), rate.is_in([float("nan")])),
    (c("isin", RATE, (np.float64("nan"), 1)), rate.is_in([float("nan"), 1.0])),
    (c("isin", SINGLE, (np.float64("nan"),)), single.is_nan()),
    (c("isin", N, (2.5, 2.0, np.float64("nan"))), n.is_in([2])),
    (c("isin", SINGLE, (0.1, 7)), (single == 0.1) | (single == 7)),
    (c("isin", SINGLE, (np.float64(0.1),)), single == np.float64(0.1)),
    (c("isin", BIG, (2**64 - 1, -1, 2**70)), big == 2**64 - 1),
    (c("isin", TEXT, ("good", "")), text.is_in(["good", ""])),
    (c("isin", KIND, ("a", "absent")), kind.is_in(["a", "absent"])),
    (c("isin", TEXT, ()), text.is_in(pl.Series([], dtype=pl.String))),
    (c("isin", N, ()), n.is_in([])),
    (c("not", c("isin", N, (1,))), ~n.is_in([1])),
    (c("between", RATE, 0, 15), rate.is_between(0, 15)),
    (c("between", RATE, 1, 15, inclusive="neither"), rate.is_between(1, 15, closed="none")),
    (c("between", N, 1, 2, inclusive="left"), n.is_between(1, 2, closed="left")),
    (c("eq", KIND, "a"), kind == "a"),
    (c("eq", KIND, "absent"), kind == "absent"),
    (c("gt", KIND, "a"), kind > "a"),
    (c("eq", Column("nothing"), 1), pl.col("nothing") == 1),
    (c("eq", N, None), n == pl.lit(None)),
    (c("gt", c("add", RATE, c("mul", N, 2)), 2.5), rate + n * 2 > 2.5),
    (c("eq", c("mod", c("floordiv", N, 2), 2), 0), n // 2 % 2 == 0),
    (c("gt", c("pow", c("sub", RATE, 1), 2), c("truediv", N, 3)), (rate - 1) ** 2 > n / 3),
    (c("gt", c("abs", c("neg", RATE)), 3), rate.abs() > 3),
    (c("eq", c("round", SINGLE, decimals=1), 0.1), single.round(1) == 0.1),
    (c("eq", c("clip", N, 0, 1), 1), n.clip(0, 1) == 1),
    (c("eq", c("clip", N, None, 1), 1), n.clip(upper_bound=1) == 1),
    (c("gt", c("fillna", RATE, 20), 15), rate.fill_null(20) > 15),
    (c("eq", c("astype", N, dtype="float32"), 2**31), n.cast(pl.Float32) == 2**31),
    (c("eq", c("astype", N, dtype="str"), "2"), n.cast(pl.String) == "2"),
    (c("astype", N, dtype="boolean"), n.cast(pl.Boolean)),
    (c("eq", c("str.lower", TEXT), "good"), text.str.to_lowercase() == "good"),
    (c("eq", c("str.upper", TEXT), "GOOD"), text.str.to_uppercase() == "GOOD"),
    (c("gt", c("str.len", TEXT), 3), text.str.len_chars() > 3),
    (c("eq", c("str.strip", TEXT, to_strip="d"), "goo"), text.str.strip_chars("d") == "goo"),
    (c("eq", c("str.lstrip", TEXT, to_strip="gG"), "ood"), text.str.strip_chars_start("gG") == "ood"),
    (c("eq", c("str.rstrip", TEXT), ""), text.str.strip_chars_end() == ""),
    (c("str.startswith", TEXT, "g"), text.str.starts_with("g")),
    (c("not", c("str.startswith", TEXT, ("g", "G"))), ~(text.str.starts_with("g") | text.str.starts_with("G"))),
    (c("str.endswith", TEXT, "d", na=True), text.str.ends_with("d").fill_null(pl.lit(value=True))),
    (c("str.contains", TEXT, "a.c"), text.str.contains("a.c")),
    (c("str.contains", TEXT, ".", regex=False), text.str.contains(".", literal=True)),
    (c("str.contains", TEXT, "GOOD", case=False), text.str.to_lowercase().str.contains("good", literal=True)),
    (c("str.match", TEXT, "go|x"), text.str.contains("^(go|x)")),
    (c("str.fullmatch", TEXT, "goo|good"), text == "good"),
    (c("str.startswith", KIND, "a"), kind.cast(pl.String).str.starts_with("a")),
]


@pytest.mark.parametrize(("node", "expr"), PAIRS, ids=[f"{i} {describe(node)}" for i, (node, _) in enumerate(PAIRS)])
def test_mask_keeps_the_rows_that_filter_keeps(node: Node, expr: pl.Expr) -> None:
    frame = to_polars(DATA, FIELDS).with_row_index("row")
    kept = mask(node, DATA, FIELDS)
    assert kept.dtype == np.bool_
    assert np.flatnonzero(kept).tolist() == frame.filter(expr)["row"].to_list()
    assert mask(node, DATA.slice(0, 0), FIELDS).shape == (0,)


@pytest.mark.parametrize(
    "node",
    [
        c("eq", TEXT, 1),
        c("gt", N, "a"),
        c("add", N, 1),
        c("isin", N, ("a",)),
        c("isin", TEXT, (1,)),
        c("str.contains", TEXT, "(?=x)"),
        c("eq", c("astype", c("mul", N, 1.5), dtype="int8"), 1),
        c("eq", c("round", RATE, decimals=-1), 0),
    ],
    ids=describe,
)
def test_what_polars_cannot_evaluate_is_an_error_of_the_project(node: Node) -> None:
    with pytest.raises(PredicateError):
        mask(node, DATA, FIELDS)


@pytest.mark.parametrize("column", [N, RATE, BIG, TEXT, KIND])
def test_membership_warns_of_nothing(column: Column) -> None:
    """Polars 2.1 prints this warning where warnings are errors, so that no other test fails of it."""
    members = ("good", "a") if column in {TEXT, KIND} else (1, 2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mask(c("isin", column, members), DATA, FIELDS)
        mask(c("isin", column, ()), DATA, FIELDS)
    assert [str(one.message) for one in caught] == []


def test_times_are_compared_as_times() -> None:
    times = [np.datetime64(f"{year}-01-01", "us") for year in (2020, 2021, 2022)]
    table = pa.table({"t": pa.array([times[0], times[2]], pa.timestamp("us"))})
    node = c("gt", Column("t"), times[1])
    assert mask(node, table, (Field("t", pa.timestamp("us")),)).tolist() == [False, True]


def test_constant_predicate_holds_for_all_rows_or_none() -> None:
    assert mask(c("gt", 2, 1), DATA, FIELDS).tolist() == [True] * 5
    assert mask(c("eq", None, 1), DATA, FIELDS).tolist() == [False] * 5
    assert mask(c("gt", 2, 1), DATA.slice(0, 0), FIELDS).tolist() == []


leaves: st.SearchStrategy[tuple[Node, pl.Expr]] = st.sampled_from(PAIRS)


@given(
    tree=st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda p: (Call("and", (p[0][0], p[1][0])), p[0][1] & p[1][1])),
            st.tuples(inner, inner).map(lambda p: (Call("or", (p[0][0], p[1][0])), p[0][1] | p[1][1])),
            inner.map(lambda p: (Call("not", (p[0],)), ~p[1])),
        ),
        max_leaves=5,
    ),
    order=st.permutations(range(5)),
)
@settings(deadline=None, max_examples=150)
def test_random_predicates_keep_the_rows_that_filter_keeps(tree: tuple[Node, pl.Expr], order: list[int]) -> None:
    table = DATA.take(pa.array(order))
    frame = to_polars(table, FIELDS)
    assert_frame_equal(frame.filter(pl.Series(mask(tree[0], table, FIELDS))), frame.filter(tree[1]))
