"""The dataspace message: the shape of a dataset or attribute."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from nwb_dask.backends.hdf5.format.space import AddressSpace, number
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError

_MAX_RANK = 32
_MAX_LENGTH = 1 << 62
_OLD_VERSION, _VERSION = 1, 2
_SCALAR, _SIMPLE, _NULL = range(3)
_HAS_MAXIMA = 1


_USUAL_BYTES = 8
_USUAL = [Struct(f"<{n}Q") for n in range(_MAX_RANK + 1)]
"""Lengths of that many dimensions."""

_LEAST_BYTES = 4
"""Version, rank, flags, and a byte that is the type in version 2."""


@dataclass(frozen=True, slots=True)
class Extent:
    """A shape and how far it may grow."""

    shape: tuple[int, ...] | None
    """() for a scalar; None for a null dataspace, which holds no element."""
    maxshape: tuple[int | None, ...]
    """None for a dimension without bound; () of a null dataspace."""


def read_dataspace(body: memoryview, space: AddressSpace) -> Extent:
    """Return the extent that a dataspace message says.

    Parameters
    ----------
    body : memoryview
        The message, of version 1 or 2.
    space : AddressSpace
        Tells how wide lengths are.

    Raises
    ------
    MalformedFileError
        If it is too short, or no array can be that large.

    References
    ----------
    HDF5 File Format Specification, *Dataspace Message*.
    """
    if len(body) < _LEAST_BYTES:
        raise MalformedFileError("damaged: a dataspace ends before its dimensions")
    version, rank, flags = body[0], body[1], body[2]
    if version not in (_OLD_VERSION, _VERSION):
        raise UnsupportedLayoutError(f"dataspaces of version {version} are not read")
    if rank > _MAX_RANK:
        raise MalformedFileError(f"damaged: a shape of {rank} dimensions")
    first = 8
    if version == _VERSION:
        first = 4
        kind = body[3]
        if kind > _NULL or (kind == _SCALAR and rank):
            raise MalformedFileError(f"damaged: a dataspace of unknown type {kind}")
        if kind == _NULL:
            return Extent(None, ())
    if not rank:
        return Extent((), ())
    shape = _lengths(body, first, rank, space.length_bytes)
    if max(shape) > _MAX_LENGTH:
        raise MalformedFileError(f"damaged: its shape is {shape}")
    if not flags & _HAS_MAXIMA:
        return Extent(shape, shape)
    unlimited = (1 << 8 * space.length_bytes) - 1
    maxima = _lengths(body, first + rank * space.length_bytes, rank, space.length_bytes)
    if any(length > most for length, most in zip(shape, maxima, strict=True)):
        raise MalformedFileError(f"damaged: its shape is {shape}, and its largest shape {maxima}")
    return Extent(shape, tuple([None if length == unlimited else length for length in maxima]))


def _lengths(body: memoryview, first: int, n: int, n_bytes: int) -> tuple[int, ...]:
    if n_bytes != _USUAL_BYTES:
        return tuple([number(body, first + i * n_bytes, n_bytes) for i in range(n)])
    if first + n * n_bytes > len(body):
        raise MalformedFileError("damaged: a dataspace ends before its dimensions")
    return _USUAL[n].unpack_from(body, first)
