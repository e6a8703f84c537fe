"""Reads rows of one column of one file."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nwb_dask.errors import MalformedFileError, NWBDaskError
from nwb_dask.index import ArrayEntry, ElementType
from nwb_dask.model import Column
from nwb_dask.model.columns import NAMED_BY_LAST_PART
from nwb_dask.plan.ragged import Spans, element_spans, index_spans, merge_spans, rows_of_spans, spans_of_rows
from nwb_dask.read.arrow import dictionary_array, last_parts, list_array, to_arrow


class CanRead(Protocol):
    """What reading needs of an open file."""

    def read(self, entry: ArrayEntry, spans: Spans | None = None) -> npt.NDArray[np.generic]:
        """Return rows of the first axis."""


def read_column(file: CanRead, column: Column, rows: Spans) -> pa.Array:
    """Return one value per row of `rows`, with the type that this file gives the column.

    Only the elements that belong to `rows` are read.

    Raises
    ------
    MalformedFileError
        If the column cannot be read, with the reason.
    """
    if column.problem:
        message = f"column {column.field.name!r} cannot be read: {column.problem}; leave it out with columns=..."
        raise MalformedFileError(message, path=column.values.path if column.values is not None else None)
    try:
        return _READERS[column.kind](file, column, rows)
    except NWBDaskError as error:
        raise error.at(path=column.values.path if column.values is not None else None) from error.__cause__


def leaf_type(data_type: pa.DataType) -> pa.DataType:
    """Return the type of the values in lists of any depth."""
    while pa.types.is_large_list(data_type) or pa.types.is_fixed_size_list(data_type):
        data_type = data_type.value_type
    return data_type


def _text_or_bytes(column: Column, element: ElementType) -> ElementType:
    """Return how stored text is taken: as bytes where the column is to have bytes, in which anything is valid."""
    as_bytes = element.kind == "string" and pa.types.is_binary(leaf_type(column.field.type))
    return ElementType("bytes") if as_bytes else element


def _read_vector(file: CanRead, column: Column, rows: Spans) -> pa.Array:
    values = _values(column)
    offsets = []
    spans = rows
    for depth, entry in enumerate(column.indexes):
        inner = column.indexes[depth + 1] if depth + 1 < len(column.indexes) else values
        if entry.element.kind == "region":
            return _read_regions(file, column, entry, spans)
        known = index_spans(spans)
        ends = file.read(entry, known).astype(np.int64)
        each = element_spans(ends, known, spans, n_elements=(inner.shape or (0,))[0])
        offsets.append(np.concatenate(([0], np.cumsum(each[:, 1] - each[:, 0]))))
        spans = merge_spans(each)
    items = _vector_items(file, column, values, spans)
    for steps in reversed(offsets):
        items = list_array(steps, items)
    return items


def _read_regions(file: CanRead, column: Column, entry: ArrayEntry, rows: Spans) -> pa.Array:
    """Read a ragged column whose index holds region references (NWB 2.0b), one per row."""
    selected = [np.asarray(item, np.int64) for item in file.read(entry, rows).tolist()]
    offsets = np.concatenate(([0], np.cumsum([len(item) for item in selected]))).astype(np.int64)
    wanted = np.concatenate([np.empty(0, np.int64), *selected])
    distinct, positions = np.unique(wanted, return_inverse=True)
    items = _vector_items(file, column, _values(column), spans_of_rows(distinct))
    return list_array(offsets, items.take(pa.array(positions.reshape(-1))))


def _vector_items(file: CanRead, column: Column, values: ArrayEntry, spans: Spans) -> pa.Array:
    stored = file.read(values, spans)
    if column.elements is not None:
        return dictionary_array(stored, column.field.categories or ())
    items = to_arrow(stored, _text_or_bytes(column, values.element))
    named = column.field.name == NAMED_BY_LAST_PART and values.element.kind == "reference"
    return last_parts(items) if named else items


def _read_record(file: CanRead, column: Column, rows: Spans) -> pa.Array:
    entry = _values(column)
    n_rows = int((rows[:, 1] - rows[:, 0]).sum())
    if n_rows == 0 or entry.shape is None:
        return pa.nulls(n_rows, column.field.type)
    stored = np.asarray(file.read(entry))
    items = to_arrow(stored.reshape(-1), _text_or_bytes(column, entry.element))
    for depth in range(stored.ndim - 1, -1, -1):
        n_outer = int(np.prod(stored.shape[:depth], dtype=np.int64))
        items = list_array(np.arange(n_outer + 1, dtype=np.int64) * stored.shape[depth], items)
    return items


def _read_field(file: CanRead, column: Column, rows: Spans) -> pa.Array:
    entry = _values(column)
    element = dict(entry.element.fields)[column.component]
    stored: npt.NDArray[np.generic] = file.read(entry, rows)[column.component]  # type: ignore[call-overload]  # structured
    if element.kind == "array" and element.base is not None:
        return to_arrow(stored, element.base)
    return to_arrow(stored, element)


def _read_sampled(file: CanRead, column: Column, rows: Spans) -> pa.Array:
    start = float(np.asarray(file.read(_values(column))).reshape(-1)[0])
    # The order of operations is pynwb's (TimeSeries.get_timestamps), so that the bits agree.
    return pa.array(rows_of_spans(rows) / column.rate + start)


def _read_resolved(file: CanRead, column: Column, rows: Spans) -> pa.Array:
    if column.region is None or column.target is None:
        message = "a resolved column has a region and a target"
        raise MalformedFileError(message)
    region = read_column(file, column.region, rows)
    levels = []
    while pa.types.is_large_list(region.type):
        levels.append(region.offsets)
        region = region.values
    wanted = np.asarray(region).astype(np.int64)
    if wanted.size and (wanted.min() < 0 or wanted.max() >= column.target_rows):
        message = f"region {column.region.field.name!r} names row {int(wanted.max())} of {column.target_rows}"
        raise MalformedFileError(message)
    distinct, positions = np.unique(wanted, return_inverse=True)
    items = read_column(file, column.target, spans_of_rows(distinct)).take(pa.array(positions.reshape(-1)))
    for offsets in reversed(levels):
        items = list_array(offsets.to_numpy(), items)
    return items


def _values(column: Column) -> ArrayEntry:
    if column.values is None:
        message = f"column {column.field.name!r} has no dataset"
        raise MalformedFileError(message)
    return column.values


_READERS = {
    "vector": _read_vector,
    "record": _read_record,
    "field": _read_field,
    "sampled": _read_sampled,
    "resolved": _read_resolved,
}
