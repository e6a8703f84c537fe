"""Rows of one table of many files, in batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import pyarrow as pa

from nwb_dask.index import Source
from nwb_dask.model import Field, Table
from nwb_dask.plan import Partition
from nwb_dask.plan.partition import Piece
from nwb_dask.plan.split import split_piece
from nwb_dask.read import read_partition
from nwb_dask.storage import Access

BATCH_BYTES = 1 << 25
"""Of the decoded values of a batch, by their mean per row; a batch has one row at least."""
BATCH_ROWS = 1 << 17
BATCH_PIECES = 128
"""Tables that are open at once."""


class Rows(Protocol):
    """Rows of a table with one schema."""

    @property
    def path(self) -> str:
        """The table."""

    @property
    def schema(self) -> pa.Schema:
        """Of each batch."""

    @property
    def facts(self) -> object:
        """What decides the rows, for JSON."""

    def of(self, number: int) -> Rows | None:
        """Return those of one session, by its place among the sources; None if it lacks the table."""

    def batches(self) -> Iterator[pa.Table]:
        """Yield all rows, in source order."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A file that has the table."""

    number: int
    """Its place among the sources."""
    name: str
    source: Source
    table: Table
    absent: frozenset[str] = frozenset()
    """Columns that cannot be read in this file and are null in its rows."""


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Rows that are read from files as they are asked for."""

    path: str
    fields: tuple[Field, ...]
    holders: tuple[Holder, ...]
    access: Access

    @property
    def schema(self) -> pa.Schema:
        """Of each batch: what all files share."""
        return pa.schema([pa.field(field.name, field.type) for field in self.fields])

    @property
    def facts(self) -> object:
        """Files with their versions, and the fields."""
        files = [
            [one.number, one.name, repr(one.source.identity), one.table.path, one.table.n_rows, sorted(one.absent)]
            for one in self.holders
        ]
        return [repr(self.fields), files]

    def of(self, number: int) -> StoredRows | None:
        """Return the rows of one file."""
        found = tuple(one for one in self.holders if one.number == number)
        return replace(self, holders=found) if found else None

    def batches(self) -> Iterator[pa.Table]:
        """Yield the rows; a file is opened when its batch is due.

        Raises
        ------
        SourceChangedError, MalformedFileError
            As `read_partition` does.
        """
        held: list[Piece] = []
        size = rows = 0
        absent: frozenset[str] = frozenset()
        for piece, piece_bytes, lacking in self._pieces():
            n_rows = piece.stop - piece.start
            is_full = size + piece_bytes > BATCH_BYTES or rows + n_rows > BATCH_ROWS or len(held) == BATCH_PIECES
            if held and (is_full or lacking != absent):
                yield self._read(held, absent)
                held, size, rows = [], 0, 0
            held.append(piece)
            size, rows, absent = size + piece_bytes, rows + n_rows, lacking
        if held:
            yield self._read(held, absent)

    def _pieces(self) -> Iterator[tuple[Piece, int, frozenset[str]]]:
        for one in self.holders:
            n_rows = one.table.n_rows
            if not n_rows:
                continue
            whole = Piece(one.source.url, one.name, one.source.identity, one.table.path, 0, n_rows)
            decoded = sum(column.decoded_bytes for column in one.table.columns.values())
            for part in split_piece(whole, decoded, block_bytes=BATCH_BYTES):
                # Narrow rows are many: their number is bounded as well.
                for start in range(part.start, part.stop, BATCH_ROWS):
                    stop = min(start + BATCH_ROWS, part.stop)
                    yield replace(part, start=start, stop=stop), decoded * (stop - start) // n_rows, one.absent

    def _read(self, pieces: Sequence[Piece], absent: frozenset[str]) -> pa.Table:
        fields = tuple(field for field in self.fields if field.name not in absent)
        found = read_partition(Partition(tuple(pieces), fields, access=self.access))
        columns = [
            pa.nulls(found.num_rows, field.type) if field.name in absent else found.column(field.name)
            for field in self.fields
        ]
        return pa.Table.from_arrays(columns, schema=self.schema)


@dataclass(frozen=True, slots=True)
class MetadataRows:
    """The table of `read_metadata`, one row per session."""

    path: str
    table: pa.Table
    numbers: tuple[int, ...]
    """Places among the sources, one per row."""

    @property
    def schema(self) -> pa.Schema:
        """Of the table."""
        return self.table.schema

    @property
    def facts(self) -> object:
        """All values: they are few."""
        return [str(self.schema), repr(self.table.to_pylist()), self.numbers]

    def of(self, number: int) -> MetadataRows | None:
        """Return the row of one session."""
        if number not in self.numbers:
            return None
        row = self.numbers.index(number)
        return MetadataRows(self.path, self.table.slice(row, 1), (number,))

    def batches(self) -> Iterator[pa.Table]:
        """Yield the table."""
        yield self.table
