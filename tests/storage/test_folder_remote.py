"""Folders on servers and in buckets, by each engine."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeAlias

import pytest

from nwb_dask.errors import SourceAccessError, SourceChangedError, SourceNotFoundError, SourceUnavailableError
from nwb_dask.index import Identity, Source, Url
from nwb_dask.storage import Folder, KeyRange, concurrency, make_access, open_store, trace
from nwb_dask.testing import RangeServer
from nwb_dask.testing.faulty import Fault
from tests.storage.folders import contents, write_store
from tests.storage.test_folder_local import read

NAME = "bucket/a.nwb.zarr"
KIB = 1024
BIG = os.urandom(3000 * KIB)

pytestmark = pytest.mark.usefixtures("no_cloud", "quick")

Opener: TypeAlias = Callable[..., Folder]


def opener(kind: str, engine: str, **fixed: object) -> Opener:
    def open_it(server: RangeServer, expected: Identity | None = None, name: str = NAME, **more: object) -> Folder:
        cached, is_proven = more.pop("cached", None), more.pop("is_proven", False)
        options = {"engine": engine, **fixed, **more}
        if kind != "http":
            options["endpoint_url"] = server.base_url
        url = server.url(name) if kind == "http" else f"{kind}://{name}"
        found = open_store(Url(url), make_access(options), expected, cached=cached, is_proven=is_proven)  # type: ignore[arg-type]  # given by tests
        assert isinstance(found, Folder)
        return found

    return open_it


OPENERS = {
    "http": opener("http", "http"),
    "obstore-http": opener("http", "obstore"),
    "obstore-s3": opener("s3", "obstore", anon=True, region="us-east-1"),
    "obstore-gs": opener("gs", "obstore", anon=True),
    "obstore-az": opener("az", "obstore", anon=True, account_name="lab"),
    "fsspec-http": opener("http", "fsspec"),
    "s3fs": opener("s3", "s3fs", anon=True),
    "remfile": opener("http", "remfile"),
}
BY_HTTP, BY_S3 = OPENERS["http"], OPENERS["obstore-s3"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = write_store(tmp_path / NAME)
    (path / "x" / "big").write_bytes(BIG)
    (path / "x" / "empty").write_bytes(b"")
    (path / "odd name %20#?.txt").write_bytes(b"odd")
    return path


@pytest.fixture
def server(tmp_path: Path, path: Path) -> Iterator[RangeServer]:
    with RangeServer(tmp_path) as running:
        yield running


@pytest.fixture(params=OPENERS)
def each(request: pytest.FixtureRequest) -> Opener:
    return OPENERS[request.param]


WANTED: list[tuple[KeyRange, Callable[[bytes], bytes]]] = [
    (("x/0", None), lambda whole: whole),
    (("x/1", (1, 3)), lambda whole: whole[1:3]),
    (("x/1", (3, 10**6)), lambda whole: whole[3:]),
    (("x/big", (100, 200)), lambda whole: whole[100:200]),
    (("x/big", (3000 * KIB - 5, 3000 * KIB + 5)), lambda whole: whole[-5:]),
    (("x/big", 16), lambda whole: whole[-16:]),
    (("x/big", 0), lambda _: b""),
    (("x/big", (7, 7)), lambda _: b""),
    (("x/.zarray", None), lambda whole: whole),
    ((".zmetadata", (2, 9)), lambda whole: whole[2:9]),
    (("odd name %20#?.txt", None), lambda whole: whole),
    (("x/empty", None), lambda _: b""),
]


def test_every_engine_reads_values_and_parts_of_them(each: Opener, server: RangeServer, path: Path) -> None:
    with each(server) as folder:
        expected = [part(contents(path, key)) for (key, _), part in WANTED]
        assert read(folder, *(wanted for wanted, _ in WANTED)) == expected
        assert read(folder, ("x/7", None), ("nowhere/.zarray", None), ("x/9", (0, 4)), ("x/9", 4)) == [None] * 4


def test_every_engine_gives_a_version_that_can_be_asked_for(each: Opener, server: RangeServer, path: Path) -> None:
    with each(server) as folder:
        version = folder.source.identity
    assert version.size == (path / ".zmetadata").stat().st_size
    with each(server, cached=version) as folder:
        assert folder.is_unchanged
        assert folder.source.identity == version
    with each(server, version) as folder:
        assert read(folder, ("x/0", None), (".zgroup", None)) == [contents(path, "x/0"), contents(path, ".zgroup")]
        assert folder.is_confirmed
    (path / ".zmetadata").write_bytes(contents(path, ".zmetadata") + b" ")
    os.utime(path / ".zmetadata", (1_600_000_000, 1_600_000_000))
    with each(server, cached=version) as folder:
        assert not folder.is_unchanged
        assert folder.source.identity != version
    with each(server, version) as folder, pytest.raises(SourceChangedError, match=r"a\.nwb\.zarr"):
        folder.read_keys([("x/0", None)])


def test_opening_takes_one_round_and_what_it_fetched_is_kept(server: RangeServer, path: Path) -> None:
    with trace() as seen, BY_HTTP(server) as folder:
        assert (seen.rounds, seen.requests, len(server.log)) == (1, 2, 2)
        assert read(folder, (".zmetadata", None), ("zarr.json", None)) == [contents(path, ".zmetadata"), None]
        assert len(server.log) == 2


def test_a_store_without_consolidated_documents_is_opened_in_two_rounds(server: RangeServer, tmp_path: Path) -> None:
    path = write_store(tmp_path / "bucket" / "plain.zarr", is_consolidated=False)
    with trace() as seen, BY_HTTP(server, name="bucket/plain.zarr") as folder:
        assert (seen.rounds, seen.requests) == (2, 4)
        assert read(folder, (".zgroup", None), (".zattrs", None)) == [
            contents(path, ".zgroup"),
            contents(path, ".zattrs"),
        ]
        assert len(server.log) == 4


def test_an_expected_version_that_was_seen_a_moment_ago_is_not_asked_for_again(server: RangeServer) -> None:
    version = BY_HTTP(server).source.identity
    server.reset()
    with BY_HTTP(server, version, is_proven=True) as folder:
        assert folder.is_confirmed
        folder.read_keys([("x/0", None)])
        assert len(server.log) == 1


def test_a_version_that_is_expected_is_proved_in_the_round_of_the_first_read(server: RangeServer) -> None:
    version = BY_HTTP(server).source.identity
    server.reset()
    with trace() as seen, BY_HTTP(server, version) as folder:
        assert (len(server.log), folder.is_confirmed) == (0, False)
        folder.read_keys([("x/0", None), ("x/1", None)])
        assert (seen.rounds, len(server.log)) == (1, 3)
        folder.read_keys([("x/0", None)])
        assert len(server.log) == 4


def test_one_conditional_request_tells_whether_a_version_is_still_there(server: RangeServer) -> None:
    version = BY_HTTP(server).source.identity
    server.reset()
    assert BY_HTTP(server, cached=version).is_unchanged
    assert [request.headers.get("if-none-match") is not None for request in server.log] == [True]
    assert server.n_bytes == 0


def test_near_ranges_of_one_value_share_a_request(server: RangeServer) -> None:
    with BY_HTTP(server) as folder:
        server.reset()
        parts = [(i * KIB, i * KIB + 900) for i in range(20)]
        assert read(folder, *(("x/big", part) for part in parts)) == [BIG[start:stop] for start, stop in parts]
        assert len(server.log) == 1


@pytest.mark.parametrize("name", ["v3.zarr", "plain.zarr", "plain"])
def test_stores_of_each_kind_are_opened(server: RangeServer, tmp_path: Path, name: str) -> None:
    path = write_store(tmp_path / "bucket" / name, zarr_format=3 if "v3" in name else 2, is_consolidated="v3" in name)
    with BY_S3(server, name=f"bucket/{name}/") as folder:
        version = folder.source.identity
        assert folder.list_keys() == sorted(str(one.relative_to(path)) for one in path.rglob("*") if one.is_file())
        assert folder.list_keys("x/")
        assert folder.list_keys("nowhere/") == []
    (path / ("zarr.json" if "v3" in name else ".zattrs")).write_text("{}    ")
    assert not BY_S3(server, name=f"bucket/{name}/", cached=version).is_unchanged


def test_an_http_server_has_no_listing(server: RangeServer) -> None:
    assert BY_HTTP(server).list_keys() is None


def test_a_store_named_like_a_file_is_found_where_the_file_is_not(server: RangeServer, tmp_path: Path) -> None:
    path = write_store(tmp_path / "bucket" / "b.nwb")
    for by in (BY_HTTP, BY_S3):
        with by(server, name="bucket/b.nwb") as folder:
            version = folder.source.identity
            assert read(folder, ("x/0", None)) == [contents(path, "x/0")]
        server.reset()
        with by(server, version, name="bucket/b.nwb") as folder:
            assert read(folder, ("x/0", None)) == [contents(path, "x/0")]
        assert by(server, cached=version, name="bucket/b.nwb").is_unchanged
        assert len(server.log) == 3


def test_a_folder_whose_server_has_a_page_for_it_is_found_with_a_slash(server: RangeServer, tmp_path: Path) -> None:
    path = write_store(tmp_path / "bucket" / "b.nwb")
    with BY_HTTP(server, name="bucket/b.nwb/") as folder:
        assert read(folder, ("x/0", None)) == [contents(path, "x/0")]


def test_a_forked_process_reads_local_folders_only(
    server: RangeServer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BY_HTTP(server) as folder:
        monkeypatch.setattr(concurrency._threads, "forked", True)
        with pytest.raises(SourceUnavailableError, match="forked"):
            folder.read_keys([("x/0", None)])
        with open_store(Url(str(path)), make_access(None)) as here:
            assert isinstance(here, Folder)
            assert read(here, ("x/0", None)) == [contents(path, "x/0")]


def test_a_file_costs_no_more_requests_than_before(server: RangeServer, tmp_path: Path) -> None:
    (tmp_path / "bucket" / "c.nwb").write_bytes(BIG)
    with server.budget(requests=2):
        assert not isinstance(open_store(Url(server.url("bucket/c.nwb")), make_access(None)), Folder)


def test_what_is_neither_a_file_nor_a_store_is_not_found(server: RangeServer) -> None:
    for name in ("bucket/none.nwb", "bucket/none.zarr", "bucket/none.lindi.d"):
        with pytest.raises(SourceNotFoundError, match="none"):
            BY_HTTP(server, name=name)


@pytest.mark.parametrize("name", ["http", "obstore-s3", "s3fs"])
def test_a_value_that_is_refused_is_never_taken_for_one_that_is_not_there(name: str, server: RangeServer) -> None:
    with OPENERS[name](server) as folder:
        server.inject(f"{NAME}/x/7", "status", status=403, code="AccessDenied")
        with pytest.raises(SourceAccessError, match="x/7"):
            folder.read_keys([("x/0", None), ("x/7", None)])


@pytest.mark.parametrize("name", ["http", "obstore-s3"])
def test_a_bucket_that_does_not_say_what_is_missing_can_be_opened(
    name: str, server: RangeServer, tmp_path: Path
) -> None:
    write_store(tmp_path / "bucket" / "v3.zarr", zarr_format=3)
    for root in (".zmetadata", ".zgroup", ".zattrs"):
        server.inject(f"bucket/v3.zarr/{root}", "status", status=403, code="AccessDenied")
    with OPENERS[name](server, name="bucket/v3.zarr") as folder:
        assert folder.read_keys([(".zmetadata", None)]) == [None]


def test_a_busy_server_is_asked_again_and_a_broken_one_is_an_error(server: RangeServer, path: Path) -> None:
    with BY_HTTP(server, deadline=5.0) as folder, trace() as seen:
        server.inject(f"{NAME}/x/0", "status", status=503, times=2)
        server.inject(f"{NAME}/x/1", "truncate", times=1)
        assert read(folder, ("x/0", None), ("x/1", None)) == [contents(path, "x/0"), contents(path, "x/1")]
        assert seen.retries == 3
        server.inject(f"{NAME}/x/1", "status", status=500)
        with pytest.raises(SourceUnavailableError, match="500"):
            folder.read_keys([("x/0", None), ("x/1", None), ("x/7", None)])


def test_a_server_that_is_silent_is_waited_for_until_the_deadline(server: RangeServer) -> None:
    with BY_HTTP(server, deadline=0.3) as folder:
        server.inject(f"{NAME}/x/0", "stall")
        with pytest.raises(SourceUnavailableError, match="time"):
            folder.read_keys([("x/0", None), ("x/1", None)])


@pytest.mark.parametrize("name", ["http", "obstore-http", "fsspec-http", "remfile"])
@pytest.mark.parametrize("fault", ["ignore-range", "no-suffix"])
def test_a_server_without_ranges_sends_values_whole(name: str, fault: Fault, server: RangeServer) -> None:
    with OPENERS[name](server) as folder:
        server.inject(f"{NAME}/x/big", fault)
        assert read(folder, ("x/big", (5, 9)), ("x/big", 3)) == [BIG[5:9], BIG[-3:]]


def test_a_version_is_asked_for_where_the_server_has_neither_etags_nor_ranges(tmp_path: Path, path: Path) -> None:
    with RangeServer(tmp_path, etag="none") as server:
        server.inject(f"{NAME}/.zmetadata", "ignore-range")
        with BY_HTTP(server) as folder:
            version = folder.source.identity
        assert version.kind == "mtime"
        with BY_HTTP(server, version) as folder:
            assert bytes(folder.read_keys([("x/0", None)])[0] or b"") == contents(path, "x/0")
        with BY_HTTP(server, cached=version) as folder:
            assert folder.is_unchanged


def test_a_value_replaced_between_its_parts_is_noticed(server: RangeServer) -> None:
    with BY_HTTP(server, requests_per_host=1) as folder:
        server.swap(f"{NAME}/x/big", BIG[::-1], after=1)
        with pytest.raises(SourceChangedError):
            folder.read_keys([("x/big", (0, 10)), ("x/big", (2000 * KIB, 2001 * KIB))])


def test_requests_of_one_server_are_bounded(server: RangeServer) -> None:
    server.delay_seconds = 0.01
    with BY_HTTP(server, requests_per_host=3) as folder:
        server.reset()
        folder.read_keys([(f"x/0.{i}", None) for i in range(30)])
        assert server.max_in_flight == 3


def test_a_signature_goes_with_every_value_and_is_never_shown(server: RangeServer, path: Path) -> None:
    url = Url(f"{server.url(NAME)}?sig=canary")
    folder = open_store(url, make_access(None))
    assert isinstance(folder, Folder)
    assert read(folder, ("x/0", None)) == [contents(path, "x/0")]
    assert all("sig=canary" in request.target for request in server.log)
    server.inject(f"{NAME}/x/1", "status", status=500)
    with trace() as seen, pytest.raises(SourceUnavailableError) as caught:
        folder.read_keys([("x/1", None)])
    assert "canary" not in f"{caught.value!r}{folder!r}{seen.by_url}"


def test_a_source_pickles_and_its_folder_reads_in_another_process(server: RangeServer) -> None:
    source: Source = pickle.loads(pickle.dumps(BY_HTTP(server).source))
    with open_store(source.url, make_access(None), source.identity) as folder:
        assert isinstance(folder, Folder)
        assert folder.read_keys([("x/0", None)])[0] is not None


class SilentHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_a_server_without_ranges_proves_versions_and_sends_whole_values(path: Path) -> None:
    handler = partial(SilentHandler, directory=str(path.parent.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as plain:
        thread = threading.Thread(target=plain.serve_forever, args=(0.02,))
        thread.start()
        try:
            url = Url(f"http://127.0.0.1:{plain.server_address[1]}/{NAME}")
            version = open_store(url, make_access({})).source.identity
            assert open_store(url, make_access({}), cached=version).is_unchanged
            with open_store(url, make_access({}), version) as folder:
                assert isinstance(folder, Folder)
                assert read(folder, ("x/big", (100, 200)), ("x/big", 16)) == [BIG[100:200], BIG[-16:]]
        finally:
            plain.shutdown()
            thread.join()
