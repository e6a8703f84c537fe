"""The Arrow evaluator against plain Python over the values, one row after the other."""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_dask.adapters.arrow_predicate import mask
from nwb_dask.errors import PredicateError
from nwb_dask.plan.check import check_predicate
from nwb_dask.plan.predicate import Call, Column, Literal, Node
from nwb_dask.plan.query import parse_query
from tests.plan.predicates import BIG, FIELDS, NAN, TABLE, Case, predicate_cases

COLUMNS: dict[str, list[Any]] = {
    name: TABLE.column(name).to_pylist() if name != "half" else np.asarray(TABLE.column(name), np.float32).tolist()
    for name in TABLE.column_names
}


def is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def by_hand(node: Node, row: int) -> Any:
    """The value of `node` in a row: None is absent, and logic has three values."""
    if isinstance(node, Column):
        return COLUMNS[node.name][row]
    if isinstance(node, Literal):
        return node.value
    args = [by_hand(arg, row) for arg in node.args]
    if node.op == "and":
        return False if False in args else None if None in args else True
    if node.op == "or":
        return True if True in args else None if None in args else False
    if node.op in {"isna", "notna"}:
        return (args[0] is None) is (node.op == "isna")
    if node.op == "isin":
        return args[0] in args[1] or (is_nan(args[0]) and any(map(is_nan, args[1])))
    if None in args:
        return None
    functions: dict[str, Callable[..., Any]] = {
        **{name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
        "not": operator.not_,
        "xor": operator.xor,
        "between": lambda x, low, high: low <= x <= high,
        "str.startswith": str.startswith,
        "str.endswith": str.endswith,
        "str.contains": lambda x, part: part in x,
        "str.len": len,
    }
    return functions[node.op](*args)


_numbers = st.sampled_from([0, 1, 5, 255, 256, -1, BIG + 1, 2**63, -(2**63), 2**64 - 1, 2**70])
_floats = st.sampled_from([0.0, 0.5, 1.5, NAN, math.inf])
_texts = st.sampled_from(["good", "", "a", "CA1", "é"])
_compare = st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"])
_integers = st.sampled_from(["count", "big", "unsigned", "n"]).map(Column)
_floating = st.sampled_from(["rate", "snr", "half"]).map(Column)
_texted = st.sampled_from(["quality", "electrodes.location", "kind"]).map(Column)


def _pair(op: st.SearchStrategy[str], left: Any, right: Any) -> st.SearchStrategy[Node]:
    sides = (side if isinstance(side, st.SearchStrategy) else st.just(side) for side in (left, right))
    return st.builds(lambda op, *args: Call(op, args), op, *sides)


leaves: st.SearchStrategy[Node] = st.one_of(
    _pair(_compare, _integers, _numbers.map(Literal)),
    _pair(_compare, _numbers.map(Literal), _integers),
    _pair(_compare, _integers, _integers),
    _pair(_compare, _floating, _floats.map(Literal)),
    _pair(_compare, _texted.filter(lambda node: node.name != "kind"), _texts.map(Literal)),
    _pair(st.sampled_from(["eq", "ne"]), Column("kind"), _texts.map(Literal)),
    _pair(st.just("isin"), _integers, st.lists(_numbers, max_size=3).map(lambda values: Literal(tuple(values)))),
    _pair(st.just("isin"), _floating, st.lists(_floats, max_size=3).map(lambda values: Literal(tuple(values)))),
    _pair(
        st.just("isin"),
        _texted,
        st.lists(st.one_of(_texts, st.none()), max_size=3).map(lambda values: Literal(tuple(values))),
    ),
    _pair(st.sampled_from(["str.startswith", "str.endswith", "str.contains"]), _texted, _texts.map(Literal)),
    st.builds(
        lambda op, arg: Call(op, (arg,)), st.sampled_from(["isna", "notna"]), st.one_of(_integers, _floating, _texted)
    ),
    st.builds(lambda arg: Call("between", (arg, Literal(0), Literal(5))), _integers),
    st.sampled_from(["flag", "maybe"]).map(Column),
)
nodes = st.recursive(
    leaves,
    lambda children: st.one_of(
        _pair(st.sampled_from(["and", "or", "xor"]), children, children),
        children.map(lambda arg: Call("not", (arg,))),
    ),
    max_leaves=4,
)


@settings(max_examples=500, deadline=None)
@given(nodes)
def test_a_predicate_selects_the_rows_where_it_is_true(node: Node) -> None:
    check_predicate(node, FIELDS)
    expected = [by_hand(node, row) is True for row in range(TABLE.num_rows)]
    assert mask(node, TABLE, FIELDS).tolist() == expected


@settings(max_examples=300, deadline=None)
@given(predicate_cases())
def test_every_predicate_has_an_answer_or_a_predicate_error(case: Case) -> None:
    with contextlib.suppress(PredicateError):
        assert mask(case.node, TABLE, FIELDS).shape == (TABLE.num_rows,)


def rows(text: str) -> list[int]:
    node = parse_query(text, {"double": np.float64(0.1), "single": np.float32(0.1)}, fields=FIELDS)
    assert node is not None
    check_predicate(node, FIELDS)
    return np.flatnonzero(mask(node, TABLE, FIELDS)).tolist()


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("rate > 1.5", [5, 8, 9]),
        ("rate == rate", [0, 1, 2, 5, 6, 7, 8, 9]),
        ("rate != rate", [3]),
        ("rate.isna()", [4]),
        ("not rate > 1.5", [0, 1, 2, 3, 6, 7]),
        ("quality != 'good' and kind == 'a'", [4, 8, 9]),
        ("~quality.str.startswith('g')", [1, 3, 5, 7, 8, 9]),
        ("snr == 0.1", [0, 8]),
        ("snr == @single", [0, 8]),
        ("half > 0.4 and half < 0.6", [1]),
        ("kind.str.startswith('go')", [3, 7]),
        ("big == 9007199254740993", [2]),
        ("big > unsigned", [6]),
        ("count + 1 > 200", [5]),
        ("count / 2 == 2.5", [3]),
        ("count ** 2 == 25", [3]),
        ("big * 1.0 > 1e18", [4]),
        ("-n == 1", [4]),
        ("n.fillna(7) == 7", [1, 5]),
        ("n.fillna(0.5) == 0.5", [1, 5]),
        ("rate.round(0) == 2", [2, 9]),
        ("snr.abs() == 1", [4]),
        ("n.astype('float64') == 2", [2]),
        ("(count / 2).astype('int64') == 2", [3, 8]),
        ("flag == 1", [0, 2, 3, 6, 8]),
        ("flag.astype('int8') + count > 200", [4]),
        ("quality.str.lower() == 'good'", [0, 3]),
        ("quality.str.upper() == 'GOOD'", [0, 3]),
        ("quality.str.len() == 1", [7, 8, 9]),
        ("quality.str.contains('GOOD', case=False)", [0, 3, 4]),
        ("quality.str.contains('^g.*d$')", [0]),
        ("quality.str.contains('.', regex=False)", []),
        ("quality.str.match('goo')", [0, 4]),
        ("quality.str.fullmatch('g..d')", [0]),
        ("quality.str.contains('zz', na=True)", [2, 6]),
        ("`electrodes.location`.str.strip() == 'CA1'", [0, 5, 8]),
        ("`electrodes.location`.str.strip('1 ') == 'CA'", [0, 5, 8]),
        ("quality + 'x' == quality", []),
        ("quality == `electrodes.location`", []),
        ("flag and not flag", []),
        ("count.between(1, 3, 'neither')", [2]),
    ],
)
def test_operations_have_the_meaning_of_their_names(text: str, selected: list[int]) -> None:
    assert rows(text) == selected


@pytest.mark.parametrize(
    "node",
    [
        Call("eq", (Call("mod", (Column("count"), Literal(2))), Literal(0))),
        Call("eq", (Call("floordiv", (Column("count"), Literal(2))), Literal(0))),
        Call("eq", (Call("astype", (Column("rate"),), (("dtype", "str"),)), Literal("1.5"))),
        Call("eq", (Call("astype", (Column("snr"),), (("dtype", "int64"),)), Literal(0))),
        Call("gt", (Call("pow", (Column("big"), Literal(-1))), Literal(0))),
        Call("gt", (Call("add", (Column("big"), Column("unsigned"))), Literal(0))),
        Call("gt", (Call("truediv", (Column("quality"), Literal(0))), Literal(0))),
        Call("eq", (Column("quality"), Literal(5))),
        Call("str.contains", (Column("quality"), Literal("(")), ()),
        Call("str.contains", (Column("quality"), Literal("g")), (("flags", 8),)),
        Call("str.lower", (Column("quality"),)),
        Call("eq", (Column("absent"), Literal(5))),
        Call("gt", (Column("big"), Literal(10**60))),
    ],
)
def test_what_arrow_cannot_do_is_a_predicate_error(node: Node) -> None:
    with pytest.raises(PredicateError):
        mask(node, TABLE, FIELDS)


def test_values_are_clipped_and_nulls_stay() -> None:
    node = Call("eq", (Call("clip", (Column("n"), Literal(1), Literal(None))), Literal(1)))
    assert np.flatnonzero(mask(node, TABLE, FIELDS)).tolist() == [0, 4, 7]


def test_several_prefixes_are_alternatives() -> None:
    node = Call("str.startswith", (Column("electrodes.location"), Literal(("CA", "VIS"))))
    assert np.flatnonzero(mask(node, TABLE, FIELDS)).tolist() == [0, 1, 3, 5, 8]
    assert not mask(Call("str.startswith", (Column("quality"), Literal(()))), TABLE, FIELDS).any()


def test_a_constant_condition_holds_in_every_row() -> None:
    assert mask(Call("eq", (Literal("a"), Literal("a"))), TABLE, FIELDS).all()
    assert not mask(Literal(None), TABLE, FIELDS).any()


def test_nulls_only_select_nothing() -> None:
    table = pa.table({"rate": pa.nulls(2)})
    assert mask(Call("gt", (Column("rate"), Literal(1))), table, FIELDS).tolist() == [False, False]
    assert mask(Column("rate"), table, FIELDS).tolist() == [False, False]


def test_a_table_without_rows_gives_no_rows() -> None:
    assert mask(Call("gt", (Column("rate"), Literal(1))), TABLE.slice(0, 0), FIELDS).shape == (0,)


def test_the_answer_is_that_of_arrow_s_own_filter() -> None:
    node = Call(
        "and",
        (
            Call("gt", (Column("rate"), Literal(1))),
            Call("not", (Call("eq", (Column("quality"), Literal("good"))),)),
        ),
    )
    wanted = pc.and_kleene(pc.greater(TABLE["rate"], 1), pc.invert(pc.equal(TABLE["quality"], "good")))
    assert TABLE["big"].filter(pa.array(mask(node, TABLE, FIELDS))).equals(TABLE["big"].filter(wanted))
