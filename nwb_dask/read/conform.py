"""From a column as one file has it to the type that all files share, without loss."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nwb_dask.errors import SchemaConflictError
from nwb_dask.model import Field
from nwb_dask.read.arrow import list_array


def conform(values: pa.Array, field: Field) -> pa.Array:
    """Return `values` with the type of `field`.

    Numbers are cast with a check of every value, fixed lists become variable ones, a plain value becomes
    a list of one, structs get the missing fields as null, dictionaries get the categories of `field`.

    Raises
    ------
    SchemaConflictError
        If a value does not fit, naming the column and the way out.
    """
    try:
        if pa.types.is_dictionary(field.type) and field.categories is not None:
            return _recode(values, field.categories)
        return _cast(values, field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        message = (
            f"column {field.name!r} of type {values.type} does not fit {field.type}: {error}; "
            f"say another type with schema_overrides={{{field.name!r}: ...}}"
        )
        raise SchemaConflictError(message) from error


def _cast(values: pa.Array, target: pa.DataType) -> pa.Array:
    if values.type == target:
        return values
    if pa.types.is_null(values.type) or not len(values):
        return pa.nulls(len(values), target)
    if pa.types.is_dictionary(values.type):
        return _cast(values.dictionary_decode(), target)
    if pa.types.is_large_list(target):
        return _to_lists(values, target)
    if pa.types.is_fixed_size_list(target) and pa.types.is_fixed_size_list(values.type):
        return _to_fixed_lists(values, target)
    if pa.types.is_struct(target) and pa.types.is_struct(values.type):
        return _to_struct(values, target)
    if pa.types.is_float16(values.type) and not pa.types.is_floating(target):
        return values.cast(pa.float32()).cast(target)
    if pa.types.is_integer(values.type) and pa.types.is_floating(target):
        return _exact_float(values, target)
    return values.cast(target)


def _exact_float(values: pa.Array, target: pa.DataType) -> pa.Array:
    floats = values.cast(target, safe=True)
    if not floats.cast(values.type, safe=True).equals(values):
        message = "an integer is too large to be exact as a float"
        raise pa.ArrowInvalid(message)
    return floats


def _to_lists(values: pa.Array, target: pa.DataType) -> pa.Array:
    if pa.types.is_large_list(values.type):
        inner = _cast(values.values, target.value_type)
        return pa.LargeListArray.from_arrays(values.offsets, inner, type=target, mask=_null_mask(values))
    if pa.types.is_fixed_size_list(values.type):
        size = values.type.list_size
        inner = _cast(values.flatten() if values.null_count == 0 else values.values, target.value_type)
        offsets = np.arange(len(values) + 1, dtype=np.int64) * size
        return list_array(offsets, inner).cast(target)
    offsets = np.arange(len(values) + 1, dtype=np.int64)
    return list_array(offsets, _cast(values, target.value_type)).cast(target)


def _to_fixed_lists(values: pa.Array, target: pa.DataType) -> pa.Array:
    if values.type.list_size != target.list_size:
        message = f"lists of {values.type.list_size} do not fit lists of {target.list_size}"
        raise pa.ArrowInvalid(message)
    if target.list_size == 0:
        return pa.array([[]] * len(values), target)
    return pa.FixedSizeListArray.from_arrays(_cast(values.flatten(), target.value_type), type=target)


def _to_struct(values: pa.Array, target: pa.DataType) -> pa.Array:
    names = {values.type.field(i).name for i in range(values.type.num_fields)}
    parts = [
        _cast(values.field(part.name), part.type) if part.name in names else pa.nulls(len(values), part.type)
        for part in target
    ]
    return pa.StructArray.from_arrays(parts, fields=list(target), mask=_null_mask(values))


def _null_mask(values: pa.Array) -> pa.Array | None:
    return pc.is_null(values) if values.null_count else None


def _recode(values: pa.Array, categories: tuple[str, ...]) -> pa.Array:
    wanted = pa.array(list(categories), pa.string())
    if pa.types.is_dictionary(values.type) and values.dictionary.equals(wanted):
        return values
    text = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values.cast(pa.string())
    codes = pc.index_in(text, wanted)
    if codes.null_count != text.null_count:
        message = "a value is none of the categories"
        raise pa.ArrowInvalid(message)
    return pa.DictionaryArray.from_arrays(codes, wanted)
