from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from nwb_dask.index import Url
from nwb_dask.storage import concurrency, make_access, open_bytes
from nwb_dask.storage.concurrency import run_all
from nwb_dask.testing import RangeServerProcess
from tests.storage.serving import CONTENT


class Meter:
    """Counts how many calls of each kind are under way at once."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.lock = threading.Lock()
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.seconds = seconds

    def call(self, kind: str, result: int) -> int:
        with self.lock:
            self.now[kind] += 1
            self.most[kind] = max(self.most[kind], self.now[kind])
        time.sleep(self.seconds)
        with self.lock:
            self.now[kind] -= 1
        return result

    def run(self, kind: str, n_calls: int, *, limit: int) -> list[int | None]:
        return run_all(kind, [partial(self.call, kind, i) for i in range(n_calls)], limit=limit)


def test_results_come_in_order_and_calls_run_at_once_up_to_the_limit() -> None:
    meter = Meter()
    assert meter.run("order", 40, limit=7) == list(range(40))
    assert 2 <= meter.most["order"] <= 7


def test_callers_share_the_limit_of_a_server() -> None:
    meter = Meter()
    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(lambda _: meter.run("shared", 10, limit=5), range(10))) == [list(range(10))] * 10
    assert meter.most["shared"] <= 5


def test_a_slow_server_does_not_keep_threads_from_another() -> None:
    slow, quick = Meter(0.5), Meter(0.001)
    with ThreadPoolExecutor(1) as pool:
        behind = pool.submit(slow.run, "slow", 8, limit=2)
        time.sleep(0.05)
        began = time.monotonic()
        quick.run("quick", 100, limit=10)
        assert time.monotonic() - began < 0.5
        behind.result()


def test_one_call_runs_on_the_thread_of_its_caller_and_waits_for_none() -> None:
    meter = Meter(0.3)
    with ThreadPoolExecutor(1) as pool:
        behind = pool.submit(meter.run, "busy", 2, limit=1)
        time.sleep(0.05)
        began = time.monotonic()
        assert run_all("busy", [threading.get_ident], limit=1) == [threading.get_ident()]
        assert time.monotonic() - began < 0.2
        behind.result()


def test_after_a_fatal_result_calls_that_have_not_begun_are_left_out() -> None:
    begun: list[int] = []

    def call(i: int) -> int:
        begun.append(i)
        time.sleep(0.01)
        return i

    calls = [partial(call, i) for i in range(100)]
    results = run_all("fatal", calls, limit=2, is_fatal=lambda result: result == 3)
    assert results[3] == 3
    assert results[20:] == [None] * 80
    assert len(begun) < 10


def test_an_error_in_a_call_is_raised_and_the_rest_is_left_out() -> None:
    begun: list[int] = []

    def call(i: int) -> int:
        begun.append(i)
        if i == 2:
            raise ZeroDivisionError
        return i

    with pytest.raises(ZeroDivisionError):
        run_all("error", [partial(call, i) for i in range(1000)], limit=1)
    assert len(begun) < 1000
    assert run_all("error", [lambda: 1, lambda: 2], limit=1) == [1, 2]


def test_nothing_is_left_of_a_server_when_its_calls_have_ended() -> None:
    Meter().run("gone", 20, limit=3)
    deadline = time.monotonic() + 5
    while "gone" in concurrency._threads.running and time.monotonic() < deadline:
        time.sleep(0.001)
    assert "gone" not in concurrency._threads.running
    assert "gone" not in concurrency._threads.waiting


def test_many_threads_that_read_many_ranges_each_come_to_their_end(tmp_path: Path) -> None:
    (tmp_path / "a.nwb").write_bytes(CONTENT)
    starts = range(300_000, 2_700_000, 60_000)
    with (
        RangeServerProcess(tmp_path, delay_seconds=0.005) as server,
        open_bytes(Url(server.url("a.nwb")), make_access({"requests_per_host": 8})) as store,
        ThreadPoolExecutor(40) as pool,
    ):
        reads = [pool.submit(store.read, [(start, start + 100) for start in starts]) for _ in range(40)]
        expected = [CONTENT[start : start + 100] for start in starts]
        assert all([bytes(one) for one in read.result(timeout=60)] == expected for read in reads)
        assert server.counted()["max_in_flight"] <= 8


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["http", "obstore"])
def test_two_hundred_scattered_reads_take_four_latencies(tmp_path: Path, engine: str) -> None:
    (tmp_path / "a.nwb").write_bytes(bytes(64 * 2**20))
    ranges = [(start, start + 4096) for start in range(300_000, 60_300_000, 300_000)]
    assert len(ranges) == 200
    with (
        RangeServerProcess(tmp_path, delay_seconds=0.03) as server,
        open_bytes(Url(server.url("a.nwb")), make_access({"engine": engine})) as store,
    ):
        taken = []
        for _ in range(5):
            began = time.perf_counter()
            store.read(ranges)
            taken.append(time.perf_counter() - began)
    assert min(taken) < 0.3
