"""From Arrow tables to pandas frames whose dtypes follow from the fields alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pandas.api.extensions import ExtensionArray
from pandas.api.internals import create_dataframe_from_blocks  # type: ignore[import-not-found]  # pandas-stubs lacks it

from nwb_dask.adapters.ragged_dtype import (
    TEXT_DTYPE,
    NWBArray,
    NWBDtype,
    PandasArray,
    PandasDtype,
    flat_array,
    flat_dtype,
)
from nwb_dask.errors import SchemaConflictError
from nwb_dask.model import Field

__all__ = ["TEXT_DTYPE", "empty_frame", "pandas_dtype", "to_pandas"]


def to_pandas(table: pa.Table, fields: tuple[Field, ...], index: npt.NDArray[np.int64] | None = None) -> pd.DataFrame:
    """Return the columns named by `fields` as a frame.

    The frame may be written to: numbers are copied once, into one block per dtype. Nested and binary columns and text
    stay in the Arrow buffers.

    Parameters
    ----------
    table : pa.Table
        Has every field, with its type.
    fields : tuple of Field
        Columns of the frame, in order.
    index : ndarray of int64, shape (n_rows,), optional
        Row labels; 0, 1, 2 ... by default.

    Raises
    ------
    SchemaConflictError
        If a column has another type than its field, or nulls where the field has none.
    """
    arrays: list[PandasArray] = []
    layout = _layout(fields)
    for field in layout.fields:
        values = table.column(field.name)
        if values.type != field.type:
            message = f"column {field.name!r} was read as {values.type} and planned as {field.type}"
            raise SchemaConflictError(message)
        try:
            arrays.append(_converter(field)(values))
        except ValueError as error:
            message = f"column {field.name!r}: {error}"
            raise SchemaConflictError(message) from error
    labels = pd.RangeIndex(table.num_rows) if index is None else pd.Index(index)
    # A view, because whoever gets the frame may name its axis.
    blocks = layout.blocks(arrays, table.num_rows)
    frame: pd.DataFrame = create_dataframe_from_blocks(blocks, labels, layout.names.view())
    return frame


@dataclass(frozen=True)
class _Layout:
    """How frames of the same fields are laid out: found out once, since it takes as long as to make a frame.

    `pandas.DataFrame(dict)` looks at names and dtypes each time, which takes longer than reading a few hundred rows.
    """

    fields: tuple[Field, ...]
    names: pd.Index
    numbers: tuple[tuple[np.dtype[Any], npt.NDArray[np.intp]], ...]
    """Positions of the columns that share a block, by dtype."""
    others: tuple[tuple[int, npt.NDArray[np.intp]], ...]
    """Position of each column of an extension dtype, as a number and as an array."""

    def blocks(self, arrays: Sequence[PandasArray], n_rows: int) -> list[tuple[PandasArray, npt.NDArray[np.intp]]]:
        """Return copies of `arrays` in the blocks of a frame, with the positions of their columns."""
        blocks: list[tuple[PandasArray, npt.NDArray[np.intp]]] = []
        for dtype, positions in self.numbers:
            block = np.empty((len(positions), n_rows), dtype)
            for row, position in enumerate(positions.tolist()):
                block[row] = arrays[position]
            blocks.append((block, positions))
        for position, positions in self.others:
            array = arrays[position]
            # Arrow buffers are never written to: pandas replaces them.
            is_arrow = isinstance(array, pd.arrays.ArrowExtensionArray)
            blocks.append((array if is_arrow else array.copy(), positions))
        return blocks


@lru_cache(maxsize=256)
def _layout(fields: tuple[Field, ...]) -> _Layout:
    distinct = tuple({field.name: field for field in fields}.values())
    numbers: dict[np.dtype[Any], list[int]] = {}
    others = []
    for position, field in enumerate(distinct):
        dtype = pandas_dtype(field)
        if isinstance(dtype, np.dtype):
            numbers.setdefault(dtype, []).append(position)
        else:
            others.append((position, np.array([position], np.intp)))
    shared = tuple((dtype, np.array(positions, np.intp)) for dtype, positions in numbers.items())
    return _Layout(distinct, empty_frame(fields).columns, shared, tuple(others))


def empty_frame(fields: tuple[Field, ...]) -> pd.DataFrame:
    """Return a frame without rows, with the dtypes that `to_pandas` gives to any table of these fields."""
    columns = {field.name: _empty(pandas_dtype(field)) for field in fields}
    labels = pd.Index(np.empty(0, dtype=np.int64))
    return pd.DataFrame(columns, index=labels, columns=None if columns else [], copy=True)


def _empty(dtype: PandasDtype) -> PandasArray:
    if isinstance(dtype, np.dtype):
        return np.empty(0, dtype=dtype)
    # pandas-stubs says that a class comes back.
    return cast("ExtensionArray", dtype.empty((0,)))


def pandas_dtype(field: Field) -> PandasDtype:
    """Return the dtype of a field's column.

    Numbers and bools keep their width, nullable ones in pandas' nullable dtypes; floats have NaN for null; text is
    `TEXT_DTYPE`; dictionaries are categorical with the field's categories; nested and binary types are `NWBDtype`.
    """
    if pa.types.is_dictionary(field.type):
        return _category_dtype(field.categories or (), ordered=field.type.ordered)
    if _is_nested(field.type):
        return _nested_dtype(field.type)
    return flat_dtype(field.type, nullable=field.nullable)


@lru_cache(maxsize=256)
def _nested_dtype(type_: pa.DataType) -> NWBDtype:
    return NWBDtype(type_)


@lru_cache(maxsize=256)
def _category_dtype(categories: tuple[str, ...], *, ordered: bool) -> pd.CategoricalDtype:
    # pandas' own text dtype and not TEXT_DTYPE: Parquet and P2P shuffles bring categories back as `str`.
    return pd.CategoricalDtype(pd.Index(list(categories), dtype="str"), ordered=ordered)


def _is_nested(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_nested(type_)
        or pa.types.is_binary(type_)
        or pa.types.is_large_binary(type_)
        or pa.types.is_fixed_size_binary(type_)
    )


def _converter(field: Field) -> Callable[[pa.ChunkedArray], PandasArray]:
    if pa.types.is_dictionary(field.type):
        return lambda values: _categorical(values, field)
    if _is_nested(field.type):
        return lambda values: NWBArray(values, _nested_dtype(field.type))
    return lambda values: flat_array(values, nullable=field.nullable)


def _categorical(values: pa.ChunkedArray, field: Field) -> pd.Categorical:
    """Return codes into the field's categories, whatever the order of the batch's own dictionary.

    Without categories in the field those of the batch are taken.
    """
    whole = values.unify_dictionaries().combine_chunks() if values.num_chunks != 1 else values.chunk(0)
    whole = whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole
    found = tuple(whole.dictionary.to_pylist())
    categories = found if field.categories is None else field.categories
    codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    if found != categories:
        position = {category: code for code, category in enumerate(categories)}
        absent = [category for category in found if category not in position]
        if absent:
            raise ValueError(f"{absent[0]!r} is not among the {len(categories)} categories of the plan")
        # One more for the code -1 of nulls.
        codes = np.array([*(position[category] for category in found), -1], dtype=np.int64)[codes]
    return pd.Categorical.from_codes(codes, dtype=_category_dtype(categories, ordered=field.type.ordered))
