"""Parts of arrays that are known by their address are what h5py and numpy make of them."""

from __future__ import annotations

import gc
import pickle
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_dask.errors import (
    MalformedFileError,
)
from nwb_dask.model.series.values import Scale
from nwb_dask.plan.selection import Selection
from nwb_dask.read import slab as reading
from nwb_dask.read.open_files import open_files
from nwb_dask.read.slab import read_slab
from nwb_dask.testing import RangeServer
from tests.read.slabs import DTYPES, LAYOUTS, SCALES, SHAPE, made, outer, physical, write_slabs

KEYS: list[Any] = [
    (),
    (slice(None),),
    (slice(13, 44), slice(2, 5)),
    (slice(None, None, -1), slice(None), slice(1, 2)),
    (slice(50, 3, -7), slice(None, None, 3), slice(None, None, -2)),
    (np.array([60, 3, 3, -1, 17]), slice(None), np.array([4, 0])),
    (np.array([5, 6, 7, 40]), np.array([0, 11]), 2),
    (7,),
    (-1, -2, -3),
    (slice(5, 5),),
    (np.array([], int), 3),
    (slice(None), np.array([11, 10, 3])),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slabs(tmp_path_factory.mktemp("slabs") / "slabs.h5")


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    """Ports and names of files return."""
    yield
    open_files.close_all()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_part_is_what_numpy_makes_of_all(path: Path, layout: str, scale: str) -> None:
    for dtype in DTYPES:
        with h5py.File(path) as file:
            stored = file[layout + dtype][()]
        expected = stored if SCALES[scale].is_identity else physical(stored, SCALES[scale])
        slab = made(path, f"/{layout}{dtype}", SCALES[scale])
        for key in KEYS:
            got = read_slab(slab, key)
            assert got.dtype == slab.dtype
            assert got.dtype.isnative
            # Rounded once, from double precision.
            np.testing.assert_array_equal(got, outer(expected, key).astype(slab.dtype), strict=True)


@pytest.mark.parametrize("scale", ["volts", "shifted", "channels", "rows"])
@pytest.mark.parametrize("dtype", ["<i2", ">u2", "<i4", "i1", "<f8"])
def test_double_precision_is_what_pynwb_computes_bit_for_bit(path: Path, dtype: str, scale: str) -> None:
    with h5py.File(path) as file:
        expected = physical(file["tiles" + dtype][()], SCALES[scale])
    got = read_slab(made(path, f"/tiles{dtype}", SCALES[scale], "float64"))
    assert got.dtype == np.float64
    assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize("wanted", ["float32", "float64"])
@pytest.mark.parametrize("dtype", ["<i2", "i1", ">f4"])
def test_what_numpy_computes_in_single_precision_is_computed_in_it(path: Path, dtype: str, wanted: str) -> None:
    factor, offset = np.float32(1.95e-7), np.float32(0.1)
    factors = np.random.default_rng(3).normal(size=SHAPE[1]).astype(np.float32)
    with h5py.File(path) as file:
        expected = file["tiles" + dtype][()] * (factor * factors)[:, np.newaxis] + offset
    assert expected.dtype == np.float32
    scale = Scale(float(factor), float(offset), factors.astype(np.float64), precision=np.dtype(np.float32))
    got = read_slab(made(path, f"/tiles{dtype}", scale, wanted))
    assert got.dtype == np.dtype(wanted)
    np.testing.assert_array_equal(got, expected.astype(wanted))


@pytest.mark.parametrize("dtype", ["float64", "int32", "complex128"])
def test_stored_numbers_come_in_the_dtype_that_is_wanted(path: Path, dtype: str) -> None:
    with h5py.File(path) as file:
        expected = file["rows<i2"][()].astype(dtype)
    np.testing.assert_array_equal(read_slab(made(path, "/rows<i2", dtype=dtype)), expected, strict=True)


@pytest.mark.parametrize("batch_bytes", [1, 5000])
def test_long_reads_in_batches_are_the_same(path: Path, monkeypatch: pytest.MonkeyPatch, batch_bytes: int) -> None:
    monkeypatch.setattr(reading, "_BATCH_BYTES", batch_bytes)
    monkeypatch.setattr(reading, "_SCALED_BYTES", 100)
    for layout in LAYOUTS:
        with h5py.File(path) as file:
            stored = file[layout + "<i2"][()]
        for scale in ("stored", "rows"):
            expected = stored if scale == "stored" else physical(stored, SCALES[scale]).astype(np.float32)
            slab = made(path, f"/{layout}<i2", SCALES[scale])
            for key in KEYS:
                np.testing.assert_array_equal(read_slab(slab, key), outer(expected, key), strict=True)


def test_a_remote_array_is_what_numpy_makes_of_all(path: Path) -> None:
    with RangeServer(path.parent) as server:
        for layout in LAYOUTS:
            with h5py.File(path) as file:
                expected = physical(file[layout + "<i2"][()], SCALES["channels"]).astype(np.float32)
            slab = made(server.url(path.name), f"/{layout}<i2", SCALES["channels"])
            for key in KEYS:
                np.testing.assert_array_equal(read_slab(slab, key), outer(expected, key), strict=True)


def test_what_is_read_is_the_callers_own(path: Path) -> None:
    with RangeServer(path.parent) as server:
        for where in (str(path), server.url(path.name)):
            # The second is so small that its values are kept.
            for name in [layout + dtype for layout in LAYOUTS for dtype in ("<f8", "i1")]:
                slab = made(where, f"/{name}")
                expected = read_slab(slab).copy()
                for _ in range(3):
                    got = read_slab(slab)
                    np.testing.assert_array_equal(got, expected)
                    got[...] = -1


def test_flags_and_enumerations_and_records_pass_as_they_are(tmp_path: Path) -> None:
    record = np.array([(1, 2.5), (3, -1.5)], [("a", ">i2"), ("b", "<f8")])
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["flags"] = np.array([True, False, True])
        file.create_dataset("colours", data=[2, 7, 2], dtype=h5py.enum_dtype({"red": 2, "blue": 7}, basetype=">i2"))
        file["records"] = record
    assert read_slab(made(tmp_path / "f.h5", "/flags"), slice(1, None)).tolist() == [False, True]
    assert read_slab(made(tmp_path / "f.h5", "/flags", Scale(2.0, 1.0))).tolist() == [3.0, 1.0, 3.0]
    colours = read_slab(made(tmp_path / "f.h5", "/colours"))
    assert colours.dtype == np.dtype(np.int16)
    assert colours.tolist() == [2, 7, 2]
    found = read_slab(made(tmp_path / "f.h5", "/records"), np.array([1, 0]))
    assert found.tolist() == [(3, -1.5), (1, 2.5)]


def test_text_is_str(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("free", data=["a", "", "Größe", "b"], dtype=h5py.string_dtype(), chunks=(3,))
        file["fixed"] = np.array([b"abc", b"", "ß".encode(), b"d"])
        file["broken"] = np.array([b"abc", b"\xff"])
    for name in ("free", "fixed"):
        got = read_slab(made(tmp_path / "f.h5", f"/{name}", Scale(5.0)), np.array([2, 1, 0]))
        assert got.dtype == np.dtype(object)
        assert got.tolist() == (["Größe", "", "a"] if name == "free" else ["ß", "", "abc"])
    with pytest.raises(MalformedFileError, match="not UTF-8") as caught:
        read_slab(made(tmp_path / "f.h5", "/broken"))
    assert caught.value.path == "/broken"


def test_scalars_empty_arrays_and_values_in_headers_are_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["scalar"] = np.int16(5)
        file.create_dataset("empty", (0, 4), "<i2", chunks=(10, 4), maxshape=(None, 4))
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((6, 2))
        made_ = h5py.h5d.create(file.id, b"compact", h5py.h5t.STD_I16BE, space, dcpl=properties)
        made_.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(12, dtype="<i2").reshape(6, 2))
        file.create_dataset("unwritten", (5, 2), "<f4", fillvalue=2.5)
        file.create_dataset("unwritten chunks", (50, 2), "<f4", fillvalue=2.5, chunks=(7, 2))
    with RangeServer(tmp_path) as server:
        for where in (str(tmp_path / "f.h5"), server.url("f.h5")):
            assert read_slab(made(where, "/scalar", Scale(2.0, 1.0))).tolist() == 11.0
            assert read_slab(made(where, "/scalar")).shape == ()
            assert read_slab(made(where, "/empty", Scale(2.0))).shape == (0, 4)
            assert read_slab(made(where, "/compact"), (slice(4, None), 1)).tolist() == [9, 11]
            assert read_slab(made(where, "/unwritten"), (slice(0, 2), 0)).tolist() == [2.5, 2.5]
            assert read_slab(made(where, "/unwritten chunks"), (slice(0, 2), 0)).tolist() == [2.5, 2.5]


def test_a_selection_may_be_made_before(path: Path) -> None:
    slab = made(path, "/rows<i2")
    with h5py.File(path) as file:
        np.testing.assert_array_equal(read_slab(slab, Selection.of((slice(3, 9),), slab.shape)), file["rows<i2"][3:9])
    with pytest.raises(IndexError, match="out of bounds for axis 0 with size 61"):
        read_slab(slab, 61)


def test_an_address_that_was_pickled_reads_the_same(path: Path) -> None:
    slab = made(path, "/tiles<i2", SCALES["channels"])
    np.testing.assert_array_equal(read_slab(pickle.loads(pickle.dumps(slab))), read_slab(slab))


def test_errors_name_the_file_as_the_user_did_and_the_dataset(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        x = file.create_dataset("x", data=np.arange(100), chunks=(50,), fletcher32=True)
        offset = x.id.get_chunk_info_by_coord((50,)).byte_offset
    body = bytearray((tmp_path / "f.h5").read_bytes())
    body[offset + 8] ^= 1
    (tmp_path / "f.h5").write_bytes(body)
    with pytest.raises(MalformedFileError, match="checksum") as caught:
        read_slab(made(tmp_path / "f.h5", "/x"), 70)
    assert (caught.value.url, caught.value.path) == (str(tmp_path / "f.h5"), "/x")


def test_what_a_file_cannot_hold_takes_no_memory(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("x", (1 << 40, 64), "<i2", chunks=(1 << 16, 64))[:10] = 1
        file.create_dataset("y", (1 << 40, 64), "<i2", chunks=(1 << 16, 64), compression="gzip")[:10] = 1
    for name in ("/x", "/y"):
        slab = made(tmp_path / "f.h5", name, Scale(2.0))
        with pytest.raises(MalformedFileError, match="cannot hold"):
            read_slab(slab)
        with pytest.raises(MalformedFileError, match="cannot hold"):
            read_slab(slab, (slice(None, None, -1), 3))
        assert read_slab(slab, (slice(5, 15), 3)).tolist() == [2.0] * 5 + [0.0] * 5
        assert read_slab(slab, (np.array([1 << 39, 2]), 3)).tolist() == [0.0, 2.0]


@pytest.mark.parametrize(
    "options", [{}, {"chunks": (4096, 32)}, {"chunks": (4096, 32), "compression": "gzip"}], ids=str
)
def test_scaling_takes_no_second_copy_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    monkeypatch.setattr(reading, "_BATCH_BYTES", 1 << 20)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("x", data=np.resize(np.arange(-700, 700, dtype="<i2"), (160_000, 32)), **options)
    slab = made(tmp_path / "f.h5", "/x", Scale(1e-6))
    read_slab(slab, slice(0, 10))
    gc.collect()
    tracemalloc.start()
    try:
        got = read_slab(slab)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert got.nbytes > 20_000_000
    assert peak < got.nbytes + (6 << 20)
