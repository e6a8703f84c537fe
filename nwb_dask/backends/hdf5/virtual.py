"""What a virtual dataset is made of: boxes of it, and the boxes of other datasets that stand there. Pure but for h5py.

HDF5 file format, *Data Layout Message* version 4, and *Virtual Dataset* in the reference of ``H5Pset_virtual``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt
from h5py import h5p, h5s

from nwb_dask.backends.hdf5.paths import text
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError

Indices = npt.NDArray[np.int64]

SAME_FILE = "."
_UNLIMITED = 2**64 - 1
_MAX_SOURCES = 1 << 16
_GROWING = (
    "it is virtual, and how large it is depends on other files (a selection without end, or a series of files), which "
    "is not read; write a virtual dataset of a fixed shape"
)


@dataclass(frozen=True, slots=True)
class Run:
    """Indices along one axis: `count` blocks of `block`, the first at `start`, `stride` from one to the next.

    Blocks do not overlap: `stride` is at least `block`, even where there is only one.
    """

    start: int
    stride: int
    count: int
    block: int

    def __len__(self) -> int:
        return self.count * self.block

    @property
    def last(self) -> int:
        """The largest index."""
        return self.start + (self.count - 1) * self.stride + self.block - 1

    def positions(self, wanted: Indices) -> tuple[Indices, Indices]:
        """Return which of `wanted` are in the run, as positions in `wanted` and as positions in the run."""
        away = wanted - self.start
        turn, inside = away // self.stride, away % self.stride
        at = np.flatnonzero((away >= 0) & (turn < self.count) & (inside < self.block))
        return at, turn[at] * self.block + inside[at]

    def at(self, positions: Indices) -> Indices:
        """Return the indices at positions in the run."""
        return self.start + positions // self.block * self.stride + positions % self.block


Box = tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a virtual dataset, and where its values are; both in row-major order."""

    filename: str
    """As stored; ``.`` is the same file."""
    path: str
    virtual: Box
    source: Box | None
    """None for all of the dataset."""


def read_pieces(properties: h5p.PropDCID) -> tuple[Piece, ...]:
    """Return what a virtual dataset is made of, which opens no other file.

    Raises
    ------
    UnsupportedLayoutError
        If its shape depends on other files, or a selection is no box with regular steps.
    MalformedFileError
        If there are more than 65,536 parts.
    """
    require_fixed_extent(properties)
    return tuple([_piece(properties, number) for number in range(properties.get_virtual_count())])


def _piece(properties: h5p.PropDCID, number: int) -> Piece:
    virtual = _box(properties.get_virtual_vspace(number))
    return Piece(
        _unescaped(properties.get_virtual_filename(number)),
        _unescaped(properties.get_virtual_dsetname(number)),
        virtual if virtual is not None else (),
        _box(properties.get_virtual_srcspace(number), is_source=True),
    )


def require_fixed_extent(properties: h5p.PropDCID) -> None:
    """Raise unless the shape of a virtual dataset is its own; libhdf5 opens the other files to say it else."""
    count = properties.get_virtual_count()
    if count > _MAX_SOURCES:
        raise MalformedFileError(f"damaged: it is virtual and made of {count} parts")
    for number in range(count):
        names = (properties.get_virtual_filename(number), properties.get_virtual_dsetname(number))
        spaces = (properties.get_virtual_vspace(number), properties.get_virtual_srcspace(number))
        if any("%b" in str(name).replace("%%", "") for name in names) or any(map(_is_endless, spaces)):
            raise UnsupportedLayoutError(_GROWING)


def _is_endless(space: h5s.SpaceID) -> bool:
    if space.get_select_type() != h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        return False
    _, _, count, block = space.get_regular_hyperslab()
    return _UNLIMITED in (*count, *block)


def _box(space: h5s.SpaceID, *, is_source: bool = False) -> Box | None:
    kind = space.get_select_type()
    if kind == h5s.SEL_ALL:
        return None if is_source else tuple([_all(int(length)) for length in space.shape])
    if kind != h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        raise UnsupportedLayoutError("it is virtual, and a part of it is no box with regular steps, which is not read")
    parts = zip(*space.get_regular_hyperslab(), strict=True)
    return tuple([Run(int(a), max(int(b), int(d), 1), int(c), int(d)) for a, b, c, d in parts])


def _all(length: int) -> Run:
    return Run(0, max(length, 1), 1, length)


def _unescaped(name: str | bytes) -> str:
    plain = text(name) if isinstance(name, bytes) else name
    return plain.replace("%%", "%")


def whole(shape: Sequence[int]) -> Box:
    """Return all of a dataset as a box."""
    return tuple([_all(int(length)) for length in shape])


@dataclass(frozen=True, slots=True)
class Transfer:
    """What one source gives to what is wanted."""

    out: tuple[Indices, ...]
    """Where it stands in what is wanted, along each axis."""
    source: tuple[Indices, ...]
    """Its indices in the source, along each axis; as arrays of the shape of `out` together if `is_folded`."""
    is_folded: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of what it gives."""
        return tuple([len(one) for one in self.out])


def plan_transfer(virtual: Box, source: Box, wanted: Sequence[Indices]) -> Transfer | None:
    """Return what of a source is wanted; None if nothing is.

    Parameters
    ----------
    virtual, source : Box
        The part of the virtual dataset, and the part of the source that stands there.
    wanted : sequence of ndarray of int64
        Indices along each axis of the virtual dataset.

    Raises
    ------
    MalformedFileError
        If the two are not of one size.
    """
    lengths, others = tuple(map(len, virtual)), tuple(map(len, source))
    if len(virtual) != len(wanted) or prod(lengths) != prod(others) or not source:
        raise MalformedFileError(f"damaged: it is virtual, with {others} elements where it has room for {lengths}")
    found = [run.positions(one) for run, one in zip(virtual, wanted, strict=True)]
    out = tuple([one for one, _ in found])
    if any(len(one) == 0 for one in out):
        return None
    positions = [one for _, one in found]
    long = [length for length in lengths if length != 1]
    if long == [length for length in others if length != 1]:
        rest = iter([one for one, length in zip(positions, lengths, strict=True) if length != 1])
        first = np.zeros(1, np.int64)
        chosen = [run.at(next(rest) if len(run) != 1 else first) for run in source]
        return Transfer(out, tuple(chosen), is_folded=False)
    flat = np.ravel_multi_index(np.ix_(*positions), lengths)
    folded = np.unravel_index(flat, others)
    return Transfer(
        out, tuple([run.at(np.asarray(one, np.int64)) for run, one in zip(source, folded, strict=True)]), is_folded=True
    )
