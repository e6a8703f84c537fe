"""Where the chunks of shards are: their indexes, fetched once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from math import prod
from threading import Lock
from typing import TypeAlias

import google_crc32c
import numpy as np
import numpy.typing as npt

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
Found: TypeAlias = "Mapping[str, Where | MalformedFileError | None]"
"""Indexes of shards by key; what is wrong with one; None where no shard was written."""


class ShardIndexes:
    """Indexes of the shards of one store; those of a remote one that were used last stay.

    Parameters
    ----------
    keys : KeySource
        Its bytes.
    """

    def __init__(self, keys: KeySource) -> None:
        self._keys = keys
        self._lock = Lock()
        self._kept: OrderedDict[str, Where | MalformedFileError | None] = OrderedDict()

    def fetch(self, wanted: Iterable[tuple[Leaf, Key, tuple[int, ...]]]) -> Found:
        """Return the indexes of the shards that hold chunks, by key; those that are not at hand come in one round."""
        shards = {key(_outer(place, leaf.shard)): leaf.shard for leaf, key, place in wanted if leaf.shard is not None}
        with self._lock:
            out = {name: self._kept[name] for name in shards if name in self._kept}
        missing = {name: shard for name, shard in shards.items() if name not in out}
        if not missing:
            return out
        asked: list[KeyRange] = [(name, index_range(shard)) for name, shard in missing.items()]
        found = self._keys.read_keys(asked)
        for (name, shard), data in zip(missing.items(), found, strict=True):
            out[name] = None if data is None else _read(data, shard)
        # A local file may be written again between two reads, and looking again costs no request.
        if self._keys.local_path is None:
            with self._lock:
                self._kept.update({name: out[name] for name in missing})
                while len(self._kept) > _MAX_KEPT:
                    self._kept.popitem(last=False)
        return out

    def forget(self) -> None:
        """Forget all of them: a shard has turned out to be another than it was."""
        with self._lock:
            self._kept.clear()


def index_range(shard: Shard) -> tuple[int, int] | int:
    """Return which bytes of a shard are its index, as a `KeyRange` says it."""
    return shard.index_bytes if shard.location == "end" else (0, shard.index_bytes)


def extent_of(data: Buffer, shard: Shard) -> tuple[int, int]:
    """Return how many chunks the index of a shard has, and where the last of them ends.

    Raises
    ------
    MalformedFileError
        If the index is damaged, or leads out of any file.
    """
    where = _parsed(data, shard).reshape(-1, 2)
    written = where[(where != _NOTHING).any(axis=1)]
    if (written > _MAX_OFFSET).any():
        raise MalformedFileError("damaged: the index of a shard leads out of it")
    return len(written), int(written.sum(axis=1).max(initial=0))


def find_chunk(found: Found, leaf: Leaf, key: Key, place: tuple[int, ...]) -> tuple[str, int, int] | None:
    """Return the key of a shard and the half-open bytes in it of a chunk; None if it was never written.

    Parameters
    ----------
    found : mapping
        What `ShardIndexes.fetch` returned for it.
    """
    shard = leaf.shard
    assert shard is not None  # noqa: S101  # its callers know
    name = key(_outer(place, shard))
    where = found[name]
    if where is None:
        return None
    if isinstance(where, MalformedFileError):
        raise MalformedFileError(where.message)
    inner = tuple([at % n for at, n in zip(place, shard.counts, strict=True)])
    offset, length = (int(one) for one in where[inner])
    if offset == _NOTHING and length == _NOTHING:
        return None
    if offset > _MAX_OFFSET or length > _MAX_OFFSET:
        raise MalformedFileError("damaged: the index of a shard leads out of it")
    return name, offset, offset + length


def _outer(place: tuple[int, ...], shard: Shard) -> tuple[int, ...]:
    return tuple([at // n for at, n in zip(place, shard.counts, strict=True)])


def _read(data: Buffer, shard: Shard) -> Where | MalformedFileError:
    """Return the index of a shard, or what is wrong with it, which concerns the array alone."""
    try:
        return _parsed(data, shard)
    except MalformedFileError as exc:
        return exc


def _parsed(data: Buffer, shard: Shard) -> Where:
    if len(data) != shard.index_bytes:
        raise MalformedFileError(f"damaged: a shard of {len(data)} bytes has no room for its index")
    body = bytes(data)
    if shard.has_checksum:
        body, stored = body[:-_CHECKSUM_BYTES], body[-_CHECKSUM_BYTES:]
        if int.from_bytes(stored, "little") != google_crc32c.value(body):
            raise MalformedFileError("damaged: the checksum of the index of a shard is not that of what is stored")
    return np.frombuffer(body, "<u8", 2 * prod(shard.counts)).reshape(*shard.counts, 2)
