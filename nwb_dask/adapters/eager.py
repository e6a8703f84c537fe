"""`read_table`: the rows at once, in the frame of one engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack, overload

import numpy as np

from nwb_dask.model import TABLE_INDEX, Field, path_fields
from nwb_dask.plan.filters import Filters, named_columns
from nwb_dask.read import (
    KeptValues,
    MaskFunction,
    SessionNames,
    checked_label,
    checked_names,
    read_scan,
    read_trusting,
    scan_sources,
)

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

Engine = Literal["pandas", "polars", "arrow"]

_MASKS = {
    "pandas": "nwb_dask.adapters.pandas_frame.predicate",
    "polars": "nwb_dask.adapters.polars_frame",
    "arrow": "nwb_dask.adapters.arrow_predicate",
}


class ReadOptions(TypedDict, total=False):
    """Options of `read_table`, described there."""

    columns: Sequence[str] | None
    filters: Filters | None
    index: str | Literal[False] | None
    storage_options: Mapping[str, object] | None
    schema_overrides: Mapping[str, object] | None
    missing_columns: Literal["insert", "raise"]
    missing_table: Literal["skip", "raise"]
    errors: Literal["raise", "skip"]
    include_path_columns: bool
    resolve: Sequence[str] | bool
    session_columns: SessionNames


@overload
def read_table(
    source: object, table: str | Sequence[str], engine: Literal["pandas"] = ..., **options: Unpack[ReadOptions]
) -> pd.DataFrame: ...
@overload
def read_table(
    source: object, table: str | Sequence[str], engine: Literal["polars"], **options: Unpack[ReadOptions]
) -> pl.DataFrame: ...
@overload
def read_table(
    source: object, table: str | Sequence[str], engine: Literal["arrow"], **options: Unpack[ReadOptions]
) -> pa.Table: ...
def read_table(
    source: object,
    table: str | Sequence[str],
    engine: Engine = "pandas",
    *,
    columns: Sequence[str] | None = None,
    filters: Filters | None = None,
    index: str | Literal[False] | None = None,
    storage_options: Mapping[str, object] | None = None,
    schema_overrides: Mapping[str, object] | None = None,
    missing_columns: Literal["insert", "raise"] = "insert",
    missing_table: Literal["skip", "raise"] = "skip",
    errors: Literal["raise", "skip"] = "raise",
    include_path_columns: bool = True,
    resolve: Sequence[str] | bool = (),
    session_columns: SessionNames = (),
) -> pd.DataFrame | pl.DataFrame | pa.Table:
    """Return a table of one or many files as a frame in memory.

    Only the columns asked for are read, and of ragged ones only the rows that the filters keep. Rows come
    in source order: file by file, then row by row.

    Parameters
    ----------
    source : path, URL, list of them, glob, folder or Catalog
        Which files.
    table : str or sequence of str
        Path of the table, ``"/units"``; a glob over table paths, ``"/intervals/*"``.
    engine : {"pandas", "polars", "arrow"}
        What to return. Filters have the semantics of that engine for NaN and null.
    columns : sequence of str, optional
        Columns in the order wanted; all by default.
    filters : optional
        ``[("quality", "==", "good"), ("rate", ">", 5)]``, a list of such lists (any of them), or text as for
        ``DataFrame.query``. Applied row by row.
    index : str, optional
        pandas only: the column that labels the rows. One of `session_columns`, or a name such as ``session_id`` that no
        table has, is that of the session. By default the row's number in its table.
    storage_options : mapping, optional
        Credentials and endpoints, by the names of s3fs or obstore.
    schema_overrides : mapping of str to type, optional
        Types that replace those that the files give.
    missing_columns : {"insert", "raise"}
        A column that a file lacks: null there, or an error.
    missing_table : {"skip", "raise"}
        A file without the table: no rows, or an error. An error in any case if no file has it.
    errors : {"raise", "skip"}
        Files that are corrupt or missing: an error, or left out with one warning that lists them.
    include_path_columns : bool
        Whether to add ``_nwb_path``, ``_table_path`` and ``_table_index``. A table's own column of such a name is
        ``./_nwb_path``, its path in the table.
    resolve : sequence of str or bool
        DynamicTableRegion columns whose target rows are joined as ``<region>.<column>``; True means all.
    session_columns : sequence of str or mapping, optional
        Metadata of each session to join to its rows, by the names and with the types of `nwb_dask.read_metadata`:
        ``["subject_id", "session_start_time"]``; ``n_rows`` is the number of rows of the table. A mapping gives other
        names, ``{"mouse": "subject_id"}``. Read with the plan; what a
        filter on them leaves out is not read. What a file lacks is null.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table
        Ragged columns are lists, n-dimensional ones fixed-size lists, compounds structs.

    Raises
    ------
    PathNotFoundError
        If no file has the table, a column or the metadata, or a session column has the name of a column of the table.
    PredicateError
        If a filter has no meaning for its column.
    MalformedFileError, SourceUnavailableError
        If a file cannot be read.
    """
    if engine not in _MASKS:
        message = f"engine={engine!r} is none of {', '.join(map(repr, _MASKS))}"
        raise ValueError(message)
    named = checked_label(index)
    if named is not None and engine != "pandas":
        message = f"index={index!r}: only pandas has row labels, not {engine}"
        raise ValueError(message)
    wanted = None if columns is None else list(checked_names("columns", columns))
    filtered = named_columns(filters)
    extra = () if filtered is None else (*sorted(filtered), *((named,) if named else ()))

    def read() -> pd.DataFrame | pl.DataFrame | pa.Table:
        kept = KeptValues()
        scan = scan_sources(
            source,
            table,
            columns=None if filtered is None else wanted,
            extra=extra,
            storage_options=storage_options,
            schema_overrides=schema_overrides,
            missing_columns=missing_columns,
            missing_table=missing_table,
            errors=errors,
            include_path_columns=include_path_columns,
            resolve=resolve,
            kept=kept,
            session_columns=session_columns,
            label=named,
        )
        predicate = scan.predicate(filters)
        shown = _shown(scan.fields, wanted, include_path_columns=include_path_columns)
        mask: MaskFunction = import_module(_MASKS[engine]).mask
        label = scan.label(named or TABLE_INDEX)
        read = shown if engine != "pandas" or label in shown else (*shown, label)
        rows = read_scan(scan, read, predicate, mask, kept)
        if engine == "pandas":
            return _pandas(rows, shown, label, is_numbered=named is None)
        if engine == "polars":
            polars_frame: pl.DataFrame = import_module("nwb_dask.adapters.polars_frame").to_polars(rows, shown)
            return polars_frame
        return rows

    return read_trusting(read)


def _shown(fields: tuple[Field, ...], wanted: list[str] | None, *, include_path_columns: bool) -> tuple[Field, ...]:
    if wanted is None:
        return fields
    by_name = {field.name: field for field in (*path_fields(), *fields)}
    session = (field.name for field in fields if field.is_constant)
    paths = (field.name for field in path_fields()) if include_path_columns else ()
    names = dict.fromkeys((*wanted, *session, *paths))
    return tuple(by_name[name] for name in names)


def _pandas(rows: pa.Table, shown: tuple[Field, ...], label: Field, *, is_numbered: bool) -> pd.DataFrame:
    to_pandas = import_module("nwb_dask.adapters.pandas_frame.convert").to_pandas
    if is_numbered:
        numbers = np.asarray(rows.column(label.name))
        numbered: pd.DataFrame = to_pandas(rows.select([field.name for field in shown]), shown, numbers)
        return numbered
    read = shown if label in shown else (*shown, label)
    frame: pd.DataFrame = to_pandas(rows, read).set_index(label.name)
    return frame


def to_engine(table: pa.Table, fields: tuple[Field, ...], engine: Engine) -> pd.DataFrame | pl.DataFrame | pa.Table:
    """Return rows that are in memory as the frame of an engine; row labels of pandas are 0, 1, 2 ..."""
    if engine == "pandas":
        frame: pd.DataFrame = import_module("nwb_dask.adapters.pandas_frame.convert").to_pandas(table, fields)
        return frame
    if engine == "polars":
        polars_frame: pl.DataFrame = import_module("nwb_dask.adapters.polars_frame").to_polars(table, fields)
        return polars_frame
    return table
