from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from types import SimpleNamespace

import pytest

from nwb_dask.errors import NWBDaskError, SourceAccessError, SourceNotFoundError, SourceUnavailableError
from nwb_dask.index import Identity, Url
from nwb_dask.storage import Store, make_access, open_bytes, retry, trace
from nwb_dask.storage.engines.protocol import Answer, Driver, Failure, Outcome, Pin, Wanted
from nwb_dask.storage.retry import send
from nwb_dask.testing import Fault, RangeServer
from tests.storage.serving import FAR, MIDDLE, NAME, OPENERS, Opener, expected_of, read

THERE = Answer(memoryview(b"x"), 0, Identity("size", "", 1))
CLIENTS = {name: OPENERS[name] for name in ("http", "obstore-http", "obstore-s3")}
by_client = pytest.mark.parametrize("opener", CLIENTS.values(), ids=CLIENTS.keys())
pytestmark = pytest.mark.usefixtures("no_cloud")


class FakeEngine:
    """Fails as it is told to, then answers."""

    host = "fake"
    version: str | None = None
    driver: Driver | None = None

    def __init__(self, *failures: Failure) -> None:
        self.outcomes: Iterator[Outcome] = iter((*failures, THERE))
        self.asked: list[float] = []

    def get(self, wanted: Wanted, pin: Pin, until: float) -> Outcome:
        self.asked.append(time.monotonic())
        return next(self.outcomes)

    def expect(self, identity: Identity) -> None: ...

    def identify(self, until: float) -> None: ...

    def prepare(self, n_following: int, until: float) -> tuple[int, int]:
        return 0, 0

    def renew(self) -> None: ...


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that would have been slept; the clock goes on as if they had been."""
    slept: list[float] = []
    clock = SimpleNamespace(sleep=slept.append, monotonic=lambda: time.monotonic() + sum(slept))
    monkeypatch.setattr(retry, "time", clock)
    monkeypatch.setattr(retry, "_pauses", {})
    return slept


def ask(engine: FakeEngine, *, seconds: float = 100) -> Outcome:
    return send(engine, (0, 1), Pin(), name="a.nwb", seconds=seconds)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507, 520])
def test_a_status_that_may_pass_is_asked_again(naps: list[float], status: int) -> None:
    assert ask(FakeEngine(Failure("status", status), Failure("status", status))) is THERE
    assert len(naps) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 412, 416, 451, 501, 505])
def test_a_status_that_stays_is_not_asked_again(naps: list[float], status: int) -> None:
    failure = Failure("status", status)
    assert ask(FakeEngine(failure)) is failure
    assert naps == []


def test_times_between_tries_grow_and_are_drawn_by_chance(naps: list[float]) -> None:
    drawn = []
    for _ in range(200):
        naps.clear()
        ask(FakeEngine(*[Failure("broken")] * 6))
        drawn.append(list(naps))
    longest = [max(column) for column in zip(*drawn, strict=True)]
    bounds = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
    assert all(one <= bound for one, bound in zip(longest, bounds, strict=True))
    assert all(before < after for before, after in pairwise(longest))
    assert len({one[0] for one in drawn}) > 100


def test_tries_are_bounded_in_number(naps: list[float]) -> None:
    failures = [Failure("broken")] * 50
    engine = FakeEngine(*failures)
    assert ask(engine) is failures[0]
    assert len(engine.asked) == 7


def test_a_silence_is_tried_again_once(naps: list[float]) -> None:
    engine = FakeEngine(*[Failure("timeout")] * 5)
    assert isinstance(ask(engine), Failure)
    assert len(engine.asked) == 2


def test_tries_are_bounded_in_time(naps: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "random", SimpleNamespace(uniform=lambda _, high: high))
    engine = FakeEngine(*[Failure("status", 503)] * 5)
    assert isinstance(ask(engine, seconds=0.5), Failure)
    assert naps == [0.1, 0.2]


def test_a_connection_that_had_been_closed_is_replaced_at_once(naps: list[float]) -> None:
    assert ask(FakeEngine(Failure("stale"))) is THERE
    assert naps == [0.0]


def test_the_time_that_the_server_asks_for_is_waited(naps: list[float]) -> None:
    assert ask(FakeEngine(Failure("status", 429, retry_after=7.0))) is THERE
    assert 7.0 <= naps[0] <= 7.1


def test_a_time_beyond_the_deadline_is_not_waited(naps: list[float]) -> None:
    failure = Failure("status", 503, retry_after=3600.0)
    assert ask(FakeEngine(failure)) is failure
    assert naps == []


def test_a_pause_holds_for_all_requests_to_the_server(naps: list[float]) -> None:
    retry._pauses["fake"] = time.monotonic() + 5
    assert ask(FakeEngine()) is THERE
    assert 4 < naps[0] <= 5
    assert ask(FakeEngine()) is THERE
    assert len(naps) == 1
    retry._pauses["other"] = time.monotonic() + 500
    assert ask(FakeEngine()) is THERE
    assert len(naps) == 1


# --- With a server


def test_retry_after_is_understood_in_seconds(bucket_server: RangeServer) -> None:
    check_waited(bucket_server, retry_after=1, at_least=1.0)


def test_retry_after_is_understood_as_a_date(bucket_server: RangeServer) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    check_waited(bucket_server, retry_after=date, at_least=0.8)


def check_waited(server: RangeServer, *, retry_after: int | str, at_least: float) -> None:
    with OPENERS["http"](server) as store:
        server.reset()
        server.inject(NAME, "status", status=429, retry_after=retry_after, times=1)
        with trace() as traced:
            assert read(store, MIDDLE) == expected_of(MIDDLE)
    refused, again = server.log
    assert at_least <= again.arrived - refused.arrived < 2.5
    assert traced.retries == 1


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("options", [{}, {"anon": False, "key": "AKIAXYZZY", "secret": "sesame"}], ids=["anon", "keys"])
def test_retry_after_of_s3_is_seen_from_the_second_refusal_on(
    bucket_server: RangeServer, options: dict[str, object]
) -> None:
    with OPENERS["obstore-s3"](bucket_server, **{"anon": True, **options}) as store:
        bucket_server.reset()
        bucket_server.inject(NAME, "status", status=503, code="SlowDown", retry_after=1, times=2)
        assert read(store, MIDDLE) == expected_of(MIDDLE)
        first, second, third = bucket_server.log
    assert second.arrived - first.arrived < 0.9
    assert third.arrived - second.arrived >= 1
    assert third.headers["if-match"] == store.source.identity.value
    assert ("X-Amz-Signature=" in third.target) == bool(options)


@by_client
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", ["reset", "reset-body", "truncate", "close", 408, 429, 500, 502, 503, 504])
def test_what_passes_leaves_no_trace_in_the_bytes(
    bucket_server: RangeServer, opener: Opener, fault: Fault | int
) -> None:
    with opener(bucket_server) as store:
        inject(bucket_server, fault, times=2)
        with trace() as traced:
            assert read(store, MIDDLE, FAR) == expected_of(MIDDLE, FAR)
    assert (traced.requests, traced.retries, traced.bytes) == (2, 2, 2048)


def inject(server: RangeServer, fault: Fault | int, *, times: int | None = None) -> None:
    if isinstance(fault, int):
        server.inject(NAME, "status", status=fault, times=times)
    else:
        server.inject(NAME, fault, times=times)


@by_client
@pytest.mark.parametrize(
    ("status", "error"),
    [(403, SourceAccessError), (404, SourceNotFoundError), (410, SourceNotFoundError), (416, NWBDaskError)],
)
def test_a_refusal_is_asked_once(
    bucket_server: RangeServer, opener: Opener, status: int, error: type[NWBDaskError]
) -> None:
    with opener(bucket_server) as store:
        inject(bucket_server, status)
        bucket_server.reset()
        with pytest.raises(error), trace() as traced:
            store.read([MIDDLE])
    assert bucket_server.n_requests == 1
    assert (traced.requests, traced.retries) == (1, 0)


@by_client
def test_after_a_refusal_no_more_is_asked(bucket_server: RangeServer, opener: Opener) -> None:
    ranges = [(start, start + 10) for start in range(300_000, 2_700_000, 40_000)]
    with opener(bucket_server, requests_per_host=4) as store:
        inject(bucket_server, 403)
        bucket_server.reset()
        with pytest.raises(SourceAccessError):
            store.read(ranges)
    assert bucket_server.n_requests <= 8


@by_client
@pytest.mark.parametrize("fault", ["drip", "stall"])
def test_a_request_ends_at_its_deadline(bucket_server: RangeServer, opener: Opener, fault: Fault) -> None:
    with opener(bucket_server, deadline=0.5) as store:
        bucket_server.inject(NAME, fault, bytes_per_second=500, seconds=30)
        began = time.monotonic()
        with pytest.raises(SourceUnavailableError, match="in time"):
            store.read([MIDDLE])
        assert 0.4 < time.monotonic() - began < 2


def test_headers_that_drip_end_at_the_deadline_too(dripping: str) -> None:
    began = time.monotonic()
    with pytest.raises(SourceUnavailableError, match="in time"):
        open_url(dripping, deadline=0.5)
    assert time.monotonic() - began < 2


@pytest.fixture
def dripping() -> Iterator[str]:
    """A server that sends a byte of a header twenty times a second, for ever."""
    import socketserver  # noqa: PLC0415  # only here
    import threading  # noqa: PLC0415  # likewise

    class Drip(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                self.request.sendall(b"HTTP/1.1 206 Partial Content\r\nX-Slow: ")
                while not ended.wait(0.05):
                    self.request.sendall(b"x")
            except OSError:
                return

    ended = threading.Event()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drip) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/a.nwb"
        ended.set()
        server.shutdown()
        thread.join()


def open_url(url: str, **options: object) -> Store:
    return open_bytes(Url(url), make_access(options))


def test_a_server_that_asks_to_wait_too_long_is_left_with_its_words(bucket_server: RangeServer) -> None:
    bucket_server.inject(NAME, "status", status=503, retry_after=3600)
    with pytest.raises(SourceUnavailableError, match="503 Service Unavailable and asks to wait 3600 s"):
        open_url(bucket_server.url(NAME))
