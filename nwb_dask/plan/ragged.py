"""Arithmetic on half-open spans: rows of a table, and the elements that belong to rows of a ragged column."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nwb_dask.errors import MalformedFileError

Spans = npt.NDArray[np.int64]
"""Half-open ``[start, stop)`` pairs, shape (n, 2), increasing and without overlap."""


def spans_of_rows(rows: npt.NDArray[np.int64]) -> Spans:
    """Return the runs of consecutive numbers in `rows`, which increase strictly."""
    if rows.size == 0:
        return np.empty((0, 2), np.int64)
    first, last = int(rows[0]), int(rows[-1])
    if last - first + 1 == rows.size:
        return np.array([[first, last + 1]], np.int64)
    breaks = np.flatnonzero(rows[1:] - rows[:-1] != 1)
    starts = rows[np.concatenate(([0], breaks + 1))]
    stops = rows[np.concatenate((breaks, [rows.size - 1]))] + 1
    return np.stack((starts, stops), axis=1).astype(np.int64)


def rows_of_spans(spans: Spans) -> npt.NDArray[np.int64]:
    """Return all numbers that the spans cover, in order."""
    if len(spans) == 1:
        return np.arange(spans[0, 0], spans[0, 1], dtype=np.int64)
    lengths = spans[:, 1] - spans[:, 0]
    shift = spans[:, 0] - np.concatenate(([0], np.cumsum(lengths)[:-1])) if len(spans) else lengths
    return np.arange(lengths.sum(), dtype=np.int64) + np.repeat(shift, lengths)


def merge_spans(spans: npt.NDArray[np.int64]) -> Spans:
    """Return the spans with empty ones dropped and touching or overlapping neighbours joined.

    Starts must not decrease.
    """
    spans = spans[spans[:, 1] > spans[:, 0]]
    if len(spans) < 2:  # noqa: PLR2004  # nothing to join with
        return spans
    reach = np.maximum.accumulate(spans[:, 1])
    first = np.concatenate(([True], spans[1:, 0] > reach[:-1]))
    last = np.concatenate((first[1:], [True]))
    return np.stack((spans[first, 0], reach[last]), axis=1)


def index_spans(rows: Spans) -> Spans:
    """Return which entries of a VectorIndex tell where the elements of `rows` start and stop.

    A row starts where the one before it ends, so each span reaches one entry to the left.
    """
    widened = np.stack((np.maximum(rows[:, 0] - 1, 0), rows[:, 1]), axis=1)
    return merge_spans(widened)


def element_spans(ends: npt.NDArray[np.int64], known: Spans, rows: Spans, *, n_elements: int) -> Spans:
    """Return the elements of each row of a ragged column.

    A VectorIndex stores, for each row, the end of its elements in the target; a row starts where the one
    before it ends, the first at 0 (HDMF common schema, *VectorIndex*).

    Parameters
    ----------
    ends : ndarray of int64
        VectorIndex values of the rows in `known`, concatenated.
    known : ndarray of int64, shape (n, 2)
        As `index_spans(rows)` returns.
    rows : ndarray of int64, shape (m, 2)
        The rows wanted.
    n_elements : int
        Length of the target.

    Returns
    -------
    ndarray of int64, shape (n_rows, 2)
        Half-open, one per row in order, not merged; an empty row has ``start == stop``.

    Raises
    ------
    MalformedFileError
        If the index decreases or reaches beyond the target.
    """
    wanted = rows_of_spans(rows)
    if wanted.size == 0:
        return np.empty((0, 2), np.int64)
    have = rows_of_spans(known)
    stop_at = np.searchsorted(have, wanted)
    start_at = np.searchsorted(have, wanted - 1)
    stops = ends[stop_at]
    starts = np.where(wanted == 0, 0, ends[np.minimum(start_at, ends.size - 1)])
    falls = (starts > stops) | (starts < np.concatenate(([0], stops[:-1])))
    if falls.any():
        row = int(wanted[np.flatnonzero(falls)[0]])
        message = f"the index of a ragged column decreases at row {row}"
        raise MalformedFileError(message)
    if stops.max() > n_elements:
        message = f"the index of a ragged column reaches element {int(stops.max())} of {n_elements}"
        raise MalformedFileError(message)
    return np.stack((starts, stops), axis=1)
