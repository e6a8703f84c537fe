"""One array as an `ArrayEntry`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from nwb_dask.backends.zarr.documents import ArrayDocument, Codec
from nwb_dask.backends.zarr.fill import fill_element
from nwb_dask.backends.zarr.meaning import ArrayMeaning
from nwb_dask.backends.zarr.shards import leaf_of
from nwb_dask.index import ArrayEntry, FilePath, Filter

_FILTERS = {
    "zlib": 1,
    "gzip": 1,
    "shuffle": 2,
    "fletcher32": 3,
    "bz2": 307,
    "blosc": 32001,
    "lz4": 32004,
    "zstd": 32015,
}
"""Numbers of HDF5's registered filters for codecs that do the same."""
_NO_FILTERS = frozenset(
    {"bytes", "transpose", "vlen-utf8", "vlen-bytes", "vlen-array", "json2", "pickle", "msgpack2", "endian"}
)
"""Codecs that HDF5 has no filters for because its types say the same."""
_OPTIONS = {"zlib": "level", "gzip": "level", "bz2": "level", "zstd": "level", "shuffle": "elementsize"}


def describe_array(document: ArrayDocument, meaning: ArrayMeaning, path: FilePath) -> ArrayEntry:
    """Return the entry of an array as HDF5 would have it: in chunks, with filters by their number there.

    A codec without such a number is filter 0, by its name.

    Parameters
    ----------
    document : ArrayDocument
        How it is stored.
    meaning : ArrayMeaning
        What it is.
    path : FilePath
        Under which it stands.
    """
    leaf = leaf_of(document)
    chunks = leaf.chunks if meaning.shape else ()
    n_chunks = prod([-(-length // chunk) for length, chunk in zip(document.shape, leaf.chunks, strict=True)])
    return ArrayEntry(
        path,
        meaning.element,
        meaning.shape,
        "chunked",
        meaning.attributes,
        chunks,
        filters_of(leaf.codecs),
        stored_bytes=n_chunks * prod(leaf.chunks) * meaning.element.size,
        fill=_fill_bytes(document, meaning),
    )


def filters_of(codecs: Sequence[Codec]) -> tuple[Filter, ...]:
    """Return codecs as filters, in the order of writing."""
    found: list[Filter] = []
    for one in codecs:
        if one.id in _NO_FILTERS:
            continue
        value = one.options.get(_OPTIONS.get(one.id, ""))
        options = (value,) if isinstance(value, int) and value >= 0 else ()
        found.append(Filter(_FILTERS.get(one.id, 0), options, one.id))
    return tuple(found)


def _fill_bytes(document: ArrayDocument, meaning: ArrayMeaning) -> bytes | None:
    """Return the fill value of numbers as stored; None for zeros, and for what has no fixed size."""
    if meaning.element.dtype is None or document.dtype.hasobject:
        return None
    stored = np.asarray(fill_element(document)).tobytes()
    return stored if any(stored) else None
