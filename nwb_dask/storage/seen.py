"""What a server said of a file when it was seen last, as a small file: which version, when, and for how long."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from zlib import crc32

from nwb_dask.index import Identity
from nwb_dask.storage.freshness import Said

NAME = "seen.nwbseen"
_MAGIC = b"\x89NWBSEEN\n"
_MAX_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Seen:
    """The version of a file that an answer has shown."""

    name: str
    """The URL without user, password and query string."""
    identity: Identity | None
    """None: nothing was there."""
    said: Said
    asked: float
    """When the question was sent, in seconds since 1970."""


def build(key: bytes, seen: Seen) -> bytes:
    """Return a file that says it."""
    facts = {"key": key.hex(), **asdict(seen)}
    data = json.dumps(facts, ensure_ascii=True).encode()
    return _MAGIC + crc32(data).to_bytes(4, "little") + data


def read(path: Path, key: bytes) -> Seen | None:
    """Return what a file says; None if it is not what it should be.

    Parameters
    ----------
    path : Path
        The file.
    key : bytes
        Of the URL; see `url_keys.url_key`.
    """
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        data = _bytes(path)
        body = data[len(_MAGIC) + 4 :]
        if not data.startswith(_MAGIC) or crc32(body).to_bytes(4, "little") != data[len(_MAGIC) : -len(body)]:
            return None
        facts = json.loads(body)
        if facts["key"] != key.hex():
            return None
        identity = None if facts["identity"] is None else Identity(**facts["identity"])
        return Seen(facts["name"], identity, Said(**facts["said"]), facts["asked"])
    return None


def _bytes(path: Path) -> bytes:
    handle = os.open(path, os.O_RDONLY)
    try:
        return os.read(handle, _MAX_BYTES)
    finally:
        os.close(handle)
