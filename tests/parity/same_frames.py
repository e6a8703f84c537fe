"""Whether an engine's answer is that of the same engine on the same rows in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from polars.testing import assert_frame_equal

from .compare import is_missing, same


def check_same(actual: Any, expected: Any, *, rounded: bool = False) -> None:
    """Fail unless `actual` has the rows, their order, labels, names, dtypes and values of `expected`.

    A column of objects in `expected` has no dtype to compare: its values are nested. With `rounded`, floats that were
    added up in another order may differ in the last bits.
    """
    if isinstance(expected, pl.DataFrame):
        assert_frame_equal(actual, expected, check_exact=not rounded)
    elif isinstance(expected, pd.DataFrame):
        assert isinstance(actual, pd.DataFrame)
        assert actual.columns.tolist() == expected.columns.tolist()
        pd.testing.assert_index_equal(actual.index, expected.index, exact="equiv")
        for number in range(len(expected.columns)):
            _check_series(actual.iloc[:, number], expected.iloc[:, number], rounded=rounded)
    elif isinstance(expected, pd.Series):
        assert isinstance(actual, pd.Series)
        assert actual.name == expected.name
        pd.testing.assert_index_equal(actual.index, expected.index, exact="equiv")
        _check_series(actual, expected, rounded=rounded)
    elif rounded:
        np.testing.assert_allclose(actual, expected, rtol=1e-12)
    else:
        assert type(actual) is type(expected) or not isinstance(expected, str)
        assert same(actual, expected if isinstance(expected, str) else np.asarray(expected)[()])


def _check_series(actual: pd.Series[Any], expected: pd.Series[Any], *, rounded: bool) -> None:
    if expected.dtype != object:
        pd.testing.assert_series_equal(actual, expected, check_exact=not rounded)
        return
    for row, (one, other) in enumerate(zip(actual, expected, strict=True)):
        assert _both_absent(one, other) or same(one, other), f"row {row} is {one!r}, in memory {other!r}"


def _both_absent(one: Any, other: Any) -> bool:
    return _is_absent(one) and _is_absent(other)


def _is_absent(value: Any) -> bool:
    return is_missing(value) or (isinstance(value, float | np.floating) and bool(np.isnan(value)))
