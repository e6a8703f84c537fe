"""One file on a server, read by each engine, for tests of storage."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

from nwb_dask.index import Identity, Url
from nwb_dask.storage import Store, make_access, open_bytes
from nwb_dask.testing import RangeServer

KIB = 1024
NAME = "bucket/a.nwb"
CONTENT = os.urandom(3000 * KIB)
MIDDLE = (1000 * KIB, 1001 * KIB)
FAR = (2000 * KIB, 2001 * KIB)

Opener: TypeAlias = Callable[..., Store]


def over_http(engine: str) -> Opener:
    """Return what opens the file at its http URL with an engine."""

    def open_it(server: RangeServer, expected: Identity | None = None, **options: object) -> Store:
        access = make_access({"engine": engine, **options})
        return open_bytes(Url(server.url(NAME)), access, expected)

    return open_it


def in_bucket(scheme: str, engine: str, **fixed: object) -> Opener:
    """Return what opens the file as an object, with the server as endpoint."""

    def open_it(server: RangeServer, expected: Identity | None = None, **options: object) -> Store:
        access = make_access({"engine": engine, "endpoint_url": server.base_url, **fixed, **options})
        return open_bytes(Url(f"{scheme}://{NAME}"), access, expected)

    return open_it


OPENERS: dict[str, Opener] = {
    "http": over_http("http"),
    "obstore-http": over_http("obstore"),
    "obstore-s3": in_bucket("s3", "obstore", anon=True, region="us-east-1"),
    "obstore-gs": in_bucket("gs", "obstore", anon=True),
    "obstore-az": in_bucket("az", "obstore", anon=True, account_name="lab"),
    "fsspec-http": over_http("fsspec"),
    "s3fs": in_bucket("s3", "s3fs", anon=True),
    "remfile": over_http("remfile"),
}
"""Every engine, over each kind of URL that it reads."""


def read(store: Store, *ranges: tuple[int, int]) -> list[bytes]:
    return [bytes(one) for one in store.read(ranges)]


def expected_of(*ranges: tuple[int, int], content: bytes = CONTENT) -> list[bytes]:
    return [content[start:stop] for start, stop in ranges]
