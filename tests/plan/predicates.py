"""Random predicates, each with what one would write by hand in pandas, and a table that has every trap."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

from nwb_dask.model.field import Field
from nwb_dask.plan.predicate import Call, Column, Literal, Node

NAN = float("nan")
BIG = 2**53

FIELDS = (
    Field("rate", pa.float64(), nullable=True),
    Field("snr", pa.float32()),
    Field("half", pa.float16()),
    Field("count", pa.uint8()),
    Field("big", pa.int64()),
    Field("unsigned", pa.uint64()),
    Field("n", pa.int64(), nullable=True),
    Field("flag", pa.bool_()),
    Field("maybe", pa.bool_(), nullable=True),
    Field("quality", pa.string(), nullable=True),
    Field("electrodes.location", pa.string()),
    Field("kind", pa.dictionary(pa.int32(), pa.string()), nullable=True, categories=("a", "b", "good")),
    Field("spike_times", pa.list_(pa.float64()), heavy=True),
    Field("broken", pa.null(), problem="its bytes are not UTF-8"),
)
LIGHT = tuple(field for field in FIELDS if not field.heavy and not field.problem)

_VALUES: dict[str, list[Any]] = {
    "rate": [0.0, -0.0, 1.5, NAN, None, float("inf"), float("-inf"), 0.1, 5.0, 2.0],
    "snr": [0.1, 0.5, NAN, 5.0, -1.0, 0.0, 2.0, 16777216.0, 0.1, 1.5],
    "half": [0.1, 0.5, NAN, 5.0, -1.0, 0.0, 2.0, 2048.0, 0.1, 1.5],
    "count": [0, 1, 2, 5, 255, 200, 100, 3, 4, 128],
    "big": [0, BIG, BIG + 1, -BIG - 1, 2**63 - 1, -(2**63), 5, 1, 2, -1],
    "unsigned": [0, BIG, BIG + 1, 2**63, 2**64 - 1, 5, 1, 2, 3, 4],
    "n": [0, None, 2, 5, -1, None, BIG + 1, 1, 3, 4],
    "flag": [True, False, True, True, False, False, True, False, True, False],
    "maybe": [True, False, None, True, None, False, True, None, False, True],
    "quality": ["good", "", None, "Good", "good unit", "noise", None, "é", "b", "a"],
    "electrodes.location": ["CA1", "CA3", "", "VISp", "ca1", "CA1", "good", "a.b", "CA1 ", "b"],
    "kind": ["a", "b", None, "good", "a", None, "b", "good", "a", "a"],
}
TABLE = pa.table(
    {
        field.name: pa.array(np.array(_VALUES[field.name], np.float16))
        if field.type == pa.float16()
        else pa.array(_VALUES[field.name], field.type)
        if not pa.types.is_dictionary(field.type)
        else pa.DictionaryArray.from_arrays(
            pa.array([None if v is None else ["a", "b", "good"].index(v) for v in _VALUES["kind"]], pa.int32()),
            pa.array(["a", "b", "good"]),
        )
        for field in LIGHT
    }
)

Apply = Callable[[pd.DataFrame], Any]


@dataclass(frozen=True)
class Case:
    """A node and what it means."""

    node: Node
    apply: Apply
    """The expression by hand, on the columns of a frame."""

    def __repr__(self) -> str:
        return f"Case({self.node})"


def column(name: str) -> Case:
    return Case(Column(name), lambda frame: frame[name])


def constant(value: Any) -> Case:
    return Case(Literal(value), lambda frame: value)


def combine(op: str, function: Callable[..., Any], *cases: Case, **options: Any) -> Case:
    node = Call(op, tuple(case.node for case in cases), tuple(options.items()))
    return Case(node, lambda frame: function(*(case.apply(frame) for case in cases)))


NUMBERS = ("rate", "snr", "half", "count", "big", "n")
TEXTS = ("quality", "electrodes.location")
_COMPARE = {name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")}
_numbers = st.sampled_from(
    [0, 1, 2, 5, 255, 256, -1, BIG + 1, 0.1, 1.5, NAN, float("inf"), np.float32(0.1), np.float64(0.1)]
)
_small = st.sampled_from([1, 2, 3])
_texts = st.sampled_from(["good", "", "a", "b", "CA1", "g", "é", "noise"])


@st.composite
def number_cases(draw: st.DrawFn) -> Case:
    case = column(draw(st.sampled_from(NUMBERS)))
    for _ in range(draw(st.integers(0, 2))):
        step = draw(st.sampled_from(["add", "mul", "truediv", "sub", "abs", "round", "neg", "column", "fillna"]))
        if step == "abs":
            case = combine("abs", lambda s: s.abs(), case)
        elif step == "round":
            case = combine("round", lambda s: s.round(1), case, decimals=1)
        elif step == "neg":
            case = combine("neg", operator.neg, case)
        elif step == "fillna":
            case = combine("fillna", lambda s, value: s.fillna(value), case, constant(0))
        elif step == "column":
            case = combine("add", operator.add, case, column(draw(st.sampled_from(("rate", "snr", "count")))))
        else:
            case = combine(step, getattr(operator, step), case, constant(draw(_small)))
    return case


@st.composite
def leaf_cases(draw: st.DrawFn) -> Case:
    form = draw(
        st.sampled_from(["number", "reversed", "column", "text", "null", "isin", "between", "bool", "str", "kind"])
    )
    compare = draw(st.sampled_from(sorted(_COMPARE)))
    function = _COMPARE[compare]
    if form == "number":
        return combine(compare, function, draw(number_cases()), constant(draw(_numbers)))
    if form == "reversed":
        return combine(compare, function, constant(draw(st.sampled_from([0, 1, 5, 0.1, BIG]))), draw(number_cases()))
    if form == "column":
        return combine(compare, function, draw(number_cases()), draw(number_cases()))
    if form == "text":
        return combine(compare, function, column(draw(st.sampled_from(TEXTS))), constant(draw(_texts)))
    if form == "null":
        case = column(draw(st.sampled_from([field.name for field in LIGHT])))
        return draw(st.sampled_from([combine("isna", pd.isna, case), combine("notna", pd.notna, case)]))
    if form == "isin":
        return draw(isin_cases())
    if form == "between":
        return draw(between_cases())
    if form == "bool":
        return column(draw(st.sampled_from(["flag", "maybe"])))
    if form == "kind":
        function = draw(st.sampled_from([operator.eq, operator.ne]))
        return combine(function.__name__, function, column("kind"), constant(draw(_texts)))
    return draw(text_cases())


@st.composite
def isin_cases(draw: st.DrawFn) -> Case:
    if draw(st.booleans()):
        name, values = draw(st.sampled_from((*TEXTS, "kind"))), draw(st.lists(_texts, max_size=3))
    else:
        name = draw(st.sampled_from(NUMBERS))
        values = draw(st.lists(st.sampled_from([0, 1, 5, BIG + 1]), max_size=3))
    return combine("isin", lambda s, v: s.isin(list(v)), column(name), constant(tuple(values)))


@st.composite
def between_cases(draw: st.DrawFn) -> Case:
    inclusive = draw(st.sampled_from(["both", "neither", "left", "right"]))
    low, high = draw(st.sampled_from([0, 1, 0.1])), draw(st.sampled_from([2, 5, 1.5]))

    def apply(series: pd.Series[Any], low: float, high: float) -> pd.Series[bool]:
        above = series >= low if inclusive in {"both", "left"} else series > low
        return above & (series <= high if inclusive in {"both", "right"} else series < high)

    return combine("between", apply, draw(number_cases()), constant(low), constant(high), inclusive=inclusive)


@st.composite
def text_cases(draw: st.DrawFn) -> Case:
    case = column(draw(st.sampled_from(TEXTS)))
    if draw(st.booleans()):
        case = combine("str.lower", lambda s: s.str.lower(), case)
    pattern = constant(draw(_texts))
    form = draw(st.sampled_from(["startswith", "endswith", "contains", "literal", "match", "len", "strip"]))
    if form == "len":
        return combine("gt", operator.gt, combine("str.len", lambda s: s.str.len(), case), constant(2))
    if form == "strip":
        return combine("eq", operator.eq, combine("str.strip", lambda s: s.str.strip(), case), pattern)
    if form == "contains":
        return combine("str.contains", lambda s, p: s.str.contains(p, case=False), case, pattern, case=False)
    if form == "literal":
        return combine("str.contains", lambda s, p: s.str.contains(p, regex=False), case, pattern, regex=False)
    if form == "match":
        return combine("str.fullmatch", lambda s, p: s.str.fullmatch(p), case, pattern)
    return combine(f"str.{form}", lambda s, p: getattr(s.str, form)(p), case, pattern)


def _logical(function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(left: pd.Series[bool], right: pd.Series[bool]) -> Any:
        try:
            return function(left, right)
        except TypeError:
            # pandas 3.1 cannot combine `boolean` with the bool[pyarrow] of a comparison of text where one is NA.
            return function(left.astype("boolean"), right.astype("boolean"))

    return apply


def _logic(children: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    pair = st.tuples(children, children)
    return st.one_of(
        pair.map(lambda two: combine("and", _logical(operator.and_), *two)),
        pair.map(lambda two: combine("or", _logical(operator.or_), *two)),
        pair.map(lambda two: combine("xor", _logical(operator.xor), *two)),
        children.map(lambda one: combine("not", operator.invert, one)),
    )


def predicate_cases() -> st.SearchStrategy[Case]:
    """Predicates over `FIELDS`, nested a few levels."""
    return st.recursive(leaf_cases(), _logic, max_leaves=4)


def selected(case: Case, frame: pd.DataFrame) -> list[bool]:
    """The rows that pandas keeps of `frame` by the expression written by hand."""
    with np.errstate(all="ignore"):
        series = case.apply(frame)
    return [value is not pd.NA and value is not None and bool(value) for value in series.to_list()]
