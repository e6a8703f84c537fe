"""Small HDF5 files with everything that a dataset can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt
from h5py import h5d, h5p, h5s, h5t

Array = npt.NDArray[Any]

SHAPES: dict[str, dict[str, Any]] = {
    "one": {"shape": (1,)},
    "rows": {"shape": (53,), "chunks": (10,), "maxshape": (None,)},
    "whole": {"shape": (53,), "chunks": (64,), "maxshape": (None,)},
    "pairs": {"shape": (53, 4), "chunks": (10, 4), "maxshape": (None, 4)},
    "tiles": {"shape": (23, 7, 5), "chunks": (6, 3, 5)},
    "wide": {"shape": (11, 33), "chunks": (4, 7), "maxshape": (11, None)},
    "both": {"shape": (11, 33), "chunks": (4, 7), "maxshape": (None, None)},
    "loose": {"shape": (11, 5), "chunks": (4, 8), "maxshape": (None, 16)},
}
FILTERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gzip": {"compression": "gzip"},
    "shuffled": {"compression": "gzip", "shuffle": True},
    "checked": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "checksum": {"fletcher32": True},
    "lzf": {"compression": "lzf"},
    "zstd": dict(hdf5plugin.Zstd()),
    "blosc": dict(hdf5plugin.Blosc()),
    "bitshuffle": dict(hdf5plugin.Bitshuffle()),
}
COLOURS = h5py.enum_dtype({"red": 7, "green": -2, "blue": 300}, basetype="i2")
PAIR = np.dtype([("a", ">i2"), ("b", "<f8"), ("s", "S3"), ("flag", "?"), ("v", "<f4", (2,))])
ALIGNED = np.dtype([("a", "i1"), ("b", "f8"), ("c", "u2")], align=True)


def numbers(dtype: str | np.dtype[Any], shape: tuple[int, ...], seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype).kind
    n = int(np.prod(shape))
    if kind == "b":
        flat: Array = rng.integers(0, 2, n).astype(bool)
    elif kind == "f":
        flat = rng.normal(0, 100, n)
        flat[::7] = np.nan
    elif kind == "c":
        flat = rng.normal(size=n) + 1j * rng.normal(size=n)
    elif kind == "S":
        flat = np.array([b"x" * (i % 6) for i in range(n)])
    else:
        info = np.iinfo(np.dtype(dtype))
        flat = rng.integers(info.min, info.max, n, dtype=np.dtype(dtype).newbyteorder("="), endpoint=True)
    return flat.reshape(shape).astype(dtype)


def records(dtype: np.dtype[Any], n: int) -> Array:
    out = np.zeros(n, dtype)
    for i in range(n):
        for name in dtype.names or ():
            one = dtype[name]
            out[name][i] = (b"%d" % (i % 1000)) if one.kind == "S" else i % 2 if one.kind == "b" else i
    return out


def write_zoo(path: Path, *, large: bool = True, **options: Any) -> None:
    """Write a file of everything; without the larger part of it, if it is to be damaged many times."""
    with h5py.File(path, "w", **options) as file:
        _write_numbers(file.create_group("numbers"))
        if large:
            _write_layouts(file.create_group("layouts"))
        _write_records(file.create_group("records"))
        _write_text(file.create_group("text"))
        _write_references(file.create_group("references"))
        _write_never_written(file.create_group("unwritten"))


def _write_numbers(group: h5py.Group) -> None:
    for dtype in ("i1", "u1", "<i2", ">i2", "<u4", ">u4", "<i8", ">i8", "<u8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8",
                  "?", "<c8", ">c16", "S5"):  # fmt: skip
        name = dtype.replace("<", "le_").replace(">", "be_")
        group.create_dataset(f"{name}_contiguous", data=numbers(dtype, (53, 2)))
        group.create_dataset(f"{name}_chunked", data=numbers(dtype, (53, 2)), chunks=(10, 2))
        group.create_dataset(f"{name}_gzip", data=numbers(dtype, (53,)), chunks=(10,), compression="gzip", shuffle=True)
        group.create_dataset(f"{name}_lzf", data=numbers(dtype, (53,)), chunks=(10,), compression="lzf")
        group.create_dataset(f"{name}_scalar", data=numbers(dtype, (1,))[0])
        group.create_dataset(f"{name}_empty", shape=(0, 3), dtype=dtype)


def _write_layouts(group: h5py.Group) -> None:
    for shape_name, shape in SHAPES.items():
        data = numbers("<f4", shape["shape"])
        group.create_dataset(f"{shape_name}_contiguous", data=data)
        for filter_name, options in FILTERS.items():
            if shape_name == "one" and filter_name == "plain":
                continue
            made = dict(shape) | options
            group.create_dataset(f"{shape_name}_{filter_name}", data=data, **made)
    group.create_dataset("big_gzip", data=numbers("<i4", (300_000, 2)), chunks=(20_000, 2), compression="gzip")
    group.create_dataset("scaleoffset", data=numbers("u1", (53,)), chunks=(10,), scaleoffset=0)
    group.create_dataset("szip", data=numbers("<i4", (64,)), chunks=(16,), compression="szip")
    write_low_level(group, "compact", h5t.STD_I32BE, numbers(">i4", (30, 2)), layout=h5d.COMPACT)
    odd = h5t.STD_I32LE.copy()
    odd.set_precision(17)
    odd.set_offset(3)
    write_low_level(group, "nbit", odd, np.arange(-20, 20, dtype="<i4"), chunks=(7,), nbit=True)
    write_low_level(group, "odd_precision", odd, np.arange(-20, 20, dtype="<i4"))
    bits = h5t.STD_B16BE
    write_low_level(group, "bits", bits, np.arange(40, dtype=">u2"), memory=bits)
    # The first filter is skipped for one chunk.
    masked = group.create_dataset("masked", shape=(20,), dtype="<i4", chunks=(10,), compression="gzip")
    masked[:10] = np.arange(10)
    masked.id.write_direct_chunk((10,), np.arange(10, 20, dtype="<i4").tobytes(), filter_mask=1)


def write_low_level(
    group: h5py.Group,
    name: str,
    tid: h5t.TypeID,
    data: Array,
    *,
    layout: int | None = None,
    chunks: tuple[int, ...] | None = None,
    nbit: bool = False,
    memory: h5t.TypeID | None = None,
) -> None:
    properties = h5p.create(h5p.DATASET_CREATE)
    if layout is not None:
        properties.set_layout(layout)
    if chunks is not None:
        properties.set_chunk(chunks)
    if nbit:
        properties.set_filter(5, 0)
    made = h5d.create(group.id, name.encode(), tid, h5s.create_simple(data.shape), dcpl=properties)
    made.write(h5s.ALL, h5s.ALL, data, memory)


def _write_records(group: h5py.Group) -> None:
    for name, dtype in (("packed", PAIR), ("aligned", ALIGNED)):
        group.create_dataset(f"{name}_contiguous", data=records(dtype, 53))
        group.create_dataset(f"{name}_chunked", data=records(dtype, 53), chunks=(10,))
        group.create_dataset(f"{name}_gzip", data=records(dtype, 53), chunks=(10,), compression="gzip", shuffle=True)
    colours = np.resize(np.array([7, -2, 300], "i2"), 53)
    group.create_dataset("colour", data=colours, dtype=COLOURS)
    group.create_dataset("colour_gzip", data=colours, dtype=COLOURS, chunks=(10,), compression="gzip")
    group.create_dataset("colour_lzf", data=colours, dtype=COLOURS, chunks=(10,), compression="lzf")
    group.create_dataset("opaque", data=np.frombuffer(bytes(range(60)), "V3"))
    arrays = group.create_dataset("arrays", (20,), np.dtype((">i4", (2, 3))))
    arrays[:] = np.arange(120).reshape(20, 2, 3)
    arrays = group.create_dataset("arrays_gzip", (20,), np.dtype(("<i4", (2, 3))), chunks=(6,), compression="gzip")
    arrays[:] = np.arange(120).reshape(20, 2, 3)
    for name, options in (("", {}), ("_gzip", {"chunks": (4,), "compression": "gzip"})):
        made = group.create_dataset(f"sequences{name}", (9,), h5py.vlen_dtype(np.dtype(">i2")), **options)
        for i in range(9):
            if i != 5:  # one is left null
                made[i] = np.arange(i * i)
    flags = group.create_dataset("flag_sequences", (3,), h5py.vlen_dtype(np.dtype("?")))
    flags[0] = np.array([True, False])


def _write_text(group: h5py.Group) -> None:
    words = np.array(["", "a", "Größe", "神経", "x" * 300] * 11, dtype=object)[:53]
    text = h5py.string_dtype()
    group.create_dataset("variable", data=words, dtype=text)
    group.create_dataset("variable_chunked", data=words, dtype=text, chunks=(10,))
    group.create_dataset("variable_gzip", data=words, dtype=text, chunks=(10,), compression="gzip")
    group.create_dataset("variable_2d", data=words[:50].reshape(25, 2), dtype=text, chunks=(4, 2))
    group.create_dataset("scalar", data="Größe", dtype=text)
    group.create_dataset("ascii", data=np.array([b"a", b"b"]), dtype=h5py.string_dtype("ascii"))
    group.create_dataset("fixed_utf8", data=np.array(["é".encode(), b"ab"], h5py.string_dtype("utf-8", 4)))
    group.create_dataset("unwritten", (5,), text)
    for name, padding in (("space_padded", h5t.STR_SPACEPAD), ("null_terminated", h5t.STR_NULLTERM)):
        tid = h5t.C_S1.copy()
        tid.set_size(6)
        tid.set_strpad(padding)
        write_low_level(group, name, tid, np.array([b"abc", b"", b"abcde"], "S6"))
        write_low_level(group, f"{name}_chunked", tid, np.array([b"abc", b"", b"abcde"], "S6"), chunks=(2,))


def _write_references(group: h5py.Group) -> None:
    file = group.file
    target = group.create_dataset("target", data=np.arange(40))
    names = [group.name, target.name, "/numbers", "/text/variable"]
    objects = group.create_dataset("objects", (12,), h5py.ref_dtype)
    for i in range(10):
        objects[i] = file[names[i % 4]].ref
    anonymous = file.create_dataset(None, data=1)
    objects[11] = anonymous.ref
    group.create_dataset("scalar", data=target.ref, dtype=h5py.ref_dtype)
    gzipped = group.create_dataset("objects_gzip", (12,), h5py.ref_dtype, chunks=(5,), compression="gzip")
    gzipped[...] = objects[...]
    regions = group.create_dataset("regions", (5,), h5py.regionref_dtype)
    for i, rows in enumerate((slice(2, 9), [1, 4, 30], slice(None), slice(3, 3))):
        regions[i] = target.regionref[rows]
    dtype = np.dtype([("start", "<i4"), ("count", ">i4"), ("series", h5py.ref_dtype), ("label", h5py.string_dtype())])
    mixed = group.create_dataset("mixed", (9,), dtype, chunks=(4,))
    for i in range(8):
        mixed[i] = (i, 2 * i, file[names[i % 4]].ref, f"№{i}")
    inner = np.dtype([("deep", np.dtype([("to", h5py.ref_dtype), ("n", ">i2")])), ("ok", "?")])
    nested = group.create_dataset("nested", (3,), inner)
    for i in range(2):
        nested[i] = ((file[names[i]].ref, i), True)


def _write_never_written(group: h5py.Group) -> None:
    for dtype in ("<i4", ">f8", "?", "S4"):
        name = dtype.strip("<>")
        group.create_dataset(f"{name}_contiguous", (7, 3), dtype)
        group.create_dataset(f"{name}_chunked", (7, 3), dtype, chunks=(2, 2))
    group.create_dataset("filled", (20,), ">i4", chunks=(4,), fillvalue=-7)
    partly = group.create_dataset("partly", (20, 5), "<f8", chunks=(4, 2), fillvalue=2.5)
    partly[6:9, 1:3] = 1
    gzipped = group.create_dataset("partly_gzip", (20, 5), "<f8", chunks=(4, 2), fillvalue=2.5, compression="gzip")
    gzipped[6:9, 1:3] = 1
    group.create_dataset("filled_contiguous", (7,), "<i2", fillvalue=9)
    group.create_dataset("filled_text", (7,), "S4", fillvalue=b"no", chunks=(2,))
    group.create_dataset("filled_colour", (7,), COLOURS, fillvalue=300, chunks=(2,))
    group.create_dataset("filled_flag", (7,), "?", fillvalue=True, chunks=(2,))
    group.create_dataset("filled_records", (7,), ALIGNED, chunks=(2,), fillvalue=np.array((1, 2, 3), ALIGNED))
    group["null"] = h5py.Empty("f4")
