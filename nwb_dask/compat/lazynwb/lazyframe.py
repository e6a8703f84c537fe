"""Tables as polars frames, under lazynwb's signatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import polars as pl
import pyarrow as pa

from nwb_dask.adapters.polars_frame import scan_nwb as scan_tables
from nwb_dask.compat.lazynwb.settings import configured
from nwb_dask.compat.lazynwb.sources import Sources, as_sources
from nwb_dask.compat.lazynwb.utils import absolute_path
from nwb_dask.errors import PathNotFoundError, SchemaConflictError, UnsupportedLayoutError
from nwb_dask.model import NWB_PATH, PATH_COLUMNS, TABLE_INDEX, TABLE_PATH
from nwb_dask.read import warn_user

Dtype: TypeAlias = "pl.DataType | type[pl.DataType]"
SchemaDict: TypeAlias = "Mapping[str, Dtype]"

_OF_ROOT = ("session_start_time", "session_description", "identifier", "timestamps_reference_time", "file_create_date")
"""What ``general`` has of the root of the file."""


def scan_nwb(
    source: Sources,
    table_path: str,
    raise_on_missing: bool = False,
    ignore_errors: bool = False,
    infer_schema_length: int | None = None,
    exclude_array_columns: bool = False,
    low_memory: bool = False,
    single_file_batches: bool = False,
    schema: SchemaDict | None = None,
    schema_overrides: SchemaDict | None = None,
    disable_progress: bool = False,
) -> pl.LazyFrame:
    """Return a table of one or many files as a LazyFrame; see `nwb_dask.scan_nwb`.

    Parameters
    ----------
    source : path, URL, or several
        Which files.
    table_path : str
        ``"/units"``, with or without the slash, or a short name. ``"session"`` is ``/general`` with the fields of the
        root that describe the session.
    raise_on_missing, ignore_errors : bool
        ``missing_table="raise"`` and ``errors="skip"`` of `nwb_dask.scan_nwb`.
    exclude_array_columns : bool
        Leave out lists and arrays.
    schema : mapping of str to polars dtype, optional
        Columns of the result, with their types; null where no file has one.
    schema_overrides : mapping of str to polars dtype, optional
        Types of some columns. What does not fit is an error, not null.
    infer_schema_length, low_memory, single_file_batches, disable_progress
        Without effect: the schema is that of all files, and rows are read in batches of bounded size.

    Returns
    -------
    polars.LazyFrame
        Rows in the order of the sources. ``_nwb_path``, ``_table_path`` (without the slash in front) and
        ``_table_index`` come last.

    Raises
    ------
    PathNotFoundError
        If no file has the table, or with `raise_on_missing` if one lacks it; a `KeyError`.
    """
    wanted = {**(schema or {}), **(schema_overrides or {})}
    frame = dressed(
        table_frame(
            as_sources(source),
            absolute_path(table_path),
            raise_on_missing=raise_on_missing,
            ignore_errors=ignore_errors,
            types=wanted,
        )
    )
    found = frame.collect_schema()
    if schema:
        absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in wanted.items() if name not in found]
        frame = frame.with_columns(absent).select(list(wanted)) if absent else frame.select(list(wanted))
    frame = frame.cast({name: dtype for name, dtype in wanted.items() if name in found and found[name] != dtype})
    if exclude_array_columns:
        frame = frame.drop(array_columns(frame))
    return frame


def read_nwb(
    source: Sources,
    table_path: str,
    raise_on_missing: bool = False,
    ignore_errors: bool = False,
    infer_schema_length: int | None = None,
    exclude_array_columns: bool = False,
    low_memory: bool = False,
    single_file_batches: bool = False,
    schema: SchemaDict | None = None,
    schema_overrides: SchemaDict | None = None,
    disable_progress: bool = False,
) -> pl.DataFrame:
    """Return a table of one or many files as a DataFrame; parameters are those of `scan_nwb`."""
    return scan_nwb(
        source,
        table_path,
        raise_on_missing=raise_on_missing,
        ignore_errors=ignore_errors,
        infer_schema_length=infer_schema_length,
        exclude_array_columns=exclude_array_columns,
        low_memory=low_memory,
        single_file_batches=single_file_batches,
        schema=schema,
        schema_overrides=schema_overrides,
        disable_progress=disable_progress,
    ).collect()


def table_frame(
    sources: Sequence[str],
    path: str,
    *,
    raise_on_missing: bool = False,
    ignore_errors: bool = False,
    types: SchemaDict | None = None,
) -> pl.LazyFrame:
    """Return the rows of a table as `nwb_dask.scan_nwb` has them; those of ``/general`` with fields of the root.

    Columns that are text in some files and not in others are text in all, with a warning. With `ignore_errors` files
    whose table cannot be opened, for it is in another file, are left out with one.
    """
    overrides = {name: _arrow_type(dtype) for name, dtype in (types or {}).items() if _is_flat(dtype)}

    def scan(one: str) -> pl.LazyFrame:
        as_text: dict[str, pa.DataType] = {}
        left = list(sources)
        while True:
            try:
                with configured() as storage_options:
                    frame = scan_tables(
                        left,
                        one,
                        storage_options=storage_options,
                        schema_overrides={n: t for n, t in (as_text | overrides).items() if n not in PATH_COLUMNS},
                        missing_table="raise" if raise_on_missing else "skip",
                        errors="skip" if ignore_errors else "raise",
                    )
            except SchemaConflictError as error:
                if error.path is None or error.path in as_text | overrides:
                    raise
                as_text[error.path] = pa.string()
                continue
            except UnsupportedLayoutError as error:
                kept = [source for source in left if source != error.url]
                if not ignore_errors or not kept or len(kept) == len(left):
                    raise
                warn_user(f"{error.url} is left out: {error}")
                left = kept
                continue
            if as_text:
                warn_user(
                    f"{', '.join(as_text)} of {one} are text in some files and not in others, and come as text; "
                    "schema_overrides of scan_nwb says other types"
                )
            return frame

    frame = scan(path)
    return _with_root(frame, scan("/"), _metadata(scan)) if path == "/general" else frame


def dressed(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Return a frame with the columns that say where a row is from as lazynwb has them, and last."""
    names = [name for name in frame.collect_schema().names() if name not in PATH_COLUMNS]
    return frame.select(
        *names,
        NWB_PATH,
        pl.col(TABLE_PATH).str.strip_prefix("/"),
        pl.col(TABLE_INDEX).cast(pl.UInt32),
    )


def array_columns(frame: pl.LazyFrame) -> list[str]:
    """Return the columns that hold lists or arrays."""
    return [name for name, dtype in frame.collect_schema().items() if isinstance(dtype, pl.List | pl.Array)]


def _metadata(scan: object) -> pl.LazyFrame | None:
    """Return what some laboratories put into ``/general/metadata``."""
    assert callable(scan)  # noqa: S101  # a function of this module
    try:
        found: pl.LazyFrame = scan("/general/metadata")
    except PathNotFoundError:
        return None
    return found


def _with_root(frame: pl.LazyFrame, root: pl.LazyFrame, more: pl.LazyFrame | None) -> pl.LazyFrame:
    """Return the rows of ``/general`` with those columns of the same files that it lacks."""
    for other, wanted in ((root, _OF_ROOT), (more, None)):
        if other is None:
            continue
        taken = set(frame.collect_schema())
        names = [name for name in other.collect_schema() if name not in taken and (wanted is None or name in wanted)]
        same_file = other.select(NWB_PATH, *names).unique(NWB_PATH, keep="first", maintain_order=True)
        frame = frame.join(same_file, on=NWB_PATH, how="left", maintain_order="left")
    return frame


def _is_flat(dtype: Dtype) -> bool:
    return not pl.Series([], dtype=dtype).dtype.is_nested() and not pl.Series([], dtype=dtype).dtype.is_temporal()


def _arrow_type(dtype: Dtype) -> pa.DataType:
    if dtype == pl.String:
        return pa.string()
    found: pa.DataType = pl.Series([], dtype=dtype).to_arrow().type
    return found
