"""Values of variable length and the heaps that hold them, against h5py."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from h5py import h5f, h5p

from nwb_dask.backends.hdf5.format.fractal_heap import read_fractal_heap
from nwb_dask.backends.hdf5.format.global_heap import GlobalHeap
from nwb_dask.backends.hdf5.format.local_heap import read_local_heap
from nwb_dask.backends.hdf5.format.space import AddressSpace
from nwb_dask.backends.hdf5.pages import Pages
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from tests.backends.format.reading import in_rounds, pages_of, space_of

TEXT = h5py.string_dtype()


def written(values: list[Any], dtype: Any = TEXT, **file: Any) -> tuple[bytes, bytes, list[Any]]:
    """Return a file with one dataset, its elements as stored, and its values as h5py reads them."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **file) as f:
        dataset = f.create_dataset("values", (len(values),), dtype)
        for i, value in enumerate(values):
            if value is not None:
                dataset[i] = value
    return stored(buffer)


def stored(buffer: io.BytesIO) -> tuple[bytes, bytes, list[Any]]:
    body = buffer.getvalue()
    with h5py.File(buffer) as f:
        dataset = f["values"]
        offset = dataset.id.get_offset()
        ids = body[offset : offset + dataset.id.get_storage_size()]
        return body, ids, list(dataset[()])


def collection(
    *objects: tuple[int, bytes], size: int = 4096, free: int | None = None, claim: int | None = None
) -> bytes:
    """Return a collection of the global heap with objects, and free space after them."""
    body = b"GCOL" + struct.pack("<B3xQ", 1, size if claim is None else claim)
    for index, value in objects:
        body += struct.pack("<HHIQ", index, 1, 0, len(value)) + value + bytes(-len(value) % 8)
    left = size - len(body)
    if left >= 16:
        body += struct.pack("<HHIQ", 0, 0, 0, left if free is None else free)
    return body + bytes(size - len(body))


def alone(body: bytes) -> GlobalHeap:
    return GlobalHeap(AddressSpace(pages_of(bytes(64) + body), 0))


def element(count: int, index: int, address: int = 64) -> bytes:
    return struct.pack("<IQI", count, address, index)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("userblock_size", [0, 1024])
def test_texts_are_those_of_h5py(libver: str, userblock_size: int) -> None:
    texts = ["", "a", "ø" * 300, None, "units", "x" * 1_000_000, "", "é\U0001f9e0", *(f"text {i}" for i in range(500))]
    body, ids, theirs = written(texts, libver=libver, userblock_size=userblock_size)
    assert GlobalHeap(space_of(body)).texts(ids, len(texts)) == theirs
    # One at a time, as of attributes, and with a heap that remembers.
    heap = GlobalHeap(space_of(body))
    assert [heap.texts(ids[at : at + 16], 1)[0] for at in range(0, len(ids), 16)] == theirs


def test_texts_that_were_never_written_are_empty_as_h5py_has_them() -> None:
    body, ids, theirs = written([None] * 100 + ["written"])
    assert theirs == [b""] * 100 + [b"written"]
    assert GlobalHeap(space_of(body)).texts(ids, 101) == theirs


@pytest.mark.parametrize("widths", [(4, 4), (8, 4), (4, 8), (2, 2), (8, 8)])
def test_texts_are_found_whatever_the_width_of_addresses_and_lengths(tmp_path: Path, widths: tuple[int, int]) -> None:
    properties = h5p.create(h5p.FILE_CREATE)
    properties.set_sizes(*widths)
    path = tmp_path / "narrow.h5"
    texts = [f"text {i}" * (i % 9) for i in range(200)]
    with h5py.File(h5f.create(str(path).encode(), h5f.ACC_TRUNC, properties)) as f:
        f.create_dataset("values", data=texts, dtype=TEXT)
    body, ids, theirs = stored(io.BytesIO(path.read_bytes()))
    heap = GlobalHeap(space_of(body))
    assert heap.element_bytes == 8 + widths[0]
    assert heap.texts(ids, 200) == theirs == [text.encode() for text in texts]


@pytest.mark.parametrize("dtype", ["<i4", "<f8", "u1"])
def test_sequences_have_the_bytes_that_h5py_reads(dtype: str) -> None:
    sequences: list[npt.NDArray[Any] | None] = [np.arange(i % 40, dtype=dtype) for i in range(300)]
    sequences[7] = None
    body, ids, theirs = written(sequences, h5py.vlen_dtype(np.dtype(dtype)))
    ours = GlobalHeap(space_of(body)).items(ids, 300, np.dtype(dtype).itemsize)
    for raw, expected in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(np.frombuffer(raw, dtype), expected)
    assert ours[7] == b""


def test_region_references_are_found_in_the_heap() -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as f:
        target = f.create_dataset("target", data=np.arange(10))
        dataset = f.create_dataset("values", (1,), h5py.regionref_dtype)
        dataset[0] = target.regionref[2:5]
        address = h5py.h5o.get_info(target.id).addr
    body, ids, _ = stored(buffer)
    collection_at, index = struct.unpack("<QI", ids)
    found = GlobalHeap(space_of(body)).object(collection_at, index)
    # A dataset region is the address of its dataset, and then the selection.
    assert int.from_bytes(found[:8], "little") == address
    assert 2 in struct.unpack(f"<{(len(found) - 8) // 4}I", found[8 : 8 + (len(found) - 8) // 4 * 4])


def test_a_hundred_thousand_texts_take_one_round() -> None:
    texts = [f"cell number {i}" for i in range(100_000)]
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as f:
        f.create_dataset("values", data=texts, dtype=TEXT)
    body, ids, theirs = stored(buffer)
    ours, rounds = in_rounds(body, lambda space: GlobalHeap(space).texts(ids, len(texts)), page_bytes=4096)
    assert ours == theirs
    assert len(rounds) == 1
    assert rounds[0] < len(body)


def test_a_long_text_takes_one_round() -> None:
    body, ids, theirs = written(["x" * 1_000_000, "short"])
    ours, rounds = in_rounds(body, lambda space: GlobalHeap(space).texts(ids, 2))
    assert ours == theirs
    assert len(rounds) == 1


def test_more_of_a_collection_is_read_only_if_the_object_lies_beyond_what_is_here() -> None:
    # Filler, which nobody asks for, is before the object that is wanted.
    body = bytes(64) + collection((1, b"near"), (2, bytes(10_000)), (3, b"far"), size=16_384) + bytes(4096)
    space = AddressSpace(pages_of(body), 0)
    assert GlobalHeap(space).texts(element(4, 1) + element(3, 3), 2) == [b"near", b"far"]
    for wanted, n_rounds in ((element(4, 1), 1), (element(3, 3), 2)):

        def texts(space: AddressSpace, wanted: bytes = wanted) -> list[bytes]:
            return GlobalHeap(space).texts(wanted, 1)

        found, rounds = in_rounds(body, texts, known=space)
        assert found[0] in (b"near", b"far")
        assert len(rounds) == n_rounds


def test_a_collection_of_which_another_thread_has_read_more_meanwhile_is_not_cut() -> None:
    body = bytes(64) + collection((1, b"near"), (2, bytes(10_000)), (3, b"far"), size=16_384) + bytes(4096)
    meanwhile: list[Callable[[], object]] = []

    def fetch(ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        while meanwhile:
            meanwhile.pop()()
        return [body[start:stop] for start, stop in ranges]

    heap = GlobalHeap(AddressSpace(Pages(len(body), fetch, page_bytes=512, at_once=True), 0))
    meanwhile.append(lambda: heap.texts(element(3, 3), 1))
    assert heap.texts(element(4, 1), 1) == [b"near"]
    assert heap.texts(element(3, 3), 1) == [b"far"]


def test_elements_in_any_order_keep_their_places() -> None:
    texts = [f"text {i}" for i in range(2000)]
    body, ids, _ = written(texts)
    order = np.random.default_rng(0).permutation(2000)
    shuffled = np.frombuffer(ids, "V16")[order].tobytes()
    assert GlobalHeap(space_of(body)).texts(shuffled, 2000) == [texts[i].encode() for i in order]


def test_elements_that_share_an_object_share_its_memory() -> None:
    heap = alone(collection((1, b"x" * 3000)))
    values = heap.items(element(3000, 1) * 100_000, 100_000, 1)
    assert values[0] == b"x" * 3000
    assert len({id(value) for value in values}) == 1


def test_a_text_ends_at_its_first_zero_and_a_sequence_does_not() -> None:
    heap = alone(collection((1, b"from MATLAB\0"), (2, b"a\0b\0")))
    ids = element(12, 1) + element(4, 2)
    assert heap.texts(ids, 2) == [b"from MATLAB", b"a"]
    assert heap.items(ids, 2, 1) == [b"from MATLAB\0", b"a\0b\0"]
    assert heap.texts(ids * 50, 100) == [b"from MATLAB", b"a"] * 50


def test_free_space_between_objects_is_skipped() -> None:
    body = bytearray(collection((1, b"before"), (2, b"deleted."), (3, b"after")))
    at = body.index(b"deleted.") - 16
    body[at : at + 16] = struct.pack("<HHIQ", 0, 0, 0, 24)
    assert alone(bytes(body)).texts(element(6, 1) + element(5, 3), 2) == [b"before", b"after"]


DAMAGED = {
    "missing object": (collection((1, b"text")), element(4, 2), "object 2 is not in"),
    "free space is no object": (collection((1, b"text")), element(4, 0), "object 0 is not in"),
    "longer than its object": (collection((1, b"text")), element(5, 1), "5 bytes are wanted of an object of 4"),
    "no collection": (bytes(4096), element(4, 1), "no collection"),
    "collection past the end": (collection((1, b"text"), claim=1 << 40), element(4, 1), "claims"),
    "collection shorter than its header": (collection((1, b"text"), claim=8), element(4, 1), "claims"),
    "object past the collection": (
        collection((1, b"text")).replace(struct.pack("<Q", 4), struct.pack("<Q", 4096)),
        element(4, 1),
        "reaches past the end",
    ),
    "free space of no size": (collection((1, b"text"), free=0), element(4, 2), "object 2 is not in"),
    "two objects of one index": (collection((1, b"text"), (1, b"text")), element(4, 1), "same index"),
    "collection beyond the file": (collection((1, b"text")), element(4, 1, 1 << 50), "truncated"),
    "undefined address": (collection((1, b"text")), element(4, 1, (1 << 64) - 1), "truncated"),
    "count larger than the file": (collection((1, b"text")), element((1 << 32) - 1, 1), "truncated"),
}


@pytest.mark.parametrize("n", [1, 200])
@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_global_heap_is_refused(name: str, n: int) -> None:
    body, wanted, message = DAMAGED[name]
    with pytest.raises(MalformedFileError, match=message):
        alone(body).texts(wanted * n, n)


def test_a_global_heap_of_another_version_is_not_read() -> None:
    body = bytearray(collection((1, b"text")))
    body[4] = 2
    with pytest.raises(UnsupportedLayoutError, match="version 2"):
        alone(bytes(body)).texts(element(4, 1), 1)


def test_collections_may_not_overlap() -> None:
    inner = collection((1, b"inside"), size=4096)
    body = collection((1, inner), size=8192)
    with pytest.raises(MalformedFileError, match="overlap"):
        alone(body).texts(element(6, 1) + element(6, 1, 64 + 32), 2)


def test_one_object_cannot_fill_the_memory_with_its_beginnings() -> None:
    ids = b"".join(element(count, 1) for count in range(1, 3000))
    with pytest.raises(MalformedFileError, match="larger than the heap"):
        alone(collection((1, b"x" * 3000))).texts(ids, 2999)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwb_dask.backends.hdf5.format.global_heap._KEPT_BYTES", 20_000)
    texts = [f"text {i}" for i in range(5000)]
    body, ids, theirs = written(texts)
    heap = GlobalHeap(space_of(body))
    assert heap.texts(ids, 5000) == theirs
    assert sum(kept.memory_bytes for kept in heap._kept.values()) == heap._kept_bytes <= 20_000


@pytest.mark.parametrize("seed", range(60))
def test_damaged_bytes_of_a_global_heap_raise_errors_of_this_project_or_nothing(seed: int) -> None:
    body, ids, _ = written([f"text {i}" * (i % 5) for i in range(300)])
    rng = np.random.default_rng(seed)
    damaged, damaged_ids = bytearray(body), bytearray(ids)
    start = body.index(b"GCOL")
    for _ in range(4):
        damaged[start + int(rng.integers(0, 256))] = int(rng.choice([0, 1, 255, int(rng.integers(0, 256))]))
    if seed % 2:
        damaged_ids[int(rng.integers(0, len(ids)))] = int(rng.integers(0, 256))
    whole = bytes(damaged if seed % 3 else damaged[: int(rng.integers(start, len(damaged)))])
    known = space_of(body)
    heap = GlobalHeap(AddressSpace(pages_of(whole), known.base))
    with suppress(MalformedFileError, UnsupportedLayoutError):
        assert len(heap.texts(bytes(damaged_ids), 300)) == 300


def local_heap(segment: int = 32, size: int = 16) -> AddressSpace:
    body = b"HEAP" + struct.pack("<B3xQQQ", 0, size, 8, segment) + b"\0\0\0\0\0\0\0\0name\0end"
    return AddressSpace(pages_of(body), 0)


def test_a_name_in_a_local_heap_ends_at_its_zero() -> None:
    heap = read_local_heap(local_heap(), 0)
    assert (heap.text(8), heap.text(10), heap.text(0)) == (b"name", b"me", b"")


@pytest.mark.parametrize("at", [13, 16, 1 << 60])
def test_a_name_outside_of_its_local_heap_is_refused(at: int) -> None:
    with pytest.raises(MalformedFileError, match="outside the heap"):
        read_local_heap(local_heap(), 0).text(at)


@pytest.mark.parametrize("space", [local_heap(segment=(1 << 64) - 1), local_heap(size=17), local_heap(segment=64)])
def test_a_local_heap_without_its_data_is_refused(space: AddressSpace) -> None:
    with pytest.raises(MalformedFileError):
        read_local_heap(space, 0)


def test_what_is_no_local_heap_is_refused() -> None:
    with pytest.raises(MalformedFileError, match="no local heap"):
        read_local_heap(local_heap(), 8)
    with pytest.raises(MalformedFileError, match="no fractal heap"):
        read_fractal_heap(AddressSpace(pages_of(bytes(512)), 0), 8)
