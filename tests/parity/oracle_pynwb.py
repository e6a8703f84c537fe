"""What pynwb shows of the tables of a file: the second oracle, on the objects that a user of pynwb holds."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from hdmf.common import AlignedDynamicTable, DynamicTable, EnumData
from hdmf.container import AbstractContainer
from pynwb import NWBHDF5IO, NWBFile, TimeSeries

Rows = dict[str, "list[Any] | npt.NDArray[Any]"]
"""Column -> the value of each row, as pynwb gives it; objects are replaced by their paths."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The tables of one file, or why pynwb does not open it."""

    tables: dict[str, Rows] = field(default_factory=dict)
    refused: str = ""
    unshown: dict[str, str] = field(default_factory=dict)
    """Tables that pynwb opens and then fails to show, with what it raised."""


def read_file(path: Path) -> Shown:
    """Return what pynwb shows of the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            io = NWBHDF5IO(str(path), "r")
            file = io.read()
        # pynwb raises whatever its parts raise: TypeError, AttributeError, KeyError, ConstructError ...
        except Exception as exc:  # noqa: BLE001  # whatever pynwb raises is its reason
            # What comes after a parenthesis is a picture of the object.
            return Shown(refused=f"{type(exc).__name__} {str(exc).partition('(')[0][:80]}".strip())
        with io:
            return _shown(io, file)


def _shown(io: NWBHDF5IO, file: NWBFile) -> Shown:
    shown = Shown()
    for item in file.objects.values():
        if not isinstance(item, DynamicTable | TimeSeries):
            continue
        path = _path(io, item)
        try:
            shown.tables[path] = _series_rows(io, item) if isinstance(item, TimeSeries) else _table_rows(io, item)
        except (OSError, ValueError) as exc:
            shown.unshown[path] = f"{type(exc).__name__} {exc}"
    return shown


def _path(io: NWBHDF5IO, item: AbstractContainer) -> str:
    return "/" + str(io.manager.get_builder(item).path).partition("/")[2]


def _table_rows(io: NWBHDF5IO, table: DynamicTable) -> Rows:
    rows = dict(_columns(io, table))
    if isinstance(table, AlignedDynamicTable):
        for name in table.categories:
            for column, values in _columns(io, table.category_tables[name]):
                rows[f"{name}.{column}"] = values
    return rows


def _columns(io: NWBHDF5IO, table: DynamicTable) -> Iterator[tuple[str, list[Any] | npt.NDArray[Any]]]:
    yield "id", np.asarray(table.id[:])
    # Row numbers of regions, not the rows that they point to.
    shown = DynamicTable.get(table, slice(None), df=False, index=True)[1:]
    for name, found in zip(table.colnames, shown, strict=True):
        values = table[name][:] if isinstance(table[name], EnumData) else found
        is_numbers = isinstance(values, np.ndarray) and values.dtype.kind in "iufb"
        yield name, values if is_numbers else [_without_objects(io, value) for value in values]


def _without_objects(io: NWBHDF5IO, value: Any) -> Any:
    if isinstance(value, AbstractContainer):
        return _path(io, value)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _without_objects(io, part) for name, part in value._asdict().items()}
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
        return [_without_objects(io, part) for part in value]
    if isinstance(value, np.ndarray) and value.dtype.names and value.shape:
        return [_without_objects(io, part) for part in value]
    if isinstance(value, np.void | np.ndarray) and value.dtype.names:
        return {name: _without_objects(io, value[name]) for name in value.dtype.names}
    return value


def _series_rows(io: NWBHDF5IO, series: TimeSeries) -> Rows:
    rows: Rows = {}
    # pynwb makes up an empty array for a series that stores no data.
    stored = series.data if isinstance(series.data, h5py.Dataset) or len(series.data) else None
    if series.timestamps is not None:
        rows["timestamps"] = series.timestamps[:]
    elif series.rate is not None:
        rows["timestamps"] = np.empty(0) if stored is None else series.get_timestamps()
    if stored is not None and (len(stored) or not len(rows.get("timestamps", ()))):
        rows["data"] = _without_objects(io, stored[:])
    if series.control is not None:
        rows["control"] = series.control[:]
    return rows
