"""Query strings: the same rows as `pandas.DataFrame.query`, or not translated at all."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_dask.adapters.pandas_frame import to_pandas
from nwb_dask.adapters.pandas_frame.predicate import evaluate
from nwb_dask.errors import NWBDaskError
from nwb_dask.model.field import Field
from nwb_dask.plan.check import check_predicate
from nwb_dask.plan.predicate import Call, Column, Literal, describe
from nwb_dask.plan.query import parse_query
from tests.plan.predicates import FIELDS, LIGHT, TABLE

FRAME = to_pandas(TABLE, LIGHT)
LOCAL = {
    "five": 5,
    "tenth": 0.1,
    "double": np.float64(0.1),
    "single": np.float32(0.1),
    "good": "good",
    "texts": ["good", "a"],
    "pair": (0, 5),
    "several": {1, 5},
    "array": np.array([0, 5]),
    "nothing": None,
}

_columns = st.sampled_from(["rate", "snr", "half", "count", "big", "n"])
_text_columns = st.sampled_from(["quality", "`electrodes.location`", "kind", "quality.str.lower()"])
_numbers = st.sampled_from(["0", "1", "5", "-1", "0.1", "1.5", "2", "@five", "@tenth", "@double", "@single", "inf"])
_texts = st.sampled_from(["'good'", "''", '"CA1"', "'a'", "'é'", "@good"])
_compare = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
_ands = st.sampled_from(["&", "and", "|", "or"])


@st.composite
def arithmetic(draw: st.DrawFn) -> str:
    column = draw(_columns)
    form = draw(st.integers(0, 5))
    if form == 0:
        return f"{column} {draw(st.sampled_from('+-*/'))} {draw(st.sampled_from(['1', '2', '0.5', '@tenth']))}"
    if form == 1:
        return f"({column} + {draw(_columns)})"
    return f"-{column}" if form == 2 else column


@st.composite
def conditions(draw: st.DrawFn) -> str:
    form = draw(st.integers(0, 10))
    number, text = draw(_columns), draw(_text_columns)
    if form == 0:
        return f"{draw(arithmetic())} {draw(_compare)} {draw(_numbers)}"
    if form == 1:
        return f"{draw(_numbers)} {draw(_compare)} {number}"
    if form == 2:
        return f"{draw(st.sampled_from(['0', '@tenth', '-1']))} {draw(_compare)} {number} {draw(_compare)} 5"
    if form == 3:
        return f"{text} {draw(st.sampled_from(['==', '!=']))} {draw(_texts)}"
    if form == 4:
        return f"{draw(_texts)} {draw(st.sampled_from(['==', '!=', 'in', 'not in']))} {text}"
    if form == 5:
        members = ", ".join(draw(st.lists(st.sampled_from(["'good'", "'a'", "''"]), max_size=3)))
        return f"{text} {draw(st.sampled_from(['in', 'not in', '==', '!=']))} [{members}]"
    if form == 6:
        members = draw(st.sampled_from(["@pair", "@several", "@array", "[0, -1]", "(5,)"]))
        return f"{number} {draw(st.sampled_from(['in', 'not in']))} {members}"
    if form == 7:
        return draw(st.sampled_from(["flag", "maybe", "~flag", "not maybe", "flag == True", "flag != maybe"]))
    if form == 8:
        return f"{draw(st.sampled_from([number, text]))}.{draw(st.sampled_from(['isna', 'notna']))}()"
    if form == 9:
        return draw(st.sampled_from([f"{number}.between(0, 5)", f"{number}.isin([1, 5])", f"{number}.abs() > 1"]))
    return f"quality.str.{draw(st.sampled_from(['startswith', 'endswith', 'contains']))}({draw(_texts)})"


def _joined(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(children, _ands, children).map(" ".join),
        st.tuples(children, _ands, children).map(lambda parts: f"({' '.join(parts)})"),
        children.map(lambda text: f"not ({text})"),
        children.map(lambda text: f"~({text})"),
    )


queries = st.recursive(conditions(), _joined, max_leaves=4)


def rows_by_pandas(text: str) -> list[int] | None:
    """Labels of the rows; None if pandas refuses the query."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            return FRAME.query(text, engine="python", local_dict=LOCAL, global_dict={}).index.tolist()
        except (TypeError, ValueError, NotImplementedError, KeyError, OverflowError):
            return None


@settings(max_examples=500, deadline=None)
@given(queries)
def test_a_query_selects_the_rows_that_pandas_selects(text: str) -> None:
    expected = rows_by_pandas(text)
    node = parse_query(text, LOCAL, {}, fields=FIELDS)
    if node is None or expected is None:
        return
    assert FRAME.index[evaluate(node, FRAME)].tolist() == expected, describe(node)


@settings(max_examples=200, deadline=None)
@given(queries)
def test_a_query_says_the_same_when_it_is_written_out_and_read_again(text: str) -> None:
    node = parse_query(text, {**LOCAL, "double": 0.1, "single": 0.1, "array": [0, 5]}, {})
    if node is not None:
        assert parse_query(describe(node)) == node, describe(node)


@pytest.mark.parametrize(
    "text",
    [
        "rate > 1 & flag",
        "rate > 1 and quality == 'good' or not flag",
        "0 < rate <= 5 != count",
        "rate > 1 & count < 5 | ~flag",
        "`electrodes.location` == 'CA1'",
        "`electrodes.location`.str.contains('ca', case=False)",
        "quality in ['good', 'a']",
        "quality != 'good'",
        "'good' == quality",
        "['good', 'a'] == quality",
        "quality not in @texts",
        "quality == @good",
        "rate in @array",
        "snr == @tenth",
        "snr == @double",
        "snr == @single",
        "half == @double",
        "rate > @double",
        "@double < snr",
        "rate < inf and rate > -inf",
        "rate == None",
        "count % 2 == 1",
        "count // 2 == 1",
        "big ** 2 > 5",
        "-rate < -1",
        "+rate < 1",
        "rate.round(1) == 0.1",
        "rate.round(decimals=1) == 0.1",
        "rate.fillna(0) == 0",
        "count.astype('float32') / 3 > 1",
        "count.between(1, 5, 'left')",
        "count.between(1, n)",
        "quality.str.len() > 2",
        "quality.str.strip() == 'good'",
        "quality.isin(['good'])",
        "(rate + count).isna()",
        "(rate + count) in [2, 6]",
        "flag and True",
        "flag == (rate > 1)",
        "  rate > 1  ",
        "rate > 1 # a remark with &",
        "quality == 'it`s' or flag",
        'quality == "a & b" or flag',
        "maybe",
        "not maybe",
        "big == 9007199254740993",
        "unsigned == 18446744073709551615",
        "quality < 'good'",
    ],
)
def test_what_users_write_is_translated_and_selects_what_pandas_selects(text: str) -> None:
    node = parse_query(text, LOCAL, {}, fields=FIELDS)
    assert node is not None
    check_predicate(node, FIELDS)
    expected = rows_by_pandas(text)
    assert expected is not None
    assert FRAME.index[evaluate(node, FRAME)].tolist() == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "rate >",
        "rate > 1; flag",
        "rate > 1\nflag",
        "(rate > 1 and\nflag)",
        "x = rate > 1",
        "rate = 1",
        "index > 3",
        "columns == 'a'",
        "ilevel_0 > 1",
        "sin(rate) > 0.5",
        "abs(rate) > 1",
        "rate.mean() > 1",
        "rate > rate.mean()",
        "rate.map(@f)",
        "rate.shift() > 1",
        "rate.cumsum() > 1",
        "rate.values > 1",
        "rate.__class__",
        "rate[0] > 1",
        "@unknown > 1",
        "rate > @object",
        "rate > @frame.value",
        "@frame['a'] == rate",
        "1 < 2",
        "True",
        "not True and flag",
        "@pair",
        "rate in 5",
        "rate in count",
        "quality == ('good' 'x', count)",
        "quality in [@good, 'a']",
        "count in [n, 1]",
        "rate == @pair",
        "rate + quality.str in [1]",
        "(quality + 'x') == 'goodx'",
        "rate > None",
        "rate if flag else count",
        "lambda: rate",
        "[x for x in rate]",
        "rate is None",
        "__import__('os').system('true')",
        "rate > 1j",
        "quality == b'x'",
        "f'{rate}' == quality",
        "rate @ count",
        "rate << 1 > 2",
        "`rate > 1",
        "rate and 5",
        "quality.str.replace('a', 'b') == 'b'",
        "quality.str.contains(quality)",
        "quality.isin('good')",
        "quality.isin(quality)",
        "rate.between(1)",
        "rate.isin(*@pair)",
        "rate.isin(**@pair)",
        "Timestamp('2020') > rate",
        "nan == rate",
        "rate > \x00",
        "__quoted_column_0_ > 1",
        "`rate` > 1 and `count`1 > 1",
        "x`rate` > 1",
        "@`five` > rate",
    ],
)
def test_what_has_no_words_in_the_algebra_is_left_to_pandas(text: str) -> None:
    assert parse_query(text, {**LOCAL, "object": object(), "frame": FRAME, "f": len}, {}) is None


def test_a_query_nested_too_deep_is_not_translated() -> None:
    assert parse_query("(" * 5000 + "rate" + ")" * 5000 + " > 1") is None


def test_a_long_list_of_alternatives_stays_flat() -> None:
    node = parse_query(" or ".join(f"count == {number}" for number in range(500)))
    assert isinstance(node, Call)
    assert len(node.args) == 500


def test_a_numpy_scalar_is_compared_in_float32_only_with_float32_columns() -> None:
    local = {"x": np.float64(0.1)}
    assert parse_query("snr > @x", local) is None
    assert parse_query("snr > @x", local, fields=FIELDS) == Call("gt", (Column("snr"), Literal(np.float32(0.1))))
    assert parse_query("rate > @x", local, fields=FIELDS) == Call("gt", (Column("rate"), Literal(np.float64(0.1))))
    assert parse_query("snr * 2 > @x", local, fields=FIELDS) is None


def test_a_local_variable_hides_a_global_one() -> None:
    one = Call("eq", (Column("count"), Literal(1)))
    assert parse_query("count == @x", {"x": 1}, {"x": 2}) == one
    assert parse_query("count == @x", {}, {"x": 1}) == one


def test_a_column_called_like_the_index_is_a_column_if_the_fields_say_so() -> None:
    frame = pd.DataFrame({"index": [5, 1]})
    node = parse_query("index > 3", fields=(Field("index", pa.int64()),))
    assert node is not None
    assert evaluate(node, frame).tolist() == [True, False]
    assert frame.query("index > 3").index.tolist() == [0]


def test_a_backtick_in_a_name_is_written_twice() -> None:
    assert parse_query("`a``b` > 1") == Call("gt", (Column("a`b"), Literal(1)))


def test_keywords_and_spaces_are_columns_in_backticks() -> None:
    assert parse_query("`class` > 1 and `max rate` < 2") == Call(
        "and", (Call("gt", (Column("class"), Literal(1))), Call("lt", (Column("max rate"), Literal(2))))
    )


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab1 .&|~@`'\"()[]<>=!,in+-*\\\n\x00é", max_size=30))
def test_no_text_makes_the_parser_fail(text: str) -> None:
    try:
        parse_query(text, {"a": 1})
    except NWBDaskError as error:
        pytest.fail(f"{text!r}: {error}")
