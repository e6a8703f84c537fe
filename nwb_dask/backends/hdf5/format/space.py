"""A file as its own structures address it: little-endian numbers, and addresses that count from the superblock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from numcodecs.jenkins import jenkins_lookup3

from nwb_dask.errors import MalformedFileError

T = TypeVar("T")

_CHECKSUM_BYTES = 4


class Need(Exception):  # noqa: N818  # no error: the bytes come, and the work is done again
    """Bytes are not here yet; whoever runs the work fetches them and runs it again from its start.

    Attributes
    ----------
    ranges : tuple of (int, int)
        Half-open positions in the file.
    """

    def __init__(self, ranges: tuple[tuple[int, int], ...]) -> None:
        super().__init__(ranges)
        self.ranges = ranges


class Image(Protocol):
    """The bytes of one version of a file, as far as they are here."""

    @property
    def size(self) -> int:
        """Length of the file in bytes."""

    def view(self, start: int, stop: int, *, once: bool = False) -> memoryview:
        """Return the bytes ``[start, stop)`` of the file.

        Parameters
        ----------
        once : bool
            Whether nobody will ask for these bytes again, so that they need not be kept.

        Raises
        ------
        Need
            If some are not here.
        MalformedFileError
            If the file does not reach there.
        """


@dataclass(frozen=True, slots=True)
class AddressSpace:
    """A file together with what its superblock says about addresses and lengths.

    All numbers are little-endian. Addresses, as structures hold them, count from `base`.
    """

    image: Image
    base: int
    """Position of the superblock in the file, or what it says instead: the bytes of the user block."""
    offset_bytes: int = 8
    """Bytes of an address: 2, 4, 8 (16 and 32 are refused)."""
    length_bytes: int = 8
    """Bytes of a length."""
    may_share: bool = True
    """Whether the file may have a heap of shared messages; without one, a message in it is damage."""

    def read(self, address: int, n_bytes: int, *, once: bool = False) -> memoryview:
        """Return `n_bytes` from `address` on; as `Image.view`."""
        start = self.base + address
        return self.image.view(start, start + n_bytes, once=once)

    def checked(self, address: int, n_bytes: int, *, what: str) -> memoryview:
        """Return a structure without the checksum in its last four bytes, which is verified.

        Raises
        ------
        MalformedFileError
            If the checksum is wrong; `what` names the structure.
        """
        whole = self.read(address, n_bytes)
        verify(whole, what=what)
        return whole[:-_CHECKSUM_BYTES]

    def offset(self, data: memoryview, at: int) -> int | None:
        """Return the address at position `at` of `data`; None for the undefined address (all bits set)."""
        raw = bytes(data[at : at + self.offset_bytes])
        if len(raw) != self.offset_bytes:
            raise MalformedFileError("damaged: a structure ends before an address that it must hold")
        return None if raw == b"\xff" * self.offset_bytes else int.from_bytes(raw, "little")

    def length(self, data: memoryview, at: int) -> int:
        """Return the length at position `at` of `data`."""
        return number(data, at, self.length_bytes)


def number(data: memoryview, at: int, n_bytes: int) -> int:
    """Return the unsigned little-endian number of `n_bytes` at position `at` of `data`."""
    raw = data[at : at + n_bytes]
    if len(raw) != n_bytes:
        raise MalformedFileError("damaged: a structure ends before a number that it must hold")
    return int.from_bytes(raw, "little")


def verify(whole: memoryview, *, what: str) -> None:
    """Raise unless the last four bytes are Jenkins' lookup3 of those before (HDF5 file format, *Appendix C*)."""
    if len(whole) < _CHECKSUM_BYTES:
        raise MalformedFileError(f"damaged: {what} is shorter than its checksum")
    body = whole[:-_CHECKSUM_BYTES]
    if jenkins_lookup3(body, 0) != int.from_bytes(whole[-_CHECKSUM_BYTES:], "little"):
        raise MalformedFileError(f"damaged: the checksum of {what} is wrong")


def gather(calls: Iterable[Callable[[], T]]) -> list[T]:
    """Return what all calls return; if some raise `Need`, raise one `Need` for all of them.

    So that independent parts of one structure are fetched in one round.
    """
    out: list[T] = []
    missing: list[tuple[int, int]] = []
    for call in calls:
        try:
            out.append(call())
        except Need as need:
            missing.extend(need.ranges)
    if missing:
        raise Need(tuple(missing))
    return out
