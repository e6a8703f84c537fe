"""Reads rows of one column of one file."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nwb_dask.errors import MalformedFileError, NWBDaskError
from nwb_dask.index import ArrayEntry, ElementType
from nwb_dask.model import Column
from nwb_dask.model.columns import NAMED_BY_LAST_PART
from nwb_dask.plan.ragged import Spans, element_spans, index_spans, merge_spans, rows_of_spans, spans_of_rows
from nwb_dask.read.arrow import dictionary_array, last_parts, list_array, list_lengths, to_arrow

Values = npt.NDArray[np.generic]

Ask: TypeAlias = "tuple[ArrayEntry, Spans | None]"
"""A dataset and its rows; None for all."""

Reading: TypeAlias = "Generator[Sequence[Ask], Sequence[Values], pa.Array]"
"""Yields what it has to read, is sent the values, and returns the column."""


class CanRead(Protocol):
    """What reading needs of an open file."""

    def read_many(self, requests: Sequence[Ask]) -> Sequence[Values]:
        """Return rows of the first axis of each dataset."""

    def holds(self, entry: ArrayEntry) -> bool:
        """Return whether all values of a dataset are at hand."""


def read_columns(file: CanRead, wanted: Sequence[tuple[Column, Spans]]) -> list[pa.Array]:
    """Return columns of one file, each with the type that this file gives it.

    Only the elements that belong to the rows are read. What the columns need is read together: first all that
    depends on nothing, such as plain columns and the indexes of ragged ones, then what the indexes lead to.

    Parameters
    ----------
    file : CanRead
        The open file.
    wanted : sequence of (Column, Spans)
        Columns and their rows.

    Raises
    ------
    MalformedFileError
        If a column cannot be read, with the reason.
    """
    readings = [_begin(column, rows) for column, rows in wanted]
    out: list[pa.Array] = [None] * len(wanted)
    sent: dict[int, Sequence[Values] | None] = dict.fromkeys(range(len(wanted)))
    waiting: dict[int, Sequence[Ask]] = {}
    while sent or waiting:
        for number, values in sent.items():
            column = wanted[number][0]
            try:
                waiting[number] = next(readings[number]) if values is None else readings[number].send(values)
            except StopIteration as end:
                out[number] = end.value
            except NWBDaskError as error:
                raise error.at(path=column.values.path if column.values is not None else None) from error.__cause__
        # What is at hand goes first, so that what it leads to is asked for together with the others.
        held = [number for number, asks in waiting.items() if all(file.holds(entry) for entry, _ in asks)]
        asked = {number: waiting.pop(number) for number in held or list(waiting)}
        answers = iter(file.read_many([ask for asks in asked.values() for ask in asks]) if asked else ())
        sent = {number: [next(answers) for _ in asks] for number, asks in asked.items()}
    return out


def _begin(column: Column, rows: Spans) -> Reading:
    if column.problem:
        message = f"column {column.field.name!r} cannot be read: {column.problem}; leave it out with columns=..."
        raise MalformedFileError(message, path=column.values.path if column.values is not None else None)
    return _READERS[column.kind](column, rows)


def leaf_type(data_type: pa.DataType) -> pa.DataType:
    """Return the type of the values in lists of any depth."""
    while pa.types.is_large_list(data_type) or pa.types.is_fixed_size_list(data_type):
        data_type = data_type.value_type
    return data_type


def _text_or_bytes(column: Column, element: ElementType) -> ElementType:
    """Return how stored text is taken: as bytes where the column is to have bytes, in which anything is valid."""
    as_bytes = element.kind == "string" and pa.types.is_binary(leaf_type(column.field.type))
    return ElementType("bytes") if as_bytes else element


def _read_vector(column: Column, rows: Spans) -> Reading:
    values = _values(column)
    offsets = []
    spans = rows
    for depth, entry in enumerate(column.indexes):
        inner = column.indexes[depth + 1] if depth + 1 < len(column.indexes) else values
        if entry.element.kind == "region":
            return (yield from _read_regions(column, entry, spans))
        each = yield from _element_spans(entry, inner, spans)
        offsets.append(np.concatenate(([0], np.cumsum(each[:, 1] - each[:, 0]))))
        spans = merge_spans(each)
    items = yield from _vector_items(column, values, spans)
    for steps in reversed(offsets):
        items = list_array(steps, items)
    return items


def _element_spans(
    index: ArrayEntry, inner: ArrayEntry, rows: Spans
) -> Generator[Sequence[Ask], Sequence[Values], Spans]:
    """Return the elements of `inner` that belong to each row, by a VectorIndex."""
    known = index_spans(rows)
    (stored,) = yield [(index, known)]
    return element_spans(stored.astype(np.int64), known, rows, n_elements=(inner.shape or (0,))[0])


def _read_lengths(column: Column, rows: Spans) -> Reading:
    counted = column.target
    if counted is None:
        message = "a column of lengths has a column that it counts"
        raise MalformedFileError(message)
    if counted.indexes and counted.indexes[0].element.kind != "region":
        inner = counted.indexes[1] if len(counted.indexes) > 1 else _values(counted)
        each = yield from _element_spans(counted.indexes[0], inner, rows)
        return pa.array(each[:, 1] - each[:, 0])
    items = yield from _begin(counted, rows)
    return list_lengths(items)


def _read_regions(column: Column, entry: ArrayEntry, rows: Spans) -> Reading:
    """Read a ragged column whose index holds region references (NWB 2.0b), one per row."""
    (found,) = yield [(entry, rows)]
    selected = [np.asarray(item, np.int64) for item in found.tolist()]
    offsets = np.concatenate(([0], np.cumsum([len(item) for item in selected]))).astype(np.int64)
    wanted = np.concatenate([np.empty(0, np.int64), *selected])
    distinct, positions = np.unique(wanted, return_inverse=True)
    items = yield from _vector_items(column, _values(column), spans_of_rows(distinct))
    return list_array(offsets, items.take(pa.array(positions.reshape(-1))))


def _vector_items(column: Column, values: ArrayEntry, spans: Spans) -> Reading:
    (stored,) = yield [(values, spans)]
    if column.elements is not None:
        return dictionary_array(stored, column.field.categories or ())
    items = to_arrow(stored, _text_or_bytes(column, values.element))
    named = column.field.name == NAMED_BY_LAST_PART and values.element.kind == "reference"
    return last_parts(items) if named else items


def _read_record(column: Column, rows: Spans) -> Reading:
    entry = _values(column)
    n_rows = int((rows[:, 1] - rows[:, 0]).sum())
    if n_rows == 0 or entry.shape is None:
        return pa.nulls(n_rows, column.field.type)
    (found,) = yield [(entry, None)]
    stored = np.asarray(found)
    items = to_arrow(stored.reshape(-1), _text_or_bytes(column, entry.element))
    for depth in range(stored.ndim - 1, -1, -1):
        n_outer = int(np.prod(stored.shape[:depth], dtype=np.int64))
        items = list_array(np.arange(n_outer + 1, dtype=np.int64) * stored.shape[depth], items)
    return items


def _read_field(column: Column, rows: Spans) -> Reading:
    entry = _values(column)
    element = dict(entry.element.fields)[column.component]
    (found,) = yield [(entry, rows)]
    stored: Values = found[column.component]  # type: ignore[call-overload]  # structured
    if element.kind == "array" and element.base is not None:
        return to_arrow(stored, element.base)
    return to_arrow(stored, element)


def _read_sampled(column: Column, rows: Spans) -> Reading:
    (found,) = yield [(_values(column), None)]
    start = float(np.asarray(found).reshape(-1)[0])
    # The order of operations is pynwb's (TimeSeries.get_timestamps), so that the bits agree.
    return pa.array(rows_of_spans(rows) / column.rate + start)


def _read_resolved(column: Column, rows: Spans) -> Reading:
    if column.region is None or column.target is None:
        message = "a resolved column has a region and a target"
        raise MalformedFileError(message)
    region = yield from _begin(column.region, rows)
    levels = []
    while pa.types.is_large_list(region.type):
        levels.append(region.offsets)
        region = region.values
    wanted = np.asarray(region).astype(np.int64)
    if wanted.size and (wanted.min() < 0 or wanted.max() >= column.target_rows):
        row = int(wanted.min() if wanted.min() < 0 else wanted.max())
        message = f"region {column.region.field.name!r} names row {row} of {column.target_rows}"
        raise MalformedFileError(message)
    distinct, positions = np.unique(wanted, return_inverse=True)
    each = yield from _begin(column.target, spans_of_rows(distinct))
    items = each.take(pa.array(positions.reshape(-1)))
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
    "lengths": _read_lengths,
}
