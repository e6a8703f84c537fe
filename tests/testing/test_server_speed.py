"""The server is as slow as it was told, as a process of its own too, and says what it has counted."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nwb_dask.testing import RangeServer, RangeServerProcess
from nwb_dask.testing.line import Line
from tests.testing.asking import ask

CONTENT = bytes(range(256)) * 4000
KIB = 1024


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    (tmp_path / "a.nwb").write_bytes(CONTENT)
    with RangeServer(tmp_path) as running:
        yield running


def seconds_for(server: RangeServer, n_transfers: int, n_bytes: int) -> float:
    """Return how long so many transfers take that run at once."""
    began = time.monotonic()
    with ThreadPoolExecutor(n_transfers) as pool:
        got = pool.map(lambda _: ask(server.url("a.nwb"), Range=f"bytes=0-{n_bytes - 1}").body, range(n_transfers))
        assert set(got) == {CONTENT[:n_bytes]}
    return time.monotonic() - began


@pytest.mark.parametrize("n_bytes", [2 * KIB, 500 * KIB])
def test_connections_share_the_line(server: RangeServer, n_bytes: int) -> None:
    server.line_bytes_per_second = 20 * n_bytes
    assert 0.19 <= seconds_for(server, 4, n_bytes) < 1.5


@pytest.mark.parametrize("n_bytes", [2 * KIB, 500 * KIB])
def test_each_connection_has_its_own_rate(server: RangeServer, n_bytes: int) -> None:
    server.bytes_per_second = 5 * n_bytes
    assert 0.19 <= seconds_for(server, 4, n_bytes) < 1.5


def test_the_slower_of_both_rates_holds(server: RangeServer) -> None:
    server.bytes_per_second, server.line_bytes_per_second = 500 * KIB, 1000 * KIB
    assert 0.19 <= seconds_for(server, 1, 100 * KIB) < 1.5
    assert 0.39 <= seconds_for(server, 4, 100 * KIB) < 1.5


def test_line_without_limit_is_not_slow(server: RangeServer) -> None:
    server.line_bytes_per_second = 10.0
    server.line_bytes_per_second = None
    assert server.line_bytes_per_second is None
    assert seconds_for(server, 4, len(CONTENT)) < 5


def test_pieces_go_through_a_line_one_after_the_other() -> None:
    line, now = Line(1000), time.monotonic()
    ends = [line.reserve(100, now) - now for _ in range(3)]
    assert ends == pytest.approx([0.1, 0.2, 0.3])
    assert line.reserve(100, now + 5) - now == pytest.approx(5.1)
    with pytest.raises(ValueError, match="more than nothing"):
        Line(0)


def test_transfer_that_sleeps_too_long_catches_up() -> None:
    line, since = Line(1e6), time.monotonic()
    began = since
    for _ in range(10):
        since = line.reserve(1000, since)
        time.sleep(max(since - time.monotonic(), 0) + 0.001)
    assert since - began == pytest.approx(0.01)


def test_line_does_not_save_up_what_nobody_used() -> None:
    line, began = Line(1e6), time.monotonic()
    time.sleep(0.1)
    assert line.reserve(1000, began) >= began + 0.08


def test_each_answer_comes_after_the_delay(server: RangeServer) -> None:
    server.delay_seconds = 0.2
    assert 0.2 <= seconds_for(server, 8, 10) < 1.5
    assert 1 < server.max_in_flight <= 8


def test_server_in_its_own_process_serves_and_counts(tmp_path: Path) -> None:
    (tmp_path / "a b.nwb").write_bytes(CONTENT)
    with RangeServerProcess(tmp_path, delay_seconds=0.05, line_bytes_per_second=1e6) as server:
        began = time.monotonic()
        assert ask(server.url("a b.nwb"), Range="bytes=0-99999").body == CONTENT[:100_000]
        assert time.monotonic() - began >= 0.14
        counted = server.counted()
        assert counted["by_path"] == {"a b.nwb": {"requests": 1, "bytes": 100_000}}
        assert (counted["requests"], counted["bytes"], counted["max_in_flight"]) == (1, 100_000, 1)
        server.reset()
        assert server.counted()["by_path"] == {}


def test_process_prints_its_url_and_ends_with_its_input(tmp_path: Path) -> None:
    (tmp_path / "a.nwb").write_bytes(CONTENT)
    command = [sys.executable, "-W", "error", "-m", "nwb_dask.testing.server", str(tmp_path), "--until-eof"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{url}/a.nwb", timeout=5) as answer:
            assert answer.read() == CONTENT
        assert process.communicate(timeout=10) == ("", "")
        assert process.returncode == 0


def test_process_that_cannot_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="did not start"), RangeServerProcess(tmp_path, line_bytes_per_second=0):
        pass


def test_control_requests_are_not_counted(server: RangeServer) -> None:
    assert ask(f"{server.base_url}/-/log").status == 200
    assert ask(f"{server.base_url}/-/reset", "POST").status == 200
    assert ask(f"{server.base_url}/-/other").status == 404
    assert (server.n_requests, server.n_bytes) == (0, 0)
