"""`list_paths` and `schema`: what is in files, without reading data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import pyarrow as pa

from nwb_dask.catalog.shared import SharedCatalog
from nwb_dask.model import Table
from nwb_dask.read import check_choice, scan_sources
from nwb_dask.read.catalogued import list_catalog
from nwb_dask.read.describe import describe_contents, list_objects, list_tables
from nwb_dask.read.visit import visit_files
from nwb_dask.storage import expand_sources, make_access


def list_paths(
    source: object,
    *,
    storage_options: Mapping[str, object] | None = None,
    errors: Literal["raise", "skip"] = "raise",
) -> dict[str, tuple[str, ...]]:
    """Return the paths of all tables and series of one or many files, each with the files that have it.

    Reads the tree of each file and no data; remote files many at a time.

    Parameters
    ----------
    source : path, URL, list of them, glob, folder or Catalog
        Which files.
    storage_options : mapping, optional
        Credentials and endpoints, by the names of s3fs or obstore.
    errors : {"raise", "skip"}
        Files that are corrupt or missing: an error, or left out with one warning that lists them.

    Returns
    -------
    dict of str to tuple of str
        Sorted by path. ``list(list_paths(source))`` are the paths, each of which `nwb_dask.read_table` reads; the
        one-row tables of metadata, ``/``, ``/general`` and ``/general/subject``, are among them. The values are names
        of files as in ``_nwb_path``, in source order.

    Raises
    ------
    MalformedFileError, SourceUnavailableError
        If a file cannot be read.
    """
    check_choice("errors", errors, ("raise", "skip"))
    if isinstance(source, SharedCatalog):
        return list_catalog(source, errors)
    access = make_access(storage_options)
    named = expand_sources(source, access)
    found, _ = visit_files(named, access, lambda _, file: list_tables(file), skip_corrupt=errors == "skip")
    holders: dict[str, list[str]] = {}
    for one, paths in found:
        for path in paths:
            holders.setdefault(path, []).append(one.name)
    return {path: tuple(holders[path]) for path in sorted(holders)}


def list_contents(
    source: object,
    *,
    storage_options: Mapping[str, object] | None = None,
    errors: Literal["raise", "skip"] = "raise",
) -> list[tuple[str, Mapping[str, Table]]]:
    """Return the name of each file and its tables and series by path, in source order.

    Reads the tree of each file and no data. Parameters and errors are those of `list_paths`.
    """
    check_choice("errors", errors, ("raise", "skip"))
    access = make_access(storage_options)
    named = expand_sources(source, access)
    found, _ = visit_files(
        named, access, lambda _, file: describe_contents(list_objects(file)), skip_corrupt=errors == "skip"
    )
    return [(one.name, contents) for one, contents in found]


def schema(
    source: object,
    table: str | Sequence[str],
    *,
    columns: Sequence[str] | None = None,
    storage_options: Mapping[str, object] | None = None,
    schema_overrides: Mapping[str, object] | None = None,
    missing_columns: Literal["insert", "raise"] = "insert",
    missing_table: Literal["skip", "raise"] = "skip",
    errors: Literal["raise", "skip"] = "raise",
    include_path_columns: bool = True,
    resolve: Sequence[str] | bool = (),
) -> pa.Schema:
    """Return the schema that `nwb_dask.read_table` gives a table of many files as Arrow, without reading data.

    Parameters
    ----------
    source, table
        As for `nwb_dask.read_table`, and so are the options.

    Returns
    -------
    pyarrow.Schema
        A column that cannot be read has type null, and says why in its field's metadata, under ``problem``.

    Raises
    ------
    PathNotFoundError
        If no file has the table or a column.
    SchemaConflictError
        If files disagree about a column.
    MalformedFileError, SourceUnavailableError
        If a file cannot be read.
    """
    scan = scan_sources(
        source,
        table,
        columns=columns,
        storage_options=storage_options,
        schema_overrides=schema_overrides,
        missing_columns=missing_columns,
        missing_table=missing_table,
        errors=errors,
        include_path_columns=include_path_columns,
        resolve=resolve,
    )
    return pa.schema(
        [
            pa.field(field.name, field.type, metadata={"problem": field.problem} if field.problem else None)
            for field in scan.fields
        ]
    )
