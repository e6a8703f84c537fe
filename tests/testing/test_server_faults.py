"""Each fault is on the wire what it says, as often and as late as it was told."""

from __future__ import annotations

import gzip
import http.client
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from nwb_dask.testing import TRANSIENT, Failure, Fault, RangeServer
from tests.testing.asking import ask

CONTENT = bytes(range(256)) * 1000
MIDDLE = "bytes=1000-1999"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    (tmp_path / "a.nwb").write_bytes(CONTENT)
    (tmp_path / "b.nwb").write_bytes(CONTENT[::-1])
    with RangeServer(tmp_path) as running:
        yield running


def test_status_comes_with_what_was_asked_for(server: RangeServer) -> None:
    server.inject("a.nwb", "status", status=503, code="SlowDown", retry_after=7)
    got = ask(server.url("a.nwb"))
    assert (got.status, got.headers["retry-after"]) == (503, "7")
    assert b"<Code>SlowDown</Code>" in got.body
    assert (server.faults_by_name, server.n_faults, server.n_bytes) == ({"503": 1}, 1, 0)


def test_expired_signature_is_refused_as_s3_does(server: RangeServer) -> None:
    server.inject("a.nwb", "expired", after=1)
    assert ask(server.url("a.nwb")).status == 200
    got = ask(server.url("a.nwb"))
    assert got.status == 403
    assert b"<Code>AccessDenied</Code><Message>Request has expired</Message>" in got.body


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("close", http.client.RemoteDisconnected),
        ("reset", ConnectionResetError),
        ("reset-body", ConnectionResetError),
        ("truncate", http.client.IncompleteRead),
    ],
)
def test_connection_breaks(server: RangeServer, fault: Fault, error: type[Exception]) -> None:
    server.inject("a.nwb", fault, times=1)
    with pytest.raises(error) as caught:
        ask(server.url("a.nwb"))
    assert type(caught.value) is error
    assert ask(server.url("a.nwb")).body == CONTENT


def test_truncated_body_is_half_of_it(server: RangeServer) -> None:
    server.inject("a.nwb", "truncate")
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(server.url("a.nwb"), Range=MIDDLE)
    assert (caught.value.partial, server.n_bytes) == (CONTENT[1000:1500], 500)


def test_stalled_answer_is_late_and_right(server: RangeServer) -> None:
    server.inject("a.nwb", "stall", seconds=0.2)
    began = time.monotonic()
    assert ask(server.url("a.nwb"), Range=MIDDLE).body == CONTENT[1000:2000]
    assert time.monotonic() - began >= 0.2


def test_dripping_body_is_slow_and_right(server: RangeServer) -> None:
    server.inject("a.nwb", "drip", bytes_per_second=5000)
    began = time.monotonic()
    assert ask(server.url("a.nwb"), Range=MIDDLE).body == CONTENT[1000:2000]
    assert time.monotonic() - began >= 0.19


@pytest.mark.parametrize(
    ("fault", "wanted", "sent"),
    [
        ("short-range", MIDDLE, (206, "bytes 1000-1499/256000", CONTENT[1000:1500])),
        ("wrong-start", MIDDLE, (206, "bytes 1001-2000/256000", CONTENT[1001:2001])),
        ("wrong-start", "bytes=-10", (206, "bytes 255989-255998/256000", CONTENT[-11:-1])),
        ("wrong-total", MIDDLE, (206, "bytes 1000-1999/256001", CONTENT[1000:2000])),
        ("no-content-range", MIDDLE, (206, None, CONTENT[1000:2000])),
        ("ignore-range", MIDDLE, (200, None, CONTENT)),
        ("no-suffix", "bytes=-10", (416, "bytes */256000", b"")),
        ("no-suffix", MIDDLE, (206, "bytes 1000-1999/256000", CONTENT[1000:2000])),
    ],
)
def test_ranges_are_answered_wrongly(
    server: RangeServer, fault: Fault, wanted: str, sent: tuple[int, str | None, bytes]
) -> None:
    server.inject("a.nwb", fault)
    got = ask(server.url("a.nwb"), Range=wanted)
    assert (got.status, got.headers.get("content-range"), got.body) == sent


def test_chunked_body_has_no_length_beforehand(server: RangeServer) -> None:
    server.inject("a.nwb", "chunked")
    got = ask(server.url("a.nwb"))
    assert (got.headers["transfer-encoding"], got.headers.get("content-length"), got.body) == ("chunked", None, CONTENT)


def test_body_is_compressed_for_who_accepts_that(server: RangeServer) -> None:
    server.inject("a.nwb", "gzip")
    plain, small = (
        ask(server.url("a.nwb"), Range=MIDDLE),
        ask(server.url("a.nwb"), Range=MIDDLE, Accept_Encoding="gzip"),
    )
    assert (plain.body, plain.headers.get("content-encoding")) == (CONTENT[1000:2000], None)
    assert (gzip.decompress(small.body), small.headers["content-encoding"]) == (CONTENT[1000:2000], "gzip")


def test_every_fault_is_counted_under_its_name(server: RangeServer) -> None:
    for fault in get_args(Fault):
        server.reset()
        server.inject("a.nwb", fault, seconds=0, bytes_per_second=1e9)
        try:
            ask(server.url("a.nwb"), Range=MIDDLE)
        except (OSError, http.client.HTTPException):
            assert fault in {"close", "reset", "reset-body", "truncate"}
        assert server.faults_by_name == {"500" if fault == "status" else fault: 1}


def outcome(server: RangeServer, name: str, start: int) -> str:
    try:
        return str(ask(server.url(name), Range=f"bytes={start}-{start + 9}").status)
    except (OSError, http.client.HTTPException) as exc:
        return type(exc).__name__


def test_random_failures_follow_from_the_seed_whatever_the_order(server: RangeServer) -> None:
    asked = [("a.nwb" if i % 2 else "b.nwb", i * 10) for i in range(200)]
    server.random_failures(0.1, seed=5)
    once = {one: outcome(server, *one) for one in asked}
    failed = [one for one in asked if once[one] != "206"]
    assert len(failed) == server.n_faults
    assert 10 <= len(failed) <= 35
    assert len(server.faults_by_name) >= 5
    server.clear_faults()
    assert {outcome(server, *one) for one in failed} == {"206"}
    server.random_failures(0.1, seed=5)
    assert {one: outcome(server, *one) for one in reversed(asked)} == once
    server.clear_faults()
    server.random_failures(0.1, seed=6)
    assert {one: outcome(server, *one) for one in asked} != once


def test_failure_by_chance_is_drawn_again_when_it_is_tried_again(server: RangeServer) -> None:
    server.random_failures(0.5, [503])
    assert {outcome(server, "a.nwb", 0) for _ in range(40)} == {"206", "503"}


def test_faults_of_a_file_come_by_chance_too_and_before_those_of_all_files(server: RangeServer) -> None:
    server.random_failures(1, [Failure("status", 502)])
    server.inject("a.nwb", "status", status=503, probability=0.5, seed=1)
    assert {outcome(server, "a.nwb", i) for i in range(40)} == {"206", "503"}
    assert outcome(server, "b.nwb", 0) == "502"


def test_transient_faults_are_faults(server: RangeServer) -> None:
    assert {kind for kind in TRANSIENT if isinstance(kind, str)} <= set(get_args(Fault))
    assert all(400 < kind < 600 for kind in TRANSIENT if isinstance(kind, int))


def test_redirect_has_its_status_and_asks_for_its_target_each_time(server: RangeServer) -> None:
    server.redirect("old/", server.url("a.nwb"), status=307)
    got = ask(server.url("old/"))
    assert (got.status, got.headers["location"]) == (307, server.url("a.nwb"))
    server.redirect("old/", lambda: server.signed_url("a.nwb"))
    targets = [ask(server.url("old/")).headers["location"] for _ in range(2)]
    assert targets[0] != targets[1]
    assert [ask(target).body for target in targets] == [CONTENT, CONTENT]


def test_signed_url_opens_its_file_for_a_while(server: RangeServer) -> None:
    url, passed = server.signed_url("a.nwb", seconds=60), server.signed_url("a.nwb", seconds=0)
    assert (ask(url).status, ask(passed).status) == (200, 403)
    assert ask(url, "HEAD").status == 403
    assert ask(url.replace("a.nwb", "b.nwb")).status == 403
    server.expire_signatures()
    assert b"Request has expired" in ask(url).body
    assert [ask(one).status for one in (server.url("a.nwb"), server.signed_url("a.nwb"))] == [200, 200]


def test_signed_url_opens_its_file_so_many_times(server: RangeServer) -> None:
    url = server.signed_url("a.nwb", requests=2)
    assert [ask(url).status for _ in range(3)] == [200, 200, 403]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("expires=1000", 403),
        ("Expires=99999999999&Signature=s", 200),
        ("X-Amz-Date=20200101T000000Z&X-Amz-Expires=60&X-Amz-Signature=s", 403),
        ("X-Amz-Date=20200101T000000Z&X-Amz-Expires=9999999999&X-Amz-Signature=s", 200),
        ("X-Amz-Signature=s", 200),
    ],
)
def test_signature_of_others_is_valid_until_its_time_has_passed(server: RangeServer, query: str, status: int) -> None:
    assert ask(server.url("a.nwb") + "?" + query).status == status


def test_file_that_needs_a_signature_is_refused_without_one(server: RangeServer) -> None:
    server.require_signature("a.nwb")
    assert [ask(url).status for url in (server.url("a.nwb"), server.signed_url("a.nwb"))] == [403, 200]
    assert ask(server.url("a.nwb"), Authorization="AWS4-HMAC-SHA256 Credential=x").status == 200
