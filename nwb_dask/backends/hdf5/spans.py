"""Arithmetic on rows and chunks. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Spans = npt.NDArray[np.int64]
"""Half-open rows ``[start, stop)``, shape (n, 2), increasing, none empty, none touching the next."""


class Pieces(NamedTuple):
    """Rows cut at chunk boundaries; arrays of one length, in row order."""

    chunk: npt.NDArray[np.int64]
    """Number of the chunk along the first axis."""
    start: npt.NDArray[np.int64]
    """First row, counted within the chunk."""
    stop: npt.NDArray[np.int64]
    """Row after the last, counted within the chunk."""
    out: npt.NDArray[np.int64]
    """Where the first row stands in the result."""


def tidy(spans: npt.NDArray[np.int64] | None, *, n_rows: int) -> Spans:
    """Return `spans` checked against `n_rows`, without empty ones, and touching ones joined; None is all rows.

    Raises
    ------
    IndexError
        If they reach outside the rows or do not increase: the caller is wrong, not the file.
    """
    if spans is None:
        return np.array([[0, n_rows]] if n_rows else [], np.int64).reshape(-1, 2)
    spans = np.asarray(spans, np.int64).reshape(-1, 2)
    if len(spans) == 0:
        return spans
    bounds = spans.reshape(-1)
    if bounds[0] >= 0 and bounds[-1] <= n_rows and (bounds[1:] > bounds[:-1]).all():
        # Tidy already, as from whoever makes them of row numbers.
        return spans
    starts, stops = spans[:, 0], spans[:, 1]
    if starts[0] < 0 or (stops < starts).any() or (starts[1:] < stops[:-1]).any() or stops[-1] > n_rows:
        raise IndexError(f"spans of {n_rows} rows must lie within them, increase, and not overlap")
    return join(spans[stops > starts], gap=0)


def join(spans: Spans, *, gap: int) -> Spans:
    """Return `spans` with those joined that at most `gap` rows lie between."""
    if len(spans) < 2:  # noqa: PLR2004  # nothing to join with
        return spans
    breaks = np.flatnonzero(spans[1:, 0] - spans[:-1, 1] > gap)
    starts = spans[np.concatenate(([0], breaks + 1)), 0]
    stops = spans[np.concatenate((breaks, [len(spans) - 1])), 1]
    return np.stack((starts, stops), axis=1)


def count(spans: Spans) -> int:
    """Return how many rows `spans` hold."""
    if len(spans) == 1:
        return int(spans[0, 1] - spans[0, 0])
    return int((spans[:, 1] - spans[:, 0]).sum())


def rows(starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the row numbers of half-open spans, one after the other."""
    if len(starts) == 1:
        return np.arange(starts[0], stops[0])
    lengths = stops - starts
    before = np.concatenate(([0], np.cumsum(lengths)))
    return np.arange(before[-1]) + np.repeat(starts - before[:-1], lengths)


def cut(spans: Spans, *, chunk_rows: int) -> Pieces:
    """Return the pieces of `spans` that lie in one chunk each."""
    if len(spans) == 1:
        begin, end = spans[0].tolist()
        number = begin // chunk_rows
        if (end - 1) // chunk_rows == number:
            base = number * chunk_rows
            return Pieces(np.array([number]), np.array([begin - base]), np.array([end - base]), np.array([0]))
    first, last = spans[:, 0] // chunk_rows, (spans[:, 1] - 1) // chunk_rows
    chunk = rows(first, last + 1)
    span = np.repeat(np.arange(len(spans)), last - first + 1)
    start = np.maximum(spans[span, 0], chunk * chunk_rows)
    stop = np.minimum(spans[span, 1], (chunk + 1) * chunk_rows)
    lengths = stop - start
    out = np.concatenate(([0], np.cumsum(lengths)[:-1])) if len(lengths) else lengths
    return Pieces(chunk, start - chunk * chunk_rows, stop - chunk * chunk_rows, out)


def n_chunks(shape: tuple[int, ...], chunks: tuple[int, ...]) -> int:
    """Return how many chunks cover `shape`; a Python integer, which does not overflow."""
    total = 1
    for length, chunk in zip(shape, chunks, strict=True):
        total *= -(-length // chunk)
    return total
