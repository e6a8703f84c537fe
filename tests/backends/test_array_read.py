"""Rows that are planned as byte ranges and made of them are those that h5py reads."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_dask.backends.hdf5.spans import rows
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, ChunkIndex, ElementType, FilePath
from tests.backends.described import FILTERS, Image, as_spans, content, describe, locate, write

NUMBERS = ("i1", "<i2", ">i2", "<i4", ">u8", "<f2", "<f4", ">f8", "<c16", "?", "S3", "S5")
RECORD = np.dtype({"names": ["a", "b"], "formats": ["<i2", ">f8"], "offsets": [0, 4], "itemsize": 14})


@st.composite
def datasets(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], str, str, list[tuple[int, int]], list[int]]:
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    shape = (draw(st.integers(1, 40)), *shape[1:])
    chunks = tuple(draw(st.integers(1, length)) for length in shape)
    edges = sorted(set(draw(st.lists(st.integers(0, shape[0]), max_size=8))))
    spans = [(a, b) for a, b in pairwise(edges) if draw(st.booleans())]
    tidy: list[tuple[int, int]] = []
    for a, b in spans:
        if tidy and tidy[-1][1] == a:
            tidy[-1] = (tidy[-1][0], b)
        else:
            tidy.append((a, b))
    skipped = draw(st.lists(st.integers(0, shape[0] - 1), max_size=2))
    return shape, chunks, draw(st.sampled_from(NUMBERS)), draw(st.sampled_from(sorted(FILTERS))), tidy, skipped


@given(case=datasets(), max_bytes=st.sampled_from([1, 100, 1 << 20]), filled=st.booleans())
@settings(max_examples=250, deadline=None)
def test_any_rows_of_any_chunks_are_those_that_numpy_slices(
    tmp_path_factory: pytest.TempPathFactory,
    case: tuple[tuple[int, ...], tuple[int, ...], str, str, list[tuple[int, int]], list[int]],
    max_bytes: int,
    filled: bool,  # noqa: FBT001  # hypothesis passes keywords
) -> None:
    shape, chunks, dtype, filters, spans, skipped = case
    data = content(dtype, shape)

    def fill(file: h5py.File) -> None:
        value = content(dtype, (1,))[0] if filled else None
        made = file.create_dataset("x", shape, dtype, chunks=chunks, fillvalue=value, **FILTERS[filters])
        for row in range(shape[0]):
            if row not in skipped:
                made[row] = data[row]

    image, entry, manifest, values = write(tmp_path_factory.getbasetemp() / "case.h5", fill)
    plan = image.plan(entry, spans, manifest)
    wanted = values[rows(*as_spans(spans).T)] if spans else values[:0]
    for got in (
        plan.finish(image.fetch(plan.ranges)),
        plan.run(image.fetch, is_local=True, max_bytes=max_bytes),
        plan.run(image.fetch, is_local=False, max_bytes=max_bytes),
    ):
        assert got.dtype == np.dtype(dtype)
        assert got.shape == wanted.shape
        assert got.tobytes() == wanted.tobytes()
    assert plan.n_bytes == sum(stop - start for start, stop in plan.ranges)


@pytest.mark.parametrize("dtype", [RECORD, np.dtype("V7"), np.dtype("S40")], ids=str)
@pytest.mark.parametrize("filters", ["plain", "shuffled", "lzf", "zstd"])
def test_elements_of_any_size_are_read(tmp_path: Path, dtype: np.dtype[Any], filters: str) -> None:
    data = content(dtype, (50, 3))
    image, entry, manifest, values = write(
        tmp_path / "x.h5", lambda file: file.create_dataset("x", data=data, chunks=(8, 2), **FILTERS[filters])
    )
    plan = image.plan(entry, [(3, 20), (30, 50)], manifest)
    got = plan.finish(image.fetch(plan.ranges))
    assert got.dtype == entry.element.dtype
    assert (got == np.concatenate((values[3:20], values[30:50]))).all()


@pytest.mark.parametrize(("chunks", "filters"), [(None, "plain"), ((4,), "plain"), ((4,), "shuffled")])
def test_elements_that_are_arrays_add_their_shape(tmp_path: Path, filters: str, chunks: tuple[int] | None) -> None:
    dtype = np.dtype(("<f4", (2, 3)))
    data = content("<f4", (10, 2, 3))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        made = file.create_dataset("x", (10,), dtype, chunks=chunks, **FILTERS[filters])
        made[...] = data
    with h5py.File(tmp_path / "x.h5", "r") as file:
        entry, manifest = describe(file["x"], dtype=dtype), locate(file["x"])
    image = Image((tmp_path / "x.h5").read_bytes())
    plan = image.plan(entry, [(1, 9)], manifest)
    assert plan.finish(image.fetch(plan.ranges)).tobytes() == data[1:9].tobytes()
    assert plan.run(image.fetch, is_local=True).shape == (8, 2, 3)


def test_elements_that_numpy_does_not_know_are_void_of_their_size(tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(20)]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        made = file.create_dataset("x", data=texts, dtype=h5py.string_dtype(), chunks=(8,))
        stored = b"".join(made.id.read_direct_chunk((at,))[1] for at in (0, 8, 16))
    with h5py.File(tmp_path / "x.h5", "r") as file:
        manifest = locate(file["x"])
    entry = ArrayEntry(FilePath("/x"), ElementType("string", size=16), (20,), "chunked", chunks=(8,))
    image = Image((tmp_path / "x.h5").read_bytes())
    got = image.plan(entry, [(5, 20)], manifest).run(image.fetch, is_local=True)
    assert got.dtype == np.dtype("V16")
    assert got.tobytes() == stored[5 * 16 : 20 * 16]
    with pytest.raises(UnsupportedLayoutError, match="no size"):
        image.plan(replace(entry, element=ElementType("string")), [(0, 1)], manifest)


def test_contiguous_rows_are_read_alone(tmp_path: Path) -> None:
    data = content("<i4", (100, 3))
    image, entry, manifest, _ = write(tmp_path / "x.h5", lambda file: file.create_dataset("x", data=data))
    plan = image.plan(entry, [(2, 5), (50, 51)], manifest)
    assert entry.offset is not None
    assert plan.ranges == [(entry.offset + 24, entry.offset + 60), (entry.offset + 600, entry.offset + 612)]
    assert (plan.finish(image.fetch(plan.ranges)) == data[[2, 3, 4, 50]]).all()


def test_a_scalar_is_one_row(tmp_path: Path) -> None:
    image, entry, _, _ = write(tmp_path / "x.h5", lambda file: file.create_dataset("x", data=np.float32(2.5)))
    plan = image.plan(entry, [(0, 1)], None)
    assert plan.finish(image.fetch(plan.ranges)).tolist() == [2.5]


def test_compact_data_needs_no_bytes() -> None:
    data = content(">i2", (10, 2))
    entry = ArrayEntry(FilePath("/x"), ElementType("int", data.dtype), (10, 2), "compact", inline=data.tobytes())
    plan = Image(b"").plan(entry, [(0, 2), (7, 10)], None)
    assert plan.ranges == []
    assert (plan.finish([]) == data[[0, 1, 7, 8, 9]]).all()
    with pytest.raises(MalformedFileError, match="holds 39 bytes"):
        Image(b"").plan(replace(entry, inline=data.tobytes()[:39]), [(0, 10)], None)


def test_null_and_empty_datasets_have_no_rows() -> None:
    entry = ArrayEntry(FilePath("/x"), ElementType("int", np.dtype("<i2")), None, "contiguous")
    assert Image(b"").plan(entry, [], None).finish([]).shape == (0,)
    assert Image(b"").plan(replace(entry, shape=(5, 0)), [(0, 5)], None).run(Image(b"").fetch, is_local=True).shape == (
        5,
        0,
    )


@pytest.mark.parametrize("layout", ["contiguous", "compact", "chunked"])
def test_what_was_never_written_is_the_fill_value(layout: Any) -> None:
    index = ChunkIndex("btree1", None, (False,), (9,))
    entry = ArrayEntry(
        FilePath("/x"), ElementType("float", np.dtype(">f4")), (9, 2), layout, chunks=(4, 2), chunk_index=index
    )
    assert Image(b"").plan(entry, [(0, 9)], None).finish([]).tolist() == [[0, 0]] * 9
    filled = replace(entry, fill=np.array(1.5, ">f4").tobytes())
    assert Image(b"").plan(filled, [(2, 4)], None).finish([]).tolist() == [[1.5, 1.5]] * 2
    with pytest.raises(MalformedFileError, match="fill value has 3 bytes, not 4"):
        Image(b"").plan(replace(entry, fill=b"abc"), [(2, 4)], None)


def test_rows_of_one_piece_are_a_view_of_its_bytes(tmp_path: Path) -> None:
    data = content("<i4", (100, 3))
    image, entry, manifest, _ = write(
        tmp_path / "x.h5", lambda file: file.create_dataset("x", data=data, chunks=(10, 3), maxshape=(None, 3))
    )
    plan = image.plan(entry, [(15, 95)], manifest)
    assert len(plan.ranges) == 1, "h5py writes these chunks one after the other"
    buffers = image.fetch(plan.ranges)
    got = plan.finish(buffers)
    assert np.shares_memory(got, np.frombuffer(buffers[0], np.uint8))
    assert (got == data[15:95]).all()


def test_only_wanted_rows_of_unfiltered_chunks_are_read(tmp_path: Path) -> None:
    data = content("<i4", (20, 5))
    image, entry, manifest, _ = write(
        tmp_path / "x.h5", lambda file: file.create_dataset("x", data=data, chunks=(8, 3))
    )
    assert manifest is not None
    plan = image.plan(entry, [(1, 3), (6, 9)], manifest)
    first, second, third, fourth = manifest.offsets[:4].tolist()
    pieces = [
        (first + 12, first + 36),
        (first + 72, first + 96),
        (second + 12, second + 36),
        (second + 72, second + 96),
    ]
    assert plan.ranges == [*pieces, (third, third + 12), (fourth, fourth + 12)]
    assert (plan.finish(image.fetch(plan.ranges)) == data[[1, 2, 6, 7, 8]]).all()


def test_filtered_chunks_are_read_whole_and_once(tmp_path: Path) -> None:
    data = content("<i4", (40,))
    image, entry, manifest, _ = write(
        tmp_path / "x.h5", lambda file: file.create_dataset("x", data=data, chunks=(8,), compression="gzip")
    )
    assert manifest is not None
    plan = image.plan(entry, [(1, 2), (5, 6), (9, 10), (33, 34)], manifest)
    ends = manifest.offsets + manifest.sizes
    assert plan.ranges == [(int(manifest.offsets[i]), int(ends[i])) for i in (0, 1, 4)]


@pytest.mark.parametrize("mask", [0b001, 0b010, 0b011, 0b111])
@pytest.mark.parametrize("compression", ["gzip", "lzf", 32015])
def test_filters_that_were_skipped_for_a_chunk_are_not_undone(
    tmp_path: Path, mask: int, compression: str | int
) -> None:
    data = content("<i4", (300,))

    def fill(file: h5py.File) -> None:
        made = file.create_dataset(
            "x", data=data, chunks=(100,), shuffle=True, compression=compression, fletcher32=True
        )
        spare = file.create_dataset(
            "spare",
            data=data[100:200],
            chunks=(100,),
            shuffle=not mask & 1,
            compression=None if mask & 2 else compression,
            fletcher32=not mask & 4,
        )
        made.id.write_direct_chunk((100,), spare.id.read_direct_chunk((0,))[1], filter_mask=mask)

    image, entry, manifest, _ = write(tmp_path / "x.h5", fill)
    plan = image.plan(entry, [(0, 300)], manifest)
    assert (plan.finish(image.fetch(plan.ranges)) == data).all()
    part = image.plan(entry, [(112, 115)], manifest)
    assert (part.finish(image.fetch(part.ranges)) == data[112:115]).all()
    assert part.n_bytes == (12 if mask == 0b111 else manifest.sizes[1] if manifest else None)


def test_edge_chunks_may_be_stored_without_filters(tmp_path: Path) -> None:
    data = content("<i4", (10, 5))

    def fill(file: h5py.File) -> None:
        made = file.create_dataset("x", (10, 5), "<i4", chunks=(4, 3), compression="gzip")
        made[:] = data
        for row in (0, 4, 8):
            for column in (0, 3):
                if row == 8 or column == 3:
                    whole = np.zeros((4, 3), "<i4")
                    part = data[row : row + 4, column : column + 3]
                    whole[: part.shape[0], : part.shape[1]] = part
                    made.id.write_direct_chunk((row, column), whole.tobytes(), filter_mask=1)

    image, entry, manifest, _ = write(tmp_path / "x.h5", fill)
    assert manifest is not None
    assert manifest.masks.tolist() == [0, 1, 0, 1, 1, 1]
    edges = replace(entry, chunk_index=ChunkIndex("fixed", 1, (False,) * 2, (10, 5), unfiltered_edges=True))
    plan = image.plan(edges, [(0, 10)], replace(manifest, masks=np.zeros(6, np.uint32)))
    assert (plan.finish(image.fetch(plan.ranges)) == data).all()


def test_chunks_of_libhdf5s_own_filters_are_decoded(tmp_path: Path) -> None:
    odd = h5t.STD_I32BE.copy()
    odd.set_precision(17)
    odd.set_offset(3)
    data = np.arange(-20, 20, dtype=">i4")
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_chunk((7,))
    properties.set_filter(5, 0)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        made = h5d.create(file.id, b"x", odd, h5s.create_simple(data.shape), dcpl=properties)
        made.write(h5s.ALL, h5s.ALL, data)
    with h5py.File(tmp_path / "x.h5", "r") as file:
        dataset = file["x"]
        stored = np.empty(40, "V4")
        # In the type of the file, so that libhdf5 undoes the filter and converts nothing.
        dataset.id.read(h5s.ALL, h5s.ALL, stored, dataset.id.get_type())
        entry, manifest = replace(describe(dataset), element=ElementType("int", size=4)), locate(dataset)
    image = Image((tmp_path / "x.h5").read_bytes())
    plan = image.plan(entry, [(0, 40)], manifest)
    assert plan.finish(image.fetch(plan.ranges)).tobytes() == stored.tobytes()
