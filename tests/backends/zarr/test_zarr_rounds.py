"""What a remote store costs: rounds and requests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr import codecs

from nwb_dask.backends.zarr import ZarrFile, recent
from nwb_dask.errors import SourceChangedError
from nwb_dask.index import Identity, Source, Url
from nwb_dask.storage import Folder, make_access, open_store
from nwb_dask.testing import RangeServer
from tests.backends.zarr.stores import (
    GROUP_V2,
    Keys,
    array_v2,
    documents,
    keys_of,
    new_group,
    opened,
    without_warnings,
)

ROOT = [(".zmetadata", None), ("zarr.json", None)]


@pytest.fixture
def store(tmp_path: Path) -> Keys:
    group = new_group(tmp_path / "x", 2)
    group.create_array("a", shape=(100, 40), chunks=(10, 40), dtype="<i4", compressors=None)[...] = values()
    group.create_array("b", shape=(100_000,), chunks=(50_000,), dtype="<f8")[...] = np.arange(100_000)
    group.create_array("c", shape=(5,), dtype="<i4")[...] = 3
    zarr.consolidate_metadata(str(tmp_path / "x"))
    return keys_of(tmp_path / "x")


def values() -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return np.arange(4000, dtype="i4").reshape(100, 40)


def test_consolidated_documents_cost_one_round(store: Keys) -> None:
    assert set(ZarrFile(store).index("/", recursive=True).arrays) == {"/a", "/b", "/c"}
    assert store.rounds == [ROOT]


def test_many_arrays_cost_one_round(store: Keys) -> None:
    file = ZarrFile(store)
    entries = file.index("/").arrays
    file.read_many([(entries["/a"], np.array([[5, 25]])), (entries["/b"], None), (entries["/c"], None)])
    assert len(store.rounds) == 2
    assert [key for key, _ in store.rounds[1]] == ["a/0.0", "a/1.0", "a/2.0", "b/0", "b/1", "c/0"]


def test_of_chunks_without_compression_only_what_is_wanted_is_read(store: Keys) -> None:
    file = ZarrFile(store)
    found = file.read(file.index("/").arrays["/a"], np.array([[4, 6], [17, 18]]), ((10, 20),))
    np.testing.assert_array_equal(found, values()[[4, 5, 17], 10:20])
    assert store.rounds[1] == [("a/0.0", (680, 880)), ("a/1.0", (1160, 1200))]


def test_small_arrays_are_prepared_and_held(store: Keys) -> None:
    file = ZarrFile(store)
    entries = file.index("/", names=["c"], prepare=True).arrays
    n_rounds = len(store.rounds)
    assert file.holds(entries["/c"])
    assert file.read(entries["/c"], np.array([[1, 3]])).tolist() == [3, 3]
    assert len(store.rounds) == n_rounds == 2


def test_documents_of_one_version_are_fetched_once_in_a_process(store: Keys) -> None:
    recent.forget()
    store.source = Source(Url("https://host/x"), Identity("etag", "one", 3))
    for _ in range(3):
        assert ZarrFile(store).index("/").arrays
    assert store.rounds == [ROOT]
    store.source = Source(Url("https://host/x"), Identity("etag", "two", 3))
    assert ZarrFile(store).index("/").arrays
    assert len(store.rounds) == 2
    recent.forget()


def test_documents_that_are_listed_cost_one_round_more() -> None:
    keys = Keys({**documents(**{".zgroup": GROUP_V2, "a/x/.zarray": array_v2([2], "|u1")}), "a/x/0": b"12"})
    index = ZarrFile(keys).index("/", recursive=True)
    assert set(index.arrays) == {"/a/x"}
    assert set(index.groups) == {"/", "/a"}
    assert keys.rounds == [ROOT, [(".zgroup", None), ("a/x/.zarray", None)]]


def test_chunks_in_shards_are_read_by_their_ranges(tmp_path: Path) -> None:
    array = new_group(tmp_path / "x", 3).create_array(
        "s", shape=(64,), chunks=(4,), shards=(32,), dtype="uint8", compressors=codecs.ZstdCodec()
    )
    array[:40] = np.arange(40)
    keys = keys_of(tmp_path / "x")
    file = ZarrFile(keys)
    entry = file.index("/").arrays["/s"]
    before = len(keys.rounds)
    assert file.read(entry, np.array([[2, 6], [38, 44]])).tolist() == [2, 3, 4, 5, 38, 39, 0, 0, 0, 0]
    first, second = keys.rounds[before:]
    assert first == [("s/c/0", 8 * 16 + 4), ("s/c/1", 8 * 16 + 4)]
    assert [key for key, _ in second] == ["s/c/0", "s/c/0", "s/c/1"]
    assert file.read(entry, np.array([[60, 64]])).tolist() == [0, 0, 0, 0]
    # Where the chunks of a shard are is known now.
    assert len(keys.rounds) == before + 2


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A store of one array in shards, as `rewrite` writes it."""
    return rewrite(tmp_path / "s.zarr", np.arange(1, 1001))


def rewrite(path: Path, values: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Path:
    """Write ``/w`` of 100 chunks in one shard; what is zero is not written, so that the others move."""
    array = new_group(path, 3).create_array(
        "w", shape=(1000,), chunks=(10,), shards=(1000,), dtype="int64", compressors=None
    )
    array[...] = values
    with without_warnings():
        zarr.consolidate_metadata(str(path))
    return path


def test_a_remote_shard_that_is_written_again_while_a_store_is_open_is_an_error(shards: Path, tmp_path: Path) -> None:
    new = rewrite(tmp_path / "other.zarr", np.concatenate([np.zeros(300, "i8"), np.arange(301, 1001)]))
    access = make_access({"engine": "http"})
    with RangeServer(tmp_path) as server, open_store(Url(server.url("s.zarr")), access) as folder:
        assert isinstance(folder, Folder)
        file = ZarrFile(folder)
        entry = file.index("/").arrays["/w"]
        assert file.read(entry, np.array([[500, 502]])).tolist() == [501, 502]
        (shards / "w/c/0").write_bytes((new / "w/c/0").read_bytes())
        with pytest.raises(SourceChangedError):
            file.read(entry, np.array([[500, 502]]))
        assert file.read(entry, np.array([[500, 502]])).tolist() == [501, 502]
        assert file.read(entry, np.array([[0, 2]])).tolist() == [0, 0]


def test_a_local_shard_that_is_written_again_while_a_store_is_open_is_read_as_it_is(
    shards: Path, tmp_path: Path
) -> None:
    new = rewrite(tmp_path / "other.zarr", np.concatenate([np.zeros(300, "i8"), np.arange(301, 1001)]))
    with opened(shards) as file:
        entry = file.index("/").arrays["/w"]
        assert file.read(entry, np.array([[500, 502]])).tolist() == [501, 502]
        (shards / "w/c/0").write_bytes((new / "w/c/0").read_bytes())
        assert file.read(entry, np.array([[500, 502]])).tolist() == [501, 502]
