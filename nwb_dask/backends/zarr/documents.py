"""What the JSON documents of a Zarr hierarchy say, v2 and v3 alike: frozen values, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np

from nwb_dask.index import FilePath

Json: TypeAlias = Any
"""Whatever a JSON document holds."""

Attributes: TypeAlias = "Mapping[str, Json]"


@dataclass(frozen=True, slots=True)
class Codec:
    """One step from elements to stored bytes, in the order of writing."""

    id: str
    """As numcodecs names it, and Zarr v3 the others: ``zlib``, ``bytes``, ``transpose``, ``sharding_indexed`` ..."""
    options: Mapping[str, Json] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Keys:
    """How the key of a chunk is made of its place in the grid."""

    prefix: str
    """What stands before the first number, separator included: ``"c/"`` by default in v3, nothing in v2."""
    separator: Literal[".", "/"]
    scalar: str
    """Key of the only chunk of an array without dimensions: ``"c"`` by default in v3, ``"0"`` in v2."""

    def key(self, place: tuple[int, ...]) -> str:
        """Return the key of a chunk below that of its array."""
        return self.prefix + self.separator.join(map(str, place)) if place else self.scalar


@dataclass(frozen=True, slots=True)
class GroupDocument:
    """A group."""

    path: FilePath
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class ArrayDocument:
    """An array: what it holds and how it is stored."""

    path: FilePath
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    """Shape of what one key holds: of a shard, where chunks are put into shards."""
    dtype: np.dtype[Any]
    """Of decoded elements, byte order as stored; objects for text, bytes and other values of variable length."""
    fill: Json
    """Element where nothing was written, as it stands in the document; None if it leaves that open."""
    codecs: tuple[Codec, ...]
    keys: Keys
    order: Literal["C", "F"] = "C"
    """Of the elements of a chunk, in v2; v3 has a codec for it."""
    attributes: Attributes = field(default_factory=lambda: MappingProxyType({}))
    version: Literal[2, 3] = 2

    @property
    def chunk_bytes(self) -> int:
        """Bytes of the elements of a chunk; of objects those of their pointers."""
        return prod(self.chunks) * self.dtype.itemsize

    @property
    def n_bytes(self) -> int:
        """Bytes of all elements; of objects those of their pointers."""
        return prod(self.shape) * self.dtype.itemsize


Document: TypeAlias = GroupDocument | ArrayDocument
