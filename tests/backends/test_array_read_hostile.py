"""What a file declares and cannot hold, and chunks that are damaged, are errors before anything is made of them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_dask.backends.hdf5.array_read import plan_read
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, ChunkManifest, ElementType, FilePath, Filter
from tests.backends.described import FILTERS, Image, content, describe, locate, write


def test_chunks_that_are_not_looked_for_are_not_zeros() -> None:
    entry = ArrayEntry(FilePath("/x"), ElementType("int", np.dtype("<i2")), (9,), "chunked", chunks=(4,))
    with pytest.raises(UnsupportedLayoutError, match="not known"):
        Image(b"").plan(entry, [(0, 9)], None)


@pytest.mark.parametrize("layout", ["external", "virtual"])
def test_data_in_other_files_are_not_read(layout: Any) -> None:
    entry = ArrayEntry(FilePath("/x"), ElementType("int", np.dtype("<i2")), (9,), layout)
    with pytest.raises(UnsupportedLayoutError, match="other files"):
        Image(b"").plan(entry, [(0, 9)], None)


def test_a_filter_that_nobody_has_is_named() -> None:
    entry = ArrayEntry(
        FilePath("/x"),
        ElementType("int", np.dtype("<i2")),
        (9,),
        "chunked",
        chunks=(9,),
        filters=(Filter(33333, (), "unheard of"),),
    )
    with pytest.raises(UnsupportedLayoutError, match=r"filter 33333 \(unheard of\)"):
        Image(bytes(99)).plan(entry, [(0, 9)], chunks_at([(0, 0, 18, 0)]))


def chunks_at(chunks: Sequence[tuple[int, int, int, int]]) -> ChunkManifest:
    columns = np.array(chunks, np.int64).reshape(-1, 4).T
    return ChunkManifest(columns[0], columns[1], columns[2], columns[3].astype(np.uint32))


GZIP = (Filter(1, (4,)),)
NUMBER = ElementType("int", np.dtype("<i8"))


def chunked(shape: tuple[int, ...], chunks: tuple[int, ...], filters: tuple[Filter, ...] = ()) -> ArrayEntry:
    return ArrayEntry(FilePath("/x"), NUMBER, shape, "chunked", chunks=chunks, filters=filters)


@pytest.mark.parametrize(
    ("entry", "chunks", "message"),
    [
        (chunked((8,), (4,)), [(0, 990, 32, 0)], "truncated: a chunk at 990 to 1022"),
        (chunked((8,), (4,)), [(0, -1, 32, 0)], "truncated"),
        (chunked((8,), (4,)), [(0, 1 << 62, 1 << 62, 0)], "truncated"),
        (chunked((8,), (4,)), [(0, 0, 31, 0)], "a chunk of 32 bytes is stored in 31"),
        (chunked((8,), (4,), GZIP), [(0, 0, 31, 1)], "a chunk of 32 bytes is stored in 31"),
        (chunked((400,), (100,)), [(0, 0, 800, 0), (1, 0, 800, 0)], "more than the 1000 bytes of the file"),
        (chunked((1 << 20,), (1 << 20,), GZIP), [(0, 0, 900, 0)], "900 bytes of gzip cannot be"),
        (chunked((1 << 28,), (1 << 10,)), [(0, 0, 1 << 13, 0)], "only 1 chunks were ever written"),
        (chunked((1 << 28,), (1 << 10,)), [], "only 0 chunks were ever written"),
        (chunked((1 << 21,), (1,)), [(0, 0, 8, 0)], "only 1 were ever written"),
        (chunked((1 << 61,), (1,)), [], "only 0 were ever written"),
        (chunked((1 << 40, 1 << 40), (1, 1)), [], "damaged: chunks of"),
        (chunked((8,), (0,)), [], "damaged: chunks of"),
        (chunked((8,), (2, 2)), [], "damaged: chunks of"),
        (chunked((8, -1), (2, 2)), [], "damaged: its shape"),
        (replace(chunked((8,), (2,)), layout="contiguous", offset=950), [], "truncated: data at 950 to 1014"),
        (replace(chunked((8,), (2,)), layout="contiguous", offset=-8), [], "truncated"),
        (replace(chunked((1 << 61,), (2,)), layout="contiguous"), [], "none were ever written"),
        (replace(chunked((1 << 16,), (2,)), layout="compact"), [], "cannot be in an object's header"),
    ],
)
def test_what_the_file_cannot_hold_is_refused(
    entry: ArrayEntry, chunks: list[tuple[int, int, int, int]], message: str
) -> None:
    assert entry.shape is not None
    with pytest.raises(MalformedFileError, match=message):
        Image(bytes(1000)).plan(entry, [(0, entry.shape[0])], chunks_at(chunks))


def test_few_rows_of_many_unwritten_chunks_are_read() -> None:
    entry = chunked((1 << 40, 3), (1 << 10, 3))
    data = content("<i8", (1 << 10, 3))
    at = (1 << 30) - 1
    image = Image(data.tobytes())
    plan = image.plan(entry, [((1 << 40) - 1025, 1 << 40)], chunks_at([(at, 0, data.nbytes, 0)]))
    got = plan.finish(image.fetch(plan.ranges))
    assert (got == np.concatenate(([[0, 0, 0]], data))).all()


def test_many_rows_of_few_chunks_are_no_missing_chunks() -> None:
    n_rows = 3 << 20
    entry = replace(chunked((n_rows,), (1 << 20,), GZIP), element=ElementType("int", np.dtype("i1")))
    data = content("i1", (n_rows,))
    stored = [zlib.compress(part.tobytes()) for part in np.split(data, 3)]
    image = Image(b"".join(stored))
    ends = np.cumsum([len(one) for one in stored]).tolist()
    manifest = chunks_at([(i, ends[i] - len(stored[i]), len(stored[i]), 0) for i in range(3)])
    every_second = np.arange(0, n_rows, 2)
    plan = plan_read(entry, np.stack((every_second, every_second + 1), axis=1), manifest, file_bytes=len(image.data))
    assert (plan.finish(image.fetch(plan.ranges)) == data[::2]).all()


@pytest.mark.parametrize("filters", ["gzip", "shuffled", "checked", "lzf", "zstd", "bzip2", "blosc", "lz4"])
@pytest.mark.parametrize("damage", ["cut", "emptied", "other"])
def test_a_damaged_chunk_is_refused(tmp_path: Path, filters: str, damage: str) -> None:
    data = content("<i4", (1000,))

    def fill(file: h5py.File) -> None:
        made = file.create_dataset("x", data=data, chunks=(100,), **FILTERS[filters])
        # The contents of half a chunk are a chunk that decodes to too little.
        half = file.create_dataset("half", data=data[300:350], chunks=(50,), **FILTERS[filters])
        stored = made.id.read_direct_chunk((300,))[1]
        other = half.id.read_direct_chunk((0,))[1]
        made.id.write_direct_chunk((300,), {"cut": stored[:-7], "emptied": stored[:1], "other": other}[damage])

    with h5py.File(tmp_path / "x.h5", "w") as file:
        fill(file)
    with h5py.File(tmp_path / "x.h5", "r") as file:
        entry, manifest = describe(file["x"]), locate(file["x"])
    image = Image((tmp_path / "x.h5").read_bytes())
    plan = image.plan(entry, [(0, 1000)], manifest)
    with pytest.raises(MalformedFileError, match="damaged"):
        plan.finish(image.fetch(plan.ranges))
    rest = image.plan(entry, [(0, 300), (400, 1000)], manifest)
    assert (rest.finish(image.fetch(rest.ranges)) == np.concatenate((data[:300], data[400:]))).all()


def test_a_wrong_checksum_is_found(tmp_path: Path) -> None:
    data = content("<i4", (1000,))
    image, entry, manifest, _ = write(
        tmp_path / "x.h5", lambda file: file.create_dataset("x", data=data, chunks=(100,), fletcher32=True)
    )
    assert manifest is not None
    at = int(manifest.offsets[4]) + 17
    image.data = image.data[:at] + bytes([image.data[at] ^ 4]) + image.data[at + 1 :]
    plan = image.plan(entry, [(450, 451)], manifest)
    with pytest.raises(MalformedFileError, match="checksum"):
        plan.finish(image.fetch(plan.ranges))
