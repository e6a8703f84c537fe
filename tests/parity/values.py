"""Values of a column as plain numpy, with their Arrow type: what the oracles produce and the comparison reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

CATEGORY = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True, slots=True)
class Text:
    """Text of any shape, None where absent; `categories` when the file stores codes."""

    strings: npt.NDArray[Any]
    categories: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Ragged:
    """One level of a ragged column: row i holds the items from ``ends[i - 1]`` to ``ends[i]``."""

    ends: npt.NDArray[np.int64]
    items: Values


@dataclass(frozen=True, slots=True)
class Struct:
    """A compound; its fields all have the compound's shape."""

    fields: dict[str, Values]


@dataclass(frozen=True, slots=True)
class Nulls:
    """Rows that hold nothing."""

    count: int
    type: pa.DataType


Values: TypeAlias = "npt.NDArray[np.generic] | Text | Ragged | Struct | Nulls"


def shape_of(values: Values) -> tuple[int, ...]:
    """Return the shape; a ragged level counts as one dimension."""
    if isinstance(values, Text):
        return values.strings.shape
    if isinstance(values, Ragged):
        return values.ends.shape
    if isinstance(values, Struct):
        return shape_of(next(iter(values.fields.values())))
    return (values.count,) if isinstance(values, Nulls) else values.shape


def part(values: Values, rows: slice) -> Values:
    """Return the rows of a slice with step 1."""
    if isinstance(values, Text):
        return Text(values.strings[rows], values.categories)
    if isinstance(values, Struct):
        return Struct({name: part(field, rows) for name, field in values.fields.items()})
    start, stop, _ = rows.indices(shape_of(values)[0])
    if isinstance(values, Nulls):
        return Nulls(max(stop - start, 0), values.type)
    if isinstance(values, Ragged):
        first = int(values.ends[start - 1]) if start else 0
        last = int(values.ends[stop - 1]) if stop > start else first
        return Ragged(values.ends[start:stop] - first, part(values.items, slice(first, last)))
    return values[rows]


def element(values: Values, i: int) -> object:
    """Return the value of row `i`: a scalar, None, an array, a list of such or a dict."""
    if isinstance(values, Nulls):
        return None
    if isinstance(values, Ragged):
        inner = part(values, slice(i, i + 1)).items  # type: ignore[union-attr]  # part() keeps the class
        return inner if isinstance(inner, np.ndarray) else elements(inner)
    if isinstance(values, Struct):
        if len(shape_of(values)) > 1:
            return elements(_item(values, i))
        return {name: element(field, i) for name, field in values.fields.items()}
    found = values.strings[i] if isinstance(values, Text) else values[i]
    return found.tolist() if isinstance(values, Text) and isinstance(found, np.ndarray) else found


def _item(values: Values, i: int) -> Values:
    if isinstance(values, Struct):
        return Struct({name: _item(field, i) for name, field in values.fields.items()})
    if isinstance(values, Text):
        return Text(values.strings[i], values.categories)
    assert isinstance(values, np.ndarray)
    return values[i]  # type: ignore[no-any-return]  # an array, or a scalar that is not looked at


def elements(values: Values) -> list[object]:
    """Return the value of every row."""
    return [element(values, i) for i in range(shape_of(values)[0])]


def type_of(values: Values) -> pa.DataType:
    """Return the Arrow type of a row."""
    if isinstance(values, Nulls):
        return values.type
    if isinstance(values, Ragged):
        return pa.list_(type_of(values.items))
    if isinstance(values, Struct):
        leaf: pa.DataType = pa.struct([(name, _leaf_type(field)) for name, field in values.fields.items()])
    else:
        leaf = _leaf_type(values)
    for size in reversed(shape_of(values)[1:]):
        leaf = pa.list_(leaf, size)
    return leaf


def _leaf_type(values: Values) -> pa.DataType:
    if isinstance(values, Text):
        return pa.string() if values.categories is None else CATEGORY
    return pa.from_numpy_dtype(values.dtype) if isinstance(values, np.ndarray) else type_of(values)


def to_arrow(values: Values) -> pa.Array:
    """Return the rows as an Arrow array of `type_of`."""
    kind = type_of(values)
    if isinstance(values, Nulls):
        return pa.nulls(values.count, kind)
    if isinstance(values, Ragged):
        offsets = np.concatenate(([0], values.ends)).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), to_arrow(values.items), type=kind)
    shape = shape_of(values)
    if 0 in shape[1:]:
        return pa.array([np.zeros(shape[1:]).tolist()] * shape[0], type=kind)
    if isinstance(values, Struct):
        names = list(values.fields)
        found = pa.StructArray.from_arrays([_flat(values.fields[name]) for name in names], names=names)
    else:
        found = _flat(values)
    for size in reversed(shape[1:]):
        found = pa.FixedSizeListArray.from_arrays(found, size)
    return found


def _flat(values: Values) -> pa.Array:
    if isinstance(values, Text):
        strings = values.strings.reshape(-1).tolist()
        if values.categories is None:
            return pa.array(strings, pa.string())
        code = {name: i for i, name in enumerate(values.categories)}
        codes = pa.array([None if name is None else code[name] for name in strings], pa.int32())
        return pa.DictionaryArray.from_arrays(codes, pa.array(values.categories, pa.string()))
    if isinstance(values, np.ndarray):
        return pa.array(np.ascontiguousarray(values).reshape(-1))
    return to_arrow(values)
