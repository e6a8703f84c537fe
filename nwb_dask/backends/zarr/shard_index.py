"""Where the chunks of shards are: their indexes, fetched once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from math import prod
from threading import Lock
from typing import TypeAlias

import google_crc32c
import numpy as np
import numpy.typing as npt

from nwb_dask.backends.zarr.documents import ArrayDocument
from nwb_dask.backends.zarr.hierarchy import KeySource
from nwb_dask.backends.zarr.shards import Leaf, Shard
from nwb_dask.errors import MalformedFileError
from nwb_dask.storage import Buffer, KeyRange

Key: TypeAlias = "Callable[[tuple[int, ...]], str]"

_NOTHING = (1 << 64) - 1
"""Offset and length of a chunk that was never written (``sharding_indexed``, *Binary shard format*)."""
_MAX_KEPT = 4096
_CHECKSUM_BYTES = 4
_MAX_OFFSET = 1 << 62

Where: TypeAlias = "npt.NDArray[np.uint64]"


class ShardIndexes:
    """Indexes of the shards of one store; those used last stay.

    Parameters
    ----------
    keys : KeySource
        Its bytes.
    """

    def __init__(self, keys: KeySource) -> None:
        self._keys = keys
        self._lock = Lock()
        self._kept: OrderedDict[str, Where | None] = OrderedDict()

    def fetch(self, wanted: Iterable[tuple[ArrayDocument, Leaf, Key, tuple[int, ...]]]) -> None:
        """Fetch, in one round, the indexes of the shards that hold chunks."""
        missing: dict[str, Shard] = {}
        for _, leaf, key, place in wanted:
            shard = leaf.shard
            if shard is not None and (name := key(_outer(place, shard))) not in self._kept:
                missing[name] = shard
        if not missing:
            return
        asked: list[KeyRange] = [
            (name, shard.index_bytes if shard.location == "end" else (0, shard.index_bytes))
            for name, shard in missing.items()
        ]
        found = self._keys.read_keys(asked)
        with self._lock:
            for (name, shard), data in zip(missing.items(), found, strict=True):
                self._kept[name] = None if data is None else _parsed(data, shard)
            while len(self._kept) > max(_MAX_KEPT, len(missing)):
                self._kept.popitem(last=False)

    def find(
        self, document: ArrayDocument, leaf: Leaf, key: Key, place: tuple[int, ...]
    ) -> tuple[str, int, int] | None:
        """Return the key of a shard and the half-open bytes in it of a chunk; None if it was never written."""
        shard = leaf.shard
        assert shard is not None  # noqa: S101  # its callers know
        name = key(_outer(place, shard))
        if name not in self._kept:
            self.fetch([(document, leaf, key, place)])
        where = self._kept.get(name)
        if where is None:
            return None
        inner = tuple([at % n for at, n in zip(place, shard.counts, strict=True)])
        offset, length = (int(one) for one in where[inner])
        if offset == _NOTHING and length == _NOTHING:
            return None
        if offset > _MAX_OFFSET or length > _MAX_OFFSET:
            raise MalformedFileError("damaged: the index of a shard leads out of it")
        return name, offset, offset + length


def _outer(place: tuple[int, ...], shard: Shard) -> tuple[int, ...]:
    return tuple([at // n for at, n in zip(place, shard.counts, strict=True)])


def _parsed(data: Buffer, shard: Shard) -> Where:
    if len(data) != shard.index_bytes:
        raise MalformedFileError(f"damaged: a shard of {len(data)} bytes has no room for its index")
    body = bytes(data)
    if shard.has_checksum:
        body, stored = body[:-_CHECKSUM_BYTES], body[-_CHECKSUM_BYTES:]
        if int.from_bytes(stored, "little") != google_crc32c.value(body):
            raise MalformedFileError("damaged: the checksum of the index of a shard is not that of what is stored")
    return np.frombuffer(body, "<u8", 2 * prod(shard.counts)).reshape(*shard.counts, 2)
