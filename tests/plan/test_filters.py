"""Filters as users write them, and what is said when they make no sense."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_dask.errors import PathNotFoundError, PredicateError
from nwb_dask.plan.check import check_predicate
from nwb_dask.plan.filters import Filters, also, named_columns, parse_filters
from nwb_dask.plan.predicate import Call, Column, Literal, Node
from tests.plan.predicates import FIELDS

GOOD = Call("eq", (Column("quality"), Literal("good")))
FAST = Call("gt", (Column("rate"), Literal(5)))


@pytest.mark.parametrize(
    ("filters", "node"),
    [
        (None, None),
        ([("quality", "==", "good")], GOOD),
        (("quality", "=", "good"), GOOD),
        ([("quality", "==", "good"), ("rate", ">", 5)], Call("and", (GOOD, FAST))),
        ([[("quality", "==", "good")], [("rate", ">", 5)]], Call("or", (GOOD, FAST))),
        ([[("quality", "==", "good"), ("rate", ">", 5)]], Call("and", (GOOD, FAST))),
        ([["quality", "==", "good"]], GOOD),
        (FAST, FAST),
        ("rate > 5", FAST),
        ("quality.str.startswith('g')", Call("str.startswith", (Column("quality"), Literal("g")))),
        ([("count", "in", [1, 2])], Call("isin", (Column("count"), Literal((1, 2))))),
        ([("count", "in", {2, 1})], Call("isin", (Column("count"), Literal((1, 2))))),
        ([("count", "in", range(2))], Call("isin", (Column("count"), Literal((0, 1))))),
        ([("quality", "in", np.array(["a"]))], Call("isin", (Column("quality"), Literal(("a",))))),
        ([("count", "not  IN", (1,))], Call("not", (Call("isin", (Column("count"), Literal((1,)))),))),
        ([("rate", "is", None)], Call("isna", (Column("rate"),))),
        ([("rate", "is not", float("nan"))], Call("notna", (Column("rate"),))),
        ([("rate", "<=", 1)], Call("le", (Column("rate"), Literal(1)))),
        ([("rate", "!=", 0)], Call("ne", (Column("rate"), Literal(0)))),
    ],
)
def test_filters_become_one_predicate(filters: Filters | None, node: Node | None) -> None:
    assert parse_filters(filters, FIELDS) == node


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ([], "malformed"),
        ([[]], "empty"),
        ([("rate", ">")], "malformed"),
        ([("rate", ">", 5), [("rate", ">", 5)]], "malformed"),
        ([("rate", "~", 5)], "unknown operator"),
        ([("rate", "==", None)], "'is', None"),
        ([("rate", ">", np.float32("nan"))], "'is', None"),
        ([("rate", "is", 5)], "takes None"),
        ([("quality", "in", "good")], "list of values"),
        ([("rate", "==", [1, 2])], "'in'"),
        (5, "malformed"),
        ("sin(rate) > 1", "cannot read the filter"),
        ("rate > @threshold", "cannot read the filter"),
        ("count", "not true or false"),
        ([("quality", "==", object())], "not with"),
    ],
)
def test_malformed_filters_are_refused_with_the_way_out(filters: Filters, said: str) -> None:
    with pytest.raises(PredicateError, match=said):
        parse_filters(filters, FIELDS)


def test_an_unknown_column_is_named_with_the_nearest_one() -> None:
    with pytest.raises(PathNotFoundError, match=r"no column 'qualty' .* did you mean 'quality'\?"):
        parse_filters([("qualty", "==", "good")], FIELDS)


def test_an_unknown_column_far_from_all_is_answered_with_those_there_are() -> None:
    with pytest.raises(PathNotFoundError, match="can be filtered: rate, snr"):
        parse_filters([("zzzzzz", "==", 1)], FIELDS)


def test_a_ragged_column_is_refused_with_the_columns_that_can_be_filtered() -> None:
    with pytest.raises(PredicateError, match=r"'spike_times': it holds list<.*Filter on rate, snr.*length"):
        parse_filters([("spike_times", ">", 1)], FIELDS)


def test_an_unreadable_column_is_refused_with_its_problem() -> None:
    with pytest.raises(PredicateError, match="not UTF-8"):
        parse_filters([("broken", "==", 1)], FIELDS)


@pytest.mark.parametrize(
    "text",
    [
        "quality > 5",
        "quality in [1, 2]",
        "rate == 'fast'",
        "rate in ['a', 1]",
        "quality == rate",
        "kind < 'b'",
        "kind + 1 > 2",
        "rate.str.len() > 2",
        "~count",
        "count & flag",
        "-quality < 'x'",
        "quality * 2 < 'aa'",
        "rate.between('a', 'b')",
        "quality.fillna(0) == 'a'",
        "flag + maybe > 1",
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_expression(text: str) -> None:
    with pytest.raises(PredicateError, match=r"cannot evaluate|must be"):
        parse_filters(text, FIELDS)


@pytest.mark.parametrize(
    "text",
    [
        "flag",
        "~maybe",
        "flag == 1",
        "quality + 'x' == quality",
        "kind == 'a'",
        "kind.str.startswith('a')",
        "quality.isna()",
        "kind == quality",
        "quality.fillna('none') == 'none'",
        "n.astype('float64') > 1",
        "rate.round(1) > 0.5",
        "count == None",
    ],
)
def test_what_can_be_compared_is_accepted(text: str) -> None:
    assert parse_filters(text, FIELDS) is not None


def test_a_predicate_without_columns_is_refused() -> None:
    with pytest.raises(PredicateError, match="names no column"):
        check_predicate(Literal(value=True), FIELDS)


def test_a_set_gives_the_same_predicate_in_whatever_order_it_is_stored() -> None:
    letters = [chr(97 + i) for i in range(20)]
    one = parse_filters([("quality", "in", set(letters))], FIELDS)
    assert one == parse_filters([("quality", "in", frozenset(reversed(letters)))], FIELDS)


def test_the_columns_of_filters_are_known_before_the_fields() -> None:
    assert named_columns(None) == frozenset()
    assert named_columns("rate > 5 & quality == 'good'") == frozenset({"rate", "quality"})
    assert named_columns([[("rate", ">", 5)], [("count", "in", [1])]]) == frozenset({"rate", "count"})


def test_columns_that_text_names_only_with_the_fields_at_hand_are_not_guessed() -> None:
    assert named_columns("index > 5") is None


@pytest.mark.parametrize(
    "filters",
    [None, FAST, [("rate", ">", 5)], [[("rate", ">", 5)], [("rate", "<", 1)]], "rate > 5 or rate < 1"],
)
def test_a_further_condition_holds_besides(filters: Filters | None) -> None:
    both = also(filters, ("quality", "in", ["good", "o'k \\"]))
    given = parse_filters(filters, FIELDS)
    member = Call("isin", (Column("quality"), Literal(("good", "o'k \\"))))
    assert parse_filters(both, FIELDS) == (member if given is None else Call("and", (given, member)))
