"""What every time axis answers, and what a dataset of timestamps must."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal, Protocol, Self, TypeAlias, overload

import numpy as np
import numpy.typing as npt

Labels: TypeAlias = npt.NDArray[np.float64]
Positions: TypeAlias = npt.NDArray[np.int64]
Side: TypeAlias = Literal["left", "right"]

OTHER_SIDE: dict[Side, Side] = {"left": "right", "right": "left"}


class Stamps(Protocol):
    """A 1-d dataset of timestamps, known by its address: where it is, and in which version of its file.

    Two of one address are equal, hash alike, and hold equal numbers; they pickle small. `read` may be called from
    several threads.
    """

    @property
    def n(self) -> int:
        """Number of stamps."""

    @property
    def block(self) -> int:
        """Rows that are best read together: those of a stored chunk, or of some ten kilobytes of contiguous data."""

    def read(self, start: int, stop: int) -> Labels:
        """Return the rows ``[start, stop)`` in seconds; 0 <= start < stop <= n."""

    def __hash__(self) -> int:
        """Return the hash of the address."""

    def __dask_tokenize__(self) -> object:
        """Return the address as plain values, the same in every process."""


class TimeAxis(ABC):
    """Times of samples in seconds, float64, one label for each position.

    Axes are immutable, are compared by what they are made of (`key`), never by their labels, and pickle as small as
    that. A search takes NaN for a label above all others, as numpy does.
    """

    __slots__ = ()

    n: int
    """Number of labels."""

    @property
    @abstractmethod
    def key(self) -> tuple[Any, ...]:
        """What the axis is made of: plain values, and `Stamps`. Axes of equal keys have equal labels."""

    @property
    @abstractmethod
    def direction(self) -> int:
        """1 if the labels increase as far as is known, repeats included, -1 if they decrease, 0 if neither."""

    @property
    @abstractmethod
    def is_free(self) -> bool:
        """Whether every label is known without reading from a file."""

    @property
    def rate(self) -> float | None:
        """Samples per second if the axis has a rate that no gap interrupts; else None."""
        return None

    @property
    def bounds(self) -> tuple[float, float] | None:
        """First and last label; None if there are none, or if telling them would read from a file."""
        return (self.label(0), self.label(self.n - 1)) if self.n and self.is_free else None

    @property
    def first(self) -> float:
        """The label at position 0, which is read where it is not known."""
        return self.label(0)

    @property
    def last(self) -> float:
        """The label at the last position, which is read where it is not known."""
        return self.label(self.n - 1)

    def labels(self, start: int = 0, stop: int | None = None) -> Labels:
        """Return the labels of the positions ``[start, stop)``, which bounds are cut as those of a slice are."""
        start, stop, _ = slice(start, stop).indices(self.n)
        return self._labels(start, max(start, stop))

    def label(self, i: int) -> float:
        """Return one label; negative positions count from the end."""
        if not -self.n <= i < self.n:
            raise IndexError(f"position {i} of an axis of {self.n} labels")
        return float(self.label_at(np.array([i % self.n], np.int64))[0])

    def label_at(self, positions: npt.ArrayLike) -> Labels:
        """Return the labels at `positions`, integers of any shape in ``[-n, n)``."""
        wanted = as_positions(positions, self.n)
        return self._label_at(wanted.reshape(-1)).reshape(wanted.shape)

    @overload
    def searchsorted(self, values: float, side: Side = "left") -> np.int64: ...
    @overload
    def searchsorted(self, values: npt.ArrayLike, side: Side = "left") -> Positions: ...
    def searchsorted(self, values: npt.ArrayLike, side: Side = "left") -> Positions | np.int64:
        """Return where `values` belong, as `numpy.searchsorted` over the labels does.

        Parameters
        ----------
        values : float or array_like of float
            Seconds.
        side : {"left", "right"}
            Before or after labels that are equal.

        Returns
        -------
        int64 or ndarray of int64, of the shape of `values`
            Positions in ``[0, n]``. On a decreasing axis the number of labels above the value (``"left"``), or not
            below it (``"right"``).

        Raises
        ------
        UnsortedTimesError
            If the labels are found to be out of order. Of stored stamps this is noticed in what a search reads.
        """
        wanted = np.asarray(values, np.float64)
        found = self._search(wanted.reshape(-1), side).astype(np.int64, copy=False).reshape(wanted.shape)
        return found if wanted.ndim else np.int64(found[()])

    @abstractmethod
    def take(self, index: slice | npt.ArrayLike) -> TimeAxis:
        """Return the axis at `index`: a slice, an array of integers, or a mask of `n` booleans."""

    def fuse(self, after: TimeAxis) -> TimeAxis | None:  # noqa: ARG002  # for those that can go on
        """Return this axis and the one that follows it as one of the same kind; None if they are not of one run."""
        return None

    @abstractmethod
    def _labels(self, start: int, stop: int) -> Labels:
        """Labels of ``[start, stop)``, within the axis."""

    @abstractmethod
    def _label_at(self, positions: Positions) -> Labels:
        """Labels at 1-d positions in ``[0, n)``."""

    @abstractmethod
    def _search(self, values: Labels, side: Side) -> Positions:
        """Positions for 1-d values; see `searchsorted`."""

    def __len__(self) -> int:
        return self.n

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, TimeAxis) and self.key == other.key)

    def __hash__(self) -> int:
        return hash(self.key)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __dask_tokenize__(self) -> tuple[object, ...]:
        """Return what tells the axis from others, in every process."""
        return ("nwb_dask.TimeAxis", *(_plain(part) for part in self.key))


def as_positions(positions: npt.ArrayLike, n: int) -> Positions:
    """Return integers of any shape in ``[-n, n)`` as positions that count from the start."""
    found = np.asarray(positions)
    if not found.size:
        return found.astype(np.int64)
    if found.dtype.kind not in "iu":
        raise TypeError(f"positions are integers, not {found.dtype}")
    wanted = found.astype(np.int64)
    if wanted.min() < -n or wanted.max() >= n:
        raise IndexError(f"positions {wanted.min()} to {wanted.max()} of an axis of {n} labels")
    return np.where(wanted < 0, wanted + n, wanted)


def is_sorted(labels: Labels) -> bool:
    """Tell whether labels increase, repeats included, and NaN only follow the numbers."""
    if len(labels) and np.isnan(labels[-1]):
        n = int(np.argmax(np.isnan(labels)))
        if not np.isnan(labels[n:]).all():
            return False
        labels = labels[:n]
    return bool((labels[:-1] <= labels[1:]).all())


def is_before(label: float, value: float, side: Side) -> bool:
    """Tell whether `label` is among those that `numpy.searchsorted` counts for `value`; NaN is above all numbers."""
    if np.isnan(label):
        return side == "right" and bool(np.isnan(value))
    if np.isnan(value):
        return True
    return label < value if side == "left" else label <= value


def _plain(part: Any) -> object:  # noqa: ANN401  # of a key
    if isinstance(part, tuple):
        return tuple(_plain(one) for one in part)
    return part if isinstance(part, str | int | float) else part.__dask_tokenize__()
