"""Parts of a catalog: Arrow tables as immutable Parquet files, and back."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

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
_PART = re.compile(rf"(?:{'|'.join(LAYOUT)})/[0-9a-f]{{12}}-[0-9]{{4,}}\.parquet")


def is_part(key: str) -> bool:
    """Return whether a file below a catalog is a part by its name; others are nobody's to remove."""
    return _PART.fullmatch(key) is not None


def write_tables(target: Target, tables: Mapping[str, pa.Table]) -> dict[str, tuple[Part, ...]]:
    """Write tables as parts that no manifest names yet, and return these."""
    name = secrets.token_hex(6)
    return {table: _write(target, table, rows, name) for table, rows in tables.items()}


def _write(target: Target, table: str, rows: pa.Table, name: str) -> tuple[Part, ...]:
    size = max(1, rows.nbytes)
    step = max(1, min(_MAX_ROWS, rows.num_rows * _MAX_BYTES // size)) if rows.num_rows else 1
    parts = []
    # One part without rows tells its columns.
    for number, start in enumerate(range(0, max(rows.num_rows, 1), step)):
        some = rows.slice(start, step)
        value = parquet_bytes(some)
        key = f"{table}/{name}-{number:04d}.parquet"
        target.put(key, value)
        parts.append(Part(key, some.num_rows, len(value), digest_of(value)))
    return tuple(parts)


def parquet_bytes(rows: pa.Table) -> bytes:
    """Return a table as a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", row_group_size=_ROW_GROUP)
    value: bytes = sink.getvalue().to_pybytes()
    return value


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
