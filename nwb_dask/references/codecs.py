"""Filters of HDF5 as the codecs of numcodecs that undo them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from nwb_dask.errors import UnsupportedLayoutError
from nwb_dask.index import Filter
from nwb_dask.references.attributes import Json

Codec: TypeAlias = Mapping[str, Json]
"""A codec as Zarr version 2 stores it: ``id`` and options."""

_BLOSC_COMPRESSORS = ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd")
_BLOSC_FIRST_OPTION = 4
"""The options before are the filter's own: versions, and bytes of an element and of a chunk."""

COMPRESSORS = frozenset({"zlib", "blosc", "zstd", "bz2"})

FOR_NUMBERS = frozenset({"astype", "bitround", "delta", "fixedscaleoffset", "packbits", "quantize"})
"""Codecs that take arrays of numbers for such, and not bytes."""

JSON_OBJECTS: Codec = {
    "allow_nan": True,
    "check_circular": True,
    "encoding": "utf-8",
    "ensure_ascii": True,
    "id": "json2",
    "indent": None,
    "separators": [",", ":"],
    "skipkeys": False,
    "sort_keys": True,
    "strict": True,
}
"""`numcodecs.JSON` with its defaults."""


def codecs_of(filters: Sequence[Filter], *, item_bytes: int) -> tuple[Codec, ...]:
    """Return the codecs of a pipeline, in the order of writing.

    Parameters
    ----------
    filters : sequence of Filter
        As the dataset has them.
    item_bytes : int
        Size of an element.

    Raises
    ------
    UnsupportedLayoutError
        If numcodecs has no codec of the same bytes: lzf, szip, scale-offset, n-bit, bitshuffle, and lz4, which HDF5
        stores in a frame of its own.
    """
    return tuple([_codec(step, item_bytes) for step in filters])


def _codec(step: Filter, item_bytes: int) -> Codec:
    make = _CODECS.get(step.id)
    if make is None:
        name = f" ({step.name})" if step.name else ""
        raise UnsupportedLayoutError(f"no codec of Zarr undoes HDF5 filter {step.id}{name}")
    return make(step.options, item_bytes)


def _gzip(options: tuple[int, ...], _item_bytes: int) -> Codec:
    # HDF5 calls it gzip, and stores zlib's format.
    return {"id": "zlib", "level": options[0] if options else 6}


def _shuffle(options: tuple[int, ...], item_bytes: int) -> Codec:
    return {"elementsize": options[0] if options else item_bytes, "id": "shuffle"}


def _blosc(options: tuple[int, ...], _item_bytes: int) -> Codec:
    given = options[_BLOSC_FIRST_OPTION:]
    level, shuffle, compressor = (*given, *(5, 1, 0)[len(given) :])[:3]
    cname = _BLOSC_COMPRESSORS[compressor] if compressor < len(_BLOSC_COMPRESSORS) else "blosclz"
    return {"blocksize": 0, "clevel": min(level, 9), "cname": cname, "id": "blosc", "shuffle": min(shuffle, 2)}


_CODECS: Mapping[int, Callable[[tuple[int, ...], int], Codec]] = {
    1: _gzip,
    2: _shuffle,
    3: lambda _options, _item_bytes: {"id": "fletcher32"},
    307: lambda options, _item_bytes: {"id": "bz2", "level": options[0] if options else 9},
    32001: _blosc,
    32015: lambda options, _item_bytes: {"id": "zstd", "level": options[0] if options else 3},
}
