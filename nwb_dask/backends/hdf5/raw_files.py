"""Data in raw files beside an HDF5 file: which bytes of which file stand where.

HDF5 file format, *External Data Files Message*.

libhdf5 is asked for the list alone. The bytes are read here, so that no file is opened that was not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from h5py import h5p

from nwb_dask.backends.hdf5.paths import text
from nwb_dask.errors import MalformedFileError
from nwb_dask.storage import AllowedStore, Buffer

_UNLIMITED = 2**63
_MAX_FILES = 1 << 16


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes ``[start, stop)`` of a dataset, at `offset` of a raw file."""

    filename: str
    offset: int
    start: int
    stop: int


def read_segments(properties: h5p.PropDCID, n_bytes: int) -> tuple[Segment, ...]:
    """Return where `n_bytes` of a dataset are, in their order.

    Raises
    ------
    MalformedFileError
        If the raw files have no room for them.
    """
    count = properties.get_external_count()
    if count > _MAX_FILES:
        raise MalformedFileError(f"damaged: its data are in {count} files")
    segments: list[Segment] = []
    at = 0
    for number in range(count):
        name, offset, size = properties.get_external(number)
        stop = n_bytes if size >= _UNLIMITED else min(at + int(size), n_bytes)
        segments.append(Segment(text(name), int(offset), at, stop))
        at = stop
    if at < n_bytes:
        raise MalformedFileError(f"damaged: it is of {n_bytes} bytes, and its raw files have room for {at}")
    return tuple(segments)


@dataclass(frozen=True, slots=True)
class RawFiles:
    """The bytes of a dataset, of raw files that are opened one after the other."""

    segments: tuple[Segment, ...]
    opened: Callable[[str], AbstractContextManager[AllowedStore]]

    def require(self, start: int, stop: int) -> None:
        """Raise unless the raw files hold the bytes ``[start, stop)``, before memory is taken for them.

        libhdf5 reads zeros behind the end of a raw file.

        Raises
        ------
        MalformedFileError
            If a raw file is too short.
        """
        for segment in self._touched(start, stop):
            with self.opened(segment.filename) as store:
                needed = segment.offset + min(stop, segment.stop) - segment.start
                if segment.offset < 0 or needed > store.size:
                    message = f"truncated: its data reach to byte {needed} of {store.path}, which has {store.size}"
                    raise MalformedFileError(message)

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[Buffer]:
        """Return the bytes of each half-open range of the dataset."""
        return [self._range(start, stop) for start, stop in ranges]

    def _range(self, start: int, stop: int) -> Buffer:
        parts: list[Buffer] = []
        for segment in self._touched(start, stop):
            first, last = max(start, segment.start) - segment.start, min(stop, segment.stop) - segment.start
            with self.opened(segment.filename) as store:
                parts += store.read([(segment.offset + first, segment.offset + last)])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _touched(self, start: int, stop: int) -> list[Segment]:
        return [one for one in self.segments if one.start < stop and start < one.stop]
