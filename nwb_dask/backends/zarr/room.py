"""Whether a store can hold what one of its documents declares, before memory is taken for it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from nwb_dask.backends.zarr.documents import ArrayDocument, Codec
from nwb_dask.backends.zarr.hierarchy import KeySource
from nwb_dask.backends.zarr.shard_index import extent_of, index_range
from nwb_dask.backends.zarr.shards import Leaf, Shard, leaf_of
from nwb_dask.errors import MalformedFileError
from nwb_dask.storage import KeyRange

_MAX_FILL_BYTES = 1 << 30
"""Elements that were never written."""
_MAX_PROBED = 1024
"""Chunks that are asked for where there is no listing."""
_N_WEIGHED = 16
_DEFLATION = 15
"""More than any codec can, as a shift: a block of zstd of four bytes holds at most 128 KiB (RFC 8878)."""
_AS_THEY_ARE = frozenset({"bytes", "endian", "transpose"})
"""Codecs that keep the number of bytes."""


class Room:
    """Counts the chunks that were written, and weighs some, where much is asked for.

    Parameters
    ----------
    keys : KeySource
        The store.
    """

    def __init__(self, keys: KeySource) -> None:
        self._keys = keys
        self._written: dict[str, int] = {}

    def require(self, document: ArrayDocument, n_bytes: int) -> None:
        """Raise unless the store can hold `n_bytes` of an array, or they are not too many to make up.

        Raises
        ------
        MalformedFileError
            If more than 1 GiB was never written, or is said to be in chunks that are too short for it.
        """
        if n_bytes <= _MAX_FILL_BYTES:
            return
        written = self._written.get(document.path)
        if written is None:
            written = self._written[document.path] = self._hold(document)
        if n_bytes > written + _MAX_FILL_BYTES:
            message = f"{n_bytes} bytes are declared, and the chunks that were ever written can hold {written}"
            raise MalformedFileError(message)

    def _hold(self, document: ArrayDocument) -> int:
        """Return how many bytes of elements the chunks can hold that were written."""
        folder = document.path.strip("/")
        prefix = f"{folder}/" if folder else ""
        listed = self._keys.list_keys(prefix)
        if listed is not None:
            chunks = [key for key in listed if not key.rpartition("/")[2].startswith((".z", "zarr.json"))]
            step = max(len(chunks) // _N_WEIGHED, 1)
            return self._weighed(document, chunks[::step], len(chunks))
        return self._probe(document, prefix)

    def _weighed(self, document: ArrayDocument, some: list[str], n_chunks: int) -> int:
        """Return how many bytes the chunks that are there can hold, as `some` of them show."""
        if not some:
            return 0
        leaf = leaf_of(document)
        if leaf.shard is not None:
            return sum(self._in_shard(document, leaf, leaf.shard, key) for key in some) * n_chunks // len(some)
        shift = _shift_of(document.codecs)
        least = document.chunk_bytes >> shift
        if not least:
            return n_chunks * document.chunk_bytes
        found = self._keys.read_keys([(key, (least - 1, least)) for key in some])
        n_sound = sum(data is not None and len(data) > 0 for data in found)
        return n_sound * n_chunks // len(some) * document.chunk_bytes

    def _in_shard(self, document: ArrayDocument, leaf: Leaf, shard: Shard, key: str) -> int:
        """Return how many bytes the chunks of a shard can hold, as its index and its length have it."""
        (data,) = self._keys.read_keys([(key, index_range(shard))])
        try:
            n_written, stop = (0, 0) if data is None else extent_of(data, shard)
        except MalformedFileError:
            # It raises when it is read.
            return 0
        if not n_written:
            return 0
        (last,) = self._keys.read_keys([(key, (stop - 1, stop))])
        n_leaf = prod(leaf.chunks) * document.dtype.itemsize
        return min(n_written * n_leaf, stop << _shift_of(leaf.codecs)) if last is not None and len(last) else 0

    def _probe(self, document: ArrayDocument, prefix: str) -> int:
        """Return how many bytes the chunks can hold; asks for a byte of each, or of some."""
        counts = [-(-length // chunk) for length, chunk in zip(document.shape, document.chunks, strict=True)]
        n_chunks = prod(counts)
        n_asked = min(n_chunks, _MAX_PROBED)
        # Evenly spaced ones stand for all.
        numbers = [number * n_chunks // n_asked for number in range(n_asked)]
        wanted: list[KeyRange] = [(prefix + document.keys.key(_place(number, counts)), (0, 1)) for number in numbers]
        there = [key for (key, _), data in zip(wanted, self._keys.read_keys(wanted), strict=True) if data is not None]
        step = max(len(there) // _N_WEIGHED, 1)
        return self._weighed(document, there[::step], len(there) * n_chunks // n_asked)


def _shift_of(codecs: Sequence[Codec]) -> int:
    """Return how many times as much codecs may make of stored bytes, as a shift."""
    return 0 if all(one.id in _AS_THEY_ARE for one in codecs) else _DEFLATION


def _place(number: int, counts: list[int]) -> tuple[int, ...]:
    """Return the place of a chunk in the grid by its number in row-major order."""
    place: list[int] = []
    for n in reversed(counts):
        number, at = divmod(number, n)
        place.append(at)
    return tuple(place[::-1])
