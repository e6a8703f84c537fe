"""What stands in one file, as objects to walk along: groups, tables and series, columns. They read when asked to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, overload

from nwb_dask.adapters.eager import Engine, ReadOptions, read_table
from nwb_dask.adapters.tree import describe_row, render_html, render_text
from nwb_dask.errors import PathNotFoundError
from nwb_dask.index import join
from nwb_dask.model import Column, Table, TableKind
from nwb_dask.storage import make_access

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Origin:
    """The file that all of it is in."""

    name: str
    source: object
    storage_options: Mapping[str, object] | None = field(default=None, repr=False)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle, but no secrets."""
        refuse_secrets(self.storage_options)
        return Origin, (self.name, self.source, self.storage_options)

    def __deepcopy__(self, memo: object) -> Self:
        """Return the same: it does not change, and secrets need not be pickled."""
        return self


@dataclass(frozen=True)
class StoredColumn:
    """A column of a table of one file."""

    origin: Origin = field(repr=False)
    path: str
    """Of the table."""
    column: Column = field(repr=False)

    @property
    def name(self) -> str:
        """Its name in the table."""
        return self.column.field.name

    @property
    def type(self) -> pa.DataType:
        """Arrow type of its values; null if it cannot be read."""
        return self.column.field.type

    @property
    def problem(self) -> str:
        """Why it cannot be read; ``""`` if it can."""
        return self.column.problem

    @overload
    def read(self, engine: Literal["pandas"] = ...) -> pd.Series[Any]: ...
    @overload
    def read(self, engine: Literal["polars"]) -> pl.Series: ...
    @overload
    def read(self, engine: Literal["arrow"]) -> pa.ChunkedArray: ...
    def read(self, engine: Engine = "pandas") -> pd.Series[Any] | pl.Series | pa.ChunkedArray:
        """Return all its values."""
        options = ReadOptions(
            columns=[self.name], include_path_columns=False, storage_options=self.origin.storage_options
        )
        if engine == "pandas":
            series: pd.Series[Any] = read_table(self.origin.source, self.path, engine, **options)[self.name]
            return series
        return read_table(self.origin.source, self.path, engine, **options)[self.name]

    def __repr__(self) -> str:
        """Say what it is."""
        kind = f"cannot be read: {self.problem}" if self.problem else str(self.type)
        return f"{join(self.path, self.name)}: {kind}"


@dataclass(frozen=True)
class StoredTable:
    """A table or series of one file; its columns are attributes and items."""

    origin: Origin = field(repr=False)
    table: Table = field(repr=False)

    @property
    def path(self) -> str:
        """Where it is in the file."""
        return self.table.path

    @property
    def kind(self) -> TableKind:
        """What it is to a reader: a DynamicTable, a series, one row of metadata ..."""
        return self.table.kind

    @property
    def neurodata_type(self) -> str:
        """As the file says; ``""`` if it does not."""
        return self.table.neurodata_type

    @property
    def n_rows(self) -> int:
        """Rows of a table, samples of a series."""
        return self.table.n_rows

    @property
    def columns(self) -> Mapping[str, Column]:
        """Descriptions of the columns by name, in reading order."""
        return self.table.columns

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns."""
        return self.table.names

    def __getitem__(self, name: str) -> StoredColumn:
        """Return a column by its name.

        Raises
        ------
        PathNotFoundError
            If there is none, with the nearest names.
        """
        if not isinstance(name, str):
            raise TypeError(f"a column is asked for by its name, not by {name!r}; read(columns=...) reads several")
        if name not in self.columns:
            hint = near(name, self.columns, "columns")
            message = f"no column {name!r} in {self.path} of {self.origin.name}; {hint}"
            raise PathNotFoundError(message, url=self.origin.name, path=self.path)
        return StoredColumn(self.origin, self.path, self.columns[name])

    def __getattr__(self, name: str) -> StoredColumn:
        """Return a column as an attribute; one that is called like a method is an item only."""
        # Not while it is put together, as by `copy`: there is nothing to look in yet.
        if name.startswith("__") or "origin" not in self.__dict__:
            raise AttributeError(name)
        try:
            return self[name]
        except PathNotFoundError as error:
            raise AttributeError(error.message) from None

    def __len__(self) -> int:
        return self.n_rows

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the columns."""
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __dir__(self) -> list[str]:
        """List the columns too, for completion."""
        return sorted({*super().__dir__(), *(name for name in self.columns if name.isidentifier())})

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.columns)

    @overload
    def read(self, engine: Literal["pandas"] = ..., **options: Unpack[ReadOptions]) -> pd.DataFrame: ...
    @overload
    def read(self, engine: Literal["polars"], **options: Unpack[ReadOptions]) -> pl.DataFrame: ...
    @overload
    def read(self, engine: Literal["arrow"], **options: Unpack[ReadOptions]) -> pa.Table: ...
    def read(self, engine: Engine = "pandas", **options: Unpack[ReadOptions]) -> pd.DataFrame | pl.DataFrame | pa.Table:
        """Return its rows; engines and options are those of `nwb_dask.read_table`."""
        options.setdefault("storage_options", self.origin.storage_options)
        return read_table(self.origin.source, self.path, engine, **options)

    def describe(self) -> dict[str, object]:
        """Return path, type, number of rows and the types of the columns, as text and numbers; reads nothing."""
        types = {name: column.problem or str(column.field.type) for name, column in self.columns.items()}
        return {
            "path": self.path,
            "kind": self.kind,
            "neurodata_type": self.neurodata_type,
            "n_rows": self.n_rows,
            "columns": types,
        }

    def __repr__(self) -> str:
        """Draw the columns with their types."""
        return render_text(self._title(), self._rows())

    def _repr_html_(self) -> str:
        return render_html(self._title(), self._rows())

    def _title(self) -> str:
        return f"{self.path} of {self.origin.name}: {describe_row(self.table)}"

    def _rows(self) -> dict[str, str]:
        return {
            name: f"cannot be read: {column.problem}" if column.problem else str(column.field.type)
            for name, column in self.columns.items()
        }


@dataclass(frozen=True)
class StoredGroup:
    """A group of one file: what stands below it are attributes and items, ``group["behavior"]["speed"]``."""

    origin: Origin = field(repr=False)
    path: str
    contents: Mapping[str, Table] = field(repr=False)
    """Every table and series of the file by path."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the groups, tables and series right below."""
        prefix = self.path.rstrip("/") + "/"
        below = (path.removeprefix(prefix) for path in self.contents if path.startswith(prefix) and path != "/")
        return tuple(dict.fromkeys(path.partition("/")[0] for path in below))

    def __getitem__(self, name: str) -> StoredGroup | StoredTable:
        """Return what is below by its name, or by several with slashes between them.

        Raises
        ------
        PathNotFoundError
            If there is nothing, with the nearest names.
        """
        if not isinstance(name, str):
            raise TypeError(f"what is in {self.path} is asked for by its name, not by {name!r}")
        path = join(self.path, name.strip("/"))
        if path in self.contents:
            return StoredTable(self.origin, self.contents[path])
        if name.strip("/") and any(other.startswith(path + "/") for other in self.contents):
            return StoredGroup(self.origin, path, self.contents)
        message = f"nothing at {path} of {self.origin.name}; {near(name, self.names, 'names there')}"
        raise PathNotFoundError(message, url=self.origin.name, path=path)

    def __getattr__(self, name: str) -> StoredGroup | StoredTable:
        """Return what is below as an attribute; what is called like a method is an item only."""
        # Not while it is put together, as by `copy`: there is nothing to look in yet.
        if name.startswith("__") or "origin" not in self.__dict__:
            raise AttributeError(name)
        try:
            return self[name]
        except PathNotFoundError as error:
            raise AttributeError(error.message) from None

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle, as `Origin` does."""
        return StoredGroup, (self.origin, self.path, dict(self.contents))

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of what is right below."""
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __dir__(self) -> list[str]:
        """List what is below too, for completion."""
        return sorted({*super().__dir__(), *(name for name in self.names if name.isidentifier())})

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.names)

    def describe(self) -> dict[str, object]:
        """Return what each table and series below has, by path; reads nothing."""
        return {path: StoredTable(self.origin, table).describe() for path, table in self._below().items()}

    def __repr__(self) -> str:
        """Draw what is below as a tree."""
        return render_text(self._title(), self._rows())

    def _repr_html_(self) -> str:
        return render_html(self._title(), self._rows())

    def _title(self) -> str:
        return f"{self.path} of {self.origin.name}" + ("" if self.names else ": no tables or series")

    def _rows(self) -> dict[str, str]:
        return {path.removeprefix(self.path): describe_row(table) for path, table in self._below().items()}

    def _below(self) -> dict[str, Table]:
        prefix = self.path.rstrip("/") + "/"
        return {path: table for path, table in self.contents.items() if path.startswith(prefix)}


class StoredFields(Mapping[str, object]):
    """Metadata of one group, such as the subject: values are attributes and items, read when first asked for.

    A field of the NWB core schema that the file lacks is None as an attribute; as an item it is not there.
    """

    def __init__(
        self,
        title: str,
        standard: frozenset[str],
        read: Callable[[], Mapping[str, object]],
        check: Callable[[str], None],
    ) -> None:
        self._title = title
        self._standard = standard
        self._read = read
        self._check = check

    def __getitem__(self, name: str) -> object:
        """Return a value by its name; KeyError if the file has none, MalformedFileError if it cannot be read."""
        self._check(name)
        return self._read()[name]

    def __getattr__(self, name: str) -> object:
        """Return a value as an attribute; what is called like a method of mappings is an item only."""
        if name.startswith("_"):
            raise AttributeError(name)
        self._check(name)
        found = self._read()
        if name not in found and name not in self._standard:
            raise AttributeError(f"no field {name!r} in {self._title}; {near(name, found, 'fields')}")
        return found.get(name)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the fields that the file has."""
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __dir__(self) -> list[str]:
        """List the fields too, for completion."""
        return sorted({*super().__dir__(), *self._standard, *(name for name in self._read() if name.isidentifier())})

    def describe(self) -> dict[str, object]:
        """Return the fields that the file has, with their values."""
        return dict(self._read())

    def __repr__(self) -> str:
        """Draw the fields with their values."""
        return render_text(self._title, {name: repr(value) for name, value in self._read().items()})


def refuse_secrets(storage_options: Mapping[str, object] | None) -> None:
    """Raise `TypeError` if there are secrets, which stay in the process that was given them."""
    if make_access(storage_options).handle is not None:
        raise TypeError("what was opened with secrets is not pickled; open it anew where it goes")


def near(name: str, known: Iterable[str], what: str) -> str:
    """Say which of the `known` names may have been meant."""
    names = tuple(known)
    found = get_close_matches(name, names, n=3)
    if found:
        return f"did you mean {' or '.join(map(repr, found))}?"
    return f"the {what} are {', '.join(names)}" if names else f"there are no {what}"
