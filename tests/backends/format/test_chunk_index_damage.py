from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from numcodecs.jenkins import jenkins_lookup3

from nwb_dask.backends.hdf5.format import space as space_module
from nwb_dask.backends.hdf5.format.chunk_index import find_chunks
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, ChunkIndex, ChunkManifest
from tests.backends.format.chunked import Reads, everything, load


@dataclass(frozen=True)
class Case:
    libver: str
    shape: tuple[int, ...]
    maxshape: tuple[int | None, ...]
    compression: str | None = None


CASES = {
    "btree1": Case("earliest", (300,), (None,)),
    "btree1, filtered": Case("earliest", (20, 15), (None, None), "gzip"),
    "fixed": Case("latest", (20, 10), (20, 10)),
    "fixed, paged": Case("latest", (3000,), (3000,), "gzip"),
    "extensible": Case("latest", (3000,), (None,)),
    "extensible, second axis": Case("latest", (4, 50), (5, None), "gzip"),
    "btree2": Case("latest", (30, 30), (None, None)),
    "btree2, filtered": Case("latest", (15, 10, 3), (None, None, None), "gzip"),
}


@dataclass(frozen=True)
class Written:
    body: bytes
    entry: ArrayEntry
    parts: tuple[tuple[int, int], ...]
    """What is read of the index: where from, and how many bytes."""

    @property
    def index(self) -> ChunkIndex:
        assert self.entry.chunk_index is not None
        return self.entry.chunk_index

    @property
    def address(self) -> int:
        assert self.index.address is not None
        return self.index.address


def find(body: bytes, entry: ArrayEntry) -> ChunkManifest:
    return find_chunks(Reads(body).space(), entry, everything(entry))


class _Spy(space_module.AddressSpace):
    """Notes what is read."""

    parts: set[tuple[int, int]]

    def __init__(self, space: space_module.AddressSpace) -> None:
        super().__init__(space.image, space.base)
        object.__setattr__(self, "parts", set())

    def read(self, address: int, n_bytes: int, *, once: bool = False) -> memoryview:
        self.parts.add((address, n_bytes))
        return super().read(address, n_bytes, once=once)


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Written]:
    done: dict[str, Written] = {}

    def make(name: str) -> Written:
        if name not in done:
            path = tmp_path_factory.mktemp("damage") / "x.h5"
            done[name] = _write(path, CASES[name])
        return done[name]

    return make


def _write(path: Path, case: Case) -> Written:
    with h5py.File(path, "w", libver=case.libver) as file:
        chunks = (1,) * len(case.shape)
        dataset = file.create_dataset(
            "x", case.shape, "i4", chunks=chunks, maxshape=case.maxshape, compression=case.compression
        )
        dataset[...] = np.arange(1, dataset.size + 1).reshape(case.shape)
    space, entry = load(path)
    spy = _Spy(space)
    find_chunks(spy, entry, everything(entry))
    return Written(path.read_bytes(), entry, tuple(sorted(spy.parts)))


def changed(body: bytes, at: int, new: bytes) -> bytes:
    return body[:at] + new + body[at + len(new) :]


def signed(body: bytes, at: int, n_bytes: int) -> bytes:
    """Return `body` with the checksum that belongs to a structure of it."""
    whole = body[at : at + n_bytes - 4]
    return changed(body, at + n_bytes - 4, jenkins_lookup3(whole, 0).to_bytes(4, "little"))


CHECKED = [name for name in CASES if "btree1" not in name]


@pytest.mark.parametrize("name", CHECKED)
def test_every_structure_is_checked_by_its_checksum(name: str, write: Callable[[str], Written]) -> None:
    written = write(name)
    for start, n_bytes in written.parts:
        for at in {start, start + 7, start + n_bytes // 2, start + n_bytes - 5, start + n_bytes - 1}:
            with pytest.raises(MalformedFileError):
                find(changed(written.body, at, bytes([written.body[at] ^ 0x10])), written.entry)


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_ends_early_is_truncated(name: str, write: Callable[[str], Written]) -> None:
    written = write(name)
    whole = find(written.body, written.entry)
    for length in (written.address, written.address + 10, int((whole.offsets + whole.sizes).max()) - 1):
        with pytest.raises(MalformedFileError):
            find(written.body[:length], written.entry)


@pytest.mark.parametrize("name", CASES)
def test_an_index_that_is_elsewhere_is_damage(name: str, write: Callable[[str], Written]) -> None:
    written = write(name)
    for address in (0, 1, written.address + 1, len(written.body) - 1, len(written.body), 1 << 40, (1 << 64) - 2):
        entry = replace(written.entry, chunk_index=replace(written.index, address=address))
        with pytest.raises(MalformedFileError):
            find(written.body, entry)


def _mutated(written: Written, rng: np.random.Generator) -> bytes:
    body = bytearray(written.body)
    for _ in range(int(rng.integers(1, 4))):
        start, n_bytes = written.parts[int(rng.integers(len(written.parts)))]
        # The head of a structure says more than its rows.
        at = start + int(rng.integers(min(n_bytes, 60) if rng.random() < 0.6 else n_bytes))
        width = int(rng.choice([1, 2, 4, 8]))
        new = [bytes(width), b"\xff" * width, b"\x7f" * width, rng.bytes(width)][int(rng.integers(4))]
        body[at : at + width] = new
    return bytes(body[: len(written.body)])


@pytest.mark.parametrize("name", CASES)
def test_damage_that_no_checksum_tells_is_an_error_or_another_chunk(
    name: str, write: Callable[[str], Written], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space_module, "verify", lambda *_, **__: None)
    written = write(name)
    rng = np.random.default_rng(17)
    seen: Counter[str] = Counter()
    tracemalloc.start()
    for _ in range(300):
        body = _mutated(written, rng)
        try:
            manifest = find(body, written.entry)
        except MalformedFileError as error:
            seen[error.message.split(" ", 1)[0]] += 1
        except UnsupportedLayoutError:
            seen["unsupported"] += 1
        else:
            assert (np.diff(manifest.numbers) > 0).all()
            assert (manifest.offsets + manifest.sizes <= len(body)).all()
            seen["found"] += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert set(seen) <= {"damaged:", "truncated:", "unsupported", "found"}
    assert seen["damaged:"] > 100
    assert peak < 40 * len(written.body) + (8 << 20)


def test_keys_that_do_not_increase_are_damage(write: Callable[[str], Written]) -> None:
    written = write("btree1")
    start, _ = written.parts[-1]
    key = start + 24 + 8
    for swapped in (written.body[key + 64 : key + 72], written.body[key + 32 : key + 40]):
        with pytest.raises(MalformedFileError, match="do not increase"):
            find(changed(written.body, key, swapped), written.entry)


def test_records_that_do_not_increase_are_damage(write: Callable[[str], Written]) -> None:
    written = write("btree2")
    leaf, n_bytes = next((at, n) for at, n in written.parts if written.body[at : at + 4] == b"BTLF" and n > 100)
    body = changed(written.body, leaf + 6 + 8, written.body[leaf + 6 + 24 + 8 : leaf + 6 + 48])
    with pytest.raises(MalformedFileError, match="do not increase"):
        find(signed(body, leaf, n_bytes), written.entry)


def test_a_tree_that_leads_back_to_itself_is_damage(write: Callable[[str], Written]) -> None:
    written = write("btree1")
    child = written.address + 24 + 24
    body = changed(written.body, child, written.address.to_bytes(8, "little"))
    with pytest.raises(MalformedFileError, match="level"):
        find(body, written.entry)
    # The same level all the way: a node may not be its own child, whatever it says of itself.
    body = changed(body, written.address + 5, b"\x02")
    with pytest.raises(MalformedFileError, match="level"):
        find(body, written.entry)


def test_two_children_in_one_place_are_damage(write: Callable[[str], Written]) -> None:
    written = write("btree1")
    first, second = written.address + 24 + 24, written.address + 24 + 24 + 32
    with pytest.raises(MalformedFileError, match="same place"):
        find(changed(written.body, second, written.body[first : first + 8]), written.entry)


def test_more_entries_than_a_node_has_room_for_are_damage(write: Callable[[str], Written]) -> None:
    written = write("btree1")
    for count in (0xFFFF, 300):
        with pytest.raises(MalformedFileError):
            find(changed(written.body, written.address + 6, count.to_bytes(2, "little")), written.entry)


@pytest.mark.parametrize(("name", "at"), [("btree1", 24 + 24), ("btree1, filtered", 24)])
def test_a_chunk_past_the_end_of_the_file_is_truncated(name: str, at: int, write: Callable[[str], Written]) -> None:
    written = write(name)
    leaf = next(start for start, _ in written.parts if written.body[start : start + 6] == b"TREE\x01\x00")
    new = len(written.body).to_bytes(8, "little")[: 8 if at > 24 else 4]
    with pytest.raises(MalformedFileError, match="truncated: a chunk reaches past"):
        find(changed(written.body, leaf + at, new), written.entry)


def test_a_chunk_without_filters_has_one_size(write: Callable[[str], Written]) -> None:
    written = write("btree1")
    leaf = next(start for start, _ in written.parts if written.body[start : start + 6] == b"TREE\x01\x00")
    with pytest.raises(MalformedFileError, match="another size"):
        find(changed(written.body, leaf + 24, b"\x03"), written.entry)


def test_a_fixed_array_of_another_length_is_damage(write: Callable[[str], Written]) -> None:
    written = write("fixed")
    body = signed(changed(written.body, written.address + 8, b"\xc9"), written.address, 28)
    with pytest.raises(MalformedFileError, match="fixed array of 201 elements"):
        find(body, written.entry)


def test_a_later_version_of_an_array_is_not_read(write: Callable[[str], Written]) -> None:
    written = write("fixed")
    body = signed(changed(written.body, written.address + 4, b"\x01"), written.address, 28)
    with pytest.raises(UnsupportedLayoutError, match="version 1 of FAHD"):
        find(body, written.entry)


@pytest.mark.parametrize(
    ("at", "value"), [(6, 9), (7, 0), (7, 63), (9, 3), (9, 0), (10, 3), (10, 0), (11, 63), (11, 2)]
)
def test_an_extensible_array_cut_in_impossible_blocks_is_damage(
    at: int, value: int, write: Callable[[str], Written]
) -> None:
    written = write("extensible")
    body = signed(changed(written.body, written.address + at, bytes([value])), written.address, 72)
    with pytest.raises(MalformedFileError, match="damaged"):
        find(body, written.entry)


def test_data_blocks_in_one_place_are_damage(write: Callable[[str], Written]) -> None:
    written = write("extensible")
    start, n_bytes = next((at, n) for at, n in written.parts if written.body[at : at + 4] == b"EASB" and n > 60)
    pointers = start + n_bytes - 4
    body = changed(written.body, pointers - 8, written.body[pointers - 16 : pointers - 8])
    with pytest.raises(MalformedFileError, match="same place"):
        find(signed(body, start, n_bytes), written.entry)


def test_huge_blocks_of_a_small_file_are_not_looked_through(write: Callable[[str], Written]) -> None:
    """Least elements of a block of 128 instead of 16: what the blocks would hold is more than the file."""
    written = write("extensible, second axis")
    body = signed(changed(written.body, written.address + 9, b"\x80"), written.address, 72)
    with pytest.raises(MalformedFileError):
        find(body, written.entry)


def test_only_one_dimension_of_an_array_index_may_grow(write: Callable[[str], Written]) -> None:
    written = write("extensible, second axis")
    index = replace(written.index, unlimited=(True, True), maxshape=(None, None))
    with pytest.raises(MalformedFileError, match="more than one dimension"):
        find(written.body, replace(written.entry, chunk_index=index))


def test_a_chunk_listed_twice_is_damage(tmp_path: Path) -> None:
    """Two leaves that both begin at the same chunk, under keys that hide it."""
    path = tmp_path / "x.h5"
    written = _write(path, CASES["btree1"])
    leaves = [start for start, _ in written.parts if written.body[start : start + 6] == b"TREE\x01\x00"]
    one, other = leaves[0], leaves[1]
    used = int.from_bytes(written.body[one + 6 : one + 8], "little")
    with pytest.raises(MalformedFileError, match="twice"):
        find(changed(written.body, other, written.body[one : one + 24 + used * 32 + 24]), written.entry)
