"""Where the chunks of arrays are, and how Zarr version 2 says how they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, Literal, Protocol, TypeAlias, cast

import numpy as np

from nwb_dask.backends.zarr.documents import ArrayDocument, Codec, Json
from nwb_dask.backends.zarr.hierarchy import KeySource
from nwb_dask.backends.zarr.pipeline import NUMBERS, Pipeline, encoded_dtype, endian_of, numeric_options
from nwb_dask.backends.zarr.shard_index import Found, ShardIndexes, find_chunk
from nwb_dask.backends.zarr.shards import Leaf, leaf_of
from nwb_dask.errors import (
    MalformedFileError,
    NWBDaskError,
    SourceAccessError,
    SourceChangedError,
    SourceUnavailableError,
    UnsupportedLayoutError,
)
from nwb_dask.index import ChunkManifest, Placement, Url, ZarrForm
from nwb_dask.storage import KeyPlace

_MAX_CHUNKS = 1 << 20
_BLOSC_SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}
_SHARED = frozenset(
    {"adler32", "blosc", "bz2", "crc32", "fletcher32", "gzip", "lz4", "lzma", "shuffle", "zlib", "zstd"}
)
"""Codecs that take bytes for bytes, and that numcodecs and so version 2 have by the same name."""
_OWN_OPTIONS = {"blosc": ("cname", "clevel", "shuffle", "blocksize"), "gzip": ("level",), "zstd": ("level",)}
"""Options of version 2 of codecs that version 3 has others for; none of them matters to who reads."""

Value: TypeAlias = KeyPlace | bytes


class Places(KeySource, Protocol):
    """What a hierarchy is read from, where its values are in files."""

    def locate_keys(self, keys: Sequence[str]) -> Sequence[Value | None]:
        """Return where values are, or the values themselves; None for a key that is not there."""


def form_of(document: ArrayDocument) -> ZarrForm:
    """Return how Zarr version 2 says how the chunks of an array of numbers are stored.

    Raises
    ------
    UnsupportedLayoutError
        If it cannot: a codec has no equal there.
    """
    leaf = leaf_of(document)
    order, codecs = document.order, list(leaf.codecs)
    if codecs and codecs[0].id == "transpose":
        axes = codecs.pop(0).options.get("order")
        if axes not in ("F", list(range(len(leaf.chunks)))[::-1]):
            raise UnsupportedLayoutError("the axes of its chunks are in an order that Zarr version 2 cannot say")
        order = "F"
    _require_order(codecs, document.dtype)
    steps = [_step(one) for one in codecs if one.id not in ("bytes", "endian")]
    stored = Pipeline(leaf.codecs, document.dtype, leaf.chunks, document.order).dtype
    byte_order = cast("Literal['<', '>', '|']", stored.str[0])
    return ZarrForm(leaf.chunks, order, byte_order, tuple(steps))


def _require_order(codecs: Sequence[Codec], dtype: np.dtype[Any]) -> None:
    """Raise if what codecs for numbers wrote is stored in another byte order than theirs: version 2 cannot say so."""
    for at, one in enumerate(codecs):
        order = endian_of(one) if one.id in ("bytes", "endian") else None
        if order is not None and any(before.id in NUMBERS for before in codecs[:at]):
            encoded = encoded_dtype(dtype, codecs[:at])
            if encoded.itemsize > 1 and encoded.newbyteorder(order) != encoded:
                raise UnsupportedLayoutError("its numbers are encoded in a byte order that Zarr version 2 cannot say")


def _step(codec: Codec) -> Mapping[str, Json]:
    if codec.id in NUMBERS:
        return {"id": codec.id, **numeric_options(codec.options)}
    if codec.id not in _SHARED:
        raise UnsupportedLayoutError(f"its codec {codec.id[:60]!r} is none that references are made with")
    options = dict(codec.options)
    if codec.id in _OWN_OPTIONS:
        options = {name: options[name] for name in _OWN_OPTIONS[codec.id] if name in options}
    shuffle = options.get("shuffle")
    if codec.id == "blosc" and isinstance(shuffle, str):
        options["shuffle"] = _BLOSC_SHUFFLES.get(shuffle, 0)
    return {"id": codec.id, **options}


def locate_arrays(
    keys: Places, shards: ShardIndexes, documents: Sequence[ArrayDocument]
) -> list[Placement | NWBDaskError]:
    """Return where the chunks of arrays are, or why that cannot be told; looked up together.

    Raises
    ------
    SourceChangedError, SourceUnavailableError
        If the store cannot be had any more.
    """
    try:
        return [*_located(keys, shards, documents)]
    except (SourceChangedError, SourceUnavailableError) as exc:
        if not isinstance(exc, SourceAccessError) or len(documents) == 1:
            if isinstance(exc, SourceAccessError):
                return [exc]
            raise
    except NWBDaskError as exc:
        if len(documents) == 1:
            return [exc]
    return [found for one in documents for found in locate_arrays(keys, shards, [one])]


def _located(keys: Places, shards: ShardIndexes, documents: Sequence[ArrayDocument]) -> list[Placement]:
    plans = [_Plan(one) for one in documents]
    found = shards.fetch([(one.leaf, one.key, place) for one in plans if one.leaf.shard for place in one.places()])
    asked = [one.asked(found) for one in plans]
    names = list(dict.fromkeys(key for chunks in asked for _, key, _ in chunks))
    values = dict(zip(names, keys.locate_keys(names) if names else (), strict=True))
    return [_placement(chunks, values) for chunks in asked]


class _Plan:
    """The chunks of one array."""

    def __init__(self, document: ArrayDocument) -> None:
        self.document = document
        self.leaf: Leaf = leaf_of(document)
        self._folder = f"{document.path.strip('/')}/".lstrip("/")
        self._counts = [-(-n // chunk) for n, chunk in zip(document.shape, self.leaf.chunks, strict=True)]
        if prod(self._counts) > _MAX_CHUNKS:
            raise MalformedFileError(f"it has {prod(self._counts)} chunks; {_MAX_CHUNKS} are referred to")

    def places(self) -> product[tuple[int, ...]]:
        return product(*map(range, self._counts))

    def key(self, place: tuple[int, ...]) -> str:
        return self._folder + self.document.keys.key(place)

    def asked(self, indexes: Found) -> list[tuple[int, str, tuple[int, int] | None]]:
        """Return the number of each chunk, its key, and which bytes of the value it is if that is a shard."""
        if self.leaf.shard is None:
            return [(number, self.key(place), None) for number, place in enumerate(self.places())]
        found = [find_chunk(indexes, self.leaf, self.key, place) for place in self.places()]
        return [(number, one[0], one[1:]) for number, one in enumerate(found) if one is not None]


def _placement(
    chunks: Sequence[tuple[int, str, tuple[int, int] | None]], values: Mapping[str, Value | None]
) -> Placement:
    urls: dict[Url, int] = {}
    rows: list[tuple[int, int, int, int]] = []
    inline: dict[int, bytes] = {}
    for number, key, part in chunks:
        value = values[key]
        if value is None:
            continue
        if isinstance(value, bytes):
            inline[number] = value if part is None else value[slice(*part)]
            continue
        start, stop = (0, value.stop - value.start) if part is None else part
        if value.start + stop > value.stop:
            raise MalformedFileError("damaged: the index of a shard leads out of it")
        rows.append((number, value.start + start, stop - start, urls.setdefault(value.url, len(urls))))
    table = np.array(rows, np.int64).reshape(-1, 4)
    manifest = ChunkManifest(table[:, 0], table[:, 1], table[:, 2], np.zeros(len(table), np.uint32))
    return Placement(manifest, tuple(urls), table[:, 3] if len(urls) > 1 else None, inline)
