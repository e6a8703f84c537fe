"""Chunks inside shards: several chunks under one key, and an index of where they are. Pure.

References
----------
Zarr extensions, codec ``sharding_indexed`` version 1.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from nwb_dask.backends.zarr import checks
from nwb_dask.backends.zarr.documents import ArrayDocument, Codec, Json
from nwb_dask.backends.zarr.parse import parse_codecs_v3
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError

SHARDING = "sharding_indexed"
_ENTRY_BYTES = 16
_CHECKSUM_BYTES = 4
_MAX_INNER = 1 << 22


@dataclass(frozen=True, slots=True)
class Shard:
    """How chunks are put into a shard."""

    counts: tuple[int, ...]
    """Chunks in a shard, along each axis."""
    has_checksum: bool
    """Whether the index ends with its CRC32C."""
    location: Literal["start", "end"]

    @property
    def index_bytes(self) -> int:
        """Length of the index in bytes."""
        return prod(self.counts) * _ENTRY_BYTES + (_CHECKSUM_BYTES if self.has_checksum else 0)


@dataclass(frozen=True, slots=True)
class Leaf:
    """The smallest part of an array that is decoded by itself."""

    chunks: tuple[int, ...]
    codecs: tuple[Codec, ...]
    shard: Shard | None = None


def leaf_of(document: ArrayDocument) -> Leaf:
    """Return the chunks of an array, or those inside its shards.

    Raises
    ------
    MalformedFileError
        If chunks do not fit into a shard.
    UnsupportedLayoutError
        If shards are inside of shards, or are compressed as a whole.
    """
    if not any(one.id == SHARDING for one in document.codecs):
        return Leaf(document.chunks, document.codecs)
    if len(document.codecs) != 1:
        raise UnsupportedLayoutError("its shards are transposed or compressed as a whole")
    options = document.codecs[0].options
    chunks = checks.lengths(options.get("chunk_shape"), "the shape of its inner chunks", least=1)
    if len(chunks) != len(document.chunks):
        raise MalformedFileError(f"damaged: chunks of {chunks} in shards of {document.chunks}")
    if any(outer % inner for outer, inner in zip(document.chunks, chunks, strict=True)):
        raise MalformedFileError(f"damaged: chunks of {chunks} in shards of {document.chunks}")
    counts = tuple([outer // inner for outer, inner in zip(document.chunks, chunks, strict=True)])
    if prod(counts) > _MAX_INNER:
        raise MalformedFileError(f"damaged: a shard has {prod(counts)} chunks")
    codecs = parse_codecs_v3(options.get("codecs"))
    if any(one.id == SHARDING for one in codecs):
        raise UnsupportedLayoutError("it has shards inside of shards")
    return Leaf(chunks, codecs, Shard(counts, _has_checksum(options.get("index_codecs")), _location(options)))


def _has_checksum(value: Json) -> bool:
    codecs = parse_codecs_v3(value)
    ids = [one.id for one in codecs]
    if ids not in (["bytes"], ["bytes", "crc32c"]) or codecs[0].options.get("endian", "little") != "little":
        raise UnsupportedLayoutError(f"the index of its shards is encoded by {', '.join(ids)}")
    return len(ids) > 1


def _location(options: Mapping[str, Json]) -> Literal["start", "end"]:
    found = options.get("index_location", "end")
    if found not in ("start", "end"):
        raise MalformedFileError(f"damaged: the index of its shards is at {str(found)[:40]!r}")
    return "start" if found == "start" else "end"
