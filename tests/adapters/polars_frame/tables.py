"""Files whose tables have every trap of a filter, and random filters over them."""

from __future__ import annotations

import operator
from functools import reduce
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import polars as pl
from hypothesis import strategies as st

from nwb_dask.testing.odd_columns import add_column, add_index, add_table, new_file

TABLE = "/processing/deep/table"
NAN = float("nan")
RATES = [0.0, -0.0, 1.5, NAN, float("inf"), float("-inf"), 0.1, 5.0, 2.0, NAN]
QUALITIES = ["good", "", "Good", "good unit", "noise", "é", "b", "a", "", "mua"]
BIG = 2**53
BIGS = [0, BIG, BIG + 1, -BIG - 1, 2**63 - 1, -(2**63), 5, 1, 2, -1]
KINDS = ({"a": 0, "b": 1}, {"b": 0, "c": 1, "a": 2})
N_ROWS = (10, 0, 7, 10)


def write_table(path: Path, number: int) -> Path:
    """Write one of the files; those of odd number lack columns, and none has all categories."""
    n_rows, order = N_ROWS[number], np.roll(np.arange(10), number)[: N_ROWS[number]]
    columns: dict[str, Any] = {
        "snr": np.array(RATES, "f4")[order[::-1]],
        "count": np.arange(10).astype("u1")[order],
        "big": np.array(BIGS)[order],
        "quality": np.array(QUALITIES, object)[order].tolist(),
        "waveform": np.arange(n_rows * 3, dtype="f4").reshape(n_rows, 3),
    }
    if number != 2:  # one of three files with rows
        columns |= {"rate": np.array(RATES)[order], "flag": (order % 3 == 0), "note": columns["quality"][::-1]}
    with new_file(path) as file:
        group = add_table(file, TABLE[1:], {}, n_rows=n_rows)
        for name, data in columns.items():
            add_column(group, name, data)
        codes = KINDS[number % 2]
        kinds = (np.arange(n_rows) % len(codes)).astype("u1")
        add_column(group, "kind", kinds, dtype=h5py.enum_dtype(codes, basetype="u1"))
        lengths = order * 40
        add_column(group, "spike_times", np.random.default_rng(number).random(int(lengths.sum())))
        add_index(group, "spike_times", np.cumsum(lengths).tolist(), dtype="u4")
        names = [*columns, "kind", "spike_times"]
        group.attrs.create("colnames", names, dtype=h5py.string_dtype())
    return path


def write_tables(folder: Path) -> list[Path]:
    """Write all of them."""
    return [write_table(folder / f"{number}.nwb", number) for number in range(len(N_ROWS))]


def spikes(path: Path, rows: list[int]) -> list[npt.NDArray[np.float64]]:
    """Return spike times of rows as h5py reads them."""
    with h5py.File(path) as file:
        group = file[TABLE]
        ends = np.concatenate(([0], group["spike_times_index"][:])).astype(int)
        return [group["spike_times"][ends[row] : ends[row + 1]] for row in rows]


_NUMBERS = ("rate", "snr", "count", "big", "_table_index")
_TEXTS = ("quality", "note")
_COMPARE = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
_numbers = st.sampled_from(
    [0, 1, 2, 5, 255, -1, BIG + 1, 0.1, 1.5, NAN, float("inf"), float("-inf"), np.float32(0.1), np.float64(0.1)]
)
_texts = st.sampled_from(["good", "", "a", "b", "g", "é", "noise", "unit"])


@st.composite
def number_exprs(draw: st.DrawFn) -> pl.Expr:
    """Arithmetic on a column of numbers."""
    expr = pl.col(draw(st.sampled_from(_NUMBERS)))
    for _ in range(draw(st.integers(0, 2))):
        step = draw(st.sampled_from(["add", "mul", "truediv", "floordiv", "abs", "neg", "fill", "column", "cast"]))
        if step == "abs":
            expr = expr.cast(pl.Float64).abs()
        elif step == "neg":
            expr = -expr.cast(pl.Float64)
        elif step == "fill":
            expr = expr.fill_null(draw(st.sampled_from([0, 2])))
        elif step == "cast":
            expr = expr.cast(pl.Float64)
        elif step == "column":
            expr = expr + pl.col(draw(st.sampled_from(["rate", "snr"])))
        else:
            expr = getattr(operator, step)(expr, draw(st.sampled_from([1, 2, 0.5])))
    return expr


@st.composite
def leaf_exprs(draw: st.DrawFn) -> pl.Expr:
    """Conditions, some of which the algebra cannot say."""
    form = draw(st.sampled_from(["number", "columns", "nan", "null", "between", "isin", "text", "flag", "kind", "odd"]))
    number = draw(number_exprs())
    if form == "number":
        return draw(st.sampled_from(_COMPARE))(number, pl.lit(draw(_numbers)))  # type: ignore[no-any-return]  # an expression
    if form == "columns":
        return draw(st.sampled_from(_COMPARE))(number, draw(number_exprs()))  # type: ignore[no-any-return]  # as above
    if form == "nan":
        rate = pl.col(draw(st.sampled_from(["rate", "snr"])))
        return draw(st.sampled_from([rate.is_nan(), rate.is_not_nan(), rate.is_finite(), rate.is_infinite()]))
    if form == "null":
        column = pl.col(draw(st.sampled_from([*_NUMBERS, *_TEXTS, "flag", "kind", "spike_times"])))
        return draw(st.sampled_from([column.is_null(), column.is_not_null()]))
    if form == "between":
        closed = draw(st.sampled_from(["both", "none", "left", "right"]))
        return number.is_between(draw(st.sampled_from([0, 0.1])), draw(st.sampled_from([2, 5.5])), closed=closed)  # type: ignore[arg-type]  # one of four literals
    if form == "isin":
        column = pl.col(draw(st.sampled_from(_TEXTS)))
        return column.is_in(draw(st.lists(_texts | st.none(), min_size=1)), nulls_equal=draw(st.booleans()))
    if form == "flag":
        return pl.col("flag")
    if form == "kind":
        return draw(st.sampled_from(_COMPARE))(pl.col("kind"), draw(st.sampled_from(["a", "b", "c"])))  # type: ignore[no-any-return]  # as above
    if form == "odd":
        odd = [number.eq_missing(1), pl.col("spike_times").list.len() > 80, pl.when(pl.col("flag")).then(number > 1)]
        return draw(st.sampled_from([*odd, pl.col("waveform").arr.get(0) > 3, pl.col("rate").fill_nan(0) > 1]))
    return draw(text_exprs())


@st.composite
def text_exprs(draw: st.DrawFn) -> pl.Expr:
    """Conditions on text."""
    text, pattern = pl.col(draw(st.sampled_from(_TEXTS))), draw(_texts)
    if draw(st.booleans()):
        text = draw(st.sampled_from([text.str.to_lowercase(), text.str.to_uppercase(), text.str.strip_chars("g ")]))
    forms: list[pl.Expr] = [
        *(compare(text, pattern) for compare in _COMPARE),
        text.str.starts_with(pattern),
        text.str.ends_with(pattern),
        text.str.contains(pattern, literal=True),
        text.str.contains(f"^{pattern}.?"),
        text.str.len_chars() > 1,
    ]
    return draw(st.sampled_from(forms))


def predicates() -> st.SearchStrategy[pl.Expr]:
    """Conditions joined by logic."""
    return st.recursive(
        leaf_exprs(),
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: reduce(operator.and_, parts)),
            st.tuples(inner, inner).map(lambda two: two[0] | two[1]),
            st.tuples(inner, inner).map(lambda two: two[0] ^ two[1]),
            inner.map(operator.invert),
        ),
        max_leaves=5,
    )
