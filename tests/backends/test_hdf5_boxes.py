"""Boxes of rows: what h5py and numpy slice, and no more of the file than holds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_dask.backends import File, open_file
from nwb_dask.backends.hdf5.array_read import plan_read
from nwb_dask.backends.hdf5.boxes import JOINED_GAP_BYTES
from nwb_dask.backends.hdf5.spans import rows
from nwb_dask.errors import MalformedFileError
from nwb_dask.index import ArrayEntry, Url
from nwb_dask.storage import open_bytes, trace
from nwb_dask.testing import RangeServer
from tests.backends.described import FILTERS, as_spans, content, write
from tests.backends.oracle import assert_same, what_h5py_says
from tests.backends.stores import ACCESS, CountingStore, RemoteStore, open_local

Spans = list[tuple[int, int]]
Box = tuple[tuple[int, int], ...]
Array = npt.NDArray[Any]


@st.composite
def ranges(draw: st.DrawFn, length: int) -> tuple[int, int]:
    start = draw(st.integers(0, length))
    return start, draw(st.integers(start, length))


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...] | None, str, str, Spans, Box, list[int]]:
    shape = (draw(st.integers(1, 30)), *draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    chunks = draw(st.none() | st.tuples(*(st.integers(1, length) for length in shape)))
    edges = sorted(draw(st.sets(st.integers(0, shape[0]), max_size=6)))
    spans = list(zip(edges[::2], edges[1::2], strict=False))
    box = tuple(draw(ranges(length)) for length in shape[1:])
    filters = draw(st.sampled_from(sorted(FILTERS))) if chunks is not None else "plain"
    dtype = draw(st.sampled_from(["i1", "<i2", ">i2", "<f4", ">f8", "<c16", "?", "S3"]))
    return shape, chunks, dtype, filters, spans, box, draw(st.lists(st.integers(0, shape[0] - 1), max_size=2))


def sliced(values: Array, spans: Spans, box: Box) -> Array:
    """Return the box of each row as numpy slices it."""
    chosen = values[rows(*as_spans(spans).T)] if spans else values[:0]
    return chosen[:, *(slice(*one) for one in box)]


@given(case=cases(), max_bytes=st.sampled_from([1, 100, 1 << 20]), gap=st.sampled_from([0, 1, 16, JOINED_GAP_BYTES]))
@settings(max_examples=400, deadline=None)
def test_any_box_of_any_layout_is_what_numpy_slices(
    tmp_path_factory: pytest.TempPathFactory,
    case: tuple[tuple[int, ...], tuple[int, ...] | None, str, str, Spans, Box, list[int]],
    max_bytes: int,
    gap: int,
) -> None:
    shape, chunks, dtype, filters, spans, box, skipped = case
    data = content(dtype, shape)

    def fill(file: h5py.File) -> None:
        made = file.create_dataset("x", shape, dtype, chunks=chunks, fillvalue=data.flat[-1], **FILTERS[filters])
        for row in range(shape[0]):
            if row not in skipped:
                made[row] = data[row]

    image, entry, manifest, values = write(tmp_path_factory.getbasetemp() / "box.h5", fill)
    wanted = sliced(values, spans, box)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("nwb_dask.backends.hdf5.boxes.JOINED_GAP_BYTES", gap)
        plan = plan_read(entry, as_spans(spans), manifest, file_bytes=len(image.data), box=box)
        for got in (
            plan.finish(image.fetch(plan.ranges)),
            plan.run(image.fetch, is_local=True, max_bytes=max_bytes),
            plan.run(image.fetch, is_local=False, max_bytes=max_bytes),
        ):
            assert got.dtype == np.dtype(dtype)
            assert got.shape == wanted.shape
            assert got.tobytes() == wanted.tobytes()
    assert plan.n_bytes == sum(stop - start for start, stop in plan.ranges)
    assert all(start < stop for start, stop in plan.ranges)


SHAPE = (23, 7, 5)
WRITINGS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "rows": {"chunks": (6, 7, 5)},
    "tiles": {"chunks": (6, 3, 2)},
    "columns": {"chunks": (23, 1, 5), "maxshape": (None, 7, 5)},
    "growing": {"chunks": (4, 4, 4), "maxshape": (23, None, 5)},
    "growing twice": {"chunks": (4, 4, 4), "maxshape": (None, None, 5)},
    "gzip": {"chunks": (6, 3, 2), "compression": "gzip", "shuffle": True},
    "checked": {"chunks": (6, 3, 2), "fletcher32": True},
    "lzf": {"chunks": (5, 5, 5), "compression": "lzf"},
}
BOXES: list[tuple[Spans, Box]] = [
    ([(0, 23)], ((0, 7), (0, 5))),
    ([(0, 23)], ((2, 3), (0, 5))),
    ([(3, 9), (20, 23)], ((1, 6), (4, 5))),
    ([(5, 6)], ((6, 7), (4, 5))),
    ([(0, 23)], ((3, 3), (0, 5))),
    ([], ((0, 7), (0, 5))),
]
RECORD = np.dtype([("a", "<i2"), ("b", ">f8")])


def made_of(kind: str) -> Array:
    """Return values that the own reader has (numbers, flags), and that libhdf5 has to read for it."""
    numbers = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    if kind == "text":
        return np.array([f"text {i}" for i in numbers.flat], object).reshape(SHAPE)
    if kind == "record":
        return np.array([(i, -i) for i in numbers.flat], RECORD).reshape(SHAPE)
    if kind == "flags":
        return np.equal(numbers % 3, 0)
    return numbers.astype(kind)


@pytest.fixture(params=["earliest", "latest"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file with a dataset of every kind in every layout."""
    path = tmp_path / "boxes.h5"
    with h5py.File(path, "w", libver=request.param) as file:
        for kind in ("<i2", ">f4", "flags", "record", "text"):
            values = made_of(kind)
            dtype = h5py.string_dtype() if kind == "text" else values.dtype
            for writing, options in WRITINGS.items():
                if kind == "text" and writing == "checked":
                    continue
                file.create_dataset(f"{kind} {writing}", data=values, dtype=dtype, **options)
        file["references"] = np.array([[file["<i2 gzip"].ref, file["text rows"].ref]] * 4, h5py.ref_dtype)
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple(SHAPE)
        made = h5py.h5d.create(file.id, b"compact", h5py.h5t.STD_I16LE, space, dcpl=compact)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, made_of("<i2"))
    return path


def compare_all(file: File, path: Path) -> int:
    """Compare boxes of all datasets with what h5py reads; return how many were."""
    n_compared = 0
    index = file.index("/")
    with h5py.File(path) as theirs:
        for entry in index.arrays.values():
            values = what_h5py_says(theirs[entry.path])
            for spans, box in BOXES if values.ndim == 3 else [([(1, 3)], ((1, 2),)), ([(0, 4)], ((0, 1),))]:
                assert_same(file.read(entry, as_spans(spans), box), sliced(values, spans, box))
                n_compared += 1
    return n_compared


@contextmanager
def served(path: Path) -> Iterator[tuple[RangeServer, File]]:
    """Open a file on a server."""
    with (
        RangeServer(path.parent) as server,
        open_bytes(Url(server.url(path.name)), ACCESS) as store,
        open_file(store) as file,
    ):
        yield server, file


def test_boxes_of_a_local_file_are_what_h5py_reads(files: Path) -> None:
    with open_local(files) as store, open_file(store) as file:
        assert compare_all(file, files) == 44 * 6 + 6 + 2


def test_boxes_of_a_remote_file_are_what_h5py_reads(files: Path) -> None:
    with served(files) as (_, file):
        compare_all(file, files)
        # What is small is kept by now: it is cut out of memory.
        compare_all(file, files)


def test_boxes_of_values_that_are_at_hand_need_no_request(files: Path) -> None:
    with served(files) as (server, file):
        entry = file.index("/").arrays["/<i2 gzip"]
        file.prepare([entry])
        server.reset()
        assert file.holds(entry)
        got = file.read(entry, as_spans([(2, 9)]), ((1, 4), (0, 2)))
        assert server.n_requests == 0
    np.testing.assert_array_equal(got, made_of("<i2")[2:9, 1:4, 0:2])


def test_a_box_of_a_small_dataset_is_not_taken_for_all_of_it(files: Path) -> None:
    with served(files) as (server, file):
        entries = file.index("/").arrays
        with open_bytes(Url(server.url(files.name)), ACCESS) as store, open_file(store) as fresh:
            for name in ("/<i2 gzip", "/<i2 contiguous", "/text rows"):
                expected = file.read(entries[name])
                assert fresh.read(entries[name], None, ((1, 3), (0, 5))).shape == (23, 2, 5)
                np.testing.assert_array_equal(fresh.read(entries[name]), expected)


def test_boxes_of_several_datasets_are_fetched_together(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 1000, (400, 600)).astype("<i4")
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("a", data=data, chunks=(100, 100), compression="gzip")
        file.create_dataset("b", data=data)
    with served(tmp_path / "f.h5") as (_, ours):
        entries = ours.index("/").arrays
        ours.prepare(entries.values())
        with trace() as traced:
            a, other, b = ours.read_many(
                [
                    (entries["/a"], as_spans([(150, 250)]), ((0, 10),)),
                    (entries["/a"], None, ((590, 600),)),
                    (entries["/b"], as_spans([(7, 8)])),
                ]
            )
    np.testing.assert_array_equal(a, data[150:250, :10])
    np.testing.assert_array_equal(other, data[:, 590:])
    np.testing.assert_array_equal(b, data[7:8])
    assert traced.rounds == 1


@pytest.mark.parametrize("box", [((0, 8), (0, 5)), ((-1, 3), (0, 5)), ((4, 3), (0, 5)), ((0, 7),), ()])
def test_a_box_that_does_not_fit_is_the_callers_mistake(files: Path, box: Box) -> None:
    with open_local(files) as store, open_file(store) as file, pytest.raises(IndexError, match="box"):
        file.read(file.index("/").arrays["/<i2 rows"], None, box)


@pytest.fixture
def wide(tmp_path: Path) -> tuple[Path, Array]:
    """1000 samples of 384 channels."""
    data = np.random.default_rng(1).integers(-1000, 1000, (1000, 384)).astype("<i2")
    return tmp_path / "wide.h5", data


def read_box(path: Path, spans: Spans, box: Box) -> tuple[Array, CountingStore, ArrayEntry]:
    """Return the box of ``x``, and what was read of a file of which only the index is known."""
    with open_local(path) as opened:
        store = RemoteStore(opened)
        with open_file(store) as file:
            entry = file.index("/").arrays["/x"]
            file.prepare([entry])
            store.ranges.clear()
            return file.read(entry, as_spans(spans), box), store, entry


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_only_chunk_columns_that_a_box_touches_are_read(wide: tuple[Path, Array], compression: str | None) -> None:
    path, data = wide
    with h5py.File(path, "w") as file:
        made = file.create_dataset("x", data=data, chunks=(100, 32), compression=compression)
        touched = [made.id.get_chunk_info_by_coord((row, 96)) for row in range(200, 400, 100)]
    got, store, _ = read_box(path, [(250, 350)], ((100, 103),))
    np.testing.assert_array_equal(got, data[250:350, 100:103])
    whole = [(one.byte_offset, one.byte_offset + one.size) for one in touched]
    if compression:
        assert store.ranges == whole
    else:
        # From the first wanted byte to the last.
        assert store.ranges == [
            (whole[0][0] + 50 * 64 + 8, whole[0][1] - 64 + 14),
            (whole[1][0] + 8, whole[1][0] + 49 * 64 + 14),
        ]


def test_only_the_index_of_touched_chunk_columns_is_read(tmp_path: Path) -> None:
    shape, chunks = (20_000, 64), (1, 64)
    path = tmp_path / "many.h5"
    with h5py.File(path, "w", libver="latest") as file:
        # Transposed: the rows of chunks along the second axis are far apart in the index.
        made = file.create_dataset("x", shape[::-1], "<i2", chunks=chunks[::-1])
        # Chunk by chunk: h5py takes ten seconds for all of them at once.
        for number in range(20_000):
            made.id.write_direct_chunk((0, number), np.full(64, number, "<i2").tobytes())
    with open_local(path) as opened:
        costs = []
        for box in (((0, 20_000),), ((500, 600),)):
            store = RemoteStore(opened)
            with open_file(store) as ours:
                entry = ours.index("/").arrays["/x"]
                store.ranges.clear()
                got = ours.read(entry, None, box)
            assert (got == np.arange(*box[0], dtype="<i2")).all()
            costs.append(store.n_bytes - got.nbytes)
    assert costs[1] < costs[0] / 2


def test_a_few_channels_of_contiguous_rows_are_read_with_what_lies_between(wide: tuple[Path, Array]) -> None:
    path, data = wide
    with h5py.File(path, "w") as file:
        file["x"] = data
    got, store, entry = read_box(path, [(10, 20), (900, 901)], ((100, 103),))
    np.testing.assert_array_equal(got, np.concatenate([data[10:20, 100:103], data[900:901, 100:103]]))
    assert entry.offset is not None
    at = [entry.offset + (row * 384 + 100) * 2 for row in (10, 19, 900)]
    assert store.ranges == [(at[0], at[1] + 6), (at[2], at[2] + 6)]


def test_parts_of_contiguous_rows_that_are_far_apart_are_read_alone(tmp_path: Path) -> None:
    data = np.arange(6 * 40 * 10_000, dtype="<f4").reshape(6, 40, 10_000)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["x"] = data
    got, store, _ = read_box(tmp_path / "f.h5", [(0, 2), (4, 6)], ((3, 5), (7, 11)))
    np.testing.assert_array_equal(got, data[[0, 1, 4, 5], 3:5, 7:11])
    assert store.n_bytes == got.nbytes
    assert len(store.ranges) == 8


def test_parts_of_rows_of_plain_chunks_that_are_far_apart_are_read_alone(tmp_path: Path) -> None:
    data = np.arange(20 * 9000, dtype="<i4").reshape(20, 9000)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("x", data=data, chunks=(8, 8000))
    got, store, _ = read_box(tmp_path / "f.h5", [(1, 3), (7, 12)], ((7990, 8010),))
    np.testing.assert_array_equal(got, data[[1, 2, 7, 8, 9, 10, 11], 7990:8010])
    assert store.n_bytes == got.nbytes


def test_a_large_read_of_a_few_channels_takes_little_memory_at_once(tmp_path: Path) -> None:
    data = np.arange(200_000 * 64, dtype="<i2").reshape(200_000, 64)
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file["x"] = data
    calls: list[int] = []

    class Watching(CountingStore):
        def read(self, ranges: Any) -> Any:
            calls.append(sum(stop - start for start, stop in ranges))
            return super().read(ranges)

    with open_local(path) as opened, open_file(Watching(opened)) as ours:
        entry = ours.index("/").arrays["/x"]
        calls.clear()
        got = ours.read(entry, None, ((7, 9),))
    np.testing.assert_array_equal(got, data[:, 7:9])
    assert len(calls) > 1
    assert max(calls) <= 4 << 20


def test_a_box_of_a_file_that_is_cut_off_is_an_error(wide: tuple[Path, Array]) -> None:
    path, data = wide
    with h5py.File(path, "w") as file:
        file["x"] = data
    with open_local(path) as store, open_file(store) as whole:
        entry = whole.index("/").arrays["/x"]
    path.write_bytes(path.read_bytes()[:-1000])
    with open_local(path) as store, open_file(store) as ours:
        assert (ours.read(entry, as_spans([(0, 3)]), ((5, 7),)) == data[:3, 5:7]).all()
        with pytest.raises(MalformedFileError, match="truncated"):
            ours.read(entry, as_spans([(999, 1000)]), ((383, 384),))


def test_a_small_box_of_rows_that_could_never_be_held_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        made = file.create_dataset("x", (1 << 20, 1 << 20), "<i2", chunks=(1024, 1024), compression="gzip")
        made[5000:5010, 70_000:70_010] = 7
    with open_local(tmp_path / "f.h5") as store, open_file(store) as ours:
        entry = ours.index("/").arrays["/x"]
        got = ours.read(entry, as_spans([(4000, 6000)]), ((69_990, 70_020),))
        expected = np.zeros((2000, 30), "<i2")
        expected[1000:1010, 10:20] = 7
        np.testing.assert_array_equal(got, expected)
        with pytest.raises(MalformedFileError, match="ever written"):
            ours.read(entry, None, ((0, 1 << 18),))
