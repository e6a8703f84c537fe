"""`open_nwb`: look around in one file. Reads its structure, and data only when asked to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Self, Unpack, overload

from nwb_dask.adapters.eager import Engine, ReadOptions, read_table
from nwb_dask.adapters.stored import Origin, StoredFields, StoredGroup, StoredTable, near, refuse_secrets
from nwb_dask.adapters.tree import describe_row, render_html, render_text
from nwb_dask.errors import MalformedFileError, NWBDaskError, PathNotFoundError
from nwb_dask.index import Identity, join
from nwb_dask.model import Table
from nwb_dask.model.kinds import text_attribute
from nwb_dask.model.metadata import STANDARD, SUBJECT, Key, session_values
from nwb_dask.read import read_trusting
from nwb_dask.read.describe import describe_contents, list_objects, normalize_path
from nwb_dask.read.opening import open_source
from nwb_dask.read.records import Record, read_record
from nwb_dask.read.visit import visit_files
from nwb_dask.storage import Sources, expand_sources, make_access

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_GROUPS = ("acquisition", "analysis", "general", "intervals", "processing", "scratch", "stimulus")
"""Groups that every NWB file has, even if nothing is in them."""

_TABLES = {
    "units": "/units",
    "trials": "/intervals/trials",
    "epochs": "/intervals/epochs",
    "invalid_times": "/intervals/invalid_times",
    "electrodes": "/general/extracellular_ephys/electrodes",
    "sweep_table": "/general/intracellular_ephys/sweep_table",
    "intracellular_recordings": "/general/intracellular_ephys/intracellular_recordings",
}
"""Tables that pynwb has as attributes of a session."""

_FIELDS = frozenset(key.name for key in STANDARD if key.group != SUBJECT)
_SUBJECT_FIELDS = frozenset(key.name for key in STANDARD if key.group == SUBJECT)


@dataclass(frozen=True)
class Session:
    """One NWB file as it stands on disk: what it holds, without the data.

    Tables, groups and metadata are attributes: ``units``, ``trials``, ``electrodes``, ``processing["behavior"]``,
    ``subject.age``, ``session_id``. What has no such name, or the name of a method, is an item by its path:
    ``session["/units"]``, and metadata is in `metadata`. No attribute reads data but those that are metadata.
    """

    name: str
    """The file, as given, made absolute."""
    nwb_version: str
    """As the file says; ``""`` if it does not."""
    contents: Mapping[str, Table]
    """Every table and series by path, sorted."""
    storage_options: Mapping[str, object] | None = field(default=None, repr=False)
    source: object = field(default="", repr=False)
    identity: Identity | None = field(default=None, repr=False)
    """Which version of the file was opened; its data are those that are there when they are read."""

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

        Dates are `datetime.datetime` where the text is ISO 8601, and text otherwise. What cannot be read is left out,
        and an error as an attribute. Read when first asked for.
        """
        found, subject = session_values(self._record)
        if "/general/subject" in self.contents:
            found["subject"] = subject
        return MappingProxyType(found)

    @property
    def subject(self) -> StoredFields:
        """The subject's metadata: ``subject.age``, ``subject["age"]``; empty if the file has none."""
        return StoredFields(f"{SUBJECT} of {self.name}", _SUBJECT_FIELDS, self._subject, self._check_subject)

    @property
    def units(self) -> StoredTable:
        """The table ``/units``."""
        return self._table("units")

    @property
    def trials(self) -> StoredTable:
        """The table ``/intervals/trials``."""
        return self._table("trials")

    @property
    def electrodes(self) -> StoredTable:
        """The table ``/general/extracellular_ephys/electrodes``."""
        return self._table("electrodes")

    @property
    def acquisition(self) -> StoredGroup:
        """What was recorded."""
        return self._group("acquisition")

    @property
    def processing(self) -> StoredGroup:
        """What was computed, by module: ``processing["behavior"]``."""
        return self._group("processing")

    @property
    def intervals(self) -> StoredGroup:
        """Tables of intervals of time."""
        return self._group("intervals")

    @property
    def stimulus(self) -> StoredGroup:
        """What was shown, in ``presentation`` and ``templates``."""
        return self._group("stimulus")

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

    def describe(self) -> dict[str, object]:
        """Return the file's name, its metadata, and what each table and series has; reads the metadata."""
        return {
            "file": self.name,
            "nwb_version": self.nwb_version,
            "metadata": {**self.metadata, "subject": dict(self._subject())},
            "tables": {path: self._stored(path).describe() for path in self.tables},
            "series": {path: self._stored(path).describe() for path in self.series},
        }

    def __getitem__(self, path: str) -> StoredTable:
        """Return the table or series at `path`: rows, columns and their types; it reads when asked to.

        Raises
        ------
        PathNotFoundError
            If there is none.
        """
        if not isinstance(path, str):
            raise TypeError(f"a table or series is asked for by its path, not by {path!r}")
        found = normalize_path(path)
        if found in self.contents:
            return self._stored(found)
        below = [other for other in self.contents if other.startswith(f"{found}/")]
        hint = f"it is a group with {', '.join(below)}" if below else near(found, self.contents, "tables")
        raise PathNotFoundError(f"no table {path!r}; {hint}", url=self.name, path=path)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the paths of the tables and series."""
        return iter(self.contents)

    def __contains__(self, path: object) -> bool:
        """Return whether there is a table or series at a path."""
        return isinstance(path, str) and normalize_path(path) in self.contents

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle what is known of the file, but no secrets."""
        refuse_secrets(self.storage_options)
        facts = (self.name, self.nwb_version, dict(self.contents), self.storage_options, self.source, self.identity)
        return Session, facts

    def __copy__(self) -> Self:
        """Return the same: it does not change."""
        return self

    def __deepcopy__(self, memo: object) -> Self:
        """Return the same: it does not change."""
        return self

    def __getattr__(self, name: str) -> object:
        """Return a table, a group or a field of the metadata; None for a field of the schema that the file lacks."""
        # Not while it is put together, as by `copy`: there is nothing to look in yet.
        if name.startswith("_") or "contents" not in self.__dict__ or name in self.__dataclass_fields__:
            raise AttributeError(name)
        if name in _TABLES:
            return self._table(name)
        if f"/{name}" in self.contents and name != "general":
            return self._stored(f"/{name}")
        if name in _GROUPS or any(path.startswith(f"/{name}/") for path in self.contents):
            return self._group(name)
        if name in self._field_names():
            return self._field(name)
        known = [one for one in dir(self) if not one.startswith("_")]
        raise AttributeError(f"nothing called {name!r} in {self.name}; {near(name, known, 'names')}")

    def __dir__(self) -> list[str]:
        """List what the file has too, for completion; reads nothing."""
        top = {path.split("/")[1] for path in self.contents if path != "/"}
        here = {name for name, path in _TABLES.items() if path in self.contents}
        absent = {name for name in _TABLES if name not in here}
        names = {*super().__dir__(), *top, *here, *_GROUPS, *self._field_names()}
        return sorted(name for name in names - absent if name.isidentifier())

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.contents)

    def __repr__(self) -> str:
        """Draw the file as a tree."""
        return render_text(self._title(), self._rows())

    def _repr_html_(self) -> str:
        return render_html(self._title(), self._rows())

    def _title(self) -> str:
        return f"NWB {self.nwb_version or 'file without a version'}: {self.name}"

    def _rows(self) -> dict[str, str]:
        return {path: describe_row(table) for path, table in self.contents.items()}

    def _origin(self) -> Origin:
        return Origin(self.name, self.source, self.storage_options)

    def _stored(self, path: str) -> StoredTable:
        return StoredTable(self._origin(), self.contents[path])

    def _table(self, name: str) -> StoredTable:
        if _TABLES[name] not in self.contents:
            raise AttributeError(f"no table {_TABLES[name]} in {self.name}; the tables are {', '.join(self.tables)}")
        return self._stored(_TABLES[name])

    def _group(self, name: str) -> StoredGroup:
        return StoredGroup(self._origin(), f"/{name}", self.contents)

    def _field_names(self) -> frozenset[str]:
        groups = [self.contents[path] for path in ("/", "/general") if path in self.contents]
        return _FIELDS.union(*(group.columns for group in groups)) if groups else _FIELDS

    def _field(self, name: str) -> object:
        for group in ("/general", "/"):
            self._check_readable(Key(group, name))
        return self.metadata.get(name)

    def _check_subject(self, name: str) -> None:
        self._check_readable(Key(SUBJECT, name))

    def _check_readable(self, key: Key) -> None:
        cell = self._record.get(key)
        if cell is not None and cell.problem:
            path = join(key.group, key.name)
            raise MalformedFileError(f"{path} cannot be read: {cell.problem}", url=self.name, path=path)

    def _subject(self) -> Mapping[str, object]:
        found = self.metadata.get("subject", {})
        return found if isinstance(found, Mapping) else {}

    @cached_property
    def _record(self) -> Record:
        access = make_access(self.storage_options)
        named = expand_sources(self.source, access)
        found, _ = read_trusting(
            lambda: visit_files(named, access, lambda _, file: read_record(file), skip_corrupt=False)
        )
        return found[0][1]


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
        Shows itself as a tree. Its tables, groups and metadata are attributes, ``session.units``,
        ``session.processing["behavior"]``, ``session.subject.age``; see there.

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
            contents = describe_contents(index)
            identity = file.source.identity
    except NWBDaskError as error:
        raise error.at(url=named[0].name) from error.__cause__
    version = text_attribute(index.groups["/"].attributes, "nwb_version") or ""
    return Session(named[0].name, version, MappingProxyType(contents), storage_options, Sources(named), identity)
