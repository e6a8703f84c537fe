"""Version 2 B-trees: those of h5py's dense groups, and ones that nobody should write."""

from __future__ import annotations

import io
from functools import cache

import h5py
import pytest
from numcodecs.jenkins import jenkins_lookup3

from nwb_dask.backends.hdf5.format.btree2 import records, walk
from nwb_dask.backends.hdf5.format.object_header import LINK_INFO, find_body, read_messages
from nwb_dask.backends.hdf5.format.space import AddressSpace
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from tests.backends.format.building import UNDEFINED, placed, tree_header, tree_leaf, tree_node
from tests.backends.format.reading import in_rounds, pages_of, space_of

BY_NAME, BY_ORDER = 5, 6


@cache
def dense_group(n: int) -> tuple[bytes, int, int]:
    """Return a file with a group of `n` soft links, and the addresses of its indexes by name and by order."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest") as f:
        group = f.create_group("g", track_order=True)
        for i in range(n):
            group.id.links.create_soft(f"link {i}".encode(), b"/target")
        address = h5py.h5o.get_info(group.id).addr
    space = space_of(buffer.getvalue())
    body = find_body(read_messages(space, address), LINK_INFO, what="link info")
    by_name, by_order = space.offset(body, 18), space.offset(body, 26)
    assert by_name is not None
    assert by_order is not None
    return buffer.getvalue(), by_name, by_order


def hash_of(record: memoryview) -> int:
    return int.from_bytes(record[:4], "little")


@pytest.mark.parametrize("n", [9, 45, 46, 500, 20_000])
def test_every_record_is_found_in_the_order_of_the_tree(n: int) -> None:
    body, by_name, by_order = dense_group(n)
    space = space_of(body)
    hashes = [hash_of(record) for record in records(space, by_name, {BY_NAME})]
    assert hashes == sorted(jenkins_lookup3(f"link {i}".encode(), 0) for i in range(n))
    assert [int.from_bytes(record[:8], "little") for record in records(space, by_order, {BY_ORDER})] == list(range(n))


@pytest.mark.parametrize(("n", "depth"), [(9, 0), (500, 1), (20_000, 2)])
def test_a_level_of_the_tree_takes_one_round(n: int, depth: int) -> None:
    body, by_name, _ = dense_group(n)
    found, rounds = in_rounds(body, lambda space: records(space, by_name, {BY_NAME}))
    assert len(found) == n
    assert len(rounds) == depth + 2


def test_records_can_be_had_joined_and_one_by_one() -> None:
    body, by_name, _ = dense_group(500)
    found = walk(space_of(body), by_name, {BY_NAME, BY_ORDER})
    assert (found.type, found.record_bytes) == (BY_NAME, 11)
    assert b"".join(found.each()) == found.joined()
    assert len(found.joined()) == 500 * 11
    assert len(found.runs) < 500


@pytest.mark.parametrize(("low", "high"), [(0, 1 << 26), (1 << 31, 1 << 31), (1 << 30, 1 << 31), (0, 1 << 32)])
def test_only_subtrees_that_are_wanted_are_read(low: int, high: int) -> None:
    body, by_name, _ = dense_group(20_000)

    def overlaps(before: memoryview | None, after: memoryview | None) -> bool:
        return (before is None or hash_of(before) < high) and (after is None or hash_of(after) >= low)

    everything, all_rounds = in_rounds(body, lambda space: records(space, by_name, {BY_NAME}))
    some, rounds = in_rounds(body, lambda space: walk(space, by_name, {BY_NAME}, overlaps))
    wanted = [record for record in everything if low <= hash_of(record) < high]
    assert [record for record in some.each() if low <= hash_of(record) < high] == wanted
    if high - low < 1 << 32:
        assert sum(rounds) < sum(all_rounds) * ((high - low) / (1 << 32) + 0.05)
        assert len(some.each()) < len(wanted) + 1000
    else:
        assert some.each() == everything


def test_nothing_is_read_of_a_tree_that_is_not_wanted() -> None:
    body, by_name, _ = dense_group(500)
    found, rounds = in_rounds(body, lambda space: walk(space, by_name, {BY_NAME}, lambda _before, _after: False))
    assert found.each() == []
    assert len(rounds) == 1


def test_a_tree_without_a_root_is_empty() -> None:
    space = AddressSpace(pages_of(placed((0, tree_header(UNDEFINED, 0)))), 0)
    assert records(space, 0, {5}) == []


RECORD = [bytes([i]) * 11 for i in range(8)]
LEAF = tree_leaf(RECORD[:2])


def test_a_tree_made_by_hand_is_read_in_order() -> None:
    body = placed(
        (0, tree_header(1024, 1, depth=1)),
        (1024, tree_node(RECORD[2:3], [(2048, 2), (4096, 2)])),
        (2048, LEAF),
        (4096, tree_leaf(RECORD[3:5])),
    )
    found = records(AddressSpace(pages_of(body), 0), 0, {5})
    assert found == RECORD[:5]


def flipped(body: bytes, at: int) -> bytes:
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


GOOD = placed((0, tree_header(1024, 2)), (1024, LEAF))
DAMAGED = {
    "no tree": (bytes(8192), "no BTHD is at 0"),
    "no leaf": (placed((0, tree_header(2048, 2))), "no BTLF is at 2048"),
    "header": (flipped(GOOD, 30), "checksum of a B-tree's header"),
    "leaf": (flipped(GOOD, 1032), "checksum of a B-tree's node"),
    "another type": (placed((0, tree_header(1024, 2, kind=6)), (1024, LEAF)), "is of type 6"),
    "leaf of another type": (placed((0, tree_header(1024, 2)), (1024, tree_leaf(RECORD[:2], kind=8))), "another"),
    "records without bytes": (placed((0, tree_header(1024, 2, record_bytes=0))), "records of 0 bytes"),
    "too deep": (placed((0, tree_header(1024, 2, depth=33))), "depth 33"),
    "nodes too small": (placed((0, tree_header(1024, 2, node_bytes=16))), "cannot hold a record"),
    "internal nodes too small": (placed((0, tree_header(1024, 2, depth=1, node_bytes=24))), "cannot hold a record"),
    "more records than a node holds": (placed((0, tree_header(1024, 60))), "cannot hold its records"),
    "truncated": (GOOD[:1030], "truncated"),
    "a node in itself": (
        placed(
            (0, tree_header(1024, 1, depth=2)),
            (1024, tree_node(RECORD[:1], [(1024, 1), (2048, 1)], total=True)),
            (2048, LEAF),
        ),
        "more than once",
    ),
    "a leaf twice": (
        placed((0, tree_header(1024, 1, depth=1)), (1024, tree_node(RECORD[:1], [(2048, 2)] * 2)), (2048, LEAF)),
        "more than once",
    ),
    "a node nowhere": (
        placed((0, tree_header(1024, 1, depth=1)), (1024, tree_node(RECORD[:1], [(2048, 2), (UNDEFINED, 2)]))),
        "lacks a node",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_tree_is_refused(name: str) -> None:
    body, message = DAMAGED[name]
    with pytest.raises(MalformedFileError, match=message):
        records(AddressSpace(pages_of(body), 0), 0, {5})


@pytest.mark.parametrize(
    "body",
    [
        placed((0, tree_header(1024, 2, version=1)), (1024, LEAF)),
        placed((0, tree_header(1024, 2)), (1024, tree_leaf(RECORD[:2], version=1))),
    ],
)
def test_a_tree_of_a_later_version_is_not_read(body: bytes) -> None:
    with pytest.raises(UnsupportedLayoutError, match="version 1"):
        records(AddressSpace(pages_of(body), 0), 0, {5})
