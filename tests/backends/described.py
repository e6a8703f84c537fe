"""Small files in memory, described by h5py: where the chunks are, how they are filtered, what the elements are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt
from h5py import h5d

from nwb_dask.backends.hdf5.array_read import ArrayRead, plan_read
from nwb_dask.index import ArrayEntry, ChunkManifest, ElementKind, ElementType, FilePath, Filter
from nwb_dask.storage import Buffer

Array = npt.NDArray[Any]
Spans = npt.NDArray[np.int64]

FILTERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gzip": {"compression": "gzip"},
    "shuffled": {"compression": "gzip", "shuffle": True},
    "shuffle alone": {"shuffle": True},
    "checked": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "lzf": {"compression": "lzf", "shuffle": True},
    "zstd": dict(hdf5plugin.Zstd()),
    "lz4": dict(hdf5plugin.LZ4(nbytes=48)),
    "bzip2": dict(hdf5plugin.BZip2()),
    "blosc": dict(hdf5plugin.Blosc(cname="zstd", shuffle=hdf5plugin.Blosc.BITSHUFFLE)),
    "shuffled blosc": {"shuffle": True, **hdf5plugin.Blosc()},
    "blosc2": dict(hdf5plugin.Blosc2()),
    "bitshuffle": dict(hdf5plugin.Bitshuffle(cname="zstd")),
}
KINDS: dict[str, ElementKind] = {
    "i": "int",
    "u": "uint",
    "f": "float",
    "c": "complex",
    "b": "bool",
    "S": "string",
    "V": "compound",
}
LAYOUTS: dict[int, Any] = {h5d.CONTIGUOUS: "contiguous", h5d.COMPACT: "compact", h5d.CHUNKED: "chunked"}


def describe(dataset: h5py.Dataset, *, inline: bytes | None = None, dtype: np.dtype[Any] | None = None) -> ArrayEntry:
    """Return the entry of a dataset whose elements numpy knows; `dtype` is that of array types, which h5py hides."""
    properties = dataset.id.get_create_plist()
    stored = dataset.dtype if dtype is None else dtype
    layout = LAYOUTS[properties.get_layout()]
    fill = np.zeros((), dataset.dtype)
    if stored.subdtype is None:
        properties.get_fill_value(fill)
    return ArrayEntry(
        FilePath(dataset.name),
        ElementType("array" if stored.subdtype else KINDS[stored.kind], stored, size=stored.itemsize),
        dataset.shape,
        layout,
        chunks=dataset.chunks,
        filters=tuple(Filter(*properties.get_filter(i)[::2]) for i in range(properties.get_nfilters())),
        offset=dataset.id.get_offset(),
        inline=inline,
        fill=fill.tobytes(),
    )


def locate(dataset: h5py.Dataset) -> ChunkManifest | None:
    """Return where the chunks of a dataset are; None if it is not chunked."""
    if dataset.chunks is None:
        return None
    found: list[Any] = []
    dataset.id.chunk_iter(found.append)
    grid = [-(-length // chunk) for length, chunk in zip(dataset.shape, dataset.chunks, strict=True)]
    numbers = [
        int(
            np.ravel_multi_index(
                [at // chunk for at, chunk in zip(one.chunk_offset, dataset.chunks, strict=True)], grid
            )
        )
        for one in found
    ]
    order = np.argsort(np.array(numbers, np.int64))
    return ChunkManifest(
        np.array(numbers, np.int64)[order],
        np.array([one.byte_offset for one in found], np.int64)[order],
        np.array([one.size for one in found], np.int64)[order],
        np.array([one.filter_mask for one in found], np.uint32)[order],
    )


class Image:
    """The bytes of a file, and what is read of them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.calls: list[list[tuple[int, int]]] = []
        self.threads: set[int] = set()

    def fetch(self, ranges: Sequence[tuple[int, int]]) -> list[Buffer]:
        self.calls.append(list(ranges))
        self.threads.add(threading.get_ident())
        return [memoryview(self.data)[start:stop] for start, stop in ranges]

    def plan(self, entry: ArrayEntry, spans: Sequence[tuple[int, int]], manifest: ChunkManifest | None) -> ArrayRead:
        return plan_read(entry, as_spans(spans), manifest, file_bytes=len(self.data))


def as_spans(spans: Sequence[tuple[int, int]]) -> Spans:
    return np.array(spans, np.int64).reshape(-1, 2)


def content(dtype: str | np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """Return values that every codec makes smaller: all bytes of each differ, and they come again after a while."""
    known = np.dtype(dtype)
    raw = np.random.default_rng(3).integers(0, 256, (17, known.itemsize), np.uint8)
    if known.kind == "b":
        raw %= 2
    return np.resize(raw.view(known), shape)


def write(path: Path, fill: Callable[[h5py.File], Any]) -> tuple[Image, ArrayEntry, ChunkManifest | None, Array]:
    """Return the image of a new file, and the dataset ``x`` of it: entry, chunks, values."""
    with h5py.File(path, "w") as file:
        fill(file)
    with h5py.File(path, "r") as file:
        entry, manifest, values = describe(file["x"]), locate(file["x"]), file["x"][()]
    return Image(path.read_bytes()), entry, manifest, values
