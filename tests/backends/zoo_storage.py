"""How a dataset may be stored: every layout with every chunk index and filter, and what was never written."""

from __future__ import annotations

import ctypes
import re
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from h5py import h5d, h5p, h5s, h5t

from tests.backends.zoo import ALIGNED, COLOURS, numbers

GRIDS: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int | None, ...]]] = {
    "one chunk": ((7,), (7,), (7,)),
    "one larger chunk": ((7, 3), (8, 4), (20, 20)),
    "rows": ((53,), (10,), (53,)),
    "tiles": ((23, 7, 5), (6, 3, 5), (23, 7, 5)),
    "room to grow": ((11, 5), (4, 2), (31, 16)),
    "growing": ((53,), (10,), (None,)),
    "growing pairs": ((53, 4), (10, 3), (None, 4)),
    "growing pairs with room": ((13, 4), (5, 3), (None, 11)),
    "growing second": ((11, 33), (4, 7), (11, None)),
    "growing second with room": ((11, 33), (4, 7), (30, None)),
    "growing middle": ((5, 11, 3), (2, 4, 2), (6, None, 8)),
    "growing both": ((11, 33), (4, 7), (None, None)),
    "growing all": ((3, 5, 7), (2, 2, 2), (None, None, None)),
}
"""Shape, chunk, largest shape."""
FILTERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gzip": {"compression": "gzip"},
    "gzip 9": {"compression": "gzip", "compression_opts": 9, "shuffle": True},
    "shuffle": {"shuffle": True},
    "checked": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "checksum": {"fletcher32": True},
    "lzf": {"compression": "lzf"},
    "lzf shuffle": {"compression": "lzf", "shuffle": True},
    "scaleoffset": {"scaleoffset": 0},
    "szip": {"compression": "szip"},
    "zstd": dict(hdf5plugin.Zstd()),
    "lz4": dict(hdf5plugin.LZ4()),
    "bzip2": dict(hdf5plugin.BZip2()),
    "blosc": dict(hdf5plugin.Blosc()),
    "blosc zstd": dict(hdf5plugin.Blosc(cname="zstd", shuffle=hdf5plugin.Blosc.BITSHUFFLE)),
    "blosc2": dict(hdf5plugin.Blosc2()),
    "bitshuffle": dict(hdf5plugin.Bitshuffle()),
    "bitshuffle zstd": dict(hdf5plugin.Bitshuffle(cname="zstd")),
}


def library() -> ctypes.CDLL:
    """Return the libhdf5 of h5py, for what h5py does not offer; needs Linux and h5py from a wheel."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    return ctypes.CDLL(re.findall(r"\S*libhdf5-\S*\.so\S*", maps)[0])


def write_grids(file: h5py.File) -> None:
    for (name, (shape, chunks, most)), (filtered, options) in product(GRIDS.items(), FILTERS.items()):
        if filtered == "szip" and np.prod(chunks) % 2:
            continue
        data = numbers("<i4", shape)
        if filtered == "scaleoffset":
            data = data % 100
        file.create_dataset(f"{name}/{filtered}", data=data, chunks=chunks, maxshape=most, **options)


def write_sparse(file: h5py.File) -> None:
    """Write some chunks of each grid, and allocate those of others early."""
    for name, (shape, chunks, most) in GRIDS.items():
        for filtered in ("plain", "gzip"):
            made = file.create_dataset(
                f"{name}/sparse {filtered}",
                shape,
                "<i4",
                chunks=chunks,
                maxshape=most,
                fillvalue=-1,
                **FILTERS[filtered],
            )
            made[tuple(n // 2 for n in shape)] = 5
            made[tuple(n - 1 for n in shape)] = 6
            file.create_dataset(
                f"{name}/empty {filtered}", shape, "<i4", chunks=chunks, maxshape=most, fillvalue=3, **FILTERS[filtered]
            )
            _write_early(file[name], f"early {filtered}", shape, chunks, most, filtered=filtered == "gzip")
        if any(n != m for n, m in zip(shape, most, strict=True)):
            _write_resized(file[name], shape, chunks, most)


def _write_early(
    group: h5py.Group,
    name: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    most: tuple[int | None, ...],
    *,
    filtered: bool,
) -> None:
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_chunk(chunks)
    properties.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    if filtered:
        properties.set_deflate(4)
    space = h5s.create_simple(shape, tuple(h5s.UNLIMITED if n is None else n for n in most))
    made = h5py.Dataset(h5d.create(group.id, name.encode(), h5t.STD_I32LE, space, dcpl=properties))
    made[tuple(n // 2 for n in shape)] = 5


def _write_resized(
    group: h5py.Group, shape: tuple[int, ...], chunks: tuple[int, ...], most: tuple[int | None, ...]
) -> None:
    for filtered in ("plain", "checked"):
        data = numbers("<i4", shape)
        made = group.create_dataset(f"resized {filtered}", data=data, chunks=chunks, maxshape=most, **FILTERS[filtered])
        larger = tuple(n + 9 if m is None else m for n, m in zip(shape, most, strict=True))
        made.resize(larger)
        made[tuple(n - 1 for n in larger)] = 7
        made.resize(tuple(max(n - 3, 1) for n in larger))


def write_many_chunks(file: h5py.File) -> None:
    """Write indexes of several levels, of several blocks, and in pages."""
    for name, shape, chunks, most in (
        ("fixed in pages", (5000,), (1,), (5000,)),
        ("fixed in pages 2d", (70, 66), (2, 1), (70, 80)),
        ("extensible", (9000,), (1,), (None,)),
        ("extensible second", (3, 2000), (1, 1), (3, None)),
        ("btree", (60, 60), (1, 1), (None, None)),
    ):
        data = np.arange(np.prod(shape), dtype="<i2").reshape(shape)
        file.create_dataset(name, data=data, chunks=chunks, maxshape=most)
        if "extensible" not in name:
            file.create_dataset(f"{name} gzip", data=data, chunks=chunks, maxshape=most, compression="gzip")
        sparse = file.create_dataset(f"{name} sparse", shape, "<i2", chunks=chunks, maxshape=most, fillvalue=9)
        for at in np.random.default_rng(len(name)).integers(0, np.prod(shape), 60).tolist():
            sparse[np.unravel_index(at, shape)] = 1


def write_unwritten(file: h5py.File) -> None:
    for dtype in ("<i4", ">f8", "?", "S4", "<f2", "<c8", COLOURS, ALIGNED, h5py.string_dtype(), h5py.ref_dtype):
        group = file.create_group(str(len(file)))
        group.create_dataset("contiguous", (7, 3), dtype)
        group.create_dataset("chunked", (7, 3), dtype, chunks=(2, 2))
        group.create_dataset("scalar", (), dtype)
        group.create_dataset("none", (0, 3), dtype)
        group.create_dataset("none chunked", (0, 3), dtype, chunks=(2, 2), maxshape=(None, 3))
        group["null"] = h5py.Empty(dtype)
    fills: tuple[tuple[Any, Any], ...] = (
        (">i4", -7),
        ("<f8", np.nan),
        ("<f2", 2.5),
        ("S4", b"no"),
        (COLOURS, 300),
        ("?", True),
        (ALIGNED, np.array((1, 2, 3), ALIGNED)),
        ("<c16", 1 + 2j),
    )
    for dtype, fill in fills:
        group = file.create_group(f"filled {len(file)}")
        for name, options in (("contiguous", {}), ("chunked", {"chunks": (4,)}), ("gzip", {"chunks": (4,), "compression": "gzip"})):  # fmt: skip  # noqa: E501  # one line for each
            group.create_dataset(name, (10,), dtype, fillvalue=fill, **options)
            group.create_dataset(f"{name} partly", (10,), dtype, fillvalue=fill, **options)[5:7] = fill
    _write_times(file.create_group("times"))
    file.create_dataset("filled text", (5,), h5py.string_dtype(), fillvalue="nothing", chunks=(2,))


def _write_times(group: h5py.Group) -> None:
    """Write datasets whose storage and fill values come at every time."""
    alloc = {"early": h5d.ALLOC_TIME_EARLY, "late": h5d.ALLOC_TIME_LATE, "incremental": h5d.ALLOC_TIME_INCR}
    fill = {"never": h5d.FILL_TIME_NEVER, "at once": h5d.FILL_TIME_ALLOC, "if set": h5d.FILL_TIME_IFSET}
    layouts = {"contiguous": h5d.CONTIGUOUS, "chunked": h5d.CHUNKED, "compact": h5d.COMPACT}
    for (one, when), (two, filled), (three, layout) in product(alloc.items(), fill.items(), layouts.items()):
        if (three == "compact" and one != "early") or (three == "contiguous" and one == "incremental"):
            continue
        properties = h5p.create(h5p.DATASET_CREATE)
        properties.set_layout(layout)
        if three == "chunked":
            properties.set_chunk((4,))
        properties.set_alloc_time(when)
        properties.set_fill_time(filled)
        properties.set_fill_value(np.array(-9, "<i4"))
        made = h5d.create(
            group.id, f"{three} {one} {two}".encode(), h5t.STD_I32LE, h5s.create_simple((10,)), dcpl=properties
        )
        if one != "early" and two != "never":
            h5py.Dataset(made)[5] = 1


def write_elsewhere(file: h5py.File) -> None:
    """Write datasets whose data are elsewhere: in a raw file, which is refused, and in another dataset."""
    file["x"] = np.arange(6)
    file.create_dataset("external", (6,), "<i4", external=[("raw.bin", 0, 24)])
    layout = h5py.VirtualLayout((6,), "<i8")
    layout[:] = h5py.VirtualSource(".", "x", (6,))
    file.create_virtual_dataset("virtual", layout)


def write_edges(file: h5py.File) -> None:
    """Write chunks that reach past the shape and are therefore not filtered; the newer formats have these."""
    set_options = library().H5Pset_chunk_opts
    set_options.argtypes = [ctypes.c_int64, ctypes.c_uint]
    for name, (shape, chunks, most) in GRIDS.items():
        for early in (False, True):
            properties = h5p.create(h5p.DATASET_CREATE)
            properties.set_chunk(chunks)
            properties.set_deflate(4)
            if early:
                properties.set_alloc_time(h5d.ALLOC_TIME_EARLY)
            assert set_options(properties.id, 2) >= 0
            space = h5s.create_simple(shape, tuple(h5s.UNLIMITED if n is None else n for n in most))
            made = h5d.create(file.id, f"{name} {early}".encode(), h5t.STD_I32LE, space, dcpl=properties)
            h5py.Dataset(made)[...] = numbers("<i4", shape)
