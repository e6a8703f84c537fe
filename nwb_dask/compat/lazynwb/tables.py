"""`get_df` and what goes with it: tables as frames in memory, their schemas, and columns added later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import TypeVar

import pandas as pd
import polars as pl

from nwb_dask.adapters.contents import list_paths
from nwb_dask.adapters.polars_frame.convert import polars_dtype
from nwb_dask.compat.lazynwb.lazyframe import array_columns, dressed, table_frame
from nwb_dask.compat.lazynwb.objects import Place
from nwb_dask.compat.lazynwb.settings import configured, resolve_as_polars
from nwb_dask.compat.lazynwb.sources import PathLike, Sources, as_source, as_sources
from nwb_dask.compat.lazynwb.table_metadata import RawTableColumnMetadata
from nwb_dask.compat.lazynwb.utils import TABLE_SHORTCUTS, absolute_path
from nwb_dask.errors import PathNotFoundError
from nwb_dask.model import NWB_PATH, TABLE_INDEX, TABLE_PATH, table_kind
from nwb_dask.read import warn_user

FrameType = TypeVar("FrameType", pl.DataFrame, pl.LazyFrame, pd.DataFrame)

NWB_PATH_COLUMN_NAME = NWB_PATH
TABLE_PATH_COLUMN_NAME = TABLE_PATH
TABLE_INDEX_COLUMN_NAME = TABLE_INDEX
INTERNAL_COLUMN_NAMES = {NWB_PATH_COLUMN_NAME, TABLE_PATH_COLUMN_NAME, TABLE_INDEX_COLUMN_NAME}
INTERVALS_TABLE_INDEX_COLUMN_NAME = "_intervals" + TABLE_INDEX_COLUMN_NAME
UNITS_TABLE_INDEX_COLUMN_NAME = "_units" + TABLE_INDEX_COLUMN_NAME

_CUTOFF = 0.3
"""How like a path a search term has to be, as lazynwb has it."""


def get_df(
    nwb_data_sources: Sources,
    search_term: str,
    exact_path: bool = False,
    include_column_names: str | Iterable[str] | None = None,
    exclude_column_names: str | Iterable[str] | None = None,
    nwb_path_to_row_indices: Mapping[str, Sequence[int]] | None = None,
    exclude_array_columns: bool = True,
    parallel: bool = True,
    use_process_pool: bool = False,
    disable_progress: bool = False,
    raise_on_missing: bool = False,
    ignore_errors: bool = False,
    low_memory: bool = False,
    as_polars: bool | None = None,
) -> pd.DataFrame | pl.DataFrame:
    """Return a table of one or many files, rows in the order of the sources; see `nwb_dask.read_table`.

    Parameters
    ----------
    nwb_data_sources : path, URL, or several
        Which files.
    search_term : str
        Path or short name of the table; unless `exact_path`, what looks most like it, with a warning, if no file has a
        table of that path.
    include_column_names, exclude_column_names : str or iterable of str, optional
        Columns to read, or to leave out. A name that no file has is left out with a warning; if there is no other, it
        is an error.
    nwb_path_to_row_indices : mapping of str to sequence of int, optional
        Rows by file, in place of the sources. Rows come in the order of the file.
    exclude_array_columns : bool
        Leave out lists and arrays that were not asked for by name.
    raise_on_missing, ignore_errors : bool
        As for `scan_nwb`.
    as_polars : bool, optional
        What to return; by default ``config.use_polars``.
    parallel, use_process_pool, disable_progress, low_memory
        Without effect.

    Returns
    -------
    pandas.DataFrame or polars.DataFrame
        Of pandas with lists in object columns, and rows numbered from 0.

    Raises
    ------
    PathNotFoundError
        If no file has the table; a `KeyError`.
    """
    sources = as_sources(nwb_data_sources if nwb_path_to_row_indices is None else list(nwb_path_to_row_indices))
    included, excluded = _names(include_column_names), _names(exclude_column_names)
    _check_filters(included, excluded, n_files=len(sources))
    path, frame = _found(sources, search_term, exact_path, raise_on_missing, ignore_errors)
    if nwb_path_to_row_indices is not None:
        frame = frame.filter(_rows(frame, sources, nwb_path_to_row_indices))
    frame = dressed(frame).with_columns(pl.col(TABLE_INDEX).cast(pl.Int64))
    names = _chosen(frame, included, excluded, path)
    if included is None and exclude_array_columns:
        arrays = array_columns(frame.select(names))
        if arrays and not _is_record(sources, path):
            names = [name for name in names if name not in arrays]
    read = frame.select(names).collect()
    return read if resolve_as_polars(as_polars) else as_pandas(read)


def as_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    """Return a frame of pandas, with lists of Python in object columns."""
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    columns = {
        name: pd.Series(frame[name].to_list(), dtype=object) if name in nested else frame[name].to_pandas()
        for name in frame.columns
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(frame.height))


def get_table_schema(
    file_paths: Sources,
    table_path: str,
    first_n_files_to_infer_schema: int | None = None,
    exclude_array_columns: bool = False,
    exclude_internal_columns: bool = False,
    raise_on_missing: bool = False,
) -> pl.Schema:
    """Return the polars schema of a table; files that disagree are unified without loss. See `nwb_dask.schema`."""
    sources = as_sources(file_paths)[:first_n_files_to_infer_schema]
    frame = dressed(table_frame(sources, absolute_path(table_path), raise_on_missing=raise_on_missing))
    left_out = set(array_columns(frame)) if exclude_array_columns else set()
    if exclude_internal_columns:
        left_out |= INTERNAL_COLUMN_NAMES
    return pl.Schema({name: dtype for name, dtype in frame.collect_schema().items() if name not in left_out})


def get_table_schema_from_metadata(columns: Iterable[RawTableColumnMetadata]) -> pl.Schema:
    """Return the polars schema of what `get_table_column_metadata` gave."""
    found: dict[str, pl.DataType] = {}
    for column in columns:
        if column.column is not None and not column.column.problem:
            found[column.column.field.name] = polars_dtype(column.column.field.type)
    return pl.Schema(found)


def merge_array_column(df: FrameType, column_name: str, missing_ok: bool = True) -> FrameType:
    """Return a frame with one more column of its table: the values of its rows, read now.

    Rows keep their order; in pandas they are labelled with ``_table_index``.

    Parameters
    ----------
    df : polars or pandas frame
        With ``_nwb_path``, ``_table_path`` and ``_table_index``.
    column_name : str
        The column, which is ragged as a rule.
    missing_ok : bool
        Whether a column that no file has is a warning and not an error.
    """
    if isinstance(df, pl.LazyFrame):
        return merge_array_column(df.collect(), column_name, missing_ok=missing_ok).lazy()
    keys = pl.DataFrame({name: list(df[name]) for name in (NWB_PATH, TABLE_PATH, TABLE_INDEX)})
    keys = keys.cast({TABLE_INDEX: pl.Int64})
    try:
        values = _values(keys, column_name)
    except PathNotFoundError as error:
        if not missing_ok:
            raise
        warn_user(error.message)
        return df
    if isinstance(df, pd.DataFrame):
        merged: pd.DataFrame = df.assign(**{column_name: pd.Series(values.to_list(), index=df.index, dtype=object)})
        return merged.set_index(pd.Index(df[TABLE_INDEX].to_numpy()))
    return df.with_columns(values)


def _values(keys: pl.DataFrame, column_name: str) -> pl.Series:
    """Return the values of a column for each row of `keys`, in its order."""
    parts = []
    for (table,), rows in keys.group_by(TABLE_PATH, maintain_order=True):
        by_file = {str(path): group[TABLE_INDEX].to_list() for (path,), group in rows.group_by(NWB_PATH)}
        read = get_df([], f"/{table}".replace("//", "/"), True, [column_name], None, by_file, False, as_polars=True)
        assert isinstance(read, pl.DataFrame)  # noqa: S101  # asked for
        if column_name not in read.columns:
            raise PathNotFoundError(f"no column {column_name!r}", path=str(table))
        parts.append(read.select(column_name, NWB_PATH, TABLE_PATH, TABLE_INDEX))
    if not parts:
        return pl.Series(column_name, [], dtype=pl.Null)
    every = pl.concat(parts, how="vertical_relaxed").unique([NWB_PATH, TABLE_PATH, TABLE_INDEX])
    found = keys.with_columns(pl.col(TABLE_PATH).str.strip_prefix("/")).join(
        every, on=[NWB_PATH, TABLE_PATH, TABLE_INDEX], how="left", maintain_order="left"
    )
    return found[column_name]


def _found(
    sources: list[str],
    search_term: str,
    exact_path: bool,
    raise_on_missing: bool,
    ignore_errors: bool,
) -> tuple[str, pl.LazyFrame]:
    """Return the path that a search term means, and the rows there."""
    path = absolute_path(search_term)

    def frame(one: str) -> pl.LazyFrame:
        return table_frame(sources, one, raise_on_missing=raise_on_missing, ignore_errors=ignore_errors)

    try:
        return path, frame(path)
    except PathNotFoundError:
        if exact_path or search_term in TABLE_SHORTCUTS:
            raise
        with configured() as storage_options:
            known = list_paths(sources, storage_options=storage_options, errors="skip" if ignore_errors else "raise")
        near = get_close_matches(search_term, known, n=1, cutoff=_CUTOFF)
        if not near:
            raise
    warn_user(f"no table {search_term!r}; {near[0]!r}, which looks most like it, is taken")
    return near[0], frame(near[0])


def _rows(frame: pl.LazyFrame, sources: list[str], rows: Mapping[str, Sequence[int]]) -> pl.Expr:
    """Return the condition that keeps the rows that are listed for each file."""
    index = frame.collect_schema()[TABLE_INDEX]
    wanted = pl.lit(False)
    for source, listed in zip(sources, rows.values(), strict=True):
        name = Place.of(source).named.name
        is_listed = pl.col(TABLE_INDEX).is_in(pl.Series(list(listed), dtype=index).implode())
        wanted |= (pl.col(NWB_PATH) == name) & is_listed
    return wanted


def _names(names: str | Iterable[str] | None) -> list[str] | None:
    return None if names is None else [names] if isinstance(names, str) else list(names)


def _check_filters(included: list[str] | None, excluded: list[str] | None, *, n_files: int) -> None:
    both = set(included or ()) & set(excluded or ())
    if both:
        raise ValueError(f"columns are both included and excluded: {sorted(both)}")
    if n_files > 1 and INTERNAL_COLUMN_NAMES & set(excluded or ()):
        raise ValueError("with several files the columns that say where a row is from cannot be excluded")


def _chosen(frame: pl.LazyFrame, included: list[str] | None, excluded: list[str] | None, path: str) -> list[str]:
    every = frame.collect_schema().names()
    wanted = every if included is None else [name for name in every if name in {*included, *INTERNAL_COLUMN_NAMES}]
    absent = [name for name in included or () if name not in every]
    if absent:
        message = f"no column {', '.join(map(repr, absent))} in {path}; the columns are {', '.join(every)}"
        if included is not None and len(absent) == len(included):
            raise PathNotFoundError(message, path=path)
        warn_user(message)
    return [name for name in wanted if name not in set(excluded or ())]


def _is_record(sources: Sequence[PathLike], path: str) -> bool:
    """Return whether a table is the one row of what is in a group."""
    for source in sources:
        try:
            index, _ = Place.of(as_source(source)).index(path, names=("id",))
        except PathNotFoundError:
            continue
        return table_kind(index, path) == "record"
    return False
