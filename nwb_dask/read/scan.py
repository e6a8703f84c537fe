"""Plans a scan over many files: opens each once, describes the table, and unifies what they say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from nwb_dask.backends import File
from nwb_dask.catalog.shared import SharedCatalog
from nwb_dask.errors import PathNotFoundError
from nwb_dask.model import PATH_COLUMNS, TABLE_INDEX, Table, parse_type
from nwb_dask.model.metadata import STANDARD, column_names
from nwb_dask.plan.assemble import Found, Wish, assemble_scan
from nwb_dask.plan.scan import Scan
from nwb_dask.plan.split import parse_bytes
from nwb_dask.read.catalogued import CatalogRequest, is_behind_link, scan_catalog
from nwb_dask.read.describe import describe_table, list_tables, match_tables
from nwb_dask.read.kept import KeptValues
from nwb_dask.read.opening import open_source
from nwb_dask.read.records import Record, read_record
from nwb_dask.read.session_columns import SessionNames, checked_session_columns, described
from nwb_dask.read.suggestions import suggest_tables
from nwb_dask.read.visit import visit_files
from nwb_dask.storage import Access, Named, expand_sources, make_access

_STANDARD_NAMES = frozenset(column_names(STANDARD).values())

_N_SUGGESTING = 8
"""Files whose trees are read to say which tables exist, when none has the one asked for."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What to describe in each file."""

    tables: tuple[str, ...]
    names: frozenset[str] | None
    resolve: tuple[str, ...] | bool
    kept: KeptValues | None
    with_record: bool
    """Whether the metadata of each file is asked for as well."""


def scan_sources(
    source: object,
    table: str | Sequence[str],
    *,
    columns: Sequence[str] | None = None,
    extra: Iterable[str] = (),
    storage_options: Mapping[str, object] | None = None,
    schema_overrides: Mapping[str, object] | None = None,
    missing_columns: Literal["insert", "raise"] = "insert",
    missing_table: Literal["skip", "raise"] = "skip",
    errors: Literal["raise", "skip"] = "raise",
    blocksize: float | str | None = None,
    aggregate_files: float | str | None = None,
    include_path_columns: bool = True,
    resolve: Sequence[str] | bool = (),
    kept: KeptValues | None = None,
    session_columns: SessionNames = (),
    label: str | None = None,
    is_sorted: bool = False,
) -> Scan:
    """Return the plan of reading `table` from every file of `source`; reads metadata only, and of a catalog no file.

    Parameters are those of `nwb_dask.dataframe.read_nwb`; `extra` names columns that a filter needs and
    the result does not show, `kept` takes small columns on the way, `label` is the column that labels the rows,
    and with `is_sorted` files are read in its order.

    Raises
    ------
    PathNotFoundError
        If no file has the table, or a column or metadata asked for; the nearest names are said.
    MalformedFileError, SourceUnavailableError
        If a file cannot be read; with ``errors="skip"`` corrupt and missing files are left out instead.
    SchemaConflictError
        If files disagree about a column that is asked for.
    """
    check_choice("missing_columns", missing_columns, ("insert", "raise"))
    check_choice("missing_table", missing_table, ("skip", "raise"))
    check_choice("errors", errors, ("raise", "skip"))
    tables = checked_names("table", table)
    if not all(tables) or not tables:
        message = f"table={table!r} names no table; give a path such as '/units', or '/' for the root"
        raise ValueError(message)
    access = make_access(_mapping("storage_options", storage_options))
    overrides = {n: parse_type(value) for n, value in _mapping("schema_overrides", schema_overrides).items()}
    wanted, extra = None if columns is None else checked_names("columns", columns), checked_names("index", extra)
    session = checked_session_columns(session_columns)
    names = None if wanted is None else frozenset((*wanted, *extra)) - frozenset(PATH_COLUMNS) - session.keys()
    chosen = resolve if isinstance(resolve, bool) else checked_names("resolve", resolve)
    is_unclear = label in _STANDARD_NAMES and label not in session
    title = tables[0] if len(tables) == 1 else ", ".join(tables)
    wish = Wish(
        title,
        wanted,
        extra,
        overrides,
        missing_columns == "insert",
        include_path_columns,
        None if blocksize is None else parse_bytes(blocksize),
        None if aggregate_files is None else parse_bytes(aggregate_files),
        chosen,
        None,
        label if is_sorted else None,
    )
    unclear = label if is_unclear else None
    asked = CatalogRequest(tables, wish, names, session, unclear, missing_table, errors, access)
    if isinstance(source, SharedCatalog) and not (chosen or is_behind_link(source, tables)):
        return scan_catalog(source, asked)
    request = _Request(tables, names, chosen, kept, with_record=bool(session) or is_unclear)
    return _scan_files(expand_sources(source, access), access, asked, request)


def _scan_files(named: Sequence[Named], access: Access, asked: CatalogRequest, request: _Request) -> Scan:
    """Return the plan of what is asked, from the files themselves."""
    wish, session, label = asked.wish, dict(asked.session), asked.label
    describe = partial(_describe, request)
    visited, skipped = visit_files(named, access, describe, skip_corrupt=asked.errors == "skip")
    found = [one for _, (one, _) in visited]
    lacking = [one for one in found if not one.tables]
    if lacking and (asked.missing_table == "raise" or len(lacking) == len(found)):
        raise _no_table(wish.table, lacking, found, access)
    if label is not None and not any(label in table.names for one in found for table in one.tables):
        session[label] = label
    records = [(one.name, record) for _, (one, record) in visited if one.tables]
    wish = replace(wish, session=described(records, session, wish.table) if session else None)
    return assemble_scan([one for one in found if one.tables], wish, skipped=skipped, access=access)


def checked_names(option: str, value: object) -> tuple[str, ...]:
    """Return one name or several as a tuple without duplicates."""
    several = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else None
    if several is None or not all(isinstance(name, str) for name in several):
        message = f"{option}={value!r}: a name or a list of names is wanted"
        raise TypeError(message)
    return tuple(dict.fromkeys(several))


def checked_label(index: object) -> str | None:
    """Return the column that labels rows; None for row numbers, as False and ``_table_index`` ask for too."""
    if index is None or index is False or index == TABLE_INDEX:
        return None
    if not isinstance(index, str):
        message = f"index={index!r}: the name of one column is wanted"
        raise TypeError(message)
    return index


def _mapping(option: str, value: object) -> Mapping[str, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        message = f"{option} is a mapping such as a dict, not {type(value).__name__}"
        raise TypeError(message)
    return value


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise `ValueError` if the option `name` is none of its `choices`."""
    if value not in choices:
        message = f"{name}={value!r} is none of {', '.join(map(repr, choices))}"
        raise ValueError(message)


def _describe(request: _Request, named: Named, file: File) -> tuple[Found, Record]:
    paths = dict.fromkeys(path for table in request.tables for path in match_tables(file, table))
    tables = []
    for path in paths:
        described = _table_or_none(file, path, request)
        if described is not None:
            tables.append(described)
            if request.kept is not None:
                request.kept.keep(file, described, request.names)
    record = read_record(file) if request.with_record and tables else {}
    return Found(file.source, named.name, named.typed, tuple(tables)), record


def _table_or_none(file: File, path: str, request: _Request) -> Table | None:
    try:
        prepare = request.kept is not None
        return describe_table(file, path, names=request.names, resolve=request.resolve, prepare=prepare)
    except PathNotFoundError as error:
        if error.path is not None and error.path != path:
            raise
        return None


def _no_table(label: str, lacking: Sequence[Found], found: Sequence[Found], access: Access) -> PathNotFoundError:
    first = lacking[0].name
    if len(lacking) < len(found):
        holder = next(one.name for one in found if one.tables)
        many = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        message = f"no table {label!r} in {first}{many}; {holder} has it; missing_table='skip' leaves the others out"
        return PathNotFoundError(message, url=first, path=label)
    known: dict[str, list[str]] = {}
    for one in found[:_N_SUGGESTING]:
        with open_source(one.source.url, access) as file:
            for path in list_tables(file):
                known.setdefault(path, []).append(one.name)
    where = first if len(lacking) == 1 else f"any of {len(lacking)} files, such as {first}"
    return PathNotFoundError(f"no table {label!r} in {where}; {suggest_tables(label, known)}", url=first, path=label)
