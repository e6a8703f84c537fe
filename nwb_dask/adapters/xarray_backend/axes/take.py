"""Chosen rows of another axis."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from nwb_dask.adapters.xarray_backend.axes.axis import (
    OTHER_SIDE,
    Labels,
    Positions,
    Side,
    TimeAxis,
    as_positions,
)
from nwb_dask.errors import UnsortedTimesError


class TakeAxis(TimeAxis):
    """Labels of another axis at given positions, in their order; no label is read to make one.

    Made by ``axis.take``, which finds simpler axes where it can.

    Parameters
    ----------
    base : TimeAxis
        Whose labels are taken.
    index : ndarray of int64, shape (n,)
        Positions in it, each in ``[0, base.n)``.
    """

    __slots__ = ("_digest", "_direction", "base", "index", "n")

    def __init__(self, base: TimeAxis, index: Positions) -> None:
        self.base = base
        self.index: Positions = frozen(as_positions(index, base.n), index)
        self.n = len(self.index)
        self._digest: str | None = None
        self._direction: int | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """The other axis and the digest of the positions."""
        if self._digest is None:
            self._digest = hashlib.blake2b(self.index.tobytes(), digest_size=20).hexdigest()
        return ("take", self.base.key, self.n, self._digest)

    @property
    def index_direction(self) -> int:
        """1 if the positions do not decrease, -1 if they do not increase, 0 if neither."""
        if self._direction is None:
            steps = np.diff(self.index)
            self._direction = 1 if (steps >= 0).all() else -1 if (steps <= 0).all() else 0
        return self._direction

    @property
    def direction(self) -> int:
        """That of the positions times that of the other axis."""
        return self.index_direction * self.base.direction

    @property
    def is_free(self) -> bool:
        """Whether the other axis is."""
        return self.base.is_free

    def take(self, index: slice | npt.ArrayLike) -> TimeAxis:
        """Return the axis at `index`."""
        chosen = index if isinstance(index, slice) else to_positions(index, self.n)
        return take_positions(self.base, self.index[chosen])

    def _labels(self, start: int, stop: int) -> Labels:
        return self.base.label_at(self.index[start:stop])

    def _label_at(self, positions: Positions) -> Labels:
        return self.base.label_at(self.index[positions])

    def _search(self, values: Labels, side: Side) -> Positions:
        """Search the other axis, then the positions: no label is read but those that its search reads."""
        if self.index_direction > 0:
            return np.searchsorted(self.index, self.base.searchsorted(values, side), "left")
        if self.index_direction < 0:
            rows = self.base.searchsorted(values, OTHER_SIDE[side])
            return self.n - np.searchsorted(self.index[::-1], rows, "left")
        raise UnsortedTimesError("the times are not in order; take them by position (isel), or sort them first")

    def __reduce__(self) -> tuple[object, ...]:
        return (TakeAxis, (self.base, self.index))

    def __repr__(self) -> str:
        return f"TakeAxis(n={self.n}, base={self.base!r})"


def take_positions(axis: TimeAxis, index: npt.ArrayLike) -> TimeAxis:
    """Return `axis` at an array of integers or a mask: a slice of it where the positions are evenly spaced."""
    positions = to_positions(index, axis.n)
    run = run_of(positions)
    return TakeAxis(axis, positions) if run is None else axis.take(run)


def to_positions(index: npt.ArrayLike, n: int) -> Positions:
    """Return a 1-d array of integers in ``[-n, n)``, or a mask of `n` booleans, as positions in ``[0, n)``."""
    found = np.asarray(index)
    if found.ndim != 1:
        raise IndexError(f"positions of one dimension are needed, not of the shape {found.shape}")
    if found.dtype.kind != "b":
        return as_positions(found, n)
    if len(found) != n:
        raise IndexError(f"a mask of {len(found)} for an axis of {n} labels")
    return np.flatnonzero(found).astype(np.int64, copy=False)


def frozen(array: npt.NDArray[Any], given: object) -> npt.NDArray[Any]:
    """Return `array`, made of what was `given`, as one that nobody can write to; copied if somebody could."""
    base: object = array.base
    is_fixed = base is None or (isinstance(base, np.ndarray) and not base.flags.writeable)
    if (array is given or base is not None) and (array.flags.writeable or not is_fixed):
        array = array.copy()
    array.flags.writeable = False
    return array


def run_of(positions: Positions) -> slice | None:
    """Return evenly spaced positions as a slice; None if they are not."""
    if not len(positions):
        return slice(0, 0)
    first, last = int(positions[0]), int(positions[-1])
    if len(positions) == 1:
        return slice(first, first + 1)
    step = int(positions[1]) - first
    if step == 0 or last - first != step * (len(positions) - 1) or not (np.diff(positions) == step).all():
        return None
    stop = last + (1 if step > 0 else -1)
    return slice(first, None if stop < 0 else stop, step)
