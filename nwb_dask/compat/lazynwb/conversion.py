"""All tables of many files, to other formats and to SQL."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl

from nwb_dask.adapters.contents import list_paths
from nwb_dask.adapters.metadata import read_metadata
from nwb_dask.compat.lazynwb.lazyframe import scan_nwb
from nwb_dask.compat.lazynwb.settings import configured
from nwb_dask.compat.lazynwb.sources import Sources, as_sources
from nwb_dask.compat.lazynwb.timeseries import find_series
from nwb_dask.compat.lazynwb.utils import normalize_internal_file_path
from nwb_dask.errors import NWBDaskError
from nwb_dask.read import warn_user

OutputFormat = Literal["parquet", "csv", "json", "excel", "feather", "arrow", "avro", "delta"]

_WRITERS: Mapping[str, tuple[str, str]] = {
    "parquet": ("write_parquet", ".parquet"),
    "csv": ("write_csv", ".csv"),
    "json": ("write_json", ".json"),
    "excel": ("write_excel", ".xlsx"),
    "feather": ("write_ipc", ".feather"),
    "arrow": ("write_ipc", ".arrow"),
    "avro": ("write_avro", ".avro"),
    "delta": ("write_delta", ""),
}
_NOT_IN_NAMES = re.compile(r'[\\/:*?"<>|]')


def convert_nwb_tables(
    nwb_sources: Sources,
    output_dir: Path | str,
    *,
    output_format: OutputFormat = "parquet",
    full_path: bool = False,
    min_file_count: int = 1,
    exclude_array_columns: bool = False,
    ignore_errors: bool = True,
    disable_progress: bool = False,
    session_subdirs: bool = False,
    **write_kwargs: Any,
) -> dict[str, Path]:
    """Write every table of many files into a folder, and return the file of each by path.

    `nwb_dask.convert` does more: out of core, resumable, atomic as a whole.

    Parameters
    ----------
    nwb_sources : path, URL, or several
        Which files.
    output_dir : path
        Is made if it is absent.
    output_format : str
        One of `OutputFormat`.
    full_path : bool
        Whether files are named after the whole path of a table. Tables whose last part is the same are in any case, so
        that none overwrites another.
    min_file_count : int
        Tables that fewer files have are left out.
    exclude_array_columns : bool
        Leave out lists and arrays, which not all formats can hold.
    ignore_errors : bool
        Leave out, with a warning, files that cannot be read and tables that cannot be read or written.
    session_subdirs : bool
        One folder for each file, named after its ``session_id``, or ``identifier``, or itself; a name that is taken
        gets a number.
    **write_kwargs
        For the writer of polars.

    Raises
    ------
    ValueError
        For an unknown format.
    """
    kind = output_format.lower().strip(".")
    if kind not in _WRITERS:
        raise ValueError(f"Unsupported output format '{kind}'. Supported formats: {list(_WRITERS)}")
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    holders = _holders(as_sources(nwb_sources), min_file_count, ignore_errors=ignore_errors)
    names = _file_names(holders, full_path=full_path)
    written: dict[str, Path] = {}
    sessions = _session_folders(holders) if session_subdirs and holders else {}
    for table, files in holders.items():
        jobs = [(f"{sessions[one]}{table}", folder / sessions[one], [one]) for one in files] if sessions else []
        for key, where, sources in jobs or [(table, folder, list(files))]:
            where.mkdir(exist_ok=True)
            target = where / f"{names[table]}{_WRITERS[kind][1]}"
            try:
                frame = scan_nwb(
                    sources, table, ignore_errors=ignore_errors, exclude_array_columns=exclude_array_columns
                ).collect()
                if frame.height:
                    _write(frame, target, _WRITERS[kind][0], write_kwargs)
                    written[key] = target
            except (NWBDaskError, pl.exceptions.PolarsError) as error:
                if not ignore_errors:
                    raise
                warn_user(f"{table} is left out: {error}")
    return written


def get_sql_context(
    nwb_sources: Sources,
    *,
    full_path: bool = False,
    min_file_count: int = 1,
    exclude_array_columns: bool = False,
    exclude_timeseries: bool = False,
    ignore_errors: bool = True,
    disable_progress: bool = False,
    infer_schema_length: int | None = None,
    table_names: Iterable[str] | None = None,
    rename_general_metadata: bool = True,
    **sqlcontext_kwargs: Any,
) -> pl.SQLContext[Any]:
    """Return a `polars.SQLContext` of the tables of many files; see `nwb_dask.sql_context`.

    Parameters
    ----------
    nwb_sources : path, URL, or several
        Which files.
    full_path : bool
        Name tables by their path, ``"intervals/trials"``, and not by its last part. Those whose last part is the same
        have their path in any case, so that none stands in place of another.
    min_file_count, exclude_array_columns, ignore_errors
        As for `convert_nwb_tables`.
    exclude_timeseries : bool
        Leave out TimeSeries.
    infer_schema_length : int, optional
        Look for tables in the first so many files only.
    table_names : iterable of str, optional
        Only these tables, by the names that they have here; their metadata alone is read.
    rename_general_metadata : bool
        Whether ``general`` is called ``session``.
    **sqlcontext_kwargs
        For `polars.SQLContext`.

    Raises
    ------
    ValueError
        If there is no table of one of `table_names`.
    """
    sources = as_sources(nwb_sources)
    looked = sources[:infer_schema_length] if infer_schema_length else sources
    holders = _holders(looked, min_file_count, ignore_errors=ignore_errors)
    if not exclude_timeseries:
        every = Counter(path for source in looked for path in find_series(source, ""))
        holders |= {path: tuple(looked) for path, count in every.items() if count >= min_file_count}
    names = _sql_names(holders, full_path=full_path)
    if rename_general_metadata:
        names = {path: "session" if path == "/general" else name for path, name in names.items()}
    wanted = None if table_names is None else set(table_names)
    if wanted is not None and not wanted <= set(names.values()):
        message = f"table_names={sorted(wanted)} do not all match paths in NWB files: {sorted(names.values())}"
        raise ValueError(f"{message} ({full_path=} can be toggled to use just the last part of the path)")
    context: pl.SQLContext[Any] = pl.SQLContext(**sqlcontext_kwargs)
    for path in sorted(names):
        if wanted is not None and names[path] not in wanted:
            continue
        try:
            frame = scan_nwb(sources, path, ignore_errors=ignore_errors, exclude_array_columns=exclude_array_columns)
        except NWBDaskError as error:
            if not ignore_errors:
                raise
            warn_user(f"{path} is left out: {error}")
        else:
            context.register(names[path], frame)
    return context


def _holders(sources: Sequence[str], min_file_count: int, *, ignore_errors: bool) -> dict[str, tuple[str, ...]]:
    """Return the tables that enough files have, with these; no series."""
    with configured() as storage_options:
        found = list_paths(list(sources), storage_options=storage_options, errors="skip" if ignore_errors else "raise")
    series = {path for source in sources for path in find_series(source, "")}
    left_out = {"/", *series}
    return {path: files for path, files in found.items() if path not in left_out and len(files) >= min_file_count}


def _sql_names(paths: Iterable[str], *, full_path: bool) -> dict[str, str]:
    """Return the name of each table: the last part of its path, where no other has that."""
    bare = {path: normalize_internal_file_path(path) for path in paths}
    counts = Counter(path.rpartition("/")[2] for path in bare.values())
    return {
        path: one if full_path or counts[one.rpartition("/")[2]] > 1 else one.rpartition("/")[2]
        for path, one in bare.items()
    }


def _file_names(paths: Iterable[str], *, full_path: bool) -> dict[str, str]:
    """Return the file name of each table, without its suffix; no two are the same, whatever a file system folds."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for path, name in _sql_names(paths, full_path=full_path).items():
        clean = name.replace("/", "_").replace(" ", "_").strip()
        number = 2
        unique = clean
        while unique.casefold() in taken:
            unique, number = f"{clean}_{number}", number + 1
        taken.add(unique.casefold())
        found[path] = unique
    return found


def _session_folders(holders: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the name of the folder of each file."""
    files = list(dict.fromkeys(one for several in holders.values() for one in several))
    with configured() as storage_options:
        rows = read_metadata(files, "arrow", storage_options=storage_options, parse_dates=False).to_pylist()
    found: dict[str, str] = {}
    taken: set[str] = set()
    for file, row in zip(files, rows, strict=True):
        texts = (row["session_id"], row["identifier"], Path(file).stem)
        named = next(text for text in texts if isinstance(text, str) and text.strip())
        clean = _NOT_IN_NAMES.sub("_", named).strip().lstrip(".") or "session"
        unique, number = clean, 2
        while unique.casefold() in taken:
            unique, number = f"{clean}_{number}", number + 1
        taken.add(unique.casefold())
        found[file] = unique
    return found


def _write(frame: pl.DataFrame, target: Path, writer: str, options: Mapping[str, Any]) -> None:
    """Write a table to a file of another name, which then takes the place of `target`."""
    if not target.suffix:
        getattr(frame, writer)(target, **options)
        return
    part = target.with_name(f".{target.stem}.part{target.suffix}")
    try:
        getattr(frame, writer)(part, **options)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
