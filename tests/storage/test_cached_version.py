from __future__ import annotations

import os
from pathlib import Path

import pytest

from nwb_dask.errors import SourceNotFoundError
from nwb_dask.index import Identity, Url
from nwb_dask.storage import Access, Store, make_access, open_bytes
from nwb_dask.testing import Fault, RangeServer
from tests.storage.serving import CONTENT, FAR, KIB, MIDDLE, NAME, expected_of, read

OTHER = CONTENT[::-1] + b"more"
LATER = 1_800_000_000
pytestmark = pytest.mark.usefixtures("no_cloud")


def place(server: RangeServer, name: str) -> tuple[Url, Access]:
    """Return how an engine reaches the file."""
    if name in {"obstore-s3", "s3fs"}:
        engine = "s3fs" if name == "s3fs" else "obstore"
        return Url(f"s3://{NAME}"), make_access({"engine": engine, "anon": True, "endpoint_url": server.base_url})
    return Url(server.url(NAME)), make_access({"engine": name})


def identity_of(server: RangeServer, name: str) -> Identity:
    url, access = place(server, name)
    with open_bytes(url, access) as store:
        return store.source.identity


def open_cached(server: RangeServer, name: str, cached: Identity) -> Store:
    url, access = place(server, name)
    server.reset()
    return open_bytes(url, access, cached=cached)


ENGINES = ("http", "obstore", "obstore-s3", "remfile", "fsspec", "s3fs")
every_engine = pytest.mark.parametrize("engine", ENGINES)


@every_engine
@pytest.mark.parametrize("etag", ["strong", "weak"])
def test_a_version_that_is_still_there_costs_one_small_request(
    bucket_server: RangeServer, engine: str, etag: str
) -> None:
    bucket_server.etag = etag  # type: ignore[assignment]  # one of the kinds
    cached = identity_of(bucket_server, engine)
    with open_cached(bucket_server, engine, cached) as store:
        assert store.is_unchanged
        assert store.source.identity == cached
        assert store.size == len(CONTENT)
        assert bucket_server.n_requests == 1
        assert bucket_server.n_bytes <= 1
        assert read(store, MIDDLE, FAR) == expected_of(MIDDLE, FAR)


@every_engine
@pytest.mark.parametrize("etag", ["strong", "weak"])
def test_another_version_is_open_instead_and_said(bucket_server: RangeServer, engine: str, etag: str) -> None:
    bucket_server.etag = etag  # type: ignore[assignment]  # one of the kinds
    cached = identity_of(bucket_server, engine)
    (bucket_server.folder / NAME).write_bytes(OTHER)
    os.utime(bucket_server.folder / NAME, (LATER, LATER))
    with open_cached(bucket_server, engine, cached) as store:
        assert not store.is_unchanged
        assert store.source.identity != cached
        assert store.size == len(OTHER)
        assert read(store, (0, 8), FAR) == expected_of((0, 8), FAR, content=OTHER)


@pytest.mark.parametrize("engine", ["http", "obstore", "obstore-s3", "remfile"])
def test_the_answer_about_another_version_is_its_head(bucket_server: RangeServer, engine: str) -> None:
    cached = identity_of(bucket_server, engine)
    (bucket_server.folder / NAME).write_bytes(OTHER)
    with open_cached(bucket_server, engine, cached) as store:
        assert read(store, (0, 256 * KIB)) == [OTHER[: 256 * KIB]]
        (request,) = bucket_server.log
    assert request.headers["if-none-match"] == cached.value


def test_a_server_that_knows_no_conditions_is_compared_with(bucket_server: RangeServer) -> None:
    cached = identity_of(bucket_server, "http")
    bucket_server.inject(NAME, "ignore-range")
    with open_cached(bucket_server, "http", cached) as store:
        assert store.is_unchanged
    (bucket_server.folder / NAME).write_bytes(OTHER)
    with open_cached(bucket_server, "http", cached) as store:
        assert not store.is_unchanged
        assert read(store, MIDDLE) == expected_of(MIDDLE, content=OTHER)


def test_a_size_alone_proves_nothing(bucket_server: RangeServer) -> None:
    bucket_server.etag, bucket_server.last_modified = "none", False
    cached = identity_of(bucket_server, "http")
    with open_cached(bucket_server, "http", cached) as store:
        assert not store.is_unchanged
        assert bucket_server.n_requests == 2


def test_a_version_that_the_url_pins_is_not_asked_for(bucket_server: RangeServer) -> None:
    bucket_server.add_version(NAME, "v1", bucket_server.folder / NAME)
    access = make_access({"anon": True, "endpoint_url": bucket_server.base_url})
    url = Url(f"s3://{NAME}?versionId=v1")
    with open_bytes(url, access) as store:
        cached = store.source.identity
    assert cached == Identity("version", "v1", len(CONTENT))
    bucket_server.reset()
    with open_bytes(url, access, cached=cached) as store:
        assert store.is_unchanged
        assert bucket_server.n_requests == 0
        assert read(store, MIDDLE) == expected_of(MIDDLE)
    with open_bytes(url, access, cached=Identity("version", "v0", 5)) as store:
        assert not store.is_unchanged
        assert store.size == len(CONTENT)


def test_a_file_that_is_gone_is_not_found(bucket_server: RangeServer) -> None:
    cached = identity_of(bucket_server, "http")
    (bucket_server.folder / NAME).unlink()
    with pytest.raises(SourceNotFoundError):
        open_cached(bucket_server, "http", cached)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", ["reset", "truncate", "close"])
def test_the_question_is_asked_again_if_it_breaks(bucket_server: RangeServer, fault: Fault) -> None:
    cached = identity_of(bucket_server, "http")
    bucket_server.inject(NAME, fault, times=1)
    with open_cached(bucket_server, "http", cached) as store:
        assert store.is_unchanged


def test_a_file_that_became_empty_is_another_version(bucket_server: RangeServer) -> None:
    for etag in ("strong", "weak"):
        (bucket_server.folder / NAME).write_bytes(CONTENT)
        bucket_server.etag = etag
        cached = identity_of(bucket_server, "http")
        (bucket_server.folder / NAME).write_bytes(b"")
        with open_cached(bucket_server, "http", cached) as store:
            assert not store.is_unchanged
            assert store.size == 0


def test_a_local_file_says_whether_it_is_the_cached_one(tmp_path: Path) -> None:
    path = tmp_path / "a.nwb"
    path.write_bytes(CONTENT)
    url, access = Url(str(path)), make_access()
    with open_bytes(url, access) as store:
        assert not store.is_unchanged
        cached = store.source.identity
    with open_bytes(url, access, cached=cached) as store:
        assert store.is_unchanged
    path.write_bytes(OTHER)
    with open_bytes(url, access, cached=cached) as store:
        assert not store.is_unchanged
        assert store.size == len(OTHER)
