"""A table of one file: its columns, their types, and which arrays hold them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from nwb_dask.index import ArrayEntry, FileIndex, GroupEntry, basename, join
from nwb_dask.model.columns import (
    Column,
    broken_column,
    broken_member,
    compound_column,
    dynamic_column,
    is_vector_index,
    record_column,
    resolved_column,
    series_columns,
)
from nwb_dask.model.field import PATH_COLUMNS, shown_name
from nwb_dask.model.kinds import TableKind, neurodata_type, reference_attribute, table_kind, text_list_attribute

SEPARATOR = "."
"""Between the name of a category or region column and the column it brings: ``electrodes.location``."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of one file, without its data."""

    path: str
    kind: TableKind
    neurodata_type: str
    n_rows: int
    columns: Mapping[str, Column]
    """By name, in reading order: ``id`` first, then ``colnames``."""
    names: tuple[str, ...]
    """All columns of the table, also those that `columns` leaves out because they were not asked for."""


def category_paths(index: FileIndex, path: str) -> tuple[str, ...]:
    """Return the paths of the category tables of the AlignedDynamicTable at `path`, in ``categories`` order."""
    group = index.groups[path]
    names = text_list_attribute(group.attributes, "categories") or ()
    return tuple(join(path, name) for name in names if name in group.members)


def build_table(index: FileIndex, path: str, *, names: Iterable[str] | None = None) -> Table:
    """Describe the table at `path` from an index that covers it.

    Parameters
    ----------
    index : FileIndex
        Covers the table's own datasets (for an AlignedDynamicTable, not the categories': see `with_columns`).
    path : str
        A group or a 1-d compound dataset.
    names : iterable of str, optional
        Describe these columns only; names that the table lacks are ignored.

    Returns
    -------
    Table
        A column that cannot be read has a `Column.problem` and harms no other.
    """
    kind = table_kind(index, path)
    wanted = None if names is None else frozenset(names)
    if kind == "compound":
        return _compound_table(index.arrays[path], wanted)
    group = index.groups[path]
    if kind == "series":
        return _series_table(index, group, wanted)
    if kind == "record":
        return _record_table(index, group, wanted)
    return _dynamic_table(index, group, wanted)


def with_columns(table: Table, prefix: str, other: Table, *, n_rows: int) -> Table:
    """Return `table` with the columns of a category added as ``<prefix>.<name>``.

    A category whose length is not `n_rows` gives columns with a problem.
    """
    added = {}
    for name, column in other.columns.items():
        renamed = column.renamed(f"{prefix}{SEPARATOR}{name}")
        if other.n_rows != n_rows:
            reason = f"category {prefix!r} has {other.n_rows} rows, the table has {n_rows}"
            renamed = broken_column(renamed.field.name, reason, renamed.values)
        added[renamed.field.name] = renamed
    every = (*table.names, *(f"{prefix}{SEPARATOR}{name}" for name in other.names))
    return replace(table, columns={**table.columns, **added}, names=every)


def with_shown_names(table: Table) -> Table:
    """Return `table` with its columns under the names that users see; see `shown_name`."""
    if set(PATH_COLUMNS).isdisjoint(table.names):
        return table
    columns = {shown_name(name): column.renamed(shown_name(name)) for name, column in table.columns.items()}
    return replace(table, columns=columns, names=tuple(map(shown_name, table.names)))


def with_resolved(table: Table, name: str, target: Table) -> Table:
    """Return `table` with the target's columns joined through the region column `name`.

    Each column of `target` comes as ``<name>.<column>``: one value per row for a plain region, a list of
    values per row for a ragged one.
    """
    region = table.columns[name]
    added = {
        f"{name}{SEPARATOR}{inner}": resolved_column(f"{name}{SEPARATOR}{inner}", region, column, target.n_rows)
        for inner, column in target.columns.items()
    }
    every = (*table.names, *(f"{name}{SEPARATOR}{inner}" for inner in target.names))
    return replace(table, columns={**table.columns, **added}, names=every)


def region_target(column: Column) -> str | None:
    """Return the path of the table that a DynamicTableRegion column points into, None for other columns."""
    if column.values is None:
        return None
    return reference_attribute(column.values, "table")


def _dynamic_table(index: FileIndex, group: GroupEntry, wanted: frozenset[str] | None) -> Table:
    arrays = {name: entry for name in group.members if (entry := index.array(join(group.path, name))) is not None}
    chains = _index_chains(group.path, arrays)
    indexes: set[str] = {entry.path for chain in chains.values() for entry in chain}
    names = _column_names(index, group, arrays, chains, indexes)
    n_rows = _count_rows(arrays, chains, names)
    if n_rows and names[0] == "id" and "id" in arrays and arrays["id"].shape == (0,):
        names = names[1:]  # hdmf numbers such rows itself
    columns = {}
    for name in names:
        if wanted is not None and name not in wanted:
            continue
        entry = arrays.get(name)
        if entry is None:
            absent = broken_column(name, "colnames names it and it is not a readable dataset", None)
            columns[name] = broken_member(index, group, name) or absent
        else:
            columns[name] = dynamic_column(name, entry, chains.get(name, ()), n_rows)
    return Table(group.path, table_kind(index, group.path) or "dynamic", neurodata_type(group), n_rows, columns, names)


def _index_chains(path: str, arrays: Mapping[str, ArrayEntry]) -> dict[str, tuple[ArrayEntry, ...]]:
    """Return, per column, its VectorIndex datasets, the outermost first.

    HDMF common schema, *VectorIndex*: ``target`` is a reference to the VectorData (or VectorIndex) that it
    indexes. No name decides: a column whose index has lost that reference has a length of its own, and is
    broken for it.
    """
    targets: dict[str, str] = {}
    for name, entry in arrays.items():
        target = reference_attribute(entry, "target")
        if target is None or not is_vector_index(entry):
            continue
        inner = basename(target) if target.rpartition("/")[0] == path else ""
        if inner in arrays and inner != name:
            targets[name] = inner
    chains: dict[str, tuple[ArrayEntry, ...]] = {}
    for name in targets:
        if name in targets.values():
            continue
        chain, seen = [name], {name}
        while chain[-1] in targets and targets[chain[-1]] not in seen:
            chain.append(targets[chain[-1]])
            seen.add(chain[-1])
        chains[chain[-1]] = tuple(arrays[part] for part in chain[:-1])
    return chains


def _column_names(
    index: FileIndex,
    group: GroupEntry,
    arrays: Mapping[str, ArrayEntry],
    chains: Mapping[str, tuple[ArrayEntry, ...]],
    indexes: set[str],
) -> tuple[str, ...]:
    listed = text_list_attribute(group.attributes, "colnames")
    first = ("id",) if "id" in group.members else ()
    hidden = {basename(path) for path in indexes}
    if "colnames" in group.unread:
        # Not read, because the columns are asked for by name.
        others = (name for name in group.members if name not in hidden and "target" not in _attributes(arrays, name))
        return tuple(dict.fromkeys((*first, *(name for name in others if not index.group(join(group.path, name))))))
    # hdmf writes an empty colnames for a table whose columns are all empty (hdmf.common.io.table).
    if listed:
        return tuple(dict.fromkeys((*first, *(name for name in listed if name not in hidden))))
    lengths = {name: entry.shape[0] for name, entry in arrays.items() if entry.shape}
    n_rows = lengths.get("id")
    found = [
        name
        for name in group.members
        if name not in first
        and name not in hidden
        and index.group(join(group.path, name)) is None
        and (name in chains or name not in arrays or n_rows is None or lengths.get(name) == n_rows)
    ]
    return (*first, *found)


def _attributes(arrays: Mapping[str, ArrayEntry], name: str) -> Collection[str]:
    return arrays[name].attributes if name in arrays else ()


def _count_rows(
    arrays: Mapping[str, ArrayEntry], chains: Mapping[str, tuple[ArrayEntry, ...]], names: tuple[str, ...]
) -> int:
    """Return the length of ``id``, or of the first column where ``id`` is absent or empty."""
    for name in names:
        entry = chains[name][0] if name in chains else arrays.get(name)
        if entry is not None and entry.shape and entry.shape[0]:
            return entry.shape[0]
    return 0


def _series_table(index: FileIndex, group: GroupEntry, wanted: frozenset[str] | None) -> Table:
    n_rows, columns = series_columns(index, group)
    names = tuple(columns)
    kept = {name: column for name, column in columns.items() if wanted is None or name in wanted}
    return Table(group.path, "series", neurodata_type(group), n_rows, kept, names)


def _record_table(index: FileIndex, group: GroupEntry, wanted: frozenset[str] | None) -> Table:
    columns: dict[str, Column] = {}
    names = []
    for name in group.members:
        path = join(group.path, name)
        if index.group(path) is not None:
            continue
        names.append(name)
        if wanted is not None and name not in wanted:
            continue
        entry = index.array(path)
        if entry is not None:
            columns[name] = record_column(name, entry)
        elif path in index.problems:
            columns[name] = broken_column(name, index.problems[path], None)
    return Table(group.path, "record", neurodata_type(group), 1, columns, tuple(names))


def _compound_table(entry: ArrayEntry, wanted: frozenset[str] | None) -> Table:
    names = tuple(name for name, _ in entry.element.fields)
    columns = {name: compound_column(name, entry) for name in names if wanted is None or name in wanted}
    n_rows = entry.shape[0] if entry.shape else 0
    return Table(entry.path, "compound", neurodata_type(entry), n_rows, columns, names)
