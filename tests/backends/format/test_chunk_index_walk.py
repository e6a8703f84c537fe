"""What it costs to find chunks: rounds of reading, bytes, and how often work is done again."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_dask.backends.hdf5.format.chunk_index import chunk_ranges, find_chunks
from nwb_dask.backends.hdf5.format.space import AddressSpace
from nwb_dask.index import ArrayEntry, ChunkIndexKind
from tests.backends.format.chunked import Reads, all_chunks, everything, in_rounds, load

N_CHUNKS = 100_000
PAGE_BYTES = 512


@dataclass(frozen=True)
class Case:
    kind: ChunkIndexKind
    libver: str
    shape: tuple[int, ...]
    maxshape: tuple[int | None, ...]
    rounds: int
    """Of the deepest chain of reads."""
    slice_bytes: int
    """Of the metadata of three chunks that follow each other."""
    compression: str | None = None


CASES = {
    "btree1": Case("btree1", "earliest", (N_CHUNKS,), (None,), 3, 10_000),
    "btree1, two axes": Case("btree1", "earliest", (400, 250), (400, None), 3, 12_000, "gzip"),
    "fixed": Case("fixed", "latest", (N_CHUNKS,), (N_CHUNKS,), 3, 11_000),
    "extensible": Case("extensible", "latest", (N_CHUNKS,), (None,), 4, 12_000),
    "extensible, filtered": Case("extensible", "latest", (N_CHUNKS,), (None,), 4, 24_000, "gzip"),
    "extensible, second axis": Case("extensible", "latest", (400, 250), (431, None), 4, 30_000),
    "btree2": Case("btree2", "latest", (400, 250), (None, None), 5, 8_000),
}


@dataclass(frozen=True)
class Written:
    case: Case
    body: bytes
    entry: ArrayEntry
    values: np.ndarray[Any, Any]

    def reads(self) -> tuple[Reads, AddressSpace]:
        reads = Reads(self.body)
        return reads, reads.space(page_bytes=PAGE_BYTES, at_once=False)


@pytest.fixture(scope="module", params=CASES)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    case = CASES[request.param]
    path: Path = tmp_path_factory.mktemp("chunks") / "x.h5"
    values = np.arange(1, N_CHUNKS + 1, dtype="i4").reshape(case.shape)
    with h5py.File(path, "w", libver=case.libver) as file:
        chunks = (1,) * len(case.shape)
        dataset = file.create_dataset(
            "x", case.shape, "i4", chunks=chunks, maxshape=case.maxshape, compression=case.compression
        )
        dataset[...] = values
    _, entry = load(path)
    yield Written(case, path.read_bytes(), entry, values)
    path.unlink()


def test_all_of_a_hundred_thousand_chunks_are_found_where_their_values_are(written: Written) -> None:
    space = Reads(written.body).space()
    manifest = all_chunks(space, written.entry)
    assert written.entry.chunk_index is not None
    assert written.entry.chunk_index.kind == written.case.kind
    np.testing.assert_array_equal(manifest.numbers, np.arange(N_CHUNKS))
    if written.case.compression is None:
        assert set(manifest.sizes.tolist()) == {4}
        at = manifest.offsets[:, None] + np.arange(4)
        stored = np.frombuffer(written.body, np.uint8)[at].view("<i4").reshape(-1)
        np.testing.assert_array_equal(stored, written.values.reshape(-1))
    else:
        for number in range(0, N_CHUNKS, 997):
            start = int(manifest.offsets[number])
            raw = zlib.decompress(written.body[start : start + int(manifest.sizes[number])])
            assert int.from_bytes(raw, "little") == number + 1


def test_a_slice_costs_only_the_depth_of_its_index(written: Written) -> None:
    whole = all_chunks(Reads(written.body).space(), written.entry)
    for first in (0, 1, 777, N_CHUNKS // 2, N_CHUNKS - 3):
        reads, space = written.reads()
        manifest = in_rounds(space, written.entry, np.array([[first, first + 3]]))
        assert manifest.numbers.tolist() == [first, first + 1, first + 2]
        np.testing.assert_array_equal(manifest.offsets, whole.offsets[first : first + 3])
        assert reads.rounds <= written.case.rounds
        assert reads.n_bytes <= written.case.slice_bytes


def test_many_slices_cost_no_more_rounds_than_one(written: Written) -> None:
    firsts = np.arange(0, N_CHUNKS, 2503)
    reads, space = written.reads()
    manifest = in_rounds(space, written.entry, np.stack((firsts, firsts + 1), axis=1))
    assert manifest.numbers.tolist() == firsts.tolist()
    assert reads.rounds <= written.case.rounds


def test_all_chunks_cost_no_more_rounds_than_one(written: Written) -> None:
    reads, space = written.reads()
    manifest = in_rounds(space, written.entry, everything(written.entry))
    assert len(manifest.numbers) == N_CHUNKS
    assert reads.rounds <= written.case.rounds


def test_what_is_here_is_not_asked_for_again(written: Written) -> None:
    reads, space = written.reads()
    wanted = np.array([[4000, 5000]])
    in_rounds(space, written.entry, wanted)
    n_rounds = reads.rounds
    assert len(find_chunks(space, written.entry, wanted).numbers) == 1000
    assert reads.rounds == n_rounds


def _levels(body: bytes, address: int) -> int:
    """Return the levels of a version 1 B-tree, as its root says."""
    assert body[address : address + 5] == b"TREE\x01"
    return body[address + 5] + 1


def test_the_trees_of_these_tests_are_deep(written: Written) -> None:
    index = written.entry.chunk_index
    assert index is not None
    assert index.address is not None
    if index.kind == "btree1":
        assert _levels(written.body, index.address) == 3
    if index.kind == "btree2":
        assert int.from_bytes(written.body[index.address + 12 : index.address + 14], "little") >= 2


def test_rows_of_an_array_that_grows_sideways_read_only_their_pages(tmp_path: Path) -> None:
    """Chunks of one row lie a whole column apart in the index."""
    path = tmp_path / "x.h5"
    shape = (20_000, 5)
    with h5py.File(path, "w", libver="latest") as file:
        dataset = file.create_dataset("x", shape, "i4", chunks=(1, 1), maxshape=(20_000, None))
        dataset[...] = np.arange(1, 100_001).reshape(shape)
    _, entry = load(path)
    whole = all_chunks(Reads(path.read_bytes()).space(), entry)
    reads = Reads(path.read_bytes())
    manifest = in_rounds(
        reads.space(page_bytes=PAGE_BYTES, at_once=False), entry, chunk_ranges(entry, np.array([[7000, 7002]]))
    )
    assert manifest.numbers.tolist() == list(range(35_000, 35_010))
    np.testing.assert_array_equal(manifest.offsets, whole.offsets[35_000:35_010])
    # Five pages of 1024 elements, of about a hundred.
    assert reads.n_bytes < 5 * (8 * 1024 + 3 * PAGE_BYTES) + 8 * PAGE_BYTES


def test_nodes_of_an_unusual_size_are_read(tmp_path: Path) -> None:
    """A version 1 B-tree of 400 entries to a node, which only the superblock says: made of a usual one by hand."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver="earliest") as file:
        file.create_dataset("x", (400,), "i4", chunks=(1,))[...] = np.arange(400)
    space, entry = load(path)
    manifest = all_chunks(space, entry)
    keys = [_key(number) for number in range(401)]
    head = b"TREE\x01\x00" + (400).to_bytes(2, "little") + b"\xff" * 16
    node = b"".join(
        key + offset.to_bytes(8, "little") for key, offset in zip(keys[:-1], manifest.offsets.tolist(), strict=True)
    )
    body = path.read_bytes()
    assert entry.chunk_index is not None
    other = replace(entry, chunk_index=replace(entry.chunk_index, address=len(body)))
    reads = Reads(body + head + node + keys[-1])
    found = in_rounds(reads.space(page_bytes=64, at_once=False), other, everything(entry))
    np.testing.assert_array_equal(found.offsets, manifest.offsets)
    assert reads.rounds == 2


def _key(position: int) -> bytes:
    """Return the key of a chunk of four bytes: size, mask, position, position in the element."""
    return (4).to_bytes(4, "little") + bytes(4) + position.to_bytes(8, "little") + bytes(8)
