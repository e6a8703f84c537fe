"""Plans a scan over many files: opens each once, describes the table, and unifies what they say."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from nwb_dask.backends import open_file
from nwb_dask.errors import (
    MalformedFileError,
    NWBDaskError,
    PathNotFoundError,
    SkippedFilesWarning,
    SourceNotFoundError,
)
from nwb_dask.model import PATH_COLUMNS, Table, parse_type
from nwb_dask.plan.assemble import Found, Wish, assemble_scan
from nwb_dask.plan.scan import Scan
from nwb_dask.plan.split import parse_bytes
from nwb_dask.read.describe import describe_table, list_tables, match_tables
from nwb_dask.storage import Access, Named, expand_sources, make_access, open_store

N_CONCURRENT = 16
"""Files that are described at once when they are remote; local ones follow each other under HDF5's lock."""

_N_SUGGESTING = 8
"""Files whose trees are read to say which tables exist, when none has the one asked for."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What to describe in each file."""

    tables: tuple[str, ...]
    names: frozenset[str] | None
    resolve: tuple[str, ...] | bool
    access: Access
    skip_corrupt: bool


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of one file: its tables, or why it is left out."""

    found: Found | None = None
    reason: str = ""


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
) -> Scan:
    """Return the plan of reading `table` from every file of `source`; reads metadata only.

    Parameters are those of `nwb_dask.dataframe.read_nwb`; `extra` names columns that a filter needs and
    the result does not show.

    Raises
    ------
    PathNotFoundError
        If no file has the table, or a column asked for; the nearest names are said.
    MalformedFileError, SourceUnavailableError
        If a file cannot be read; with ``errors="skip"`` corrupt and missing files are left out instead.
    SchemaConflictError
        If files disagree about a column that is asked for.
    """
    _check_choice("missing_columns", missing_columns, ("insert", "raise"))
    _check_choice("missing_table", missing_table, ("skip", "raise"))
    _check_choice("errors", errors, ("raise", "skip"))
    tables = (table,) if isinstance(table, str) else tuple(table)
    access = make_access(storage_options)
    wanted, extra = _checked_columns(columns), tuple(extra)
    names = None if wanted is None else frozenset((*wanted, *extra)) - frozenset(PATH_COLUMNS)
    chosen = resolve if isinstance(resolve, bool) else (resolve,) if isinstance(resolve, str) else tuple(resolve)
    request = _Request(tables, names, chosen, access, errors == "skip")
    named = expand_sources(source, access)
    outcomes = _describe_all(named, request)
    skipped = tuple((n.name, o.reason) for n, o in zip(named, outcomes, strict=True) if o.reason)
    found = [o.found for o in outcomes if o.found is not None]
    label = tables[0] if len(tables) == 1 else ", ".join(tables)
    if skipped:
        _warn_skipped(skipped, len(named))
    lacking = [one for one in found if not one.tables]
    if lacking and (missing_table == "raise" or len(lacking) == len(found)):
        raise _no_table(label, lacking, found, access)
    if not found:
        message = f"none of {len(named)} files could be read; the first is left out because: {skipped[0][1]}"
        raise MalformedFileError(message, url=skipped[0][0])
    wish = Wish(
        label,
        wanted,
        extra,
        {name: parse_type(value) for name, value in (schema_overrides or {}).items()},
        missing_columns == "insert",
        include_path_columns,
        None if blocksize is None else parse_bytes(blocksize),
        None if aggregate_files is None else parse_bytes(aggregate_files),
        chosen,
    )
    return assemble_scan([one for one in found if one.tables], wish, skipped=skipped, access=access)


def _warn_skipped(skipped: Sequence[tuple[str, str]], n_files: int) -> None:
    listed = "\n".join(f"  {name}: {reason}" for name, reason in skipped)
    message = f"{len(skipped)} of {n_files} files are left out (errors='skip'):\n{listed}"
    warnings.warn(message, SkippedFilesWarning, stacklevel=4)


def _checked_columns(columns: Sequence[str] | None) -> tuple[str, ...] | None:
    if columns is None:
        return None
    return (columns,) if isinstance(columns, str) else tuple(dict.fromkeys(columns))


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        message = f"{name}={value!r} is none of {', '.join(map(repr, choices))}"
        raise ValueError(message)


def _describe_all(named: Sequence[Named], request: _Request) -> list[_Outcome]:
    remote = [one for one in named if "://" in one.url and not one.url.startswith("file://")]
    if len(remote) < 2:  # noqa: PLR2004  # nothing to do at once
        return [_describe_one(one, request) for one in named]
    with ThreadPoolExecutor(min(N_CONCURRENT, len(named)), thread_name_prefix="nwb-dask-describe") as pool:
        return list(pool.map(lambda one: _describe_one(one, request), named))


def _describe_one(named: Named, request: _Request) -> _Outcome:
    try:
        with open_store(named.url, request.access) as store, open_file(store) as file:
            paths = dict.fromkeys(path for table in request.tables for path in match_tables(file, table))
            tables = []
            for path in paths:
                described = _table_or_none(file, path, request)
                if described is not None:
                    tables.append(described)
            return _Outcome(Found(store.source, named.name, named.typed, tuple(tables)))
    except (MalformedFileError, SourceNotFoundError) as error:
        if request.skip_corrupt:
            return _Outcome(reason=error.message)
        raise error.at(url=named.name) from error.__cause__
    except NWBDaskError as error:
        raise error.at(url=named.name) from error.__cause__


def _table_or_none(file: object, path: str, request: _Request) -> Table | None:
    try:
        return describe_table(file, path, names=request.names, resolve=request.resolve)  # type: ignore[arg-type]
    except PathNotFoundError as error:
        if error.path is not None and error.path != path:
            raise
        return None


def _no_table(label: str, lacking: Sequence[Found], found: Sequence[Found], access: Access) -> PathNotFoundError:
    known: dict[str, list[str]] = {}
    for one in found[:_N_SUGGESTING]:
        with open_store(one.source.url, access) as store, open_file(store) as file:
            for path in list_tables(file):
                known.setdefault(path, []).append(one.name)
    where = lacking[0].name if len(lacking) == 1 else f"any of {len(lacking)} files, such as {lacking[0].name}"
    if len(lacking) < len(found):
        where = f"{lacking[0].name}, one of {len(lacking)} of {len(found)} files without it"
    near = get_close_matches(label, known, n=3, cutoff=0.5) or [
        path for path in known if path.rpartition("/")[2] == label.rpartition("/")[2]
    ]
    if near:
        others = len(known[near[0]]) - 1
        also = f" and {others} more" if others else ""
        hint = f"did you mean {' or '.join(map(repr, near))} (in {known[near[0]][0]}{also})?"
    else:
        hint = f"the tables are {', '.join(known)}" if known else "these files hold no table"
    return PathNotFoundError(f"no table {label!r} in {where}; {hint}", path=label)
