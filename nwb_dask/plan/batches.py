"""A scan as a sequence of partitions of bounded size, for readers that go through it from its start. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nwb_dask.model.field import Field
from nwb_dask.plan.partition import Partition, Piece
from nwb_dask.plan.predicate import Node
from nwb_dask.plan.scan import Scan
from nwb_dask.plan.split import split_piece


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """A batch ends at the first of these; it has one row at least."""

    n_pieces: int
    """Tables that are open at once."""
    n_rows: int
    """Rows before any filter; a table is not split for it."""
    n_bytes: int
    """Stored bytes of the columns that are read, by their mean per row; a larger table is split by rows."""

    def __post_init__(self) -> None:
        """Refuse limits that no batch can keep."""
        if min(self.n_pieces, self.n_rows, self.n_bytes) < 1:
            message = f"a batch holds at least one piece, row and byte: {self}"
            raise ValueError(message)


def plan_batches(
    scan: Scan,
    *,
    fields: tuple[Field, ...],
    predicate: Node | None,
    predicate_fields: tuple[Field, ...],
    n_rows: int | None,
    limits: BatchLimits,
) -> Iterator[Partition]:
    """Yield partitions that read `scan` in source order, one batch each.

    Parameters
    ----------
    scan : Scan
        What there is to read.
    fields : tuple of Field
        Output columns.
    predicate : Node or None
        Keeps a row where it is true. Tables of which no row can satisfy it are left out.
    predicate_fields : tuple of Field
        Columns that the predicate needs.
    n_rows : int or None
        Only the first so many rows of the scan, counted before the predicate.
    limits : BatchLimits
        Where a batch ends.
    """
    total_rows = max(int(scan.rows.sum()), 1)
    row_bytes = scan.expected_bytes(dict.fromkeys((*fields, *predicate_fields))) / total_rows
    held: list[Piece] = []
    n_held_rows = 0
    for piece in _pieces(scan, predicate, total_rows if n_rows is None else n_rows):
        size = int(row_bytes * (piece.stop - piece.start))
        for part in split_piece(piece, size, block_bytes=limits.n_bytes):
            n_part_rows = part.stop - part.start
            if held and _is_over(len(held) + 1, n_held_rows + n_part_rows, row_bytes, limits):
                yield _partition(scan, held, fields, predicate, predicate_fields)
                held, n_held_rows = [], 0
            held.append(part)
            n_held_rows += n_part_rows
    if held:
        yield _partition(scan, held, fields, predicate, predicate_fields)


def _pieces(scan: Scan, predicate: Node | None, n_rows: int) -> Iterator[Piece]:
    """Yield the pieces that may match, of the first `n_rows` rows; tables without rows are left out."""
    first = scan.first_rows(n_rows)
    chosen = first if predicate is None else first.without_pieces(predicate)
    for number in np.flatnonzero(chosen.rows > 0).tolist():
        yield from (piece for piece in chosen.partition(number, fields=()).pieces if piece.stop > piece.start)


def _is_over(n_pieces: int, n_rows: int, row_bytes: float, limits: BatchLimits) -> bool:
    return n_pieces > limits.n_pieces or n_rows > limits.n_rows or n_rows * row_bytes > limits.n_bytes


def _partition(
    scan: Scan,
    pieces: list[Piece],
    fields: tuple[Field, ...],
    predicate: Node | None,
    predicate_fields: tuple[Field, ...],
) -> Partition:
    return Partition(tuple(pieces), fields, predicate, predicate_fields, None, scan.access, scan.resolve, scan.indexes)
