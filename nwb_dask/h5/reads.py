"""Reads of datasets that look ahead: loops over rows and columns of a table cost few rounds."""

from __future__ import annotations

from math import prod
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from nwb_dask.backends import File
from nwb_dask.h5.selection import Box, Selected
from nwb_dask.h5.waiting import no_collection_if_locked
from nwb_dask.index import ArrayEntry

Values = npt.NDArray[np.generic]

_WINDOW_BYTES = 4 << 20
"""Rows that are read at once for a loop over rows; chunks that are larger are read as they are."""
_BESIDE_BYTES = 256 << 10
"""Datasets up to this size are read along with one beside them that is read whole."""
_BESIDE_TOTAL = 4 << 20
_KEPT_BYTES = 64 << 20
_TEXT_BYTES = 64
_FIRST_BYTES = 64 << 10
"""Rows that are read along with a first one."""

_Key: TypeAlias = "tuple[str, Box | None]"


class Reads:
    """Reads of one file, which keeps what it read last: 64 MiB at most.

    Parameters
    ----------
    file : backends.File
        Open as long as this is used, and of one version.
    """

    def __init__(self, file: File) -> None:
        self._file = file
        # Replaced and never modified, so that threads need no lock, which h5py's lock could meet.
        self._kept: tuple[tuple[_Key, int, Values], ...] = ()
        self._whole_values: dict[str, Values] = {}
        self._beside: dict[str, tuple[ArrayEntry, ...]] = {}

    def read(self, entry: ArrayEntry, wanted: Selected) -> Values:
        """Return the rows and the box that are wanted of a dataset; the answer may be read-only or shared."""
        rows = _one_run(wanted)
        if rows is None or self._file.holds(entry):
            return self._now(entry, wanted.spans, wanted.box)
        kept = self._find(entry, rows, wanted.box)
        if kept is not None:
            return kept
        if wanted.box is None and rows == (0, (entry.shape or (1,))[0]):
            return self._whole(entry)
        window = self._window(entry, rows, wanted.box)
        if window == rows:
            return self._now(entry, wanted.spans, wanted.box)
        values = self._now(entry, np.array([window], np.int64), wanted.box)
        self._keep(entry, window[0], wanted.box, values)
        return values[rows[0] - window[0] : rows[1] - window[0]]

    def present(self, entry: ArrayEntry, start: int, stop: int) -> Values | None:
        """Return rows of a dataset that are in memory, or None; they may be read-only or shared."""
        whole = self._whole_values.get(entry.path)
        if whole is None and self._file.holds(entry):
            whole = self._file.known.values.get(entry.path)
            if whole is not None:
                self._whole_values[entry.path] = whole
        return self._find(entry, (start, stop), None) if whole is None else whole[start:stop]

    def scalar(self, entry: ArrayEntry) -> Values:
        """Return the value of a dataset without an axis."""
        return self._now(entry, None, None)

    def first_rows(self, entries: list[ArrayEntry]) -> None:
        """Read the first row of each of some datasets, for whoever looks at it to tell what they hold."""
        wanted = [entry for entry in entries if not self._file.holds(entry)]
        spans = np.array([[0, 1]], np.int64)
        with no_collection_if_locked():
            found = self._file.read_many([(entry, spans, None) for entry in wanted])
        for entry, values in zip(wanted, found, strict=True):
            self._keep(entry, 0, None, values)

    def beside(self, groups: dict[str, list[ArrayEntry]]) -> None:
        """Say which datasets are read together: those of one group that have as many rows."""
        for entries in groups.values():
            for entry in entries:
                small = [one for one in entries if one.shape and entry.shape and one.shape[0] == entry.shape[0]]
                self._beside[entry.path] = tuple(one for one in small if _n_bytes(one) <= _BESIDE_BYTES)

    def _whole(self, entry: ArrayEntry) -> Values:
        """Return all rows of a dataset, and keep those of small ones beside it, read together."""
        together, total = [entry], 0
        for one in self._beside.get(entry.path, ()):
            total += _n_bytes(one)
            if one.path != entry.path and not self._has(one) and total <= _BESIDE_TOTAL:
                together.append(one)
        with no_collection_if_locked():
            found = self._file.read_many([(one, None, None) for one in together])
        for one, values in zip(together, found, strict=True):
            if one is not entry or _n_bytes(one) <= _BESIDE_BYTES:
                self._keep(one, 0, None, values)
        return found[0]

    def _has(self, entry: ArrayEntry) -> bool:
        return self._file.holds(entry) or self._find(entry, (0, (entry.shape or (0,))[0]), None) is not None

    def _window(self, entry: ArrayEntry, rows: tuple[int, int], box: Box | None) -> tuple[int, int]:
        """Return the rows to read for some that are wanted."""
        n_rows = (entry.shape or (0,))[0]
        row_bytes = max(_n_bytes(entry) // max(n_rows, 1), 1)
        start, stop = rows
        if entry.filters and entry.chunks:
            # A chunk is decoded whole, so its other rows cost nothing more.
            step = entry.chunks[0]
            return start // step * step, min(-(-stop // step) * step, n_rows)
        if any(key == (entry.path, box) and start == first + len(values) for key, first, values in self._kept):
            ahead = max((stop - start) * 2, _FIRST_BYTES // row_bytes)
            return start, min(start + min(ahead, max(_WINDOW_BYTES // row_bytes, stop - start)), n_rows)
        if (stop - start) * row_bytes < _FIRST_BYTES // 4:
            return start, min(max(stop, start + _FIRST_BYTES // row_bytes), n_rows)
        return rows

    def _now(self, entry: ArrayEntry, spans: npt.NDArray[np.int64] | None, box: Box | None) -> Values:
        with no_collection_if_locked():
            return self._file.read(entry, spans, box)

    def _find(self, entry: ArrayEntry, rows: tuple[int, int], box: Box | None) -> Values | None:
        for key, first, values in self._kept:
            if key == (entry.path, box) and first <= rows[0] and rows[1] <= first + len(values):
                return values[rows[0] - first : rows[1] - first]
        return None

    def _keep(self, entry: ArrayEntry, first: int, box: Box | None, values: Values) -> None:
        kept: list[tuple[_Key, int, Values]] = [((entry.path, box), first, values)]
        total = values.nbytes
        for one in self._kept:
            total += one[2].nbytes
            if total > _KEPT_BYTES:
                break
            kept.append(one)
        self._kept = tuple(kept)


def _one_run(wanted: Selected) -> tuple[int, int] | None:
    """Return the rows that are wanted, if they follow each other and nothing is picked of them."""
    if wanted.mask is not None or len(wanted.spans) != 1 or not isinstance(wanted.picks[0], slice):
        return None
    start, stop = wanted.spans[0].tolist()
    return start, stop


def _n_bytes(entry: ArrayEntry) -> int:
    size = entry.element.size
    if entry.element.kind == "string" and entry.element.dtype is None:
        # With a guess of what is in the heap.
        size = _TEXT_BYTES
    return prod(entry.shape or ()) * max(size, 1)
