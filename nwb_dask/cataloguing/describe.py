"""What a catalog says of one file: metadata, tables, columns with what is known of their values, series, the index."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from nwb_dask.backends import File
from nwb_dask.catalog import index_bytes
from nwb_dask.catalog.serialize import pack, unpack
from nwb_dask.cataloguing.statistics import ColumnRow, column_rows
from nwb_dask.errors import NWBDaskError
from nwb_dask.index import FileIndex, Identity, Url, join
from nwb_dask.model import Column, Table, find_tables, lengths_column
from nwb_dask.model.kinds import neurodata_type
from nwb_dask.model.series import SampledTiming, Series, StoredTiming
from nwb_dask.model.stored_schema import schema_of, schema_row
from nwb_dask.plan.split import rows_per_chunk
from nwb_dask.read.column import read_columns
from nwb_dask.read.describe import describe_table, list_objects
from nwb_dask.read.opening import open_source
from nwb_dask.read.packed_records import pack_record, packable
from nwb_dask.read.records import read_record
from nwb_dask.read.series import describe_series, find_series
from nwb_dask.read.small_values import STORAGE_ERRORS
from nwb_dask.storage import Access, is_local

_MOST_ROWS = 1 << 24
"""Of a column whose values are read: 128 MiB of float64."""


_BLOCK_BYTES = 1 << 26
"""Of a partition, about, in which chunks should be whole."""


@dataclass(frozen=True, slots=True)
class Detail:
    """How much a catalog says."""

    statistics: bool = True
    range_rows: int = 1 << 16
    """Rows of a range that statistics are of."""
    indexes: bool = True

    def as_json(self) -> dict[str, object]:
        """Return what the manifest says of it."""
        return {"statistics": self.statistics, "range_rows": self.range_rows, "indexes": self.indexes}


@dataclass(frozen=True, slots=True)
class Described:
    """What is said of one file. Plain values, so that it packs."""

    identity: Identity | None
    """None where the file could not be opened."""
    error: str = ""
    """Class of the error, if the file could not be read."""
    message: str = ""
    record: tuple[tuple[object, ...], ...] = ()
    """Group, name, type as an IPC message, value and problem of each cell of metadata."""
    tables: tuple[tuple[object, ...], ...] = ()
    """Path, type, kind, rows, digest of the schema, rows of a chunk, stored and decoded bytes of each column."""
    schemas: tuple[tuple[str, object], ...] = ()
    """Digest and row of each schema."""
    columns: tuple[tuple[object, ...], ...] = ()
    """Path of the table, name, and what `column_rows` gives."""
    series: tuple[tuple[object, ...], ...] = ()
    """Path and so on, as ``series`` has them."""
    index: bytes | None = None
    links: tuple[str, ...] = ()
    """Paths at which there is a link, outside of tables."""

    def packed(self) -> bytes:
        """Return it as bytes."""
        identity = None if self.identity is None else (self.identity.kind, self.identity.value, self.identity.size)
        return pack(
            (
                identity,
                self.error,
                self.message,
                self.record,
                self.tables,
                self.schemas,
                self.columns,
                self.series,
                self.index,
                self.links,
            )
        )


def unpack_described(data: bytes) -> Described:
    """Return what `Described.packed` gave."""
    identity, *rest = unpack(data)
    return Described(None if identity is None else Identity(*identity), *rest)


def describe_source(url: Url, name: str, access: Access, detail: Detail) -> Described:
    """Return what a catalog says of the file at `url`; a file that cannot be read is said to be so.

    Raises
    ------
    KeyboardInterrupt
        And nothing else: whatever is wrong with one file is a part of the answer.
    """
    identity = None
    try:
        with open_source(url, access) as file:
            identity = file.source.identity
            found = _describe(file, detail)
        return found if not detail.indexes else _with_index(found, file, url)
    except NWBDaskError as error:
        error.at(url=name)
        return Described(identity, type(error).__name__, error.message)
    except Exception as error:  # noqa: BLE001  # a file never ends a catalog, however odd it is
        # What others write into their messages may be a URL with a signature.
        said = "a message that names a URL" if "://" in str(error) else str(error)
        return Described(identity, type(error).__name__, f"unexpected: {said}")


def _describe(file: File, detail: Detail) -> Described:
    record = pack_record(read_record(file))
    tables, columns = [], []
    schemas: dict[str, object] = {}
    index = list_objects(file)
    described = {path: describe_table(file, path) for path in find_tables(index)}
    if detail.indexes:
        # Where chunks are, and small values: who reads with the index asks for data only.
        all_columns = [
            column for table in described.values() for column in table.columns.values() if not column.problem
        ]
        file.prepare({entry.path: entry for column in all_columns for entry in column.entries}.values())
    for path, table in described.items():
        group = index.group(path) or index.array(path)
        # Of a table only those attributes are read that its columns need.
        neurodata = table.neurodata_type if group is None else neurodata_type(group)
        row = schema_row(schema_of(table))
        digest = str(row["schema"])
        if digest not in schemas:
            schemas[digest] = _packable_row(row)
        stored = tuple(column.stored_bytes for column in table.columns.values())
        decoded = tuple(column.decoded_bytes for column in table.columns.values())
        unit = rows_per_chunk(table.columns.values(), block_bytes=_BLOCK_BYTES)
        tables.append((path, neurodata, table.kind, table.n_rows, digest, unit, stored, decoded))
        if detail.statistics and table.kind not in {"series", "record"}:
            columns += [(path, *one) for one in _statistics(file, table, detail.range_rows)]
    series = tuple(one for path in find_series(file) if (one := _series(file, path)) is not None)
    identity = file.source.identity
    found = Described(identity, "", "", record, tuple(tables), tuple(schemas.items()), tuple(columns), series)
    whole = {path for path, table in described.items() if table.kind != "record"}
    return replace(found, links=_links(index, whole))


def _links(index: FileIndex, tables: Collection[str]) -> tuple[str, ...]:
    """Return where links are: soft ones, those into other files, and hard ones by which a group has a second path."""
    links = {join(path, name) for path, group in index.groups.items() if path not in tables for name in group.links}
    return tuple(sorted(links | set(index.same)))


def _packable_row(row: Mapping[str, object]) -> object:
    return {name: packable(value) for name, value in row.items()}


def _statistics(file: File, table: Table, range_rows: int) -> list[ColumnRow]:
    """Return what is known of the values of light columns, and of the lengths of ragged ones."""
    if not 0 < table.n_rows <= _MOST_ROWS:
        return []
    wanted: dict[str, Column] = {}
    for name, column in table.columns.items():
        if column.problem:
            continue
        if not column.field.heavy and not pa.types.is_nested(column.field.type):
            wanted[name] = column
        elif column.indexes:
            lengths = lengths_column(column)
            wanted[lengths.field.name] = lengths
    rows = np.array([[0, table.n_rows]], np.int64)
    found: list[ColumnRow] = []
    for name, values in _read(file, wanted, rows).items():
        found += [(name, *one) for one in column_rows(values, range_rows=range_rows)]
    return found


def _read(file: File, wanted: Mapping[str, Column], rows: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, pa.Array]:
    """Return the values of columns, together; where one cannot be read, of the others."""
    try:
        return dict(zip(wanted, read_columns(file, [(one, rows) for one in wanted.values()]), strict=True))
    except STORAGE_ERRORS:
        raise
    except (NWBDaskError, UnicodeDecodeError):
        if len(wanted) < 2:  # noqa: PLR2004  # it is this one
            return {}
    found: dict[str, pa.Array] = {}
    for name, column in wanted.items():
        found |= _read(file, {name: column}, rows)
    return found


def _series(file: File, path: str) -> tuple[object, ...] | None:
    try:
        series = describe_series(file, path)
    except STORAGE_ERRORS:
        raise
    except NWBDaskError:
        # `open_timeseries` says what is wrong with it.
        return None
    rate, start, stop = _times(file, series)
    unit = series.attrs.get("units", series.attrs.get("nwb_unit"))
    entry = series.data
    dtype = None if entry is None else entry.element.kind if entry.element.dtype is None else entry.element.dtype.str
    stored = 0 if entry is None else entry.stored_bytes
    text = unit if isinstance(unit, str) else None
    return (path, series.neurodata_type, series.core_type, series.shape, dtype, rate, start, stop, text, stored)


def _times(file: File, series: Series) -> tuple[float | None, float | None, float | None]:
    """Return the rate, and the times of the first and the last sample."""
    n_samples = series.shape[series.dims.index("time")] if "time" in series.dims else 0
    if isinstance(series.timing, SampledTiming):
        start, rate = series.timing.start, series.timing.rate
        stop = (n_samples - 1) / rate + start if n_samples > 1 and rate else start
        return rate or None, start, stop
    stamps = series.timing.stamps if isinstance(series.timing, StoredTiming) else None
    if stamps is None or not stamps.shape or not stamps.shape[0]:
        return None, None, None
    ends = np.array([[0, 1], [stamps.shape[0] - 1, stamps.shape[0]]], np.int64)[: stamps.shape[0]]
    try:
        (values,) = file.read_many([(stamps, ends)])
    except STORAGE_ERRORS:
        raise
    except NWBDaskError:
        return None, None, None
    return None, float(values[0]), float(values[-1])


def _with_index(found: Described, file: File, url: Url) -> Described:
    # Local files are parsed anew: that is as fast as reading what is known of them.
    return found if is_local(url) else replace(found, index=index_bytes(file.known))
