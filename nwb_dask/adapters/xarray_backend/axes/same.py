"""Whether two axes have the same labels, and where windows of one clock meet."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

from nwb_dask.adapters.xarray_backend.axes.axis import TimeAxis

_PIECE = 1 << 17
_MAX_KNOWN = 256

_known: OrderedDict[tuple[object, object], bool] = OrderedDict()
_lock = threading.Lock()


def same_labels(one: TimeAxis, other: TimeAxis) -> bool:
    """Tell whether two axes have equal labels, NaN counted as equal, as `pandas.Index.equals` does.

    Axes of equal keys are equal, and those of different lengths are not: nothing is read. Others are compared at both
    ends, then piece by piece up to the first difference, in constant memory. What was found is remembered.
    """
    if one is other or one.key == other.key:
        return True
    if one.n != other.n:
        return False
    pair = (one.key, other.key)
    with _lock:
        if pair in _known:
            _known.move_to_end(pair)
            return _known[pair]
    found = _compare(one, other)
    with _lock:
        _known[pair] = found
        if len(_known) > _MAX_KNOWN:
            _known.popitem(last=False)
    return found


def _compare(one: TimeAxis, other: TimeAxis) -> bool:
    if not one.n:
        return True
    ends = np.array([0, one.n - 1])
    if not np.array_equal(one.label_at(ends), other.label_at(ends), equal_nan=True):
        return False
    return all(
        np.array_equal(one.labels(at, at + _PIECE), other.labels(at, at + _PIECE), equal_nan=True)
        for at in range(0, one.n, _PIECE)
    )
