"""Columns as ranges of values of which each piece may hold any, for asking all pieces at once. Pure.

Numbers and times become ranges of float64 that hold the value and whatever an engine may round it to: integers beyond
2**53 are compared as floats by some, and a plain number with a float32 column as float32 by all.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import Literal as Choice
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nwb_dask.plan.statistics import ColumnStatistics

Mask: TypeAlias = npt.NDArray[np.bool_]
Kind: TypeAlias = Choice["bool", "number", "text", "time", "other"]

_EXACT = 2.0**53
_NANOSECONDS = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}
_SECOND = 1e9
"""How far times are widened: an engine may round to the unit of the column."""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Range:
    """A constant: what it may be to some engine."""

    low: float | str
    high: float | str


@dataclass(frozen=True, slots=True)
class Ranges:
    """The values of one column in n pieces."""

    kind: Kind
    owner: npt.NDArray[np.int64]
    """Of each range, the piece that it belongs to; a piece may have several, or none."""
    low: pa.Array | npt.NDArray[np.float64]
    """Least value of each range: Arrow for text, float64 otherwise."""
    high: pa.Array | npt.NDArray[np.float64]
    """Greatest value of each range."""
    is_open: Mask
    """Of each piece, whether it may hold values outside its ranges."""
    may_be_null: Mask
    may_be_nan: Mask

    def __len__(self) -> int:
        """Return the number of pieces."""
        return len(self.is_open)

    @property
    def is_point(self) -> Mask:
        """Tell of each range whether it is one value."""
        return _numpy(pc.equal(self.low, self.high)) if self.kind == "text" else self.low == self.high

    def is_below(self, value: Range, *, equal: bool) -> Mask:
        """Tell of each range whether a value of it may be less than `value`, or `equal` to it."""
        return _compared("less", self.low, value.high, equal=equal)

    def is_above(self, value: Range, *, equal: bool) -> Mask:
        """Tell of each range whether a value of it may be greater than `value`, or `equal` to it."""
        return _compared("greater", self.high, value.low, equal=equal)

    def pieces(self, ranges: Mask) -> Mask:
        """Tell of each piece whether one of these of its ranges is true; those that are open may be anything."""
        found = self.is_open.copy()
        found[self.owner[ranges]] = True
        return found


def ranges_of(statistics: ColumnStatistics) -> Ranges:
    """Return what statistics say as ranges: one per distinct value where these are known, else one per piece."""
    type_, n_pieces = statistics.minimum.type, len(statistics)
    kind = _kind(type_)
    is_open = np.ones(n_pieces, np.bool_)
    if kind == "other":
        owner, low, high = np.empty(0, np.int64), pa.array([], pa.float64()), pa.array([], pa.float64())
    else:
        owner, low, high, is_open = _entries(statistics)
    if kind != "text":
        low, high = _floats(low, kind, upwards=False), _floats(high, kind, upwards=True)
        is_odd = np.isnan(low) | np.isnan(high)
        is_open[owner[is_odd]] = True
    may_be_nan = (statistics.n_nan != 0) & pa.types.is_floating(type_)
    return Ranges(kind, owner, low, high, is_open, statistics.n_null != 0, may_be_nan)


def constant(value: object, kind: Kind) -> Range | None:
    """Return what a constant may be where it is compared with a column; None if that is not known, as for NaN."""
    if kind == "text":
        return Range(value, value) if isinstance(value, str) else None
    if kind == "time":
        return _moment(value)
    if kind == "other" or not isinstance(value, bool | int | float | np.integer | np.floating):
        return None
    if isinstance(value, int | np.integer):
        low, high = _outwards(int(value))
        plain = low
    else:
        plain = low = high = float(value)
    if math.isnan(plain):
        return None
    with np.errstate(over="ignore"):
        single = float(np.float32(plain))
    return Range(min(low, single), max(high, single))


def _entries(statistics: ColumnStatistics) -> tuple[npt.NDArray[np.int64], pa.Array, pa.Array, Mask]:
    """Return the owner, least and greatest value of each range, and the pieces of which nothing is known."""
    lists = statistics.values
    is_listed = np.zeros(len(statistics), np.bool_) if lists is None else _numpy(lists.is_valid())
    has_low, has_high = _numpy(statistics.minimum.is_valid()), _numpy(statistics.maximum.is_valid())
    owner = np.flatnonzero(~is_listed & statistics.is_known & has_low & has_high)
    low, high = statistics.minimum.take(pa.array(owner)), statistics.maximum.take(pa.array(owner))
    if lists is not None:
        listed, owners = pc.list_flatten(lists), _numpy(pc.list_parent_indices(lists)).astype(np.int64)
        owner, low, high = np.concatenate((owners, owner)), _joined(listed, low), _joined(listed, high)
    return owner, low, high, ~is_listed & (~statistics.is_known | (has_low ^ has_high))


def _joined(first: pa.Array, second: pa.Array) -> pa.Array:
    return pa.concat_arrays([first, second])


def _kind(type_: pa.DataType) -> Kind:
    if pa.types.is_boolean(type_):
        return "bool"
    if pa.types.is_integer(type_) or (pa.types.is_floating(type_) and not pa.types.is_float16(type_)):
        return "number"
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return "text"
    return "time" if pa.types.is_timestamp(type_) and type_.tz is None else "other"


def _floats(values: pa.Array, kind: Kind, *, upwards: bool) -> npt.NDArray[np.float64]:
    unit = _NANOSECONDS[values.type.unit] if kind == "time" else 1.0
    if kind in {"bool", "time"}:
        values = values.cast(pa.int8() if kind == "bool" else pa.int64())
    floats: npt.NDArray[np.float64] = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    if kind == "time":
        return floats * unit + (_SECOND if upwards else -_SECOND)
    if pa.types.is_integer(values.type):
        outer = np.nextafter(floats, np.inf if upwards else -np.inf)
        floats = np.where(np.abs(floats) >= _EXACT, outer, floats)
    return floats


def _outwards(value: int) -> tuple[float, float]:
    if abs(value) <= _EXACT:
        return float(value), float(value)
    try:
        near = float(value)
    except OverflowError:
        return (np.finfo(np.float64).max, math.inf) if value > 0 else (-math.inf, -np.finfo(np.float64).max)
    return math.nextafter(near, -math.inf), math.nextafter(near, math.inf)


def _moment(value: object) -> Range | None:
    if isinstance(value, np.datetime64):
        value = None if np.isnat(value) else value.astype("datetime64[us]").item()
    if not isinstance(value, dt.datetime) or value.tzinfo is not None:
        return None
    middle = (value.replace(tzinfo=dt.UTC) - _EPOCH) / dt.timedelta(microseconds=1) * 1e3
    return Range(middle - _SECOND, middle + _SECOND)


def _compared(order: str, values: pa.Array | npt.NDArray[np.float64], bound: float | str, *, equal: bool) -> Mask:
    if isinstance(bound, str) and isinstance(values, pa.Array):
        return _numpy(pc.call_function(f"{order}_equal" if equal else order, [values, pa.scalar(bound, values.type)]))
    function = {
        ("less", False): np.less, ("less", True): np.less_equal,
        ("greater", False): np.greater, ("greater", True): np.greater_equal,
    }[order, equal]  # fmt: skip
    found: Mask = function(values, bound)
    return found


def _numpy(values: pa.Array) -> npt.NDArray[np.bool_]:
    if pa.types.is_boolean(values.type):
        values = pc.fill_null(values, fill_value=False)
    found: npt.NDArray[np.bool_] = values.to_numpy(zero_copy_only=False)
    return found
