"""Files whose columns or series hold unusual types, shapes, references or filters, written with h5py alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt

TEXT = h5py.string_dtype()
Data = Sequence[object] | npt.NDArray[Any]


@contextmanager
def new_file(path: Path, **options: object) -> Iterator[h5py.File]:
    """Create a file with what NWB 2 asks of the root; `options` are those of `h5py.File`."""
    with h5py.File(path, "w", **options) as file:
        file.attrs.update({"neurodata_type": "NWBFile", "namespace": "core", "nwb_version": "2.8.0", "object_id": "0"})
        for name in ("identifier", "session_description"):
            file[name] = f"{path.stem} {name}"
        for name in ("session_start_time", "timestamps_reference_time"):
            file[name] = "2024-01-01T12:00:00+01:00"
        file.create_dataset("file_create_date", data=["2024-01-01T12:00:00+01:00"], dtype=TEXT)
        for name in ("acquisition", "analysis", "processing", "stimulus/presentation", "stimulus/templates", "general"):
            file.create_group(name)
        yield file


def add_column(group: h5py.Group, name: str, data: Data, kind: str = "VectorData", **storage: object) -> h5py.Dataset:
    """Add a dataset with the attributes of a column; a list of text becomes variable-length UTF-8."""
    if isinstance(data, list) and all(isinstance(value, str) for value in data):
        storage.setdefault("dtype", TEXT)
    return as_column(group.create_dataset(name, data=data, **storage), kind)


def as_column(dataset: h5py.Dataset, kind: str = "VectorData") -> h5py.Dataset:
    """Give a dataset the attributes of a column."""
    namespace = "hdmf-experimental" if kind == "EnumData" else "hdmf-common"
    dataset.attrs.update({"neurodata_type": kind, "namespace": namespace, "description": dataset.name})
    return dataset


def add_table(
    file: h5py.File, path: str, columns: Mapping[str, Data], *, kind: str = "DynamicTable", n_rows: int | None = None
) -> h5py.Group:
    """Add a table of these columns, with ``id`` and ``colnames``."""
    group = file.create_group(path)
    if group.parent.parent.name == "/processing":
        group.parent.attrs.update({"neurodata_type": "ProcessingModule", "namespace": "core", "description": "tables"})
    group.attrs.update({"neurodata_type": kind, "namespace": "hdmf-common", "description": path})
    group.attrs.create("colnames", list(columns), dtype=TEXT)
    rows = len(next(iter(columns.values()))) if n_rows is None else n_rows
    add_column(group, "id", np.arange(rows) * 10, "ElementIdentifiers")
    for name, data in columns.items():
        add_column(group, name, data)
    return group


def add_index(group: h5py.Group, target: str, ends: Sequence[int], name: str = "", dtype: str = "u1") -> None:
    """Add the index that makes the column `target` ragged."""
    index = add_column(group, name or f"{target}_index", np.array(ends, dtype), "VectorIndex")
    index.attrs["target"] = group[target].ref


def write_ragged(path: Path) -> None:
    """Ragged columns of one, two and three levels, with empty rows at each, of numbers, text and arrays."""
    with new_file(path) as file:
        columns: dict[str, Data] = {
            "once": np.arange(6, dtype="f4"),
            "twice": np.arange(9, dtype="i2"),
            "thrice": np.arange(7.0),
            "words": ["a", "", "é", "d", "e"],
            "arrays": np.arange(24.0).reshape(4, 3, 2),
            "none": np.arange(0.0),
        }
        group = add_table(file, "processing/deep/table", columns, n_rows=4)
        add_index(group, "once", [0, 2, 2, 6])
        add_index(group, "twice", [2, 2, 5, 9])
        add_index(group, "twice_index", [1, 1, 3, 4], dtype="u4")
        add_index(group, "thrice", [1, 3, 3, 7])
        add_index(group, "thrice_index", [2, 2, 4], dtype="i8")
        add_index(group, "thrice_index_index", [0, 1, 3, 3])
        add_index(group, "words", [1, 1, 2, 5])
        add_index(group, "arrays", [0, 1, 1, 4])
        add_index(group, "none", [0, 0, 0, 0])


def write_numbers(path: Path) -> None:
    """Numbers of every width and byte order, at their limits."""
    codes = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i2", ">i4", ">i8", ">u2", ">u8"]
    limits: dict[str, Data] = {}
    for code in codes:
        bounds = np.iinfo(np.dtype(code))
        limits[code.replace(">", "big_")] = np.array([bounds.min, 0, bounds.max], code)
    for code in ("f2", "f4", "f8", ">f2", ">f4", ">f8"):
        limits[code.replace(">", "big_")] = np.array([np.nan, -0.0, np.inf], code)
    limits["nan_payload"] = np.array([0x7FF8000000000001, 0xFFF8000000000000, 1], "u8").view("f8")
    limits["flag"] = np.array([True, False, True])
    with new_file(path) as file:
        add_table(file, "processing/numbers/table", limits)


def write_categories(path: Path) -> None:
    """Enumerations of HDF5, boolean and not, and hdmf's EnumData with its elements, plain and nested."""
    colour = h5py.enum_dtype({"red": 0, "green": 1, "blue": 42}, basetype="u1")
    signed = h5py.enum_dtype({"low": -5, "high": 300}, basetype="i2")
    upper = h5py.enum_dtype({"FALSE": 0, "TRUE": 1}, basetype="i1")
    with new_file(path) as file:
        columns: dict[str, Data] = {"count": np.arange(4), "code": np.array([2, 0, 0, 1], "u1")}
        group = add_table(file, "processing/categories/table", columns)
        add_column(group, "colour", np.array([42, 0, 1, 42], "u1"), dtype=colour)
        add_column(group, "level", np.array([-5, 300, 300, -5], "i2"), dtype=signed)
        add_column(group, "flag", np.array([0, 1, 1, 0], "i1"), dtype=upper)
        as_column(group["code"], "EnumData")
        elements = add_column(group, "code_elements", ["never", "sometimes ü", "always"])
        group["code"].attrs["elements"] = elements.ref
        group.attrs.create("colnames", ["count", "code", "colour", "level", "flag"], dtype=TEXT)
        nested = add_table(file, "processing/categories/nested", {}, n_rows=2)
        add_column(nested, "pairs", np.array([[0, 1], [42, 42]], "u1"), dtype=colour)
        add_column(nested, "several", np.array([0, 1, 42], "u1"), dtype=colour)
        add_index(nested, "several", [0, 3])
        nested.attrs.create("colnames", ["pairs", "several"], dtype=TEXT)


def write_text(path: Path) -> None:
    """Text: fixed and variable length, ASCII and not, empty, multi-line, padded."""
    fixed = np.array([b"abc", b"", b"a longer one", b"x\x00y"], "S12")
    with new_file(path) as file:
        columns: dict[str, Data] = {
            "variable": ["plain", "", "Zürich 東京 🧠", "two\nlines"],
            "dates": ["2024-01-01", "2024-01-01T00:00:00Z", "", "not a date"],
            "fixed": fixed,
        }
        group = add_table(file, "processing/text/table", columns)
        utf8 = np.array([text.encode() for text in ("é", "東京", "", "ok")])
        add_column(group, "fixed_utf8", utf8.astype(h5py.string_dtype("utf-8", 8)))
        add_column(group, "ascii", [b"one", b"two", b"", b"four"], dtype=h5py.string_dtype("ascii"))
        add_column(group, "pairs", np.array([["a", "b"], ["", "é"], ["c", "d"], ["e", "f"]], object), dtype=TEXT)
        group.attrs.create("colnames", [*columns, "fixed_utf8", "ascii", "pairs"], dtype=TEXT)


def write_bad_text(path: Path) -> None:
    """A column of bytes that are not UTF-8, next to a good one."""
    with new_file(path) as file:
        group = add_table(file, "processing/text/table", {"good": ["a", "b"]})
        add_column(group, "latin", [b"Z\xfcrich", b"ok"], dtype=TEXT)
        group.attrs.create("colnames", ["good", "latin"], dtype=TEXT)


def write_references(path: Path) -> None:
    """Object references: to groups and datasets, ragged, inside compounds."""
    with new_file(path) as file:
        one, two = (_container(file, f"general/extracellular_ephys/shank {i}") for i in (1, 2))
        _add_references(file, [one.ref, two.ref, two.ref, one.ref])


def write_missing_references(path: Path) -> None:
    """References that are null, to a deleted object and to a dataset of the root."""
    with new_file(path) as file:
        one, gone = (_container(file, f"general/extracellular_ephys/{name}") for name in ("shank", "gone"))
        _add_references(file, [h5py.Reference(), one.ref, gone.ref, file["identifier"].ref])
        del file["general/extracellular_ephys/gone"]


def _container(file: h5py.File, path: str) -> h5py.Group:
    group = file.create_group(path)
    group.attrs.update({"neurodata_type": "NWBContainer", "namespace": "core"})
    return group


def _add_references(file: h5py.File, references: list[h5py.Reference]) -> None:
    data = np.array(references, h5py.ref_dtype)
    record = np.dtype([("idx_start", "<i4"), ("count", "<i4"), ("timeseries", h5py.ref_dtype)])
    records = np.array([(i, i + 1, reference) for i, reference in enumerate(references)], record)
    columns: dict[str, Data] = {"object": data, "electrode_group": data, "timeseries": records, "many": data}
    group = add_table(file, "processing/references/table", columns, n_rows=4)
    add_index(group, "many", [1, 1, 3, 4])


def write_compounds(path: Path) -> None:
    """Compound columns: of numbers, of text, nested, n-dimensional, ragged."""
    pixel = np.dtype([("x", "<u4"), ("y", "<u4"), ("weight", "<f4")])
    mixed = np.dtype([("name", TEXT), ("code", "S4"), ("size", ">i2"), ("is_on", "?")])
    nested = np.dtype([("at", pixel), ("value", "<f8")])
    pixels = np.array([(i, i * 2, i / 3) for i in range(6)], pixel)
    with new_file(path) as file:
        columns: dict[str, Data] = {
            "pixel": pixels[:3],
            "pair": pixels.reshape(3, 2),
            "pixel_mask": pixels,
            "nested": np.array([((1, 2, 0.5), 1.5), ((3, 4, np.nan), -0.0), ((5, 6, 1), 2)], nested),
        }
        group = add_table(file, "processing/compounds/table", columns)
        add_index(group, "pixel_mask", [0, 2, 6])
        add_column(
            group, "mixed", np.array([("ä", b"ab", 1, True), ("", b"", -2, False), ("c", b"abcd", 3, True)], mixed)
        )
        group.attrs.create("colnames", [*columns, "mixed"], dtype=TEXT)


def write_shapes(path: Path) -> None:
    """Columns of n dimensions, also with a size of one."""
    with new_file(path) as file:
        columns: dict[str, Data] = {
            "mean": np.arange(12, dtype="f4").reshape(3, 4),
            "image": np.arange(24, dtype="u2").reshape(3, 2, 4),
            "volume": np.arange(24, dtype=">f8").reshape(3, 2, 2, 2),
            "single": np.arange(3).reshape(3, 1),
            "flags": np.array([[True, False], [False, False], [True, True]]),
        }
        add_table(file, "processing/shapes/table", columns)


def write_sequences(path: Path) -> None:
    """A column of HDF5's own variable-length sequences, which need no VectorIndex."""
    with new_file(path) as file:
        group = add_table(file, "processing/sequences/table", {"count": np.arange(3)})
        sequence = as_column(group.create_dataset("sequence", (3,), h5py.vlen_dtype(np.dtype("i4"))))
        sequence[0], sequence[2] = [1, 2, 3], [4]
        group.attrs.create("colnames", ["count", "sequence"], dtype=TEXT)


def write_zero_width(path: Path) -> None:
    """A column whose rows are arrays of no elements."""
    with new_file(path) as file:
        add_table(file, "processing/shapes/table", {"count": np.arange(3), "empty": np.zeros((3, 0), "f4")})


def write_filters(path: Path) -> None:
    """One column for each filter that h5py and hdf5plugin know, in several chunks, the last one partial."""
    values = np.round(np.sin(np.arange(1000) / 7) * 1000).astype("i4")
    storage: dict[str, Mapping[str, Any]] = {
        "gzip": {"compression": "gzip", "compression_opts": 9},
        "gzip_checked": {"compression": "gzip", "shuffle": True, "fletcher32": True},
        "checked": {"fletcher32": True},
        "shuffled": {"shuffle": True},
        "lzf": {"compression": "lzf"},
        "lzf_shuffled": {"compression": "lzf", "shuffle": True, "fletcher32": True},
        "scale_offset": {"scaleoffset": 0},
        "zstd": hdf5plugin.Zstd(),
        "lz4": hdf5plugin.LZ4(),
        "bzip2": hdf5plugin.BZip2(),
        "bitshuffle": hdf5plugin.Bitshuffle(),
        "bitshuffle_zstd": hdf5plugin.Bitshuffle(cname="zstd"),
        "blosc2": hdf5plugin.Blosc2(),
        **{f"blosc_{name}": hdf5plugin.Blosc(cname=name) for name in ("blosclz", "lz4", "lz4hc", "zlib", "zstd")},
        "blosc_bits": hdf5plugin.Blosc(cname="lz4", shuffle=hdf5plugin.Blosc.BITSHUFFLE),
    }
    if h5py.h5z.filter_avail(h5py.h5z.FILTER_SZIP):
        storage["szip"] = {"compression": "szip"}
    with new_file(path) as file:
        group = add_table(file, "processing/filters/table", {"plain": values})
        for name, options in storage.items():
            add_column(group, name, values, chunks=(300,), **options)
        _add_nbit(group, values)
        add_column(
            group, "image", np.arange(12000, dtype="u2").reshape(1000, 3, 4), chunks=(300, 2, 4), compression="gzip"
        )
        add_column(group, "words", [f"word {i % 7}" for i in range(1000)], chunks=(300,), compression="gzip")
        names = ["plain", *storage, "nbit", "image", "words"]
        group.attrs.create("colnames", names, dtype=TEXT)


def _add_nbit(group: h5py.Group, values: npt.NDArray[Any]) -> None:
    """Add a column of 20-bit integers; h5py's high level has no word for this filter."""
    stored = h5py.h5t.STD_I32LE.copy()
    stored.set_precision(20)
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((300,))
    plan.set_filter(h5py.h5z.FILTER_NBIT, h5py.h5z.FLAG_MANDATORY, ())
    space = h5py.h5s.create_simple(values.shape)
    as_column(h5py.Dataset(h5py.h5d.create(group.id, b"nbit", stored, space, plan)))[...] = values


def write_corrupt(path: Path) -> None:
    """One column whose compressed chunk is garbage, next to good ones."""
    values = np.arange(100.0)
    with new_file(path) as file:
        group = add_table(file, "processing/corrupt/table", {"good": values, "text": [str(i) for i in range(100)]})
        broken = add_column(group, "broken", values, chunks=(50,), compression="gzip")
        broken.id.write_direct_chunk((50,), b"this is not deflated")
        group.attrs.create("colnames", ["good", "broken", "text"], dtype=TEXT)


def add_series(
    file: h5py.File,
    path: str,
    kind: str = "TimeSeries",
    *,
    starting_time: tuple[float | np.float32, float | np.float32] | None = None,
    **datasets: object,
) -> h5py.Group:
    """Add a TimeSeries with these datasets; `starting_time` is a pair of start and rate."""
    group = file.create_group(path)
    group.attrs.update({"neurodata_type": kind, "namespace": "core"})
    for name, data in datasets.items():
        group[name] = data
    if starting_time:
        start = group.create_dataset("starting_time", data=starting_time[0])
        start.attrs.update({"rate": starting_time[1], "unit": "seconds"})
    return group


def write_series(path: Path) -> None:
    """TimeSeries with each form of timing and of data, also without either."""
    times = np.array([0.1, 0.25, 0.7])
    record = np.array([(1, 2.0), (3, 4.0), (5, np.nan)], [("a", "i2"), ("b", "f4")])
    with new_file(path) as file:
        first = add_series(file, "acquisition/stored", data=np.arange(3, dtype="i2"), timestamps=times)
        add_series(file, "acquisition/regular", data=np.arange(12.0).reshape(4, 3), starting_time=(0.1, 3.0))
        add_series(file, "acquisition/regular_f4", data=np.arange(5), starting_time=(np.float32(0.1), np.float32(0.3)))
        add_series(file, "acquisition/soft", data=np.arange(3), timestamps=h5py.SoftLink(first["timestamps"].name))
        add_series(file, "acquisition/hard", data=first["data"], timestamps=first["timestamps"])
        add_series(file, "acquisition/control", data=times, timestamps=times, control=np.array([0, 1, 0], "u1"))
        add_series(file, "acquisition/narrow_times", data=np.arange(3), timestamps=times.astype("f4"))
        add_series(file, "acquisition/integer_times", data=np.arange(3), timestamps=np.arange(3))
        add_series(file, "acquisition/words", "AnnotationSeries", data=["a", "é", ""], timestamps=times)
        add_series(file, "acquisition/records", data=record, timestamps=times)
        add_series(
            file, "acquisition/frames", "ImageSeries", data=np.arange(24, dtype="u1").reshape(3, 2, 4), timestamps=times
        )
        add_series(file, "acquisition/no_data", timestamps=times)
        add_series(file, "acquisition/no_data_regular", starting_time=(1.0, 10.0))
        add_series(file, "acquisition/external", "ImageSeries", data=np.zeros((0, 0, 0), "u1"), timestamps=times)
        add_series(file, "acquisition/empty", data=np.zeros((0, 2), ">i2"), timestamps=np.zeros(0))
        stored = file.create_dataset("acquisition/chunked", (3000, 2), "f4", chunks=(512, 1), compression="gzip")
        stored[...] = np.arange(6000).reshape(3000, 2)
        file.move("acquisition/chunked", "analysis/chunked")
        add_series(file, "acquisition/chunked", data=file["analysis/chunked"], starting_time=(0.0, 1000.0))


def write_broken_series(path: Path) -> None:
    """TimeSeries without any timing, of an unknown type, of lengths that differ, and with a scalar for data."""
    times = np.arange(3) / 10
    with new_file(path) as file:
        add_series(file, "acquisition/no_timing", data=np.arange(3))
        add_series(file, "acquisition/extended", "SomeLabSeries", data=np.arange(3), timestamps=times)
        add_series(file, "acquisition/too_short", data=np.arange(2), timestamps=times)
        add_series(file, "acquisition/scalar", data=1.5, timestamps=times)
        add_series(file, "acquisition/single", data=1.5, timestamps=times[:1])
