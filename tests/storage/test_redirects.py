from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nwb_dask.errors import SourceAccessError, SourceNotFoundError, SourceUnavailableError
from nwb_dask.index import Identity, Url
from nwb_dask.storage import Store, make_access, open_bytes, trace
from nwb_dask.storage.engines import http
from nwb_dask.testing import RangeServer
from tests.storage.serving import FAR, KIB, MIDDLE, NAME, expected_of, read

LINK = "api/assets/5/download/"
both = pytest.mark.parametrize("engine", ["http", "remfile"])
MANY = [(start, start + 10) for start in range(300 * KIB, 2700 * KIB, 100 * KIB)]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[RangeServer]:
    """Another server, whose links lead to the files of the first."""
    (tmp_path / "archive").mkdir()
    with RangeServer(tmp_path / "archive") as running:
        yield running


def open_url(url: str, expected: Identity | None = None, **options: object) -> Store:
    return open_bytes(Url(url), make_access(options), expected)


@both
def test_a_redirect_is_followed_once_for_a_store(bucket_server: RangeServer, archive: RangeServer, engine: str) -> None:
    archive.redirect(LINK, lambda: bucket_server.signed_url(NAME))
    with trace() as traced, open_url(archive.url(LINK), engine=engine) as store:
        for _ in range(3):
            assert read(store, MIDDLE, FAR, *MANY) == expected_of(MIDDLE, FAR, *MANY)
    assert archive.n_requests == 1
    assert traced.requests == archive.n_requests + bucket_server.n_requests
    assert set(traced.by_url) == {archive.url(LINK)}


@both
def test_a_planned_file_is_redirected_once_however_many_ranges_are_read(
    bucket_server: RangeServer, archive: RangeServer, engine: str
) -> None:
    archive.redirect(LINK, lambda: bucket_server.signed_url(NAME))
    with open_url(archive.url(LINK), engine=engine) as store:
        source = store.source
    archive.reset()
    with open_url(source.url, source.identity, engine=engine) as again:
        assert read(again, *MANY) == expected_of(*MANY)
    assert archive.n_requests == 1


def test_redirects_of_a_server_are_expected_once_they_were_seen(
    bucket_server: RangeServer, archive: RangeServer
) -> None:
    # Nothing in the name tells that it is a link.
    for name in ("one.nwb", "two.nwb"):
        archive.redirect(name, lambda: bucket_server.signed_url(NAME))
    open_url(archive.url("one.nwb")).close()
    assert archive.n_requests == 2
    archive.reset()
    open_url(archive.url("two.nwb")).close()
    assert archive.n_requests == 1


@both
def test_the_question_whether_a_file_has_moved_is_counted_where_it_has_not(
    bucket_server: RangeServer, engine: str
) -> None:
    bucket_server.redirect("moved.nwb", bucket_server.url(NAME))
    with open_url(bucket_server.url("moved.nwb"), engine=engine):
        # From now on, files of this server may have moved.
        pass
    with open_url(bucket_server.url(NAME), engine=engine) as store:
        source = store.source
    bucket_server.reset()
    with trace() as traced, open_url(source.url, source.identity, engine=engine) as again:
        assert read(again, MIDDLE, FAR) == expected_of(MIDDLE, FAR)
    assert (traced.requests, traced.bytes) == (bucket_server.n_requests, bucket_server.n_bytes)


def test_a_chain_of_redirects_is_followed_with_relative_links(bucket_server: RangeServer) -> None:
    bucket_server.redirect("a/first", "../b/second?x=1")
    bucket_server.redirect("b/second", f"/{NAME}")
    with open_url(bucket_server.url("a/first")) as store:
        assert read(store, MIDDLE) == expected_of(MIDDLE)


def test_redirects_that_go_round_are_an_error(bucket_server: RangeServer) -> None:
    bucket_server.redirect("a.nwb", "/b.nwb")
    bucket_server.redirect("b.nwb", "/a.nwb")
    with pytest.raises(SourceUnavailableError, match="too many redirects"):
        open_url(bucket_server.url("a.nwb"))
    assert bucket_server.n_requests <= 25


@pytest.mark.parametrize("location", ["ftp://host/a.nwb", "http://[broken/", "http://host:port/"])
def test_a_redirect_that_leads_nowhere_is_an_error_without_its_link(bucket_server: RangeServer, location: str) -> None:
    bucket_server.redirect("a.nwb", location + "?sig=hush")
    with pytest.raises(SourceUnavailableError, match="a redirect leads to what is no http URL") as caught:
        open_url(bucket_server.url("a.nwb"))
    assert "hush" not in str(caught.value)


def test_a_link_to_nothing_is_not_found_under_its_own_name(bucket_server: RangeServer) -> None:
    bucket_server.redirect("a.nwb", bucket_server.url("none.nwb") + "?sig=hush")
    with pytest.raises(SourceNotFoundError, match=r"a\.nwb") as caught:
        open_url(bucket_server.url("a.nwb"))
    assert "none.nwb" not in str(caught.value)


@both
def test_headers_and_user_go_to_no_other_server(bucket_server: RangeServer, archive: RangeServer, engine: str) -> None:
    archive.redirect(LINK, bucket_server.url(NAME))
    url = archive.url(LINK).replace("://", "://me:hush@")
    with open_url(url, engine=engine, headers={"X-Token": "hush"}) as store:
        read(store, MIDDLE)
    assert {request.headers.get("x-token") for request in archive.log} == {"hush"}
    assert all("authorization" in request.headers for request in archive.log)
    assert bucket_server.n_requests > 0
    for request in bucket_server.log:
        assert not {"x-token", "authorization", "cookie"} & request.headers.keys()


def test_headers_go_on_to_the_same_server(bucket_server: RangeServer) -> None:
    bucket_server.redirect(LINK, f"/{NAME}")
    open_url(bucket_server.url(LINK), headers={"X-Token": "hush"}).close()
    assert {request.headers["x-token"] for request in bucket_server.log} == {"hush"}


@both
@pytest.mark.parametrize("requests", [1, 2, 3, 10])
def test_a_link_that_expires_while_it_is_read_is_had_again(
    bucket_server: RangeServer, archive: RangeServer, engine: str, requests: int
) -> None:
    archive.redirect(LINK, lambda: bucket_server.signed_url(NAME, requests=requests))
    with open_url(archive.url(LINK), engine=engine) as store:
        for one in (MIDDLE, FAR, (1500 * KIB, 1501 * KIB)):
            assert read(store, one) == expected_of(one)


def test_a_link_whose_time_is_known_to_end_is_not_tried(
    bucket_server: RangeServer, archive: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_MARGIN_SECONDS", 0.0)
    # The second lives long enough for a busy machine.
    lives = iter((1, 60))
    archive.redirect(LINK, lambda: bucket_server.signed_url(NAME, seconds=next(lives, 60)))
    with open_url(archive.url(LINK)) as store:
        time.sleep(1.1)
        bucket_server.reset()
        assert read(store, *MANY) == expected_of(*MANY)
    assert bucket_server.n_requests == len(MANY)
    assert archive.n_requests == 2


def test_a_link_that_is_refused_anew_is_an_error_after_one_more_try(
    bucket_server: RangeServer, archive: RangeServer
) -> None:
    archive.redirect(LINK, lambda: bucket_server.signed_url(NAME))
    with open_url(archive.url(LINK)) as store:
        archive.reset()
        bucket_server.inject(NAME, "expired")
        with pytest.raises(SourceAccessError, match="have expired; get new ones"):
            store.read([MIDDLE])
    assert archive.n_requests == 1


def test_a_signed_url_that_expires_in_the_middle_says_so(bucket_server: RangeServer) -> None:
    with open_url(bucket_server.signed_url(NAME, requests=3)) as store:
        assert read(store, MIDDLE) == expected_of(MIDDLE)
        with pytest.raises(SourceAccessError, match="expired") as caught:
            store.read([FAR])
    assert "Signature" not in str(caught.value)


def test_a_refusal_without_words_after_success_says_that_something_expired(bucket_server: RangeServer) -> None:
    with open_url(bucket_server.url(NAME)) as store:
        read(store, MIDDLE)
        bucket_server.inject(NAME, "status", status=403)
        with pytest.raises(SourceAccessError, match="it could be read before, so the link or the credentials"):
            store.read([FAR])


@pytest.mark.parametrize(
    ("query", "expires"),
    [
        ("X-Amz-Date=20260102T030405Z&X-Amz-Expires=60&X-Amz-Signature=s", 1767323105.0),
        ("X-Goog-Date=20260102T030405Z&X-Goog-Expires=60&X-Goog-Signature=s", 1767323105.0),
        ("Expires=1767323105&Signature=s&Key-Pair-Id=k", 1767323105.0),
        ("sv=2023-11-03&se=2026-01-02T03%3A05%3A05Z&sig=s", 1767323105.0),
        ("", float("inf")),
        ("expires=never&se=later", float("inf")),
        ("X-Amz-Expires=60", float("inf")),
    ],
)
def test_the_end_of_a_signature_is_read_as_its_kind_writes_it(query: str, expires: float) -> None:
    assert http.locate(f"https://host/a.nwb?{query}").expires == expires
