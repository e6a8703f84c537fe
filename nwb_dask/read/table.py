"""Reads one partition: columns of the predicate first, then the others for the surviving rows only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nwb_dask.backends import File, open_file
from nwb_dask.errors import NWBDaskError, SourceChangedError
from nwb_dask.index import ElementType
from nwb_dask.model import NWB_PATH, PATH_COLUMNS, TABLE_PATH, Column, Field, Table
from nwb_dask.plan import Partition, Piece
from nwb_dask.plan.predicate import Node
from nwb_dask.plan.ragged import Spans, rows_of_spans, spans_of_rows
from nwb_dask.plan.scan import Scan
from nwb_dask.read.column import read_column
from nwb_dask.read.conform import conform
from nwb_dask.read.describe import describe_table
from nwb_dask.storage import Access, open_store

MaskFunction: TypeAlias = Callable[[Node, pa.Table, tuple[Field, ...]], npt.NDArray[np.bool_]]
"""Tells which rows satisfy a predicate, with the semantics of the engine that asks: null selects nothing."""


def read_partition(partition: Partition, mask: MaskFunction | None = None) -> pa.Table:
    """Return the rows of `partition` that satisfy its predicate, in source order.

    Parameters
    ----------
    partition : Partition
        What to read.
    mask : callable, optional
        Evaluates the predicate; required if there is one.

    Returns
    -------
    pyarrow.Table
        Columns exactly as `partition.fields`, in order and type.

    Raises
    ------
    SourceChangedError
        If a file is not the one that was planned.
    MalformedFileError
        If a column that is asked for cannot be read.
    """
    schema = pa.schema([pa.field(field.name, field.type) for field in partition.fields])
    tables, left = [], partition.limit
    for piece in partition.pieces:
        if left is not None and left <= 0:
            break
        part = _read_piece(piece, partition, mask, left)
        tables.append(part)
        left = None if left is None else left - part.num_rows
    return pa.concat_tables(tables) if tables else schema.empty_table()


def read_scan(scan: Scan, fields: tuple[Field, ...], predicate: Node | None, mask: MaskFunction) -> pa.Table:
    """Return all partitions of `scan` as one table; those that cannot match are not opened."""
    used = _predicate_fields(scan, predicate)
    numbers = range(scan.n_partitions) if predicate is None else np.flatnonzero(scan.may_match(predicate))
    parts = [
        read_partition(scan.partition(int(i), fields=fields, predicate=predicate, predicate_fields=used), mask)
        for i in numbers
    ]
    schema = pa.schema([pa.field(field.name, field.type) for field in fields])
    return pa.concat_tables([schema.empty_table(), *parts])


def _predicate_fields(scan: Scan, predicate: Node | None) -> tuple[Field, ...]:
    from nwb_dask.plan.predicate import columns_of  # noqa: PLC0415

    return () if predicate is None else tuple(scan.field(name) for name in sorted(columns_of(predicate)))


def _read_piece(piece: Piece, partition: Partition, mask: MaskFunction | None, limit: int | None) -> pa.Table:
    access = partition.access if isinstance(partition.access, Access) else Access()
    try:
        with open_store(piece.url, access, piece.identity) as store, open_file(store) as file:
            return _read_open(file, piece, partition, mask, limit)
    except NWBDaskError as error:
        raise error.at(url=piece.name, path=piece.table) from error.__cause__


def _read_open(
    file: File, piece: Piece, partition: Partition, mask: MaskFunction | None, limit: int | None
) -> pa.Table:
    names = [f.name for f in (*partition.fields, *partition.predicate_fields) if f.name not in PATH_COLUMNS]
    table = describe_table(file, piece.table, names=names, resolve=partition.resolve)
    if piece.stop > table.n_rows:
        message = f"{piece.table} has {table.n_rows} rows, {piece.stop} were planned"
        raise SourceChangedError(message)
    rows = np.array([[piece.start, piece.stop]], np.int64)
    light: dict[str, pa.Array] = {}
    if partition.predicate is not None and mask is not None:
        light = dict(_read_fields(file, table, piece, partition.predicate_fields, rows))
        kept = mask(partition.predicate, pa.table(light), partition.predicate_fields)
        chosen = np.flatnonzero(kept)[:limit]
        light = {name: values.take(pa.array(chosen)) for name, values in light.items()}
        rows = spans_of_rows(chosen + piece.start)
    elif limit is not None:
        rows[0, 1] = min(piece.start + limit, piece.stop)
    rest = tuple(field for field in partition.fields if field.name not in light)
    columns = {**light, **dict(_read_fields(file, table, piece, rest, rows))}
    if not partition.fields:
        n_rows = int((rows[:, 1] - rows[:, 0]).sum())
        return pa.table({"": pa.nulls(n_rows)}).select([])
    schema = pa.schema([pa.field(field.name, field.type) for field in partition.fields])
    return pa.Table.from_arrays([columns[field.name] for field in partition.fields], schema=schema)


def _read_fields(
    file: File, table: Table, piece: Piece, fields: tuple[Field, ...], rows: Spans
) -> Iterator[tuple[str, pa.Array]]:
    n_rows = int((rows[:, 1] - rows[:, 0]).sum())
    for field in fields:
        column = table.columns.get(field.name)
        if column is None and field.name in PATH_COLUMNS:
            yield field.name, _path_column(field.name, piece, rows, n_rows)
        elif column is None:
            yield field.name, conform(pa.nulls(n_rows), replace(field, categories=None))
        elif n_rows == 0 and not column.problem:
            yield field.name, conform(pa.nulls(0), replace(field, categories=None))
        else:
            yield field.name, conform(read_column(file, _as_bytes(column, field), rows), field)


def _path_column(name: str, piece: Piece, rows: Spans, n_rows: int) -> pa.Array:
    if name == NWB_PATH:
        return pa.repeat(pa.scalar(piece.name, pa.string()), n_rows)
    if name == TABLE_PATH:
        return pa.repeat(pa.scalar(piece.table, pa.string()), n_rows)
    return pa.array(rows_of_spans(rows))


def _as_bytes(column: Column, field: Field) -> Column:
    """Return a text column as bytes where ``schema_overrides`` says so: what is not UTF-8 has no text."""
    if not pa.types.is_binary(field.type) or column.values is None or column.values.element.kind != "string":
        return column
    return replace(column, values=replace(column.values, element=ElementType("bytes")))
