"""Random pieces of a table that has every trap, and their statistics, computed from the values one by one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nwb_dask.model.field import Field
from nwb_dask.plan.statistics import ColumnStatistics, Statistics
from tests.plan.predicates import BIG, LIGHT, NAN

MOMENTS = [
    *map(dt.datetime.fromisoformat, ("2026-01-01", "2026-01-01T00:00:01.000005", "1969-12-31T23:00")),
    None,
]
FIELDS = (*LIGHT, Field("when", pa.timestamp("us"), nullable=True))
_POOLS: dict[str, list[Any]] = {
    "rate": [0.0, -0.0, 1.5, NAN, None, float("inf"), float("-inf"), 0.1, 5.0, 2.0, 1.7e308, -1e300, 5e-324, BIG + 1.0],
    "snr": [0.1, 0.5, NAN, 5.0, -1.0, 0.0, -0.0, 2.0, 16777216.0, 1.5, float("inf"), float("-inf"), 3.4028235e38],
    "half": [0.1, 0.5, NAN, 5.0, -1.0, 0.0, 2.0, 2048.0, 1.5, float("inf"), 65504.0],
    "count": [0, 1, 2, 5, 255, 200, 3, 4, 128],
    "big": [0, BIG, BIG + 1, -BIG - 1, 2**63 - 1, -(2**63), 5, 1, 2, -1],
    "unsigned": [0, BIG, BIG + 1, 2**63, 2**64 - 1, 5, 1, 2, 3, 4],
    "n": [0, None, 2, 5, -1, BIG + 1, 1, 3, 4],
    "flag": [True, False],
    "maybe": [True, False, None],
    "quality": ["good", "", None, "Good", "good unit", "noise", "é", "b", "a", "\U0010ffff", "z", "a\n"],
    "electrodes.location": ["CA1", "CA3", "", "VISp", "ca1", "good", "a.b", "CA1 ", "b"],
    "kind": ["a", "b", None, "good"],
    "when": MOMENTS,
}
_FEW = 3


def random_pieces(
    rng: np.random.Generator, n_pieces: int, names: Collection[str]
) -> tuple[pa.Table, npt.NDArray[np.int64], Statistics]:
    """Return rows of `n_pieces` pieces, the first row of each and of the next, and what is known of them.

    Of each column, a piece has few values, or none; some columns are absent from a piece, some are not known.
    """
    bounds = np.concatenate(([0], np.cumsum(rng.integers(0, 5, n_pieces))))
    columns = {field.name: _column(rng, field, bounds) for field in FIELDS if field.name in names}
    row = np.arange(bounds[-1])
    table = pa.table({"row": row} | {name: values for name, (values, _) in columns.items()})
    return table, bounds, {name: found for name, (_, found) in columns.items() if rng.random() < 0.9}


def statistics_of(values: pa.Array, bounds: npt.NDArray[np.int64], *, n_few: int = _FEW) -> ColumnStatistics:
    """Return the statistics of the runs of rows ``[bounds[i], bounds[i + 1])`` of a column."""
    type_ = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    plain = values.cast(type_).to_pylist()
    lows, highs, n_null, n_nan, few = [], [], [], [], []
    for start, stop in pairwise(bounds.tolist()):
        present = [value for value in plain[start:stop] if value is not None]
        kept = [value for value in present if value == value]  # noqa: PLR0124  # NaN is not equal to itself
        n_null.append(stop - start - len(present))
        n_nan.append(len(present) - len(kept))
        lows.append(min(kept, default=None))
        highs.append(max(kept, default=None))
        distinct = list(dict.fromkeys(kept))
        few.append(distinct if len(distinct) <= n_few else None)
    wide = type_ if pa.types.is_float16(type_) or not pa.types.is_floating(type_) else pa.float64()
    make = _half if pa.types.is_float16(type_) else lambda one: pa.array(one, wide)
    lists = None if pa.types.is_float16(type_) else pa.array(few, pa.large_list(wide))
    known = np.ones(len(lows), np.bool_)
    return ColumnStatistics(make(lows), make(highs), np.array(n_null), np.array(n_nan), lists, known)


def _column(rng: np.random.Generator, field: Field, bounds: npt.NDArray[np.int64]) -> tuple[pa.Array, ColumnStatistics]:
    pool = _POOLS[field.name]
    values: list[Any] = []
    for length in np.diff(bounds):
        few = rng.integers(0, len(pool), rng.integers(1, 4))
        is_absent = field.nullable and rng.random() < 0.1
        values += [None if is_absent else pool[few[i]] for i in rng.integers(0, len(few), length)]
    array = _array(values, field)
    found = statistics_of(array, bounds, n_few=int(rng.integers(-1, 4)))
    return array, _forget(rng, found)


def _forget(rng: np.random.Generator, found: ColumnStatistics) -> ColumnStatistics:
    """Leave out some of what is known, at random."""
    n_null, n_nan, known = found.n_null.copy(), found.n_nan.copy(), found.is_known.copy()
    for counts in (n_null, n_nan):
        counts[rng.random(len(counts)) < 0.1] = -1
    known[rng.random(len(known)) < 0.1] = False
    values = found.values if rng.random() < 0.7 else None
    return ColumnStatistics(found.minimum, found.maximum, n_null, n_nan, values, known)


def _array(values: list[Any], field: Field) -> pa.Array:
    if pa.types.is_float16(field.type):
        return _half(values)
    if field.categories is None:
        return pa.array(values, field.type)
    codes = [None if value is None else field.categories.index(value) for value in values]
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(field.categories))


def _half(values: list[Any]) -> pa.Array:
    return pa.array([None if value is None else np.float16(value) for value in values], pa.float16())
