"""What the elements of a dataset may be: every type in every layout, alone and inside others."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t

from tests.backends.zoo import COLOURS, numbers, write_low_level
from tests.backends.zoo_members import NUMBERS

TEXT = h5py.string_dtype()
MIXED = np.dtype(
    [
        ("start", "<i4"),
        ("count", ">i4"),
        ("series", h5py.ref_dtype),
        ("label", TEXT),
        ("ascii", h5py.string_dtype("ascii", 7)),
        ("xyz", ">f4", (3,)),
        ("colour", COLOURS),
        ("ok", "?"),
    ]
)


def write_types(file: h5py.File) -> None:
    for dtype in NUMBERS:
        group = file.create_group(dtype.replace("<", "le ").replace(">", "be "))
        data = numbers(dtype, (23, 2))
        group["contiguous"] = data
        group["scalar"] = data[0, 0]
        group.create_dataset("chunked", data=data, chunks=(5, 2))
        group.create_dataset("gzip", data=data, chunks=(5, 2), compression="gzip", shuffle=True)
        group.create_dataset("lzf", data=data, chunks=(5, 1), compression="lzf")
    for number, tid in enumerate((h5t.STD_I32BE, h5t.IEEE_F64LE, h5t.STD_U8LE)):
        data = numbers({0: ">i4", 1: "<f8", 2: "u1"}[number], (30, 2))
        write_low_level(file, f"compact {number}", tid, data, layout=h5d.COMPACT)
    _write_odd(file.create_group("odd"))
    _write_texts(file.create_group("texts"))
    _write_sequences(file.create_group("sequences"))


def _write_odd(group: h5py.Group) -> None:
    integer = h5t.STD_I32LE.copy()
    integer.set_precision(17)
    integer.set_offset(3)
    floating = h5t.IEEE_F32LE.copy()
    floating.set_fields(26, 20, 6, 0, 20)
    floating.set_precision(27)
    floating.set_ebias(31)
    data = np.arange(-20, 20, dtype="<i4")
    write_low_level(group, "nbit", integer, data, chunks=(7,), nbit=True)
    write_low_level(group, "precision", integer, data)
    write_low_level(group, "float", floating, data.astype("<f4"), memory=h5t.IEEE_F32LE)
    halves = h5t.create(h5t.COMPOUND, 8)
    halves.insert(b"r", 0, floating)
    halves.insert(b"i", 4, h5t.IEEE_F32LE)
    write_low_level(group, "complex", halves, data.astype("<c8"), memory=h5t.py_create(np.dtype("<c8")))
    write_low_level(group, "long double", h5t.NATIVE_LDOUBLE, data.astype(np.longdouble))
    write_low_level(group, "bits", h5t.STD_B16BE, np.arange(40, dtype=">u2"), memory=h5t.STD_B16BE)
    group.create_dataset("scaled floats", data=numbers("<f4", (40,))[1:6], chunks=(3,), scaleoffset=2)
    group["colours"] = np.resize(np.array([7, -2, 300], "i2"), 23).astype(COLOURS)
    group["opaque"] = np.frombuffer(bytes(range(60)), "V3")
    arrays = group.create_dataset("arrays", (20,), np.dtype((">i4", (2, 3))), chunks=(6,), compression="gzip")
    arrays[:] = np.arange(120).reshape(20, 2, 3)
    pairs = np.dtype([("a", "<i2"), ("b", "<f8")])
    group.create_dataset("arrays of records", (3,), np.dtype((pairs, (2,))))
    nested = np.dtype([("deep", np.dtype([("to", h5py.ref_dtype), ("n", ">i2"), ("t", TEXT)])), ("ok", "?")])
    made = group.create_dataset("nested", (3,), nested)
    made[1] = ((group.ref, 5, "ü"), True)


def _write_texts(group: h5py.Group) -> None:
    words = np.array(["", "a", "Größe", "神経", "x" * 300, "y" * 5000] * 11, dtype=object)
    group.create_dataset("variable", data=words, dtype=TEXT)
    group.create_dataset("chunked", data=words.reshape(22, 3), dtype=TEXT, chunks=(5, 2))
    group.create_dataset("gzip", data=words, dtype=TEXT, chunks=(10,), compression="gzip", shuffle=True)
    group.create_dataset("shared", data=["the same"] * 40, dtype=TEXT)
    group["scalar"] = "Größe"
    group["large"] = "z" * 70_000
    group.create_dataset("larger than a collection", data=["q" * 5000, "r" * 9000], dtype=TEXT)
    group.create_dataset("latin", data=[b"\xe4\xff", b"a"], dtype=TEXT)
    group.create_dataset("fixed", data=np.array(["é".encode(), b"ab"], h5py.string_dtype("utf-8", 4)))
    for name, padding in (("space", h5t.STR_SPACEPAD), ("terminated", h5t.STR_NULLTERM), ("null", h5t.STR_NULLPAD)):
        tid = h5t.C_S1.copy()
        tid.set_size(6)
        tid.set_strpad(padding)
        data = np.array([b"abc", b"", b"a c e", b"  x"], "S6")
        write_low_level(group, name, tid, data)
        write_low_level(group, f"{name} chunked", tid, data, chunks=(2,))
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_layout(h5d.COMPACT)
    tid = h5t.py_create(TEXT, logical=True)
    compact = h5d.create(group.id, b"compact", tid, h5s.create_simple((4,)), dcpl=properties)
    h5py.Dataset(compact)[...] = ["a", "", "ü", "dd"]


def _write_sequences(group: h5py.Group) -> None:
    bases: tuple[Any, ...] = (">i2", "<f8", "?", "u1", COLOURS)
    for number, base in enumerate(bases):
        dtype = h5py.vlen_dtype(np.dtype(base))
        for name, options in (("plain", {}), ("gzip", {"chunks": (4,), "compression": "gzip"})):
            made = group.create_dataset(f"{number} {name}", (9,), dtype, **options)
            for i in range(9):
                if i != 5:  # one is left null
                    made[i] = np.resize(np.array([0, 1, 1], np.dtype(base)), i * i)
    group.create_dataset("of texts", (2,), h5py.vlen_dtype(TEXT))
    made = group.create_dataset("of references", (2,), h5py.vlen_dtype(h5py.ref_dtype))
    made[0] = np.array([group.ref, group.file.ref], h5py.ref_dtype)


def write_references(file: h5py.File) -> None:
    target = file.create_dataset("target", data=np.arange(40).reshape(20, 2))
    file["a/b/c"] = np.arange(3)
    file["same"] = file["a/b"]
    file["soft"] = h5py.SoftLink("/a/b/c")
    file["committed"] = np.dtype("<i4")
    items = [file, target, file["a/b"], file["a/b/c"], file["committed"]]
    objects = file.create_dataset("objects", (12,), h5py.ref_dtype)
    for i in range(10):
        objects[i] = items[i % len(items)].ref
    objects[11] = file.create_dataset(None, data=1).ref
    file.create_dataset("gzip", data=objects[...], dtype=h5py.ref_dtype, chunks=(5,), compression="gzip")
    file["scalar"] = target.ref
    regions = file.create_dataset("regions", (5,), h5py.regionref_dtype)
    for i, rows in enumerate((np.s_[2:9], np.s_[[1, 4, 7]], np.s_[...], np.s_[3:3])):
        regions[i] = target.regionref[rows]
    for name, options in (("mixed", {}), ("mixed gzip", {"chunks": (4,), "compression": "gzip"})):
        mixed = file.create_dataset(name, (9,), MIXED, **options)
        for i in range(8):
            mixed[i] = (i, 2 * i, items[i % 5].ref, f"№{i}" * i, b"ab", (1, 2, i), (7, -2, 300)[i % 3], i % 2 == 0)
    file.create_dataset("mixed scalar", (), MIXED)
    for i in range(4):
        target.attrs[f"to {i}"] = items[i].ref
    target.attrs.create("all", np.array([one.ref for one in items], h5py.ref_dtype), dtype=h5py.ref_dtype)


def write_committed(file: h5py.File) -> None:
    """Write types that are objects of their own and that datasets, attributes and each other share."""
    file["number"] = np.dtype(">i4")
    file["record"] = np.dtype([("a", "<i2"), ("b", ">f8")])
    file["colour"] = COLOURS
    file["text"] = TEXT
    file["number"].attrs["note"] = "an attribute of a type"
    for name in ("number", "record", "colour", "text"):
        data: Any = {
            "number": np.arange(5),
            "record": np.zeros(5, file["record"].dtype),
            "colour": np.array([7, -2, 300]),
            "text": ["a", "b", "ü"],
        }[name]
        made = file.create_dataset(f"of {name}", data=data, dtype=file[name])
        file.create_dataset(f"of {name} chunked", data=data, dtype=file[name], chunks=(2,))
        for i in range(12):
            made.attrs.create(f"{name} {i}", data[:2], dtype=file[name])
    # The type lives on when its name is gone.
    file["short lived"] = np.dtype("<f4")
    file.create_dataset("orphan", data=np.arange(3.0), dtype=file["short lived"])
    del file["short lived"]
