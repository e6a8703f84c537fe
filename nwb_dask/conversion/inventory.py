"""What there is to convert: looks into each file once, and unifies what the files say of each table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

import pyarrow as pa

from nwb_dask.backends import File
from nwb_dask.conversion.names import METADATA
from nwb_dask.conversion.report import LeftOut
from nwb_dask.conversion.rows import Holder, MetadataRows, Rows, StoredRows
from nwb_dask.errors import NWBDaskError, PathNotFoundError, SchemaConflictError, UnsupportedLayoutError
from nwb_dask.index import Source, join
from nwb_dask.model import Field, Table, find_tables, path_fields, table_kind, unify_fields
from nwb_dask.model.kinds import RECORDS
from nwb_dask.model.metadata import describe_troubles, metadata_table
from nwb_dask.model.unify import override
from nwb_dask.read import warn_user
from nwb_dask.read.describe import describe_table, list_objects, normalize_path
from nwb_dask.read.records import Record, read_record
from nwb_dask.read.series import describe_series, find_series
from nwb_dask.read.small_values import STORAGE_ERRORS
from nwb_dask.read.visit import visit_files
from nwb_dask.storage import Access, Named

_GLOB = frozenset("*?[")

Holds = Literal["tables", "series"]
_IS_SERIES = "a TimeSeries, which may be large: name it in tables= to have it as a table, or convert to Zarr"
_IS_TABLE = "a table, and Zarr is written for TimeSeries only: convert to another format as well"
_IS_UNKNOWN = "a series of a type that `open_timeseries` does not know: name it in tables= to have it as a table"


@dataclass(frozen=True, slots=True)
class Choice:
    """What of the files is wanted."""

    holds: Holds
    tables: tuple[str, ...] | None
    exclude: tuple[str, ...]
    overrides: Mapping[str, pa.DataType]
    """Path of a column -> its type."""
    skip: bool
    """Whether what cannot be read is left out."""

    def takes(self, path: str, *, is_series: bool) -> bool:
        """Tell whether a table or series is wanted; a glob matches no one-row tables, as in `read_table`."""
        if self.excludes(path) or (self.holds == "series" and not is_series):
            return False
        if self.tables is None:
            return is_series == (self.holds == "series")
        return any(_matches(path, wanted) for wanted in self.tables)

    def excludes(self, path: str) -> bool:
        """Tell whether a table or column is left out; ``*`` matches slashes too."""
        return any(fnmatchcase(path, pattern) for pattern in self.exclude)

    @property
    def named(self) -> tuple[str, ...]:
        """Paths that are asked for without a glob."""
        return tuple(one for one in self.tables or () if one != METADATA and not _GLOB & set(one))


@dataclass(frozen=True, slots=True)
class Found:
    """What one file has of what is wanted."""

    source: Source
    tables: Mapping[str, Table]
    series: tuple[str, ...]
    """Those that are converted as series."""
    record: Record | None
    others: Mapping[str, str]
    """What it has besides -> why that is left out."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that is converted, and all that is not."""

    named: tuple[Named, ...]
    sources: tuple[Source, ...]
    tables: tuple[Rows, ...]
    """Sorted by path; the table of metadata comes first."""
    series: tuple[tuple[str, int], ...]
    """Path and place among the sources of each series."""
    skipped: tuple[tuple[str, str], ...]
    left_out: tuple[LeftOut, ...]


def take_inventory(named: Sequence[Named], access: Access, choice: Choice) -> Inventory:
    """Return what is in the files of what is wanted; reads structure and metadata, no tables.

    Raises
    ------
    PathNotFoundError
        If no file has a table that is asked for.
    SchemaConflictError
        If files disagree about a column.
    MalformedFileError, SourceUnavailableError
        If a file or a column cannot be read, unless that is to be skipped.
    """
    visited, skipped = visit_files(named, access, lambda _, file: _look(file, choice), skip_corrupt=choice.skip)
    kept, found = tuple(one for one, _ in visited), [one for _, one in visited]
    _check_asked(choice, found, kept)
    left_out: list[LeftOut] = []
    tables: list[Rows] = []
    if any(one.record is not None for one in found):
        tables.append(_metadata(kept, found, choice))
    unifier = _Unifier(kept, found, choice, access, left_out)
    tables += [unifier.rows(path) for path in sorted({path for one in found for path in one.tables})]
    _check_overrides(choice, tables, kept)
    others = {path: reason for one in found for path, reason in one.others.items()}
    left_out += [LeftOut(path, others[path]) for path in sorted(others)]
    series = tuple(sorted({(path, number) for number, one in enumerate(found) for path in one.series}))
    sources = tuple(one.source for one in found)
    return Inventory(kept, sources, tuple(tables), series, skipped, tuple(left_out))


def parse_paths(option: str, value: object) -> tuple[str, ...]:
    """Return paths and globs as they are compared: from the root, but for the table of metadata."""
    several = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else None
    if several is None or not all(isinstance(one, str) and one for one in several):
        raise TypeError(f"{option}={value!r}: a path, a glob or a list of them is wanted")
    prefix = f"{METADATA}/"
    return tuple(one if one == METADATA or one.startswith((prefix, "*")) else normalize_path(one) for one in several)


def _matches(path: str, wanted: str) -> bool:
    if path == wanted:
        return True
    is_glob = bool(_GLOB & set(wanted)) and path not in RECORDS and path != METADATA
    return is_glob and fnmatchcase(path, wanted) and (path.count("/") == wanted.count("/") or wanted.startswith("*"))


def _look(file: File, choice: Choice) -> Found:
    index = list_objects(file)
    kinds = {path: table_kind(index, path) for path in find_tables(index)}
    others: dict[str, str] = {}
    if choice.holds == "series":
        every = find_series(file)
        chosen = tuple(path for path in every if choice.takes(path, is_series=True))
        if choice.tables is None:
            listed = [path for path in kinds if path not in every and not choice.excludes(path)]
            others = {path: _IS_UNKNOWN if kinds[path] == "series" else _IS_TABLE for path in listed}
        return Found(file.source, {}, _readable(file, chosen, choice, others), None, others)
    tables: dict[str, Table] = {}
    # A plain group is a table of one row if it is asked for.
    for path in dict.fromkeys((*kinds, *(one for one in choice.named if index.group(one) is not None))):
        is_series = kinds.get(path) == "series"
        if choice.takes(path, is_series=is_series):
            tables[path] = describe_table(file, path)
        elif is_series and choice.tables is None and not choice.excludes(path):
            others[path] = _IS_SERIES
    record = read_record(file) if choice.takes(METADATA, is_series=False) else None
    return Found(file.source, tables, (), record, others)


def _readable(file: File, series: tuple[str, ...], choice: Choice, others: dict[str, str]) -> tuple[str, ...]:
    """Return the series that can be described; the others are an error unless they are to be skipped."""
    good = []
    for path in series:
        try:
            describe_series(file, path)
        except STORAGE_ERRORS:
            raise
        except NWBDaskError as error:
            if not choice.skip:
                hint = f"leave it out with exclude={path!r}, or with errors='skip'"
                raise type(error)(f"{path}: {error.message}; {hint}", url=error.url, path=path) from error
            others[path] = error.message
        else:
            good.append(path)
    return tuple(good)


def _check_asked(choice: Choice, found: Sequence[Found], named: Sequence[Named]) -> None:
    there = {path for one in found for path in (*one.tables, *one.series)}
    if any(one.record is not None for one in found):
        there.add(METADATA)
    what = "series" if choice.holds == "series" else "table"
    where = named[0].name if len(named) == 1 else f"any of {len(named)} files, such as {named[0].name}"
    for wanted in choice.tables or ():
        if not any(_matches(path, wanted) for path in there) and not choice.excludes(wanted):
            raise PathNotFoundError(f"no {what} {wanted!r} in {where}", url=named[0].name, path=wanted)
    if not there:
        reasons = [f"; {path}: {reason}" for one in found for path, reason in one.others.items()]
        message = f"nothing to convert: no {what} in {where} that is not left out{''.join(reasons[:1])}"
        raise PathNotFoundError(message, url=named[0].name)


def _check_overrides(choice: Choice, tables: Sequence[Rows], named: Sequence[Named]) -> None:
    """Raise for a type of a column that no file has, unless it is of a table that is not wanted."""
    there = {join(rows.path, name) for rows in tables if isinstance(rows, StoredRows) for name in rows.schema.names}
    for path in choice.overrides:
        table = path.rpartition("/")[0] or "/"
        is_wanted = choice.tables is None or any(_matches(table, one) for one in choice.tables)
        if path not in there and is_wanted and not choice.excludes(path) and not choice.excludes(table):
            where = named[0].name if len(named) == 1 else f"{len(named)} files"
            hint = "the path of a column is wanted, such as '/units/quality'"
            message = f"schema_overrides: no column {path!r} in {where} is converted; {hint}"
            raise PathNotFoundError(message, path=path)


def _metadata(named: Sequence[Named], found: Sequence[Found], choice: Choice) -> MetadataRows:
    records = [(one.name, them.record) for one, them in zip(named, found, strict=True) if them.record is not None]
    table, _, troubles = metadata_table(records, dates=True)
    if troubles:
        warn_user(describe_troubles(troubles))
    kept = [name for name in table.column_names if not choice.excludes(join(METADATA, name))]
    return MetadataRows(METADATA, table.select(kept), tuple(range(len(records))))


@dataclass(frozen=True, slots=True)
class _Unifier:
    """Puts together what the files say of one table, and notes what it leaves out."""

    named: Sequence[Named]
    found: Sequence[Found]
    choice: Choice
    access: Access
    left_out: list[LeftOut]

    def rows(self, path: str) -> StoredRows:
        """Return the rows of a table in all files that have it."""
        numbers = [number for number, one in enumerate(self.found) if path in one.tables]
        holders = [self._holder(number, self.found[number].tables[path]) for number in numbers]
        columns: dict[str, list[tuple[str, Field]]] = {}
        for one in holders:
            for name, column in one.table.columns.items():
                if name not in one.absent:
                    field = self._overridden(path, column.field)
                    columns.setdefault(name, []).append((f"{path} of {one.name}", field))
        fields = tuple(_unified(path, name, those, len(holders)) for name, those in columns.items())
        # What no file can read is no column.
        holders = [replace(one, absent=one.absent & columns.keys()) for one in holders]
        return StoredRows(path, (*fields, *path_fields()), tuple(holders), self.access)

    def _overridden(self, path: str, field: Field) -> Field:
        wanted = self.choice.overrides.get(join(path, field.name))
        return field if wanted is None else override(field, {field.name: wanted})

    def _holder(self, number: int, table: Table) -> Holder:
        name = self.named[number].name
        wanted = {
            one: column for one, column in table.columns.items() if not self.choice.excludes(join(table.path, one))
        }
        problems = {one: column.problem for one, column in wanted.items() if column.problem}
        for column, reason in problems.items():
            there = join(table.path, column)
            if not self.choice.skip:
                message = (
                    f"column {column!r} of {table.path} of {name} cannot be read: {reason}; "
                    f"leave it out with exclude={there!r}, or with errors='skip'"
                )
                raise UnsupportedLayoutError(message, url=name, path=there)
            self.left_out.append(LeftOut(there, reason, name))
        kept = replace(table, columns=wanted)
        return Holder(number, name, self.found[number].source, kept, frozenset(problems))


def _unified(path: str, name: str, found: Sequence[tuple[str, Field]], n_files: int) -> Field:
    try:
        return unify_fields(name, found, n_files=n_files)
    except SchemaConflictError as error:
        there = join(path, name)
        reason = error.message.partition("; ")[0]
        message = f"{reason}; leave it out with exclude={there!r}, or say schema_overrides={{{there!r}: ...}}"
        raise SchemaConflictError(message, path=there) from error
