"""What is known of the values of a column in ranges of rows: bounds, counts, and distinct values where few."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

MOST_VALUES = 64
_MOST_TEXT_BYTES = 256
_MOST_VALUES_BYTES = 4096

ColumnRow: TypeAlias = "tuple[object, ...]"
"""Values of the columns of ``columns`` (see `catalog.shared.layout`) from ``row_start`` on."""


def column_rows(values: pa.Array, *, range_rows: int) -> Iterator[ColumnRow]:
    """Yield what is known of each range of so many rows of a column; nothing for types that nothing is known of.

    Bounds are exact: those of float32 are the float64 that equals them. Unsigned integers that int64 does not hold, and
    long text, have no bounds.
    """
    if isinstance(values, pa.DictionaryArray):
        values = values.cast(values.type.value_type)
    is_known = pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_string(values.type)
    if not is_known and not pa.types.is_boolean(values.type):
        return
    for start in range(0, max(len(values), 1), range_rows):
        some = values.slice(start, range_rows)
        yield (start, start + len(some), some.null_count, *_of(some))


def _of(values: pa.Array) -> ColumnRow:
    nothing: tuple[None, ...] = (None,) * 7
    if pa.types.is_string(values.type):
        return (0, *nothing[:4], *_of_text(values))
    if pa.types.is_floating(values.type):
        wide = values.cast(pa.float64())
        is_nan = pc.fill_null(pc.is_nan(wide), False)  # noqa: FBT003  # Arrow's signature
        lowest, highest = _bounds(wide.filter(pc.invert(is_nan)))
        return (int(pc.sum(is_nan).as_py() or 0), None, None, lowest, highest, *nothing[4:])
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    try:
        return (0, *_bounds(values.cast(pa.int64())), *nothing[2:])
    except pa.ArrowInvalid:
        return (0, *nothing)


def _bounds(values: pa.Array) -> tuple[Any, Any]:
    found = pc.min_max(values)
    return found["min"].as_py(), found["max"].as_py()


def _of_text(values: pa.Array) -> tuple[object, object, object]:
    lowest, highest = _bounds(values)
    # Ordered by bytes of UTF-8, as Arrow and polars do, which is the order of code points, as Python does.
    if lowest is not None and max(len(lowest.encode()), len(highest.encode())) > _MOST_TEXT_BYTES:
        lowest = highest = None
    distinct = [one for one in pc.unique(values).to_pylist() if one is not None]
    is_few = len(distinct) <= MOST_VALUES and sum(len(one.encode()) for one in distinct) <= _MOST_VALUES_BYTES
    return lowest, highest, tuple(sorted(distinct)) if is_few else None
