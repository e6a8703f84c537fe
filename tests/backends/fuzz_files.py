"""Small files, one for each structure of HDF5 or a few of them, that are damaged in thousands of ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from h5py import h5d, h5t

from tests.backends.zoo import COLOURS, PAIR, numbers, records, write_low_level
from tests.backends.zoo_hdf5 import write, write_old_layouts
from tests.backends.zoo_storage import FILTERS
from tests.backends.zoo_types import MIXED, TEXT


def write_mixture(file: h5py.File) -> None:
    """Write a little of all that NWB files are made of."""
    units = file.create_group("units")
    units.attrs["neurodata_type"] = "Units"
    units.attrs["colnames"] = ["spike_times", "quality"]
    times = units.create_dataset("spike_times", data=np.arange(60.0), chunks=(16,), maxshape=(None,))
    index = units.create_dataset("spike_times_index", data=np.array([10, 30, 60], "u1"))
    index.attrs["target"] = times.ref
    units.create_dataset("quality", data=["good", "bad", "größer"], dtype=TEXT)
    units.create_dataset("id", data=np.arange(3))
    general = file.create_group("general")
    general["scalar"] = "Größe"
    general["number"] = 1.5
    general["soft"] = h5py.SoftLink("/units/id")
    general["dangling"] = h5py.SoftLink("nowhere")
    general["away"] = h5py.ExternalLink("other.h5", "/x")
    write_low_level(general, "compact", h5t.STD_I16BE, numbers(">i2", (8,)), layout=h5d.COMPACT)
    general.create_dataset("flags", data=np.array([True, False]))
    general.create_dataset("fixed", data=np.array([b"ab", b"c"], "S3"))
    data = file.create_group("data")
    data.create_dataset("gzip", data=numbers("<i2", (40, 3)), chunks=(9, 3), compression="gzip", shuffle=True)
    data.create_dataset("checked", data=numbers(">f4", (20,)), chunks=(8,), fletcher32=True)
    data.create_dataset("sparse", (50,), "<i4", chunks=(6,), fillvalue=-1, maxshape=(None,))[20] = 5
    data.create_dataset("unwritten", (50,), "<i4", fillvalue=3)
    data["null"] = h5py.Empty("<f8")
    file["ways to units"] = units


def write_elements(file: h5py.File) -> None:
    """Write elements of every kind."""
    target = file.create_dataset("target", data=np.arange(9))
    mixed = file.create_dataset("mixed", (4,), MIXED, chunks=(3,))
    for i in range(3):
        mixed[i] = (i, 2 * i, target.ref, f"№{i}" * i, b"ab", (1, 2, i), (7, -2, 300)[i], i % 2 == 0)
    file["records"] = records(PAIR, 5)
    sequences = file.create_dataset("sequences", (4,), h5py.vlen_dtype(np.dtype("<i2")))
    for i in range(3):
        sequences[i] = np.arange(i * 4)
    references = file.create_dataset("references", (3,), h5py.ref_dtype)
    references[0], references[1] = target.ref, file.ref
    file["colours"] = np.array([7, -2, 300], "i2").astype(COLOURS)
    file["opaque"] = np.frombuffer(bytes(range(12)), "V3")
    file.create_dataset("arrays", (2,), np.dtype((">i4", (2, 3))))
    file["complex"] = numbers("<c8", (3,))
    file["half"] = numbers(">f2", (3,))
    odd = h5t.STD_I32LE.copy()
    odd.set_precision(17)
    write_low_level(file, "odd", odd, np.arange(-2, 2, dtype="<i4"))
    file["committed"] = np.dtype(">i4")
    file.create_dataset("of committed", data=np.arange(3), dtype=file["committed"])
    target.attrs.create("committed", np.arange(3), dtype=file["committed"])
    target.attrs["record"] = records(PAIR, 1)[0]
    target.attrs["rows"] = np.arange(6.0).reshape(2, 3)
    target.attrs["texts"] = ["a", "", "ü"]
    target.attrs["reference"] = file.ref


def write_regions(file: h5py.File) -> None:
    target = file.create_dataset("target", data=np.arange(9))
    regions = file.create_dataset("regions", (3,), h5py.regionref_dtype)
    regions[0], regions[1] = target.regionref[2:5], target.regionref[[1, 4]]


def write_indexes(file: h5py.File) -> None:
    """Write a chunk index of each kind, with and without filters."""
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int | None, ...]]] = {
        "single": ((5, 3), (5, 3), (5, 3)),
        "fixed": ((20, 3), (3, 2), (20, 3)),
        "fixed with room": ((9, 3), (3, 2), (20, 9)),
        "extensible": ((40,), (2,), (None,)),
        "extensible second": ((3, 14), (2, 2), (5, None)),
        "btree": ((9, 9), (2, 2), (None, None)),
    }
    for name, (shape, chunks, most) in shapes.items():
        data = numbers("<i2", shape)
        file.create_dataset(name, data=data, chunks=chunks, maxshape=most)
        file.create_dataset(
            f"{name} gzip", data=data, chunks=chunks, maxshape=most, compression="gzip", fletcher32=True
        )
        file.create_dataset(f"{name} sparse", shape, "<i2", chunks=chunks, maxshape=most, fillvalue=4)[2] = 1
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((4,))
    properties.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    space = h5py.h5s.create_simple((14,))
    h5py.Dataset(h5d.create(file.id, b"implicit", h5t.STD_I32LE, space, dcpl=properties))[...] = np.arange(14)


def write_paged_indexes(file: h5py.File) -> None:
    """Write array indexes in pages and super blocks, and trees of two levels."""
    file.create_dataset("fixed", data=np.arange(1100, dtype="u1"), chunks=(1,))
    file.create_dataset("extensible", data=np.arange(1500, dtype="u1"), chunks=(1,), maxshape=(None,))
    sparse = file.create_dataset("sparse", (40_000,), "u1", chunks=(1,), maxshape=(None,), fillvalue=7)
    sparse[39_000] = 1
    file.create_dataset("btree", data=np.arange(196, dtype="u1").reshape(14, 14), chunks=(1, 1), maxshape=(None, None))


def write_filters(file: h5py.File) -> None:
    for name, options in FILTERS.items():
        data = numbers("<i4", (32,)) % (100 if name == "scaleoffset" else 1 << 30)
        file.create_dataset(name, data=data, chunks=(16,), **options)


def write_dense(file: h5py.File) -> None:
    """Write groups and attributes that need heaps and trees."""
    data = file.create_dataset("data", data=np.arange(3))
    group = file.create_group("group")
    for i in range(30):
        group[f"link {i}"] = data if i % 3 else h5py.SoftLink("/data")
        group.attrs[f"attribute {i}"] = i if i % 2 else f"text {i}"
    data.attrs["huge"] = np.arange(9000)
    for i in range(12):
        data.attrs[f"a{i}"] = i


def write_deep_dense(file: h5py.File) -> None:
    """Write a heap with indirect blocks, and trees of two levels."""
    data = file.create_dataset("data", data=np.arange(3))
    group = file.create_group("group")
    for i in range(120):
        group[f"link {i} " + "x" * 60] = data


def write_deep_trees(file: h5py.File) -> None:
    """Write what makes the trees of the older kind deep, where nodes are small."""
    data = file.create_dataset("data", data=np.arange(30, dtype="<i2"), chunks=(1,))
    group = file.create_group("group")
    for i in range(25):
        group[f"m{i}"] = data
    file.create_dataset("pairs", data=numbers("<i4", (6, 6)), chunks=(2, 1), compression="gzip")


def _in(way: str, content: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    return lambda path: write(path, way, content)


FILES: dict[str, Callable[[Path], None]] = {
    **{
        f"mixture, {way}": _in(way, write_mixture)
        for way in (
            "earliest",
            "v108",
            "v110",
            "latest",
            "latest user block",
            "sizes of 4",
            "latest in order",
            "paged",
            "shared messages",
        )
    },
    **{f"elements, {way}": _in(way, write_elements) for way in ("earliest", "v110", "latest")},
    **{f"regions, {way}": _in(way, write_regions) for way in ("earliest", "latest")},
    **{f"indexes, {way}": _in(way, write_indexes) for way in ("earliest", "v110", "latest")},
    "paged indexes": _in("latest", write_paged_indexes),
    **{f"filters, {way}": _in(way, write_filters) for way in ("earliest", "latest")},
    **{f"dense, {way}": _in(way, write_dense) for way in ("v108", "latest", "latest in order")},
    "deep dense": _in("latest", write_deep_dense),
    "deep trees": _in("small trees", write_deep_trees),
    "layouts of version 1": lambda path: write_old_layouts(path, 1),
    "layouts of version 2": lambda path: write_old_layouts(path, 2),
}
"""What writes each of the files, by name."""
