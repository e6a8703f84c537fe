"""Attributes in dense storage, against h5py."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from h5py import h5a, h5o

from nwb_dask.backends.hdf5.format.dense_attributes import read_dense
from nwb_dask.backends.hdf5.format.object_header import ATTRIBUTE_INFO, Message, read_messages
from nwb_dask.backends.hdf5.format.space import AddressSpace
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from tests.backends.format.building import UNDEFINED, placed, tree_header, tree_leaf
from tests.backends.format.reading import in_rounds, pages_of, space_of

Values = dict[str, npt.NDArray[Any]]


def written(values: Values, *, tracked: bool = False, deleted: int = 0) -> tuple[bytes, int, list[bytes]]:
    """Return a file, the address of an object with these attributes, and their names as libhdf5 iterates."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest") as f:
        group = f.create_group("g", track_order=tracked)
        for name, value in values.items():
            group.attrs.create(name, value)
        for name in list(values)[:deleted]:
            del group.attrs[name]
        names: list[bytes] = []
        h5a.iterate(group.id, names.append)
        address = h5o.get_info(group.id).addr
    return buffer.getvalue(), address, names


def name_of(body: memoryview) -> bytes:
    """Return the name in an attribute message of version 3, which libver="latest" writes."""
    assert body[0] == 3
    return bytes(body[9 : 9 + int.from_bytes(body[2:4], "little") - 1])


def numbers(n: int) -> Values:
    return {f"attribute {i * 7919 % 10007}": np.arange(i, i + 3) for i in range(n)}


def assert_found(found: list[memoryview], values: Values, names: list[bytes]) -> None:
    assert [name_of(body) for body in found] == names
    for body in found:
        assert bytes(body).endswith(values[name_of(body).decode()].tobytes())


@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("n", [9, 40, 500])
def test_dense_attributes_come_by_name_as_libhdf5_iterates_them(n: int, tracked: bool) -> None:  # noqa: FBT001  # both ways
    values = numbers(n)
    body, address, names = written(values, tracked=tracked)
    space = space_of(body)
    assert len(names) == n
    assert_found(read_dense(space, read_messages(space, address)), values, names)


@pytest.mark.parametrize("n", [0, 1, 8])
def test_attributes_in_the_header_are_not_dense(n: int) -> None:
    body, address, _ = written(numbers(n))
    space = space_of(body)
    assert read_dense(space, read_messages(space, address)) == []


def test_names_are_in_the_order_of_their_bytes() -> None:
    values = {name: np.arange(2) for name in ("é", "z", "Z", "a", "aa", "ünï", "\U0001f9e0", " ", "~", "a b", "ø", "0")}
    body, address, names = written(values)
    space = space_of(body)
    found = read_dense(space, read_messages(space, address))
    assert_found(found, values, names)
    assert len(found) == 12


@pytest.mark.parametrize("size", [4000, 5000, 65_536, 300_000])
def test_huge_attributes_are_whole(size: int) -> None:
    rng = np.random.default_rng(0)
    values: Values = {f"huge {i}": rng.integers(0, 256, size + i, np.uint8) for i in range(30)}
    values |= numbers(5)
    body, address, names = written(values)
    space = space_of(body)
    assert_found(read_dense(space, read_messages(space, address)), values, names)


def test_deleted_attributes_leave_no_trace() -> None:
    values = numbers(300)
    body, address, names = written(values, deleted=200)
    space = space_of(body)
    found = read_dense(space, read_messages(space, address))
    assert len(found) == 100
    assert_found(found, values, names)


@pytest.mark.parametrize(("n", "n_rounds"), [(9, 2), (500, 4)])
def test_dense_attributes_take_few_rounds(n: int, n_rounds: int) -> None:
    body, address, names = written(numbers(n))
    messages = read_messages(space_of(body), address)
    found, rounds = in_rounds(body, lambda space: read_dense(space, messages))
    assert [name_of(body) for body in found] == names
    assert len(rounds) == n_rounds


def test_huge_attributes_are_read_together() -> None:
    values: Values = {f"huge {i}": np.zeros(70_000, np.uint8) for i in range(20)}
    body, address, names = written(values)
    messages = read_messages(space_of(body), address)
    found, rounds = in_rounds(body, lambda space: read_dense(space, messages))
    assert_found(found, values, names)
    assert len(rounds) <= 5


def attribute_info(heap: int, tree: int, *, version: int = 0) -> Message:
    return Message(ATTRIBUTE_INFO, 0, memoryview(struct.pack("<BBQQ", version, 0, heap, tree)))


def heap_and_tree(record: bytes, record_bytes: int = 17) -> tuple[AddressSpace, int, int]:
    """Return a heap that h5py has written, with another index."""
    body, address, _ = written(numbers(9))
    messages = read_messages(space_of(body), address)
    heap = next(message.body for message in messages if message.type == ATTRIBUTE_INFO)[2:10]
    tree_at = len(body)
    tree = placed(
        (0, tree_header(tree_at + 64, 1, kind=8, record_bytes=record_bytes)),
        (64, tree_leaf([record], kind=8)),
        size=256,
    )
    return AddressSpace(pages_of(body + tree), 0), int.from_bytes(heap, "little"), tree_at


def test_an_attribute_that_several_objects_share_is_not_read() -> None:
    space, heap, tree = heap_and_tree(bytes(8) + b"\x02" + bytes(8))
    with pytest.raises(UnsupportedLayoutError, match="several objects share"):
        read_dense(space, [attribute_info(heap, tree)])


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        (bytes(8), "no object is at 0"),
        (struct.pack("<BIBH", 0, 0, 1, 30), "no object is at"),
        (struct.pack("<BIBH", 0, 30, 0, 65_535), "no object is at 30"),
        (struct.pack("<BIBH", 0, 5, 0, 10), "no object is at 5"),
        (b"\x10" + bytes(7), "huge objects"),
        (b"\x2f" + bytes(7), "longer than the identifier"),
    ],
)
def test_an_identifier_that_leads_to_nothing_is_refused(identifier: bytes, message: str) -> None:
    space, heap, tree = heap_and_tree(identifier + bytes(9))
    with pytest.raises(MalformedFileError, match=message):
        read_dense(space, [attribute_info(heap, tree)])


@pytest.mark.parametrize("first", [b"\x40", b"\x30"])
def test_identifiers_of_other_versions_and_kinds_are_not_read(first: bytes) -> None:
    space, heap, tree = heap_and_tree(first + bytes(16))
    with pytest.raises(UnsupportedLayoutError, match="identifier of version"):
        read_dense(space, [attribute_info(heap, tree)])


def test_a_tiny_object_is_in_its_identifier() -> None:
    # An attribute message of version 3 with the shortest name there is.
    space, heap, tree = heap_and_tree(b"\x24\x03\0\x01\0\0" + bytes(2) + bytes(9))
    (found,) = read_dense(space, [attribute_info(heap, tree)])
    assert bytes(found) == b"\x03\0\x01\0\0"


def test_an_index_with_records_of_another_size_is_refused() -> None:
    space, heap, tree = heap_and_tree(bytes(16), record_bytes=16)
    with pytest.raises(MalformedFileError, match="records of 16 bytes"):
        read_dense(space, [attribute_info(heap, tree)])


def test_dense_attributes_without_an_index_are_damaged() -> None:
    space = AddressSpace(pages_of(bytes(64)), 0)
    with pytest.raises(MalformedFileError, match="no index"):
        read_dense(space, [attribute_info(0, UNDEFINED)])
    assert read_dense(space, [attribute_info(UNDEFINED, UNDEFINED)]) == []
    with pytest.raises(UnsupportedLayoutError, match="version 1"):
        read_dense(space, [attribute_info(0, 0, version=1)])


@pytest.mark.parametrize("seed", range(60))
def test_damage_raises_errors_of_this_project_or_nothing(seed: int) -> None:
    body, address, _ = written(numbers(60) | {"huge": np.zeros(9000, np.uint8)})
    messages = read_messages(space_of(body), address)
    rng = np.random.default_rng(seed)
    damaged = bytearray(body[: int(rng.integers(200, len(body)))] if seed % 4 == 0 else body)
    for _ in range(int(rng.integers(1, 6))):
        damaged[int(rng.integers(0, len(damaged)))] ^= int(rng.integers(1, 256))
    with suppress(MalformedFileError, UnsupportedLayoutError):
        assert len(read_dense(AddressSpace(pages_of(bytes(damaged)), 0), messages)) <= 61
