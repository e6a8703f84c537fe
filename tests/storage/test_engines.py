from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap

import pytest

from nwb_dask.errors import (
    MalformedFileError,
    SourceAccessError,
    SourceChangedError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from nwb_dask.index import Url
from nwb_dask.options import options
from nwb_dask.storage import make_access, open_bytes, trace
from nwb_dask.testing import Fault, RangeServer
from tests.storage.serving import CONTENT, FAR, KIB, MIDDLE, NAME, OPENERS, Opener, expected_of, read

every_engine = pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS.keys())
CONDITIONAL = [name for name in OPENERS if name not in {"fsspec-http", "s3fs"}]
pytestmark = pytest.mark.usefixtures("no_cloud")


@every_engine
def test_ranges_are_the_bytes_of_the_file_whoever_fetches_them(bucket_server: RangeServer, opener: Opener) -> None:
    ranges = [FAR, (300 * KIB, 310 * KIB), (5, 5), (305 * KIB, 2700 * KIB), (0, 3), MIDDLE, (2999 * KIB, 3000 * KIB)]
    with opener(bucket_server) as store:
        assert store.size == len(CONTENT)
        assert store.local_path is None
        assert store.driver is None
        assert read(store, *ranges) == expected_of(*ranges)


@every_engine
def test_identity_is_the_strong_etag_whoever_asks(bucket_server: RangeServer, opener: Opener) -> None:
    status = (bucket_server.folder / NAME).stat()
    with opener(bucket_server) as store:
        identity = store.source.identity
    assert (identity.kind, identity.size) == ("etag", status.st_size)
    assert f"{status.st_mtime_ns:x}" in identity.value


@every_engine
def test_identity_without_a_strong_etag_is_the_time_whoever_asks(bucket_server: RangeServer, opener: Opener) -> None:
    bucket_server.etag = "weak"
    os.utime(bucket_server.folder / NAME, (1_700_000_000, 1_700_000_000))
    with opener(bucket_server) as store:
        identity = store.source.identity
    assert (identity.kind, identity.value) == ("mtime", "2023-11-14T22:13:20+00:00")


@every_engine
def test_a_planned_file_is_read_as_planned(bucket_server: RangeServer, opener: Opener) -> None:
    with opener(bucket_server) as store:
        source = store.source
    bucket_server.reset()
    with opener(bucket_server, source.identity) as again:
        assert bucket_server.n_requests == 0
        assert read(again, MIDDLE) == expected_of(MIDDLE)


@pytest.mark.parametrize("name", CONDITIONAL)
def test_a_planned_file_costs_one_request_with_the_planned_version(bucket_server: RangeServer, name: str) -> None:
    with OPENERS[name](bucket_server) as store:
        source = store.source
    bucket_server.reset()
    with OPENERS[name](bucket_server, source.identity) as again:
        read(again, MIDDLE)
    (request,) = bucket_server.log
    assert (request.method, request.headers["if-match"]) == ("GET", source.identity.value)


@every_engine
@pytest.mark.parametrize("etag", ["strong", "weak"])
@pytest.mark.parametrize("moment", ["before", "between"])
def test_a_file_that_changes_is_never_read_as_two_versions(
    bucket_server: RangeServer, opener: Opener, etag: str, moment: str
) -> None:
    bucket_server.etag = etag  # type: ignore[assignment]  # one of the kinds
    path = bucket_server.folder / NAME
    os.utime(path, (1_700_000_000, 1_700_000_000))
    with opener(bucket_server) as store:
        read(store, (600 * KIB, 601 * KIB))
        if moment == "before":
            path.write_bytes(CONTENT[::-1])
        else:
            bucket_server.swap(NAME, CONTENT[::-1], after=1)
        with pytest.raises(SourceChangedError, match="plan again"):
            store.read([MIDDLE, FAR, (1500 * KIB, 1501 * KIB)])


@every_engine
def test_a_file_that_changed_since_it_was_planned_is_not_read(bucket_server: RangeServer, opener: Opener) -> None:
    with opener(bucket_server) as store:
        source = store.source
    (bucket_server.folder / NAME).write_bytes(CONTENT[::-1])
    with opener(bucket_server, source.identity) as again, pytest.raises(SourceChangedError):
        again.read([MIDDLE])


@every_engine
@pytest.mark.parametrize("content", [b"", b"short"])
def test_small_and_empty_files_are_read(bucket_server: RangeServer, opener: Opener, content: bytes) -> None:
    (bucket_server.folder / NAME).write_bytes(content)
    with opener(bucket_server) as store:
        assert store.size == len(content)
        assert read(store, (0, len(content))) == [content]


@every_engine
def test_a_range_past_the_end_asks_nothing(bucket_server: RangeServer, opener: Opener) -> None:
    with opener(bucket_server) as store:
        bucket_server.reset()
        with pytest.raises(MalformedFileError, match="truncated"):
            store.read([(0, len(CONTENT) + 1)])
    assert bucket_server.n_requests == 0


@every_engine
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", ["reset", "reset-body", "truncate", "close"])
def test_a_connection_that_breaks_is_made_again(bucket_server: RangeServer, opener: Opener, fault: Fault) -> None:
    with opener(bucket_server) as store:
        bucket_server.inject(NAME, fault, times=1)
        assert read(store, MIDDLE) == expected_of(MIDDLE)
    assert bucket_server.faults_by_name == {fault: 1}


@pytest.mark.parametrize("opener", [OPENERS[name] for name in CONDITIONAL], ids=CONDITIONAL)
@pytest.mark.usefixtures("quick")
def test_retries_are_counted_apart(bucket_server: RangeServer, opener: Opener) -> None:
    with opener(bucket_server) as store:
        bucket_server.inject(NAME, "status", status=503, times=2)
        with trace() as traced:
            assert read(store, MIDDLE) == expected_of(MIDDLE)
    assert (traced.requests, traced.retries, traced.rounds) == (1, 2, 1)


@every_engine
@pytest.mark.parametrize(
    ("status", "error"), [(404, SourceNotFoundError), (403, SourceAccessError), (401, SourceAccessError)]
)
def test_what_is_refused_is_asked_once(
    bucket_server: RangeServer, opener: Opener, status: int, error: type[Exception]
) -> None:
    with opener(bucket_server) as store:
        bucket_server.inject(NAME, "status", status=status)
        bucket_server.reset()
        with pytest.raises(error):
            store.read([MIDDLE])
    assert bucket_server.n_requests == 1


@every_engine
def test_a_server_that_ignores_ranges_is_read(bucket_server: RangeServer, opener: Opener) -> None:
    bucket_server.inject(NAME, "ignore-range")
    with opener(bucket_server) as store:
        assert read(store, MIDDLE, FAR) == expected_of(MIDDLE, FAR)


@every_engine
def test_requests_of_a_round_are_bounded(bucket_server: RangeServer, opener: Opener) -> None:
    ranges = [(start * KIB, start * KIB + 10) for start in range(300, 2700, 150)]
    with opener(bucket_server, requests_per_host=4) as store:
        bucket_server.delay_seconds = 0.02
        bucket_server.reset()
        with trace() as traced:
            assert read(store, *ranges) == expected_of(*ranges)
    assert 2 <= bucket_server.max_in_flight <= 4
    assert traced.max_in_flight <= 4


@every_engine
def test_secrets_of_the_url_and_the_options_are_not_shown(
    bucket_server: RangeServer, opener: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="nwb_dask")
    with opener(bucket_server) as store:
        bucket_server.inject(NAME, "status", status=503, times=1)
        store.read([MIDDLE])
        assert "a.nwb" in repr(store)
    assert "hush" not in caplog.text + repr(store)


def test_query_and_user_of_a_url_are_in_no_log(bucket_server: RangeServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="nwb_dask")
    url = bucket_server.url(NAME).replace("://", "://me:hush@") + "?sig=hush"
    with open_bytes(Url(url), make_access()) as store:
        bucket_server.inject(NAME, "status", status=503, times=1)
        store.read([MIDDLE])
    assert "try 2 of" in caplog.text
    assert "hush" not in caplog.text


@pytest.mark.parametrize("engine", ["http", "obstore", "fsspec", "remfile"])
def test_query_user_and_headers_reach_the_server_by_every_engine(bucket_server: RangeServer, engine: str) -> None:
    query = "X-Amz-Credential=AK%2F2026&sig=a%2bB+c==&x=%C3%BC&y"
    access = make_access({"engine": engine, "headers": {"X-Token": "hush"}, "username": "me", "password": "p@ss"})
    with open_bytes(Url(bucket_server.url(NAME) + "?" + query), access) as store:
        assert read(store, MIDDLE) == expected_of(MIDDLE)
    sent = {request.target.partition("?")[2] for request in bucket_server.log}
    # requests writes escapes in capitals.
    assert sent == ({query, query.replace("%2b", "%2B")} if engine == "remfile" else {query})
    assert {request.headers["x-token"] for request in bucket_server.log} == {"hush"}
    assert {request.headers["authorization"] for request in bucket_server.log} == {"Basic bWU6cEBzcw=="}


@pytest.mark.parametrize(
    ("engine", "url"),
    [
        ("http", "s3://bucket/a.nwb"),
        ("s3fs", "https://host/a.nwb"),
        ("remfile", "s3://bucket/a.nwb"),
        ("ros3", "gs://bucket/a.nwb"),
        ("obstore", "ftp://host/a.nwb"),
    ],
)
def test_an_engine_that_does_not_read_such_urls_says_which_it_reads(engine: str, url: str) -> None:
    with pytest.raises(SourceUnavailableError, match=rf"engine '{engine}' reads .*://, not .*'auto'"):
        open_bytes(Url(url), make_access({"engine": engine}))


def test_an_engine_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="engine='curl' is none of auto, http, obstore"):
        make_access({"engine": "curl"})


def test_the_engine_of_the_options_is_used(bucket_server: RangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def agent() -> str:
        bucket_server.reset()
        open_bytes(Url(bucket_server.url(NAME)), make_access()).close()
        return bucket_server.log[-1].headers["user-agent"]

    assert agent().startswith("nwb-dask")
    monkeypatch.setenv("NWB_DASK_ENGINE", "obstore")
    assert agent().startswith("object_store")
    with options(engine="fsspec"):
        assert "aiohttp" in agent()


def test_what_is_planned_with_an_engine_is_read_with_it_elsewhere(bucket_server: RangeServer) -> None:
    with options(engine="obstore", deadline=9):
        access = make_access({"anon": True})
    again = pickle.loads(pickle.dumps(access))
    assert again.choices().engine == "obstore"
    assert again.choices().deadline == 9
    open_bytes(Url(bucket_server.url(NAME)), again).close()
    assert bucket_server.log[-1].headers["user-agent"].startswith("object_store")


@pytest.mark.parametrize("engine", ["http", "obstore", "fsspec", "remfile"])
def test_a_forked_process_says_that_it_cannot_read_whatever_the_engine(bucket_server: RangeServer, engine: str) -> None:
    script = f"""
        import os, signal
        from nwb_dask.storage import make_access, open_bytes
        from nwb_dask.errors import SourceUnavailableError
        access = make_access({{"engine": {engine!r}}})
        store = open_bytes({bucket_server.url(NAME)!r}, access)
        if (pid := os.fork()) == 0:
            signal.alarm(10)
            caught = 0
            for attempt in (lambda: store.read([{MIDDLE!r}]), lambda: open_bytes(store.source.url, access)):
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
