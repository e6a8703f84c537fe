"""`read_metadata`: one row per session, with what describes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack, overload

from nwb_dask.adapters.eager import Engine, to_engine
from nwb_dask.catalog.shared import SharedCatalog
from nwb_dask.model.metadata import describe_troubles, metadata_table
from nwb_dask.read import check_choice, read_trusting, warn_user
from nwb_dask.read.catalogued import catalogued_records
from nwb_dask.read.records import Record, read_record
from nwb_dask.read.visit import visit_files
from nwb_dask.storage import expand_sources, make_access

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


class MetadataOptions(TypedDict, total=False):
    """Options of `read_metadata`, described there."""

    storage_options: Mapping[str, object] | None
    errors: Literal["raise", "skip"]
    parse_dates: bool


@overload
def read_metadata(
    source: object, engine: Literal["pandas"] = ..., **options: Unpack[MetadataOptions]
) -> pd.DataFrame: ...
@overload
def read_metadata(source: object, engine: Literal["polars"], **options: Unpack[MetadataOptions]) -> pl.DataFrame: ...
@overload
def read_metadata(source: object, engine: Literal["arrow"], **options: Unpack[MetadataOptions]) -> pa.Table: ...
def read_metadata(
    source: object,
    engine: Engine = "pandas",
    *,
    storage_options: Mapping[str, object] | None = None,
    errors: Literal["raise", "skip"] = "raise",
    parse_dates: bool = True,
) -> pd.DataFrame | pl.DataFrame | pa.Table:
    """Return what describes each session: one row per file, in source order.

    Each file is opened once, many remote ones at a time, and only small values of its root, ``/general`` and
    ``/general/subject`` are read.

    Parameters
    ----------
    source : path, URL, list of them, glob, folder or Catalog
        Which files.
    engine : {"pandas", "polars", "arrow"}
        What to return.
    storage_options : mapping, optional
        Credentials and endpoints, by the names of s3fs or obstore.
    errors : {"raise", "skip"}
        Files that are corrupt or missing: an error, or left out with one warning that lists them.
    parse_dates : bool
        Whether dates are moments in UTC, with microseconds. Text that is no ISO 8601 date is then null, and text
        without an offset is taken as UTC; a warning names the files of both. A day without a time is its first moment
        in UTC. With False, dates stay the text of the file.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table
        ``_nwb_path`` comes first, then the fields that the NWB core schema names, whether a file has them or not, then
        others that some file has. Fields of the root and of ``/general`` have their own names, those of the subject
        begin with ``subject_``: ``subject_id``, ``subject_age``. Attributes are named as in pynwb: ``nwb_version``,
        ``subject_age__reference``, ``source_script_file_name``. A name that is taken gives way to the path in the file:
        ``/general/identifier``. ``experimenter``, ``keywords``, ``related_publications`` and ``file_create_date`` are
        lists, in pandas arrays of numpy with moments in UTC. What a file lacks is null, and so is what cannot
        be read, with a warning. Defaults of the schema are not filled in. A field whose types have nothing in common is
        text, with a warning. What is below other groups, such as devices and lab metadata, is left out.

    Raises
    ------
    MalformedFileError, SourceUnavailableError
        If a file cannot be read.
    """
    check_choice("engine", engine, ("pandas", "polars", "arrow"))
    check_choice("errors", errors, ("raise", "skip"))
    records = read_trusting(lambda: _records(source, storage_options, errors))
    table, fields, troubles = metadata_table(records, dates=parse_dates)
    if troubles:
        warn_user(describe_troubles(troubles))
    return to_engine(table, fields, engine)


def _records(source: object, storage_options: Mapping[str, object] | None, errors: str) -> list[tuple[str, Record]]:
    if isinstance(source, SharedCatalog):
        return catalogued_records(source, errors)
    access = make_access(storage_options)
    named = expand_sources(source, access)
    found, _ = visit_files(named, access, lambda _, file: read_record(file), skip_corrupt=errors == "skip")
    return [(one.name, record) for one, record in found]
