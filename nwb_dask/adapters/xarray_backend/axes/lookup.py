"""Positions of labels: exact, nearest, before or after."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from nwb_dask.adapters.xarray_backend.axes.axis import Labels, Positions, TimeAxis

Method: TypeAlias = Literal["pad", "backfill", "nearest"]

_BATCH = 8
"""Labels looked up together in stored stamps: few enough that the blocks they are in stay in memory meanwhile."""
_MAX_BATCHES = 1 << 14
"""So many labels that more batches were needed are close to each other."""


def find_positions(
    axis: TimeAxis, labels: npt.ArrayLike, method: Method | None = None, tolerance: npt.ArrayLike | None = None
) -> Positions:
    """Return the position of each label, -1 where there is none, as `pandas.Index.get_indexer` does.

    Parameters
    ----------
    axis : TimeAxis
        In order; see `TimeAxis.searchsorted`.
    labels : array_like of float
        Seconds, of any shape.
    method : {"pad", "backfill", "nearest"}, optional
        Which neighbour stands in for a label that the axis does not have: the one at the position before, after, or
        the nearer one, of two equally near the later one. Exact matches only by default. NaN has no neighbours.
    tolerance : float or array_like of float, optional
        Greatest distance of a neighbour in seconds.

    Returns
    -------
    ndarray of int64, of the shape of `labels`
        Of labels that repeat the first position.
    """
    wanted = np.asarray(labels, np.float64)
    flat = wanted.reshape(-1)
    if axis.is_free:
        found, at = _find(axis, flat, method)
    else:
        found, at = np.empty(len(flat), np.int64), np.empty(len(flat), np.float64)
        order = np.argsort(flat, kind="stable")
        size = max(_BATCH, len(flat) // _MAX_BATCHES)
        for begin in range(0, len(flat), size):
            some = order[begin : begin + size]
            found[some], at[some] = _find(axis, flat[some], method)
    if tolerance is not None:
        limit = np.broadcast_to(np.asarray(tolerance, np.float64).reshape(-1), flat.shape)
        with np.errstate(invalid="ignore"):
            found = np.where(np.abs(at - flat) <= limit, found, -1)
    return found.reshape(wanted.shape)


def _find(axis: TimeAxis, labels: Labels, method: Method | None) -> tuple[Positions, Labels]:
    """Return positions and the labels there; what stands beside -1 means nothing."""
    n = axis.n
    if not n or not len(labels):
        return np.full(len(labels), -1, np.int64), np.zeros(len(labels))
    after = axis.searchsorted(labels, "left")
    at_after = axis.label_at(np.minimum(after, n - 1))
    has_after = after < n
    is_exact = has_after & ((at_after == labels) | (np.isnan(at_after) & np.isnan(labels)))
    if method is None:
        return np.where(is_exact, after, -1), at_after
    # NaN is no neighbour, neither a label of NaN nor of one.
    is_exact &= ~np.isnan(labels)
    has_after &= ~np.isnan(at_after) & ~np.isnan(labels)
    if method == "backfill":
        return np.where(has_after, after, -1), at_after
    at_before = axis.label_at(np.maximum(after - 1, 0))
    has_before = (after > 0) & ~np.isnan(at_before) & ~np.isnan(labels)
    if method == "pad":
        is_before = has_before & ~is_exact
        found = np.where(is_before, after - 1, np.where(is_exact, after, -1))
    else:
        with np.errstate(invalid="ignore"):
            to_before, to_after = np.abs(at_before - labels), np.abs(at_after - labels)
        # Of two that are equally near pandas takes the larger label.
        is_nearer = to_before < to_after if axis.direction > 0 else to_before <= to_after
        is_before = has_before & ~is_exact & (is_nearer | ~has_after)
        found = np.where(is_before, after - 1, np.where(has_after, after, -1))
    return found, np.where(is_before, at_before, at_after)
