"""Parts of a catalog: Arrow tables as immutable Parquet files, and back."""

from __future__ import annotations

import re
import secrets
import struct
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from nwb_dask.catalog.shared.layout import LAYOUT
from nwb_dask.catalog.shared.manifest import Manifest, Part, digest_of, rebuild
from nwb_dask.errors import MalformedFileError, SourceChangedError, SourceNotFoundError
from nwb_dask.storage.target import Target, read_all

_MAX_ROWS = 1 << 20
_MAX_BYTES = 1 << 26
"""Of a part, in memory; more rows are another part."""
_ROW_GROUP = 1 << 17
_LENGTH = struct.Struct("<I")
_Place: TypeAlias = tuple[str, str, int, int, str]
"""A row of ``places``."""
_PART = re.compile(rf"(?:{'|'.join(LAYOUT)})/[0-9a-f]{{12}}-[0-9]{{4,}}\.parquet")


def is_part(key: str) -> bool:
    """Return whether a file below a catalog is a part by its name; others are nobody's to remove."""
    return _PART.fullmatch(key) is not None


def write_tables(target: Target, tables: Mapping[str, pa.Table]) -> dict[str, tuple[Part, ...]]:
    """Write tables as parts that no manifest names yet, and return these; ``places`` follows from ``indexes``."""
    name = secrets.token_hex(6)
    places: list[_Place] = []
    parts = {table: _write(target, table, rows, name, places) for table, rows in tables.items() if table != "places"}
    columns = list(zip(*places, strict=True)) or [()] * len(LAYOUT["places"])
    values = [
        pa.array(one, pa.string()).dictionary_encode() if i == 1 else pa.array(one) for i, one in enumerate(columns)
    ]
    arrays = [one.cast(field.type) for one, field in zip(values, LAYOUT["places"], strict=True)]
    rows = pa.Table.from_arrays(arrays, schema=LAYOUT["places"])
    return {**parts, "places": _write(target, "places", rows, name, [])}


def _write(target: Target, table: str, rows: pa.Table, name: str, places: list[_Place]) -> tuple[Part, ...]:
    size = max(1, rows.nbytes)
    step = max(1, min(_MAX_ROWS, rows.num_rows * _MAX_BYTES // size)) if rows.num_rows else 1
    parts = []
    # One part without rows tells its columns.
    for number, start in enumerate(range(0, max(rows.num_rows, 1), step)):
        some = rows.slice(start, step)
        value = parquet_bytes(some)
        key = f"{table}/{name}-{number:04d}.parquet"
        if table == "indexes":
            places += _places(key, value, some)
        target.put(key, value)
        parts.append(Part(key, some.num_rows, len(value), digest_of(value)))
    return tuple(parts)


def parquet_bytes(rows: pa.Table) -> bytes:
    """Return a table as a Parquet file."""
    sink = pa.BufferOutputStream()
    if "index" not in rows.column_names:
        pq.write_table(rows, sink, compression="zstd", row_group_size=_ROW_GROUP)
    else:
        # An index is compressed by itself, and read by its place. With statistics it would stand there twice.
        names = rows.column_names
        encodings = dict.fromkeys(names, "PLAIN")
        pq.write_table(
            rows, sink, compression="none", use_dictionary=False, column_encoding=encodings, write_statistics=False
        )
    value: bytes = sink.getvalue().to_pybytes()
    return value


def _places(key: str, value: bytes, rows: pa.Table) -> Iterator[_Place]:
    """Yield where in a Parquet file each index is: in order, and behind its length in four bytes."""
    start = 0
    for url, index in zip(rows.column("key").to_pylist(), rows.column("index").to_pylist(), strict=True):
        start = value.index(_LENGTH.pack(len(index)) + index, start) + _LENGTH.size
        yield url, key, start, len(index), digest_of(index)
        start += len(index)


def read_table(target: Target, manifest: Manifest, table: str) -> pa.Table:
    """Return all parts of a table, one below the other.

    Raises
    ------
    SourceChangedError
        If the catalog was written anew since its manifest was read.
    MalformedFileError
        If a part is damaged.
    """
    parts = manifest.parts[table]
    try:
        values = read_all(target, [part.key for part in parts])
    except SourceNotFoundError as error:
        message = f"the catalog at {target.name} was written anew, or parts of it were removed; open it again"
        raise SourceChangedError(message, url=target.name) from error
    tables = [_read(value, part, target.name, table) for value, part in zip(values, parts, strict=True)]
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables).unify_dictionaries()


def _read(value: bytes, part: Part, name: str, table: str) -> pa.Table:
    if digest_of(value) != part.digest:
        message = f"the catalog at {name} is damaged: {part.key} is not what was written; {rebuild(name)}"
        raise MalformedFileError(message, url=name)
    rows = pq.read_table(pa.BufferReader(value))
    wanted = LAYOUT[table]
    if rows.schema.names[: len(wanted)] != wanted.names or rows.num_rows != part.n_rows:
        message = f"the catalog at {name} is damaged: {part.key} has other columns or rows; {rebuild(name)}"
        raise MalformedFileError(message, url=name)
    return rows
