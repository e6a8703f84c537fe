"""Which chunks hold what is wanted of an array, and where it goes in the result. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.boxes import Box, whole_box
from nwb_dask.backends.hdf5.spans import Spans, cut, rows

Index: TypeAlias = "slice | npt.NDArray[np.int64]"


class Part(NamedTuple):
    """What is wanted of one chunk."""

    place: tuple[int, ...]
    """Of the chunk in the grid."""
    pieces: Spans
    """Rows, counted within the chunk."""
    box: Box
    """Of each row, counted within the chunk."""
    out: tuple[slice, ...]
    """Where it goes in the result."""

    def pick(self) -> tuple[Index, ...]:
        """Return the index of what is wanted in the elements of the chunk."""
        first: Index
        if len(self.pieces) == 1:
            first = slice(int(self.pieces[0, 0]), int(self.pieces[0, 1]))
        else:
            first = rows(self.pieces[:, 0], self.pieces[:, 1])
        return (first, *(slice(start, stop) for start, stop in self.box))


class _Along(NamedTuple):
    """What is wanted of the chunks of one number along an axis."""

    number: int
    start: int
    stop: int
    out: slice


def parts(shape: Sequence[int], chunks: Sequence[int], spans: Spans, box: Box | None) -> Iterator[Part]:
    """Yield what is wanted of each chunk, in the order of the grid.

    Parameters
    ----------
    shape, chunks : sequence of int
        Of an array, of one dimension at least, and of its chunks.
    spans : ndarray of int64, shape (n, 2)
        Tidy rows, not empty.
    box : Box or None
        Of each row, not empty; None for all of it.
    """
    inner = whole_box(tuple(shape[1:])) if box is None else box
    others = [list(_along(start, stop, chunk)) for (start, stop), chunk in zip(inner, chunks[1:], strict=True)]
    pieces = cut(spans, chunk_rows=chunks[0])
    breaks = np.flatnonzero(np.diff(pieces.chunk)) + 1
    bounds = [0, *breaks.tolist(), len(pieces.chunk)]
    for first, last in pairwise(bounds):
        here = np.stack((pieces.start[first:last], pieces.stop[first:last]), axis=1)
        begin = int(pieces.out[first])
        out = slice(begin, begin + int((here[:, 1] - here[:, 0]).sum()))
        number = int(pieces.chunk[first])
        for along in product(*others):
            yield Part(
                (number, *(one.number for one in along)),
                here,
                tuple([(one.start, one.stop) for one in along]),
                (out, *(one.out for one in along)),
            )


def _along(start: int, stop: int, chunk: int) -> Iterator[_Along]:
    for number in range(start // chunk, -(-stop // chunk)):
        base = number * chunk
        low, high = max(start, base), min(stop, base + chunk)
        yield _Along(number, low - base, high - base, slice(low - start, high - start))


def n_touched(chunks: Sequence[int], spans: Spans, inner: Box) -> int:
    """Return how many chunks hold some of what is wanted; a Python integer, which does not overflow."""
    first, last = spans[:, 0] // chunks[0], (spans[:, 1] - 1) // chunks[0]
    # A chunk that several spans touch counts once: spans increase.
    shared = int((first[1:] == last[:-1]).sum()) if len(spans) > 1 else 0
    total: int = sum((last - first + 1).tolist()) - shared
    for (start, stop), chunk in zip(inner, chunks[1:], strict=True):
        total *= -(-stop // chunk) - start // chunk
    return total
