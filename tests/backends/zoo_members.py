"""What may be in a group and on an object: links of every kind, attributes of every type and number, and holes."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5s, h5t

from tests.backends.zoo import ALIGNED, COLOURS, PAIR, numbers, records

NUMBERS = ("i1", "u1", "<i2", ">i2", "<u4", ">u4", "<i8", ">i8", "<u8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "?",
           "<c8", ">c16", "S5")  # fmt: skip
COUNTS = (0, 1, 2, 5, 8, 9, 17, 100, 1000)


def write_groups(file: h5py.File) -> None:
    data = file.create_dataset("data", data=np.arange(5))
    _write_counts(file.create_group("counts"), data, COUNTS)
    _write_named(file.create_group("named"), data)
    _write_links(file.create_group("links"), data)
    deep = file.create_group("deep")
    for i in range(60):
        deep = deep.create_group(f"g{i}")
    deep["end"] = 1
    deep["to the top"] = file
    file["types/committed"] = np.dtype("<i2")


def write_many_links(file: h5py.File) -> None:
    """Write groups whose indexes are several levels high."""
    data = file.create_dataset("data", data=np.arange(5))
    _write_counts(file, data, (5000,))
    long = file.create_group("long")
    for i in range(300):
        long[f"{i:03d}" + "n" * (7 * i)] = data


def _write_counts(group: h5py.Group, data: h5py.Dataset, counts: tuple[int, ...]) -> None:
    for n in counts:
        members = group.create_group(f"of {n}")
        for i in np.random.default_rng(n).permutation(n).tolist():
            if i % 3 == 1:
                members[f"m{i}"] = h5py.SoftLink(f"m{i - 1}")
            elif i % 10 == 2:
                members.create_group(f"m{i}")
            else:
                members[f"m{i}"] = data


def _write_named(group: h5py.Group, data: h5py.Dataset) -> None:
    for name in (
        "ü",
        "神経",
        "a b",
        "x" * 255,
        "y" * 256,
        "z" * 2000,
        "🧠" * 70,
        "..",
        "a.b",
        "@",
        "#",
        "%",
        "\\",
        "\n",
    ):
        group[name] = data
    # No UTF-8; libhdf5 takes any bytes.
    group.id.link(b"/data", b"\xff\xfe", h5py.h5g.LINK_SOFT)


def _write_links(group: h5py.Group, data: h5py.Dataset) -> None:
    group["near"] = data
    group.create_group("inside")["x"] = np.arange(3)
    group["inside/up"] = group
    for name, target in (
        ("relative", "near"),
        ("absolute", "/data"),
        ("through", "inside/x"),
        ("through itself", "inside/up/near"),
        ("chain", "relative"),
        ("to a group", "inside"),
        ("to the root", "/"),
        ("to a type", "/types/committed"),
        ("dangling", "nothing/here"),
        ("circle", "circle back"),
        ("circle back", "circle"),
        ("dots", "./near"),
        ("slashes", "//data"),
        ("slash at the end", "inside/"),
        ("through a link to a group", "to a group/x"),
        ("through an external one", "elsewhere/x"),
    ):
        group[name] = h5py.SoftLink(target)
    group["elsewhere"] = h5py.ExternalLink("other.h5", "/there")
    group["nowhere"] = h5py.ExternalLink("ü missing.h5", "there/神")
    group["same group"] = group["inside"]


def write_attributes(file: h5py.File) -> None:
    target = file.create_dataset("target", data=np.arange(3))
    file["committed"] = np.dtype([("a", "<i4"), ("b", ">f8")])
    for item in (file.create_group("group"), file.create_dataset("dataset", data=1.5), file):
        _write_number_attributes(item)
        _write_text_attributes(item)
        _write_other_attributes(item, target)
    many = file.create_dataset("many", data=1)
    for i in range(300):
        many.attrs[f"a{i * 7919 % 300}"] = np.arange(i % 5) if i % 2 else f"text {i}"
    fewer = file.create_group("fewer")
    for i in range(20):
        fewer.attrs[f"a{i}"] = i
    for i in range(0, 20, 3):
        del fewer.attrs[f"a{i}"]
    for i in range(0, 20, 6):
        fewer.attrs[f"a{i}"] = f"again {i}"
    sized = file.create_group("sized")
    for n in (1, 100, 1000, 30_000, 60_000):
        sized.attrs[f"{n} bytes"] = np.arange(n, dtype="u1")


def write_large_attributes(file: h5py.File) -> None:
    """Write attributes that do not fit into an object header: only the newer formats have them."""
    group = file.create_group("group")
    group.attrs["100 kB"] = np.arange(12_500)
    for i in range(3):
        group.attrs[f"large {i}"] = np.arange(i + 1, i + 20_000)
    group.attrs["small"] = 1
    group.attrs["texts"] = ["x" * i for i in range(1000)]
    many = file.create_group("many")
    for i in range(2500):
        many.attrs[f"attribute {i}"] = i


def _write_number_attributes(item: h5py.HLObject) -> None:
    for dtype in NUMBERS:
        name = dtype.replace("<", "le ").replace(">", "be ")
        item.attrs.create(name, numbers(dtype, (1,))[0], dtype=dtype)
        item.attrs.create(f"{name} in a row", numbers(dtype, (3,)), dtype=dtype)
        item.attrs.create(f"{name} in rows", numbers(dtype, (2, 3)), dtype=dtype)
        item.attrs.create(f"{name} none", np.zeros((0,), dtype))
    item.attrs["null"] = h5py.Empty("<f8")
    item.attrs.create("colour", 300, dtype=COLOURS)
    item.attrs.create("colours", [7, -2], dtype=COLOURS)
    odd = h5t.STD_I32LE.copy()
    odd.set_precision(17)
    write_low_level_attribute(item, "odd precision", odd, np.arange(-2, 2, dtype="<i4"))
    write_low_level_attribute(item, "bits", h5t.STD_B16BE, np.arange(4, dtype=">u2"), memory=h5t.STD_B16BE)
    write_low_level_attribute(item, "long double", h5t.NATIVE_LDOUBLE, np.arange(4, dtype=np.longdouble))


def _write_text_attributes(item: h5py.HLObject) -> None:
    item.attrs["text"] = "Größe"
    item.attrs["no text"] = ""
    item.attrs["long text"] = "x" * 5000
    item.attrs["texts"] = ["a", "", "神経", "x" * 500]
    item.attrs["texts in rows"] = np.array([["a", "b"], ["", "ü"]], object)
    item.attrs.create("no texts", np.empty((0,), object), dtype=h5py.string_dtype())
    item.attrs.create("ascii", b"abc", dtype=h5py.string_dtype("ascii"))
    item.attrs.create("fixed", b"ab", dtype=h5py.string_dtype("utf-8", 4))
    item.attrs.create("full", b"abcd", dtype=h5py.string_dtype("ascii", 4))
    item.attrs["ü 神経 name"] = 1
    item.attrs["n" * 300] = 1
    for name, padding in (("space", h5t.STR_SPACEPAD), ("terminated", h5t.STR_NULLTERM)):
        tid = h5t.C_S1.copy()
        tid.set_size(6)
        tid.set_strpad(padding)
        write_low_level_attribute(item, f"padded by {name}", tid, np.array([b"abc", b"", b"abcde"], "S6"))
    write_low_level_attribute(item, "latin", h5t.C_S1.copy(), np.array(b"\xe4", "S1"))


def _write_other_attributes(item: h5py.HLObject, target: h5py.Dataset) -> None:
    file = item.file
    item.attrs["reference"] = target.ref
    item.attrs["to the root"] = file.ref
    item.attrs.create("references", np.array([target.ref, file.ref, None], h5py.ref_dtype), dtype=h5py.ref_dtype)
    item.attrs.create("null reference", None, shape=(), dtype=h5py.ref_dtype)
    item.attrs["region"] = target.regionref[1:]
    item.attrs.create("record", records(PAIR, 1)[0])
    item.attrs.create("records", records(ALIGNED, 3))
    item.attrs.create("committed", np.array([(1, 2.5)], file["committed"].dtype), dtype=file["committed"])
    item.attrs.create("array", np.arange(6).reshape(1, 2, 3), dtype=np.dtype(("<i4", (2, 3))))
    item.attrs.create("opaque", np.void(b"abc"))
    sequence = np.empty(2, object)
    sequence[:] = [np.arange(3), np.arange(1)]
    item.attrs.create("sequences", sequence, dtype=h5py.vlen_dtype(np.dtype("<i4")))


def write_low_level_attribute(
    item: h5py.HLObject, name: str, tid: h5t.TypeID, data: np.ndarray[Any, Any], memory: h5t.TypeID | None = None
) -> None:
    space = h5s.create_simple(data.shape) if data.shape else h5s.create(h5s.SCALAR)
    h5a.create(item.id, name.encode(), tid, space).write(data, mtype=memory)


def write_history(file: h5py.File) -> None:
    """Write, delete, rename and write again, so that headers continue elsewhere and heaps have holes."""
    for i in range(40):
        group = file.create_group(f"g{i}")
        group["x"] = np.arange(i)
        group["t"] = [f"text {j}" * (j % 7) for j in range(i)]
        group.attrs["i"] = i
    for i in range(0, 40, 3):
        del file[f"g{i}"]
    for i in range(1, 40, 3):
        file.move(f"g{i}", f"renamed {i} with a longer name")
    for i in range(0, 40, 6):
        file[f"again {i}"] = [f"other {j}" for j in range(5 * i)]
    late = file["g2"]
    for i in range(6):
        late.attrs[f"late {i}"] = "x" * (50 * i)
        late[f"late {i}"] = file["g5"]
    late.attrs["late 3"] = 3
    del late["x"]
    late["x"] = "other"
    text = file.create_dataset("rewritten", (30,), h5py.string_dtype(), chunks=(7,), maxshape=(None,))
    for step in range(4):
        text[step::2] = [f"{step} {j}" * step for j in range(len(range(step, 30, 2)))]
    text.resize(50, axis=0)
    text[41] = "at the end"
    text.resize(44, axis=0)
    sized = file.create_dataset("sized", data=np.arange(100), chunks=(9,), maxshape=(None,), compression="gzip")
    for n in (40, 130, 7, 61):
        sized.resize(n, axis=0)
        sized[n - 3 :] = n
