"""Rows of nested Arrow arrays as numpy objects, and the way back.

A list is an ndarray, a list of fixed-size lists an ndarray of more dimensions, a list of lists a list of ndarrays,
a list of structs a structured ndarray, a struct a dict. What a row becomes depends on its type alone, save for nulls
inside it. Arrays of numbers are read-only views of the Arrow memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from nwb_dask.adapters.ragged_dtype.type_names import is_binary, is_list

Block: TypeAlias = npt.NDArray[np.generic] | list[object]
"""Consecutive values: one ndarray where the type allows it, else a list of objects. Both can be sliced."""


def elements_of(array: pa.Array) -> list[object]:
    """Return one Python or numpy object per row; `pd.NA` for a null row."""
    type_ = array.type
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return _list_elements(array)
    if array.null_count:
        return _scatter(elements_of(array.drop_null()), array.is_valid().to_numpy(zero_copy_only=False))
    if pa.types.is_fixed_size_list(type_):
        return list(_fixed_size_block(array))
    if pa.types.is_struct(type_):
        columns = [elements_of(array.field(i)) for i in range(type_.num_fields)]
        names = [field.name for field in type_]
        rows = zip(*columns, strict=True) if columns else ((),) * len(array)
        return [dict(zip(names, row, strict=True)) for row in rows]
    return list(array.to_pylist())


def values_of(array: pa.Array) -> Block:
    """Return the values as they stand inside a list.

    Raises no error for nulls inside: floats become NaN, everything else an object array that holds None.
    """
    type_ = array.type
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return elements_of(array)
    if pa.types.is_fixed_size_list(type_):
        return elements_of(array) if array.null_count else _fixed_size_block(array)
    if pa.types.is_struct(type_):
        return object_array(elements_of(array)) if array.null_count else _structured(array)
    if pa.types.is_dictionary(type_):
        return values_of(array.dictionary_decode())
    if array.null_count and pa.types.is_integer(type_):
        # to_numpy would turn the integers into floats, and those above 2**53 into other numbers.
        return object_array(array.to_pylist())
    values: npt.NDArray[np.generic] = array.to_numpy(zero_copy_only=False)
    return values


def object_array(elements: Sequence[object]) -> npt.NDArray[np.object_]:
    """Return a 1-d array of objects, also where they are arrays of equal length."""
    result = np.empty(len(elements), dtype=object)
    for i, element in enumerate(elements):
        result[i] = element
    return result


def _list_elements(array: pa.Array) -> list[object]:
    if not len(array):
        return []
    offsets = array.offsets.to_numpy()
    # A sliced array keeps all its values: only those of its own rows are looked at.
    block = values_of(array.values.slice(offsets[0], offsets[-1] - offsets[0]))
    bounds = (offsets - offsets[0]).tolist()
    rows: list[object] = [block[start:stop] for start, stop in pairwise(bounds)]
    if array.null_count:
        for row in np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)).tolist():
            rows[row] = pd.NA
    return rows


def _fixed_size_block(array: pa.Array) -> Block:
    """Return the rows of a fixed-size list array without nulls, as one block."""
    size = array.type.list_size
    block = values_of(array.flatten())
    if isinstance(block, np.ndarray):
        return block.reshape(len(array), size, *block.shape[1:])
    return [block[row * size : (row + 1) * size] for row in range(len(array))]


def _structured(array: pa.Array) -> npt.NDArray[np.generic]:
    """Return a struct array without nulls as h5py would: a structured array, objects for what has no numpy dtype."""
    blocks = [values_of(array.field(i)) for i in range(array.type.num_fields)]
    columns = [block if isinstance(block, np.ndarray) else object_array(block) for block in blocks]
    dtype = [(field.name, column.dtype, column.shape[1:]) for field, column in zip(array.type, columns, strict=True)]
    result = np.empty(len(array), dtype=dtype)
    for field, column in zip(array.type, columns, strict=True):
        result[field.name] = column
    return result


def _scatter(elements: list[object], valid: npt.NDArray[np.bool_]) -> list[object]:
    rows: list[object] = [pd.NA] * len(valid)
    for row, element in zip(np.flatnonzero(valid).tolist(), elements, strict=True):
        rows[row] = element
    return rows


def to_arrow(elements: Iterable[object], type_: pa.DataType | None) -> pa.Array:
    """Return an Arrow array of rows given as lists, ndarrays, dicts, bytes or missing values.

    Parameters
    ----------
    elements : iterable
        One object per row; None, `pd.NA` and float NaN are null rows.
    type_ : pa.DataType or None
        Type of the result; None infers it.

    Raises
    ------
    TypeError
        If a row does not fit the type.
    """
    rows = [None if is_missing(element) else _plain(element) for element in elements]
    try:
        array = pa.array(rows, type=type_)
    except (pa.ArrowException, OverflowError) as exc:
        raise TypeError(f"rows do not fit Arrow type {type_}: {exc}") from exc
    # Rows that carry extension types or many values come back in chunks.
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def is_missing(value: object) -> bool:
    """Whether a row value stands for absence."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def _plain(value: object) -> object:
    """Return what `pa.array` understands: it takes 1-d arrays and no arrays of structs or of more dimensions."""
    if value is None or value is pd.NA:
        return None
    if isinstance(value, np.ndarray):
        if value.dtype.names is not None:
            return [_plain(record) for record in value]
        return [_plain(item) for item in value] if value.ndim > 1 or value.dtype == object else value
    if isinstance(value, np.void) and value.dtype.names is not None:
        return {name: _plain(value[name]) for name in value.dtype.names}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def sample(type_: pa.DataType) -> object:
    """Return a value of the type that is neither null nor empty."""
    if pa.types.is_fixed_size_list(type_):
        return [sample(type_.value_type)] * type_.list_size
    if is_list(type_):
        return [sample(type_.value_type)]
    if pa.types.is_struct(type_):
        return {field.name: sample(field.type) for field in type_}
    if pa.types.is_dictionary(type_):
        return sample(type_.value_type)
    if is_binary(type_):
        return b"a" * (type_.byte_width if pa.types.is_fixed_size_binary(type_) else 1)
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return "a"
    return None if pa.types.is_null(type_) else pa.scalar(1, pa.int64()).cast(type_).as_py()
