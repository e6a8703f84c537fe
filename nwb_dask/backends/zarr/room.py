"""Whether a store can hold what one of its documents declares, before memory is taken for it."""

from __future__ import annotations

from math import prod

from nwb_dask.backends.zarr.documents import ArrayDocument
from nwb_dask.backends.zarr.hierarchy import KeySource
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
            written = self._written[document.path] = self._count(document)
        if n_bytes > written * document.chunk_bytes + _MAX_FILL_BYTES:
            message = (
                f"{n_bytes} bytes are declared and only {written} chunks of {document.chunk_bytes} were ever written"
            )
            raise MalformedFileError(message)

    def _count(self, document: ArrayDocument) -> int:
        """Return how many chunks of an array were written."""
        folder = document.path.strip("/")
        prefix = f"{folder}/" if folder else ""
        listed = self._keys.list_keys(prefix)
        if listed is not None:
            chunks = [key for key in listed if not key.rpartition("/")[2].startswith((".z", "zarr.json"))]
            step = max(len(chunks) // _N_WEIGHED, 1)
            return self._weighed(document, chunks[::step], len(chunks))
        return self._probe(document, prefix)

    def _weighed(self, document: ArrayDocument, some: list[str], n_chunks: int) -> int:
        """Return how many of the chunks that are there have bytes enough, as `some` of them show."""
        ids = {one.id for one in document.codecs}
        if "sharding_indexed" in ids or not some:
            # A shard has as much as was written to it.
            return n_chunks
        least = document.chunk_bytes if ids <= _AS_THEY_ARE else document.chunk_bytes >> _DEFLATION
        if not least:
            return n_chunks
        found = self._keys.read_keys([(key, (least - 1, least)) for key in some])
        return sum(data is not None and len(data) > 0 for data in found) * n_chunks // len(some)

    def _probe(self, document: ArrayDocument, prefix: str) -> int:
        """Return how many chunks were written; asks for a byte of each, or of some."""
        counts = [-(-length // chunk) for length, chunk in zip(document.shape, document.chunks, strict=True)]
        n_chunks = prod(counts)
        n_asked = min(n_chunks, _MAX_PROBED)
        # Evenly spaced ones stand for all.
        numbers = [number * n_chunks // n_asked for number in range(n_asked)]
        wanted: list[KeyRange] = [(prefix + document.keys.key(_place(number, counts)), (0, 1)) for number in numbers]
        there = [key for (key, _), data in zip(wanted, self._keys.read_keys(wanted), strict=True) if data is not None]
        step = max(len(there) // _N_WEIGHED, 1)
        return self._weighed(document, there[::step], len(there) * n_chunks // n_asked)


def _place(number: int, counts: list[int]) -> tuple[int, ...]:
    """Return the place of a chunk in the grid by its number in row-major order."""
    place: list[int] = []
    for n in reversed(counts):
        number, at = divmod(number, n)
        place.append(at)
    return tuple(place[::-1])
