"""Datatype messages give the element types that h5py's types stand for."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5t

from nwb_dask.backends.hdf5.format.datatype import check_references, read_datatype
from nwb_dask.backends.hdf5.format.object_header import DATATYPE
from nwb_dask.backends.hdf5.types import native_dtype, stored_type
from nwb_dask.errors import MalformedFileError, NWBDaskError, UnsupportedLayoutError
from nwb_dask.index import ElementType
from tests.backends.format.headers import WRITTEN, body_of, create, described, every_way, messages_of
from tests.backends.format.reading import space_of

TEXT = h5t.py_create(h5py.string_dtype(), logical=True)


def record(*fields: tuple[str, h5t.TypeID], size: int | None = None) -> h5t.TypeID:
    starts = np.cumsum([0] + [tid.get_size() for _, tid in fields]).tolist()
    out = h5t.create(h5t.COMPOUND, starts[-1] if size is None else size)
    for (name, tid), start in zip(fields, starts, strict=False):
        out.insert(name.encode(), start, tid)
    return out


def copy(base: h5t.TypeID, **settings: Any) -> h5t.TypeID:
    out = base.copy()
    for name, value in settings.items():
        getattr(out, f"set_{name}")(*(value if isinstance(value, tuple) else (value,)))
    return out


def enum(base: h5t.TypeID, **members: int) -> h5t.TypeID:
    out = h5t.enum_create(base)
    for name, value in members.items():
        out.enum_insert(name.encode(), value)
    return out


def nested(depth: int, wrap: Callable[[h5t.TypeID], h5t.TypeID]) -> h5t.TypeID:
    out = h5t.STD_I32LE
    for _ in range(depth):
        out = wrap(out)
    return out


def pair(base: h5t.TypeID, other: h5t.TypeID | None = None, **options: Any) -> h5t.TypeID:
    return record(("r", base), ("i", base if other is None else other), **options)


def opaque(tag: bytes) -> h5t.TypeID:
    out = h5t.create(h5t.OPAQUE, 7)
    out.set_tag(tag)
    return out


ODD = copy(h5t.STD_I32BE, precision=27, offset=3)
COLOURS = enum(h5t.STD_I16BE, red=7, green=-2, a_longer_name=300, eight_by=-1)


def _numbers() -> Iterator[tuple[str, h5t.TypeID]]:
    for size in (8, 16, 32, 64):
        for order in ("LE", "BE"):
            for kind in "IUB":
                yield f"{kind}{size}{order}", getattr(h5t, f"STD_{kind}{size}{order}")
    for size in (16, 32, 64):
        for order in ("LE", "BE"):
            yield f"F{size}{order}", getattr(h5t, f"IEEE_F{size}{order}")
    yield "int of 3 bytes", copy(h5t.STD_I32LE, size=3)
    yield "int of 6 bytes", copy(h5t.STD_U64LE, size=6)
    yield "bits of 3 bytes", copy(h5t.STD_B32LE, size=3)
    yield "odd", ODD
    yield "odd unsigned", copy(h5t.STD_U16LE, precision=13)
    double = h5t.IEEE_F64LE
    yield "bfloat16", copy(double, fields=(15, 7, 8, 0, 7), precision=16, size=2, ebias=127)
    yield "bfloat16 big", copy(h5t.IEEE_F64BE, fields=(15, 7, 8, 0, 7), precision=16, size=2, ebias=127)
    yield "float of 24 bits", copy(double, fields=(23, 16, 7, 0, 16), precision=24, size=3, ebias=63)
    yield "e4m3", copy(double, fields=(7, 3, 4, 0, 3), precision=8, size=1, ebias=7)
    yield "e5m2", copy(double, fields=(7, 2, 5, 0, 2), precision=8, size=1, ebias=15)
    yield "other bias", copy(double, ebias=1022)
    yield "wide mantissa", copy(double, fields=(63, 55, 8, 0, 55), ebias=127)
    yield "single in 6 bytes", copy(double, fields=(31, 23, 8, 0, 23), precision=32, size=6, ebias=127)
    yield "long double", h5t.NATIVE_LDOUBLE
    yield "time", h5t.UNIX_D32LE


def _texts() -> Iterator[tuple[str, h5t.TypeID]]:
    for name, padding in (("null", h5t.STR_NULLPAD), ("terminated", h5t.STR_NULLTERM), ("space", h5t.STR_SPACEPAD)):
        for charset in (h5t.CSET_ASCII, h5t.CSET_UTF8):
            yield f"text {name} {charset}", copy(h5t.C_S1, size=5, strpad=padding, cset=charset)
            variable = copy(h5t.C_S1, size=h5t.VARIABLE, strpad=padding, cset=charset)
            yield f"any text {name} {charset}", variable
            yield f"texts {name} {charset}", record(("v", variable), ("s", h5t.C_S1), ("n", h5t.STD_I16BE))


def _nested() -> Iterator[tuple[str, h5t.TypeID]]:
    small, half, double = h5t.STD_I8LE, h5t.IEEE_F16LE, h5t.IEEE_F64LE
    for n in (0, 1, 8, 100):
        yield f"opaque {n}", opaque(b"t" * n)
        yield f"opaque {n} inside", record(("o", opaque(b"t" * n)), ("n", small))
    yield "enum", COLOURS
    yield "enum inside", record(("e", COLOURS), ("n", h5t.STD_I64BE))
    yield "odd enum", enum(ODD, minus=-5, plus=5)
    yield "unsigned enum", enum(h5t.STD_U8LE, low=0, high=255)
    yield "bool", enum(h5t.STD_I8LE, FALSE=0, TRUE=1)
    yield "bool the other way", enum(h5t.STD_I16BE, TRUE=1, FALSE=0)
    yield "no bool", enum(h5t.STD_I8LE, FALSE=1, TRUE=0)
    for name, base in {
        "int": h5t.STD_I16BE,
        "odd": ODD,
        "bool": enum(small, FALSE=0, TRUE=1),
        "text": h5t.C_S1,
        "any text": TEXT,
        "reference": h5t.STD_REF_OBJ,
        "complex": pair(double),
        "record": record(("x", small)),
        "array": h5t.array_create(small, (3,)),
        "opaque": opaque(b"tag"),
        "sequence": h5t.vlen_create(small),
    }.items():
        yield f"sequence of {name}", h5t.vlen_create(base)
        yield f"array of {name}", h5t.array_create(base, (2, 3))
        yield f"record of {name}", record(("a", base), ("b", small))
    yield "complex", pair(double)
    yield "complex big", pair(h5t.IEEE_F32BE)
    yield "complex half", pair(half)
    yield "complex mixed", pair(double, h5t.IEEE_F64BE)
    yield "complex padded", pair(double, size=20)
    yield "complex reversed", record(("i", double), ("r", double))
    yield "names", record(("größe", small), ("神経網です", small), ("12345678", small), ("1234567", small))
    wide = h5t.array_create(h5t.STD_U8LE, (70_000,))
    yield "wide", record(("a", small), ("b", wide), ("c", h5t.STD_I16LE))
    yield "gaps", record(("a", small), ("b", h5t.STD_I64LE), size=300)
    for depth in (1, 2, 11, 12, 13):
        yield f"records {depth}", nested(depth, lambda base: record(("x", base), ("y", h5t.STD_U32BE)))
    yield "arrays", nested(3, lambda base: h5t.array_create(base, (2,)))


TYPES = dict([*_numbers(), *_texts(), *_nested()])
UNREAD = {
    *("int of 3 bytes", "int of 6 bytes", "bits of 3 bytes", "time", "long double", "records 13", "arrays"),
    *(f"sequence of {name}" for name in ("text", "any text", "reference", "complex", "record", "array", "opaque")),
    *("sequence of sequence", "array of any text", "array of reference", "array of record", "array of array"),
    "array of sequence",
}


def write_types(path: Path, **options: Any) -> None:
    with h5py.File(path, "w", **options) as file:
        for name, tid in TYPES.items():
            create(file, name, tid)


@every_way
def test_every_type_is_the_one_that_h5py_says(tmp_path: Path, way: str) -> None:
    path = tmp_path / "f.h5"
    write_types(path, **WRITTEN[way])
    space = space_of(path.read_bytes())
    unread = set()
    with h5py.File(path) as file:
        for name, dataset in file.items():
            body = next(one.body for one in messages_of(space, dataset) if one.type == DATATYPE)
            ours, theirs = read_datatype(body), stored_type(dataset.id.get_type())
            assert described(ours) == described(theirs.element), name
            assert ours.size * 3 == dataset.id.get_storage_size() or not dataset.id.get_storage_size(), name
            if ours.dtype is not None and "text" not in name:
                assert ours.exact == theirs.exact, name
            if ours.kind == "unsupported":
                unread.add(name)
                assert ours.reason
            elif ours.dtype is not None and ours.kind not in {"bool", "enum", "compound", "float"}:
                plain = np.zeros(1, dataset.dtype)
                assert native_dtype(ours) == plain.dtype.newbyteorder("=") or ours.kind in {"bytes", "array"}, name
    assert unread == UNREAD


@pytest.mark.parametrize(("libver", "version"), [("earliest", 1), ("v108", 3), ("v112", 4), ("latest", 5)])
def test_the_versions_of_the_message_are_all_met(tmp_path: Path, libver: str, version: int) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w", libver=(libver, libver) if libver[0] == "v" else libver) as file:
        create(file, "x", record(("a", h5t.STD_I8LE), ("b", h5t.STD_I64BE)))
        create(file, "y", record(("a", h5t.array_create(h5t.STD_I8LE, (3,)))))
    assert body_of(path, "x", DATATYPE)[0] >> 4 == version
    assert body_of(path, "y", DATATYPE)[0] >> 4 == max(version, 2)


@pytest.mark.parametrize("order", ["LE", "BE"])
def test_the_complex_class_of_hdf5_2_is_complex(tmp_path: Path, order: str) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w", libver="latest") as file:
        for bits in (16, 32, 64):
            create(file, f"{bits}", getattr(h5t, f"COMPLEX_IEEE_F{bits}{order}"))
    for bits, kind in ((16, "unsupported"), (32, "complex"), (64, "complex")):
        ours = read_datatype(body_of(path, f"{bits}", DATATYPE))
        with h5py.File(path) as file:
            assert described(ours) == described(stored_type(file[f"{bits}"].id.get_type()).element)
        assert (ours.kind, ours.size) == (kind, bits // 4)


def test_text_tells_its_padding(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    write_types(path)
    for padding in ("null", "terminated", "space"):
        ours = read_datatype(body_of(path, f"text {padding} 1", DATATYPE))
        assert (ours.padding, ours.exact, ours.size) == (padding, True, 5)
        inside = read_datatype(body_of(path, f"texts {padding} 0", DATATYPE))
        assert inside.exact
        assert [field.size for _, field in inside.fields] == [16, 1, 2]


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_offsets_are_those_of_the_fields_in_the_file(tmp_path: Path, libver: str) -> None:
    path = tmp_path / "f.h5"
    dtype = np.dtype([
        ("start", "<i4"), ("text", h5py.string_dtype()), ("series", h5py.ref_dtype), ("region", h5py.regionref_dtype),
        ("count", ">i2"), ("sequence", h5py.vlen_dtype(np.dtype("<f4"))), ("last", "<u8"),
    ])  # fmt: skip
    with h5py.File(path, "w", libver=libver) as file:
        made = file.create_dataset("x", (4,), dtype)
        for i in range(4):
            made[i] = (i, "text", file.ref, file["x"].regionref[:2], 10 * i, np.ones(2, "<f4"), 100 * i)
        offset = made.id.get_offset()
        size = made.id.get_storage_size() // 4
    ours = read_datatype(body_of(path, "x", DATATYPE))
    assert (ours.kind, ours.size, ours.exact) == ("compound", size, True)
    body = path.read_bytes()
    for (name, field), at in zip(ours.fields, ours.offsets, strict=True):
        if field.dtype is not None:
            stored = [np.frombuffer(body, field.dtype, 1, offset + i * size + at)[0] for i in range(4)]
            assert stored == [i * {"start": 1, "count": 10, "last": 100}[name] for i in range(4)]
    assert {name: field.size for name, field in ours.fields} == {
        "start": 4, "text": 16, "series": 8, "region": 12, "count": 2, "sequence": 16, "last": 8,
    }  # fmt: skip


def test_members_of_version_1_may_have_shapes() -> None:
    integer = struct.pack("<BBBBIHH", 0x10, 8, 0, 0, 4, 0, 32)
    inside = b"grid\0\0\0\0" + struct.pack("<IB3xI4x4I", 8, 2, 0, 2, 3, 0, 0) + integer
    after = b"n\0\0\0\0\0\0\0" + struct.pack("<IB3xI4x4I", 0, 0, 0, 0, 0, 0, 0) + integer
    ours = read_datatype(memoryview(struct.pack("<BBBBI", 0x16, 2, 0, 0, 32) + inside + after))
    assert ours.dtype == np.dtype({
        "names": ["grid", "n"], "formats": [("<i4", (2, 3)), "<i4"], "offsets": [8, 0], "itemsize": 32,
    })  # fmt: skip
    assert [field.kind for _, field in ours.fields] == ["array", "int"]
    assert ours.fields[0][1].size == 24


def test_references_of_hdf5_1_12_and_unknown_classes_are_told(tmp_path: Path) -> None:
    for head in (b"\x47\x02\0\0", b"\x47\x03\0\0", b"\x47\x04\0\0", b"\x1c\0\0\0", b"\x13\x03\0\0"):
        ours = read_datatype(memoryview(head + struct.pack("<I", 24)))
        assert (ours.kind, ours.size) == ("unsupported", 24)
        assert ours.reason


def test_a_later_version_is_left_to_others() -> None:
    with pytest.raises(UnsupportedLayoutError, match="version 6"):
        read_datatype(memoryview(struct.pack("<BBBBIHH", 0x60, 8, 0, 0, 4, 0, 32)))


@pytest.mark.parametrize("libver", ["v108", "latest"])
def test_a_type_that_ends_too_soon_is_damaged(tmp_path: Path, libver: str) -> None:
    path = tmp_path / "f.h5"
    write_types(path, libver=(libver, libver) if libver == "v108" else libver)
    for name in set(TYPES) - UNREAD:
        # Headers of version 2 pad no message.
        body = body_of(path, name, DATATYPE)
        for n_bytes in range(len(body)):
            with pytest.raises(MalformedFileError, match="damaged"):
                read_datatype(body[:n_bytes])


def test_what_does_not_fit_together_is_damaged() -> None:
    integer = struct.pack("<BBBBIHH", 0x30, 8, 0, 0, 4, 0, 32)
    for body, reason in (
        (struct.pack("<BBBBIHH", 0x10, 8, 0, 0, 0, 0, 32), "no bytes"),
        (struct.pack("<BBBBI", 0x36, 0, 0, 0, 8), "without fields"),
        (struct.pack("<BBBBI", 0x36, 1, 0, 0, 8) + b"a\0\5" + integer, "past the end of its element"),
        (struct.pack("<BBBBI", 0x36, 2, 0, 0, 8) + b"a\0\3" + integer + b"b\0\0" + integer, "overlap"),
        (struct.pack("<BBBBI", 0x38, 1, 0, 0, 8) + integer + b"a\0" + bytes(4), "an enumeration of 8 bytes"),
        (struct.pack("<BBBBIBI", 0x3A, 0, 0, 0, 13, 1, 3) + integer, "an array of 12 bytes"),
    ):
        with pytest.raises(MalformedFileError, match=reason):
            read_datatype(memoryview(body))
    overlapping = struct.pack("<BBBBI", 0x36, 2, 0, 0, 8) + b"a\0\0" + integer + b"a\0\4" + integer
    assert read_datatype(memoryview(overlapping)).kind == "unsupported"
    latin = struct.pack("<BBBBI", 0x36, 1, 0, 0, 8) + b"gr\xf6\0\0" + integer
    assert read_datatype(memoryview(latin)).kind == "unsupported"


def test_deep_nesting_costs_no_stack() -> None:
    array = struct.pack("<BBBBIBI", 0x3A, 0, 0, 0, 4, 1, 1)
    integer = struct.pack("<BBBBIHH", 0x30, 8, 0, 0, 4, 0, 32)
    sequence = struct.pack("<BBBBI", 0x39, 0, 0, 0, 16)
    text = struct.pack("<BBBBI", 0x39, 1, 0, 0, 16)
    for wrap in (array, sequence, text):
        ours = read_datatype(memoryview(wrap * 20_000 + integer))
        assert (ours.kind, ours.reason != "") == ("unsupported", True)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_damage_gives_a_type_or_an_error_of_ours(tmp_path: Path, libver: str) -> None:
    path = tmp_path / "f.h5"
    write_types(path, libver=libver)
    rng = np.random.default_rng(1)
    outcomes = {"read": 0, "refused": 0}
    with h5py.File(path) as file:
        space = space_of(path.read_bytes())
        bodies = [one.body for item in file.values() for one in messages_of(space, item) if one.type == DATATYPE]
    for body in bodies:
        for _ in range(60):
            damaged = bytearray(body)
            for _ in range(2):
                damaged[int(rng.integers(0, len(damaged)))] = int(rng.integers(0, 256))
            try:
                assert isinstance(read_datatype(memoryview(damaged)), ElementType)
            except NWBDaskError:
                outcomes["refused"] += 1
            else:
                outcomes["read"] += 1
    assert min(outcomes.values()) > 100


def test_members_of_an_odd_enumeration_are_numbers_of_its_precision(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    members = {"low": -(1 << 26), "high": (1 << 26) - 1, "none": 0}
    with h5py.File(path, "w") as file:
        create(file, "x", enum(ODD, **members))
        tid = file["x"].id.get_type()
        assert {tid.get_member_name(i).decode(): tid.get_member_value(i) for i in range(3)} == members
    ours = read_datatype(body_of(path, "x", DATATYPE))
    assert dict(ours.members) == members
    assert not ours.exact


def test_widths_of_references_in_types_that_are_not_read_are_not_judged() -> None:
    # libhdf5 writes 8 into such types, in files of 4-byte addresses too.
    reference = ElementType("reference", dtype=np.dtype("<u8"), size=8)
    check_references(ElementType("unsupported", base=reference, reason="sequences of reference", size=12), 4)
    with pytest.raises(MalformedFileError, match="where addresses have 4"):
        check_references(reference, 4)
