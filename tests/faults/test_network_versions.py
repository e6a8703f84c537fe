"""A file that changes on its server is never read half old and half new; a link that expires is had again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nwb_dask
from nwb_dask.catalog import cache
from nwb_dask.errors import SourceAccessError, SourceChangedError, SourceNotFoundError, SourceUnavailableError
from nwb_dask.options import options
from nwb_dask.testing import RangeServer
from nwb_dask.testing.files import write_session
from tests.faults.network import (
    GOOD_SPIKES,
    NAME,
    QUESTIONS,
    SPIKES,
    Ask,
    Question,
    ask_pandas,
    both_doors,
    check_exact,
    compute,
    fails_as,
    plan,
    write_large,
)
from tests.faults.reading import QUERY

LINK = "assets/5/download/"
VALIDATORS = {"etag": ("strong", True), "weak": ("weak", True), "time": ("none", True), "size": ("none", False)}
validated = pytest.mark.parametrize(("etag", "last_modified"), VALIDATORS.values(), ids=VALIDATORS.keys())


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two sessions of different length."""
    folder = tmp_path_factory.mktemp("network")
    other = write_session(
        folder / "other.nwb", seed=1, n_units=45, spikes_per_unit=4000, layout="gzip", chunk_rows=8192
    )
    return write_large(folder / NAME), other


@pytest.fixture
def path(versions: tuple[Path, Path], tmp_path: Path) -> Path:
    path = tmp_path / "served" / NAME
    path.parent.mkdir()
    path.write_bytes(versions[0].read_bytes())
    return path


@pytest.fixture
def other(versions: tuple[Path, Path]) -> bytes:
    return versions[1].read_bytes()


@pytest.fixture
def server(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RangeServer]:
    # Nothing that an earlier run has left on disk may answer.
    monkeypatch.setenv("NWB_DASK_CACHE", "off")
    with RangeServer(path.parent) as server:
        yield server


# --- Versions


@both_doors
@validated
@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_any_validator_will_do(
    server: RangeServer, path: Path, ask: Ask, question: Question, etag: Any, *, last_modified: bool
) -> None:
    server.etag, server.last_modified = etag, last_modified
    check_exact(server, path, ask, question)


@validated
@pytest.mark.parametrize("after", [1, 2])
def test_a_file_that_changes_while_it_is_read_is_an_error(
    server: RangeServer, other: bytes, etag: Any, after: int, *, last_modified: bool
) -> None:
    server.etag, server.last_modified = etag, last_modified
    server.swap(NAME, other, after=after)
    with fails_as(SourceChangedError, server.url(NAME), match="plan again"):
        ask_pandas(server.url(NAME) + QUERY, SPIKES)


@validated
def test_a_file_that_changes_after_the_plan_is_an_error(
    server: RangeServer, other: bytes, etag: Any, *, last_modified: bool
) -> None:
    server.etag, server.last_modified = etag, last_modified
    frame = plan(server.url(NAME) + QUERY)
    server.swap(NAME, other, after=0)
    with fails_as(SourceChangedError, server.url(NAME), match="plan again"):
        compute(frame)


@both_doors
def test_a_file_that_changed_is_read_anew_by_the_next_plan(
    server: RangeServer, path: Path, other: bytes, ask: Ask
) -> None:
    check_exact(server, path, ask)
    server.swap(NAME, other, after=0)
    ask(server.url(NAME), SPIKES)
    check_exact(server, path, ask)
    assert len(SPIKES.by_h5py(path)["quality"]) == 45


def test_a_length_that_is_not_the_planned_one_is_another_file(server: RangeServer) -> None:
    frame = plan(server.url(NAME) + QUERY)
    server.inject(NAME, "wrong-total")
    with fails_as(SourceChangedError, server.url(NAME)):
        compute(frame)


def test_answers_that_disagree_on_the_length_are_of_different_files(server: RangeServer) -> None:
    server.inject(NAME, "wrong-total", after=1)
    with fails_as(SourceChangedError, server.url(NAME)):
        ask_pandas(server.url(NAME) + QUERY, SPIKES)


# --- Links


@both_doors
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: RangeServer, path: Path, ask: Ask, status: int) -> None:
    server.redirect(LINK, server.signed_url(NAME), status=status)
    server.require_signature(NAME)
    assert ask(server.url(LINK), GOOD_SPIKES) == GOOD_SPIKES.by_h5py(path)


@both_doors
def test_a_link_that_expires_while_it_is_used_is_had_again(server: RangeServer, path: Path, ask: Ask) -> None:
    server.redirect(LINK, lambda: server.signed_url(NAME))
    # Of the first two requests, which go out together, one is in time.
    server.inject(NAME, "expired", after=1, times=1)
    assert ask(server.url(LINK), SPIKES) == SPIKES.by_h5py(path)
    assert server.n_faults == 1
    assert len({request.target for request in server.log if request.path == NAME}) >= 2


def test_a_link_that_expired_since_the_plan_is_had_again(server: RangeServer, path: Path) -> None:
    server.redirect(LINK, lambda: server.signed_url(NAME))
    frame = plan(server.url(LINK))
    server.expire_signatures()
    assert compute(frame) == SPIKES.by_h5py(path)


def test_a_link_whose_target_is_refused_anew_is_an_error(server: RangeServer) -> None:
    server.redirect(LINK, lambda: server.signed_url(NAME, requests=0))
    with fails_as(SourceAccessError, server.url(LINK)):
        ask_pandas(server.url(LINK) + QUERY, SPIKES)
    assert server.n_requests < 20


def test_a_signed_url_that_expires_is_an_error_that_says_so(server: RangeServer) -> None:
    url = server.signed_url(NAME, requests=1)
    with fails_as(SourceAccessError, server.url(NAME), match="expired"):
        ask_pandas(url, SPIKES)
    with fails_as(SourceAccessError, server.url(NAME), match="expired"):
        ask_pandas(server.url(NAME) + "?expires=1000&signature=topsecret", SPIKES)


def test_redirects_that_go_round_end(server: RangeServer) -> None:
    server.redirect(LINK, server.url("there"))
    server.redirect("there", server.url(LINK))
    with options(deadline=1), fails_as(SourceUnavailableError, server.url(LINK)):
        ask_pandas(server.url(LINK) + QUERY, SPIKES)
    assert server.n_requests < 200


def test_a_link_to_nothing_is_not_found(server: RangeServer) -> None:
    server.redirect(LINK, server.url("none.nwb") + QUERY)
    with fails_as(SourceNotFoundError, server.url(LINK)):
        ask_pandas(server.url(LINK) + QUERY, SPIKES)


# --- S3


@pytest.fixture
def bucket(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RangeServer]:
    """A server whose bucket ``served`` has the file, of which nothing is known though its URL is always the same."""
    monkeypatch.setenv("NWB_DASK_CACHE", "off")
    monkeypatch.setattr(cache, "_process", cache.ProcessCache())
    with RangeServer(path.parent.parent) as server:
        yield server


def s3_options(server: RangeServer) -> dict[str, object]:
    return {"anon": True, "endpoint_url": server.base_url, "region": "us-east-1"}


@both_doors
def test_a_bucket_that_is_busy_is_asked_again(bucket: RangeServer, path: Path, ask: Ask) -> None:
    bucket.inject(f"served/{NAME}", "status", status=503, code="SlowDown", after=1, times=3)
    got = ask(f"s3://served/{NAME}", SPIKES, storage_options=s3_options(bucket))
    assert got == SPIKES.by_h5py(path)
    assert bucket.faults_by_name == {"503": 3}


@both_doors
def test_a_listing_that_fails_once_is_asked_for_again(bucket: RangeServer, path: Path, ask: Ask) -> None:
    bucket.inject("served", "status", status=503, code="SlowDown", times=1)
    assert ask("s3://served/", SPIKES, storage_options=s3_options(bucket)) == SPIKES.by_h5py(path)
    assert bucket.n_faults == 1


def test_an_object_that_is_not_there_or_not_open_is_an_error(bucket: RangeServer) -> None:
    access: dict[str, Any] = {"storage_options": s3_options(bucket)}
    with fails_as(SourceNotFoundError, "s3://served/none.nwb"):
        nwb_dask.read_table("s3://served/none.nwb", "/units", **access)
    with fails_as(SourceNotFoundError, "s3://nowhere/none.nwb"):
        nwb_dask.read_table("s3://nowhere/none.nwb", "/units", **access)
    bucket.require_signature(f"served/{NAME}")
    with fails_as(SourceAccessError, f"s3://served/{NAME}", match="AccessDenied"):
        nwb_dask.read_table(f"s3://served/{NAME}", "/units", **access)


def test_an_object_that_changes_while_it_is_read_is_an_error(bucket: RangeServer, other: bytes) -> None:
    bucket.swap(f"served/{NAME}", other, after=2)
    with fails_as(SourceChangedError, f"s3://served/{NAME}"):
        ask_pandas(f"s3://served/{NAME}", SPIKES, storage_options=s3_options(bucket))
