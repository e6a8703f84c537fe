"""`sql` and `sql_context`: questions in SQL over the tables of many files, answered by polars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from types import TracebackType
from typing import Literal, NoReturn, Self, overload

import polars as pl
from polars.io.plugins import register_io_source

from nwb_dask.adapters.cluster import share_scan
from nwb_dask.adapters.contents import list_paths
from nwb_dask.adapters.metadata import read_metadata
from nwb_dask.adapters.polars_frame import lazy_frame, noting_frame
from nwb_dask.adapters.sql_statement import SHOW_TABLES, named_tables
from nwb_dask.adapters.stored import near
from nwb_dask.catalog.shared import SharedCatalog
from nwb_dask.errors import PathNotFoundError, SchemaConflictError
from nwb_dask.plan import Scan
from nwb_dask.plan.explanation import Explanation, ReadPlan
from nwb_dask.read import SessionNames, check_choice, scan_sources
from nwb_dask.read.describe import escape_glob, is_glob, normalize_path
from nwb_dask.storage import expand_sources, make_access

SESSION = "session"
"""The table of the metadata of each file."""


Overrides = Mapping[str, Mapping[str, object]]
"""Path of a table -> column -> type."""


@overload
def sql(
    query: str,
    source: object,
    *,
    storage_options: Mapping[str, object] | None = ...,
    errors: Literal["raise", "skip"] = ...,
    schema_overrides: Overrides | None = ...,
    parse_dates: bool = ...,
    lengths: bool = ...,
    session_columns: SessionNames = ...,
    eager: Literal[False] = ...,
) -> pl.LazyFrame: ...
@overload
def sql(
    query: str,
    source: object,
    *,
    storage_options: Mapping[str, object] | None = ...,
    errors: Literal["raise", "skip"] = ...,
    schema_overrides: Overrides | None = ...,
    parse_dates: bool = ...,
    lengths: bool = ...,
    session_columns: SessionNames = ...,
    eager: Literal[True],
) -> pl.DataFrame: ...
def sql(
    query: str,
    source: object,
    *,
    storage_options: Mapping[str, object] | None = None,
    errors: Literal["raise", "skip"] = "raise",
    schema_overrides: Overrides | None = None,
    parse_dates: bool = True,
    lengths: bool = False,
    session_columns: SessionNames = (),
    eager: bool = False,
) -> pl.LazyFrame | pl.DataFrame:
    """Return the answer to an SQL query over the tables of one or many NWB files, as a polars LazyFrame.

    Tables that the query uses are described now, and no others. Their rows are read when the frame is collected:
    columns, conditions and limits of the query are handed to the read, as for `nwb_dask.scan_nwb`. The SQL is that of
    polars, and so are types, NULL and NaN.

    Parameters
    ----------
    query : str
        One query: ``SELECT``, ``WITH``, ``FROM``, ``VALUES``, ``EXPLAIN``, or ``SHOW TABLES``. Other statements, such
        as ``DROP`` and ``CREATE``, are refused: files are never written to.
    source : path, URL, list of them, glob, folder or Catalog
        Which files.
    storage_options : mapping, optional
        Credentials and endpoints, by the names of s3fs or obstore. Secrets are no part of the frame.
    errors : {"raise", "skip"}
        Files that are corrupt or missing: an error, or left out with a warning that lists them.
    schema_overrides : mapping of str to mapping, optional
        Path of a table to the Arrow types that replace those of its columns: ``{"/units": {"depth": "float64"}}``.
    parse_dates : bool
        Whether dates in ``session`` are moments in UTC; see `nwb_dask.read_metadata`.
    lengths : bool
        Add the length of each list of ragged columns as ``"<column>.n"`` to every table. It is read from their indexes
        alone, where ``ARRAY_LENGTH(spike_times)`` reads the spike times.
    session_columns : sequence of str or mapping, optional
        Metadata of its session to add to each row of every table, as in `nwb_dask.scan_nwb`.
    eager : bool
        Collect the frame.

    Returns
    -------
    polars.LazyFrame or polars.DataFrame
        Rows of tables come in source order where the query has no ``ORDER BY``, join, group, ``DISTINCT`` or
        ``UNION``: polars puts the rows of these in any order. Every table has ``_nwb_path``, ``_table_path`` and
        ``_table_index``; ``session`` has ``_nwb_path``.

    Raises
    ------
    polars.exceptions.PolarsError
        If polars cannot make sense of the query; the message is that of polars.
    PathNotFoundError
        If a table is in no file, or its short name is that of several; the nearest names, or the candidates, are said.
    SchemaConflictError
        If files disagree about a column of a table that is used.
    MalformedFileError, SourceUnavailableError
        If a file cannot be read, now or when the frame is collected.

    Notes
    -----
    A table has its path in the file for a name, in double quotes: ``"/intervals/trials"``. The last part of the path
    is a name too, ``trials``, where it is that of one path only among all files. Which paths there are is looked up
    only for short names, in the tree of each file. Names are compared as they are written, capitals included; a name
    that ``WITH`` gives comes before those of files, and polars compares it without regard to capitals.

    A condition on ``_nwb_path`` or one of `session_columns` leaves files unopened; one on ``session`` does not, since
    polars joins what was read.

    ``session`` is one row of metadata per file, whatever is in the files, and is read when a query that uses it is
    given. A table ``/intervals/session`` has its path only. Series are tables of timestamps and data. Functions that
    polars has in place of tables, such as ``read_csv('...')``, read what they are told to.

    Examples
    --------
    >>> good = nwb_dask.sql(  # doctest: +SKIP
    ...     '''
    ...     SELECT subject_id, COUNT(*) AS n
    ...     FROM "/units" JOIN session USING (_nwb_path)
    ...     WHERE quality = 'good' GROUP BY subject_id
    ...     ''',
    ...     "sessions/*.nwb",
    ... )
    >>> good.collect()  # doctest: +SKIP
    """
    context = sql_context(
        source,
        storage_options=storage_options,
        errors=errors,
        schema_overrides=schema_overrides,
        parse_dates=parse_dates,
        lengths=lengths,
        session_columns=session_columns,
    )
    return context.execute(query, eager=eager)


def sql_context(
    source: object,
    *,
    storage_options: Mapping[str, object] | None = None,
    errors: Literal["raise", "skip"] = "raise",
    schema_overrides: Overrides | None = None,
    parse_dates: bool = True,
    lengths: bool = False,
    session_columns: SessionNames = (),
) -> SqlContext:
    """Return what answers several SQL queries over the same files, and describes each table once.

    Parameters are those of `sql`. Only the names of the files are looked up now.

    Returns
    -------
    SqlContext
        Has ``execute(query, eager=False)`` and ``tables()``. A file that is replaced after a table of it was described
        is an error (`SourceChangedError`) when rows are read: a new context sees the new file.

    Examples
    --------
    >>> with nwb_dask.sql_context("sessions/*.nwb") as context:  # doctest: +SKIP
    ...     context.tables()
    ...     context.execute("SELECT * FROM trials", eager=True)
    """
    return SqlContext(
        source,
        storage_options=storage_options,
        errors=errors,
        schema_overrides=schema_overrides,
        parse_dates=parse_dates,
        lengths=lengths,
        session_columns=session_columns,
    )


class SqlContext:
    """Tables of NWB files for SQL; see `sql` for their names."""

    def __init__(
        self,
        source: object,
        *,
        storage_options: Mapping[str, object] | None = None,
        errors: Literal["raise", "skip"] = "raise",
        schema_overrides: Overrides | None = None,
        parse_dates: bool = True,
        lengths: bool = False,
        session_columns: SessionNames = (),
    ) -> None:
        check_choice("errors", errors, ("raise", "skip"))
        self._files = expand_sources(source, make_access(storage_options))
        self._source = source if isinstance(source, SharedCatalog) else self._files
        self._storage_options = storage_options
        self._errors: Literal["raise", "skip"] = errors
        self._overrides = dict(schema_overrides or {})
        self._parse_dates = parse_dates
        self._lengths = lengths
        self._session_columns = session_columns
        self._frames: dict[str, pl.LazyFrame] = {}
        _check_overrides(self._overrides)

    def tables(self) -> list[str]:
        """Return every name that a query can use: paths, short names that are unique, and ``session``; sorted.

        Reads the tree of each file, the first time.
        """
        return sorted({*self._paths, *(name for name, paths in self._short.items() if len(paths) == 1), SESSION})

    @overload
    def execute(self, query: str, *, eager: Literal[False] = ...) -> pl.LazyFrame: ...
    @overload
    def execute(self, query: str, *, eager: Literal[True]) -> pl.DataFrame: ...
    @overload
    def execute(self, query: str, *, eager: bool) -> pl.LazyFrame | pl.DataFrame: ...
    def execute(self, query: str, *, eager: bool = False) -> pl.LazyFrame | pl.DataFrame:
        """Return the answer to a query as a LazyFrame, or as a DataFrame if `eager`; see `sql`."""
        frame = self._answer(query, self._table)
        return frame.collect() if eager else frame

    def explain(self, query: str) -> Explanation:
        """Return what answering a query reads: one `ReadPlan` for each table that it reads, and reading of it.

        Tables are described, and no rows are read but those of ``session``, which is in no plan. Print it, or look at
        its ``reads``. A filter that cannot be pushed as a whole is in ``residual``.
        """
        notes: list[ReadPlan] = []
        noting: dict[str, pl.LazyFrame] = {}

        def table(name: str) -> pl.LazyFrame:
            key = self._key(name)
            if key not in noting:
                noting[key] = self._table(name) if key == SESSION else noting_frame(self._plan(key), notes)
            return noting[key]

        # The streaming engine does not ask for tables that are joined to one without rows.
        self._answer(query, table).collect(engine="in-memory")
        return Explanation(tuple(notes))

    def __enter__(self) -> Self:
        """Return the context itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Forget what was described; frames that were returned stay as they are."""
        self._frames.clear()
        vars(self).pop("_paths", None)
        vars(self).pop("_short", None)

    def __reduce__(self) -> NoReturn:
        """Refuse: it may hold secrets, which its frames do not."""
        message = "a SqlContext is not pickled; pickle the frames that execute() returns, or make it anew where it goes"
        raise TypeError(message)

    def __repr__(self) -> str:
        return f"<SqlContext of {len(self._files)} files, such as {self._files[0].name}>"

    def _answer(self, query: str, table: Callable[[str], pl.LazyFrame]) -> pl.LazyFrame:
        """Let polars tell which of the names it looks for among tables, until it looks for none that is unknown.

        A name may also be one that ``WITH`` gives, or a function: only polars knows. `table` gives those of tables.
        """
        names = named_tables(query)
        if SHOW_TABLES.fullmatch(query):
            return pl.LazyFrame({"name": self.tables()})
        found: dict[str, pl.LazyFrame] = {}
        while True:
            asked: list[str] = []
            unknown = {name: _asking(name, asked.append) for name in names if name not in found}
            try:
                frame = pl.SQLContext({**unknown, **found}).execute(query)
                frame.collect_schema()
            except pl.exceptions.PolarsError:
                if not asked:
                    raise
            if not asked:
                # Without the unknown, which the plan would keep.
                return pl.SQLContext(found).execute(query)
            found |= {name: table(name) for name in dict.fromkeys(asked)}

    def _table(self, name: str) -> pl.LazyFrame:
        key = self._key(name)
        if key not in self._frames:
            self._frames[key] = self._session() if key == SESSION else self._scan(key)
        return self._frames[key]

    def _key(self, name: str) -> str:
        return SESSION if name == SESSION else self._path_of(name)

    def _session(self) -> pl.LazyFrame:
        return read_metadata(
            self._source,
            "polars",
            storage_options=self._storage_options,
            errors=self._errors,
            parse_dates=self._parse_dates,
        ).lazy()

    def _scan(self, path: str) -> pl.LazyFrame:
        scan = self._plan(path)
        share_scan(scan)
        return lazy_frame(scan)

    def _plan(self, path: str) -> Scan:
        try:
            scan = scan_sources(
                self._source,
                escape_glob(path),
                storage_options=self._storage_options,
                schema_overrides=self._overrides.get(path),
                errors=self._errors,
                session_columns=self._session_columns,
            )
        except SchemaConflictError as error:
            error.add_note(f"in SQL the types of a table are said as schema_overrides={{{path!r}: {{column: type}}}}")
            raise
        return scan.with_lengths(columns=True) if self._lengths else scan

    def _path_of(self, name: str) -> str:
        """Return the path that a name of a table means."""
        # A glob is no name, and a path with its characters is itself. Other paths are looked for by the scan.
        if name.startswith("/") and name == normalize_path(name) and not is_glob(name):
            return name
        if name.startswith("/") and name in self._paths:
            return name
        paths = self._short.get(name, ())
        if len(paths) == 1:
            return paths[0]
        if paths:
            listed = " or ".join(f'"{path}"' for path in paths)
            raise PathNotFoundError(f"{name!r} is the short name of several tables; write the path: {listed}")
        others = [other for other in self.tables() if other.casefold() == name.casefold()]
        hint = f"did you mean {' or '.join(map(repr, others))}?" if others else near(name, self.tables(), "tables")
        where = f"{self._files[0].name}" if len(self._files) == 1 else f"any of {len(self._files)} files"
        raise PathNotFoundError(f"no table {name!r} in {where}; {hint}", url=self._files[0].name)

    @cached_property
    def _paths(self) -> tuple[str, ...]:
        return tuple(list_paths(self._source, storage_options=self._storage_options, errors=self._errors))

    @cached_property
    def _short(self) -> Mapping[str, tuple[str, ...]]:
        """Short names and the paths that have them."""
        found: dict[str, tuple[str, ...]] = {}
        for path in self._paths:
            name = path.rpartition("/")[2]
            if name and name != SESSION:
                found[name] = (*found.get(name, ()), path)
        return found


def _asking(name: str, ask: Callable[[str], None]) -> pl.LazyFrame:
    """Return a table that says that it is needed, and has no schema."""

    def schema() -> NoReturn:
        ask(name)
        raise LookupError(name)

    return register_io_source(lambda *_: iter(()), schema=schema)


def _check_overrides(overrides: Mapping[str, object]) -> None:
    for path, types in overrides.items():
        if not path.startswith("/") or not isinstance(types, Mapping):
            message = (
                f"schema_overrides: {path!r} is no path of a table with types of its columns, {{'/units': {{...}}}}"
            )
            raise TypeError(message)
