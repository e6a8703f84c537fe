"""Paths of the objects that references point to."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from h5py import h5f, h5o, h5r, h5s

from nwb_dask.backends.hdf5.boundary import H5PY_ERRORS
from nwb_dask.errors import UnsupportedLayoutError


class ReferencePaths:
    """Resolves object references of one open file; knows what it resolved before.

    Parameters
    ----------
    fid : h5py.h5f.FileID
        The open file.
    known : dict of int to str or None
        Paths by address; shared by everyone who has the file open.
    """

    __slots__ = ("_fid", "_known")

    def __init__(self, fid: h5f.FileID, known: dict[int, str | None]) -> None:
        self._fid = fid
        self._known = known

    def path(self, address: int, reference: h5r.Reference) -> str | None:
        """Return the absolute path of the object at `address`; None for a null or dangling reference.

        libhdf5 walks the tree from the root until it meets the address, so each address is asked for once.
        """
        if not address:
            return None
        if address not in self._known:
            self._known[address] = self._find(reference)
        return self._known[address]

    def paths(self, addresses: npt.NDArray[np.uint64], references: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
        """Return the path of each reference, or None; the arrays have the same shape."""
        distinct, first, inverse = np.unique(addresses.reshape(-1), return_index=True, return_inverse=True)
        flat = references.reshape(-1)
        found = np.empty(len(distinct), object)
        for i, address in enumerate(distinct.tolist()):
            found[i] = self.path(address, flat[first[i]])
        return found[inverse.reshape(-1)].reshape(addresses.shape)

    def address(self, reference: h5r.Reference) -> int:
        """Return where the object is that a reference points to; 0 if there is none."""
        try:
            address: int = h5o.get_info(h5r.dereference(reference, self._fid)).addr
        except H5PY_ERRORS:
            return 0
        return address

    def _find(self, reference: h5r.Reference) -> str | None:
        try:
            name = h5r.get_name(reference, self._fid)
        except H5PY_ERRORS:
            return None
        return name.decode("utf-8", "surrogateescape") if name else None

    def regions(self, references: Iterable[h5r.RegionReference]) -> npt.NDArray[np.object_]:
        """Return the rows that each region reference selects, as int64 arrays; None for a null reference."""
        found = [self._rows(reference) if reference else None for reference in references]
        out = np.empty(len(found), object)
        for i, selected in enumerate(found):
            out[i] = selected
        return out

    def _rows(self, reference: h5r.RegionReference) -> npt.NDArray[np.int64]:
        space = h5r.get_region(reference, self._fid)
        if len(space.shape) != 1:
            raise UnsupportedLayoutError("a region reference into an array of several dimensions is not read")
        kind = space.get_select_type()
        if kind == h5s.SEL_ALL:
            return np.arange(space.shape[0], dtype=np.int64)
        if kind == h5s.SEL_POINTS:
            return np.asarray(space.get_select_elem_pointlist(), np.int64).reshape(-1)
        if kind != h5s.SEL_HYPERSLABS:
            return np.empty(0, np.int64)
        blocks = np.asarray(space.get_select_hyper_blocklist(), np.int64).reshape(-1, 2)
        return np.concatenate([np.arange(start, last + 1, dtype=np.int64) for start, last in blocks.tolist()])
