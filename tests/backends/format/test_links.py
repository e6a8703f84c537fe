"""Links of groups, however they are stored, against h5py."""

from __future__ import annotations

import io
import re
import struct
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5f, h5g, h5l, h5o, h5p

from nwb_dask.backends.hdf5.format import fractal_heap
from nwb_dask.backends.hdf5.format import space as space_module
from nwb_dask.backends.hdf5.format.links import parse_link, read_links, read_table
from nwb_dask.backends.hdf5.format.object_header import LINK, LINK_INFO, SYMBOL_TABLE, Message, read_messages
from nwb_dask.backends.hdf5.format.space import AddressSpace
from nwb_dask.backends.hdf5.format.stored_link import StoredLink, SymbolTable
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from tests.backends.format.building import UNDEFINED
from tests.backends.format.reading import in_rounds, pages_of, space_of
from tests.left import one_of_each_folder

REAL = Path(__file__).parents[4] / "shared" / "data" / "real"
FILES = sorted(path for path in REAL.rglob("*") if path.suffix in {".nwb", ".h5", ".hdf5"})
KINDS = {h5l.TYPE_HARD: "hard", h5l.TYPE_SOFT: "soft", h5l.TYPE_EXTERNAL: "external"}
EMPTY = AddressSpace(pages_of(bytes(64)), 0)

Plain = tuple[bytes, str, int | None, bytes, bytes]


def theirs(gid: h5g.GroupID) -> list[Plain]:
    """Return the links as libhdf5 lists them."""
    found: list[Plain] = []

    def visit(name: bytes, link: h5l.LinkInfo) -> None:
        target = filename = b""
        if link.type == h5l.TYPE_SOFT:
            target = gid.links.get_val(name)
        elif link.type == h5l.TYPE_EXTERNAL:
            filename, target = gid.links.get_val(name)
        found.append((name, KINDS[link.type], link.u if link.type == h5l.TYPE_HARD else None, target, filename))

    properties = gid.get_create_plist() if hasattr(gid, "get_create_plist") else None
    tracked = properties is not None and properties.get_link_creation_order() & h5p.CRT_ORDER_TRACKED
    gid.links.iterate(visit, info=True, idx_type=h5py.h5.INDEX_CRT_ORDER if tracked else h5py.h5.INDEX_NAME)
    return found


def plain(links: tuple[StoredLink, ...]) -> list[Plain]:
    return [(link.name, link.kind, link.address, link.target, link.filename) for link in links]


def ours(body: bytes, address: int) -> tuple[StoredLink, ...]:
    space = space_of(body)
    return read_links(space, read_messages(space, address))


def name_of(i: int) -> bytes:
    """Return names whose order is neither that of creation nor that of their hashes."""
    return [f"link {i * 7919 % 30011}", f"ünïcødé {i}", f"{i:x}" * 9][i % 3].encode()


def fill(group: h5py.Group, n: int) -> None:
    """Put links of all kinds into a group."""
    links = group.id.links
    for i in range(n):
        if i % 11 == 3:
            links.create_soft(name_of(i), f"/some/where/{i}".encode())
        elif i % 11 == 5:
            links.create_external(name_of(i), f"other {i}.nwb".encode(), f"/units/{i}".encode())
        else:
            links.create_hard(name_of(i), group.file.id, b"/target" if i % 2 else b"/inside")


def file_with(n: int, *, tracked: bool, **options: Any) -> tuple[bytes, int, list[Plain]]:
    """Return a file, the address of its group of `n` links, and these."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as f:
        f.create_dataset("target", data=1)
        f.create_group("inside")
        group = f.create_group("links", track_order=tracked)
        fill(group, n)
        expected, address = theirs(group.id), h5o.get_info(group.id).addr
    return buffer.getvalue(), address, expected


@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("n", [0, 1, 8, 9, 500])
def test_a_group_has_the_links_of_h5py_in_its_order(n: int, libver: str, tracked: bool) -> None:  # noqa: FBT001  # both ways
    body, address, expected = file_with(n, tracked=tracked, libver=libver)
    found = ours(body, address)
    assert plain(found) == expected
    assert len(found) == n
    assert all((link.order is not None) == tracked for link in found)


@pytest.mark.parametrize(("libver", "tracked"), [("earliest", False), ("latest", False), ("latest", True)])
def test_a_group_of_very_many_links_is_read_in_few_rounds(libver: str, tracked: bool) -> None:  # noqa: FBT001  # both ways
    body, address, expected = file_with(20_000, tracked=tracked, libver=libver)
    messages = read_messages(space_of(body), address)
    found, rounds = in_rounds(body, lambda space: read_links(space, messages), page_bytes=512)
    assert plain(found) == expected
    assert len(rounds) <= 5


@pytest.mark.parametrize(("libver", "n_rounds"), [("earliest", 2), ("latest", 2)])
def test_a_small_group_takes_two_rounds(libver: str, n_rounds: int) -> None:
    body, address, expected = file_with(9, tracked=False, libver=libver)
    messages = read_messages(space_of(body), address)
    found, rounds = in_rounds(body, lambda space: read_links(space, messages), page_bytes=64)
    assert plain(found) == expected
    assert len(rounds) == n_rounds


@pytest.mark.parametrize("userblock_size", [512, 4096])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_links_are_found_behind_a_user_block(libver: str, userblock_size: int) -> None:
    body, address, expected = file_with(20, tracked=False, libver=libver, userblock_size=userblock_size)
    assert plain(ours(body, address)) == expected


@pytest.mark.parametrize("widths", [(4, 4), (8, 4), (4, 8), (2, 8)])
@pytest.mark.parametrize("libver", [h5f.LIBVER_EARLIEST, h5f.LIBVER_LATEST])
def test_links_are_found_whatever_the_width_of_addresses_and_lengths(
    tmp_path: Path, libver: int, widths: tuple[int, int]
) -> None:
    creation, access = h5p.create(h5p.FILE_CREATE), h5p.create(h5p.FILE_ACCESS)
    creation.set_sizes(*widths)
    access.set_libver_bounds(libver, h5f.LIBVER_LATEST)
    path = tmp_path / "narrow.h5"
    with h5py.File(h5f.create(str(path).encode(), h5f.ACC_TRUNC, creation, access)) as f:
        f.create_dataset("target", data=1)
        f.create_group("inside")
        group = f.create_group("links")
        fill(group, 100)
        expected, address = theirs(group.id), h5o.get_info(group.id).addr
    assert plain(ours(path.read_bytes(), address)) == expected


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("length", [255, 256, 5000, 70_000])
def test_long_names_are_whole(libver: str, length: int) -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=libver) as f:
        # Messages of more than 64 KiB are not in a header: so many links are outside of it.
        for i in range(12):
            f.id.links.create_soft(f"{i}".encode(), b"/x")
        f.id.links.create_soft(b"n" * length, b"/" + b"t" * 300)
        expected, address = theirs(h5g.open(f.id, b"/")), h5o.get_info(f.id).addr
    found = ours(buffer.getvalue(), address)
    assert plain(found) == expected
    assert max(len(link.name) for link in found) == length


@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("kept", ["every third", "the last", "none"])
def test_deleted_links_leave_no_trace(kept: str, libver: str, tracked: bool) -> None:  # noqa: FBT001  # both ways
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=libver) as f:
        group = f.create_group("links", track_order=tracked)
        for i in range(600):
            group.id.links.create_soft(name_of(i), b"/x" * (i % 40 + 1))
        for i in range(600):
            if not (kept == "every third" and i % 3 == 0) and not (kept == "the last" and i > 595):
                group.id.unlink(name_of(i))
        for i in range(5):
            group.id.links.create_soft(f"later {i}".encode(), b"/y")
        expected, address = theirs(group.id), h5o.get_info(group.id).addr
    assert plain(ours(buffer.getvalue(), address)) == expected


def test_an_older_group_says_which_members_are_groups_and_where_theirs_are() -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="earliest") as f:
        f.create_dataset("data", data=1)
        f["soft"] = h5py.SoftLink("/group")
        fill_me = f.create_group("group")
        fill_me.create_group("below")
        expected, root = theirs(fill_me.id), h5o.get_info(f.id).addr
    links = {link.name: link for link in ours(buffer.getvalue(), root)}
    assert {name: link.is_group for name, link in links.items()} == {b"data": None, b"group": True, b"soft": None}
    table = links[b"group"].table
    assert table is not None
    # Without its object header.
    assert plain(read_table(space_of(buffer.getvalue()), table)) == expected


def test_the_real_files_are_there() -> None:
    if not FILES:
        pytest.skip(f"NO REAL FILES at {REAL}: nothing is compared with real data")
    assert len(FILES) > 50


@pytest.mark.parametrize("path", one_of_each_folder(FILES, ids=[str(path.relative_to(REAL)) for path in FILES]))
def test_every_group_of_a_real_file_has_the_links_of_h5py(path: Path) -> None:
    body = path.read_bytes()
    space = space_of(body)
    with h5py.File(path) as f:
        groups = [f]
        f.visititems(lambda _, item: groups.append(item) if isinstance(item, h5py.Group) else None)
        for group in groups:
            messages = read_messages(space, h5o.get_info(group.id).addr)
            # pynwb's files have no order of creation, and those of others may.
            gid = h5g.open(f.id, group.name.encode())
            assert plain(read_links(space, messages)) == theirs(gid)


def message(
    *, flags: int = 0, name: bytes = b"name", kind: bytes = b"", tail: bytes = b"", length: bytes | None = None
) -> memoryview:
    size = bytes([len(name)]) if length is None else length
    return memoryview(bytes([1, flags]) + kind + size + name + tail)


ADDRESS = struct.pack("<Q", 77)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (message(tail=ADDRESS), StoredLink(b"name", "hard", 77)),
        (message(tail=struct.pack("<Q", UNDEFINED)), StoredLink(b"name", "hard", None)),
        (message(flags=8, kind=b"\x01", tail=b"\x02\0/x"), StoredLink(b"name", "soft", target=b"/x")),
        (message(flags=8, kind=b"\x41", tail=b"\x03\0own"), StoredLink(b"name", "user", target=b"own")),
        (
            message(flags=8, kind=b"\x40", tail=b"\x06\0\0f\0/p\0"),
            StoredLink(b"name", "external", target=b"/p", filename=b"f"),
        ),
        (message(flags=16 | 4, kind=struct.pack("<QB", 5, 1), tail=ADDRESS), StoredLink(b"name", "hard", 77, order=5)),
        (message(flags=3, length=struct.pack("<Q", 4), tail=ADDRESS), StoredLink(b"name", "hard", 77)),
    ],
)
def test_a_link_message_is_parsed(body: memoryview, expected: StoredLink) -> None:
    assert parse_link(EMPTY, body) == expected


@pytest.mark.parametrize(
    "body",
    [
        memoryview(b""),
        memoryview(b"\1"),
        message(name=b"", tail=ADDRESS),
        message(name=b"a\0b", tail=ADDRESS),
        message(flags=3, length=struct.pack("<Q", 1 << 60), tail=ADDRESS),
        message(tail=ADDRESS[:7]),
        message(flags=8, kind=b"\x02", tail=ADDRESS),
        message(flags=8, kind=b"\x01", tail=b"\x03\0/x"),
        message(flags=8, kind=b"\x40", tail=b"\x04\0\0f\0/"),
        message(flags=8, kind=b"\x40", tail=b"\x03\0\0\0\0"),
    ],
)
def test_a_damaged_link_message_is_refused(body: memoryview) -> None:
    with pytest.raises(MalformedFileError, match="damaged"):
        parse_link(EMPTY, body)


def test_links_of_later_versions_are_not_read() -> None:
    with pytest.raises(UnsupportedLayoutError, match="version 2"):
        parse_link(EMPTY, memoryview(b"\2" + bytes(message())))
    with pytest.raises(UnsupportedLayoutError, match="external link"):
        parse_link(EMPTY, message(flags=8, kind=b"\x40", tail=b"\x06\0\x10f\0/p\0"))
    with pytest.raises(UnsupportedLayoutError, match="link info of version 1"):
        read_links(EMPTY, [Message(LINK_INFO, 0, memoryview(b"\1" + bytes(20)))])
    with pytest.raises(UnsupportedLayoutError, match="share"):
        read_links(EMPTY, [Message(LINK, 2, message(tail=ADDRESS))])


def test_a_group_that_does_not_say_where_its_links_are_is_damaged() -> None:
    undefined, defined = struct.pack("<Q", UNDEFINED), struct.pack("<Q", 0)
    with pytest.raises(MalformedFileError, match="no index"):
        read_links(EMPTY, [Message(LINK_INFO, 0, memoryview(b"\0\0" + defined + undefined))])
    with pytest.raises(MalformedFileError, match="where its members are"):
        read_links(EMPTY, [Message(SYMBOL_TABLE, 0, memoryview(defined + undefined))])


def tree(level: int, *children: int) -> bytes:
    pairs = b"".join(struct.pack("<QQ", child, 0) for child in children)
    return b"TREE" + struct.pack("<BBHQQQ", 0, level, len(children), UNDEFINED, UNDEFINED, 0) + pairs


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (tree(1, 0), "more than once"),
        (tree(1, 256, 256), "more than once"),
        (tree(1, UNDEFINED), "lacks a node"),
        (tree(0, 256), "no symbol table node"),
        (tree(1, 128).ljust(128) + tree(1, 0), "wrong level"),
        (tree(2, 128).ljust(128) + tree(1, 0), "more than once"),
        (tree(0).replace(b"\xff" * 8, bytes(8))[:6] + b"\xff\xff", "truncated"),
        (b"TREE\1", "no B-tree of a group"),
    ],
)
def test_a_damaged_tree_of_a_group_is_refused(body: bytes, message: str) -> None:
    heap = b"HEAP" + struct.pack("<B3xQQQ", 0, 8, 1, 480)
    whole = body.ljust(448, b"\0") + heap.ljust(64, b"\0")
    with pytest.raises(MalformedFileError, match=message):
        read_table(AddressSpace(pages_of(whole), 0), SymbolTable(0, 448))


@cache
def groups_of_all_kinds() -> tuple[bytes, tuple[int, ...]]:
    buffer = io.BytesIO()
    addresses = []
    with h5py.File(buffer, "w", libver="latest") as f:
        f.create_dataset("target", data=1)
        f.create_group("inside")
        for n in (4, 40, 900):
            group = f.create_group(f"links {n}", track_order=n == 40)
            fill(group, n)
            addresses.append(h5o.get_info(group.id).addr)
        group.id.links.create_soft(b"n" * 5000, b"/huge")
    with h5py.File(buffer, "r+", libver="earliest") as f:
        group = f.create_group("older")
        fill(group, 90)
        addresses.append(h5o.get_info(group.id).addr)
    return buffer.getvalue(), tuple(addresses)


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("seed", range(60))
def test_damage_raises_errors_of_this_project_or_nothing(
    seed: int,
    checked: bool,  # noqa: FBT001  # with and without checksums
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body, addresses = groups_of_all_kinds()
    space = space_of(body)
    found = [read_messages(space, address) for address in addresses]
    if not checked:
        # What is behind the checksums must be as safe: whoever damages a file on purpose can compute them.
        for module in (space_module, fractal_heap):
            monkeypatch.setattr(module, "verify", lambda _whole, what: None)
    rng = np.random.default_rng(seed)
    damaged = bytearray(body[: int(rng.integers(512, len(body)))] if seed % 5 == 0 else body)
    marks = [match.start() for match in re.finditer(b"FRHP|FHDB|FHIB|BTHD|BTIN|BTLF", body)]
    marks += [match.start() for match in re.finditer(b"HEAP|TREE|SNOD", body)] * 3
    for _ in range(int(rng.integers(1, 12))):
        at = int(rng.choice(marks)) + int(rng.integers(4, 200))
        if at < len(damaged):
            damaged[at] = int(rng.choice([0, 1, 2, 127, 255, int(rng.integers(0, 256))]))
    started = time.perf_counter()
    for messages in found:
        with suppress(MalformedFileError, UnsupportedLayoutError):
            assert all(link.name for link in read_links(AddressSpace(pages_of(bytes(damaged)), 0), messages))
    assert time.perf_counter() - started < 10
