"""Bytes of remote files that are kept on disk: what a second reader asks the server, and that it gets the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nwb_dask.index import Identity, Url
from nwb_dask.options import current_options
from nwb_dask.storage import make_access, open_bytes
from nwb_dask.testing import RangeServer
from tests.storage.keeping import ask, blobs, change, open_it
from tests.storage.serving import CONTENT, FAR, KIB, MIDDLE, NAME, OPENERS, expected_of, read

pytestmark = pytest.mark.usefixtures("chunk_folder")
ENDS = ((0, 100), (len(CONTENT) - 100, len(CONTENT)))


@pytest.mark.parametrize("name", OPENERS)
def test_a_second_reader_asks_nothing_with_any_engine(old_server: RangeServer, name: str) -> None:
    with OPENERS[name](old_server) as store:
        identity = store.source.identity
        assert read(store, *ENDS, MIDDLE, FAR) == expected_of(*ENDS, MIDDLE, FAR)
    for expected in (None, identity):
        old_server.reset()
        with OPENERS[name](old_server, expected) as store:
            assert store.source.identity == identity
            assert not store.is_unchanged
            assert read(store, *ENDS, MIDDLE, FAR) == expected_of(*ENDS, MIDDLE, FAR)
        assert old_server.n_requests == 0


def test_nothing_is_kept_unless_it_is_asked_for(old_server: RangeServer, chunk_folder: Path, monkeypatch: Any) -> None:
    monkeypatch.delenv("NWB_DASK_CHUNK_CACHE")
    assert current_options().chunk_cache == "off"
    ask(old_server, MIDDLE)
    assert not chunk_folder.exists()
    ask(old_server, MIDDLE, chunk_cache="on")
    assert blobs(chunk_folder)
    assert ask(old_server, MIDDLE) > 0


def test_a_cached_version_is_confirmed_without_a_request(old_server: RangeServer) -> None:
    with open_it(old_server) as store:
        identity = store.source.identity
    old_server.reset()
    with open_it(old_server, cached=identity) as store:
        assert store.is_unchanged
    assert old_server.n_requests == 0


def test_what_is_missing_is_fetched_and_no_more(old_server: RangeServer) -> None:
    ask(old_server, MIDDLE, (1500 * KIB, 1600 * KIB))
    old_server.reset()
    with open_it(old_server) as store:
        assert read(store, (1400 * KIB, 1900 * KIB)) == expected_of((1400 * KIB, 1900 * KIB))
    assert (old_server.n_requests, old_server.n_bytes) == (1, 500 * KIB)
    old_server.reset()
    assert ask(old_server, (1300 * KIB, 1950 * KIB), MIDDLE) == 2
    assert old_server.n_bytes == 150 * KIB


def test_other_cuts_of_the_same_bytes_are_found(old_server: RangeServer) -> None:
    ask(old_server, (600 * KIB, 2600 * KIB))
    assert ask(old_server, *[(at * KIB, at * KIB + 700) for at in range(600, 2599, 7)]) == 0
    assert ask(old_server, (601 * KIB + 1, 2599 * KIB - 1)) == 0


def test_what_another_reader_keeps_meanwhile_is_found(old_server: RangeServer) -> None:
    with open_it(old_server) as one, open_it(old_server) as other:
        read(one, MIDDLE)
        old_server.reset()
        assert read(other, MIDDLE) == expected_of(MIDDLE)
        assert old_server.n_requests == 0


def test_a_server_that_sends_no_parts_sends_the_file_once(old_server: RangeServer) -> None:
    old_server.inject(NAME, "ignore-range")
    assert ask(old_server, MIDDLE) > 0
    assert ask(old_server, MIDDLE, FAR, *ENDS) == 0


def test_an_empty_file_is_no_trouble(old_server: RangeServer) -> None:
    change(old_server, b"")
    for _ in range(2):
        with open_it(old_server) as store:
            assert store.size == 0
            assert read(store, (0, 0)) == [b""]


def test_a_pinned_version_is_never_asked_for(old_server: RangeServer) -> None:
    old_server.add_version(NAME, "v1", old_server.folder / NAME)
    old_server.headers = {"Cache-Control": "no-cache"}
    access = make_access({"anon": True, "endpoint_url": old_server.base_url, "chunk_cache_max_age": 0})
    for n_requests in (3, 0):
        old_server.reset()
        with open_bytes(Url(f"s3://{NAME}?versionId=v1"), access) as store:
            assert store.source.identity == Identity("version", "v1", len(CONTENT))
            assert read(store, MIDDLE) == expected_of(MIDDLE)
        assert old_server.n_requests == n_requests


def test_query_strings_that_sign_do_not_matter_and_are_not_written(old_server: RangeServer, chunk_folder: Path) -> None:
    access = make_access({"headers": {"Authorization": "Bearer hush"}})
    for signature in ("one", "two"):
        old_server.reset()
        with open_bytes(Url(f"{old_server.url(NAME)}?X-Amz-Signature={signature}&token=hush"), access) as store:
            assert read(store, MIDDLE) == expected_of(MIDDLE)
    assert old_server.n_requests == 0
    written = [path for path in chunk_folder.rglob("*") if path.is_file()]
    assert len(written) > 3
    for path in written:
        assert path.stat().st_mode & 0o777 == 0o600
        everything = str(path).encode() + path.read_bytes()
        assert b"hush" not in everything
        assert b"Signature" not in everything
    assert chunk_folder.stat().st_mode & 0o777 == 0o700


@st.composite
def some_reads(draw: st.DrawFn) -> list[list[tuple[int, int]]]:
    edges = st.integers(0, len(CONTENT))
    lengths = st.one_of(st.integers(0, 5000), st.integers(0, 600 * KIB))
    one = st.tuples(edges, lengths).map(lambda pair: (pair[0], min(sum(pair), len(CONTENT))))
    return draw(st.lists(st.lists(one, min_size=1, max_size=6), min_size=1, max_size=5))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reads=some_reads(), seed=st.integers(0, 1000))
def test_any_reads_through_the_cache_give_the_bytes(
    old_server: RangeServer, chunk_folder: Path, reads: list[list[tuple[int, int]]], seed: int
) -> None:
    found = blobs(chunk_folder)
    if found and seed % 2:
        # Some of it is swept, or torn.
        victim = found[seed % len(found)]
        victim.unlink() if seed % 3 else victim.write_bytes(victim.read_bytes()[: seed % 100])
    with open_it(old_server) as store:
        for ranges in reads:
            assert read(store, *ranges) == expected_of(*ranges)
    assert ask(old_server, *[one for ranges in reads for one in ranges]) == 0
