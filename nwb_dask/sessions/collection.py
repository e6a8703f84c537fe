"""`map_sessions`: a function of one session, over many."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from nwb_dask.adapters.eager import Engine, to_engine
from nwb_dask.errors import NWBDaskError, SkippedFilesWarning
from nwb_dask.index import Identity
from nwb_dask.model import Field, parse_type
from nwb_dask.model.field import NWB_PATH
from nwb_dask.read import check_choice, checked_names, warn_user
from nwb_dask.read.concurrently import each_of
from nwb_dask.sessions.fingerprint import fingerprint
from nwb_dask.sessions.pools import open_pool
from nwb_dask.sessions.records import output_at
from nwb_dask.sessions.report import Report
from nwb_dask.sessions.rows import conform_rows, unify
from nwb_dask.sessions.run import Settled, run_jobs
from nwb_dask.sessions.task import Call, Job, Outcome, Work, do
from nwb_dask.sessions.writing import Request, Resume, write_parts
from nwb_dask.storage import Access, Named, display_url, expand_sources, make_access, open_store

if TYPE_CHECKING:
    import dask.dataframe as dd
    import pandas as pd
    import polars as pl
    from dask.delayed import Delayed


Errors = Literal["raise", "quarantine"]


def map_sessions(
    func: Callable[..., object],
    sources: object,
    *args: object,
    client: object = None,
    storage_options: Mapping[str, object] | None = None,
    session_columns: str | Sequence[str] = (),
    code_version: object = None,
    **kwargs: object,
) -> MappedSessions:
    """Return the results of a function of one session for many sessions, to be computed when they are asked for.

    Parameters
    ----------
    func : callable
        Called as ``func(session, *args, **kwargs)``, where `session` is what `nwb_dask.open_nwb` gives. It returns a
        pandas or polars DataFrame, an Arrow table, a dict (one row), a list of dicts, a plain value (a row with a
        column ``value``), or None (no rows). It runs where the file is read, one session at a time in each thread;
        what it computes with dask it computes right there, not on the cluster.
    sources : path, URL, list of them, glob or folder
        Which files. One that is named twice counts once.
    *args, **kwargs
        Of the function; they count for the key.
    client : distributed.Client, "threads" or None
        Where it runs: a cluster of dask, or threads of this process. By default the current client of dask if there is
        one, else threads, as many as ``dask.config.set(num_workers=...)`` says. Workers need nwb_dask, and nothing of
        the user's own modules: these travel with the function.
    storage_options : mapping, optional
        Credentials and endpoints of the sources, as for `nwb_dask.read_table`.
    session_columns : str or sequence of str
        Columns of `nwb_dask.read_metadata` that the rows carry: ``["session_id", "subject_id"]``.
    code_version : optional
        Stands for the code of `func` and all that it uses in the key, where these cannot be told apart or should not
        be: as long as it is the same, what was computed holds.

    Returns
    -------
    MappedSessions
        Nothing is opened yet.

    Raises
    ------
    SourceNotFoundError
        If there are no such files.
    TypeError
        If the function cannot be called so, or if it uses something that has no description which is the same in
        every process, such as an open file or a lock.
    ValueError
        If two URLs differ only behind the question mark, so that their rows could not be told apart.

    Notes
    -----
    Each result has a key: a digest of the code of the function, with its defaults and closures, and of the functions,
    classes and values of the user's own modules that it uses; of the arguments; and of the version of the file. Equal
    calls have the same key in every process, whatever the hash seed. Installed packages count by name, not by version;
    comments, docstrings and places in files do not count; another minor version of Python is another code. What a
    function finds by other means (`getattr` with a computed name, files that it opens, the clock, chance) is not seen.

    Examples
    --------
    >>> import nwb_dask
    >>> def count_units(session):
    ...     return {"n_units": len(session.units)}
    >>> nwb_dask.map_sessions(count_units, "sessions/").to_parquet("counts")  # doctest: +SKIP
    """
    if not callable(func):
        raise TypeError(f"func={func!r} is no function of a session")
    _check_call(func, args, kwargs)
    ordered = {name: kwargs[name] for name in sorted(kwargs)}
    code = fingerprint(code_version if code_version is not None else func, args, ordered)
    access = make_access(storage_options)
    columns = checked_names("session_columns", session_columns)
    jobs = _jobs(expand_sources(sources, access))
    return MappedSessions(Work(Call(func, args, ordered), code, access, columns), jobs, client)


@dataclass(frozen=True)
class MappedSessions:
    """Results of a function for many sessions, which are computed when they are asked for."""

    work: Work = field(repr=False)
    jobs: tuple[Job, ...] = field(repr=False)
    client: object = field(default=None, repr=False)
    notes: Mapping[str, object] = field(default_factory=dict, repr=False)
    """What is kept beside a result with what was asked; plain values, and nothing secret."""

    @property
    def name(self) -> str:
        """The function, as ``module:function``."""
        func = self.work.call.func if isinstance(self.work.call, Call) else None
        return f"{getattr(func, '__module__', '')}:{getattr(func, '__qualname__', type(func).__qualname__)}"

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sessions, in order."""
        return tuple(job.named.name for job in self.jobs)

    def __len__(self) -> int:
        """Return the number of sessions."""
        return len(self.jobs)

    def __repr__(self) -> str:
        """Say what is called for how many sessions."""
        return f"MappedSessions({self.name} of {len(self)} sessions)"

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Key of each result, in order; looks at the version of each file, remote ones at once."""
        access = self.work.access
        found = each_of([job.named for job in self.jobs], lambda named: _identity(named, access))
        return tuple(self.work.key(one) for one in found)

    def compute(
        self,
        engine: Engine = "pandas",
        *,
        errors: Errors = "raise",
        retries: int = 2,
        schema_overrides: Mapping[str, object] | None = None,
    ) -> pd.DataFrame | pl.DataFrame | pa.Table:
        """Return the rows of all sessions in memory, in source order, with ``_nwb_path`` as the last column.

        Parameters
        ----------
        engine : {"pandas", "polars", "arrow"}
            What to return; columns have the types of `nwb_dask.read_table`.
        errors : {"raise", "quarantine"}
            A session that fails: an error, or left out, with one warning that lists them.
        retries, schema_overrides
            As for `to_parquet`.

        Raises
        ------
        FunctionError, NWBDaskError
            With ``errors="raise"``, for the first session that fails; what nwb_dask raises keeps its class.
        SchemaConflictError
            If two sessions disagree about a column.
        """
        check_choice("engine", engine, ("pandas", "polars", "arrow"))
        check_choice("errors", errors, ("raise", "quarantine"))
        pool = open_pool(self.work, self.client)
        found: dict[str, Settled] = {}
        settled = run_jobs(pool, self.jobs, n_attempts=_attempts(retries))
        try:
            for one in settled:
                found[one.job.digest] = one
                if one.outcome.failure is not None and errors == "raise":
                    raise one.error()
        finally:
            settled.close()
        ordered = [found[job.digest] for job in self.jobs]
        failed = [
            f"  {one.job.named.name}: {one.error().message}" for one in ordered if one.outcome.failure is not None
        ]
        if failed:
            warn_user("\n".join([f"{len(failed)} sessions failed and are left out:", *failed]), SkippedFilesWarning)
        rows = [(one.job.named.name, one.outcome.rows) for one in ordered if one.outcome.rows is not None]
        schema = unify([(name, table.schema) for name, table in rows], _types(schema_overrides))
        whole = pa.concat_tables([conform_rows(table, schema) for _, table in rows]) if rows else schema.empty_table()
        return _dressed(whole, engine)

    def to_delayed(self) -> list[Delayed]:
        """Return one `dask.delayed.Delayed` for each session, which gives a pandas DataFrame, or None for no rows.

        Their names are the keys of the results. Files are looked at for it.
        """
        from dask.delayed import delayed  # noqa: PLC0415  # for who asks for it

        work = self._travelling()
        return [
            delayed(_frame, pure=False)(work, job, None, dask_key_name=f"map_sessions-{key}")
            for job, key in zip(self.jobs, self.keys, strict=True)
        ]

    def to_dask_dataframe(self, meta: pd.DataFrame | None = None) -> dd.DataFrame:
        """Return the results as a dask DataFrame with a partition for each session.

        Parameters
        ----------
        meta : pandas.DataFrame, optional
            An empty frame with the columns and dtypes, without ``_nwb_path``. Without it the first session that has
            rows is computed here, and all others have to have its columns; what they lack is null.

        Raises
        ------
        SchemaConflictError
            When it is computed, if a session does not fit.
        """
        import dask.dataframe as dd  # noqa: PLC0415  # for who asks for it

        schema = self._first_schema() if meta is None else _schema_of(meta)
        work = self._travelling()
        empty = _dressed(schema.empty_table(), "pandas")
        frame: dd.DataFrame = dd.from_map(
            _frame_of_part,
            list(zip(self.jobs, self.keys, strict=True)),
            work=work,
            schema=schema,
            meta=empty,
            label="map_sessions",
            enforce_metadata=False,
        )
        return frame

    def persist(self, meta: pd.DataFrame | None = None) -> dd.DataFrame:
        """Return `to_dask_dataframe`, computed and held where it was computed."""
        frame: dd.DataFrame = self.to_dask_dataframe(meta).persist()
        return frame

    def to_parquet(
        self,
        out: object,
        *,
        resume: Resume = True,
        errors: Errors = "quarantine",
        retries: int = 2,
        schema_overrides: Mapping[str, object] | None = None,
        storage_options: Mapping[str, object] | None = None,
        progress: bool | None = None,
    ) -> Report:
        """Compute what is missing, write it to a folder, one Parquet file for each session, and return what was done.

        Each file appears when it is complete, and what is finished stays, however the run ends. The folder holds
        nothing but these files, all of one schema, for ``pd.read_parquet(out)`` and ``dd.read_parquet(out)``; a session
        without rows has none. What is known of them stands beside it, in ``<out>.nwb_dask``: see `read_report`.

        Parameters
        ----------
        out : path or URL
            A local folder, or one in a bucket (``s3://bucket/results``).
        resume : bool or "quarantine"
            Whether to compute only sessions that are missing, or whose code, arguments or file are not those of what is
            there; those that failed are missing. ``"quarantine"`` computes only what failed in the run before and takes
            all else as it is, even if the code has changed. False removes an earlier result first.
        errors : {"quarantine", "raise"}
            A session that fails: listed in the report and left out, with one warning, or an error that ends the run.
        retries : int
            How often a session is tried again if its failure may pass: connections, servers that answer 429 or 5xx, a
            worker that dies. Each request is tried several times within an attempt.
        schema_overrides : mapping of str to type, optional
            Types of columns on which sessions disagree.
        storage_options : mapping, optional
            Credentials and endpoints of a bucket that is written to.
        progress : bool, optional
            Whether a bar is shown on standard error; by default if that is a terminal.

        Raises
        ------
        OutputError
            If the folder holds something else, or results of other sessions, is in use, or cannot be written.
        SchemaConflictError
            If two sessions return a column in types without a common one, naming both. Columns that some sessions lack
            are null there; integers and floats become floats.
        FunctionError, NWBDaskError
            With ``errors="raise"``, for a session that fails.
        """
        check_choice("errors", errors, ("raise", "quarantine"))
        if resume not in {True, False, "quarantine"}:
            raise ValueError(f"resume={resume!r} is none of True, False, 'quarantine'")
        output = output_at(out, make_access(storage_options))
        asked = {
            "function": self.name,
            "code": self.work.code,
            "sources": [display_url(one) for one in self.sources],
            "session_columns": list(self.work.columns),
            **self.notes,
        }
        work = replace(self.work, output=output)
        types, n_attempts = _types(schema_overrides), _attempts(retries)
        return write_parts(
            Request(work, self.jobs, output, self.client, asked, resume, errors == "raise", n_attempts, types, progress)
        )

    def _travelling(self) -> Work:
        call = self.work.call
        return replace(self.work, call=call.packed() if isinstance(call, Call) else call)

    def _first_schema(self) -> pa.Schema:
        for job in self.jobs:
            outcome = do(self.work, job)
            if outcome.rows is not None:
                return outcome.rows.schema
            _raise_failure(outcome, job)
        return pa.schema([pa.field(NWB_PATH, pa.string())])


def _jobs(named: Sequence[Named]) -> tuple[Job, ...]:
    urls: dict[str, Named] = {}
    for one in named:
        if urls.setdefault(one.name, one).url != one.url:
            raise ValueError(f"several URLs differ only behind the question mark and share the name {one.name}")
    return tuple(Job(one, position) for position, one in enumerate(urls.values()))


def _check_call(func: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
    try:
        signature = inspect.signature(func)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(None, *args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{getattr(func, '__name__', func)}(session, ...) cannot be called so: {error}") from None


def _attempts(retries: int) -> int:
    if retries < 0:
        raise ValueError(f"retries={retries!r}: a number of attempts beside the first one is wanted, 0 or more")
    return retries + 1


def _types(overrides: Mapping[str, object] | None) -> dict[str, pa.DataType]:
    return {name: parse_type(one) for name, one in (overrides or {}).items()}


def _identity(named: Named, access: Access) -> Identity:
    with open_store(named.url, access) as store:
        return store.source.identity


def _schema_of(meta: pd.DataFrame) -> pa.Schema:
    schema = pa.Schema.from_pandas(meta, preserve_index=False).remove_metadata()
    return schema.append(pa.field(NWB_PATH, pa.string())) if NWB_PATH not in schema.names else schema


def _raise_failure(outcome: Outcome, job: Job) -> None:
    if outcome.failure is not None:
        raise outcome.failure.as_error(job.named.name)


def _frame(work: Work, job: Job, schema: pa.Schema | None) -> pd.DataFrame | None:
    outcome = do(work, job)
    _raise_failure(outcome, job)
    rows = outcome.rows
    if schema is None:
        return None if rows is None else _dressed(rows, "pandas")  # type: ignore[return-value]  # of that engine
    try:
        held = schema.empty_table() if rows is None else conform_rows(rows, schema)
    except NWBDaskError as error:
        raise error.at(url=job.named.name) from error.__cause__
    return _dressed(held, "pandas")  # type: ignore[return-value]  # of that engine


def _frame_of_part(part: tuple[Job, str], *, work: Work, schema: pa.Schema) -> pd.DataFrame | None:
    # The key is among the arguments, so that the name of the collection says which versions of the files it is of.
    return _frame(work, part[0], schema)


def _dressed(table: pa.Table, engine: Engine) -> pd.DataFrame | pl.DataFrame | pa.Table:
    return to_engine(table, tuple(Field(one.name, one.type, nullable=True) for one in table.schema), engine)
