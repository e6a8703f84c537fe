"""The algebra: values that validate, compare, hash, pickle and read like pandas."""

from __future__ import annotations

import datetime as dt
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings

from nwb_dask.errors import PredicateError
from nwb_dask.plan.operations import OPERATIONS
from nwb_dask.plan.predicate import (
    Call,
    Column,
    Literal,
    Node,
    all_of,
    columns_of,
    conjuncts,
    describe,
    rename,
    substitute_constants,
)
from tests.plan.predicates import Case, predicate_cases

GOOD = Call("eq", (Column("quality"), Literal("good")))
FAST = Call("gt", (Column("rate"), Literal(5)))
NEAR = Call("isin", (Column("electrodes.location"), Literal(("CA1", "CA3"))))


@settings(max_examples=100, deadline=None)
@given(predicate_cases())
def test_every_predicate_pickles_and_hashes_as_itself(case: Case) -> None:
    again = pickle.loads(pickle.dumps(case.node))
    assert again == case.node
    assert hash(again) == hash(case.node)
    assert describe(again) == describe(case.node)


def test_a_predicate_is_small_when_pickled() -> None:
    assert len(pickle.dumps(Call("and", (GOOD, FAST, NEAR)))) < 500


def test_columns_are_those_of_the_whole_tree() -> None:
    assert columns_of(Call("or", (Call("and", (GOOD, FAST)), NEAR))) == {"quality", "rate", "electrodes.location"}
    assert columns_of(Literal(1)) == frozenset()


def test_conjunctions_are_flat() -> None:
    node = all_of([Call("and", (GOOD, Call("and", (FAST, NEAR)))), GOOD])
    assert node == Call("and", (GOOD, FAST, NEAR, GOOD))
    assert conjuncts(Call("or", (GOOD, FAST))) == (Call("or", (GOOD, FAST)),)


def test_all_of_nothing_is_no_predicate() -> None:
    assert all_of([]) is None
    assert all_of([GOOD]) == GOOD


def test_rename_changes_the_columns_and_nothing_else() -> None:
    assert rename(Call("and", (GOOD, FAST)), {"rate": "firing_rate"}) == Call(
        "and", (GOOD, Call("gt", (Column("firing_rate"), Literal(5))))
    )


def test_constants_take_the_place_of_columns() -> None:
    assert substitute_constants(Call("and", (GOOD, FAST)), {"quality": "noise"}) == Call(
        "and", (Call("eq", (Literal("noise"), Literal("good"))), FAST)
    )


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (Call("and", (GOOD, FAST)), "(quality == 'good') & (rate > 5)"),
        (Call("or", (Column("flag"), Call("not", (GOOD,)))), "flag | ~(quality == 'good')"),
        (Call("not", (NEAR,)), "~`electrodes.location`.isin(['CA1', 'CA3'])"),
        (Call("isin", (Column("n"), Literal(()))), "n.isin([])"),
        (Call("lt", (Call("mul", (Column("a"), Literal(-2))), Literal(0.5))), "(a * -2) < 0.5"),
        (Call("pow", (Literal(-2), Column("a"))), "(-2) ** a"),
        (Call("neg", (Call("add", (Column("a"), Column("b"))),)), "-(a + b)"),
        (Call("abs", (Call("sub", (Column("a"), Column("b"))),)), "(a - b).abs()"),
        (
            Call("str.contains", (Column("q"), Literal("x")), (("regex", False), ("case", False))),
            "q.str.contains('x', case=False, regex=False)",
        ),
        (Call("between", (Column("a"), Literal(1), Literal(2))), "a.between(1, 2)"),
        (Call("eq", (Column("class"), Literal(float("nan")))), "`class` == float('nan')"),
        (Call("str.startswith", (Column("a"), Literal(("x",)))), "a.str.startswith(('x',))"),
        (Call("eq", (Column("a`b"), Literal(None))), "`a``b` == None"),
        (Call("eq", (Column("a"), Literal(np.float32(0.5)))), "a == np.float32(0.5)"),
    ],
)
def test_a_predicate_reads_like_pandas(node: Node, text: str) -> None:
    assert describe(node) == text


def test_literals_are_equal_only_if_their_types_are() -> None:
    values = [1, True, 1.0, np.int64(1), np.float32(1), np.float64(1), "1", b"1"]
    assert len({Literal(value) for value in values}) == len(values)
    assert Literal((1,)) != Literal((True,))
    assert Literal(0.0) != Literal(-0.0)
    assert Literal(float("nan")) == Literal(np.nan)


def test_text_and_bools_of_numpy_become_those_of_python_and_its_numbers_keep_their_dtype() -> None:
    assert type(Literal(np.str_("a")).value) is str
    assert type(Literal(np.bool_(1)).value) is bool
    assert type(Literal((np.bytes_(b"a"),)).value[0]) is bytes  # type: ignore[index]  # a tuple, as given
    assert type(Literal(np.float32(0.1)).value) is np.float32
    assert type(Literal(np.float64(0.1)).value) is np.float64


@pytest.mark.parametrize("value", [object(), [1], {"a": 1}, (1, [2]), ((1,),), 1j, type, lambda: 1, np.zeros(2)])
def test_what_is_no_plain_constant_is_refused(value: object) -> None:
    with pytest.raises(PredicateError):
        Literal(value)


@pytest.mark.parametrize("value", [None, 2**80, b"x", dt.datetime(2020, 1, 1, tzinfo=dt.UTC), np.datetime64("2020")])
def test_plain_constants_are_accepted(value: object) -> None:
    assert Literal(value).value == value


@pytest.mark.parametrize(
    ("op", "args", "options"),
    [
        ("eval", (Column("a"),), ()),
        ("map", (Column("a"), Literal(1)), ()),
        ("eq", (Column("a"),), ()),
        ("and", (Column("a"),), ()),
        ("not", (Column("a"), Column("b")), ()),
        ("isin", (Column("a"), Literal(1)), ()),
        ("isin", (Column("a"), Column("b")), ()),
        ("eq", (Column("a"), Literal((1, 2))), ()),
        ("str.contains", (Column("a"), Literal(1)), ()),
        ("str.contains", (Column("a"), Literal(("x",))), ()),
        ("str.startswith", (Column("a"), Literal((1,))), ()),
        ("astype", (Column("a"),), (("dtype", "object"),)),
        ("between", (Column("a"), Literal(1), Literal(2)), (("inclusive", "yes"),)),
        ("eq", (Column("a"), Literal(1)), (("case", True),)),
        ("str.contains", (Column("a"), Literal("x")), (("case", 1),)),
        ("eq", (Column("a"), 5), ()),
    ],
)
def test_a_malformed_operation_cannot_exist(
    op: str, args: tuple[Node, ...], options: tuple[tuple[str, object], ...]
) -> None:
    with pytest.raises(PredicateError):
        Call(op, args, options)


def test_options_have_one_order() -> None:
    args = (Column("a"), Literal("x"))
    one = Call("str.contains", args, (("regex", False), ("case", False)))
    assert one == Call("str.contains", args, (("case", False), ("regex", False)))
    assert one.option("case") is False
    assert one.option("flags", 0) == 0


def test_the_operations_are_a_closed_list() -> None:
    with pytest.raises(TypeError):
        OPERATIONS["map"] = OPERATIONS["eq"]  # type: ignore[index]  # that it cannot be done is the point


def test_a_predicate_has_the_same_name_in_every_process() -> None:
    code = (
        "from dask.base import tokenize; from nwb_dask.plan.predicate import *; import numpy as np;"
        "print(tokenize(Call('and', (Call('isin', (Column('q'), Literal(('a', 1, None)))),"
        "Call('gt', (Column('r'), Literal(np.float32(0.1))))))))"
    )
    names = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(names) == 1
