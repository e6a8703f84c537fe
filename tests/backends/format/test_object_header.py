"""Object headers of all versions give the messages that h5py's description of the object follows from."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5a, h5f, h5o, h5t
from numcodecs.jenkins import jenkins_lookup3

from nwb_dask.backends.hdf5.format.object_header import (
    ATTRIBUTE,
    DATASPACE,
    DATATYPE,
    FILL,
    LAYOUT,
    Message,
    find_body,
    get_body,
    kind_of,
    read_messages,
    shared_body,
)
from nwb_dask.backends.hdf5.format.space import AddressSpace
from nwb_dask.errors import MalformedFileError, NWBDaskError, UnsupportedLayoutError
from tests.backends.format.headers import (
    WRITTEN,
    address_of,
    body_of,
    create,
    create_with_sizes,
    every_object,
    every_way,
    messages_of,
    mutated,
)
from tests.backends.format.reading import in_rounds, pages_of, space_of
from tests.backends.zoo import write_zoo

KINDS = {h5py.File: "group", h5py.Group: "group", h5py.Dataset: "array", h5py.Datatype: "datatype"}


def by_hand(*blocks: bytes) -> AddressSpace:
    """Return a file that begins with these bytes."""
    return AddressSpace(pages_of(b"".join(blocks).ljust(4096, b"\0")), 0)


def message(kind: int, body: bytes, flags: int = 0) -> bytes:
    """Return a message of a header of version 1."""
    return struct.pack("<HHB3x", kind, len(body), flags) + body


def header(*messages: bytes) -> bytes:
    """Return an object header of version 1."""
    return struct.pack("<BxHII4x", 1, len(messages), 1, sum(map(len, messages))) + b"".join(messages)


def with_checksum(block: bytes) -> bytes:
    return block + struct.pack("<I", jenkins_lookup3(block, 0))


def packed(*messages: tuple[int, bytes], flags: int = 0, gap: int = 0) -> bytes:
    """Return an object header of version 2 whose messages are type and body."""
    order = b"\0\0" if flags & 4 else b""
    inside = b"".join(struct.pack("<BHB", kind, len(body), 0) + order + body for kind, body in messages) + bytes(gap)
    front = (bytes(16) if flags & 0x20 else b"") + (bytes(4) if flags & 0x10 else b"")
    return with_checksum(b"OHDR\2" + bytes([flags]) + front + len(inside).to_bytes(1 << (flags & 3), "little") + inside)


def told(messages: tuple[Message, ...]) -> list[tuple[int, bytes]]:
    return [(one.type, bytes(one.body)) for one in messages]


@every_way
def test_every_object_is_of_the_kind_that_h5py_says(tmp_path: Path, way: str) -> None:
    path = tmp_path / "f.h5"
    write_zoo(path, **WRITTEN[way])
    with h5py.File(path, "a") as file:
        file["named"] = np.dtype(">i2")
    space = space_of(path.read_bytes())
    with h5py.File(path) as file:
        found = {name: (kind_of(messages_of(space, item)), KINDS[type(item)]) for name, item in every_object(file)}
    assert {ours for ours, _ in found.values()} == {"group", "array", "datatype"}
    assert not {name: both for name, both in found.items() if both[0] != both[1]}


@pytest.mark.parametrize("n_bytes", [2, 4, 8])
@pytest.mark.parametrize("version", [h5f.LIBVER_EARLIEST, h5f.LIBVER_LATEST])
def test_addresses_of_other_widths_lead_on(tmp_path: Path, n_bytes: int, version: int) -> None:
    path = tmp_path / "f.h5"
    with create_with_sizes(path, n_bytes, version) as file:
        file["x"] = np.arange(5)
        name_and_spread(file, "x", 7)
    with h5py.File(path) as file:
        assert attribute_names(space_of(path.read_bytes()), file["x"]) == {f"name{i}" for i in range(7)}


def name_and_spread(file: h5py.File, name: str, n: int) -> None:
    """Give an object attributes that find no place where its header is."""
    for i in range(n):
        file[name].attrs[f"name{i}"] = np.bytes_(b"v" * 40 * (i % 5))
        file[f"after_{name}_{i}"] = i
        file.flush()
    assert h5o.get_info(file[name].id).hdr.nchunks > 2


def attribute_names(space: AddressSpace, item: h5py.Dataset) -> set[str]:
    """Return the names in attribute messages of version 1 and 3, whose names begin with ``name``."""
    bodies = [bytes(one.body) for one in messages_of(space, item) if one.type == ATTRIBUTE]
    return {body[body.index(b"name") :].partition(b"\0")[0].decode() for body in bodies}


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("times", [False, True])
@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("n", [7, 100])
def test_all_attributes_are_found_in_the_continuations_of_a_header(
    tmp_path: Path,
    libver: str,
    times: bool,  # noqa: FBT001  # a parameter of the test
    order: int,
    n: int,
) -> None:
    path = tmp_path / "f.h5"
    set_up: dict[str, Any] = {"set_obj_track_times": times, "set_attr_creation_order": order}
    with h5py.File(path, "w", libver=libver) as file:
        create(file, "x", h5t.STD_I32LE, **set_up, set_attr_phase_change=(8, 6) if n == 7 else (200, 100))
        name_and_spread(file, "x", n)
    with h5py.File(path) as file:
        assert attribute_names(space_of(path.read_bytes()), file["x"]) == {f"name{i}" for i in range(n)}


def test_versions_2_of_a_header_may_have_a_gap_and_any_width() -> None:
    wanted = [(DATASPACE, b"\2\0\0\0"), (FILL, b"\3\12")]
    for width in range(4):
        for flags in (0, 4, 0x10, 0x20, 0x34):
            space = by_hand(packed(*wanted, flags=flags | width, gap=3))
            assert told(read_messages(space, 0)) == wanted


def test_a_header_at_the_very_end_of_a_file_is_read() -> None:
    for body in (packed(), packed((FILL, b"\3\12"))):
        assert len(read_messages(AddressSpace(pages_of(body), 0), 0)) == (len(body) > 11)


def test_continuations_of_one_block_are_fetched_in_one_round(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w"):
        # Only for its superblock.
        pass
    body = (tmp_path / "f.h5").read_bytes().ljust(8192, b"\0")
    starts = (10_000, 20_000, 30_000)
    leads = [message(0x10, struct.pack("<QQ", start, 16)) for start in starts]
    parts = {8192: header(message(FILL, b"first 88"), *leads), 40_000: b""}
    parts |= {start: message(ATTRIBUTE, b"at %05d" % start) for start in starts}
    whole = bytearray(body.ljust(40_000, b"\0"))
    for start, part in parts.items():
        whole[start : start + len(part)] = part
    found, rounds = in_rounds(bytes(whole), lambda space: read_messages(space, 8192))
    assert told(found) == [(FILL, b"first 88"), *[(ATTRIBUTE, b"at %05d" % start) for start in starts]]
    assert len(rounds) == 3


def test_messages_come_in_the_order_of_the_blocks() -> None:
    lead = message(0x10, struct.pack("<QQ", 1024, 48))
    further = message(0x10, struct.pack("<QQ", 2048, 16))
    first = header(message(FILL, b"1" * 8), lead, message(FILL, b"2" * 8)).ljust(1024, b"\0")
    second = (message(FILL, b"3" * 8) + further + message(0, b"")).ljust(1024, b"\0")
    found = told(read_messages(by_hand(first, second, message(FILL, b"4" * 8)), 0))
    assert found == [(FILL, b"%d" % i * 8) for i in range(1, 5)]


@pytest.mark.parametrize("target", [0, 1024])
def test_a_header_that_continues_in_itself_is_damaged(target: int) -> None:
    lead = message(0x10, struct.pack("<QQ", 1024, 24))
    circle = message(0x10, struct.pack("<QQ", target, 24))
    with pytest.raises(MalformedFileError, match="continues in itself"):
        read_messages(by_hand(header(lead).ljust(1024, b"\0"), circle), 0)


def test_blocks_that_are_together_larger_than_the_file_are_damaged() -> None:
    leads = [message(0x10, struct.pack("<QQ", 1024 + 8 * i, 2048)) for i in range(3)]
    with pytest.raises(MalformedFileError, match="continues in itself"):
        read_messages(by_hand(header(*leads)), 0)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (header(struct.pack("<HHB3x", FILL, 100, 0)), "past the end of its object header"),
        (header(message(0x10, struct.pack("<QQ", 100_000, 24))), "truncated"),
        (header(message(0x10, b"\xff" * 8 + struct.pack("<Q", 24))), "continues nowhere"),
        (header(message(0x10, struct.pack("<QQ", 64, 0))), "continues nowhere"),
        (header(message(0x10, b"abc")), "ends before"),
        (struct.pack("<BxHII4x", 1, 1, 1, 0xFFFFFFFF), "truncated"),
        (packed((0x10, struct.pack("<QQ", 1024, 3))), "shorter than its checksum"),
        (packed((0x10, struct.pack("<QQ", 1024, 100))), "checksum of a continuation"),
        (packed((0x10, struct.pack("<QQ", 40, 8))).ljust(40, b"\0") + with_checksum(b"none"), "no continuation"),
        (packed(flags=0x80), "unknown flags"),
        (packed((FILL, b"\3\12"))[:-1] + b"?", "checksum of an object header"),
        (b"\2" + bytes(20), "no object header"),
        (bytes(20), "no object header"),
    ],
)
def test_a_damaged_header_says_what_is_wrong(body: bytes, reason: str) -> None:
    with pytest.raises(MalformedFileError, match=reason):
        read_messages(by_hand(body), 0)


def test_too_many_messages_are_refused() -> None:
    n = 1 << 19
    times = struct.pack("<HHB3x", 0x12, 0, 0)
    body = struct.pack("<BxHII4x", 1, 0, 1, 8 * n) + n * times
    with pytest.raises(MalformedFileError, match="more than 262144 messages"):
        read_messages(AddressSpace(pages_of(body), 0), 0)


def test_an_unknown_message_is_passed_over_unless_it_must_be_known() -> None:
    known = message(FILL, b"12345678")
    for flags in (0, 0x08, 0x10):
        found = read_messages(by_hand(header(message(0x77, bytes(8), flags), known)), 0)
        assert bytes(get_body(found, FILL) or b"") == b"12345678"
    with pytest.raises(UnsupportedLayoutError, match="unknown type 119"):
        read_messages(by_hand(header(message(0x77, bytes(8), 0x80), known)), 0)


def test_a_later_version_is_left_to_others() -> None:
    with pytest.raises(UnsupportedLayoutError, match="version 3"):
        read_messages(by_hand(with_checksum(b"OHDR\3\0\0")), 0)


@pytest.mark.parametrize("libver", ["earliest", "v108", "latest"])
def test_a_committed_datatype_is_found_through_its_dataset(tmp_path: Path, libver: str) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w", libver=libver if libver != "v108" else (libver, libver)) as file:
        file["named"] = np.dtype([("a", "<i4"), ("b", ">f8")])
        file.create_dataset("x", (3,), dtype=file["named"])
    named, used = body_of(path, "named", DATATYPE), body_of(path, "x", DATATYPE)
    assert named == used
    with h5py.File(path) as file:
        shared = [one for one in messages_of(space_of(path.read_bytes()), file["x"]) if one.flags & 2]
        assert file["x"].id.get_type().committed()
    assert not shared


@pytest.mark.parametrize(
    "pointer",
    [
        b"\1" + bytes(7) + b"whatever" + struct.pack("<Q", 64),
        b"\2\0" + struct.pack("<Q", 64),
        b"\2\1" + struct.pack("<Q", 64),
        b"\3\2" + struct.pack("<Q", 64),
    ],
)
def test_every_version_of_a_pointer_leads_to_the_shared_message(pointer: bytes) -> None:
    sharing = header(message(DATATYPE, pointer, 2), message(FILL, b"12345678"))
    holder = header(message(FILL, b"not this"), message(DATATYPE, b"this one"))
    found = read_messages(by_hand(sharing.ljust(64, b"\0"), holder), 0)
    assert told(found) == [(DATATYPE, b"this one"), (FILL, b"12345678")]


def test_a_message_in_the_shared_heap_is_left_to_others() -> None:
    pointer = b"\3\1" + bytes(8)
    with pytest.raises(UnsupportedLayoutError, match="heap of shared messages"):
        read_messages(by_hand(header(message(DATATYPE, pointer, 2))), 0)
    with pytest.raises(UnsupportedLayoutError, match="version 4"):
        shared_body(by_hand(header()), memoryview(b"\4\2" + bytes(8)), DATATYPE)


def test_shared_messages_that_lead_nowhere_or_in_a_circle_are_damaged() -> None:
    for target in (0, 0xFFFFFFFFFFFFFFFF, 64):
        pointer = b"\3\2" + struct.pack("<Q", target)
        with pytest.raises(MalformedFileError, match=r"nowhere|has none of its type|no object header"):
            read_messages(by_hand(header(message(DATATYPE, pointer, 2))), 0)


def test_what_an_object_lacks_is_named() -> None:
    found = read_messages(by_hand(header(message(FILL, b"12345678"))), 0)
    assert get_body(found, LAYOUT) is None
    with pytest.raises(MalformedFileError, match="has no data layout"):
        find_body(found, LAYOUT, what="data layout")
    with pytest.raises(MalformedFileError, match="neither a group nor a dataset"):
        kind_of(found)


@every_way
def test_damaged_copies_give_messages_or_errors_of_ours(tmp_path: Path, way: str) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w", **WRITTEN[way]) as file:
        file["named"] = np.dtype(">i2")
        file.create_dataset("x", (3,), dtype=file["named"]).attrs["colour"] = "red" * 100
        for i in range(12):
            file["x"].attrs[f"name{i}"] = i
        file.create_group("group", track_order=True)["y"] = 1
        addresses = [address_of(item) for _, item in every_object(file)]
        assert h5a.get_num_attrs(file["x"].id) == 13
    body = path.read_bytes()
    base = space_of(body).base
    outcomes = {"read": 0, "refused": 0}
    for seed in range(60):
        for address in addresses:
            start = base + address
            damaged = body[:start] + mutated(body[start : start + 120], 5 * seed + 1) + body[start + 120 :]
            try:
                found = read_messages(AddressSpace(pages_of(damaged), base), address)
                kind_of(found)
            except NWBDaskError:
                outcomes["refused"] += 1
            else:
                outcomes["read"] += 1
    assert min(outcomes.values()) > 0
