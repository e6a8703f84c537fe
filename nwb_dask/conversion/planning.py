"""From what there is to the parts that are written, in the order in which they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

import pyarrow as pa

from nwb_dask.conversion.inventory import Holds, Inventory
from nwb_dask.conversion.names import partition_key, session_folders, session_names, table_names
from nwb_dask.conversion.parts import Part, digest_of
from nwb_dask.conversion.report import WrittenFile
from nwb_dask.conversion.rows import Rows
from nwb_dask.errors import MalformedFileError, NWBDaskError, SourceNotFoundError
from nwb_dask.storage import Access

Format = Literal["parquet", "ipc", "csv", "jsonl", "delta", "excel", "zarr"]
Layout = Literal["hive", "one"]

HOLDS: Mapping[Format, Holds] = {
    **dict.fromkeys(("parquet", "ipc", "csv", "jsonl", "delta", "excel"), "tables"),
    "zarr": "series",
}
"""Formats, and what each holds."""

LAID_OUT = frozenset({"parquet", "ipc", "csv", "jsonl"})
"""Formats that have a choice of layouts."""

_EXTRAS = {"delta": "delta", "excel": "excel"}


class UnreadableFileError(NWBDaskError):
    """A file could not be read while a part was written; it is left out if that is wanted."""


class _TableFormat(Protocol):
    """What a module of a format of files has."""

    SUFFIX: str

    def arrange(self, path: str, table: pa.Table) -> pa.Table:
        """Return rows of the table `path` with the types that are stored."""

    def write(self, path: Path, schema: pa.Schema, batches: Iterator[pa.Table]) -> None:
        """Write a file."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of an output, and what the manifest says of sources and tables."""

    parts: tuple[Part, ...]
    sources: tuple[Mapping[str, object], ...]
    tables: tuple[Mapping[str, object], ...]

    @property
    def key(self) -> str:
        """Digest of all that decides the bytes of the output."""
        return digest_of([part.key for part in self.parts], self.sources, self.tables)


def load_format(format_: Format) -> Any:  # noqa: ANN401  # a module
    """Return the module of a format.

    Raises
    ------
    ImportError
        If the library that it needs is not there, naming the extra that brings it.
    """
    try:
        return import_module(f"nwb_dask.conversion.formats.{format_}")
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(format_)
        if extra is None or (error.name or "").startswith("nwb_dask"):
            raise
        message = f"format={format_!r} needs {error.name}: pip install 'nwb-dask[{extra}]'"
        raise ImportError(message, name=error.name) from error


def plan_parts(inventory: Inventory, format_: Format, layout: Layout, access: Access) -> Plan:
    """Return the parts of an output; equal sources and choices give equal parts."""
    planner = _Planner(inventory, format_, load_format(format_), access)
    if format_ == "zarr":
        parts = planner.stores()
    elif format_ == "excel":
        parts = planner.workbook()
    elif format_ == "delta":
        parts = planner.delta()
    else:
        parts = planner.partitions() if layout == "hive" else planner.whole()
    return Plan(tuple(parts), planner.source_facts(), tuple(planner.facts))


class _Planner:
    """Names parts and says how each is made."""

    def __init__(self, inventory: Inventory, format_: Format, module: Any, access: Access) -> None:  # noqa: ANN401  # a module
        self.inventory = inventory
        self.module = module
        self.access = access
        self.versions = [format_, module.WRITER]
        self.sessions = session_names([one.name for one in inventory.named])
        self.folders = session_folders(self.sessions)
        paths = [rows.path for rows in inventory.tables] or sorted({path for path, _ in inventory.series})
        self.names = table_names(paths)
        self.facts: list[dict[str, object]] = []

    def source_facts(self) -> tuple[Mapping[str, object], ...]:
        """Return the sources with the versions that are converted; names have no secrets."""
        return tuple(
            {
                "name": one.name,
                "session": session,
                "identity": {
                    "kind": source.identity.kind,
                    "value": source.identity.value,
                    "size": source.identity.size,
                },
            }
            for one, session, source in zip(self.inventory.named, self.sessions, self.inventory.sources, strict=True)
        )

    def partitions(self) -> Iterator[Part]:
        """Yield a file for each table of each session."""
        for rows in self.inventory.tables:
            key = partition_key(rows.schema.names)
            self._describe(rows, self.names[rows.path], key)
            yield from self._partitions(rows, key)

    def whole(self) -> Iterator[Part]:
        """Yield a file for each table."""
        for rows in self.inventory.tables:
            name = self.names[rows.path] + self.module.SUFFIX
            self._describe(rows, name, None)
            yield self._part(name, rows, None)

    def delta(self) -> Iterator[Part]:
        """Yield the files of each table, then its log."""
        for rows in self.inventory.tables:
            folder, key = self.names[rows.path], partition_key(rows.schema.names)
            self._describe(rows, folder, key)
            parts = list(self._partitions(rows, key))
            yield from parts
            schema = self.module.arrange(rows.path, rows.schema.empty_table()).schema
            log = self.module.LogOf(folder, schema, key, [(part.path, str(part.session)) for part in parts])
            digest = digest_of(self.versions, [part.key for part in parts])
            yield Part(f"{folder}/{self.module.LOG}", (), None, digest, partial(_log, self.module, log))

    def workbook(self) -> Iterator[Part]:
        """Yield the workbook."""
        tables = self.inventory.tables
        sheets = self.module.sheet_names([rows.path for rows in tables])
        for rows in tables:
            self._describe(rows, f"{self.module.NAME}#{sheets[rows.path]}", None)
        digest = digest_of(self.versions, [[rows.path, rows.facts] for rows in tables])
        make = partial(_workbook, self.module, [(sheets[rows.path], rows) for rows in tables])
        yield Part(self.module.NAME, tuple(rows.path for rows in tables), None, digest, make)

    def stores(self) -> Iterator[Part]:
        """Yield a Zarr store for each series of each session."""
        for path in sorted(self.names):
            self.facts.append({"path": path, "name": self.names[path]})
        for path, number in self.inventory.series:
            session, named = self.sessions[number], self.inventory.named[number]
            source = self.inventory.sources[number]
            name = f"{self.names[path]}/{self.folders[session]}{self.module.SUFFIX}"
            digest = digest_of(self.versions, path, named.name, name, repr(source.identity))
            write = partial(self.module.write_series, source=source, name=named.name, access=self.access, series=path)
            yield Part(name, (path,), session, digest, partial(_store, write, named.name))

    def _partitions(self, rows: Rows, key: str) -> Iterator[Part]:
        for number, session in enumerate(self.sessions):
            found = rows.of(number)
            if found is not None:
                name = f"{self.names[rows.path]}/{key}={self.folders[session]}/part-0{self.module.SUFFIX}"
                yield self._part(name, found, number)

    def _part(self, name: str, rows: Rows, number: int | None) -> Part:
        session = None if number is None else self.sessions[number]
        digest = digest_of(self.versions, name, rows.path, rows.facts)
        return Part(name, (rows.path,), session, digest, partial(_file, self.module, rows))

    def _describe(self, rows: Rows, name: str, key: str | None) -> None:
        columns = [{"name": field.name, "type": str(field.type)} for field in rows.schema]
        self.facts.append({"path": rows.path, "name": name, "partition": key, "columns": columns})


def _file(module: _TableFormat, rows: Rows, path: Path, _: Mapping[str, WrittenFile]) -> int:
    counted = _Counted()
    schema = module.arrange(rows.path, rows.schema.empty_table()).schema
    module.write(path, schema, (module.arrange(rows.path, batch) for batch in counted.through(rows)))
    return counted.rows


def _workbook(module: Any, sheets: Sequence[tuple[str, Rows]], path: Path, _: Mapping[str, WrittenFile]) -> int:  # noqa: ANN401  # a module
    counted = _Counted()
    listed = [(name, rows.path, rows.schema, counted.through(rows)) for name, rows in sheets]
    written: int = module.write_workbook(path, path.parent, listed)
    return written


def _log(module: Any, log: object, path: Path, before: Mapping[str, WrittenFile]) -> int:  # noqa: ANN401  # a module
    module.write_log(path, log, before)
    return 0


def _store(write: Callable[[Path], int], name: str, path: Path, _: Mapping[str, WrittenFile]) -> int:
    with _blamed(name):
        return write(path)


class _Counted:
    """Counts rows on their way, and says which file could not be read."""

    def __init__(self) -> None:
        self.rows = 0

    def through(self, rows: Rows) -> Iterator[pa.Table]:
        """Yield the batches of `rows`."""
        batches = rows.batches()
        while True:
            with _blamed(None):
                batch = next(batches, None)
            if batch is None:
                return
            self.rows += batch.num_rows
            yield batch


@contextmanager
def _blamed(name: str | None) -> Iterator[None]:
    """Say that what is raised here came from reading a file."""
    try:
        yield
    except (MalformedFileError, SourceNotFoundError) as error:
        error.at(url=name)
        raise UnreadableFileError(error.message, url=error.url, path=error.path) from error
