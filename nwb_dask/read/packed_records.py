"""What describes a session as bytes, and back, exactly."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pyarrow as pa

from nwb_dask.catalog.serialize import unpack
from nwb_dask.model.metadata import Cell, Key
from nwb_dask.read.records import Record


def pack_record(record: Record) -> tuple[tuple[object, ...], ...]:
    """Return what describes a session as values that pack."""
    return tuple(
        (
            key.group,
            key.name,
            pa.schema([("", cell.type)]).serialize().to_pybytes(),
            packable(cell.value),
            cell.problem,
        )
        for key, cell in record.items()
    )


def unpack_record(data: bytes) -> Record:
    """Return what describes a session, from the bytes of what `pack_record` gave."""
    cells: dict[Key, Cell] = {}
    for group, name, kind, value, problem in unpack(data):
        cells[Key(group, name)] = Cell(_type(kind), _listed(value), problem)
    return cells


@lru_cache(maxsize=1024)
def _type(kind: bytes) -> pa.DataType:
    # Types are told apart by what they are: most cells share one.
    return pa.ipc.read_schema(pa.py_buffer(kind)).field(0).type


def packable(value: object) -> object:
    """Return a value with tuples in place of lists, as `catalog.serialize.pack` takes it."""
    if isinstance(value, list):
        return tuple(packable(item) for item in value)
    if isinstance(value, dict):
        return {name: packable(item) for name, item in value.items()}
    return value


def _listed(value: Any) -> Any:  # noqa: ANN401  # any value
    if isinstance(value, tuple):
        return [_listed(item) for item in value]
    if isinstance(value, dict):
        return {name: _listed(item) for name, item in value.items()}
    return value
