"""Values of remote folders that are kept on disk."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nwb_dask.errors import SourceChangedError
from nwb_dask.index import Identity, Url
from nwb_dask.storage import Folder, KeyRange, make_access, open_store
from nwb_dask.testing import RangeServer
from tests.storage.folders import contents, write_store
from tests.storage.keeping import DAY

NAME = "bucket/a.nwb.zarr"
WANTED: list[KeyRange] = [("x/0", None), ("x/1", (2, 9)), ("units/id/0", 8), ("x/7", None), (".zmetadata", (0, 5))]
pytestmark = pytest.mark.usefixtures("chunk_folder", "quick")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store that was written a year ago."""
    path = write_store(tmp_path / NAME)
    grow_old(path)
    return path


@pytest.fixture
def server(tmp_path: Path, store: Path) -> Iterator[RangeServer]:
    with RangeServer(tmp_path) as running:
        yield running


def grow_old(path: Path, days: float = 365) -> None:
    then = time.time() - days * DAY
    for one in path.rglob("*"):
        if one.is_file():
            os.utime(one, (then, then))


def open_it(server: RangeServer, kind: str = "http", expected: Identity | None = None, **more: object) -> Folder:
    url = server.url(NAME) if kind == "http" else f"s3://{NAME}"
    options = more if kind == "http" else {"endpoint_url": server.base_url, "anon": True, "engine": kind, **more}
    found = open_store(Url(url), make_access(options), expected)
    assert isinstance(found, Folder)
    return found


def right(store: Path) -> list[bytes | None]:
    end = contents(store, "units/id/0")[-8:]
    return [contents(store, "x/0"), contents(store, "x/1")[2:9], end, None, contents(store, ".zmetadata")[:5]]


def values(folder: Folder, wanted: list[KeyRange] = WANTED) -> list[bytes | None]:
    return [None if one is None else bytes(one) for one in folder.read_keys(wanted)]


@pytest.mark.parametrize("kind", ["http", "obstore"])
def test_a_second_reader_of_a_folder_asks_for_nothing(server: RangeServer, store: Path, kind: str) -> None:
    with open_it(server, kind) as folder:
        identity = folder.source.identity
        assert values(folder) == right(store)
    for expected in (None, identity):
        server.reset()
        with open_it(server, kind, expected) as folder:
            assert folder.source.identity == identity
            assert values(folder) == right(store)
        assert server.n_requests == 0


def test_values_without_a_mark_of_their_version_are_asked_for_again(server: RangeServer, store: Path) -> None:
    for _ in range(2):
        server.reset()
        with open_it(server, "s3fs") as folder:
            assert values(folder) == right(store)
        assert server.n_requests > 0


def test_values_that_are_not_fresh_are_asked_for_and_not_sent_again(server: RangeServer, store: Path) -> None:
    server.headers = {"Cache-Control": "no-cache"}
    with open_it(server) as folder:
        assert values(folder) == right(store)
    server.reset()
    with open_it(server) as folder:
        opened = server.n_bytes
        assert values(folder) == right(store)
    assert server.n_bytes == opened
    assert server.n_requests > 0
    server.reset()
    with open_it(server, chunk_cache_max_age=math.inf) as folder:
        assert values(folder) == right(store)
    assert server.n_requests == 0


def test_values_of_another_version_of_the_folder_never_come_together(server: RangeServer, store: Path) -> None:
    with open_it(server) as folder:
        assert values(folder, WANTED[:1]) == right(store)[:1]
    write_store(store)
    for key in ("x/0", "x/1"):
        (store / key).write_bytes(contents(store, key)[::-1])
    (store / ".zmetadata").write_bytes(contents(store, ".zmetadata") + b" ")
    grow_old(store, days=100)
    with open_it(server) as folder, pytest.raises(SourceChangedError):
        # One is on the disk, one is not.
        values(folder)
    with open_it(server) as folder:
        assert values(folder) == right(store)


def test_a_folder_without_a_mark_of_its_version_is_not_kept(server: RangeServer, store: Path) -> None:
    server.etag, server.last_modified = "none", False
    counts = []
    for _ in range(2):
        server.reset()
        with open_it(server) as folder:
            assert values(folder) == right(store)
        counts.append(server.n_requests)
    assert counts[0] == counts[1] > 0
