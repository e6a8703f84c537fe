"""Whole-column operations on nested Arrow arrays: counting, unnesting and comparing rows."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nwb_dask.adapters.ragged_dtype.type_names import is_list


def list_lengths(array: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return how many values each list has; 0 for a null."""
    lengths = pc.fill_null(pc.list_value_length(array), 0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False) if isinstance(lengths, pa.Array) else lengths, np.int64)


def from_start(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the values; fixed-size lists of such lists are copied unless they start where their buffers do.

    Arrow 26.0.1 takes and filters the rows of those from elsewhere in the memory, and says nothing.
    """
    if not _nests_fixed(values.type) or not any(_is_shifted(chunk) for chunk in values.chunks):
        return values
    return pa.chunked_array([pa.concat_arrays([chunk]) for chunk in values.chunks], values.type)


@lru_cache(maxsize=256)
def _nests_fixed(type_: pa.DataType) -> bool:
    """Whether there are fixed-size lists of fixed-size lists anywhere in the type."""
    if pa.types.is_fixed_size_list(type_) and pa.types.is_fixed_size_list(type_.value_type):
        return True
    return any(_nests_fixed(type_.field(i).type) for i in range(type_.num_fields))


def _is_shifted(array: pa.Array) -> bool:
    if array.offset:
        return True
    if is_list(array.type):
        return _is_shifted(array.values)
    if pa.types.is_struct(array.type):
        return any(_is_shifted(array.field(i)) for i in range(array.type.num_fields))
    return False


def explode(array: pa.Array) -> tuple[pa.Array, npt.NDArray[np.uint64]]:
    """Return the values of all lists in order and the number that each row gave.

    As in pandas, a null or empty list gives one null.
    """
    lengths = list_lengths(array)
    counts = np.maximum(lengths, 1)
    values = array.flatten()
    if (lengths == 0).any():
        present = np.ones(int(counts.sum()), dtype=bool)
        present[(np.cumsum(counts) - counts)[lengths == 0]] = False
        rows = pa.array(np.cumsum(present) - 1, mask=~present)
        values = from_start(pa.chunked_array([values])).chunk(0).take(rows)
    return values, counts.astype(np.uint64)


def same_rows(left: pa.Array, right: pa.Array) -> bool:
    """Whether two arrays of one type hold the same rows, NaN being equal to NaN: Arrow's own `equals` says no."""
    if len(left) != len(right) or not left.is_valid().equals(right.is_valid()):
        return False
    type_ = left.type
    if is_list(type_):
        same_lengths = np.array_equal(list_lengths(left), list_lengths(right))
        return same_lengths and same_rows(left.flatten(), right.flatten())
    if pa.types.is_struct(type_):
        left, right = left.drop_null(), right.drop_null()
        return all(same_rows(left.field(i), right.field(i)) for i in range(type_.num_fields))
    if pa.types.is_dictionary(type_):
        return same_rows(left.dictionary_decode(), right.dictionary_decode())
    if pa.types.is_floating(type_):
        return np.array_equal(left.to_numpy(zero_copy_only=False), right.to_numpy(zero_copy_only=False), equal_nan=True)
    return bool(left.equals(right))
