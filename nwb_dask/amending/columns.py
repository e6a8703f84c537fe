"""Columns as they are given, as the numpy arrays that are written: values, and of ragged ones where each row ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nwb_dask.amending.arrays import as_values
from nwb_dask.errors import FormatError, SchemaConflictError
from nwb_dask.index import Reference

_STREAM, _ARRAY = "__arrow_c_stream__", "__arrow_c_array__"
_INDEX = "__index_level_"
"""How pandas names an index without a name."""


class Column(NamedTuple):
    """A column of a table."""

    values: npt.NDArray[Any]
    ends: npt.NDArray[np.uint64] | None
    """Where the elements of each row end; None where each row is one value."""

    def __len__(self) -> int:
        return len(self.values if self.ends is None else self.ends)


def columns_of(frame: object, path: str) -> dict[str, Column]:
    """Return the columns of a frame of pandas or polars, of an Arrow table, or of a mapping, by name.

    Raises
    ------
    TypeError
        If it is none of these.
    FormatError, SchemaConflictError
        As `column_of`.
    """
    if isinstance(frame, Mapping):
        return {str(name): column_of(values, f"{path}/{name}") for name, values in frame.items()}
    if not hasattr(frame, _STREAM):
        raise TypeError(f"a {type(frame).__name__} is no table; give a frame, an Arrow table or a dict of columns")
    table = pa.table(frame)
    names = [name for name in table.column_names if not name.startswith(_INDEX)]
    return {name: _from_arrow(table.column(name), f"{path}/{name}") for name in names}


def column_of(values: object, path: str) -> Column:
    """Return a column that is given as an array, a list, a list of lists, or a Series.

    Raises
    ------
    FormatError
        If it has missing values, or values of different kinds.
    SchemaConflictError
        If some rows are lists and others are not, or their elements differ in shape.
    """
    if hasattr(values, _STREAM) or hasattr(values, _ARRAY):
        return _from_arrow(pa.chunked_array(values), path)
    rows: Any = values if isinstance(values, (list, tuple, np.ndarray)) else np.asarray(values)
    is_flat = isinstance(rows, np.ndarray) and rows.dtype != object
    if is_flat or not any(map(_is_list, rows)):
        if not is_flat and len({isinstance(one, (str, bytes)) for one in rows if one is not None}) > 1:
            raise _mixed(path)
        return Column(_plain(as_values(rows), path), None)
    if not all(map(_is_list, rows)):
        raise SchemaConflictError(f"{path}: some rows are lists and others are not", path=path)
    return _ragged([as_values(one) for one in rows], path)


def _ragged(parts: list[npt.NDArray[Any]], path: str) -> Column:
    filled = [part for part in parts if len(part)] or parts[:1]
    if len({(part.shape[1:], part.dtype.kind == "O") for part in filled}) > 1:
        raise SchemaConflictError(f"{path}: elements of rows differ in shape or kind", path=path)
    ends = np.cumsum([len(part) for part in parts], dtype=np.uint64)
    return Column(_plain(np.concatenate(filled), path), ends)


def _is_list(value: object) -> bool:
    return isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _plain(values: npt.NDArray[Any], path: str) -> npt.NDArray[Any]:
    """Return objects that are all numbers as numbers."""
    if values.dtype != object or all(isinstance(one, (str, bytes, Reference)) for one in values.flat):
        return values
    if any(one is None for one in values.flat):
        raise _missing(path)
    made = np.array(values.tolist())
    if made.dtype.kind in "biuf":
        return made
    raise _mixed(path)


def _from_arrow(found: pa.ChunkedArray, path: str) -> Column:
    array = found.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    while isinstance(array, pa.ExtensionArray):
        array = array.storage
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    kind = array.type
    if array.null_count and not pa.types.is_floating(kind):
        raise _missing(path)
    if pa.types.is_fixed_size_list(kind):
        inner = _from_arrow(pa.chunked_array([array.flatten()]), path)
        return Column(inner.values.reshape(len(array), kind.list_size, *inner.values.shape[1:]), None)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = _from_arrow(pa.chunked_array([array.flatten()]), path)
        if inner.ends is not None:
            raise FormatError(f"{path}: lists of lists of different lengths are not written", path=path)
        return Column(inner.values, np.cumsum(pc.list_value_length(array).to_numpy(), dtype=np.uint64))
    return Column(as_values(array.to_numpy(zero_copy_only=False)), None)


def _mixed(path: str) -> FormatError:
    return FormatError(f"{path}: values are of different kinds; one column has numbers, booleans or text", path=path)


def _missing(path: str) -> FormatError:
    return FormatError(f"{path}: NWB has no missing values; put NaN, a number or a text in their place", path=path)
