"""Puts the tables of many files together into one scan: one schema, pieces in source order. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise

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
    holders = [(one, table) for one in found for table in one.tables]
    _check_session_names(holders, wish)
    fields = _fields(holders, wish)
    shown = {field.name for field in fields}
    fields = (*fields, *(field for field in wish.session_fields if field.name not in shown))
    if wish.include_path_columns:
        fields = (*fields, *(field for field in path_fields() if field.name not in {f.name for f in fields}))
    layout = _laid_out(found, wish)
    constants = None if wish.session is None else wish.session.of_pieces(layout.files, layout.n_rows)
    pieces, first = pieces_table(layout.pieces), list(range(len(layout.pieces) + 1))
    if wish.sorted_by is not None:
        order, first = _by_label(wish, pieces, constants)
        pieces = pieces.take(pa.array(order, pa.int64())).combine_chunks()
        constants = None if constants is None else constants.take(pa.array(order, pa.int64())).combine_chunks()
        layout.sizes[:] = [layout.sizes[number] for number in order]
    sizes = [sum(layout.sizes[start:stop]) for start, stop in pairwise(first)]
    bounds = np.asarray(first, np.int64)[pack_bounds(sizes, partition_bytes=wish.partition_bytes)]
    stored = _stored_bytes([table for _, table in holders])
    return Scan(wish.table, fields, pieces, bounds, stored, skipped, access, wish.resolve, constants)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Pieces in source order, and of each what it is part of."""

    pieces: list[tuple[Piece, str]]
    sizes: list[int]
    """Decoded bytes; 0 where the layout does not depend on them."""
    files: list[int]
    """Number among the files that are found."""
    n_rows: list[int]
    """Rows of the table."""


def _laid_out(found: Sequence[Found], wish: Wish) -> _Layout:
    layout = _Layout([], [], [], [])
    for number, one in enumerate(found):
        for table in one.tables:
            whole = Piece(one.source.url, one.name, one.source.identity, table.path, 0, table.n_rows)
            decoded = sum(column.decoded_bytes for column in table.columns.values()) if wish.is_sized else 0
            parts = (whole,) if wish.block_bytes is None else _split(whole, table, decoded, wish.block_bytes)
            layout.pieces.extend((part, one.typed) for part in parts)
            layout.sizes.extend([decoded // len(parts)] * len(parts))
            layout.files.extend([number] * len(parts))
            layout.n_rows.extend([table.n_rows] * len(parts))
    return layout


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


def _fields(holders: Sequence[tuple[Found, Table]], wish: Wish) -> tuple[Field, ...]:
    found: dict[str, list[tuple[str, Field]]] = {}
    for one, table in holders:
        for name, column in table.columns.items():
            found.setdefault(name, []).append((f"{table.path} of {one.name}", column.field))
    names = _in_order([table for _, table in holders]) if wish.columns is None else (*wish.columns, *wish.extra)
    known = {field.name: field for field in (*path_fields(), *wish.session_fields)}
    # Those of the session that only a filter needs stand where all of them do, at the end.
    needed_only = {field.name for field in wish.session_fields} - {*(wish.columns or ())}
    names = tuple(name for name in names if name not in needed_only)
    overrides = wish.overrides or {}
    _check_names([*names, *wish.extra, *overrides], found, holders, wish)
    for name in () if isinstance(wish.resolve, bool) else wish.resolve:
        if not any(name in table.names for _, table in holders):
            raise _no_column(name, [table for _, table in holders], [one.name for one, _ in holders], wish.table)
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


def _in_order(tables: Sequence[Table]) -> tuple[str, ...]:
    """Return the columns of all tables: those of the first, then what each other adds."""
    return tuple(dict.fromkeys(name for table in tables for name in table.columns))


def _check_names(
    names: Sequence[str], found: Mapping[str, object], holders: Sequence[tuple[Found, Table]], wish: Wish
) -> None:
    made = {*PATH_COLUMNS, *(field.name for field in wish.session_fields)}
    for name in names:
        if name in made:
            continue
        lacking = [one.name for one, table in holders if name not in table.columns]
        if name not in found:
            raise _no_column(name, [table for _, table in holders], [one.name for one, _ in holders], wish.table)
        if lacking and not wish.insert_missing and (wish.columns is None or name in wish.columns):
            message = (
                f"column {name!r} is missing from {wish.table} of {lacking[0]}"
                f"{f' and {len(lacking) - 1} more files' if len(lacking) > 1 else ''}; "
                "missing_columns='insert' fills it with nulls"
            )
            raise PathNotFoundError(message, url=lacking[0], path=wish.table)


def _no_column(name: str, tables: Sequence[Table], sources: Sequence[str], table: str) -> PathNotFoundError:
    every = tuple(dict.fromkeys(column for one in tables for column in one.names))
    near = get_close_matches(name, every, n=3)
    where = sources[0] if len(sources) == 1 else f"any of {len(sources)} files, such as {sources[0]}"
    if near:
        holder = next(source for one, source in zip(tables, sources, strict=True) if near[0] in one.names)
        hint = f"did you mean {' or '.join(map(repr, near))} (in {holder})?"
    else:
        hint = f"the columns are {', '.join(every)}"
    return PathNotFoundError(f"no column {name!r} in {table} of {where}; {hint}", url=sources[0], path=table)


def _check_session_names(holders: Sequence[tuple[Found, Table]], wish: Wish) -> None:
    session = wish.session
    for name in (field.name for field in wish.session_fields):
        meant = name if session is None else session.names.get(name, name)
        if name in PATH_COLUMNS:
            message = f"session_columns: {name!r} says where a row is from; name it {{'session.{name}': {meant!r}}}"
            raise PathNotFoundError(message, path=wish.table)
        holder = next((one.name for one, table in holders if name in table.names), None)
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
