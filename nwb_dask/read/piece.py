"""One piece of a partition, open for reading: its file, its table, and columns of rows of it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa

from nwb_dask.backends import File
from nwb_dask.catalog.shared import StoredIndexes
from nwb_dask.errors import NWBDaskError, SourceChangedError
from nwb_dask.index import Source, Url
from nwb_dask.model import NWB_PATH, PATH_COLUMNS, TABLE_PATH, Column, Field, Table, lengths_column
from nwb_dask.plan import Partition, Piece
from nwb_dask.plan.ragged import Spans, rows_of_spans
from nwb_dask.read.column import leaf_type, read_columns
from nwb_dask.read.conform import conform
from nwb_dask.read.describe import describe_table, recent_table
from nwb_dask.read.kept import KeptValues
from nwb_dask.read.opening import open_source
from nwb_dask.read.recent_values import RecentFile
from nwb_dask.storage import Access


class OpenPiece:
    """Rows ``[start, stop)`` of one table, with the file open for as long as the block lasts.

    Parameters
    ----------
    piece : Piece
        What to read.
    partition : Partition
        The columns that may be asked for, and how to reach the file.
    kept : KeptValues, optional
        Values that were read already.

    Raises
    ------
    SourceChangedError
        On entering, if the file is not the one that was planned.
    """

    def __init__(self, piece: Piece, partition: Partition, kept: KeptValues | None = None) -> None:
        self.piece = piece
        self._kept = kept
        self._partition = partition
        self._source = Source(piece.url, piece.identity)
        self._file: File | None = None
        self._values = RecentFile(self._source, None)
        self._constants = dict(piece.constants)
        self._stack = ExitStack()

    @property
    def url(self) -> Url:
        """Where the file is."""
        return self.piece.url

    @property
    def n_rows(self) -> int:
        """Rows of the piece, before any filter."""
        return self.piece.stop - self.piece.start

    @property
    def rows(self) -> Spans:
        """All rows of the piece."""
        return np.array([[self.piece.start, self.piece.stop]], np.int64)

    def __enter__(self) -> Self:
        """Open the file and look the table up, unless all that may be asked for was read already."""
        piece, partition = self.piece, self._partition
        access = partition.access if isinstance(partition.access, Access) else Access()
        stored = partition.indexes if isinstance(partition.indexes, StoredIndexes) else None
        fields = [f for f in (*partition.fields, *partition.predicate_fields) if not _is_planned(f)]
        wanted = {field.stored for field in fields}
        known = None if self._kept is None else self._kept.table(self._source, piece.table, wanted)
        if known is None:
            known = self._recent_table(fields)
        if known is not None:
            self._table = known
            return self
        try:
            self._file = file = self._stack.enter_context(open_source(piece.url, access, piece.identity, stored))
            self._values = RecentFile(file.source, file)
            self._table = describe_table(file, piece.table, names=wanted, resolve=partition.resolve, prepare=True)
            columns = [column for field in fields if (column := _column(self._table, field)) and not column.problem]
            file.prepare({entry.path: entry for column in columns for entry in column.entries}.values())
        except NWBDaskError as error:
            self._stack.close()
            raise error.at(url=piece.name, path=piece.table) from error.__cause__
        if piece.stop > self._table.n_rows:
            self._stack.close()
            message = f"{piece.table} has {self._table.n_rows} rows, {piece.stop} were planned"
            raise SourceChangedError(message, url=piece.name, path=piece.table)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        """Give up the file."""
        self._stack.close()

    def read(self, fields: tuple[Field, ...], rows: Spans) -> list[pa.Array]:
        """Return each of `fields` at `rows` (numbers in the table, not in the piece), in the type of the field."""
        n_rows = int((rows[:, 1] - rows[:, 0]).sum())
        stored = {field.name: column for field in fields if (column := self._stored(field, n_rows)) is not None}
        kept = self._values if self._kept is None else self._kept.over(self._source, self._values)
        try:
            arrays = dict(zip(stored, read_columns(kept, [(one, rows) for one in stored.values()]), strict=True))
            return [
                conform(arrays[field.name], field) if field.name in stored else self._made(field, rows, n_rows)
                for field in fields
            ]
        except NWBDaskError as error:
            raise error.at(url=self.piece.name, path=self.piece.table) from error.__cause__

    def rest(self) -> None:
        """Let go of what libhdf5 holds of the file until it is read again."""
        if self._file is not None:
            self._file.close()

    def _recent_table(self, fields: list[Field]) -> Table | None:
        """Return the table if the file need not be opened: it is the same, and all values of it were read lately."""
        names = frozenset(field.stored for field in fields)
        table = recent_table(self._source, self.piece.table, names, self._partition.resolve)
        if table is None:
            return None
        columns = [column for field in fields if (column := _column(table, field)) is not None]
        entries = [entry for column in columns for entry in column.entries]
        is_whole = not any(column.problem for column in columns)
        return table if is_whole and self._values.take(entries) else None

    def _stored(self, field: Field, n_rows: int) -> Column | None:
        """Return the column to read for a field; None where nothing has to be read."""
        column = None if _is_planned(field) else _column(self._table, field)
        return None if column is None or (n_rows == 0 and not column.problem) else column

    def _made(self, field: Field, rows: Spans, n_rows: int) -> pa.Array:
        if field.name in _PATHS:
            return self._path_column(field.name, rows, n_rows)
        if field.is_constant:
            return _repeated(self._constants[field.name], field.type, n_rows)
        return conform(pa.nulls(n_rows), field)

    def _path_column(self, name: str, rows: Spans, n_rows: int) -> pa.Array:
        if name == NWB_PATH:
            return pa.repeat(pa.scalar(self.piece.name, pa.string()), n_rows)
        if name == TABLE_PATH:
            return pa.repeat(pa.scalar(self.piece.table, pa.string()), n_rows)
        return pa.array(rows_of_spans(rows))


_PATHS = frozenset(PATH_COLUMNS)


def _is_planned(field: Field) -> bool:
    """Whether the plan has the values, and nothing of the table is read."""
    return field.is_constant or field.name in _PATHS


def _repeated(value: object, type_: pa.DataType, n_rows: int) -> pa.Array:
    if pa.types.is_nested(type_):
        # pa.repeat refuses to repeat a list no times (pyarrow 26).
        return pa.array([value], type_).take(pa.array(np.zeros(n_rows, np.int64)))
    return pa.repeat(pa.scalar(value, type_), n_rows)


def _column(table: Table, field: Field) -> Column | None:
    """Return the column of the table that a field is read from, or None if the table lacks it."""
    column = table.columns.get(field.stored)
    if column is None or not field.lengths_of:
        return None if column is None else _as_bytes(column, field)
    return lengths_column(column)


def _as_bytes(column: Column, field: Field) -> Column:
    """Return a text column as bytes where ``schema_overrides`` says so: what is not UTF-8 has no text."""
    if column.problem or not pa.types.is_binary(leaf_type(field.type)):
        return column
    return replace(column, field=replace(column.field, type=field.type))
