"""The pandas evaluator against the same expression written by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings

from nwb_dask.adapters.pandas_frame import to_pandas
from nwb_dask.adapters.pandas_frame.predicate import evaluate, mask
from nwb_dask.errors import PredicateError
from nwb_dask.model.field import Field
from nwb_dask.plan.check import check_predicate
from nwb_dask.plan.predicate import Call, Column, Literal, all_of, substitute_constants
from tests.plan.predicates import FIELDS, LIGHT, TABLE, Case, predicate_cases, selected

FRAME = to_pandas(TABLE, LIGHT)


@settings(max_examples=400, deadline=None)
@given(predicate_cases())
def test_a_predicate_selects_the_rows_that_pandas_selects(case: Case) -> None:
    check_predicate(case.node, FIELDS)
    assert mask(case.node, TABLE, FIELDS).tolist() == selected(case, FRAME)


@settings(max_examples=50, deadline=None)
@given(predicate_cases(), predicate_cases())
def test_two_filters_one_after_the_other_are_their_conjunction(first: Case, second: Case) -> None:
    node = all_of([first.node, second.node])
    assert node is not None
    left = FRAME.loc[selected(first, FRAME)]
    rows = left.loc[selected(second, left)] if len(left) else left
    assert FRAME.index[mask(node, TABLE, FIELDS)].tolist() == rows.index.tolist()


def test_a_later_condition_is_not_evaluated_on_rows_that_an_earlier_one_drops() -> None:
    frame = pd.DataFrame({"x": [1.0, np.nan, 7.0]})
    whole = Call("gt", (Call("astype", (Column("x"),), (("dtype", "int64"),)), Literal(5)))
    node = Call("and", (Call("notna", (Column("x"),)), whole))
    assert evaluate(node, frame).tolist() == [False, False, True]


def test_a_null_selects_nothing_and_neither_does_its_negation() -> None:
    good = Call("eq", (Column("quality"), Literal("good")))
    absent = [value is None for value in TABLE.column("quality").to_pylist()]
    assert not mask(good, TABLE, FIELDS)[absent].any()
    assert not mask(Call("not", (good,)), TABLE, FIELDS)[absent].any()


def test_float32_is_compared_with_a_plain_number_in_float32_and_with_float64_in_float64() -> None:
    frame = pd.DataFrame({"x": np.array([0.1], np.float32)})
    assert evaluate(Call("eq", (Column("x"), Literal(0.1))), frame).tolist() == [True]
    assert evaluate(Call("eq", (Column("x"), Literal(np.float64(0.1)))), frame).tolist() == [False]


def test_integers_beyond_float64_are_compared_exactly() -> None:
    node = Call("eq", (Column("big"), Literal(2**53 + 1)))
    assert np.flatnonzero(mask(node, TABLE, FIELDS)).tolist() == [2]


def test_a_constant_condition_holds_in_every_row() -> None:
    node = substitute_constants(Call("str.startswith", (Column("p"), Literal("/da"))), {"p": "/data/a.nwb"})
    assert mask(node, TABLE, FIELDS).all()
    assert mask(Call("not", (Call("eq", (Literal("a"), Literal("b"))),)), TABLE, FIELDS).all()


def test_a_table_without_rows_gives_no_rows() -> None:
    node = Call("str.contains", (Column("quality"), Literal("g")))
    assert mask(node, TABLE.slice(0, 0), FIELDS).shape == (0,)


def test_what_is_not_true_or_false_is_refused() -> None:
    with pytest.raises(PredicateError, match="not true or false"):
        mask(Call("add", (Column("count"), Literal(1))), TABLE, FIELDS)


def test_what_pandas_cannot_compare_is_refused_with_the_expression() -> None:
    with pytest.raises(PredicateError, match="quality > 5"):
        mask(Call("gt", (Column("quality"), Literal(5))), TABLE, FIELDS)


def test_several_prefixes_are_alternatives() -> None:
    node = Call("str.startswith", (Column("electrodes.location"), Literal(("CA", "VIS"))))
    assert np.flatnonzero(mask(node, TABLE, FIELDS)).tolist() == [0, 1, 3, 5, 8]


def test_chunks_of_a_table_do_not_matter() -> None:
    twice = pa.concat_tables([TABLE, TABLE])
    node = Call("eq", (Column("kind"), Literal("a")))
    once = mask(node, TABLE, FIELDS)
    assert mask(node, twice, (*LIGHT, Field("other", pa.int8()))).tolist() == [*once, *once]
