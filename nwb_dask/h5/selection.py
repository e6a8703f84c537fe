"""What is selected of a dataset, as h5py understands it: which rows to read, and what to pick from them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from h5py import MultiBlockSlice
from h5py._hl import selections

Box: TypeAlias = "tuple[tuple[int, int], ...]"
_Pick: TypeAlias = "slice | npt.NDArray[np.int64]"
_Values = npt.NDArray[np.generic]

_THROUGH_BYTES = 16 * 1024
"""Rows between two that are wanted are read along if they are no more than this."""


@dataclass(frozen=True, slots=True)
class Selected:
    """What to read, and what to do with it."""

    spans: npt.NDArray[np.int64]
    """Shape (n, 2): rows of the first axis to read, half-open, increasing, without overlap."""
    box: Box | None
    """Half-open range along each other axis to read; None for all."""
    picks: tuple[_Pick, ...]
    """What is wanted of what was read, along each axis."""
    mask: npt.NDArray[np.bool_] | None
    """Elements wanted of the rows that were read, in place of `picks`."""
    shape: tuple[int, ...]
    """Of the answer, but for what each element has of its own."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is wanted."""
        return 0 in self.shape

    def pick(self, values: _Values) -> _Values:
        """Return what is wanted of the values that were read; a view where that is possible."""
        if self.mask is not None:
            return values[self.mask]
        for axis, pick in enumerate(self.picks):
            if not isinstance(pick, slice) or pick != slice(None):
                values = values[(slice(None),) * axis + (pick,)]
        return values.reshape(self.shape + values.shape[len(self.picks) :])


def select(shape: tuple[int, ...], args: tuple[object, ...], *, row_bytes: int) -> Selected:
    """Return what ``dataset[args]`` selects.

    Parameters
    ----------
    shape : tuple of int
        Of the dataset, one axis or more.
    args : tuple
        Integers, slices, Ellipsis, at most one list or array of increasing integers or of booleans, or a mask of the
        shape of the dataset.
    row_bytes : int
        Of one row, about: rows that lie near each other are read with those between.

    Raises
    ------
    TypeError, ValueError, IndexError
        As h5py does: it is asked whether this is a selection.
    """
    answer = selections.select(shape, args).array_shape
    if len(args) == 1 and isinstance(args[0], np.ndarray) and args[0].dtype.kind == "b" and args[0].shape == shape:
        return _masked(args[0], row_bytes)
    items = _expanded(args, len(shape))
    wanted = [_wanted(item, length) for item, length in zip(items, shape, strict=True)]
    spans, first = _spans(wanted[0], row_bytes)
    inner = [_hull(one) for one in wanted[1:]]
    box = tuple(bounds for bounds, _ in inner)
    is_whole = all(bounds == (0, length) for bounds, length in zip(box, shape[1:], strict=True))
    return Selected(spans, None if is_whole else box, (first, *(pick for _, pick in inner)), None, tuple(answer))


def _expanded(args: Sequence[object], n_axes: int) -> list[object]:
    """Return one item for each axis."""
    at = next((i for i, item in enumerate(args) if item is Ellipsis), len(args))
    before, behind = list(args[:at]), list(args[at + 1 :])
    return before + [slice(None)] * (n_axes - len(before) - len(behind)) + behind


def _wanted(item: object, length: int) -> range | npt.NDArray[np.int64]:
    """Return the positions along one axis; h5py has found `item` to be in order."""
    if isinstance(item, slice):
        return range(*item.indices(length))
    if isinstance(item, MultiBlockSlice):
        start, stride, count, block = item.indices(length)
        rows: npt.NDArray[np.int64] = (
            start + stride * np.arange(count, dtype=np.int64)[:, None] + np.arange(block)
        ).ravel()
        return rows
    if isinstance(item, (int, np.integer)):
        number = int(item) + (length if item < 0 else 0)
        return range(number, number + 1)
    chosen = np.asarray(item)
    if chosen.dtype.kind == "b":
        return np.flatnonzero(chosen)
    chosen = chosen.astype(np.int64).reshape(-1)
    return np.where(chosen < 0, chosen + length, chosen)


def _spans(rows: range | npt.NDArray[np.int64], row_bytes: int) -> tuple[npt.NDArray[np.int64], _Pick]:
    """Return which rows to read, and where those that are wanted are among them."""
    if isinstance(rows, range) and rows.step == 1:
        return np.array([[rows.start, max(rows.stop, rows.start)]], np.int64), slice(None)
    wanted = np.asarray(rows, np.int64)
    if not len(wanted):
        return np.empty((0, 2), np.int64), slice(None)
    gap = 1 + _THROUGH_BYTES // max(row_bytes, 1)
    breaks = np.flatnonzero(np.diff(wanted) > gap)
    starts = wanted[np.concatenate(([0], breaks + 1))]
    stops = wanted[np.concatenate((breaks, [len(wanted) - 1]))] + 1
    # Rows that were read before each span.
    before = np.concatenate(([0], np.cumsum(stops - starts)[:-1]))
    number = np.searchsorted(starts, wanted, side="right") - 1
    return np.stack([starts, stops], axis=1), wanted - starts[number] + before[number]


def _hull(wanted: range | npt.NDArray[np.int64]) -> tuple[tuple[int, int], _Pick]:
    """Return the range that holds all positions, and where they are in it."""
    if not len(wanted):
        return (0, 0), slice(None)
    first, last = int(wanted[0]), int(wanted[-1])
    if isinstance(wanted, range):
        return (first, last + 1), slice(None, None, wanted.step) if wanted.step > 1 else slice(None)
    return (first, last + 1), wanted - first


def _masked(mask: npt.NDArray[np.bool_], row_bytes: int) -> Selected:
    rows = np.flatnonzero(mask.any(axis=tuple(range(1, mask.ndim))) if mask.ndim > 1 else mask)
    spans, _ = _spans(rows, row_bytes)
    read = np.concatenate([np.arange(start, stop) for start, stop in spans]) if len(spans) else rows
    return Selected(spans, None, (), mask[read], (int(mask.sum()),))
