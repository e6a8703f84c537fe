"""Flat Arrow values as pandas arrays, by rules that look at the type and never at the values."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.extensions import ExtensionArray, ExtensionDtype

TEXT_DTYPE = pd.StringDtype("pyarrow")
"""Text in pandas and dask: what ``dataframe.convert-string`` makes of every text column (NA, not NaN, for null)."""

PandasArray: TypeAlias = npt.NDArray[Any] | ExtensionArray
PandasDtype: TypeAlias = np.dtype[Any] | ExtensionDtype

_NULLABLE: dict[pa.DataType, ExtensionDtype] = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}


def flat_dtype(type_: pa.DataType, *, nullable: bool = True) -> PandasDtype:
    """Return the dtype that `flat_array` gives to values of the type.

    Parameters
    ----------
    type_ : pa.DataType
        A number, bool, text, dictionary of text, time or null type.
    nullable : bool
        Whether nulls may come: integers and bools then get pandas' nullable dtypes. Floats have NaN.
    """
    if nullable and type_ in _NULLABLE:
        return _NULLABLE[type_]
    if type_ in _NULLABLE or pa.types.is_floating(type_):
        numpy_dtype: np.dtype[Any] = np.dtype(type_.to_pandas_dtype())
        return numpy_dtype
    if pa.types.is_dictionary(type_):
        return flat_dtype(type_.value_type, nullable=nullable)
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return TEXT_DTYPE
    return np.dtype(object) if pa.types.is_null(type_) else pd.ArrowDtype(type_)


def flat_array(values: pa.Array | pa.ChunkedArray, *, nullable: bool = True) -> PandasArray:
    """Return values as the pandas array of `flat_dtype`; numpy arrays may be read-only views of the Arrow memory.

    Raises
    ------
    ValueError
        If there are nulls where `nullable` promised that there are none.
    """
    type_ = values.type
    if type_ in _NULLABLE:
        return _masked(values) if nullable else _without_nulls(values)
    if pa.types.is_floating(type_):
        return _to_numpy(values)
    if pa.types.is_dictionary(type_):
        return flat_array(values.cast(type_.value_type), nullable=nullable)
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return pd.arrays.ArrowStringArray(values)
    if pa.types.is_null(type_):
        return np.full(len(values), None, dtype=object)
    return pd.arrays.ArrowExtensionArray(values)


def _to_numpy(values: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    if isinstance(values, pa.ChunkedArray) and values.num_chunks == 1:
        values = values.chunk(0)
    array: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return array


def _without_nulls(values: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    if values.null_count:
        # numpy would get floats or objects: another dtype than the schema says.
        raise ValueError(f"{values.null_count} nulls among {values.type} values that were declared not nullable")
    return _to_numpy(values)


def _masked(values: pa.Array | pa.ChunkedArray) -> ExtensionArray:
    mask = _to_numpy(values.is_null())
    filled = _to_numpy(pc.fill_null(values, pa.scalar(0).cast(values.type)) if values.null_count else values)
    if pa.types.is_boolean(values.type):
        return pd.arrays.BooleanArray(filled, mask)
    return pd.arrays.IntegerArray(filled, mask)
