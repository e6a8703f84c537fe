"""Where the stored bytes of datasets are, as `Placement`."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from nwb_dask.backends.hdf5.object_attributes import as_damage
from nwb_dask.backends.protocol import ByteSource
from nwb_dask.errors import MalformedFileError, NWBDaskError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, ChunkManifest, Placement


def is_unplaced(entry: ArrayEntry) -> bool:
    """Return whether an entry leaves open where its data are, as those that libhdf5 describes may."""
    if entry.layout == "chunked":
        return entry.chunk_index is None
    if entry.layout == "contiguous":
        return entry.offset is None and (entry.stored_bytes > 0 or entry.fill is None)
    return entry.layout == "compact" and entry.inline is None and entry.stored_bytes > 0


def place(
    entry: ArrayEntry, chunked: Iterator[ChunkManifest | Exception], store: ByteSource
) -> Placement | NWBDaskError:
    """Return where the bytes of a dataset are; of a chunked one `chunked` gives its chunks next."""
    url = store.source.url
    if entry.layout == "chunked":
        found = next(chunked)
        if isinstance(found, Exception):
            return as_damage(found).at(url=url, path=entry.path)
        return Placement(found, (url,))
    if entry.layout in ("external", "virtual"):
        message = f"{entry.path} has its data in other files ({entry.layout} storage), which are not read"
        return UnsupportedLayoutError(message, url=url, path=entry.path)
    n_bytes = 0 if entry.shape is None else prod(entry.shape) * entry.element.size
    if entry.layout == "compact":
        held = entry.inline or b""
        if held and len(held) < n_bytes:
            return MalformedFileError("truncated: its header holds too few bytes", url=url, path=entry.path)
        return Placement(_ranges([]), (url,), inline={0: held[:n_bytes]} if held and n_bytes else {})
    if entry.offset is None or not n_bytes:
        return Placement(_ranges([]), (url,))
    if entry.offset < 0 or entry.offset + n_bytes > store.size:
        message = f"truncated: data at {entry.offset} to {entry.offset + n_bytes} reach past the end at {store.size}"
        return MalformedFileError(message, url=url, path=entry.path)
    return Placement(_ranges([(entry.offset, n_bytes)]), (url,))


def _ranges(ranges: list[tuple[int, int]]) -> ChunkManifest:
    """Return chunks 0, 1 ... at these offsets, of these sizes."""
    table = np.array(ranges, np.int64).reshape(-1, 2)
    return ChunkManifest(np.arange(len(table)), table[:, 0], table[:, 1], np.zeros(len(table), np.uint32))
