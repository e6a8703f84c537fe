from __future__ import annotations

import ctypes
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from nwb_dask.backends.hdf5.format.chunk_index import chunk_ranges, find_chunks, n_grid
from nwb_dask.backends.hdf5.format.space import AddressSpace
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, ChunkIndexKind, ChunkManifest
from tests.backends.format.chunked import Reads, all_chunks, corners, decoded, describe, everything, load, write_chunks

Shape = tuple[int, ...]
MaxShape = tuple[int | None, ...]

LIBVERS = ("earliest", "v108", "v110", "v112", "latest")
FILTERS = {"plain": None, "gzip": "gzip"}
SHAPES: dict[str, tuple[Shape, Shape]] = {
    "1d": ((103,), (7,)),
    "2d": ((23, 17), (4, 5)),
    "3d": ((9, 8, 7), (2, 3, 3)),
    "4d": ((5, 4, 5, 3), (2, 2, 2, 2)),
    "5d": ((4, 3, 4, 3, 4), (2, 2, 1, 2, 3)),
}


def _growths(shape: Shape) -> dict[str, MaxShape]:
    larger = tuple(2 * length + 1 for length in shape)
    return {
        "fixed": shape,
        "fixed, larger": larger,
        "first": (None, *shape[1:]),
        "first, larger": (None, *larger[1:]),
        "last": (*shape[:-1], None),
        "last, larger": (*larger[:-1], None),
        "middle, larger": (*larger[: len(shape) // 2], None, *larger[len(shape) // 2 + 1 :]),
        "all": (None,) * len(shape),
    }


def write(path: Path, libver: str, shape: Shape, chunks: Shape, maxshape: MaxShape, **options: Any) -> None:
    """Write a dataset of which each element has another value."""
    with h5py.File(path, "w", libver=(libver, "latest"), userblock_size=options.pop("userblock_size", 0)) as file:
        dataset = file.create_dataset("x", shape, "i4", chunks=chunks, maxshape=maxshape, **options)
        dataset[...] = np.arange(1, dataset.size + 1).reshape(shape)


def read(path: Path) -> np.ndarray[Any, Any]:
    with h5py.File(path) as file:
        values: np.ndarray[Any, Any] = file["x"][...]
    return values


def places(entry: ArrayEntry, manifest: ChunkManifest) -> set[Shape]:
    """Return where chunks are in the grid."""
    chunks = entry.chunks or ()
    return {tuple(at // n for at, n in zip(corner, chunks, strict=True)) for corner in corners(entry, manifest.numbers)}


@pytest.mark.parametrize("share", [1.0, 0.4], ids=["full", "sparse"])
@pytest.mark.parametrize("compression", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize(("shape", "chunks"), SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("libver", LIBVERS)
def test_chunks_that_were_written_hold_the_values_that_h5py_reads(
    tmp_path: Path, *, libver: str, shape: Shape, chunks: Shape, compression: str | None, share: float
) -> None:
    path = tmp_path / "x.h5"
    rng = np.random.default_rng(len(shape))
    written, values = {}, {}
    with h5py.File(path, "w", libver=(libver, "latest")) as file:
        for name, maxshape in _growths(shape).items():
            dataset = file.create_dataset(name, shape, "i4", chunks=chunks, maxshape=maxshape, compression=compression)
            written[name] = write_chunks(dataset, lambda _: bool(rng.random() < share))
            values[name] = dataset[...]
    for name, expected in written.items():
        space, entry = load(path, name)
        manifest = all_chunks(space, entry)
        assert places(entry, manifest) == expected, name
        assert (np.diff(manifest.numbers) > 0).all()
        np.testing.assert_array_equal(decoded(space, entry, manifest), values[name], err_msg=name)


@pytest.mark.parametrize(
    ("libver", "maxshape", "kind"),
    [
        ("earliest", (11, 7), "btree1"),
        ("v108", (None, None), "btree1"),
        ("v110", (11, 7), "fixed"),
        ("v112", (20, 9), "fixed"),
        ("latest", (11, 7), "fixed"),
        ("v110", (None, 7), "extensible"),
        ("v112", (11, None), "extensible"),
        ("latest", (None, 9), "extensible"),
        ("v110", (None, None), "btree2"),
        ("latest", (None, None), "btree2"),
    ],
)
def test_it_finds_what_libhdf5_lists(tmp_path: Path, libver: str, maxshape: MaxShape, kind: ChunkIndexKind) -> None:
    path = tmp_path / "x.h5"
    write(path, libver, (11, 7), (3, 4), maxshape, compression="gzip", userblock_size=1024)
    space, entry = load(path)
    manifest = all_chunks(space, entry)
    listed: list[h5d.StoreInfo] = []
    with h5py.File(path) as file:
        file["x"].id.chunk_iter(listed.append)
    by_offset = {one.byte_offset: (one.size, one.filter_mask) for one in listed}
    if maxshape != (11, None):
        # libhdf5 2.0 mistakes where a chunk is if the dimension that grows is not the first.
        assert [one.chunk_offset for one in listed] == corners(entry, manifest.numbers)
    assert entry.chunk_index is not None
    assert entry.chunk_index.kind == kind
    assert len(listed) == 8
    found = zip(manifest.sizes.tolist(), manifest.masks.tolist(), strict=True)
    assert dict(zip(manifest.offsets.tolist(), found, strict=True)) == by_offset


@pytest.mark.parametrize("compression", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("maxshape", [(40, 30), (None, 30), (40, None), (None, None)], ids=str)
@pytest.mark.parametrize("libver", ["earliest", "v110", "latest"])
def test_chunks_outside_of_a_resized_shape_are_absent(
    tmp_path: Path, libver: str, maxshape: MaxShape, compression: str | None
) -> None:
    path = tmp_path / "x.h5"
    write(path, libver, (11, 7), (3, 4), maxshape, compression=compression)
    for shape in ((5, 3), (17, 20), (40, 2), (2, 30)):
        with h5py.File(path, "r+", libver=(libver, "latest")) as file:
            file["x"].resize(shape)
            file["x"][-1] = 7
        space, entry = load(path)
        manifest = all_chunks(space, entry)
        assert set(manifest.numbers.tolist()) <= set(range(n_grid(entry)))
        np.testing.assert_array_equal(decoded(space, entry, manifest), read(path))


@pytest.mark.parametrize("maxshape", [(11, 7), (None, 9), (12, None), (None, None)], ids=str)
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_a_smaller_shape_hides_chunks_that_the_index_still_lists(
    tmp_path: Path, libver: str, maxshape: MaxShape
) -> None:
    path = tmp_path / "x.h5"
    write(path, libver, (11, 7), (3, 4), maxshape)
    space, entry = load(path)
    smaller = replace(entry, shape=(5, 4))
    np.testing.assert_array_equal(decoded(space, smaller, all_chunks(space, smaller)), read(path)[:5, :4])


@pytest.mark.parametrize("maxshape", [(100, 30), (None, 30), (200, None), (None, None)], ids=str)
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_it_finds_only_what_is_wanted_in_any_order(tmp_path: Path, libver: str, maxshape: MaxShape) -> None:
    path = tmp_path / "x.h5"
    write(path, libver, (100, 30), (3, 4), maxshape, compression="gzip")
    space, entry = load(path)
    whole = all_chunks(space, entry)
    rng = np.random.default_rng(0)
    for _ in range(30):
        wanted = np.sort(rng.integers(-20, n_grid(entry) + 20, (int(rng.integers(5)), 2)), axis=1)
        expected = [n for n in whole.numbers.tolist() if any(start <= n < stop for start, stop in wanted.tolist())]
        found = find_chunks(space, entry, wanted)
        assert found.numbers.tolist() == expected
        np.testing.assert_array_equal(found.offsets, whole.offsets[expected])
        np.testing.assert_array_equal(found.sizes, whole.sizes[expected])


@pytest.mark.parametrize(
    ("maxshape", "sizes"),
    # libhdf5 2.0 cannot open its own files if a dimension grows, it alone, and lengths have less than 8 bytes.
    [((11, 7), (2, 2)), ((11, 7), (4, 4)), ((None, 9), (4, 8)), ((12, None), (2, 8)), ((None, None), (4, 8))],
    ids=str,
)
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_narrow_addresses_are_read(tmp_path: Path, libver: str, maxshape: MaxShape, sizes: tuple[int, int]) -> None:
    path = tmp_path / "x.h5"
    create, access = h5p.create(h5p.FILE_CREATE), h5p.create(h5p.FILE_ACCESS)
    create.set_sizes(*sizes)
    low = h5py.h5f.LIBVER_EARLIEST if libver == "earliest" else h5py.h5f.LIBVER_LATEST
    access.set_libver_bounds(low, h5py.h5f.LIBVER_LATEST)
    with h5py.File(h5py.h5f.create(bytes(path), h5py.h5f.ACC_TRUNC, create, access)) as file:
        dataset = file.create_dataset("x", (11, 7), "i4", chunks=(3, 4), maxshape=maxshape, compression="gzip")
        dataset[...] = np.arange(77).reshape(11, 7)
    space, entry = load(path, sizes=sizes)
    np.testing.assert_array_equal(decoded(space, entry, all_chunks(space, entry)), read(path))


def _create(file: h5py.File, maxshape: MaxShape, create: h5p.PropDCID) -> h5py.Dataset:
    extent = h5s.create_simple((11, 7), tuple(h5s.UNLIMITED if n is None else n for n in maxshape))
    return h5py.Dataset(h5d.create(file.id, b"x", h5t.NATIVE_INT32, extent, create))


@pytest.mark.parametrize("maxshape", [(11, 7), (20, 9)], ids=str)
def test_chunks_allocated_early_follow_each_other(tmp_path: Path, maxshape: MaxShape) -> None:
    path = tmp_path / "x.h5"
    create = h5p.create(h5p.DATASET_CREATE)
    create.set_chunk((3, 4))
    create.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    with h5py.File(path, "w", libver="latest", userblock_size=512) as file:
        _create(file, maxshape, create)[...] = np.arange(77).reshape(11, 7)
    space, entry = load(path)
    assert entry.chunk_index is not None
    assert entry.chunk_index.kind == "implicit"
    np.testing.assert_array_equal(decoded(space, entry, all_chunks(space, entry)), read(path))
    far = find_chunks(space, entry, np.array([[5, 7]]))
    assert far.numbers.tolist() == [5, 6]
    cut = replace(entry.chunk_index, address=len(path.read_bytes()) - 512 - 100)
    with pytest.raises(MalformedFileError, match="truncated"):
        find_chunks(space, replace(entry, chunk_index=cut), everything(entry))


@pytest.mark.parametrize("compression", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("libver", ["v110", "latest"])
def test_a_dataset_of_one_chunk_has_no_index(tmp_path: Path, libver: str, compression: str | None) -> None:
    path = tmp_path / "x.h5"
    write(path, libver, (3, 4), (3, 4), (3, 4), compression=compression, userblock_size=512)
    space, entry = load(path)
    assert entry.chunk_index is not None
    assert entry.chunk_index.kind == "single"
    np.testing.assert_array_equal(decoded(space, entry, all_chunks(space, entry)), read(path))


def _library() -> ctypes.CDLL:
    """Return the libhdf5 of h5py, for what h5py does not offer."""
    maps = Path("/proc/self/maps")
    loaded = re.findall(r"\S*libhdf5-\S*\.so\S*", maps.read_text(encoding="utf-8")) if maps.exists() else []
    if not loaded:
        pytest.skip("the shared library of libhdf5 is not found: needs Linux and h5py from a wheel")
    library = ctypes.CDLL(loaded[0])
    library.H5Pset_chunk_opts.argtypes = [ctypes.c_int64, ctypes.c_uint]
    return library


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("maxshape", [(11, 7), (20, 9), (None, 9), (12, None), (None, None)], ids=str)
def test_chunks_past_the_edge_may_be_without_filters(tmp_path: Path, maxshape: MaxShape, *, early: bool) -> None:
    path = tmp_path / "x.h5"
    create = h5p.create(h5p.DATASET_CREATE)
    create.set_chunk((3, 4))
    create.set_deflate(4)
    if early:
        create.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    assert _library().H5Pset_chunk_opts(create.id, 2) >= 0
    with h5py.File(path, "w", libver="latest") as file:
        _create(file, maxshape, create)[...] = np.arange(77).reshape(11, 7)
    space, entry = load(path)
    assert entry.chunk_index is not None
    assert entry.chunk_index.unfiltered_edges
    manifest = all_chunks(space, entry)
    assert manifest.masks.tolist() == [0, 0xFFFFFFFF] * 3 + [0xFFFFFFFF] * 2
    assert (manifest.sizes == 48).tolist() == [False, True] * 3 + [True] * 2
    np.testing.assert_array_equal(decoded(space, entry, manifest), read(path))


def test_a_filter_that_was_skipped_is_in_the_mask(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    for libver in ("earliest", "latest"):
        with h5py.File(path, "w", libver=libver) as file:
            dataset = file.create_dataset("x", (6,), "i4", chunks=(3,), maxshape=(None,), compression="gzip")
            dataset.id.write_direct_chunk((3,), np.arange(3, dtype="i4").tobytes(), filter_mask=1)
        space, entry = load(path)
        manifest = all_chunks(space, entry)
        assert manifest.numbers.tolist() == [1]
        assert manifest.masks.tolist() == [1]
        assert decoded(space, entry, manifest).tolist() == [0, 0, 0, 0, 1, 2]


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (4, 4)], ids=str)
def test_nothing_is_found_where_nothing_was_written(tmp_path: Path, libver: str, shape: Shape) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver=libver) as file:
        file.create_dataset("x", shape, "i4", chunks=(2, 2), maxshape=(None, None))
    space, entry = load(path)
    manifest = all_chunks(space, entry)
    assert [len(field) for field in (manifest.numbers, manifest.offsets, manifest.sizes, manifest.masks)] == [0] * 4
    assert len(chunk_ranges(entry, np.array([[0, 4]]))) == (1 if 0 not in shape else 0)


@pytest.mark.parametrize("maxshape", [(1_000_000,), (None,)], ids=str)
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_a_million_absent_chunks_cost_no_memory(tmp_path: Path, libver: str, maxshape: MaxShape) -> None:
    path = tmp_path / "x.h5"
    written = np.unique(np.random.default_rng(5).integers(0, 1_000_000, 300))
    with h5py.File(path, "w", libver=libver) as file:
        dataset = file.create_dataset("x", (1_000_000,), "i4", chunks=(1,), maxshape=maxshape)
        for number in written.tolist():
            dataset[number] = number + 1
    space, entry = load(path)
    all_chunks(space, entry)
    tracemalloc.start()
    manifest = all_chunks(space, entry)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert manifest.numbers.tolist() == written.tolist()
    values = [int.from_bytes(space.image.view(at, at + 4), "little") for at in manifest.offsets.tolist()]
    assert values == (written + 1).tolist()
    # A page of the index has 1024 elements, and most of the 300 chunks are in a page of their own.
    assert peak < 300 * 1024 * 60


def test_rows_become_ranges_of_chunks(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    write(path, "latest", (23, 7, 5), (6, 3, 5), (23, 7, 5))
    _, entry = load(path)
    rng = np.random.default_rng(1)
    assert n_grid(entry) == 4 * 3
    for _ in range(50):
        spans = np.sort(rng.integers(0, 26, (int(rng.integers(4)), 2)), axis=1)
        rows = {row for start, stop in spans.tolist() for row in range(start, min(stop, 23))}
        expected = {row // 6 * 3 + inner for row in rows for inner in range(3)}
        ranges = chunk_ranges(entry, spans)
        assert {number for start, stop in ranges.tolist() for number in range(start, stop)} == expected
        assert (np.diff(ranges.reshape(-1)) > 0).all()


def test_a_dataset_whose_index_is_unknown_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    write(path, "latest", (5,), (2,), (None,))
    space, entry = load(path)
    with pytest.raises(UnsupportedLayoutError, match="not known"):
        all_chunks(space, replace(entry, chunk_index=None))


REAL = Path(__file__).parents[4] / "shared" / "data" / "real"


@pytest.mark.skipif(not REAL.is_dir(), reason="the real files are not here")
def test_real_files_keep_their_chunks_where_libhdf5_says() -> None:
    n_chunks = 0
    for path in sorted(path for path in REAL.rglob("*") if path.is_file() and h5py.is_hdf5(path)):
        with h5py.File(path) as file:
            space, entries = _real(path, file)
        for entry, listed in entries:
            manifest = all_chunks(space, entry)
            n_chunks += len(listed)
            assert _rows(entry, manifest) == sorted(listed), (path.name, entry.path)
    assert n_chunks > 0


def _real(path: Path, file: h5py.File) -> tuple[AddressSpace, list[tuple[ArrayEntry, list[tuple[object, ...]]]]]:
    space = Reads(path.read_bytes()).space(base=file.userblock_size)
    entries: list[tuple[ArrayEntry, list[tuple[object, ...]]]] = []

    def visit(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.chunks is not None:
            listed: list[h5d.StoreInfo] = []
            item.id.chunk_iter(listed.append)
            rows: list[tuple[object, ...]] = [
                (one.chunk_offset, one.byte_offset, one.size, one.filter_mask) for one in listed
            ]
            entries.append((describe(item, space), rows))

    file.visititems(visit)
    return space, entries


def _rows(entry: ArrayEntry, manifest: ChunkManifest) -> list[tuple[object, ...]]:
    fields = (manifest.offsets.tolist(), manifest.sizes.tolist(), manifest.masks.tolist())
    return sorted(zip(corners(entry, manifest.numbers), *fields, strict=True))
