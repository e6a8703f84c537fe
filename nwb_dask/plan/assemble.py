"""Puts the tables of many files together into one scan: one schema, pieces in source order. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import pyarrow as pa

from nwb_dask.errors import PathNotFoundError
from nwb_dask.index import Source
from nwb_dask.model import PATH_COLUMNS, Field, Table, path_fields, unify_fields
from nwb_dask.model.unify import override
from nwb_dask.plan.partition import Piece
from nwb_dask.plan.scan import Scan, pieces_table
from nwb_dask.plan.split import pack_bounds, split_piece


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

    @property
    def is_sized(self) -> bool:
        """Whether the layout depends on how large tables are."""
        return self.block_bytes is not None or self.partition_bytes is not None


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


def assemble_scan(
    found: Sequence[Found], wish: Wish, *, skipped: tuple[tuple[str, str], ...] = (), access: object = None
) -> Scan:
    """Return the scan over the tables of `found`, in that order.

    Raises
    ------
    PathNotFoundError
        If a column is asked for that no file has, or that some lack with ``missing_columns="raise"``.
    SchemaConflictError
        If two files disagree about a column that is asked for.
    """
    holders = [(one, table) for one in found for table in one.tables]
    fields = assemble_fields(
        [
            Holder(table.path, one.name, {name: c.field for name, c in table.columns.items()}, table.names)
            for one, table in holders
        ],
        wish,
    )
    pieces: list[tuple[Piece, str]] = []
    sizes: list[int] = []
    for one, table in holders:
        whole = Piece(one.source.url, one.name, one.source.identity, table.path, 0, table.n_rows)
        decoded = sum(column.decoded_bytes for column in table.columns.values()) if wish.is_sized else 0
        parts = (whole,) if wish.block_bytes is None else split_piece(whole, decoded, block_bytes=wish.block_bytes)
        pieces.extend((part, one.typed) for part in parts)
        sizes.extend([decoded // len(parts)] * len(parts))
    bounds = pack_bounds(sizes, partition_bytes=wish.partition_bytes)
    stored = _stored_bytes([table for _, table in holders])
    return Scan(wish.table, fields, pieces_table(pieces), bounds, stored, skipped, access, wish.resolve)


def assemble_fields(holders: Sequence[Holder], wish: Wish) -> tuple[Field, ...]:
    """Return the fields that all tables share, in order, those of the path last; errors are those of `assemble_scan`.

    Tables with the same columns may be one holder: to unify them takes as long as one.
    """
    fields = _fields(holders, wish)
    if wish.include_path_columns:
        fields = (*fields, *(field for field in path_fields() if field.name not in {f.name for f in fields}))
    return fields


def _fields(holders: Sequence[Holder], wish: Wish) -> tuple[Field, ...]:
    found: dict[str, list[tuple[str, Field]]] = {}
    for one in holders:
        for name, field in one.columns.items():
            found.setdefault(name, []).append((f"{one.path} of {one.name}", field))
    names = _in_order(holders) if wish.columns is None else (*wish.columns, *wish.extra)
    known = {field.name: field for field in path_fields()}
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
    for name in names:
        if name in PATH_COLUMNS:
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


def _stored_bytes(tables: Sequence[Table]) -> tuple[tuple[str, int], ...]:
    totals: dict[str, int] = {}
    for table in tables:
        for name, column in table.columns.items():
            totals[name] = totals.get(name, 0) + column.stored_bytes
    return tuple(totals.items())
