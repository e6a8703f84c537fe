"""What stands for h5py's low-level identifiers: enough of them for ``h5py.Dataset`` to work on."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from h5py import h5p, h5s

from nwb_dask.h5.opened import Opened
from nwb_dask.h5.tree import Entry
from nwb_dask.h5.types import h5py_dtype
from nwb_dask.index import ArrayEntry

_Values = npt.NDArray[np.generic]


class _CanBeRead(Protocol):
    """What an identifier asks of its dataset."""

    @property
    def file(self) -> Opened:
        """The file that it is in."""

    @property
    def array(self) -> ArrayEntry:
        """Its description."""

    def __getitem__(self, args: Any) -> Any:
        """Read what is selected."""


class ObjectId:
    """Stands for an object: two are equal if they mean the same object of the same open file.

    Parameters
    ----------
    file : Opened
        Where it is.
    entry : GroupEntry or ArrayEntry
        What it is.
    """

    def __init__(self, file: Opened, entry: Entry) -> None:
        self._file = file
        self._key = (file.token, entry.path)

    @property
    def valid(self) -> bool:
        """Whether the file is open."""
        return self._file.is_open

    def __bool__(self) -> bool:
        return self.valid

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectId) and other._key == self._key  # of the same class

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._key[1]!r}>"


class DatasetId(ObjectId):
    """Stands for a dataset, with what ``h5py.Dataset`` asks of its identifier.

    Parameters
    ----------
    dataset : FacadeDataset
        Reads values.
    """

    def __init__(self, dataset: _CanBeRead) -> None:
        super().__init__(dataset.file, dataset.array)
        self._dataset = dataset

    @property
    def _array(self) -> ArrayEntry:
        return self._dataset.array

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of the dataset; None for the null dataspace."""
        return self._array.shape

    @property
    def rank(self) -> int:
        """Number of its axes."""
        return len(self._array.shape or ())

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of its elements."""
        return h5py_dtype(self._array.element)

    def get_space(self) -> h5s.SpaceID:
        """Return its dataspace."""
        shape, index = self._array.shape, self._array.chunk_index
        if shape is None:
            return h5s.create(h5s.NULL)
        if not shape:
            return h5s.create(h5s.SCALAR)
        largest = shape if index is None else index.maxshape
        return h5s.create_simple(shape, tuple(h5s.UNLIMITED if one is None else one for one in largest))

    def get_create_plist(self) -> h5p.PropDCID:
        """Return how it was created: its chunks, those of its filters that libhdf5 knows, and its fill value."""
        properties = h5p.create(h5p.DATASET_CREATE)
        array = self._array
        if array.chunks:
            properties.set_chunk(array.chunks)
            for one in array.filters:
                # One that libhdf5 has no library for.
                with suppress(ValueError, RuntimeError, OSError):
                    properties.set_filter(one.id, 0, one.options)
        return properties

    def get_storage_size(self) -> int:
        """Return its stored bytes, as far as they are known; see `ArrayEntry.stored_bytes`."""
        return self._array.stored_bytes

    def read(
        self,
        mspace: h5s.SpaceID,
        fspace: h5s.SpaceID,
        out: _Values,
        mtype: object = None,  # numpy converts
        dxpl: object = None,  # of libhdf5
    ) -> None:
        """Read what `fspace` selects into what `mspace` selects of an array.

        Raises
        ------
        NotImplementedError
            If what is selected is no box.
        """
        found = self._dataset[slices_of(fspace)]
        target = out[slices_of(mspace)]
        target[...] = np.asarray(found).reshape(target.shape)


def slices_of(space: h5s.SpaceID) -> tuple[slice, ...]:
    """Return the selection of a dataspace; () for a scalar or everything."""
    if space.get_select_type() == h5s.SEL_ALL:
        return ()
    if space.get_select_type() != h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        raise NotImplementedError("only boxes are read into arrays; select with dataset[...] instead")
    starts, steps, counts, blocks = space.get_regular_hyperslab()
    slices = []
    for start, step, count, block in zip(starts, steps, counts, blocks, strict=True):
        # A box without a step is one block.
        stop, by = (start + block, 1) if count == 1 else (start + (count - 1) * step + 1, step)
        slices.append(slice(start, stop, by))
    return tuple(slices)
