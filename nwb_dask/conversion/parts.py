"""A part: the smallest thing that is written, found finished, or done anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

from nwb_dask.conversion.report import WrittenFile

Make: TypeAlias = Callable[[Path, Mapping[str, WrittenFile]], int]
"""Writes a file or folder at a path, knowing the parts before it by their paths; returns the rows that it has."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the output, or a Zarr store."""

    path: str
    """Below the folder of the output, with slashes."""
    tables: tuple[str, ...]
    session: str | None
    """Whose rows it has; None if all."""
    key: str
    """Digest of everything that decides its bytes."""
    make: Make


def digest_of(*facts: object) -> str:
    """Return a digest of values that JSON or `repr` tell apart."""
    text = json.dumps(facts, sort_keys=True, default=repr)
    return blake2b(text.encode(errors="surrogateescape"), digest_size=16).hexdigest()


def as_record(part: Part, written: WrittenFile) -> dict[str, object]:
    """Return what is kept of a part that is finished."""
    return {"key": part.key, **asdict(written)}


def from_record(part: Part, record: object) -> WrittenFile | None:
    """Return what a record says was written; None if it is of another part, or damaged."""
    if not isinstance(record, dict) or record.get("key") != part.key or record.get("path") != part.path:
        return None
    numbers = (record.get("rows"), record.get("bytes"))
    if not all(isinstance(one, int) for one in numbers) or not isinstance(record.get("sha256"), str):
        return None
    return WrittenFile(part.path, part.tables, part.session, record["rows"], record["bytes"], record["sha256"])
