"""What one task reads: rows of columns of one or several file+table pairs."""

from __future__ import annotations

from dataclasses import dataclass, field

from nwb_dask.index import Identity, Url
from nwb_dask.model.field import Field
from nwb_dask.plan.predicate import Node


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows ``[start, stop)`` of one table of one file."""

    url: Url = field(repr=False)
    """Complete, the query string of a signed URL included, and therefore not shown."""
    name: str
    """The file as the user gave it, made absolute: the value of ``_nwb_path``."""
    identity: Identity
    """The version that was planned; another one raises `SourceChangedError` at the read."""
    table: str
    """Path of the table inside the file."""
    start: int
    stop: int
    constants: tuple[tuple[str, object], ...] = ()
    """Session columns by name, with the value that all rows have; lists are tuples."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One unit of reading; self-contained, picklable, small."""

    pieces: tuple[Piece, ...]
    """In source order; rows come out in this order."""
    fields: tuple[Field, ...]
    """Output columns in order; path columns are fields like others, wherever they stand."""
    predicate: Node | None = None
    """Keeps a row where it is true; its columns need not be among `fields`."""
    predicate_fields: tuple[Field, ...] = ()
    """Fields of the columns that `predicate` names."""
    limit: int | None = None
    """At most this many of the surviving rows, from the first."""
    access: object = None
    """How to reach the files: `storage.Access`, without secrets."""
    resolve: tuple[str, ...] | bool = ()
    """Region columns whose targets are joined, as in `read_nwb`."""
    indexes: object = None
    """Where a catalog keeps what is known of the files: `catalog.shared.StoredIndexes`, without secrets."""
