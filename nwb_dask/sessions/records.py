"""What is kept of a run: a record for each finished session, a table of those that failed, and what was asked.

All of it stands in a folder beside the result, ``<out>.nwb_dask``, so that `out` holds nothing but Parquet files of one
schema: dask and polars read every file of a folder, those with a leading underscore or dot too (dask 2026.8, polars
2.1)::

    <out>/part-00000-<digest>.parquet      rows of one session; the number is its place among the sources
    <out>.nwb_dask/records/<digest>.json   what is known of them, written after them
    <out>.nwb_dask/quarantine.parquet      the sessions that failed
    <out>.nwb_dask/run.json                what was asked
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b

import pyarrow as pa
import pyarrow.parquet as pq

from nwb_dask.errors import OutputError, SourceNotFoundError, display_url
from nwb_dask.index import Identity
from nwb_dask.storage import Access
from nwb_dask.storage.target import LocalTarget, Target, open_target, read_all
from nwb_dask.storage.urls import BUCKETS, scheme, split_bucket

VERSION = 1
BESIDE = ".nwb_dask"
_RECORDS = "records"
_RUN = "run.json"
_QUARANTINE = "quarantine.parquet"


@dataclass(frozen=True, slots=True)
class Record:
    """A session that is finished."""

    source: str
    """Its name, as in ``_nwb_path``."""
    key: str
    """Digest of the code, the arguments and the version of the file."""
    identity: Identity
    path: str | None
    """Its part below the folder of the result; None if it has no rows."""
    rows: int
    bytes: int
    seconds: float
    """That the last attempt took."""
    attempts: int
    worker: str
    """Who finished it."""
    schema: pa.Schema | None = field(default=None, compare=False)
    """Of the part."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A session that failed for good."""

    source: str
    path: str | None
    """What could not be read inside the file, if that is known."""
    error: str
    """Class of the error."""
    message: str
    attempts: int
    worker: str
    """All that tried, in order."""
    traceback: str = ""
    """Where in the user's code; "" where none of it was running."""


_QUARANTINE_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("path", pa.string()),
        ("error", pa.string()),
        ("message", pa.string()),
        ("attempts", pa.int64()),
        ("worker", pa.string()),
        ("traceback", pa.string()),
    ]
)


def digest_of_name(name: str) -> str:
    """Return what files of a session are called after."""
    return blake2b(name.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Output:
    """Where the parts and what is kept of them are; travels to workers, without secrets."""

    url: str
    access: Access

    @property
    def parts(self) -> Target:
        """The folder of the result."""
        return open_target(self.url, self.access)

    @property
    def kept(self) -> Target:
        """The folder beside it."""
        return open_target(self.url + BESIDE, self.access)

    @property
    def name(self) -> str:
        """The folder of the result, as it may be shown."""
        return self.parts.name

    def add(self, digest: str, part: bytes | None, record: Record) -> None:
        """Write the rows of a session, and then the record."""
        if part is not None and record.path is not None:
            self.parts.put(record.path, part)
        self.put_record(digest, record)

    def put_record(self, digest: str, record: Record) -> None:
        """Write a record."""
        self.kept.put(f"{_RECORDS}/{digest}.json", _record_as_json(record))

    def records(self) -> dict[str, Record]:
        """Return the records that are there, by digest; damaged ones are left out."""
        kept = self.kept
        keys = [key for key in _keys(kept, _RECORDS) if key.endswith(".json")]
        values = zip(keys, read_all(kept, keys), strict=True)
        found = {key.rpartition("/")[2].removesuffix(".json"): _record_from_json(value) for key, value in values}
        return {digest: record for digest, record in found.items() if record is not None}

    def part_keys(self) -> list[str]:
        """Return what is in the folder of the result."""
        return _keys(self.parts, "")

    def drop(self, records: Mapping[str, Record]) -> None:
        """Remove records, and then their parts."""
        self.kept.remove([f"{_RECORDS}/{digest}.json" for digest in records])
        self.parts.remove([one.path for one in records.values() if one.path is not None])

    def put_run(self, asked: Mapping[str, object]) -> None:
        """Write what was asked."""
        self.kept.put(_RUN, json.dumps({"version": VERSION, **asked}, indent=1).encode())

    def run(self) -> dict[str, object] | None:
        """Return what was asked; None if nothing is here."""
        try:
            found = json.loads(self.kept.read(_RUN)[0])
        except (SourceNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) and "version" in found else None

    def put_quarantine(self, rows: Sequence[Quarantined]) -> None:
        """Write the sessions that failed."""
        self.kept.put(_QUARANTINE, parquet_bytes(quarantine_table(rows)))

    def quarantine(self) -> tuple[Quarantined, ...]:
        """Return the sessions that failed when a run was here last."""
        try:
            table = pq.read_table(io.BytesIO(self.kept.read(_QUARANTINE)[0]))
        except (SourceNotFoundError, pa.ArrowInvalid):
            return ()
        return tuple(Quarantined(**one) for one in table.to_pylist())


def output_at(out: object, access: Access) -> Output:
    """Return the place of a result.

    Raises
    ------
    OutputError
        If it is no folder and no prefix in a bucket, or has no place beside it.
    """
    target = open_target(out, access)
    if isinstance(target, LocalTarget):
        if target.folder.is_file():
            raise OutputError(f"{target.name} is a file; name a folder", url=target.name)
        if target.folder == target.folder.parent:
            raise OutputError(f"{target.name} is the root of the file system; name a folder in it", url=target.name)
        return Output(str(target.folder), access)
    url = str(out).rstrip("/")
    if scheme(url) in BUCKETS and not split_bucket(url)[1]:
        raise OutputError(f"{display_url(url)} is a whole bucket; name a folder in it", url=url)
    return Output(url, access)


def quarantine_table(rows: Iterable[Quarantined]) -> pa.Table:
    """Return the sessions that failed as a table."""
    return pa.Table.from_pylist([asdict(one) for one in rows], schema=_QUARANTINE_SCHEMA)


def parquet_bytes(table: pa.Table) -> bytes:
    """Return a table as a Parquet file."""
    made = io.BytesIO()
    pq.write_table(table, made, compression="zstd")
    return made.getvalue()


def _keys(target: Target, folder: str) -> list[str]:
    try:
        return target.keys(folder)
    except SourceNotFoundError:
        return []


def _record_as_json(record: Record) -> bytes:
    schema = None if record.schema is None else base64.b64encode(record.schema.serialize().to_pybytes()).decode()
    names = ("source", "key", "path", "rows", "bytes", "seconds", "attempts", "worker")
    facts = {name: getattr(record, name) for name in names}
    return json.dumps({**facts, "identity": asdict(record.identity), "schema": schema}, indent=1).encode()


def _record_from_json(value: bytes) -> Record | None:
    try:
        found = json.loads(value)
        schema = found.pop("schema")
        read = None if schema is None else pa.ipc.read_schema(pa.py_buffer(base64.b64decode(schema)))
        return Record(**{**found, "identity": Identity(**found["identity"]), "schema": read})
    except (ValueError, KeyError, TypeError, pa.ArrowInvalid):
        return None
