"""Datasets of a container that is not open in h5py, with the interface of ``h5py.Dataset``."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, NoReturn

import h5py
import numpy as np
import numpy.typing as npt

from nwb_dask.errors import UnsupportedLayoutError
from nwb_dask.h5.ids import DatasetId
from nwb_dask.h5.objects import FacadeObject
from nwb_dask.h5.opened import Opened
from nwb_dask.h5.references import RowsReference
from nwb_dask.h5.selection import select
from nwb_dask.h5.tree import Found
from nwb_dask.h5.types import h5py_dtype
from nwb_dask.h5.values import fill_value, some_fields, stored_values
from nwb_dask.h5.waiting import no_collection_if_locked
from nwb_dask.index import ArrayEntry

Values = npt.NDArray[np.generic]


class FacadeDataset(FacadeObject, h5py.Dataset):  # type: ignore[misc]  # h5py has no types
    """A dataset of a `FacadeFile`; slicing reads what is asked for, and nothing else does."""

    def __init__(self, file: Opened, found: Found) -> None:
        super().__init__(file, found)
        self._cache_props: dict[str, Any] = {}
        self._readonly = True
        self._dxpl = None

    @property
    def array(self) -> ArrayEntry:
        """Its description."""
        entry = self._found.entry
        assert isinstance(entry, ArrayEntry)  # noqa: S101  # the file makes groups of everything else
        return entry

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Its shape; None for the null dataspace."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of its elements, as h5py has it; text of variable length counts as UTF-8."""
        return h5py_dtype(self.array.element)

    @property
    def id(self) -> DatasetId:
        """What stands for the dataset; it has few of the methods of libhdf5."""
        return DatasetId(self)

    @property
    def filter_ids(self) -> tuple[int, ...]:
        """Registered numbers of its filters, in the order of writing."""
        return tuple(one.id for one in self.array.filters)

    @property
    def filter_names(self) -> tuple[str, ...]:
        """Names of its filters, in the order of writing."""
        return tuple(one.name for one in self.array.filters)

    @property
    def is_virtual(self) -> bool:
        """Whether it is made of other datasets."""
        return self.array.layout == "virtual"

    @property
    def is_scale(self) -> bool:
        """Whether it is a dimension scale."""
        return self.array.attributes.get("CLASS") == "DIMENSION_SCALE"

    @property
    def dims(self) -> NoReturn:
        """Refuse: dimension scales are not followed."""
        raise UnsupportedLayoutError(
            "dimension scales are not followed here; their labels are in attrs['DIMENSION_LABELS']",
            url=self.file.tree.url,
            path=self.name,
        )

    @property
    def fillvalue(self) -> object:
        """What stands where nothing was written."""
        return fill_value(self.array.fill, self.array.element)

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("Can't iterate over a scalar dataset")
        step = self._rows_at_once()
        for start in range(0, self.shape[0], step):
            yield from self[start : start + step]

    def _rows_at_once(self) -> int:
        """Return how many rows to read together when all are asked for one by one."""
        shape = self.shape or ()
        row_bytes = max(prod(shape[1:]) * self.dtype.itemsize, 1)
        rows = max((1 << 20) // row_bytes, 1)
        first = (self.chunks or (1,))[0]
        return -(-rows // first) * first

    def __getitem__(self, args: object, new_dtype: np.dtype[np.generic] | None = None) -> Any:
        """Read what is selected: integers, slices, one list or boolean array, a mask, names of fields."""
        given = args if isinstance(args, tuple) else (args,)
        if any(one is None for one in given):
            raise TypeError("Indexing with None (or np.newaxis) is not supported")
        names = tuple(one for one in given if isinstance(one, str))
        if names:
            rest = tuple(one for one in given if not isinstance(one, str))
            return self.fields(names[0] if len(names) == 1 else names, _prior_dtype=new_dtype)[rest]
        self._check_open()
        is_everything = given == () or (len(given) == 1 and given[0] is Ellipsis)
        if self.shape is None:
            if is_everything:
                return h5py.Empty(self.dtype)
            raise ValueError("Empty datasets cannot be sliced")
        if len(given) == 1 and isinstance(given[0], (h5py.RegionReference, RowsReference)):
            raise UnsupportedLayoutError(
                "region references are not followed; take the rows with `reference.rows`",
                url=self.file.tree.url,
                path=self.name,
            )
        values = self._read_scalar(given) if self.shape == () else self._read_selected(given)
        return _as_asked(values, new_dtype, is_scalar=values.shape == () and not (given and given[0] is Ellipsis))

    def _check_open(self) -> None:
        if not self.file.is_open:
            raise ValueError(f"{self.file.filename} is closed")

    def _read_scalar(self, args: tuple[object, ...]) -> Values:
        if args and not (len(args) == 1 and args[0] is Ellipsis):
            raise ValueError("Illegal slicing argument for scalar dataspace")
        return stored_values(self._file_values(None, None), self.array.element, self.dtype)

    def _read_selected(self, args: tuple[object, ...]) -> Values:
        assert self.shape is not None  # noqa: S101  # told apart above
        dtype = self.dtype
        # An empty selection is a slice of everything in h5py.
        row_bytes = prod(self.shape[1:]) * dtype.itemsize
        wanted = select(self.shape, args or (Ellipsis,), row_bytes=row_bytes)
        if wanted.is_empty:
            return np.zeros(wanted.shape, dtype)
        reads = self.file.reads
        if reads is None:
            read = wanted.pick(self._file_values(wanted.spans, wanted.box))
        else:
            read = wanted.pick(reads.read(self.array, wanted))
        return stored_values(read, self.array.element, dtype)

    def _file_values(self, spans: npt.NDArray[np.int64] | None, box: tuple[tuple[int, int], ...] | None) -> Values:
        with no_collection_if_locked():
            return self.file.tree.file.read(self.array, spans, box)

    def read_direct(self, dest: Values, source_sel: object = None, dest_sel: object = None) -> None:
        """Read what `source_sel` selects into what `dest_sel` selects of an array."""
        if self.shape is None:
            raise TypeError("Empty datasets have no numpy representation")
        found = self[() if source_sel is None else source_sel]
        dest[... if dest_sel is None else dest_sel] = found  # type: ignore[index]  # what numpy takes

    def virtual_sources(self) -> NoReturn:
        """Refuse: virtual datasets are not read."""
        raise RuntimeError("Not a virtual dataset")

    def refresh(self) -> None:
        """Do nothing: what is read is of one version of the file."""

    def flush(self) -> None:
        """Do nothing: nothing is written."""

    def __setitem__(self, args: object, val: object) -> None:
        raise self._read_only(OSError)

    def resize(self, size: object, axis: object = None) -> None:
        """Refuse: the file is open for reading."""
        raise self._read_only(TypeError if self.chunks is None else RuntimeError)

    def write_direct(self, source: object, source_sel: object = None, dest_sel: object = None) -> None:
        """Refuse: the file is open for reading."""
        raise self._read_only(OSError)

    def make_scale(self, name: str = "") -> NoReturn:
        """Refuse: the file is open for reading."""
        raise self._read_only(RuntimeError)


def _as_asked(values: Values, dtype: np.dtype[np.generic] | None, *, is_scalar: bool) -> Any:
    """Return values with another dtype, or some fields of a compound; without an axis as a scalar."""
    if dtype is not None:
        if values.dtype.names and dtype.names and set(dtype.names) <= set(values.dtype.names):
            values = some_fields(values, dtype)
        else:
            values = values.astype(dtype)
    return values[()] if is_scalar else values
