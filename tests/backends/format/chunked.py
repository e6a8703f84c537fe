"""Chunked datasets as h5py writes them, and what is in their chunks: the oracle of the chunk indexes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5o

from nwb_dask.backends.hdf5.format.chunk_index import find_chunks, n_grid
from nwb_dask.backends.hdf5.format.object_header import LAYOUT, find_body, read_messages
from nwb_dask.backends.hdf5.format.space import AddressSpace, number
from nwb_dask.backends.hdf5.pages import Pages
from nwb_dask.backends.hdf5.rounds import run
from nwb_dask.index import ArrayEntry, ChunkIndex, ChunkIndexKind, ChunkManifest, ElementType, FilePath, Filter

Array = npt.NDArray[Any]
KINDS: dict[int, ChunkIndexKind] = {1: "single", 2: "implicit", 3: "fixed", 4: "extensible", 5: "btree2"}
_SETTINGS_BYTES = {1: 0, 2: 0, 3: 1, 4: 5, 5: 6}


@dataclass
class Reads:
    """A file in memory that counts how it is read, as `Pages` reads it."""

    body: bytes
    rounds: int = 0
    n_bytes: int = 0

    def __call__(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        self.rounds += 1
        self.n_bytes += sum(stop - start for start, stop in ranges)
        return [self.body[start:stop] for start, stop in ranges]

    def space(self, *, base: int = 0, page_bytes: int = 512, at_once: bool = True) -> AddressSpace:
        return AddressSpace(Pages(len(self.body), self, page_bytes=page_bytes, at_once=at_once), base)


def describe(dataset: h5py.Dataset, space: AddressSpace) -> ArrayEntry:
    """Return the entry of a chunked dataset: from h5py, but for where its index is, which h5py does not tell."""
    body = find_body(read_messages(space, h5o.get_info(dataset.id).addr), LAYOUT, what="layout")
    create = dataset.id.get_create_plist()
    filters = [create.get_filter(i) for i in range(create.get_nfilters())]
    return ArrayEntry(
        FilePath(dataset.name),
        ElementType("int", dataset.dtype, size=_element_bytes(body)),
        dataset.shape,
        "chunked",
        chunks=dataset.chunks,
        filters=tuple(Filter(one[0], tuple(one[2])) for one in filters),
        chunk_index=_index(space, body, dataset),
    )


def _element_bytes(layout: memoryview) -> int:
    """Return what the layout says of the last dimension; libhdf5 gives variable-length types the size in memory."""
    if layout[0] == 3:
        return number(layout, 11 + 4 * (layout[2] - 1), 4)
    n_axes, width = layout[3], layout[4]
    return number(layout, 5 + width * (n_axes - 1), width)


def _index(space: AddressSpace, body: memoryview, dataset: h5py.Dataset) -> ChunkIndex:
    growing = tuple(length is None for length in dataset.maxshape)
    assert body[1] == 2, "not chunked"
    if body[0] == 3:
        return ChunkIndex("btree1", space.offset(body, 3), growing, dataset.maxshape)
    assert body[0] in {4, 5}
    flags, n_axes, width = body[2], body[3], body[4]
    kind = body[5 + n_axes * width]
    at = 6 + n_axes * width + _SETTINGS_BYTES[kind]
    size, mask = None, 0
    if flags & 2:
        size, mask = space.length(body, at), number(body, at + space.length_bytes, 4)
        at += space.length_bytes + 4
    edges = bool(flags & 1)
    address = space.offset(body, at)
    return ChunkIndex(KINDS[kind], address, growing, dataset.maxshape, size, mask, unfiltered_edges=edges)


def load(path: Path, name: str = "x", *, sizes: tuple[int, int] = (8, 8)) -> tuple[AddressSpace, ArrayEntry]:
    """Return a file in memory, whose addresses and lengths have `sizes` bytes, and the entry of one of its datasets."""
    reads = Reads(path.read_bytes())
    with h5py.File(path) as file:
        space = replace(reads.space(base=file.userblock_size), offset_bytes=sizes[0], length_bytes=sizes[1])
        return space, describe(file[name], space)


def everything(entry: ArrayEntry) -> npt.NDArray[np.int64]:
    return np.array([[0, n_grid(entry)]], np.int64)


def all_chunks(space: AddressSpace, entry: ArrayEntry) -> ChunkManifest:
    return find_chunks(space, entry, everything(entry))


def in_rounds(space: AddressSpace, entry: ArrayEntry, wanted: npt.NDArray[np.int64]) -> ChunkManifest:
    """Return the chunks as they are found when bytes come in rounds."""
    out: list[ChunkManifest] = []
    pages = space.image
    assert isinstance(pages, Pages)

    def task() -> None:
        out.append(find_chunks(space, entry, wanted))

    run([task], pages)
    (manifest,) = out
    return manifest


def corners(entry: ArrayEntry, numbers: npt.NDArray[np.int64]) -> list[tuple[int, ...]]:
    """Return the first element of each chunk."""
    shape, chunks = entry.shape or (), entry.chunks or ()
    counts = tuple(-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True))
    places = np.stack(np.unravel_index(numbers, counts), axis=1) * np.array(chunks)
    return [tuple(place) for place in places.tolist()]


def decoded(space: AddressSpace, entry: ArrayEntry, manifest: ChunkManifest, *, fill: int = 0) -> Array:
    """Return the whole array, put together from the chunks of `manifest`."""
    shape, chunks = entry.shape or (), entry.chunks or ()
    out = np.full(shape, fill, entry.element.dtype)
    starts = corners(entry, manifest.numbers)
    for start, offset, n_bytes, mask in zip(
        starts, manifest.offsets.tolist(), manifest.sizes.tolist(), manifest.masks.tolist(), strict=True
    ):
        raw = bytes(space.image.view(offset, offset + n_bytes))
        if entry.filters and not mask & 1:
            assert [one.id for one in entry.filters] == [1]
            raw = zlib.decompress(raw)
        chunk = np.frombuffer(raw, entry.element.dtype).reshape(chunks)
        part = tuple(slice(at, at + n) for at, n in zip(start, chunks, strict=True))
        out[part] = chunk[tuple(slice(0, n) for n in out[part].shape)]
    return out


def write_chunks(dataset: h5py.Dataset, keep: Callable[[tuple[int, ...]], bool]) -> set[tuple[int, ...]]:
    """Write those chunks whose position in the grid `keep` accepts, each element another value; return where."""
    chunks = dataset.chunks
    counts = [range(-(-length // chunk)) for length, chunk in zip(dataset.shape, chunks, strict=True)]
    values = np.arange(1, dataset.size + 1).reshape(dataset.shape)
    written = {place for place in product(*counts) if keep(place)}
    for place in sorted(written):
        part = tuple(slice(at * n, (at + 1) * n) for at, n in zip(place, chunks, strict=True))
        dataset[part] = values[part]
    return written
