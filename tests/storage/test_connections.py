from __future__ import annotations

import os
import time
import traceback
from collections import OrderedDict

import pytest

from nwb_dask.errors import SourceUnavailableError
from nwb_dask.index import Url
from nwb_dask.storage import Store, connections, make_access, open_bytes, trace
from nwb_dask.testing import RangeServer
from tests.storage.serving import CONTENT, FAR, MIDDLE, NAME, expected_of, read


def open_url(url: str, **options: object) -> Store:
    return open_bytes(Url(url), make_access({"engine": "http", **options}))


def test_connections_are_kept_and_shared_by_the_files_of_a_server(bucket_server: RangeServer) -> None:
    (bucket_server.folder / "b.nwb").write_bytes(CONTENT)
    for name in (NAME, "b.nwb"):
        with open_url(bucket_server.url(name)) as store:
            for _ in range(5):
                read(store, MIDDLE, FAR)
    assert bucket_server.n_requests == 24
    assert bucket_server.n_connections <= 4


def test_a_connection_that_the_server_closed_while_it_was_idle_is_not_used(bucket_server: RangeServer) -> None:
    with open_url(bucket_server.url(NAME)) as store:
        for connection in list(bucket_server._connections):
            connection.shutdown(2)
        time.sleep(0.05)
        bucket_server.reset()
        with trace() as traced:
            assert read(store, MIDDLE) == expected_of(MIDDLE)
    assert (bucket_server.n_requests, traced.retries) == (1, 0)


def test_idle_connections_are_closed_after_a_while_and_with_many_servers(
    bucket_server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections._Idle, "by_origin", OrderedDict())
    with open_url(bucket_server.url(NAME)) as store:
        bucket_server.reset()
        monkeypatch.setattr(connections, "_IDLE_SECONDS", 0.0)
        read(store, MIDDLE)
    assert bucket_server.n_connections == 1
    for i in range(connections._N_SERVERS + 5):
        connections.give_back(connections.Connection(connections.Origin("http", f"host{i}", 80)))
    assert len(connections._Idle.by_origin) == connections._N_SERVERS


@pytest.mark.parametrize("etag", ["strong", "weak", "none"])
def test_bodies_without_a_length_are_read_to_their_end(bucket_server: RangeServer, etag: str) -> None:
    bucket_server.etag = etag  # type: ignore[assignment]  # one of the kinds
    bucket_server.inject(NAME, "chunked")
    with open_url(bucket_server.url(NAME)) as store:
        assert read(store, MIDDLE, FAR) == expected_of(MIDDLE, FAR)


@pytest.mark.parametrize("fault", ["short-range", "wrong-start", "no-content-range"])
def test_another_part_than_was_asked_for_is_an_error(bucket_server: RangeServer, fault: str) -> None:
    with open_url(bucket_server.url(NAME)) as store:
        bucket_server.inject(NAME, fault)  # type: ignore[arg-type]  # one of the faults
        with pytest.raises(SourceUnavailableError, match="part of the file"):
            store.read([MIDDLE])


def test_a_header_that_cannot_be_sent_is_not_shown(bucket_server: RangeServer) -> None:
    with pytest.raises(SourceUnavailableError, match="a header cannot be sent") as caught:
        open_url(bucket_server.url(NAME), headers={"X-Token": "hu\nsh"})
    text = "".join(traceback.format_exception(caught.value))
    assert "hu\nsh" not in text.replace('{"X-Token": "hu\\nsh"}', "")


# --- Proxies


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.mark.usefixtures("no_proxy")
def test_the_proxy_of_the_environment_is_asked_with_its_user(
    bucket_server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", bucket_server.base_url.replace("://", "://me:p%40ss@"))
    open_with_proxy = open_url(f"http://files.example/{NAME}")
    assert open_with_proxy.size == len(CONTENT)
    assert {request.target for request in bucket_server.log} == {f"http://files.example:80/{NAME}"}
    assert {request.headers["host"] for request in bucket_server.log} == {"files.example:80"}
    assert {request.headers["proxy-authorization"] for request in bucket_server.log} == {"Basic bWU6cEBzcw=="}


@pytest.mark.usefixtures("no_proxy")
def test_a_server_that_needs_no_proxy_is_asked_itself(
    bucket_server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with open_url(bucket_server.url(NAME)) as store:
        assert store.size == len(CONTENT)


@pytest.mark.usefixtures("no_proxy", "quick")
def test_a_proxy_that_is_not_spoken_with_is_an_error_that_says_so(
    bucket_server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    with pytest.raises(SourceUnavailableError, match="the proxy is not reached by http://"):
        open_url(bucket_server.url(NAME))
