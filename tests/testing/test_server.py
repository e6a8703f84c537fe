from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nwb_dask.testing import RangeServer
from tests.testing.asking import ask

CONTENT = bytes(range(200))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    (tmp_path / "a b.nwb").write_bytes(CONTENT)
    with RangeServer(tmp_path) as running:
        yield running


def get(url: str, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""


@pytest.mark.parametrize(
    ("wanted", "status", "body"),
    [
        ("bytes=5-9", 206, CONTENT[5:10]),
        ("bytes=190-", 206, CONTENT[190:]),
        ("bytes=-3", 206, CONTENT[-3:]),
        ("bytes=-999", 206, CONTENT),
        ("bytes=195-999", 206, CONTENT[195:]),
        ("bytes=200-210", 416, b""),
    ],
)
def test_ranges_are_answered_as_http_has_them(server: RangeServer, wanted: str, status: int, body: bytes) -> None:
    assert get(server.url("a b.nwb"), Range=wanted) == (status, body)
    assert (server.n_requests, server.bytes_by_path["a b.nwb"]) == (1, len(body))


def test_file_without_a_range_is_sent_whole(server: RangeServer) -> None:
    assert get(server.url("a b.nwb")) == (200, CONTENT)


def test_other_version_is_refused(server: RangeServer) -> None:
    assert get(server.url("a b.nwb"), If_Match='"other"', Range="bytes=0-1")[0] == 412


def test_budget_that_holds_passes_and_one_that_does_not_fails(server: RangeServer) -> None:
    with server.budget(requests=1, bytes=2):
        get(server.url("a b.nwb"), Range="bytes=0-1")
    with pytest.raises(AssertionError, match="used 1 requests of 0"), server.budget(requests=0):
        get(server.url("a b.nwb"), Range="bytes=0-1")
    with pytest.raises(AssertionError, match="200 bytes of 199"), server.budget(bytes=199):
        get(server.url("a b.nwb"))


def test_injected_status_comes_after_and_for_as_many_requests_as_asked(server: RangeServer) -> None:
    server.inject("a b.nwb", "status", status=503, after=1, times=2)
    assert [get(server.url("a b.nwb"))[0] for _ in range(4)] == [200, 503, 503, 200]


def test_swapped_file_comes_after_as_many_requests_as_asked(server: RangeServer) -> None:
    server.swap("a b.nwb", b"new", after=1)
    assert [get(server.url("a b.nwb"))[1] for _ in range(2)] == [CONTENT, b"new"]


def test_swapped_file_is_sent_whole_to_who_was_reading_the_old_one(server: RangeServer) -> None:
    etag = ask(server.url("a b.nwb")).headers["etag"]
    server.swap("a b.nwb", CONTENT[::-1], after=1)
    server.inject("a b.nwb", "drip", bytes_per_second=2000, times=1)
    with ThreadPoolExecutor(2) as pool:
        old = pool.submit(ask, server.url("a b.nwb"))
        while server.n_requests < 2:
            time.sleep(0.001)
        time.sleep(0.02)
        new = pool.submit(ask, server.url("a b.nwb")).result()
        assert (old.result().body, old.result().headers["etag"]) == (CONTENT, etag)
    assert (new.body, new.headers["etag"] == etag) == (CONTENT[::-1], False)


def test_requests_that_came_before_a_swap_get_the_old_file_however_late_they_are_answered(server: RangeServer) -> None:
    server.swap("a b.nwb", b"new", after=4)
    server.delay_seconds = 0.05
    with ThreadPoolExecutor(8) as pool:
        bodies = [got.body for got in pool.map(lambda _: ask(server.url("a b.nwb")), range(8))]
    assert sorted(bodies, key=len) == [b"new"] * 4 + [CONTENT] * 4


def test_conditions_are_kept_as_http_has_them(server: RangeServer) -> None:
    url = server.url("a b.nwb")
    known = ask(url, "HEAD").headers
    same, moment, before = known["etag"], known["last-modified"], "Wed, 01 Jan 2020 00:00:00 GMT"
    statuses = {
        "if match": ask(url, If_Match=f'"x", {same}').status,
        "if match any": ask(url, If_Match="*").status,
        "if match other": ask(url, If_Match='"x"').status,
        "if none match": ask(url, If_None_Match=same).status,
        "if none match other": ask(url, If_None_Match='"x"').status,
        "if modified since": ask(url, If_Modified_Since=before).status,
        "if modified since then": ask(url, If_Modified_Since=moment).status,
        "if unmodified since": ask(url, If_Unmodified_Since=before).status,
        "if unmodified since then": ask(url, If_Unmodified_Since=moment).status,
        "if range": ask(url, Range="bytes=0-1", If_Range=same).status,
        "if range other": ask(url, Range="bytes=0-1", If_Range='"x"').status,
    }
    assert list(statuses.values()) == [200, 200, 412, 304, 200, 200, 304, 412, 200, 206, 200]


@pytest.mark.parametrize("wanted", ["bytes=5-3", "bytes=-", "bytes=0-1,5-6", "lines=1-2"])
def test_what_is_no_single_range_gets_the_file(server: RangeServer, wanted: str) -> None:
    assert get(server.url("a b.nwb"), Range=wanted) == (200, CONTENT)


def test_weak_etag_matches_no_condition_that_needs_the_same_bytes(server: RangeServer) -> None:
    server.etag = "weak"
    etag = ask(server.url("a b.nwb")).headers["etag"]
    assert etag.startswith('W/"')
    assert ask(server.url("a b.nwb"), If_Match=etag).status == 412
    assert ask(server.url("a b.nwb"), If_None_Match=etag).status == 304


def test_file_may_have_neither_etag_nor_time(server: RangeServer) -> None:
    server.etag, server.last_modified = "none", False
    assert not {"etag", "last-modified"} & set(ask(server.url("a b.nwb")).headers)


def test_head_has_the_headers_and_no_body(server: RangeServer) -> None:
    got = ask(server.url("a b.nwb"), "HEAD", Range="bytes=5-9")
    assert (got.status, got.body, got.headers["content-length"], server.n_bytes) == (206, b"", "5", 0)


def test_requests_of_one_connection_are_answered_in_turn(server: RangeServer) -> None:
    parts = urlsplit(server.url("a b.nwb"))
    connection = http.client.HTTPConnection(parts.netloc, timeout=5)
    for _ in range(3):
        connection.request("GET", parts.path)
        assert connection.getresponse().read() == CONTENT
    connection.request("PUT", parts.path, body=b"GET / HTTP/1.1\r\n\r\n")
    refused = connection.getresponse()
    assert (refused.status, refused.read()) == (405, b"")
    connection.close()
    assert (server.n_connections, server.n_requests) == (1, 4)


def test_nothing_above_the_folder_is_served(server: RangeServer) -> None:
    (server.folder / "in").mkdir()
    assert ask(f"{server.base_url}/in/../a%20b.nwb").status == 404


def test_large_files_are_sent_whole_to_many_at_once(server: RangeServer) -> None:
    content = os.urandom(3_000_000)
    (server.folder / "large.nwb").write_bytes(content)
    server.delay_seconds = 0.2
    with ThreadPoolExecutor(32) as pool:
        ranges = [(i * 90_000, i * 90_000 + 300_000) for i in range(30)]
        got = list(pool.map(lambda r: ask(server.url("large.nwb"), Range=f"bytes={r[0]}-{r[1] - 1}").body, ranges))
    assert got == [content[start:stop] for start, stop in ranges]
    assert 4 < server.max_in_flight <= 30
    server.reset()
    assert (server.n_requests, server.n_bytes, server.n_connections) == (0, 0, 0)
    # The last answers may be on their way out of the server when they have already been read.
    ended = time.monotonic() + 5
    while server.max_in_flight and time.monotonic() < ended:
        time.sleep(0.001)
        server.reset()
    assert server.max_in_flight == 0


def test_end_of_the_server_does_not_wait_for_a_stalled_answer(tmp_path: Path) -> None:
    (tmp_path / "a.nwb").write_bytes(CONTENT)
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        with RangeServer(tmp_path) as server:
            server.inject("a.nwb", "stall", seconds=60)
            waiting = pool.submit(ask, server.url("a.nwb"))
            while server.n_requests < 1:
                time.sleep(0.001)
        with suppress(OSError, http.client.HTTPException):
            waiting.result()
    assert time.monotonic() - began < 5
