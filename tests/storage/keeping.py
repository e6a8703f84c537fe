"""A file on a server of which bytes are kept on disk, for tests of that."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from nwb_dask.index import Identity, Url
from nwb_dask.storage import Store, make_access, open_bytes
from nwb_dask.testing import RangeServer
from tests.storage.serving import CONTENT, NAME, expected_of, read

DAY = 86_400
OTHER = CONTENT[::-1]


def age(server: RangeServer, *, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(server.folder / NAME, (then, then))


def change(server: RangeServer, content: bytes = OTHER, *, days: float = 30) -> None:
    (server.folder / NAME).write_bytes(content)
    age(server, days=days)


def open_it(server: RangeServer, expected: Identity | None = None, **more: Any) -> Store:
    cached = more.pop("cached", None)
    return open_bytes(Url(server.url(NAME)), make_access(more), expected, cached=cached)


def ask(server: RangeServer, *ranges: tuple[int, int], **more: Any) -> int:
    """Read ranges, which must be right; return how many requests that took, opening included."""
    server.reset()
    with open_it(server, **more) as store:
        content = (server.folder / NAME).read_bytes()
        assert read(store, *ranges) == expected_of(*ranges, content=content)
    return server.n_requests


def blobs(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.nwbchunk"))
