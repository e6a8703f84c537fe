"""Attributes have the values that h5py reads."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5a, h5s, h5t

from nwb_dask.backends.hdf5.attributes import read_attributes
from nwb_dask.backends.hdf5.format.attribute import (
    Address,
    RawAttribute,
    Value,
    attribute_value,
    parse_attribute,
    raw_attributes,
)
from nwb_dask.backends.hdf5.format.object_header import ATTRIBUTE
from nwb_dask.backends.hdf5.format.space import AddressSpace
from nwb_dask.backends.hdf5.types import stored_type
from nwb_dask.errors import MalformedFileError, NWBDaskError, UnsupportedLayoutError
from nwb_dask.index import AttributeValue, ElementType, Reference
from tests.backends.format.headers import (
    WRITTEN,
    create_with_sizes,
    described,
    each_real_file,
    every_object,
    every_way,
    messages_of,
    mutated,
)
from tests.backends.format.reading import pages_of, space_of

UNREAD = ("record", "opaque", "sequence", "array", "region")


class Heap:
    """Texts in global heaps, read as the specification has them."""

    def __init__(self, space: AddressSpace) -> None:
        self._space = space

    def texts(self, ids: bytes, n: int) -> list[bytes | None]:
        step = len(ids) // n
        return [self._text(ids[i * step : (i + 1) * step]) for i in range(n)]

    def _text(self, one: bytes) -> bytes | None:
        address, wanted = int.from_bytes(one[4:-4], "little"), int.from_bytes(one[-4:], "little")
        if not address:
            return None
        # A collection and its objects begin with 8 bytes and a length, and libhdf5 keeps all in units of 8 bytes.
        at = address + 16
        while True:
            number = int.from_bytes(self._space.read(at, 2), "little")
            n_bytes = int.from_bytes(self._space.read(at + 8, self._space.length_bytes), "little")
            if number == wanted:
                return bytes(self._space.read(at + 16, int.from_bytes(one[:4], "little")))
            assert number
            at += 16 + -(-n_bytes // 8) * 8


def write_attributes(item: h5py.Group | h5py.Dataset, names: tuple[str, ...] | None = None) -> None:
    """Give an object an attribute of every kind."""
    file = item.file
    file.require_dataset("target", (5,), "i4")
    refs = [file.ref, file["target"].ref, h5py.Reference()]
    made: dict[str, tuple[Any, Any]] = {
        "text": ("Größe", None),
        "empty text": ("", None),
        "fixed text": (np.bytes_("Größe".encode()), None),
        "texts": (["a", "", "神経"], h5py.string_dtype()),
        "fixed texts": (np.array([b"a", b"", b"abc"]), None),
        "text table": (np.array([["a", "b"], ["c", "d"], ["", "e"]], object), h5py.string_dtype()),
        "no texts": (np.empty((0,), object), h5py.string_dtype()),
        "no rows of texts": (np.empty((2, 0), object), h5py.string_dtype()),
        "reference": (refs[0], None),
        "null reference": (refs[2], h5py.ref_dtype),
        "references": (np.array(refs, h5py.ref_dtype), h5py.ref_dtype),
        "reference table": (np.array([refs, refs], h5py.ref_dtype), h5py.ref_dtype),
        "bool": (True, None),
        "bools": (np.array([True, False]), None),
        "colour": (7, h5py.enum_dtype({"red": 7, "green": -2}, "i2")),
        "colours": ([7, -2], h5py.enum_dtype({"red": 7, "green": -2}, ">i2")),
        "null": (h5py.Empty("f4"), None),
        "null text": (h5py.Empty(h5py.string_dtype()), None),
        "nothing": (np.empty((0, 3)), None),
        "record": (np.zeros(2, [("a", "i4"), ("b", "f8")]), None),
        "opaque": (np.void(b"abc"), None),
        "region": (file["target"].regionref[1:3], None),
        "array": (np.zeros((3, 2), "i4"), np.dtype(("i4", (2,)))),
    }
    for dtype in ("i1", ">i2", "<u4", "<i8", ">u8", "<f2", ">f4", "<f8", "<c8", ">c16"):
        made[dtype] = (np.array(3, dtype), None)
        made[f"{dtype}s"] = (np.arange(6).reshape(2, 3).astype(dtype), None)
    for name, (value, dtype) in made.items():
        if names is None or name in names:
            item.attrs.create(name, value, dtype=dtype)
    if names is None or "sequence" in names:
        sequences = np.empty(1, object)
        sequences[0] = np.arange(3)
        item.attrs.create("sequence", sequences, dtype=h5py.vlen_dtype(np.dtype("i4")))


def write_all(path: Path, **options: Any) -> None:
    """Write every kind of attribute, few on each object: they stay in its header."""
    with h5py.File(path, "w", **options) as file:
        write_attributes(file.create_group("all"))
        names = sorted(file["all"].attrs)
        del file["all"]
        for start in range(0, len(names), 5):
            write_attributes(file.create_group(f"group{start}"), tuple(names[start : start + 5]))
            write_attributes(file.create_dataset(f"array{start}", data=1), tuple(names[start : start + 5]))


def theirs_of(item: h5py.HLObject) -> tuple[Mapping[str, AttributeValue], Mapping[str, str]]:
    """Return the values that libhdf5 reads, with references as the addresses in them, and what it does not read."""
    _, values, problems = read_attributes(item.id, None, lambda address, _: f"{address}", limit_bytes=1 << 30)
    return values, problems


def same(ours: Value, theirs: AttributeValue) -> bool:
    if isinstance(ours, Address):
        return isinstance(theirs, Reference) and theirs.path == f"{ours.address}"
    if isinstance(ours, tuple):
        return isinstance(theirs, tuple) and len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray):
        return ours.dtype == theirs.dtype and ours.dtype.isnative and np.array_equal(ours, theirs)
    return type(ours) is type(theirs) and bool(ours == theirs or (ours != ours and theirs != theirs))  # noqa: PLR0124  # NaN


def compare(space: AddressSpace, item: h5py.HLObject) -> int:
    """Compare the attributes in a header with those that h5py reads; return how many there are."""
    heap = Heap(space)
    values, problems = theirs_of(item)
    found = raw_attributes(messages_of(space, item), space)
    for raw in found:
        attribute = h5a.open(item.id, raw.name.encode("utf-8", "surrogateescape"))
        assert described(raw.element) == described(stored_type(attribute.get_type()).element)
        null = attribute.get_space().get_simple_extent_type() == h5s.NULL
        assert raw.shape == (None if null else attribute.shape)
        if raw.name in problems:
            with pytest.raises(ValueError, match=problems[raw.name].partition(":")[0]):
                attribute_value(raw, heap)
        else:
            assert same(attribute_value(raw, heap), values[raw.name]), raw.name
    assert len({raw.name for raw in found}) == len(found)
    return len(found)


@every_way
def test_every_attribute_has_the_value_of_h5py(tmp_path: Path, way: str) -> None:
    path = tmp_path / "f.h5"
    write_all(path, **WRITTEN[way])
    space = space_of(path.read_bytes())
    with h5py.File(path) as file:
        n_checked = 0
        refused: set[str] = set()
        for _, item in every_object(file):
            assert compare(space, item) == len(item.attrs)
            n_checked += len(item.attrs)
            refused.update(theirs_of(item)[1])
    assert n_checked > 80
    assert refused == set(UNREAD)


@each_real_file
def test_every_attribute_in_a_header_of_a_real_file_has_the_value_of_h5py(path: Path) -> None:
    if not h5py.is_hdf5(path):
        pytest.skip(f"{path.name} is no HDF5")
    space = space_of(path.read_bytes())
    with h5py.File(path) as file:
        n_found = {name: compare(space, item) for name, item in every_object(file)}
        # Those of an object that has more than eight may be elsewhere.
        assert not {name: n for name, n in n_found.items() if n != len(file[name].attrs) and (n or len(file[name].attrs) < 9)}  # fmt: skip  # noqa: E501  # one condition


@pytest.mark.parametrize("n_bytes", [4, 8])
@pytest.mark.parametrize("version", [h5py.h5f.LIBVER_EARLIEST, h5py.h5f.LIBVER_LATEST])
def test_attributes_in_files_with_other_addresses_have_the_values_of_h5py(
    tmp_path: Path, n_bytes: int, version: int
) -> None:
    path = tmp_path / "f.h5"
    # Not several references: libhdf5 2.0 writes them 8 bytes apart whatever their size, and reads others than it wrote.
    wanted = ("text", "texts", "text table", "reference", "<i8", "null")
    with create_with_sizes(path, n_bytes, version) as file:
        write_attributes(file.create_group("group"), wanted)
    space = space_of(path.read_bytes())
    with h5py.File(path) as file:
        assert compare(space, file["group"]) == len(wanted)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_committed_types_of_attributes_are_followed(tmp_path: Path, libver: str) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w", libver=libver) as file:
        file["named"] = np.dtype(">i2")
        file.attrs.create("number", 5, dtype=file["named"])
        file["named"].attrs.create("numbers", [5, 6], dtype=file["named"])
    space = space_of(path.read_bytes())
    with h5py.File(path) as file:
        assert (compare(space, file), compare(space, file["named"])) == (1, 1)


@pytest.mark.parametrize("padding", [h5t.STR_NULLPAD, h5t.STR_NULLTERM, h5t.STR_SPACEPAD])
def test_fixed_text_is_cut_where_libhdf5_cuts_it(tmp_path: Path, padding: int) -> None:
    path = tmp_path / "f.h5"
    texts = [b"abc", b"ab   ", b"", b"a\0b", b"a \0 ", b"     ", b" a"]
    tid = h5t.C_S1.copy()
    tid.set_size(5)
    tid.set_strpad(padding)
    with h5py.File(path, "w") as file:
        made = h5a.create(file.id, b"texts", tid, h5s.create_simple((len(texts),)))
        made.write(np.array(texts, "S5"), mtype=tid)
    space = space_of(path.read_bytes())
    with h5py.File(path) as file:
        assert compare(space, file) == 1


def raw(element: ElementType, data: bytes, shape: tuple[int, ...] | None = ()) -> RawAttribute:
    return RawAttribute("x", element, shape, data)


class NoHeap:
    def texts(self, ids: bytes, n: int) -> list[bytes | None]:
        raise AssertionError("nothing is there to be read")


class FixedHeap:
    def texts(self, ids: bytes, n: int) -> list[bytes | None]:
        return [None, b"a\0b", b"c"][:n]


def test_text_of_variable_length_ends_at_its_first_zero_and_null_is_empty() -> None:
    text = ElementType("string", size=16)
    assert attribute_value(raw(text, bytes(48), (3,)), FixedHeap()) == ("", "a", "c")
    assert attribute_value(raw(text, bytes(16)), FixedHeap()) == ""
    assert attribute_value(raw(text, b"", (0,)), NoHeap()) == ()
    assert attribute_value(raw(text, b"", None), NoHeap()) is None


def test_undefined_references_are_null() -> None:
    for size in (4, 8):
        reference = ElementType("reference", size=size)
        data = (77).to_bytes(size, "little") + bytes(size) + b"\xff" * size
        assert attribute_value(raw(reference, data, (3,)), NoHeap()) == (Address(77), Address(0), Address(0))


def test_numbers_in_odd_formats_are_left_to_libhdf5() -> None:
    odd = ElementType("int", np.dtype("<i4"), size=4, exact=False)
    with pytest.raises(UnsupportedLayoutError, match="odd format"):
        attribute_value(raw(odd, bytes(4)), NoHeap())


def test_text_that_is_no_utf8_is_refused() -> None:
    with pytest.raises(MalformedFileError, match="no UTF-8"):
        attribute_value(raw(ElementType("string", np.dtype("S2"), size=2), b"\xf6\xf6"), NoHeap())


def test_shapes_of_nothing_are_not_made_up() -> None:
    text = ElementType("string", np.dtype("S2"), size=2)
    for shape in ((1 << 61, 0), (0, 1 << 61), (1 << 20, 1 << 20, 0)):
        with pytest.raises(MalformedFileError, match="the shape of an attribute"):
            attribute_value(raw(text, b"", shape), NoHeap())
    assert attribute_value(raw(text, b"", (2, 0)), NoHeap()) == ((), ())


INTEGER = struct.pack("<BBBBIHH", 0x10, 8, 0, 0, 4, 0, 32)
PAIR = b"\1\1\0" + bytes(5) + struct.pack("<Q", 2)
VALUES = struct.pack("<2i", 5, -6)


def in_version(version: int, name: bytes, shared: int = 0) -> bytes:
    sizes = struct.pack("<HHH", len(name), len(INTEGER), len(PAIR))
    if version == 1:
        padded = [part.ljust(-(-len(part) // 8) * 8, b"\0") for part in (name, INTEGER, PAIR)]
        # The reserved byte means nothing.
        return b"\1\xff" + sizes + b"".join(padded) + VALUES
    return bytes([version, shared]) + sizes + (b"\1" if version == 3 else b"") + name + INTEGER + PAIR + VALUES


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("name", [b"x\0", b"eight by\0", b"seven b\0", b"gr\xf6\0"])
def test_each_version_of_the_message_is_read(version: int, name: bytes) -> None:
    space = AddressSpace(pages_of(bytes(100)), 0)
    found = parse_attribute(memoryview(in_version(version, name)), space)
    assert found.name.encode("utf-8", "surrogateescape") == name[:-1]
    assert (found.shape, found.data) == ((2,), VALUES)
    value = attribute_value(found, NoHeap())
    assert isinstance(value, np.ndarray)
    assert value.tolist() == [5, -6]


def test_a_message_that_ends_too_soon_is_damaged() -> None:
    space = AddressSpace(pages_of(bytes(100)), 0)
    for version in (1, 2, 3):
        whole = in_version(version, b"name\0")
        for n_bytes in range(len(whole)):
            with pytest.raises(MalformedFileError, match="damaged"):
                parse_attribute(memoryview(whole[:n_bytes]), space)


def test_what_is_in_the_shared_heap_or_of_a_later_version_is_left_to_others() -> None:
    space = AddressSpace(pages_of(bytes(100)), 0)
    sizes = struct.pack("<HHH", 2, 10, 10)
    for flags in (1, 2, 3):
        body = bytes([2, flags]) + sizes + b"x\0" + (b"\3\1" + bytes(8)) * 2
        with pytest.raises(UnsupportedLayoutError, match="heap of shared messages"):
            parse_attribute(memoryview(body), space)
    with pytest.raises(UnsupportedLayoutError, match="version 4"):
        parse_attribute(memoryview(b"\4" + bytes(20)), space)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_damaged_messages_give_a_value_or_an_error_of_ours(tmp_path: Path, libver: str) -> None:
    path = tmp_path / "f.h5"
    write_all(path, libver=libver)
    space = space_of(path.read_bytes())
    outcomes = {"read": 0, "refused": 0}
    with h5py.File(path) as file:
        bodies = [
            bytes(one.body)
            for _, item in every_object(file)
            for one in messages_of(space, item)
            if one.type == ATTRIBUTE
        ]
    for number, body in enumerate(bodies):
        for seed in range(40):
            try:
                found = parse_attribute(memoryview(mutated(body, seed + number, n=2)), space)
                if found.element.kind in {"string", "reference", "int", "float", "bool", "enum"}:
                    attribute_value(found, Blank())
            except NWBDaskError:
                outcomes["refused"] += 1
            else:
                outcomes["read"] += 1
    assert min(outcomes.values()) > 100


class Blank:
    def texts(self, ids: bytes, n: int) -> list[bytes | None]:
        assert len(ids) % n == 0
        return [b""] * n
