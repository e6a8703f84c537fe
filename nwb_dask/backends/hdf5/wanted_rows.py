"""Rows that are wanted of a dataset, or a box of each, and the array that they become. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.boxes import Box, are_apart, box_shape, hull, whole_box
from nwb_dask.backends.hdf5.spans import Spans, count, join, rows
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry
from nwb_dask.storage import Buffer

Raw = npt.NDArray[np.generic]

_MAX_LENGTH = 1 << 62


@dataclass(frozen=True, slots=True, eq=False)
class WantedRows:
    """Some rows of a dataset, or a box of each; the rows of a scalar are one."""

    spans: Spans
    n_rows: int
    lengths: tuple[int, ...]
    """Shape of a row in the file."""
    box: Box
    """What is wanted of each row."""
    dtype: np.dtype[np.generic]
    """As stored; void of their size for elements that numpy does not know."""
    fill: Raw | None
    """Unit that stands where nothing was written, shape (1,); None for zeros."""

    @property
    def inner(self) -> tuple[int, ...]:
        """Shape of a row of the result."""
        return box_shape(self.box)

    @property
    def is_whole(self) -> bool:
        """Whether rows are wanted whole."""
        return self.inner == self.lengths

    @property
    def item_bytes(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize

    @property
    def stored_row_bytes(self) -> int:
        """Bytes of a row in the file, decoded."""
        return prod(self.lengths) * self.dtype.itemsize

    @property
    def n_bytes(self) -> int:
        """Bytes of the result."""
        return self.n_rows * prod(self.inner) * self.dtype.itemsize

    @property
    def unit(self) -> np.dtype[np.generic]:
        """What elements are copied as: numbers are moved faster than bytes without a meaning."""
        return unit_of(self.item_bytes)

    def empty(self) -> Raw:
        """Return an array of units for the result, not initialised."""
        return np.empty((self.n_rows, *self.inner), self.unit)

    def unwritten(self) -> Raw:
        """Return an array of units for the result, as if nothing had been written."""
        shape = (self.n_rows, *self.inner)
        return np.zeros(shape, self.unit) if self.fill is None else np.full(shape, self.fill, self.unit)

    def typed(self, units: Raw) -> Raw:
        """Return an array of units in the stored dtype and the shape of the result."""
        shape = (self.n_rows, *self.inner, *self.dtype.shape)
        if not units.size:
            return np.empty(shape, self.dtype.base)
        return units.reshape(-1).view(self.dtype.base).reshape(shape)

    def joined(self, parts: Sequence[Buffer]) -> Raw:
        """Return bytes that are the rows in the stored dtype, without a copy if they are in one part."""
        flat = np.frombuffer(parts[0] if len(parts) == 1 else b"".join(parts), self.dtype.base)
        return flat.reshape((self.n_rows, *self.inner, *self.dtype.shape))

    def folded(self) -> WantedRows:
        """Return the same elements, in the same order, as boxes of shorter rows, if those are far apart in the file.

        A box in a row of few long parts is a hull of mostly unwanted bytes; the parts then count as rows.
        """
        found = self
        while len(found.lengths) > 1 and _is_worth_folding(found):
            (start, stop), n_parts = found.box[0], found.lengths[0]
            firsts = rows(found.spans[:, 0], found.spans[:, 1]) * n_parts
            spans = join(np.stack((firsts + start, firsts + stop), axis=1), gap=0)
            found = replace(found, spans=spans, n_rows=count(spans), lengths=found.lengths[1:], box=found.box[1:])
        return found


def _is_worth_folding(wanted: WantedRows) -> bool:
    lengths, box, item_bytes = wanted.lengths[1:], wanted.box[1:], wanted.item_bytes
    first, last = hull(lengths, box, item_bytes)
    return wanted.inner[0] > 1 and are_apart(prod(lengths) * item_bytes, last - first)


def wanted_rows(entry: ArrayEntry, spans: Spans, box: Box | None = None) -> WantedRows:
    """Return the rows `spans` of `entry`, or a `box` of each.

    Raises
    ------
    MalformedFileError
        If its shape is one that no array can have, or its fill value is not an element.
    UnsupportedLayoutError
        If its elements have no size.
    """
    shape = entry.shape or ()
    if any(length < 0 or length > _MAX_LENGTH for length in shape):
        raise MalformedFileError(f"damaged: its shape is {shape}")
    dtype = entry.element.dtype
    if dtype is None:
        if entry.element.size <= 0:
            raise UnsupportedLayoutError("its elements have no size", path=entry.path)
        dtype = np.dtype(f"V{entry.element.size}")
    fill: Raw | None = None
    if entry.fill is not None and any(entry.fill):
        if len(entry.fill) != dtype.itemsize:
            raise MalformedFileError(f"damaged: its fill value has {len(entry.fill)} bytes, not {dtype.itemsize}")
        fill = np.frombuffer(entry.fill, unit_of(dtype.itemsize))
    lengths = shape[1:]
    return WantedRows(spans, count(spans), lengths, whole_box(lengths) if box is None else box, dtype, fill)


def unit_of(n_bytes: int) -> np.dtype[np.generic]:
    """Return the dtype of elements of `n_bytes` whatever they mean."""
    return np.dtype(f"<u{n_bytes}" if n_bytes in (1, 2, 4, 8) else f"V{n_bytes}")
