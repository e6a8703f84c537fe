"""Describes tables of one open file: the index, the categories and the regions that a plan needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TypeAlias

import numpy as np

from nwb_dask.backends import File
from nwb_dask.catalog import recent_tables
from nwb_dask.errors import MalformedFileError, NWBDaskError, PathNotFoundError
from nwb_dask.index import FileIndex, Source, join
from nwb_dask.model import Table, build_table, category_paths, find_tables
from nwb_dask.model.columns import Column, broken_column
from nwb_dask.model.field import stored_name
from nwb_dask.model.kinds import COLUMN_ATTRIBUTES, LISTED_ATTRIBUTES, RECORDS, TABLE_ATTRIBUTES, table_kind
from nwb_dask.model.table import SEPARATOR, region_target, with_columns, with_resolved, with_shown_names

_STRUCTURE = frozenset({"id", "data", "timestamps", "starting_time"})
"""Members that tell what a table is and how many rows it has; described whatever columns are asked for."""

Resolve: TypeAlias = tuple[str, ...] | bool
"""Region columns whose targets are joined; True for all."""

_LISTING_COLUMNS = frozenset({"colnames", "categories"})
"""Attributes that suffice for a DynamicTable; without ``colnames`` its type and more is looked at."""

_GLOB = frozenset("*?[")
_UNDOUBTED_ROWS = 1 << 32
"""Rows that a file is believed to have; 40 hours at 30 kHz."""


def normalize_path(path: str) -> str:
    """Return an absolute path inside a file: ``units`` and ``/units/`` are ``/units``."""
    return "/" + path.strip("/")


def is_glob(path: str) -> bool:
    """Return whether a path may mean several tables."""
    return not _GLOB.isdisjoint(path)


def escape_glob(path: str) -> str:
    """Return what `match_tables` takes for this path and no other."""
    return "".join(f"[{character}]" if character in _GLOB else character for character in path)


def match_tables(file: File, table: str) -> tuple[str, ...]:
    """Return the paths of the tables of `file` that `table` names.

    Parameters
    ----------
    table : str
        A path, or a glob over the paths of all tables (``/intervals/*``), which reads the whole tree of
        the file; a glob never matches the one-row tables, and a table that is called so comes first.

    Returns
    -------
    tuple of str
        Sorted; empty if a glob matches nothing.
    """
    path = normalize_path(table)
    if not is_glob(path):
        return (path,)
    every = list_tables(file)
    if path in every:
        return (path,)
    matching = (found for found in every if fnmatchcase(found, path) and _depth(found) == _depth(path))
    return tuple(found for found in matching if found not in RECORDS)


def list_objects(file: File) -> FileIndex:
    """Return the index of the whole tree of `file`, as far as it tells tables and their columns."""
    return file.index("/", recursive=True, attributes=TABLE_ATTRIBUTES, array_attributes=LISTED_ATTRIBUTES)


def list_tables(file: File) -> tuple[str, ...]:
    """Return the paths of all tables of `file`, sorted; reads the whole tree, and no data."""
    key = (file.source, None, None, ())
    known = recent_tables.get(key)
    if isinstance(known, tuple):
        return known
    found = find_tables(list_objects(file))
    # The version may cover more now: the files that this one led to.
    recent_tables.put((file.source, None, None, ()), found)
    return found


def describe_contents(index: FileIndex) -> dict[str, Table]:
    """Return every table and series of a file by path, one-row tables of metadata first.

    Parameters
    ----------
    index : FileIndex
        Of its whole tree; see `list_objects`.
    """
    contents = {path: _listed_table(index, path) for path in find_tables(index)}
    return {path: contents[path] for path in dict.fromkeys((*RECORDS, *contents)) if path in contents}


def describe_table(
    file: File, path: str, *, names: Iterable[str] | None = None, resolve: Resolve = (), prepare: bool = False
) -> Table:
    """Return the table at `path` with the columns `names` (all by default).

    Parameters
    ----------
    names : iterable of str, optional
        Columns to describe; those that the table lacks are ignored.
    resolve : tuple of str or bool
        Region columns whose targets are joined as ``<region>.<column>``; True means all of them.
    prepare : bool
        Whether rows of these columns are read next: what that needs of a remote file is fetched meanwhile.

    Raises
    ------
    PathNotFoundError
        If nothing is at `path`.
    MalformedFileError
        If it is no table, or has more rows than its file has room for.
    """
    wanted = None if names is None else frozenset(names)
    known = recent_table(file.source, path, wanted, resolve)
    if known is not None:
        return known
    stored = None if wanted is None else frozenset(map(stored_name, wanted))
    described = with_shown_names(_describe(file, path, stored, resolve, prepare=prepare))
    _require_rows(file, described)
    recent_tables.put((file.source, path, wanted, resolve), described)
    return described


def _require_rows(file: File, table: Table) -> None:
    """Raise if no column can have so many rows: a filter would go through all of them without an end."""
    if table.n_rows <= _UNDOUBTED_ROWS:
        return
    failure: NWBDaskError | None = None
    for entry in (one for column in table.columns.values() if not column.problem for one in column.entries):
        if entry.shape and entry.shape[0] == table.n_rows:
            try:
                file.require_room(entry, table.n_rows * max(entry.element.size, 1))
            except NWBDaskError as exc:
                failure = exc
            else:
                return
    if failure is not None:
        raise failure.at(url=file.source.url, path=table.path)


def recent_table(source: Source, path: str, names: frozenset[str] | None, resolve: Resolve) -> Table | None:
    """Return what `describe_table` has found of a version of a file, or None; it may have more columns."""
    for asked in {names, None}:
        known = recent_tables.get((source, path, asked, resolve))
        if isinstance(known, Table):
            return known
    return None


def _listed_table(index: FileIndex, path: str) -> Table:
    table = build_table(index, path)
    kind = table_kind(index, path)
    if kind == "aligned":
        for category in category_paths(index, path):
            if category in index.groups:
                prefix = category.rpartition("/")[2]
                table = with_columns(table, prefix, build_table(index, category), n_rows=table.n_rows)
    return with_shown_names(replace(table, kind=kind or table.kind))


def _describe(
    file: File, path: str, wanted: frozenset[str] | None, resolve: Resolve, *, prepare: bool = False
) -> Table:
    asked = None if wanted is None else wanted | {name.partition(SEPARATOR)[0] for name in wanted} | _STRUCTURE
    of_arrays = COLUMN_ATTRIBUTES if resolve else COLUMN_ATTRIBUTES - {"table"}
    index = _index(file, path, asked, of_arrays, prepare=prepare)
    kind = table_kind(index, path)
    if kind is None:
        message = f"{path} is a single dataset, not a table; read the group that holds it"
        raise MalformedFileError(message, url=file.source.url, path=path)
    table = build_table(index, path, names=asked)
    if wanted is not None:
        table = replace(table, columns={n: c for n, c in table.columns.items() if _asked_for(n, wanted)})
    if kind == "aligned":
        table = _add_categories(file, index, table, path, wanted)
    table = replace(table, columns={name: _add_elements(file, column) for name, column in table.columns.items()})
    return _add_resolved(file, table, wanted, resolve) if resolve else table


def _index(
    file: File, path: str, asked: frozenset[str] | None, of_arrays: frozenset[str], *, prepare: bool
) -> FileIndex:
    """Return the index of a table; text attributes only where they are needed, since they lie apart in the file.

    Where a region leads to is left out unless it is followed: that is elsewhere in the file and has to be looked for.
    """
    attributes = _LISTING_COLUMNS if asked is None else frozenset()
    index = file.index(path, names=asked, attributes=attributes, array_attributes=of_arrays, prepare=prepare)
    group = index.group(path)
    if group is None or (group.has_attribute("colnames") and "categories" not in group.unread):
        return index
    return file.index(path, names=asked, attributes=TABLE_ATTRIBUTES, array_attributes=of_arrays)


def _asked_for(name: str, wanted: frozenset[str]) -> bool:
    return name in wanted or any(other.startswith(name + SEPARATOR) for other in wanted)


def _add_categories(file: File, index: FileIndex, table: Table, path: str, wanted: frozenset[str] | None) -> Table:
    for category in category_paths(index, path):
        prefix = category.rpartition("/")[2]
        inner = None
        if wanted is not None:
            inner = frozenset(n.removeprefix(prefix + SEPARATOR) for n in wanted if n.startswith(prefix + SEPARATOR))
        other = _describe(file, category, inner, ())
        table = with_columns(table, prefix, other, n_rows=table.n_rows)
    return table


def _add_elements(file: File, column: Column) -> Column:
    if column.elements is None or column.problem or column.field.categories is not None:
        return column
    try:
        entry = file.index(column.elements, array_attributes=COLUMN_ATTRIBUTES).arrays[column.elements]
        stored = np.asarray(file.read(entry)).reshape(-1)
    except (NWBDaskError, KeyError) as error:
        return broken_column(column.field.name, f"its elements at {column.elements} are unreadable: {error}", None)
    text = tuple(item.decode() if isinstance(item, bytes) else str(item) for item in stored.tolist())
    return column.with_categories(text)


def _add_resolved(file: File, table: Table, wanted: frozenset[str] | None, resolve: Resolve) -> Table:
    regions = {name: target for name, c in table.columns.items() if (target := region_target(c)) is not None}
    chosen = tuple(regions) if resolve is True else resolve or ()
    for name in chosen:
        if name not in regions:
            if name in table.names:
                message = f"resolve={name!r}: that column of {table.path} is no DynamicTableRegion"
                raise PathNotFoundError(message, url=file.source.url, path=join(table.path, name))
            continue
        inner = None
        if wanted is not None:
            inner = frozenset(n.removeprefix(name + SEPARATOR) for n in wanted if n.startswith(name + SEPARATOR))
        table = with_resolved(table, name, _describe(file, regions[name], inner, ()))
    if wanted is not None:
        table = replace(table, columns={n: c for n, c in table.columns.items() if n in wanted})
    return table


def _depth(path: str) -> int:
    return path.count("/")
