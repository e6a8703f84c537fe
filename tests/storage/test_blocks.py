from __future__ import annotations

import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from nwb_dask.index import Url
from nwb_dask.storage import BlockFile, Store, blocks, make_access, open_bytes, trace
from nwb_dask.testing import RangeServer

ACCESS = make_access()
KIB = 1024
CONTENT = os.urandom(3000 * KIB + 17)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "a.nwb").write_bytes(CONTENT)
    with RangeServer(folder) as server, open_bytes(Url(server.url("a.nwb")), ACCESS) as opened:
        yield opened


def test_first_round_of_an_opened_store_serves_the_ends(store: Store) -> None:
    with trace() as traced:
        file = BlockFile(store)
        assert file.read(8) == CONTENT[:8]
        file.seek(-8, io.SEEK_END)
        assert file.read() == CONTENT[-8:]
    assert traced.requests == 0


def test_ends_of_a_planned_file_come_in_one_round(store: Store) -> None:
    with trace() as traced, open_bytes(store.source.url, ACCESS, store.source.identity) as planned:
        BlockFile(planned)
    assert (traced.requests, traced.rounds, traced.bytes) == (2, 1, 512 * KIB)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(CONTENT)), st.integers(0, 200 * KIB)), max_size=6))
def test_reads_anywhere_are_the_bytes_of_the_file(store: Store, reads: list[tuple[int, int]]) -> None:
    file = BlockFile(store)
    for start, length in reads:
        file.seek(start)
        assert file.read(length) == CONTENT[start : start + length]
        assert file.tell() == min(start + length, len(CONTENT))


def test_same_block_is_fetched_once(store: Store) -> None:
    file = BlockFile(store)
    with trace() as traced:
        file.read_at(1000 * KIB, 1000 * KIB + 10)
        file.read_at(1000 * KIB + 20, 1000 * KIB + 30)
    assert (traced.requests, traced.bytes) == (1, 64 * KIB)


def test_reading_forward_takes_ever_longer_requests(store: Store) -> None:
    file = BlockFile(store)
    with trace() as traced:
        for start in range(256 * KIB, 2500 * KIB, 16 * KIB):
            assert file.read_at(start, start + 16 * KIB) == CONTENT[start : start + 16 * KIB]
    assert traced.requests <= 7


def test_long_read_goes_by_the_cache_in_requests_of_bounded_length(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_RUN_BYTES", 512 * KIB)
    file = BlockFile(store)
    with trace() as traced:
        assert file.read_at(300 * KIB, 2300 * KIB) == CONTENT[300 * KIB : 2300 * KIB]
    assert traced.requests == traced.rounds == 4
    assert len(file._blocks) == 0


def test_cache_keeps_no_more_than_its_bound(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_CACHE_BYTES", 256 * KIB)
    file = BlockFile(store)
    for start in range(256 * KIB, 2500 * KIB, 100 * KIB):
        file.read_at(start, start + 10)
    assert len(file._blocks) <= 4


def test_seeking_follows_the_three_origins_and_refuses_the_impossible(store: Store) -> None:
    file = BlockFile(store)
    assert (file.seek(10), file.seek(5, io.SEEK_CUR), file.seek(0, io.SEEK_END)) == (10, 15, len(CONTENT))
    with pytest.raises(ValueError, match="before the start"):
        file.seek(-1)


def test_reading_at_the_end_gives_nothing(store: Store) -> None:
    file = BlockFile(store)
    file.seek(len(CONTENT) + 5)
    assert file.read(10) == b""


def test_file_is_read_only(store: Store) -> None:
    file = BlockFile(store)
    assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)


def test_threads_read_the_same_bytes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_CACHE_BYTES", 256 * KIB)
    file = BlockFile(store)
    starts = [i * 37_123 % (len(CONTENT) - 5000) for i in range(300)]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda start: file.read_at(start, start + 5000), starts))
    assert got == [CONTENT[start : start + 5000] for start in starts]


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_h5py_reads_the_same_through_it_as_from_the_disk(tmp_path: Path, libver: str) -> None:
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "f.h5", "w", libver=libver) as made:
        for i in range(40):
            group = made.create_group(f"g{i}")
            group.attrs["name"] = f"group {i}"
            group["x"] = rng.normal(size=5000)
        made.create_dataset("z", data=rng.normal(size=(400, 300)), chunks=(50, 300), compression="gzip")
        made["flat"] = rng.normal(size=700_000)
    with (
        RangeServer(tmp_path) as server,
        open_bytes(Url(server.url("f.h5")), ACCESS) as store,
        h5py.File(BlockFile(store), "r") as remote,
        h5py.File(tmp_path / "f.h5", "r") as local,
    ):
        names: list[str] = []
        local.visit(names.append)
        for name in names:
            assert dict(remote[name].attrs) == dict(local[name].attrs)
            if isinstance(local[name], h5py.Dataset):
                np.testing.assert_array_equal(remote[name][()], local[name][()])
