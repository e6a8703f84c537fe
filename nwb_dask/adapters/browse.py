"""`open_nwb`: look around in one file. Reads its structure, and data only when asked to."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Unpack, overload

from nwb_dask.adapters.eager import Engine, ReadOptions, read_table
from nwb_dask.adapters.tree import describe_row, render_html, render_text
from nwb_dask.errors import NWBDaskError, PathNotFoundError
from nwb_dask.index import FileIndex
from nwb_dask.model import Table, build_table, category_paths, find_tables
from nwb_dask.model.kinds import RECORDS, table_kind, text_attribute
from nwb_dask.model.table import with_columns
from nwb_dask.read.describe import list_objects, normalize_path
from nwb_dask.read.opening import open_source
from nwb_dask.storage import expand_sources, make_access

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_DATES = frozenset({"session_start_time", "timestamps_reference_time", "file_create_date", "date_of_birth"})
"""Metadata that the NWB core schema defines as ISO 8601 text."""


@dataclass(frozen=True)
class Session:
    """One NWB file as it stands on disk: what it holds, without the data."""

    name: str
    """The file, as given, made absolute."""
    nwb_version: str
    """As the file says; ``""`` if it does not."""
    contents: Mapping[str, Table]
    """Every table and series by path, sorted."""
    storage_options: Mapping[str, object] | None = field(default=None, repr=False)
    source: object = field(default="", repr=False)

    @property
    def tables(self) -> tuple[str, ...]:
        """Paths of the tables, one-row tables of metadata included; see `read`."""
        return tuple(path for path, table in self.contents.items() if table.kind != "series")

    @property
    def series(self) -> tuple[str, ...]:
        """Paths of the TimeSeries of any type."""
        return tuple(path for path, table in self.contents.items() if table.kind == "series")

    @cached_property
    def metadata(self) -> Mapping[str, object]:
        """The session's metadata: root, ``/general`` and, under ``subject``, ``/general/subject``.

        Dates are `datetime.datetime` where the text is ISO 8601, and text otherwise. Read when first asked for.
        """
        found: dict[str, object] = {**self._record("/"), **self._record("/general")}
        if "/general/subject" in self.contents:
            found["subject"] = self._record("/general/subject")
        return MappingProxyType(found)

    @overload
    def read(self, table: str, engine: Literal["pandas"] = ..., **options: Unpack[ReadOptions]) -> pd.DataFrame: ...
    @overload
    def read(self, table: str, engine: Literal["polars"], **options: Unpack[ReadOptions]) -> pl.DataFrame: ...
    @overload
    def read(self, table: str, engine: Literal["arrow"], **options: Unpack[ReadOptions]) -> pa.Table: ...
    def read(
        self, table: str, engine: Engine = "pandas", **options: Unpack[ReadOptions]
    ) -> pd.DataFrame | pl.DataFrame | pa.Table:
        """Return a table or series of this file; engines and options are those of `nwb_dask.read_table`."""
        options.setdefault("storage_options", self.storage_options)
        return read_table(self.source, table, engine, **options)

    def __getitem__(self, path: str) -> Table:
        """Return the description of the table at `path`: rows, columns and their types.

        Raises
        ------
        PathNotFoundError
            If there is none.
        """
        try:
            return self.contents[normalize_path(path)]
        except KeyError:
            message = f"no table {path!r}; the tables are {', '.join(self.contents)}"
            raise PathNotFoundError(message, url=self.name, path=path) from None

    def __repr__(self) -> str:
        """Draw the file as a tree."""
        return render_text(self._title(), self._rows())

    def _repr_html_(self) -> str:
        return render_html(self._title(), self._rows())

    def _title(self) -> str:
        return f"NWB {self.nwb_version or 'file without a version'}: {self.name}"

    def _rows(self) -> dict[str, str]:
        return {path: describe_row(table) for path, table in self.contents.items()}

    def _record(self, path: str) -> dict[str, object]:
        if path not in self.contents or not self.contents[path].columns:
            return {}
        readable = [name for name, column in self.contents[path].columns.items() if not column.problem]
        row = self.read(path, "arrow", columns=readable, include_path_columns=False).to_pylist()[0]
        return {name: _parsed(value) if name in _DATES else value for name, value in row.items()}


def open_nwb(source: object, *, storage_options: Mapping[str, object] | None = None) -> Session:
    """Return what is in one NWB file, by reading its structure only.

    Parameters
    ----------
    source : path or URL
        One file.
    storage_options : mapping, optional
        Credentials and endpoints, as for `nwb_dask.read_table`.

    Returns
    -------
    Session
        Shows itself as a tree; `Session.tables`, `Session.series`, `Session.metadata`, `Session.read`.

    Raises
    ------
    ValueError
        If `source` is more than one file.
    MalformedFileError, SourceUnavailableError
        If it cannot be read.
    """
    access = make_access(storage_options)
    named = expand_sources(source, access)
    if len(named) != 1:
        message = (
            f"open_nwb opens one file, and {len(named)} are given, {named[0].name} the first; "
            "use read_table or read_nwb for many"
        )
        raise ValueError(message)
    try:
        with open_source(named[0].url, access) as file:
            index = list_objects(file)
    except NWBDaskError as error:
        raise error.at(url=named[0].name) from error.__cause__
    root = index.groups["/"]
    version = text_attribute(root.attributes, "nwb_version") or ""
    contents = {path: _table(index, path) for path in find_tables(index)}
    ordered = {path: contents[path] for path in (*RECORDS, *contents) if path in contents}
    return Session(named[0].name, version, MappingProxyType(ordered), storage_options, source)


def _table(index: FileIndex, path: str) -> Table:
    table = build_table(index, path)
    if table_kind(index, path) == "aligned":
        for category in category_paths(index, path):
            if category in index.groups:
                prefix = category.rpartition("/")[2]
                table = with_columns(table, prefix, build_table(index, category), n_rows=table.n_rows)
    return replace(table, kind=table_kind(index, path) or table.kind)


def _parsed(value: object) -> object:
    if isinstance(value, list):
        return [_parsed(item) for item in value]
    try:
        return datetime.datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value
