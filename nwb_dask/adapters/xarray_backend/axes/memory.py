"""Times in memory."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from nwb_dask.adapters.xarray_backend.axes.axis import (
    OTHER_SIDE,
    Labels,
    Positions,
    Side,
    TimeAxis,
    is_sorted,
)
from nwb_dask.adapters.xarray_backend.axes.take import frozen, run_of, to_positions
from nwb_dask.errors import UnsortedTimesError


class ArrayAxis(TimeAxis):
    """Labels of any kind and order, in memory.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        Seconds; copied, unless they are float64 that cannot be written to.
    """

    __slots__ = ("_digest", "_direction", "n", "values")

    def __init__(self, values: npt.ArrayLike) -> None:
        found = np.asarray(values, np.float64)
        if found.ndim != 1:
            raise ValueError(f"times are one-dimensional, and these have the shape {found.shape}")
        self.values: Labels = frozen(found, values)
        self.n = len(found)
        self._digest: str | None = None
        self._direction: int | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """The number of labels and their digest."""
        if self._digest is None:
            self._digest = hashlib.blake2b(self.values.tobytes(), digest_size=20).hexdigest()
        return ("array", self.n, self._digest)

    @property
    def direction(self) -> int:
        """1, -1 or 0, of all labels."""
        if self._direction is None:
            self._direction = 1 if is_sorted(self.values) else -1 if is_sorted(self.values[::-1]) else 0
        return self._direction

    @property
    def is_free(self) -> bool:
        """True."""
        return True

    def take(self, index: slice | npt.ArrayLike) -> TimeAxis:
        """Return the labels at `index`, in memory."""
        if isinstance(index, slice):
            return self if index.indices(self.n) == (0, self.n, 1) else ArrayAxis(self.values[index])
        positions = to_positions(index, self.n)
        run = run_of(positions)
        return ArrayAxis(self.values[positions]) if run is None else self.take(run)

    def _labels(self, start: int, stop: int) -> Labels:
        return self.values[start:stop]

    def _label_at(self, positions: Positions) -> Labels:
        return self.values[positions]

    def _search(self, values: Labels, side: Side) -> Positions:
        if self.direction > 0:
            return np.searchsorted(self.values, values, side)
        if self.direction < 0:
            return self.n - np.searchsorted(self.values[::-1], values, OTHER_SIDE[side])
        raise UnsortedTimesError("the times are not in order; take them by position (isel), or sort them first")

    def __reduce__(self) -> tuple[object, ...]:
        return (ArrayAxis, (self.values,))

    def __repr__(self) -> str:
        return f"ArrayAxis(n={self.n})"
