"""One column of one file: its type and the arrays that hold it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import pyarrow as pa

from nwb_dask.errors import UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, ElementType, FileIndex, GroupEntry, join
from nwb_dask.model.arrow_types import CATEGORY, arrow_type, fixed_shape, is_heavy
from nwb_dask.model.field import Field, lengths_field
from nwb_dask.model.kinds import number_attribute, reference_attribute

ColumnKind = Literal["vector", "record", "field", "sampled", "resolved", "lengths"]
"""How values are laid out: one row each, possibly through indexes (``vector``); the whole dataset is the
only row (``record``); one field of a compound dataset (``field``); computed from a starting time and a rate
(``sampled``); taken from another table through a region (``resolved``); how many elements another column has in each
row (``lengths``)."""

NAMED_BY_LAST_PART = "electrode_group"
"""The reference column of /units whose target users know by its name, not by its path."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of one file."""

    field: Field
    """Name and type as this file has it."""
    kind: ColumnKind
    values: ArrayEntry | None
    """The dataset with the values; of a ``sampled`` column, the starting time."""
    indexes: tuple[ArrayEntry, ...] = ()
    """VectorIndex datasets, the outermost first."""
    component: str = ""
    """Field of the compound that a ``field`` column takes."""
    rate: float = 0.0
    """Samples per second of a ``sampled`` column."""
    elements: str | None = None
    """Path of the dataset that names the categories of an EnumData column."""
    region: Column | None = None
    """Of a ``resolved`` column: the DynamicTableRegion that selects the rows."""
    target: Column | None = None
    """Of a ``resolved`` column: the column of the other table. Of a ``lengths`` column: the one with the lists."""
    target_rows: int = 0

    @property
    def problem(self) -> str:
        """Why the column cannot be read; ``""`` if it can."""
        return self.field.problem

    @property
    def entries(self) -> tuple[ArrayEntry, ...]:
        """Datasets that hold the column: its indexes and its values."""
        if self.kind == "lengths" and self.target is not None:
            return self.target.indexes[:1] or self.target.entries
        if self.kind == "resolved" and self.region is not None and self.target is not None:
            return (*self.region.entries, *self.target.entries)
        return (*self.indexes, *((self.values,) if self.values is not None else ()))

    @property
    def stored_bytes(self) -> int:
        """Bytes that the column's datasets take in the file."""
        return sum(entry.stored_bytes for entry in self.entries)

    @property
    def decoded_bytes(self) -> int:
        """Bytes of the column's values in memory, before any selection (text counted as its references)."""
        if self.kind == "resolved" and self.region is not None:
            return self.region.decoded_bytes
        entries = (*self.indexes, *((self.values,) if self.values is not None else ()))
        return sum(_decoded(entry) for entry in entries)

    def renamed(self, name: str) -> Column:
        """Return the same column under another name."""
        return replace(self, field=replace(self.field, name=name))

    def with_categories(self, categories: tuple[str, ...]) -> Column:
        """Return the column as a dictionary of `categories`."""
        return replace(self, field=replace(self.field, categories=categories))


def broken_column(name: str, reason: str, values: ArrayEntry | None) -> Column:
    """Return a column whose reading raises with `reason`."""
    return Column(Field(name, pa.null(), nullable=True, problem=reason), "vector", values)


def is_vector_index(entry: ArrayEntry) -> bool:
    """Tell whether a dataset with a ``target`` is an index: 1-d integers, or (NWB 2.0b) region references."""
    return entry.element.kind in {"int", "uint", "region"} and entry.shape is not None and len(entry.shape) == 1


def dynamic_column(name: str, entry: ArrayEntry, indexes: tuple[ArrayEntry, ...], n_rows: int) -> Column:
    """Return a column of a DynamicTable, ragged to the depth of its `indexes`."""
    outer = indexes[0] if indexes else entry
    if not entry.shape or not outer.shape:
        return broken_column(name, f"it has shape {entry.shape or 'of a scalar'}, and a column needs rows", entry)
    if outer.shape[0] != n_rows:
        return broken_column(name, f"it has {outer.shape[0]} rows, the table has {n_rows}", entry)
    path = reference_attribute(entry, "elements") if entry.element.kind in {"int", "uint"} else None
    try:
        field = _vector_field(name, entry.element, entry.shape[1:], len(indexes), enum_data=path is not None)
    except UnsupportedLayoutError as error:
        return broken_column(name, error.message, entry)
    if not entry.shape[0]:
        field = replace(field, is_void=True)
    return Column(field, "vector", entry, indexes, elements=path)


@lru_cache(maxsize=4096)
def _vector_field(name: str, element: ElementType, shape: tuple[int, ...], depth: int, *, enum_data: bool) -> Field:
    """Return the field of a column; the files of a study have the same ones, and share them in memory."""
    item = fixed_shape(CATEGORY if enum_data else arrow_type(element), shape)
    for _ in range(depth):
        item = pa.large_list(item)
    return _field(name, item, element, enum_data=enum_data)


def record_column(name: str, entry: ArrayEntry) -> Column:
    """Return a dataset as the only value of a one-row table; each of its dimensions is a list."""
    try:
        field = _record_field(name, entry.element, len(entry.shape or ()), nullable=entry.shape is None)
    except UnsupportedLayoutError as error:
        return broken_column(name, error.message, entry)
    return Column(field, "record", entry)


@lru_cache(maxsize=1024)
def _record_field(name: str, element: ElementType, n_dims: int, *, nullable: bool) -> Field:
    item = arrow_type(element)
    for _ in range(n_dims):
        item = pa.large_list(item)
    return replace(_field(name, item, element), nullable=nullable)


def compound_column(name: str, entry: ArrayEntry) -> Column:
    """Return one field of a 1-d compound dataset as a column."""
    element = dict(entry.element.fields)[name]
    try:
        item = arrow_type(element)
    except UnsupportedLayoutError as error:
        return broken_column(name, error.message, entry)
    return Column(_field(name, item, element), "field", entry, component=name)


def resolved_column(name: str, region: Column, target: Column, target_rows: int) -> Column:
    """Return the values of `target` at the rows that `region` names."""
    problem = region.problem or target.problem
    if problem:
        return broken_column(name, problem, target.values)
    item = target.field.type
    for _ in region.indexes:
        item = pa.large_list(item)
    field = replace(target.field, name=name, type=item, heavy=is_heavy(item))
    return Column(field, "resolved", target.values, region=region, target=target, target_rows=target_rows)


def lengths_column(column: Column) -> Column:
    """Return how many elements each row of `column` has; where it has an index, that is all that is read."""
    if column.kind == "resolved" and column.region is not None and column.region.indexes:
        # As many as rows of the other table are named.
        return lengths_column(column.region)
    return Column(lengths_field(column.field), "lengths", column.values, target=column)


def series_columns(index: FileIndex, group: GroupEntry) -> tuple[int, dict[str, Column]]:
    """Return the length and the columns ``timestamps``, ``data``, ``control`` of a TimeSeries.

    NWB core schema, *TimeSeries*: times are either ``timestamps`` (seconds, one per sample) or
    ``starting_time`` with its attribute ``rate`` (Hz); where a file has both, the stored ones count. Data
    come as stored, without conversion. A series of external images has timestamps and zero rows of data in
    the file: its length is that of the timestamps, and it has no column ``data``.
    """
    data, stamps = (index.array(join(group.path, name)) for name in ("data", "timestamps"))
    n_stamps = stamps.shape[0] if stamps is not None and stamps.shape else 0
    n_data = _series_length(data)
    n_rows = n_data or n_stamps
    columns: dict[str, Column] = {}
    timing = _timing_column(index, group, stamps, n_rows)
    if timing is not None:
        columns["timestamps"] = timing
    for name in ("data", "control"):
        entry = index.array(join(group.path, name))
        if entry is None:
            broken = broken_member(index, group, name)
            if broken is not None:
                columns[name] = broken
        elif not entry.shape:
            columns[name] = record_column(name, entry)
        elif entry.shape[0] or not n_rows:
            columns[name] = dynamic_column(name, entry, (), n_rows)
    return n_rows, columns


def broken_member(index: FileIndex, group: GroupEntry, name: str) -> Column | None:
    """Return the member `name` of `group` as a column that cannot be read; None if nothing says why."""
    path = join(group.path, name)
    link = group.links.get(name)
    if path in index.problems:
        return broken_column(name, index.problems[path], None)
    if link is not None and link.filename is not None:
        reason = f"it is in another file, {link.filename!r}, and links out are followed only into folders that "
        return broken_column(name, reason + "allow_external=[...] names", None)
    return broken_column(name, f"its link to {link.target!r} leads nowhere", None) if link is not None else None


def _series_length(data: ArrayEntry | None) -> int:
    if data is None or data.shape is None:
        return 0
    return data.shape[0] if data.shape else 1


def _timing_column(index: FileIndex, group: GroupEntry, stamps: ArrayEntry | None, n_rows: int) -> Column | None:
    if stamps is not None:
        column = dynamic_column("timestamps", stamps, (), n_rows)
        is_number = pa.types.is_integer(column.field.type) or pa.types.is_floating(column.field.type)
        # The schema says float64; writers that store counts or float32 get the same seconds.
        return replace(column, field=replace(column.field, type=pa.float64())) if is_number else column
    broken = broken_member(index, group, "timestamps")
    if broken is not None:
        return broken
    start = index.array(join(group.path, "starting_time"))
    rate = None if start is None else number_attribute(start, "rate")
    if rate is None:
        return None
    return Column(Field("timestamps", pa.float64()), "sampled", start, rate=rate)


def _field(name: str, item: pa.DataType, element: ElementType, *, enum_data: bool = False) -> Field:
    categories = tuple(member for member, _ in element.members) if element.kind == "enum" and not enum_data else None
    nullable = element.kind == "reference" and not is_heavy(item)
    return Field(name, item, nullable=nullable, categories=categories, heavy=is_heavy(item))


def _decoded(entry: ArrayEntry) -> int:
    size = entry.element.dtype.itemsize if entry.element.dtype is not None else 16
    for length in entry.shape or ():
        size *= length
    return size
