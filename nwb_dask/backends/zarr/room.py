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


class Room:
    """Counts the chunks that were written, where much is asked for.

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
            If more than 1 GiB was never written.
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
            return sum(not key.rpartition("/")[2].startswith((".z", "zarr.json")) for key in listed)
        return self._probe(document, prefix)

    def _probe(self, document: ArrayDocument, prefix: str) -> int:
        """Return how many chunks were written; asks for a byte of each, or of some."""
        counts = [-(-length // chunk) for length, chunk in zip(document.shape, document.chunks, strict=True)]
        n_chunks = prod(counts)
        n_asked = min(n_chunks, _MAX_PROBED)
        # Evenly spaced ones stand for all.
        numbers = [number * n_chunks // n_asked for number in range(n_asked)]
        wanted: list[KeyRange] = [(prefix + document.keys.key(_place(number, counts)), (0, 1)) for number in numbers]
        found = sum(data is not None for data in self._keys.read_keys(wanted))
        return found * n_chunks // n_asked


def _place(number: int, counts: list[int]) -> tuple[int, ...]:
    """Return the place of a chunk in the grid by its number in row-major order."""
    place: list[int] = []
    for n in reversed(counts):
        number, at = divmod(number, n)
        place.append(at)
    return tuple(place[::-1])
