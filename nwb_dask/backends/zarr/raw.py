"""Parts of chunks whose stored bytes are their elements. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from nwb_dask.backends.hdf5.boxes import JOINED_GAP_BYTES, are_apart, boxes_in, hull
from nwb_dask.backends.hdf5.spans import Spans, count, join, rows
from nwb_dask.backends.zarr.grid import Part
from nwb_dask.backends.zarr.meaning import Values
from nwb_dask.errors import MalformedFileError
from nwb_dask.storage import Buffer


def raw_ranges(part: Part, chunks: tuple[int, ...], itemsize: int) -> tuple[tuple[int, int], ...]:
    """Return the half-open bytes of a chunk that hold what is wanted of it, little more, in order.

    Parameters
    ----------
    part : Part
        What is wanted.
    chunks : tuple of int
        Shape of a chunk.
    itemsize : int
        Bytes of an element.
    """
    row_bytes = prod(chunks[1:]) * itemsize
    first, last = hull(chunks[1:], part.box, itemsize)
    return tuple(
        [
            (start * row_bytes + first, (stop - 1) * row_bytes + last)
            for start, stop in _stretches(part.pieces, row_bytes, last - first).tolist()
        ]
    )


def raw_values(
    target: Values, part: Part, buffers: Sequence[Buffer | None], chunks: tuple[int, ...], dtype: np.dtype[Any]
) -> None:
    """Put what is wanted of a chunk into the result.

    Parameters
    ----------
    target : ndarray
        Where it goes.
    part : Part
        What is wanted.
    buffers : sequence of buffer
        The bytes of `raw_ranges`.
    chunks : tuple of int
        Shape of a chunk.
    dtype : dtype
        Of the elements.

    Raises
    ------
    MalformedFileError
        If the chunk is shorter than it should be.
    """
    row_bytes = prod(chunks[1:]) * dtype.itemsize
    first, last = hull(chunks[1:], part.box, dtype.itemsize)
    stretches = _stretches(part.pieces, row_bytes, last - first)
    pieces = part.pieces
    at = done = 0
    for (start, stop), data in zip(stretches.tolist(), buffers, strict=True):
        n_bytes = (stop - start - 1) * row_bytes + last - first
        if data is None or len(data) != n_bytes:
            n_stored = 0 if data is None else len(data)
            raise MalformedFileError(f"damaged: a chunk holds {n_stored} bytes in place of {n_bytes}")
        found = boxes_in(data, n_rows=stop - start, row_bytes=row_bytes, lengths=chunks[1:], box=part.box, unit=dtype)
        inside = int(np.searchsorted(pieces[:, 0], stop))
        mine = pieces[at:inside]
        n = count(mine)
        target[done : done + n] = found if n == stop - start else found[rows(mine[:, 0], mine[:, 1]) - start]
        at, done = inside, done + n


def _stretches(pieces: Spans, row_bytes: int, hull_bytes: int) -> Spans:
    """Return rows that are read together: those near each other, and each by itself where the boxes are far apart."""
    if are_apart(row_bytes, hull_bytes):
        numbers = rows(pieces[:, 0], pieces[:, 1])
        return np.stack((numbers, numbers + 1), axis=1)
    return join(pieces, gap=JOINED_GAP_BYTES // max(row_bytes, 1))
