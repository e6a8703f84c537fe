"""From polars' expressions to the algebra: what is said means the same, and what cannot be said is left out."""

from __future__ import annotations

import datetime as dt
import json
from functools import reduce
from operator import and_, or_
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings

import nwb_dask
from nwb_dask.adapters.polars_frame import mask, translate
from nwb_dask.adapters.polars_frame.translate import pushed_down
from nwb_dask.plan.predicate import columns_of, describe
from nwb_dask.plan.scan import Scan
from nwb_dask.read import scan_sources
from tests.adapters.polars_frame.tables import NAN, TABLE, predicates

x, s = pl.col("x"), pl.col("s")

SAID: list[tuple[pl.Expr, str]] = [
    (x > 3, "x > 3"),
    (pl.lit(3) > x, "3 > x"),
    (x == pl.lit(None), "x == None"),
    (x < NAN, "x < float('nan')"),
    (x >= float("-inf"), "x >= -inf"),
    (x == pl.lit(0.1, dtype=pl.Float32), "x == np.float32(0.1)"),
    (x != np.int16(3), "x != 3"),
    (x < 2**64, "x < 18446744073709551616"),
    ((x > 1) & (x < 3) & (s == ""), "((x > 1) & (x < 3)) & (s == '')"),
    ((x > 1) | ~(s == "a"), "(x > 1) | ~(s == 'a')"),
    ((x > 1) ^ pl.col("flag"), "(x > 1) ^ flag"),
    (-x + 1 > 2 * x, "(-x + 1) > (2 * x)"),
    (x / 2 // 3 % 4 == 1, "(((x / 2) // 3) % 4) == 1"),
    (x**2 == 4, "(x ** 2) == 4"),
    (x.abs() > 1, "x.abs() > 1"),
    (x.fill_null(0) > 1, "x.fillna(0) > 1"),
    (x.cast(pl.Float32) > 1, "x.astype(dtype='float32') > 1"),
    (pl.col("kind").cast(pl.String).str.contains("a"), "kind.astype(dtype='str').str.contains('a', regex=True)"),
    (x.is_null() & s.is_not_null(), "x.isna() & s.notna()"),
    (x.is_nan(), "x > inf"),
    (x.is_finite(), "x.abs() < inf"),
    (x.is_in([1, 2]), "x.isin([1, 2])"),
    (x.is_in(pl.Series([1, 3], dtype=pl.Int8)), "x.isin([1, 3])"),
    (x.is_in(pl.Series([[1, 4]])), "x.isin([1, 4])"),
    (s.is_in(["a", None]), "s.isin(['a', None])"),
    (x.is_between(1, 2), "x.between(1, 2, inclusive='both')"),
    (x.is_between(1, 2, closed="none"), "x.between(1, 2, inclusive='neither')"),
    (s.str.starts_with("a"), "s.str.startswith('a')"),
    (s.str.ends_with("a"), "s.str.endswith('a')"),
    (s.str.contains("a.", literal=True), "s.str.contains('a.', regex=False)"),
    (s.str.to_lowercase().str.strip_chars() == "a", "s.str.lower().str.strip(to_strip=None) == 'a'"),
    (s.str.len_chars() > 2, "s.str.len() > 2"),
    ((x > 5).alias("y"), "x > 5"),
]
UNSAID: dict[str, pl.Expr] = {
    "no column": pl.lit(value=True),
    "missing equals missing": x.eq_missing(None),
    "null is a member": x.is_in([1], nulls_equal=True),
    "another column's members": x.is_in(pl.col("list")),
    "cast that may fail": x.cast(pl.Int8, strict=False) > 1,
    "cast to categories": s.cast(pl.Enum(["a"])) == "a",
    "branches": pl.when(x > 1).then(1).otherwise(2) > 1,
    "horizontal": pl.any_horizontal(x > 1, x < 0),
    "time": pl.col("t") > dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    "year": pl.col("t").dt.year() > 2000,
    "bytes": pl.col("b") == b"a",
    "length of a list": pl.col("list").list.len() > 1,
    "element": pl.col("array").arr.get(0) > 1,
    "field": pl.col("struct").struct.field("x") > 1,
    "function of Python": x.map_elements(lambda value: hash(value) > 1, return_dtype=pl.Boolean),
    "pattern of each row": s.str.starts_with(pl.col("quality")),
    "several patterns": s.str.contains_any(["a"]),
    "filled with another column": x.fill_null(pl.col("y")) > 1,
    "average": x > x.mean(),
}


@pytest.mark.parametrize(("expr", "said"), SAID, ids=[said for _, said in SAID])
def test_expression_is_said_in_the_algebra(expr: pl.Expr, said: str) -> None:
    node = translate.translate(expr)
    assert node is not None
    assert describe(node) == said


@pytest.mark.parametrize("expr", UNSAID.values(), ids=UNSAID)
def test_what_cannot_be_said_is_left_out(expr: pl.Expr) -> None:
    assert translate.translate(expr) is None


@pytest.mark.parametrize(
    "changed",
    [
        None,
        [],
        {"Compare": {}},
        {"BinaryExpr": {"operator": "Gt"}},
        {"BinaryExpr": {"left": {"Column": "x"}, "op": "Spaceship", "right": {"Column": "x"}}},
        {"BinaryExpr": {"left": {"Column": {"name": "x"}}, "op": "Gt", "right": {"Literal": 3}}},
        {"BinaryExpr": {"left": {"Column": "x"}, "op": "Gt", "right": {"Literal": {}}}},
        {"BinaryExpr": {"left": {"Column": "x"}, "op": ["Gt"], "right": {"Literal": {"Dyn": {"Int": 3}}}}},
        {"Function": {"input": [{"Column": "x"}], "function": {"Boolean": {"IsIn": {}, "b": 1}}}},
        {"Function": {"input": [{"Column": "x"}, {"Column": "x"}], "function": {"Boolean": "IsBetween"}}},
        {"Function": {"name": "x"}},
        {"Cast": {"expr": {"Column": "x"}, "options": "Strict"}},
    ],
    ids=str,
)
def test_other_serializations_of_polars_are_left_out(changed: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translate, "_tree", lambda _: json.loads(json.dumps(changed)))
    assert translate.translate(x > 3) is None
    assert pushed_down(x > 3, ())[0] is None


@pytest.fixture(scope="session")
def scan(files: list[Path]) -> Scan:
    return scan_sources(files, TABLE)


@pytest.fixture(scope="session")
def light(files: list[Path], scan: Scan) -> pa.Table:
    names = [field.name for field in scan.fields if not field.heavy]
    return nwb_dask.read_table(files, TABLE, engine="arrow", columns=names)


@given(predicate=predicates())
@settings(deadline=None, max_examples=200)
def test_translation_keeps_the_rows_that_the_expression_keeps(
    scan: Scan, light: pa.Table, eager: pl.DataFrame, predicate: pl.Expr
) -> None:
    node = translate.translate(predicate)
    if node is None or any(scan.field(name).heavy for name in columns_of(node)):
        return
    kept = mask(node, light, scan.fields)
    expected = eager.with_row_index("row").filter(predicate)["row"].to_list()
    assert np.flatnonzero(kept).tolist() == expected


@given(predicate=predicates())
@settings(deadline=None, max_examples=100)
def test_no_row_that_is_wanted_is_left_out_by_what_is_pushed(
    scan: Scan, light: pa.Table, eager: pl.DataFrame, predicate: pl.Expr
) -> None:
    node, keeps = pushed_down(predicate, scan.fields)
    if node is None:
        return
    used = tuple(scan.field(name) for name in sorted(columns_of(node)))
    wanted = eager.with_row_index("row").filter(predicate)["row"].to_list()
    assert set(wanted) <= set(np.flatnonzero(keeps(node, light, used)).tolist())
    files = set(eager.filter(predicate)["_nwb_path"])
    assert files <= {path for path, may in zip(scan.names(), scan.may_match(node), strict=True) if may}


def pushed(scan: Scan, *parts: pl.Expr) -> str | None:
    node, _ = pushed_down(reduce(and_, parts), scan.fields)
    return None if node is None else describe(node)


def test_conditions_are_pushed_one_by_one(scan: Scan) -> None:
    rate, long = pl.col("rate") > 1, pl.col("spike_times").list.len() > 1
    missing = pl.col("spike_times").is_null()
    assert pushed(scan, rate, long, pl.col("flag")) == "(rate > 1) & flag"
    assert pushed(scan, long, missing) is None
    assert pushed(scan, rate | missing) is None
    assert pushed_down(None, scan.fields)[0] is None


def test_of_what_cannot_be_said_the_columns_are_pushed(scan: Scan) -> None:
    branches = pl.when(pl.col("count") > 2).then(pl.col("rate")).otherwise(1) > 1
    assert pushed(scan, branches) == "count.isna() | count.notna() | rate.isna() | rate.notna()"
    assert pushed(scan, branches, pl.col("flag")).endswith(" & flag")  # type: ignore[union-attr]  # text
    length = pl.col("spike_times").list.len()
    assert pushed(scan, pl.when(pl.col("flag")).then(length).otherwise(0) > 1) is None
    dice = pl.col("count").map_elements(lambda _: next(iter({True, False})), return_dtype=pl.Boolean)
    assert pushed(scan, dice) is None


def test_no_file_is_left_out_by_what_cannot_be_said(scan: Scan) -> None:
    node, _ = pushed_down(pl.when(pl.col("_nwb_path") == "x").then(1).otherwise(2) > 3, scan.fields)
    assert node is not None
    assert (scan.may_match(node) == (scan.rows > 0)).all()


def test_what_fails_on_some_rows_keeps_them_all(scan: Scan, light: pa.Table) -> None:
    """The whole predicate is applied later, and fails in polars' own words."""
    node, keeps = pushed_down(pl.col("quality").cast(pl.Float64) > 1, scan.fields)
    assert node is not None
    assert keeps(node, light, (scan.field("quality"),)).all()


def test_a_wrong_translation_changes_no_answer(
    lazy: pl.LazyFrame, eager: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translate, "_BINARY", {**translate._BINARY, "Gt": "lt", "Eq": "ne"})
    for condition in (pl.col("rate") > 1, pl.col("quality") == "good", ~(pl.col("count") > 3)):
        got = lazy.filter(condition).select("id", "spike_times").collect()
        assert got.equals(eager.filter(condition).select("id", "spike_times"))


def test_many_conditions_may_be_nested(lazy: pl.LazyFrame, eager: pl.DataFrame) -> None:
    for join in (and_, or_):
        condition = reduce(join, [pl.col("count") != number for number in range(1, 400)])
        assert lazy.filter(condition).select("id").collect().equals(eager.filter(condition).select("id"))
    assert translate.translate(reduce(or_, [x != number for number in range(400)])) is None


def test_error_of_a_predicate_is_that_of_polars(lazy: pl.LazyFrame, eager: pl.DataFrame) -> None:
    errors: list[Any] = []
    for frame in (lazy, eager.lazy()):
        with pytest.raises(pl.exceptions.PolarsError) as caught:
            frame.filter(pl.col("quality").cast(pl.Float64) > 1).collect()
        errors.append(caught.value)
    assert type(errors[0]) is type(errors[1])
