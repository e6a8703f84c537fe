"""Reads what describes the session of one file: small values of the root, ``/general`` and ``/general/subject``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nwb_dask.backends import File
from nwb_dask.catalog import recent_records
from nwb_dask.errors import NWBDaskError, PathNotFoundError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, AttributeValue, FileIndex, GroupEntry, Reference
from nwb_dask.model import Column, build_table
from nwb_dask.model.columns import broken_member
from nwb_dask.model.kinds import RECORDS, text_attribute
from nwb_dask.model.metadata import STANDARD, SUBJECT, Cell, Key
from nwb_dask.read.column import read_columns
from nwb_dask.read.recent_values import is_settled
from nwb_dask.read.small_values import STORAGE_ERRORS

Record: TypeAlias = Mapping[Key, Cell]

_MOST_BYTES = 1 << 20
"""Of one value. What is larger describes no session."""

_CELL_BYTES = 300
"""What a cell takes in memory beside its value."""

_OF_DATASETS = {"age": ("reference", "age__reference"), "source_script": ("file_name", "source_script_file_name")}
"""Dataset -> its attribute that is a field of its own, and the name of that."""

_TEXT = pa.string()
_TEXTS = pa.large_list(_TEXT)

_ARRAY_ATTRIBUTES = frozenset(attribute for attribute, _ in _OF_DATASETS.values())

_OF_TYPES = frozenset(
    {"neurodata_type", "namespace", "object_id", ".specloc", "help", "source", "schema_id", "ancestry"}
)
"""Attributes of groups that say what the group is, not what the session is."""


def read_record(file: File) -> Record:
    """Return the metadata of a file by group and name, which are read once while the file is the same.

    Raises
    ------
    MalformedFileError
        If the groups themselves cannot be read.
    """
    known = recent_records.get(file.source)
    if isinstance(known, Mapping):
        return known
    found = _record(file)
    if is_settled(file.source):
        weight = sum(_CELL_BYTES + len(str(cell.value)) for cell in found.values())
        recent_records.put(file.source, found, weight)
    return found


def _record(file: File) -> Record:
    """Return the metadata of a file; values are read together.

    A value that cannot be read, or that takes more than 1 MiB, has a `Cell.problem` and harms no other.
    """
    cells: dict[Key, Cell] = {}
    columns: dict[Key, Column] = {}
    for group in RECORDS:
        try:
            index = _index(file, group)
        except UnsupportedLayoutError as error:
            # A link into another file, which may not be followed.
            cells.update({key: Cell(pa.null(), None, error.message) for key in STANDARD if key.group == group})
            continue
        if index is None:
            continue
        cells.update(_of_attributes(file, index, group))
        for name, column in build_table(index, group).columns.items():
            columns[Key(group, name)] = column
        cells.update(_elsewhere(index, group))
    return {**cells, **_read(file, columns)}


def _elsewhere(index: FileIndex, group: str) -> dict[Key, Cell]:
    """Return the standard fields that are links into other files, which may not be followed."""
    entry = index.groups[group]
    links = {key: entry.links[key.name] for key in STANDARD if key.group == group and key.name in entry.links}
    outside = {key for key, link in links.items() if link.filename is not None}
    broken = {key: broken_member(index, entry, key.name) for key in outside}
    return {key: Cell(pa.null(), None, column.problem) for key, column in broken.items() if column is not None}


def _index(file: File, group: str) -> FileIndex | None:
    try:
        attributes = frozenset({"nwb_version"} if group == "/" else ())
        found = file.index(group, attributes=attributes, array_attributes=_ARRAY_ATTRIBUTES, groups=False)
    except PathNotFoundError:
        return None
    return found if found.group(group) is not None else None


def _of_attributes(file: File, index: FileIndex, group: str) -> dict[Key, Cell]:
    cells: dict[Key, Cell] = {}
    entry = index.groups[group]
    version = text_attribute(entry.attributes, "nwb_version")
    if version is not None:
        cells[Key(group, "nwb_version")] = Cell(pa.string(), version)
    if group == SUBJECT and (more := entry.unread - _OF_TYPES):
        # Extensions of Subject have fields that are attributes.
        found = file.index(group, names=(), attributes=more).groups[group]
        cells.update(_cells(found, more))
    for dataset, (attribute, name) in _OF_DATASETS.items():
        array = index.array(f"{group.rstrip('/')}/{dataset}")
        text = None if array is None else text_attribute(array.attributes, attribute)
        if text is not None:
            cells[Key(group, name)] = Cell(pa.string(), text)
    return cells


def _cells(group: GroupEntry, names: frozenset[str]) -> dict[Key, Cell]:
    cells = {}
    for name in sorted(names & set(group.attributes)):
        value = _plain(group.attributes[name])
        try:
            cells[Key(group.path, name)] = Cell(_type(value), value)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            cells[Key(group.path, name)] = Cell(pa.null(), None, f"it has no type: {error}")
    return cells


def _type(value: object) -> pa.DataType:
    if isinstance(value, list):
        return pa.large_list(_type(value[0]) if value else pa.null())
    return pa.scalar(value).type


def _plain(value: AttributeValue) -> object:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Reference):
        return value.path
    return value.tolist() if isinstance(value, np.ndarray) else value


def _read(file: File, columns: Mapping[Key, Column]) -> dict[Key, Cell]:
    problems = {key: problem for key, column in columns.items() if (problem := _problem(column))}
    readable = {key: column for key, column in columns.items() if key not in problems}
    try:
        found = dict(zip(readable, _values(file, list(readable.values())), strict=True))
    except STORAGE_ERRORS:
        raise
    except NWBDaskError:
        found = {}
        for key, column in readable.items():
            try:
                (found[key],) = _values(file, [column])
            except STORAGE_ERRORS:
                raise
            except NWBDaskError as error:
                problems[key] = error.message
    return {key: Cell(pa.null(), None, problems[key]) if key in problems else found[key] for key in columns}


def _values(file: File, columns: Sequence[Column]) -> list[Cell]:
    are_text = [_is_text(column.values) for column in columns]
    asks = [(c.values, None) for c, is_text in zip(columns, are_text, strict=True) if is_text and c.values is not None]
    try:
        found = iter([_text_cell(values) for values in file.read_many(asks)] if asks else ())
    except UnicodeDecodeError:
        # Which one it is will be said.
        return _values_of_any_type(file, columns)
    others = [column for column, is_text in zip(columns, are_text, strict=True) if not is_text]
    rest = iter(_values_of_any_type(file, others) if others else ())
    return [next(found) if is_text else next(rest) for is_text in are_text]


def _is_text(entry: ArrayEntry | None) -> bool:
    """Return whether a dataset is one text or a list of them, of any length."""
    if entry is None or entry.element.kind != "string" or entry.element.dtype is not None:
        return False
    return entry.shape is not None and len(entry.shape) < 2  # noqa: PLR2004  # a text or a list


def _text_cell(values: npt.NDArray[np.generic]) -> Cell:
    if not values.ndim:
        return Cell(_TEXT, values.item().decode())
    return Cell(_TEXTS, [item.decode() for item in values.tolist()])


def _values_of_any_type(file: File, columns: Sequence[Column]) -> list[Cell]:
    row = np.array([[0, 1]], np.int64)
    arrays = read_columns(file, [(column, row) for column in columns])
    return [Cell(array.type, array[0].as_py()) for array in arrays]


def _problem(column: Column) -> str:
    if column.problem or column.decoded_bytes <= _MOST_BYTES:
        return column.problem
    return f"it takes {column.decoded_bytes} bytes, too many for metadata; read_table reads it by name"
