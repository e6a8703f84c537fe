"""Datasets of whole files are stored as h5py says: layout, chunks, filters, place, and fill value."""

from __future__ import annotations

import struct
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5o, h5s, h5t

from nwb_dask.backends.hdf5.format.attribute import RawAttribute, raw_attributes
from nwb_dask.backends.hdf5.format.layout import describe_array
from nwb_dask.backends.hdf5.format.object_header import (
    DATASPACE,
    FILL,
    FILTERS,
    LAYOUT,
    OLD_FILL,
    Message,
    kind_of,
    read_messages,
)
from nwb_dask.backends.hdf5.format.space import AddressSpace
from nwb_dask.backends.hdf5.types import stored_type
from nwb_dask.errors import NWBDaskError
from nwb_dask.index import ArrayEntry, FilePath
from tests.backends.format.headers import (
    REAL,
    REAL_FILES,
    WRITTEN,
    address_of,
    create,
    create_with_sizes,
    described,
    each_real_file,
    every_object,
    every_way,
    messages_of,
    mutated,
)
from tests.backends.format.reading import in_rounds, space_of
from tests.backends.zoo import write_zoo

LAYOUTS = {h5d.COMPACT: "compact", h5d.CONTIGUOUS: "contiguous", h5d.CHUNKED: "chunked", h5d.VIRTUAL: "virtual"}


def entry_of(space: AddressSpace, dataset: h5py.Dataset) -> ArrayEntry:
    return describe_array(space, messages_of(space, dataset), FilePath(dataset.name), {})


def assert_described(entry: ArrayEntry, dataset: h5py.Dataset) -> None:
    """Compare an entry with what h5py says of the dataset."""
    did, properties = dataset.id, dataset.id.get_create_plist()
    assert described(entry.element) == described(stored_type(did.get_type()).element)
    null = did.get_space().get_simple_extent_type() == h5s.NULL
    assert entry.shape == (None if null else did.get_space().shape)
    layout = "external" if properties.get_external_count() else LAYOUTS[properties.get_layout()]
    assert entry.layout == layout
    assert entry.chunks == (properties.get_chunk() if layout == "chunked" else None)
    found = [properties.get_filter(i) for i in range(properties.get_nfilters())]
    assert [(one.id, one.options) for one in entry.filters] == [(code, tuple(options)) for code, _, options, _ in found]
    # Names are in the message of filters that HDF5 does not have itself, and h5py gives the longer ones cut short.
    assert all(name.decode().startswith(one.name) for one, (*_, name) in zip(entry.filters, found, strict=True))
    assert_place(entry, dataset)
    assert_fill(entry, dataset)


def assert_place(entry: ArrayEntry, dataset: h5py.Dataset) -> None:
    stored_bytes = dataset.id.get_storage_size() if entry.layout != "virtual" else 0
    if entry.layout == "chunked":
        assert entry.chunk_index is not None
        assert entry.chunk_index.maxshape == dataset.maxshape
        assert entry.chunk_index.unlimited == tuple(length is None for length in dataset.maxshape)
        assert entry.stored_bytes >= stored_bytes or entry.filters
        assert bool(entry.stored_bytes) >= bool(stored_bytes)
        assert entry.offset is None
        return
    assert (entry.chunk_index, entry.stored_bytes) == (None, stored_bytes)
    is_placed = entry.layout == "contiguous" and stored_bytes
    assert entry.offset == (dataset.id.get_offset() if is_placed else None)
    assert (entry.inline is None) == (entry.layout != "compact")


def assert_fill(entry: ArrayEntry, dataset: h5py.Dataset) -> None:
    properties = dataset.id.get_create_plist()
    if properties.get_fill_time() == h5d.FILL_TIME_NEVER or properties.fill_value_defined() != 2:
        assert entry.fill is None or not any(entry.fill)
    elif entry.element.dtype is not None and entry.element.kind in {"int", "uint", "float", "string"}:
        theirs = np.zeros((), entry.element.dtype)
        properties.get_fill_value(theirs)
        ours = np.frombuffer(entry.fill or bytes(entry.element.size), entry.element.dtype)[0]
        np.testing.assert_array_equal(ours, theirs[()])


def write_more(path: Path, *, is_old: bool = False, **options: Any) -> None:
    """Write datasets that differ in what their creation properties say."""
    with h5py.File(path, "w", **options) as file:
        for time in (h5d.FILL_TIME_ALLOC, h5d.FILL_TIME_NEVER, h5d.FILL_TIME_IFSET):
            for name, value in (("default", None), ("seven", 7), ("zero", 0)):
                set_up: dict[str, Any] = {"set_fill_time": time}
                if value is not None:
                    set_up["set_fill_value"] = np.array(value, ">i2")
                for allocation in (h5d.ALLOC_TIME_EARLY, h5d.ALLOC_TIME_LATE):
                    set_up["set_alloc_time"] = allocation
                    where = f"{time} {name} {allocation}"
                    create(file, f"contiguous {where}", h5t.STD_I16BE, (9,), **set_up)
                    create(file, f"chunked {where}", h5t.STD_I16BE, (9,), set_chunk=((4,),), **set_up)
        file.create_dataset("filled text", (3,), "S5", fillvalue=b"abc", chunks=(2,))
        file.create_dataset("filled any text", (3,), h5py.string_dtype(), fillvalue="abc", chunks=(2,))
        create(file, "compact scalar", h5t.STD_I8LE, (1,), set_layout=h5d.COMPACT)
        file["scalar"], file["null"] = 3.5, h5py.Empty("f8")
        file.create_dataset("nothing", (0, 3), "f4")
        file.create_dataset("growing", (0,), "f4", maxshape=(None,))
        file.create_dataset("no chunk yet", (10,), "f4", chunks=(3,), maxshape=(20,))
        file.create_dataset("one chunk", data=np.arange(10), chunks=(10,))
        file.create_dataset("one small chunk", data=np.zeros(10), chunks=(10,), compression="gzip")
        file.create_dataset("one larger chunk", data=np.arange(7), chunks=(10,), maxshape=(10,))
        file.create_dataset("many dimensions", (1,) * 32, "i1", maxshape=(None,) + (1,) * 31)
        file.create_dataset("elsewhere", (10,), "i4", external=[("data.bin", 0, 40)])
        if not is_old:
            source = h5py.VirtualLayout((10,), "i4")
            source[:] = h5py.VirtualSource(".", "one chunk", (10,))
            file.create_virtual_dataset("of others", source)


@every_way
def test_every_dataset_is_stored_as_h5py_says(tmp_path: Path, way: str) -> None:
    write_zoo(tmp_path / "zoo.h5", **WRITTEN[way])
    write_more(tmp_path / "more.h5", is_old=way == "v108", **WRITTEN[way])
    layouts: set[str] = set()
    for path in (tmp_path / "zoo.h5", tmp_path / "more.h5"):
        space = space_of(path.read_bytes())
        with h5py.File(path) as file:
            for _, dataset in every_object(file):
                if isinstance(dataset, h5py.Dataset):
                    entry = entry_of(space, dataset)
                    assert_described(entry, dataset)
                    layouts.add(entry.layout)
    assert layouts == {"compact", "contiguous", "chunked", "external"} | ({"virtual"} if way != "v108" else set())


@pytest.mark.parametrize("n_bytes", [2, 4, 8])
def test_other_widths_of_addresses_are_understood(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "f.h5"
    for version in (h5py.h5f.LIBVER_EARLIEST, h5py.h5f.LIBVER_LATEST):
        with create_with_sizes(path, n_bytes, version) as file:
            file["x"] = np.arange(20, dtype=">i2")
            for name, options in {"plain": {}, "gzip": {"compression": "gzip"}}.items():
                for shape in ((20,), (30,)):
                    data = np.arange(20, dtype=">i2")
                    file.create_dataset(f"{name} {shape}", data=data, chunks=(5,), maxshape=shape, **options)
                file.create_dataset(f"one {name}", data=data, chunks=(20,), **options)
        space = space_of(path.read_bytes())
        with h5py.File(path) as file:
            for dataset in file.values():
                assert_described(entry_of(space, dataset), dataset)


def test_the_contents_are_where_the_entry_says(tmp_path: Path) -> None:
    for way, options in WRITTEN.items():
        path = tmp_path / f"{way}.h5"
        with h5py.File(path, "w", **options) as file:
            file["contiguous"] = np.arange(20, dtype=">i4")
            create(file, "compact", h5t.STD_I32BE, (20,), set_layout=h5d.COMPACT)
            file["compact"][:] = np.arange(20)
            data = np.arange(20, dtype=">i4")
            file.create_dataset("chunk", data=data, chunks=(20,), compression="gzip")
            chunk = file["chunk"].id.get_chunk_info(0)
        body = path.read_bytes()
        space = space_of(body)
        with h5py.File(path) as file:
            contiguous, compact, chunked = (entry_of(space, file[n]) for n in ("contiguous", "compact", "chunk"))
        assert contiguous.offset is not None
        assert body[contiguous.offset : contiguous.offset + contiguous.stored_bytes] == data.tobytes()
        assert compact.inline == data.tobytes()
        index = chunked.chunk_index
        assert index is not None
        assert index.address is not None
        if index.kind == "single":
            assert (index.single_bytes, index.single_mask) == (chunk.size, chunk.filter_mask)
            assert space.base + index.address == chunk.byte_offset
        else:
            assert (index.kind, bytes(space.read(index.address, 4))) == ("btree1", b"TREE")


@pytest.mark.parametrize(
    ("kind", "options", "signature"),
    [
        ("single", {"chunks": (20,)}, None),
        ("fixed", {"chunks": (5,)}, b"FAHD"),
        ("fixed", {"chunks": (5,), "maxshape": (30,)}, b"FAHD"),
        ("extensible", {"chunks": (5,), "maxshape": (None,)}, b"EAHD"),
        ("btree2", {"chunks": (5, 1), "maxshape": (None, None)}, b"BTHD"),
    ],
)
def test_the_later_chunk_indexes_are_told_apart(
    tmp_path: Path, kind: str, options: dict[str, Any], signature: bytes | None
) -> None:
    path = tmp_path / "f.h5"
    for libver in ("v110", "v200"):
        with h5py.File(path, "w", libver=(libver, libver)) as file:
            shape = (20,) if len(options["chunks"]) == 1 else (20, 1)
            file.create_dataset("plain", data=np.zeros(shape), **options)
            file.create_dataset("gzip", data=np.zeros(shape), compression="gzip", **options)
        space = space_of(path.read_bytes())
        with h5py.File(path) as file:
            for name in ("plain", "gzip"):
                index = entry_of(space, file[name]).chunk_index
                assert index is not None
                assert (index.kind, index.unfiltered_edges) == (kind, False)
                if signature is not None:
                    assert index.address is not None
                    assert bytes(space.read(index.address, 4)) == signature


def test_chunks_that_are_allocated_at_once_need_no_index(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w", libver="latest") as file:
        create(file, "x", h5t.STD_I32LE, (9,), set_chunk=((4,),), set_alloc_time=h5d.ALLOC_TIME_EARLY)
        first = file["x"].id.get_chunk_info(0).byte_offset
    space = space_of(path.read_bytes())
    with h5py.File(path) as file:
        entry = entry_of(space, file["x"])
    assert entry.chunk_index is not None
    assert (entry.chunk_index.kind, entry.chunk_index.address, entry.stored_bytes) == ("implicit", first, 48)


def test_a_layout_of_version_5_is_written_by_hdf5_2_and_read(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("large", (1 << 33,), "i4", chunks=(1 << 30,))
        file.create_dataset("gzip", (20,), "i4", chunks=(6,), compression="gzip", maxshape=(None,))
    space = space_of(path.read_bytes())
    with h5py.File(path) as file:
        for dataset in file.values():
            found = messages_of(space, dataset)
            assert next(one.body[0] for one in found if one.type == LAYOUT) == 5
            assert_described(entry_of(space, dataset), dataset)


def patched(path: Path, name: str, kind: int, body: bytes, new_kind: int | None = None) -> None:
    """Put another message in place of one in a header of version 1, padded to its length."""
    whole = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        start, length = address_of(file[name]), h5o.get_info(file[name].id).hdr.space.total
    at = start + 16
    while at < start + length:
        found, n_bytes = struct.unpack_from("<HH", whole, at)
        if found == kind:
            assert len(body) <= n_bytes
            whole[at + 8 : at + 8 + n_bytes] = body.ljust(n_bytes, b"\0")
            whole[at : at + 2] = struct.pack("<H", kind if new_kind is None else new_kind)
            break
        at += 8 + n_bytes
    else:
        pytest.fail("no such message")
    path.write_bytes(whole)


@pytest.mark.parametrize("version", [1, 2])
def test_old_layouts_are_read_as_libhdf5_reads_them(tmp_path: Path, version: int) -> None:
    path = tmp_path / "f.h5"
    data = np.arange(20, dtype="<i4")
    with h5py.File(path, "w") as file:
        file["contiguous"] = data
        file.create_dataset("chunked", data=data, chunks=(6,))
    space = space_of(path.read_bytes())
    with h5py.File(path) as file:
        offset, index = file["contiguous"].id.get_offset(), entry_of(space, file["chunked"]).chunk_index
    assert index is not None
    patched(path, "contiguous", LAYOUT, struct.pack("<BBB5xQI", version, 1, 1, offset, 20))
    patched(path, "chunked", LAYOUT, struct.pack("<BBB5xQII", version, 2, 2, index.address, 6, 4))
    space = space_of(path.read_bytes())
    with h5py.File(path) as file:
        for dataset in file.values():
            # So h5py has taken the message, too.
            np.testing.assert_array_equal(dataset[()], data)
            assert_described(entry_of(space, dataset), dataset)
        assert entry_of(space, file["contiguous"]).offset == offset
        assert entry_of(space, file["chunked"]).chunk_index == index


@pytest.mark.parametrize("chunks", [None, (2,)])
def test_an_old_fill_value_counts_where_there_is_no_other(tmp_path: Path, chunks: tuple[int, ...] | None) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (7,), "<i4", fillvalue=-3, chunks=chunks)
    patched(path, "x", FILL, b"", new_kind=0)
    space = space_of(path.read_bytes())
    with h5py.File(path) as file:
        kinds = {one.type for one in messages_of(space, file["x"])}
        assert OLD_FILL in kinds
        assert FILL not in kinds
        assert file["x"][6] == -3
        assert entry_of(space, file["x"]).fill == struct.pack("<i", -3)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_an_object_is_described_in_few_rounds_wherever_its_pages_end(tmp_path: Path, libver: str) -> None:
    path = tmp_path / "f.h5"
    write_more(path, libver=libver)
    with h5py.File(path, "a") as file:
        file["named"] = np.dtype(">i2")
        made = file.create_dataset("x", (20,), file["named"], chunks=(5,))
        for i in range(7):
            made.attrs.create(f"name{i}", i, dtype=file["named"])
        addresses = [address_of(item) for item in file.values() if isinstance(item, h5py.Dataset)]
    body = path.read_bytes()

    def describe(space: AddressSpace, address: int) -> tuple[ArrayEntry, list[RawAttribute]]:
        found = read_messages(space, address)
        return describe_array(space, found, FilePath("/x"), {}), raw_attributes(found, space)

    for address in addresses:
        for page_bytes in (16, 64, 4096):
            ours, rounds = in_rounds(body, partial(describe, address=address), page_bytes=page_bytes)
            assert ours == describe(space_of(body), address)
            assert len(rounds) <= 9


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_damaged_messages_give_an_entry_or_an_error_of_ours(tmp_path: Path, libver: str) -> None:
    path = tmp_path / "f.h5"
    write_more(path, libver=libver)
    space = space_of(path.read_bytes())
    outcomes = {"read": 0, "refused": 0}
    with h5py.File(path) as file:
        headers = [messages_of(space, dataset) for dataset in file.values()]
    for number, header in enumerate(headers):
        for seed in range(100):
            damaged = [
                Message(one.type, 0, memoryview(mutated(bytes(one.body), seed + i + number, n=1)))
                if len(one.body) > 1 and one.type in {DATASPACE, LAYOUT, FILL, FILTERS} and (seed + i) % 3 == 0
                else one
                for i, one in enumerate(header)
            ]
            try:
                entry = describe_array(space, damaged, FilePath("/x"), {})
            except NWBDaskError:
                outcomes["refused"] += 1
            else:
                outcomes["read"] += 1
                assert entry.inline is None or len(entry.inline) < 1 << 16
    assert min(outcomes.values()) > 100


def test_the_real_files_are_there() -> None:
    if not REAL_FILES:
        pytest.skip(f"NO REAL FILES at {REAL}: nothing is compared with real data")
    assert len(REAL_FILES) > 50


@each_real_file
def test_every_dataset_of_a_real_file_is_stored_as_h5py_says(path: Path) -> None:
    if not h5py.is_hdf5(path):
        pytest.skip(f"{path.name} is no HDF5")
    space = space_of(path.read_bytes())
    with h5py.File(path) as file:
        for name, item in every_object(file):
            found = messages_of(space, item)
            if isinstance(item, h5py.Dataset):
                assert_described(describe_array(space, found, FilePath(name), {}), item)
            else:
                assert kind_of(found) == ("group" if isinstance(item, h5py.Group) else "datatype")
