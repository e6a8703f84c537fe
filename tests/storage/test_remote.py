from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nwb_dask.errors import (
    MalformedFileError,
    NWBDaskError,
    SourceAccessError,
    SourceChangedError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from nwb_dask.index import Url
from nwb_dask.storage import Store, expand_sources, make_access, open_bytes, retry, trace
from nwb_dask.storage.access import _Registry
from nwb_dask.storage.engines import http
from nwb_dask.testing import RangeServer

ACCESS = make_access()
KIB = 1024
CONTENT = os.urandom(3000 * KIB)
MIDDLE = (1000 * KIB, 1001 * KIB)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    (tmp_path / "a.nwb").write_bytes(CONTENT)
    with RangeServer(tmp_path) as running:
        yield running


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_N_RETRIES", 1)
    monkeypatch.setattr(retry, "_FIRST_SECONDS", 0.01)


def open_url(url: str) -> Store:
    return open_bytes(Url(url), ACCESS)


def all_text(error: BaseException) -> str:
    """Return all that a traceback of the error shows, contexts included, and those that are suppressed."""
    seen, text = error.__context__, "".join(traceback.format_exception(error)) + repr(error)
    return text + (all_text(seen) if seen is not None else "")


def test_opening_is_one_round_of_two_requests_and_no_head(server: RangeServer) -> None:
    with trace() as traced, server.budget(requests=2, bytes=512 * KIB), open_url(server.url("a.nwb")) as store:
        assert store.size == len(CONTENT)
    assert (traced.requests, traced.rounds, traced.bytes) == (2, 1, 512 * KIB)
    assert {request.method for request in server.log} == {"GET"}


def test_head_and_tail_are_read_without_further_requests(server: RangeServer) -> None:
    with open_url(server.url("a.nwb")) as store, server.budget(requests=0):
        size = store.size
        ranges = [(0, 8), (size - 8, size), (7, 256 * KIB)]
        assert [bytes(one) for one in store.read(ranges)] == [CONTENT[start:stop] for start, stop in ranges]


def test_scattered_ranges_are_the_bytes_of_the_file(server: RangeServer) -> None:
    ranges = [(2000 * KIB, 2001 * KIB), (300 * KIB, 310 * KIB), (5, 5), (305 * KIB, 2700 * KIB), (0, 3), MIDDLE]
    with open_url(server.url("a.nwb")) as store:
        assert [bytes(one) for one in store.read(ranges)] == [CONTENT[start:stop] for start, stop in ranges]


def test_near_ranges_share_a_request_and_far_ones_go_in_one_round(server: RangeServer) -> None:
    near = [(600 * KIB, 601 * KIB), (615 * KIB, 616 * KIB)]
    with open_url(server.url("a.nwb")) as store, trace() as traced, server.budget(requests=2, bytes=17 * KIB):
        store.read([*near, (2000 * KIB, 2001 * KIB)])
    assert traced.rounds == 1


def test_requests_of_a_round_run_at_once(server: RangeServer) -> None:
    ranges = [(start * KIB, (start + 1) * KIB) for start in range(300, 2700, 200)]
    with open_url(server.url("a.nwb")) as store:
        server.delay_seconds = 0.2
        began = time.perf_counter()
        store.read(ranges)
    assert len(ranges) == 12
    assert time.perf_counter() - began < 1.2


def test_stores_are_read_from_many_threads(server: RangeServer) -> None:
    with open_url(server.url("a.nwb")) as store, ThreadPoolExecutor(8) as pool:
        starts = range(0, len(CONTENT) - 100, 50_000)
        got = pool.map(lambda start: bytes(store.read([(start, start + 100), (5, 10)])[0]), starts)
        assert list(got) == [CONTENT[start : start + 100] for start in starts]


def test_range_past_the_end_makes_no_request(server: RangeServer) -> None:
    with (
        open_url(server.url("a.nwb")) as store,
        server.budget(requests=0),
        pytest.raises(MalformedFileError, match="truncated"),
    ):
        store.read([(0, len(CONTENT) + 1)])


def test_file_smaller_than_the_first_round_is_read(server: RangeServer) -> None:
    (server.folder / "s.nwb").write_bytes(b"short")
    with open_url(server.url("s.nwb")) as store:
        assert (store.size, bytes(store.read([(0, 5)])[0])) == (5, b"short")


def test_empty_file_has_no_bytes(server: RangeServer) -> None:
    (server.folder / "e.nwb").write_bytes(b"")
    with open_url(server.url("e.nwb")) as store:
        assert (store.size, store.read([(0, 0)])) == (0, [b""])


def test_planned_file_opens_without_a_request(server: RangeServer) -> None:
    with open_url(server.url("a.nwb")) as store:
        source = store.source
    with server.budget(requests=1, bytes=KIB), open_bytes(source.url, ACCESS, source.identity) as again:
        assert bytes(again.read([MIDDLE])[0]) == CONTENT[slice(*MIDDLE)]
    assert server.log[-1].headers["if-match"] == source.identity.value


@pytest.mark.parametrize(
    ("etag", "last_modified", "kind"),
    [("strong", True, "etag"), ("weak", True, "mtime"), ("none", True, "mtime"), ("none", False, "size")],
)
@pytest.mark.parametrize("moment", ["between", "during"])
def test_changed_file_is_noticed(
    server: RangeServer, etag: str, kind: str, moment: str, *, last_modified: bool
) -> None:
    server.etag, server.last_modified = etag, last_modified  # type: ignore[assignment]  # one of the three
    path = server.folder / "a.nwb"
    with open_url(server.url("a.nwb")) as store:
        assert store.source.identity.kind == kind
        if moment == "between":
            path.write_bytes(CONTENT[:-1])
            os.utime(path, (1, 1))
        else:
            server.swap("a.nwb", CONTENT + b"1", after=1)
            store.read([(600 * KIB, 601 * KIB)])
        with pytest.raises(SourceChangedError, match="plan again"):
            store.read([MIDDLE, (2000 * KIB, 2001 * KIB)])


def test_changed_file_of_the_same_size_is_noticed_by_its_time(server: RangeServer) -> None:
    server.etag = "none"
    path = server.folder / "a.nwb"
    with open_url(server.url("a.nwb")) as store:
        path.write_bytes(CONTENT[::-1])
        os.utime(path, (1, 1))
        with pytest.raises(SourceChangedError):
            store.read([MIDDLE])


def test_planned_file_that_changed_is_noticed_by_the_first_read(server: RangeServer) -> None:
    with open_url(server.url("a.nwb")) as store:
        source = store.source
    (server.folder / "a.nwb").write_bytes(b"x" * len(CONTENT))
    with open_bytes(source.url, ACCESS, source.identity) as again, pytest.raises(SourceChangedError):
        again.read([(0, 8)])


def test_server_without_suffix_ranges_is_read(server: RangeServer) -> None:
    server.inject("a.nwb", "no-suffix")
    with open_url(server.url("a.nwb")) as store:
        assert bytes(store.read([(len(CONTENT) - 8, len(CONTENT))])[0]) == CONTENT[-8:]


def test_server_that_ignores_ranges_sends_the_file_once(server: RangeServer) -> None:
    server.inject("a.nwb", "ignore-range")
    with open_url(server.url("a.nwb")) as store, server.budget(requests=0):
        got = store.read([MIDDLE, (0, 8)])
        assert [bytes(one) for one in got] == [CONTENT[slice(*MIDDLE)], CONTENT[:8]]


def test_server_that_begins_to_ignore_ranges_sends_the_file_once(server: RangeServer) -> None:
    with open_url(server.url("a.nwb")) as store:
        server.inject("a.nwb", "ignore-range")
        assert bytes(store.read([MIDDLE])[0]) == CONTENT[slice(*MIDDLE)]
        with server.budget(requests=0):
            assert bytes(store.read([(0, len(CONTENT))])[0]) == CONTENT


def test_planned_file_on_a_server_that_ignores_ranges_is_downloaded_once(server: RangeServer) -> None:
    with open_url(server.url("a.nwb")) as store:
        source = store.source
    server.inject("a.nwb", "ignore-range")
    with open_bytes(source.url, ACCESS, source.identity) as again:
        ranges = [MIDDLE, (2000 * KIB, 2001 * KIB)]
        assert [bytes(one) for one in again.read(ranges)] == [CONTENT[slice(*one)] for one in ranges]
        with server.budget(requests=0):
            again.read(ranges)


def test_whole_file_too_long_for_memory_says_the_way_out(server: RangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "WHOLE_BYTES", 1000)
    server.inject("a.nwb", "ignore-range")
    with pytest.raises(SourceUnavailableError, match="download it"):
        open_url(server.url("a.nwb"))


def test_server_errors_are_tried_again(server: RangeServer) -> None:
    server.inject("a.nwb", "status", status=503, times=3)
    with open_url(server.url("a.nwb")) as store:
        assert store.size == len(CONTENT)
    assert server.n_requests == 5


@pytest.mark.parametrize("fault", ["reset", "truncate"])
def test_broken_connections_are_tried_again(server: RangeServer, fault: str) -> None:
    with open_url(server.url("a.nwb")) as store:
        server.inject("a.nwb", fault, times=1)  # type: ignore[arg-type]  # one of the faults
        assert bytes(store.read([MIDDLE])[0]) == CONTENT[slice(*MIDDLE)]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("fault", "status", "error", "said"),
    [
        ("status", 404, SourceNotFoundError, "nothing is at"),
        ("status", 410, SourceNotFoundError, "nothing is at"),
        ("status", 401, SourceAccessError, "refused"),
        ("status", 403, SourceAccessError, "refused"),
        ("status", 500, SourceUnavailableError, "answers 500 Internal Server Error"),
        ("status", 429, SourceUnavailableError, "answers 429"),
        ("status", 400, SourceUnavailableError, "answers 400 Bad Request"),
        ("expired", 0, SourceAccessError, "have expired"),
        ("close", 0, SourceUnavailableError, "connection broke"),
        ("reset", 0, SourceUnavailableError, "connection broke"),
        ("reset-body", 0, SourceUnavailableError, "connection broke"),
        ("truncate", 0, SourceUnavailableError, "connection broke"),
    ],
)
def test_failures_say_what_failed_without_secrets(
    server: RangeServer, fault: str, status: int, error: type[NWBDaskError], said: str
) -> None:
    server.inject("a.nwb", fault, status=status)  # type: ignore[arg-type]  # one of the faults
    signed = server.url("a.nwb").replace("://", "://user:hush@") + "?sig=hush"
    (named,) = expand_sources(signed, ACCESS)
    with pytest.raises(error, match=said) as caught:
        open_bytes(named.url, ACCESS)
    assert caught.value.url == server.url("a.nwb")
    assert "hush" not in all_text(caught.value)


@pytest.mark.usefixtures("impatient")
def test_refused_connection_fails_soon_without_secrets() -> None:
    url = "http://127.0.0.1:1/a.nwb?sig=" + str.lower("HUSH")  # tracebacks show this file's lines
    with pytest.raises(SourceUnavailableError, match="cannot connect") as caught:
        open_url(url)
    assert "hush" not in all_text(caught.value)


def test_refused_connection_fails_within_seconds_as_configured() -> None:
    began = time.perf_counter()
    with pytest.raises(SourceUnavailableError):
        open_url("http://127.0.0.1:1/a.nwb")
    assert time.perf_counter() - began < 8


@pytest.mark.slow
def test_server_that_never_answers_fails_within_30_seconds() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        began = time.perf_counter()
        with pytest.raises(SourceUnavailableError, match="in time"):
            open_url(f"http://127.0.0.1:{silent.getsockname()[1]}/a.nwb")
        assert time.perf_counter() - began < 30


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("url", ["http://[hush/a.nwb?sig=hush", "http://host:hush/a.nwb", "https://?sig=hush"])
def test_malformed_url_is_an_error_of_ours_without_its_query(url: str) -> None:
    with pytest.raises(SourceUnavailableError) as caught:
        open_url(url)
    assert "sig=hush" not in all_text(caught.value)


def test_query_of_a_signed_url_reaches_the_server_intact(server: RangeServer) -> None:
    query = "X-Amz-Credential=AK%2F2026&sig=a%2Bb+c==&x=%C3%BC&y"
    with open_url(server.url("a.nwb") + "?" + query) as store:
        store.read([MIDDLE])
    assert {request.target.partition("?")[2] for request in server.log} == {query}


@pytest.mark.parametrize("name", ["a b.nwb", "a%20b.nwb", "a+b.nwb", "größe.nwb", "a#b.nwb", "d (1)/a=b,c@d.nwb"])
def test_unusual_paths_reach_their_file(server: RangeServer, name: str) -> None:
    (server.folder / name).parent.mkdir(exist_ok=True)
    (server.folder / name).write_bytes(b"right")
    with open_url(server.url(name)) as store:
        assert bytes(store.read([(0, 5)])[0]) == b"right"


@pytest.mark.parametrize("name", ["a b.nwb", "größe.nwb", "a#b.nwb", "a+b.nwb"])
def test_paths_that_were_not_encoded_reach_their_file_too(server: RangeServer, name: str) -> None:
    (server.folder / name).write_bytes(b"right")
    with open_url(f"{server.base_url}/{name}") as store:
        assert store.size == 5


def test_redirected_download_link_is_read(server: RangeServer) -> None:
    server.redirect("assets/5/download/", server.url("a.nwb") + "?sig=hush")
    with open_url(server.url("assets/5/download/")) as store:
        assert bytes(store.read([MIDDLE])[0]) == CONTENT[slice(*MIDDLE)]


def test_folder_on_a_server_is_said_to_have_no_listing(server: RangeServer) -> None:
    (server.folder / "sub").mkdir()
    with pytest.raises(SourceNotFoundError, match="no listing"):
        open_url(server.url("sub/"))


def test_user_of_a_url_becomes_basic_authentication(server: RangeServer) -> None:
    open_url(server.url("a.nwb").replace("://", "://me:p%40ss@")).close()
    assert {request.headers["authorization"] for request in server.log} == {"Basic bWU6cEBzcw=="}


def test_headers_of_the_options_are_sent(server: RangeServer) -> None:
    access = make_access({"headers": {"X-Token": "hush"}})
    open_bytes(Url(server.url("a.nwb")), access).close()
    assert {request.headers["x-token"] for request in server.log} == {"hush"}


def test_refusal_for_lost_secrets_says_where_they_are(server: RangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    access = make_access({"headers": {"X-Token": "hush"}})
    monkeypatch.setattr(_Registry, "by_handle", {})
    server.inject("a.nwb", "status", status=403)
    with pytest.raises(SourceAccessError, match="not known in this process"):
        open_bytes(Url(server.url("a.nwb")), access)


def test_forked_process_says_that_it_cannot_read_instead_of_hanging(server: RangeServer) -> None:
    script = f"""
        import os, signal
        from nwb_dask.storage import make_access, open_bytes
        from nwb_dask.errors import SourceUnavailableError
        store = open_bytes({server.url("a.nwb")!r}, make_access())
        if (pid := os.fork()) == 0:
            signal.alarm(10)
            caught = 0
            for attempt in (lambda: store.read([{MIDDLE!r}]), lambda: open_bytes(store.source.url, make_access())):
                try:
                    attempt()
                except SourceUnavailableError as error:
                    caught += "spawn" in str(error)
            os._exit(caught)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
        store.read([{MIDDLE!r}])
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_process_exits_cleanly_with_stores_open(server: RangeServer) -> None:
    script = f"""
        from nwb_dask.storage import make_access, open_bytes
        store = open_bytes({server.url("a.nwb")!r}, make_access())
        store.read([{MIDDLE!r}, (0, {len(CONTENT)})])
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_importing_storage_imports_no_network_library() -> None:
    script = """
        import sys, nwb_dask.storage
        heavy = {"fsspec", "s3fs", "aiohttp", "botocore", "requests", "h5py", "dask", "pandas", "asyncio"}
        heavy |= {"obstore", "remfile", "ssl"}
        print(sorted(heavy & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
