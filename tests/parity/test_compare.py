"""The comparison behind the parity tests sees every kind of difference: else they prove nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from .compare import arrow_difference, pandas_difference, polars_difference, pynwb_difference, same
from .values import Ragged, Struct, Text, Values, elements, to_arrow, type_of

NUMBERS = np.array([1.0, np.nan, -0.0])
WORDS = Text(np.array(["a", None, ""], dtype=object))
LISTS = Ragged(np.array([1, 1, 3]), np.array([1, 2, 3], "i2"))
NESTED = Ragged(np.array([1, 2]), LISTS)
IMAGES = np.arange(12, dtype="f4").reshape(3, 2, 2)
RECORDS = Struct({"x": np.arange(3, dtype="u4"), "name": WORDS})


@pytest.mark.parametrize(
    "values", [NUMBERS, WORDS, LISTS, NESTED, IMAGES, RECORDS], ids=lambda values: str(type_of(values))
)
def test_equal_columns_have_no_difference(values: Values) -> None:
    assert not arrow_difference(to_arrow(values), values)
    assert not polars_difference(pl.Series(to_arrow(values)), values)
    assert all(same(row, row) for row in elements(values))


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (np.float64(0.0), np.float64(-0.0)),
        (np.float64(np.nan), np.array(0x7FF8000000000001, "u8").view("f8")[()]),
        (np.int32(1), np.int16(1)),
        (np.array([1, 2], "i4"), np.array([1, 2], "i8")),
        (np.array([[1, 2]]), np.array([1, 2])),
        (None, np.float64(np.nan)),
        (np.float64(np.nan), None),
        (None, ""),
        ("a ", "a"),
        (b"a", "a"),
        ({"a": 1, "b": 2}, {"b": np.int64(2), "a": np.int64(1)}),
        ([np.array([1])], [np.array([1]), np.array([2])]),
        (pd.NA, []),
    ],
)
def test_values_that_differ_are_not_the_same(actual: Any, expected: Any) -> None:
    assert not same(actual, expected)


def test_pandas_columns_of_another_type_or_value_are_seen() -> None:
    assert "dtype" in pandas_difference(pd.Series(NUMBERS.astype("f4")), NUMBERS)
    assert "row 2" in pandas_difference(pd.Series([1.0, np.nan, 0.0]), NUMBERS)
    assert "dtype" in pandas_difference(pd.Series(["a", None, ""], dtype=object), WORDS)
    assert "row 1" in pandas_difference(pd.Series(["a", "", ""], dtype=pd.StringDtype("pyarrow")), WORDS)
    assert not pandas_difference(pd.Series(["a", None, ""], dtype=pd.StringDtype("pyarrow")), WORDS)
    assert "object" in pandas_difference(pd.Series(elements(LISTS)), LISTS)


def test_arrow_and_polars_columns_of_another_type_or_value_are_seen() -> None:
    assert "type" in arrow_difference(pa.array([[1], [], [2, 3]]), LISTS)
    assert "row 2" in arrow_difference(pa.array([[1], [], [2, 4]], pa.list_(pa.int16())), LISTS)
    assert "row 1" in arrow_difference(pa.array([[1], None, [2, 3]], pa.list_(pa.int16())), LISTS)
    assert "type" in polars_difference(pl.Series([[1], [], [2, 3]]), LISTS)
    assert "row 0" in polars_difference(pl.Series([[2], [], [2, 3]], dtype=pl.List(pl.Int16)), LISTS)
    assert "row 1" in polars_difference(pl.Series(["a", "b", ""]), WORDS)


def test_rows_that_pynwb_shows_otherwise_are_seen() -> None:
    assert not pynwb_difference([1, 2.5], [np.int8(1), np.float64(2.5)], "x")
    assert pynwb_difference([1, 2], [1, 3], "x").startswith("row 1")
    assert pynwb_difference([1], [1, 3], "x") == "1 rows, pynwb shows 2"
    assert pynwb_difference(["shank"], ["/general/shank"], "group").startswith("row 0")
