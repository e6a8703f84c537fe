"""What stands for h5py's low-level identifiers: enough of them for ``h5py.Dataset`` to work on."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from h5py import h5d, h5p, h5s

from nwb_dask.errors import NWBDaskError
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

    def get_offset(self) -> int | None:
        """Return the first byte of values that are in one piece; None for others."""
        return self._array.offset if self._array.layout == "contiguous" and self._array.home is None else None

    def get_num_chunks(self, space: object = None) -> int:  # of everything, whatever is selected
        """Return how many chunks were written."""
        return len(self._chunks())

    def get_chunk_info(self, index: int, space: object = None) -> h5d.StoreInfo:  # of everything
        """Return where a chunk is, of those that were written, in the order of their places.

        Raises
        ------
        ValueError
            If there are not so many.
        RuntimeError
            If the values are not in chunks.
        NotImplementedError
            If chunks are in other files.
        """
        chunks = self._chunks()
        if not 0 <= index < len(chunks):
            raise ValueError("Chunk index is out of range")
        return chunks[index]

    def get_chunk_info_by_coord(self, chunk_offset: tuple[int, ...]) -> h5d.StoreInfo:
        """Return where the chunk with an element is; without an address if it was not written."""
        chunks, lengths = self._chunks(), self._array.chunks or ()
        first = tuple(at // length * length for at, length in zip(chunk_offset, lengths, strict=True))
        found = next((one for one in chunks if one.chunk_offset == first), None)
        # As h5py does, with the place that was asked for.
        return h5d.StoreInfo(None, 0, None, 0) if found is None else found._replace(chunk_offset=tuple(chunk_offset))

    def _chunks(self) -> list[h5d.StoreInfo]:
        array = self._array
        if array.chunks is None or array.shape is None:
            raise RuntimeError("Can't get number of chunks (not a chunked dataset)")
        found = self._file.tree.file.locate([array])[0]
        if isinstance(found, NWBDaskError):
            raise found
        if found.urls != (self._file.tree.url,) or found.inline:
            raise NotImplementedError(f"chunks of {array.path} are not ranges of {self._file.filename} itself")
        grid = tuple(-(-length // size) for length, size in zip(array.shape, array.chunks, strict=True))
        places = np.stack(np.unravel_index(found.manifest.numbers, grid), axis=1) * np.array(array.chunks)
        facts = (found.manifest.masks, found.manifest.offsets, found.manifest.sizes)
        return [
            h5d.StoreInfo(tuple(place), mask, offset, size)
            for place, mask, offset, size in zip(places.tolist(), *(one.tolist() for one in facts), strict=True)
        ]

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
