"""Puts the tables of many files together into one scan: one schema, pieces in source order. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np
import pyarrow as pa

from nwb_dask.errors import PathNotFoundError, PredicateError
from nwb_dask.index import Source
from nwb_dask.model import PATH_COLUMNS, Field, Table, path_fields, unify_fields
from nwb_dask.model.field import NWB_PATH
from nwb_dask.model.unify import override
from nwb_dask.plan.constants import SessionColumns, values_of
from nwb_dask.plan.partition import Piece
from nwb_dask.plan.scan import Scan, pieces_table
from nwb_dask.plan.split import pack_bounds, rows_per_chunk, split_piece


@dataclass(frozen=True, slots=True)
class Found:
    """The tables of one file that a scan reads."""

    source: Source
    name: str
    """As the user gave it, made absolute."""
    typed: str
    """As the user typed it."""
    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """How the user wants the rows laid out; names as in `read_nwb`."""

    table: str
    columns: tuple[str, ...] | None = None
    extra: tuple[str, ...] = ()
    """Columns that are needed besides `columns`, for filters."""
    overrides: Mapping[str, pa.DataType] | None = None
    insert_missing: bool = True
    include_path_columns: bool = True
    block_bytes: int | None = None
    partition_bytes: int | None = None
    resolve: tuple[str, ...] | bool = ()
    session: SessionColumns | None = None
    """What describes the files, one row for each that has the table."""
    sorted_by: str | None = None
    """Column that is one value per piece, in whose order files are read; its equal values share a partition."""

    @property
    def is_sized(self) -> bool:
        """Whether the layout depends on how large tables are."""
        return self.block_bytes is not None or self.partition_bytes is not None

    @property
    def session_fields(self) -> tuple[Field, ...]:
        """Fields of `session`."""
        return () if self.session is None else self.session.fields


@dataclass(frozen=True, slots=True)
class Holder:
    """One or several tables with the same columns."""

    path: str
    """Of the first."""
    name: str
    """The file of the first."""
    columns: Mapping[str, Field]
    """Those that are described."""
    names: tuple[str, ...]
    """All columns."""
    n_tables: int = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """Pieces in source order, and of each what it is part of; one entry per piece in all."""

    pieces: pa.Table
    """As `plan.scan.pieces_table` has them."""
    sizes: Sequence[int]
    """Decoded bytes; 0 where the layout does not depend on them."""
    files: Sequence[int]
    """Number of the file among those that `Wish.session` describes."""
    n_rows: Sequence[int]
    """Rows of the table."""
    first: Sequence[int] | None = None
    """Where pieces begin that share a partition, with the end: ranges of rows that are told apart. None: none do."""


def assemble_scan(
    found: Sequence[Found], wish: Wish, *, skipped: tuple[tuple[str, str], ...] = (), access: object = None
) -> Scan:
    """Return the scan over the tables of `found`, in that order.

    Raises
    ------
    PathNotFoundError
        If a column is asked for that no file has, or that some lack with ``missing_columns="raise"``; if a session
        column has the name of a column of the table.
    PredicateError
        If the column by which files are to be sorted has no order.
    SchemaConflictError
        If two files disagree about a column that is asked for.
    """
    tables = [(one.name, table) for one in found for table in one.tables]
    holders = [
        Holder(table.path, name, {key: column.field for key, column in table.columns.items()}, table.names)
        for name, table in tables
    ]
    stored = _stored_bytes([table for _, table in tables])
    scan = assemble_layout(holders, _laid_out(found, wish), wish, stored=stored, access=access)
    return replace(scan, skipped=skipped)


def assemble_layout(
    holders: Sequence[Holder], layout: Layout, wish: Wish, *, stored: tuple[tuple[str, int], ...], access: object
) -> Scan:
    """Return the scan over pieces that are laid out; errors are those of `assemble_scan`.

    Tables with the same columns may be one holder: to unify them takes as long as one.
    """
    _check_session_names(holders, wish)
    fields = _fields(holders, wish)
    shown = {field.name for field in fields}
    fields = (*fields, *(field for field in wish.session_fields if field.name not in shown))
    if wish.include_path_columns:
        fields = (*fields, *(field for field in path_fields() if field.name not in {f.name for f in fields}))
    constants = None if wish.session is None else wish.session.of_pieces(layout.files, layout.n_rows)
    first = np.arange(len(layout.sizes) + 1) if layout.first is None else np.asarray(layout.first)
    pieces, sizes = layout.pieces, np.asarray(layout.sizes)
    if wish.sorted_by is not None:
        order, starts = _by_label(wish, pieces, constants)
        pieces = pieces.take(pa.array(order, pa.int64())).combine_chunks()
        constants = None if constants is None else constants.take(pa.array(order, pa.int64())).combine_chunks()
        first, sizes = np.asarray(starts), sizes[order]
    together = np.diff(np.concatenate(([0], np.cumsum(sizes)))[first]).tolist()
    bounds = first[pack_bounds(together, partition_bytes=wish.partition_bytes)].astype(np.int64)
    return Scan(wish.table, fields, pieces, bounds, stored, (), access, wish.resolve, constants)


def _laid_out(found: Sequence[Found], wish: Wish) -> Layout:
    pieces: list[tuple[Piece, str]] = []
    sizes: list[int] = []
    files: list[int] = []
    n_rows: list[int] = []
    for number, one in enumerate(found):
        for table in one.tables:
            whole = Piece(one.source.url, one.name, one.source.identity, table.path, 0, table.n_rows)
            decoded = sum(column.decoded_bytes for column in table.columns.values()) if wish.is_sized else 0
            parts = (whole,) if wish.block_bytes is None else _split(whole, table, decoded, wish.block_bytes)
            pieces.extend((part, one.typed) for part in parts)
            sizes.extend([decoded // len(parts)] * len(parts))
            files.extend([number] * len(parts))
            n_rows.extend([table.n_rows] * len(parts))
    return Layout(pieces_table(pieces), sizes, files, n_rows)


def _split(whole: Piece, table: Table, decoded_bytes: int, block_bytes: int) -> tuple[Piece, ...]:
    chunk_rows = rows_per_chunk(table.columns.values(), block_bytes=block_bytes)
    return split_piece(whole, decoded_bytes, block_bytes=block_bytes, chunk_rows=chunk_rows)


def _by_label(wish: Wish, pieces: pa.Table, constants: pa.Table | None) -> tuple[list[int], list[int]]:
    """Return the pieces in the order of their labels, and where labels begin in that order, with the end."""
    names = pieces.column("name").to_pylist()
    known = ({} if constants is None else values_of(constants)) | {NWB_PATH: names}
    label = wish.sorted_by or ""
    if label not in known:
        message = (
            f"divisions of {label!r}: that column of {wish.table} is not the same in all rows of a file; "
            f"index={NWB_PATH!r} or one of session_columns has divisions"
        )
        raise PredicateError(message, url=names[0], path=wish.table)
    labels = known[label]
    for name, value in zip(names, labels, strict=True):
        if type(value) not in {str, int}:
            reason = "absent" if value is None else f"{value!r}, neither text nor an integer"
            raise PredicateError(f"divisions of {label!r}: it is {reason}", url=name, path=wish.table)
    order = sorted(range(len(labels)), key=lambda number: labels[number])
    starts = [at for at in range(len(order)) if at == 0 or labels[order[at]] != labels[order[at - 1]]]
    return order, [*starts, len(order)]


def _fields(holders: Sequence[Holder], wish: Wish) -> tuple[Field, ...]:
    found: dict[str, list[tuple[str, Field]]] = {}
    for one in holders:
        for name, field in one.columns.items():
            found.setdefault(name, []).append((f"{one.path} of {one.name}", field))
    names = _in_order(holders) if wish.columns is None else (*wish.columns, *wish.extra)
    known = {field.name: field for field in (*path_fields(), *wish.session_fields)}
    # Those of the session that only a filter needs stand where all of them do, at the end.
    needed_only = {field.name for field in wish.session_fields} - {*(wish.columns or ())}
    names = tuple(name for name in names if name not in needed_only)
    overrides = wish.overrides or {}
    _check_names([*names, *wish.extra, *overrides], found, holders, wish)
    for name in () if isinstance(wish.resolve, bool) else wish.resolve:
        if not any(name in one.names for one in holders):
            raise _no_column(name, holders, wish.table)
    fields = {}
    for name in names:
        if name in known:
            fields[name] = known[name]
        elif name in overrides:
            kept = [(source, override(field, overrides)) for source, field in found[name]]
            fields[name] = unify_fields(name, kept, n_files=len(holders))
        else:
            fields[name] = unify_fields(name, found[name], n_files=len(holders))
    return tuple(fields.values())


def _in_order(holders: Sequence[Holder]) -> tuple[str, ...]:
    """Return the columns of all tables: those of the first, then what each other adds."""
    return tuple(dict.fromkeys(name for one in holders for name in one.columns))


def _check_names(names: Sequence[str], found: Mapping[str, object], holders: Sequence[Holder], wish: Wish) -> None:
    made = {*PATH_COLUMNS, *(field.name for field in wish.session_fields)}
    for name in names:
        if name in made:
            continue
        lacking = [one for one in holders if name not in one.columns]
        if name not in found:
            raise _no_column(name, holders, wish.table)
        if lacking and not wish.insert_missing and (wish.columns is None or name in wish.columns):
            n_more = sum(one.n_tables for one in lacking) - 1
            message = (
                f"column {name!r} is missing from {wish.table} of {lacking[0].name}"
                f"{f' and {n_more} more files' if n_more else ''}; "
                "missing_columns='insert' fills it with nulls"
            )
            raise PathNotFoundError(message, url=lacking[0].name, path=wish.table)


def _no_column(name: str, holders: Sequence[Holder], table: str) -> PathNotFoundError:
    every = tuple(dict.fromkeys(column for one in holders for column in one.names))
    near = get_close_matches(name, every, n=3)
    first, n_tables = holders[0].name, sum(one.n_tables for one in holders)
    where = first if n_tables == 1 else f"any of {n_tables} files, such as {first}"
    if near:
        holder = next(one.name for one in holders if near[0] in one.names)
        hint = f"did you mean {' or '.join(map(repr, near))} (in {holder})?"
    else:
        hint = f"the columns are {', '.join(every)}"
    return PathNotFoundError(f"no column {name!r} in {table} of {where}; {hint}", url=first, path=table)


def _check_session_names(holders: Sequence[Holder], wish: Wish) -> None:
    session = wish.session
    for name in (field.name for field in wish.session_fields):
        meant = name if session is None else session.names.get(name, name)
        if name in PATH_COLUMNS:
            message = f"session_columns: {name!r} says where a row is from; name it {{'session.{name}': {meant!r}}}"
            raise PathNotFoundError(message, path=wish.table)
        holder = next((one.name for one in holders if name in one.names), None)
        if holder is not None:
            message = (
                f"session_columns: {wish.table} has a column {name!r} of its own; "
                f"session_columns={{'session.{name}': {meant!r}}} gives that of the session another name"
            )
            raise PathNotFoundError(message, url=holder, path=wish.table)


def _stored_bytes(tables: Sequence[Table]) -> tuple[tuple[str, int], ...]:
    totals: dict[str, int] = {}
    for table in tables:
        for name, column in table.columns.items():
            totals[name] = totals.get(name, 0) + column.stored_bytes
    return tuple(totals.items())
