from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from nwb_dask.testing import RangeServer

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
