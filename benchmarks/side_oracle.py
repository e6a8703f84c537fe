"""What h5py says of a column, by hand: neither nwb_dask nor lazynwb has a part in it."""

from __future__ import annotations

from typing import Any, TypeAlias

import h5py
import numpy as np

from benchmarks.peers.side_contest import ROWS, digest, plain

Value: TypeAlias = Any


def column_digest(path: str, table: str, column: str) -> str | None:
    """Return the digest of the values that a file has for a column of a table; None if it is no such column."""
    try:
        with h5py.File(path) as file:
            group = file.get(table)
            if not isinstance(group, h5py.Group):
                return None
            values = _times(group) if column == "timestamps" and column not in group else _column(file, group, column)
            return None if values is None else digest([_null(one) for one in plain(values[:ROWS])])
    except (KeyError, OSError, RuntimeError, TypeError, ValueError):
        # Damaged files, and links into other files, are among the real ones.
        return None


def n_rows(path: str, table: str) -> int | None:
    """Return how many rows a table or series has; None if that is neither."""
    try:
        with h5py.File(path) as file:
            group = file.get(table)
            if not isinstance(group, h5py.Group):
                return None
            lengths = (group[name].shape[:1] for name in ("id", "data", "timestamps") if name in group)
            return int(next((length[0] for length in lengths if length and length[0]), 1))
    except (KeyError, OSError, RuntimeError):
        return None


def _times(group: h5py.Group) -> Value:
    start, data = group.get("starting_time"), group.get("data")
    if start is None or data is None or "rate" not in start.attrs:
        return None
    return (np.arange(min(data.shape[0], ROWS)) / start.attrs["rate"] + start[()]).tolist()


def _column(file: h5py.File, group: h5py.Group, name: str) -> Value:
    data = group.get(name)
    if not isinstance(data, h5py.Dataset) or not data.shape:
        return None
    values = _values(file, data, last=name == "electrode_group")
    while True:
        index = next((one for one in group.values() if _points_to(file, one, data)), None)
        if index is None:
            return values
        ends = index[:].tolist()
        values = [values[start:stop] for start, stop in zip([0, *ends[:-1]], ends, strict=True)]
        data = index


def _points_to(file: h5py.File, one: Value, data: h5py.Dataset) -> bool:
    target = one.attrs.get("target") if isinstance(one, h5py.Dataset) else None
    return isinstance(target, h5py.Reference) and bool(target) and file[target] == data


def _values(file: h5py.File, data: h5py.Dataset, *, last: bool) -> Value:
    return [_plain(file, one, last=last) for one in data[:]]


def _plain(file: h5py.File, value: Value, *, last: bool) -> Value:
    if isinstance(value, h5py.RegionReference):
        return "region"
    if isinstance(value, h5py.Reference):
        name = file[value].name if value else None
        return name.rpartition("/")[2] if name and last else name
    if isinstance(value, np.void) and value.dtype.names:
        return {name: _plain(file, value[name], last=False) for name in value.dtype.names}
    return value


def _null(value: Value) -> Value:
    return None if value in ("nan", "NaT") else [_null(one) for one in value] if isinstance(value, list) else value
