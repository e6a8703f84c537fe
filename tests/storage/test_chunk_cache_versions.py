"""How long a version of which bytes are kept is believed, and what happens when it is another."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest

from nwb_dask.errors import SourceChangedError, SourceUnavailableError
from nwb_dask.testing import RangeServer
from tests.storage.keeping import OTHER, age, ask, blobs, change, open_it
from tests.storage.serving import CONTENT, FAR, MIDDLE, NAME, OPENERS, expected_of, read

pytestmark = pytest.mark.usefixtures("chunk_folder")
ENDS = ((0, 100), (len(CONTENT) - 100, len(CONTENT)))


def test_a_version_that_is_not_fresh_costs_one_empty_answer(old_server: RangeServer) -> None:
    old_server.headers = {"Cache-Control": "no-cache"}
    ask(old_server, MIDDLE)
    assert ask(old_server, MIDDLE, FAR) == 2
    assert ask(old_server, MIDDLE, FAR) == 1
    assert old_server.n_bytes == 0
    (request,) = old_server.log
    assert "if-none-match" in request.headers


def test_a_plan_of_a_version_that_is_not_fresh_is_confirmed_once(old_server: RangeServer) -> None:
    old_server.headers = {"Cache-Control": "no-cache"}
    with open_it(old_server) as store:
        identity = store.source.identity
        read(store, MIDDLE, FAR)
    old_server.reset()
    with open_it(old_server, identity) as store:
        assert old_server.n_requests == 0
        assert read(store, MIDDLE) == expected_of(MIDDLE)
        assert read(store, FAR) == expected_of(FAR)
    assert (old_server.n_requests, old_server.n_bytes) == (1, 0)


@pytest.mark.parametrize(
    ("headers", "days", "max_age", "n_requests"),
    [
        ({}, 365, None, 0),
        ({}, 0, None, 1),
        ({"Cache-Control": "max-age=600"}, 0, None, 0),
        ({"Cache-Control": "max-age=0"}, 365, None, 1),
        ({"Cache-Control": "no-cache"}, 365, 600, 0),
        ({"Cache-Control": "max-age=600"}, 365, 0, 1),
        ({"Cache-Control": "no-cache"}, 0, math.inf, 0),
        ({"Expires": "Fri, 01 Jan 2100 00:00:00 GMT"}, 0, None, 0),
        ({"Expires": "0"}, 365, None, 1),
        ({"Cache-Control": "max-age=600", "Age": "600"}, 365, None, 1),
        ({"Vary": "*"}, 365, None, 1),
    ],
)
def test_a_version_is_believed_as_its_server_or_its_user_says(
    old_server: RangeServer, headers: dict[str, str], days: float, max_age: float | None, n_requests: int
) -> None:
    old_server.headers = headers
    age(old_server, days=days)
    ask(old_server, MIDDLE)
    assert ask(old_server, MIDDLE, chunk_cache_max_age=max_age) == n_requests


def test_an_answer_without_a_body_renews_belief(old_server: RangeServer, monkeypatch: Any) -> None:
    old_server.headers = {"Cache-Control": "max-age=600"}
    ask(old_server, MIDDLE)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 700)
    assert ask(old_server, MIDDLE) == 1
    assert ask(old_server, MIDDLE) == 0
    monkeypatch.setattr(time, "time", lambda: now + 1400)
    old_server.headers = {"Cache-Control": "max-age=6000"}
    assert ask(old_server, MIDDLE) == 1
    monkeypatch.setattr(time, "time", lambda: now + 7000)
    assert ask(old_server, MIDDLE) == 0


def test_what_must_not_be_stored_is_not(old_server: RangeServer, chunk_folder: Path) -> None:
    old_server.headers = {"Cache-Control": "no-store, max-age=600"}
    n_requests = ask(old_server, MIDDLE)
    assert ask(old_server, MIDDLE, chunk_cache_max_age=math.inf) == n_requests
    assert not blobs(chunk_folder)


def test_a_file_without_a_mark_of_its_version_is_not_kept(old_server: RangeServer, chunk_folder: Path) -> None:
    old_server.etag, old_server.last_modified = "none", False
    ask(old_server, MIDDLE)
    assert not blobs(chunk_folder)


def test_a_time_of_change_that_has_just_passed_marks_no_version(old_server: RangeServer, chunk_folder: Path) -> None:
    old_server.etag = "weak"
    age(old_server, days=0)
    ask(old_server, MIDDLE)
    assert not blobs(chunk_folder)
    age(old_server, days=1)
    ask(old_server, MIDDLE)
    assert blobs(chunk_folder)


@pytest.mark.parametrize("etag", ["strong", "weak"])
@pytest.mark.parametrize("name", ["http", "obstore-s3", "s3fs", "remfile"])
def test_a_changed_file_is_never_mixed_with_what_is_kept(old_server: RangeServer, name: str, etag: str) -> None:
    old_server.etag = etag  # type: ignore[assignment]  # one of the kinds
    with OPENERS[name](old_server) as store:
        identity = store.source.identity
        assert read(store, MIDDLE) == expected_of(MIDDLE)
    change(old_server)
    with OPENERS[name](old_server) as believing, pytest.raises(SourceChangedError):
        believing.read([MIDDLE, FAR])
    # The error has ended the belief.
    with OPENERS[name](old_server) as store:
        assert store.source.identity != identity
        assert read(store, MIDDLE, FAR) == expected_of(MIDDLE, FAR, content=OTHER)
    with OPENERS[name](old_server, identity) as planned, pytest.raises(SourceChangedError):
        planned.read([MIDDLE])


def test_a_file_that_changed_while_nothing_was_believed_is_read_anew(old_server: RangeServer) -> None:
    old_server.headers = {"Cache-Control": "no-cache"}
    ask(old_server, MIDDLE)
    change(old_server)
    assert ask(old_server, MIDDLE, FAR) == 3
    with open_it(old_server) as store:
        assert read(store, MIDDLE, FAR) == expected_of(MIDDLE, FAR, content=OTHER)


def test_a_plan_of_another_version_than_was_seen_last_is_not_read_from_disk(old_server: RangeServer) -> None:
    with open_it(old_server) as store:
        old = store.source.identity
        read(store, MIDDLE)
    change(old_server)
    ask(old_server, MIDDLE, chunk_cache_max_age=0)
    with open_it(old_server, old) as store, pytest.raises(SourceChangedError):
        store.read([MIDDLE])
    # That changes nothing for who reads the present one.
    assert ask(old_server, MIDDLE) == 0


def test_a_version_that_is_not_the_one_that_was_seen_last_is_asked_for(old_server: RangeServer) -> None:
    ask(old_server, MIDDLE)
    change(old_server)
    with open_it(old_server, chunk_cache="off") as store:
        present = store.source.identity
    with open_it(old_server, cached=present) as store:
        assert store.is_unchanged
        assert read(store, MIDDLE) == expected_of(MIDDLE, content=OTHER)


def test_a_file_that_is_gone_is_read_as_long_as_it_is_believed(old_server: RangeServer) -> None:
    ask(old_server, MIDDLE)
    (old_server.folder / NAME).unlink()
    with open_it(old_server) as store:
        assert read(store, MIDDLE) == expected_of(MIDDLE)
        with pytest.raises(SourceUnavailableError, match="nothing is at"):
            store.read([FAR])
    with pytest.raises(SourceUnavailableError, match="nothing is at"):
        open_it(old_server, chunk_cache_max_age=0)
