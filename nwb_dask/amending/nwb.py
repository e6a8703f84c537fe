"""Tables, columns and series as NWB has them: what is written for each.

Source: NWB core 2.x and hdmf-common 1.x, *DynamicTable*, *VectorData*, *VectorIndex*, *DynamicTableRegion*,
*TimeIntervals*, *TimeSeries*.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import uuid4

import numpy as np

from nwb_dask.amending.arrays import add_array, as_values
from nwb_dask.amending.columns import Column, column_of, columns_of
from nwb_dask.amending.draft import Draft
from nwb_dask.errors import OutputError, PathNotFoundError, SchemaConflictError
from nwb_dask.index import Reference, basename, join

_COMMON, _CORE = "hdmf-common", "core"
_GZIP = 4
_PLACES = ("/acquisition", "/analysis", "/intervals", "/scratch", "/stimulus/presentation", "/stimulus/templates")
_MODULES = "/processing"


def add_column(
    draft: Draft,
    table: str,
    name: str,
    values: object,
    *,
    description: str,
    region_of: str | None = None,
) -> None:
    """Add a column to a table; see `AmendedFile.add_column`."""
    path = draft.resolve(table)
    rows = _rows(draft, path)
    if draft.has(join(path, name)):
        raise OutputError(f"{join(path, name)} is there already; choose another name", url=_url(draft), path=path)
    if not name or "/" in name:
        raise ValueError(f"{name!r} is no name for a column")
    undo = _Undo(draft)
    try:
        column = column_of(values, join(path, name))
        _write_column(draft, path, name, column, rows, description=description, region_of=region_of, undo=undo)
        names = [str(one) for one in draft.attributes(path).get("colnames", ())]
        draft.set_attributes(path, {"colnames": np.array([*names, name], dtype=object)})
    except BaseException:
        undo.run()
        raise


def add_table(draft: Draft, path: str, frame: object, *, description: str, descriptions: Mapping[str, str]) -> None:
    """Add a table; see `AmendedFile.add_table`."""
    columns = columns_of(frame, path)
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise SchemaConflictError(f"columns of {path} differ in length: {lengths}", url=_url(draft), path=path)
    rows = next(iter(lengths.values()), 0)
    is_intervals = path.startswith("/intervals/")
    missing = {"start_time", "stop_time"} - set(columns)
    if is_intervals and missing:
        message = f"{path}: tables of intervals have the columns start_time and stop_time; {sorted(missing)} missing"
        raise SchemaConflictError(message, url=_url(draft), path=path)
    ids = columns["id"].values if "id" in columns else np.arange(rows)
    if ids.dtype.kind not in "iu":
        raise SchemaConflictError(f"{path}: ids are whole numbers, not {ids.dtype}", url=_url(draft), path=path)
    undo = _Undo(draft)
    try:
        _make_place(draft, path, undo)
        kind = {"neurodata_type": "TimeIntervals", "namespace": _CORE}
        if not is_intervals:
            kind = {"neurodata_type": "DynamicTable", "namespace": _COMMON}
        names = np.array([name for name in columns if name != "id"], dtype=object)
        attributes = {**kind, "object_id": _new_id(), "description": description, "colnames": names}
        undo.note(path)
        draft.create_group(path, attributes)
        common = {"neurodata_type": "ElementIdentifiers", "namespace": _COMMON, "object_id": _new_id()}
        add_array(draft, join(path, "id"), ids, attributes=common, gzip=_GZIP, shuffle=True)
        for name in names:
            said = descriptions.get(name, _KNOWN.get(name, "no description") if is_intervals else "no description")
            _write_column(draft, path, name, columns[name], rows, description=said, region_of=None, undo=undo)
    except BaseException:
        undo.run()
        raise


def add_timeseries(
    draft: Draft,
    path: str,
    data: object,
    *,
    unit: str,
    rate: float | None,
    starting_time: float,
    timestamps: object,
    description: str,
    comments: str,
    conversion: float,
    offset: float,
    chunks: tuple[int, ...] | None,
) -> None:
    """Add a series; see `AmendedFile.add_timeseries`."""
    values = as_values(data)
    if not values.ndim:
        raise SchemaConflictError(f"{path}: data have at least one dimension, time", url=_url(draft), path=path)
    if (rate is None) == (timestamps is None):
        raise ValueError(f"{path}: give either rate= (in Hz) or timestamps= (in seconds)")
    if rate is not None and not rate > 0:
        raise ValueError(f"{path}: rate={rate!r} is not a number of samples a second")
    undo = _Undo(draft)
    try:
        _make_place(draft, path, undo)
        undo.note(path)
        kind = {"neurodata_type": "TimeSeries", "namespace": _CORE, "object_id": _new_id()}
        draft.create_group(path, {**kind, "description": description, "comments": comments})
        said = {"unit": unit, "conversion": float(conversion), "offset": float(offset), "resolution": -1.0}
        add_array(draft, join(path, "data"), values, attributes=said, chunks=chunks, gzip=_GZIP, shuffle=True)
        if rate is not None:
            times = {"rate": float(rate), "unit": "seconds"}
            add_array(draft, join(path, "starting_time"), np.float64(starting_time), attributes=times)
        else:
            _add_timestamps(draft, path, timestamps, len(values))
    except BaseException:
        undo.run()
        raise


def _add_timestamps(draft: Draft, path: str, timestamps: object, length: int) -> None:
    times = np.asarray(timestamps, dtype=np.float64)
    if times.shape != (length,):
        message = f"{path}: there are {length} samples, and timestamps of shape {times.shape}"
        raise SchemaConflictError(message, url=_url(draft), path=path)
    add_array(
        draft,
        join(path, "timestamps"),
        times,
        attributes={"interval": 1, "unit": "seconds"},
        gzip=_GZIP,
        shuffle=True,
    )


_KNOWN: Mapping[str, str] = {
    "start_time": "Start time of epoch, in seconds.",
    "stop_time": "Stop time of epoch, in seconds.",
}
"""What the schema says of columns of intervals."""


class _Undo:
    """What a call has made so far, to be removed if it fails."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._made: list[str] = []

    def note(self, path: str) -> None:
        """Remember that this is made, unless it is there."""
        if not self._draft.has(path):
            self._made.append(path)

    def run(self) -> None:
        """Remove what was made."""
        for path in reversed(self._made):
            if self._draft.has(path):
                self._draft.delete(path)


def _write_column(
    draft: Draft,
    table: str,
    name: str,
    column: Column,
    rows: int,
    *,
    description: str,
    region_of: str | None,
    undo: _Undo,
) -> None:
    """Write a column, and the index of a ragged one."""
    path = join(table, name)
    given, ends = column
    if len(column) != rows:
        message = f"{path}: {table} has {rows} rows, and {len(column)} values are given"
        raise SchemaConflictError(message, url=_url(draft), path=path)
    attributes: dict[str, object] = {"neurodata_type": "VectorData", "namespace": _COMMON, "object_id": _new_id()}
    attributes["description"] = description
    if region_of is not None:
        target = draft.resolve(region_of)
        n_target = _rows(draft, target)
        if given.dtype.kind not in "iu" or (given.size and not 0 <= given.min() <= given.max() < n_target):
            raise SchemaConflictError(f"{path}: values are no rows of {target}, which has {n_target}", url=_url(draft))
        attributes |= {"neurodata_type": "DynamicTableRegion", "table": Reference(target)}
    undo.note(path)
    add_array(draft, path, given, attributes=attributes, gzip=_GZIP, shuffle=True)
    if ends is None:
        return
    index = {"neurodata_type": "VectorIndex", "namespace": _COMMON, "object_id": _new_id()}
    undo.note(f"{path}_index")
    add_array(
        draft,
        f"{path}_index",
        ends,
        attributes={**index, "description": f"Index for VectorData {name!r}", "target": Reference(path)},
        gzip=_GZIP,
        shuffle=True,
    )


def _rows(draft: Draft, path: str) -> int:
    """Return how many rows a table has."""
    ids = join(path, "id")
    if "colnames" not in draft.attributes(path) or not draft.is_array(ids):
        message = f"{path} is no table of {draft.output.path}" if draft.has(path) else f"there is no table {path}"
        raise PathNotFoundError(message, url=_url(draft), path=path)
    return int(draft.array(ids)["shape"][0])


def _make_place(draft: Draft, path: str, undo: _Undo) -> None:
    """Make the group that a table or a series goes to, if NWB has one there and it is not there yet.

    Raises
    ------
    OutputError
        If NWB has no such place, or the name is taken.
    """
    folder = path.rpartition("/")[0]
    parent = folder.rpartition("/")[0]
    if folder not in _PLACES and parent != _MODULES:
        message = f"{path}: tables and series go to {', '.join(_PLACES)} or {_MODULES}/<module>; name one of these"
        raise OutputError(message, url=_url(draft), path=path)
    if draft.has(path):
        raise OutputError(f"{path} is there already; choose another name", url=_url(draft), path=path)
    if parent == _MODULES and not draft.has(folder):
        undo.note(folder)
        kind = {"neurodata_type": "ProcessingModule", "namespace": _CORE, "object_id": _new_id()}
        draft.create_group(folder, {**kind, "description": basename(folder)})
    elif not draft.has(folder):
        undo.note(folder)
        draft.create_group(folder)


def _new_id() -> str:
    return str(uuid4())


def _url(draft: Draft) -> str:
    return str(draft.output.path)
