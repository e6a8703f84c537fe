"""The part of each row that is wanted: a box along the axes behind the first, and where its bytes are. Pure."""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.protocol import Box
from nwb_dask.storage import Buffer

__all__ = [
    "Box",
    "are_apart",
    "box_shape",
    "box_slices",
    "boxes_in",
    "checked_box",
    "hull",
    "whole_box",
]

JOINED_GAP_BYTES = 16 * 1024
"""Stretches less than this apart are read with what lies between them: that much a request may fetch in vain (see
`storage.coalesce`), and a local read of it takes about as long as to ask once more."""


def checked_box(inner: Box | None, shape: tuple[int, ...]) -> Box | None:
    """Return `inner` checked against the axes of `shape` behind the first; None where it is all of them.

    Raises
    ------
    IndexError
        If it is not of as many axes, or reaches outside of one: the caller is wrong, not the file.
    """
    if inner is None:
        return None
    lengths = shape[1:]
    if len(inner) != len(lengths):
        raise IndexError(f"a box of {len(inner)} axes in rows of {len(lengths)}")
    for (start, stop), length in zip(inner, lengths, strict=True):
        if not 0 <= start <= stop <= length:
            raise IndexError(f"a box of [{start}, {stop}) along an axis of length {length}")
    box = tuple([(int(start), int(stop)) for start, stop in inner])
    return None if box == whole_box(lengths) else box


def whole_box(lengths: tuple[int, ...]) -> Box:
    """Return the box that is all of a row of shape `lengths`."""
    return tuple([(0, length) for length in lengths])


def box_shape(box: Box) -> tuple[int, ...]:
    """Return the lengths of a box."""
    return tuple([stop - start for start, stop in box])


def box_slices(box: Box) -> tuple[slice, ...]:
    """Return the index of a box within a row."""
    return tuple([slice(start, stop) for start, stop in box])


def strides_of(lengths: tuple[int, ...], item_bytes: int) -> tuple[int, ...]:
    """Return the bytes from one index to the next along each axis of a row."""
    return tuple([prod(lengths[axis + 1 :]) * item_bytes for axis in range(len(lengths))])


def hull(lengths: tuple[int, ...], box: Box, item_bytes: int) -> tuple[int, int]:
    """Return the half-open bytes of a row from the first to the last of a box in it, which is not empty."""
    strides = strides_of(lengths, item_bytes)
    first = sum(start * stride for (start, _), stride in zip(box, strides, strict=True))
    last = sum((stop - 1) * stride for (_, stop), stride in zip(box, strides, strict=True))
    return first, last + item_bytes


def are_apart(row_bytes: int, hull_bytes: int) -> bool:
    """Return whether the boxes of rows that follow each other are so far apart that each is read by itself."""
    return row_bytes - hull_bytes >= JOINED_GAP_BYTES


def boxes_in(
    data: Buffer, *, n_rows: int, row_bytes: int, lengths: tuple[int, ...], box: Box, unit: np.dtype[np.generic]
) -> npt.NDArray[np.generic]:
    """Return the boxes of rows as a view of bytes that begin with the first box and end with the last.

    Parameters
    ----------
    data : buffer
        From the first byte of the `hull` in the first row to the last of that in the last row.
    n_rows : int
        Number of rows.
    row_bytes : int
        From a row to the next: that of the rows, or that of hulls which follow each other.
    lengths : tuple of int
        Shape of a row.
    box : Box
        Within a row.
    unit : dtype
        Of the elements.

    Returns
    -------
    ndarray
        Of shape ``(n_rows, *box_shape(box))``.
    """
    strides = (row_bytes, *strides_of(lengths, unit.itemsize))
    return np.ndarray((n_rows, *box_shape(box)), unit, data, 0, strides)
