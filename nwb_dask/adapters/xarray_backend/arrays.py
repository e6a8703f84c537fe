"""Arrays that are known by their address only, as dask and xarray want to index them."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import dask.array as da
import numpy as np
import numpy.typing as npt
from xarray.backends import BackendArray

from nwb_dask.adapters.xarray_backend._xarray import ExplicitIndexer, IndexingSupport, explicit_indexing_adapter
from nwb_dask.plan import Selection, Slab
from nwb_dask.read import read_slab

Values: TypeAlias = npt.NDArray[Any]
Key: TypeAlias = tuple[Any, ...]


class LazyValues(Protocol):
    """An array that is read when it is indexed. Each axis by itself: integers, slices, 1-d arrays of integers."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""

    @property
    def ndim(self) -> int:
        """Number of axes."""

    def __getitem__(self, key: Any) -> Values:  # noqa: ANN401  # whatever numpy takes
        """Return a part."""

    def __dask_tokenize__(self) -> tuple[object, ...]:
        """Return what tells this array from others, in every process."""


class SlabArray:
    """The array at an address; opens its file where it is indexed, and pickles as small as the address."""

    __slots__ = ("slab",)

    def __init__(self, slab: Slab) -> None:
        self.slab = slab

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.slab.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values as they are read: physical ones where they are scaled."""
        return self.slab.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.slab.shape)

    def __getitem__(self, key: Any) -> Values:  # noqa: ANN401  # whatever numpy takes
        """Return a part: integers, slices and 1-d arrays of integers, each axis by itself."""
        return read_slab(self.slab, key if isinstance(key, tuple) else (key,))

    def __dask_tokenize__(self) -> tuple[object, ...]:
        """Return the address and the conversion."""
        return ("nwb_dask.Slab", self.slab.token)

    def __repr__(self) -> str:
        return f"SlabArray({self.slab!r})"


class FrameNumbers:
    """0, 1, 2 ...: what stands for images that are in other files."""

    __slots__ = ("n",)

    def __init__(self, n: int) -> None:
        self.n = n

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of frames."""
        return (self.n,)

    @property
    def dtype(self) -> np.dtype[Any]:
        """64-bit integers."""
        return np.dtype(np.int64)

    @property
    def ndim(self) -> int:
        """1."""
        return 1

    def __getitem__(self, key: Any) -> Values:  # noqa: ANN401  # whatever numpy takes
        """Return a part."""
        (one,) = key if isinstance(key, tuple) else (key,)
        if isinstance(one, slice):
            return np.arange(*one.indices(self.n))
        numbers = np.asarray(one)
        if ((numbers < -self.n) | (numbers >= self.n)).any():
            raise IndexError(f"frame {one} of {self.n}")
        return np.where(numbers < 0, numbers + self.n, numbers)

    def __dask_tokenize__(self) -> tuple[object, ...]:
        """Return the number of frames."""
        return ("nwb_dask.FrameNumbers", self.n)


class NoValues:
    """NaN: what stands for samples that are not in the file."""

    __slots__ = ("shape",)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """64-bit floats."""
        return np.dtype(np.float64)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> Values:  # noqa: ANN401  # whatever numpy takes
        """Return a part."""
        return np.full(Selection.of(key, self.shape).shape, np.nan)

    def __dask_tokenize__(self) -> tuple[object, ...]:
        """Return the shape."""
        return ("nwb_dask.NoValues", self.shape)


class Repeated:
    """Values that each stand several times in turn, ``numpy.repeat``, without the memory for it.

    Parameters
    ----------
    values : ndarray, shape (n,)
        What is repeated.
    counts : ndarray of int64, shape (n,)
        How often.
    """

    __slots__ = ("_ends", "_values")

    def __init__(self, values: Values, counts: npt.NDArray[np.int64]) -> None:
        self._values = values
        self._ends = np.cumsum(counts)

    @property
    def shape(self) -> tuple[int, ...]:
        """The sum of the counts."""
        return (int(self._ends[-1]) if len(self._ends) else 0,)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        return self._values.dtype

    @property
    def ndim(self) -> int:
        """1."""
        return 1

    def __getitem__(self, key: Any) -> Values:  # noqa: ANN401  # whatever numpy takes
        """Return a part."""
        places = FrameNumbers(self.shape[0])[key]
        found: Values = self._values[np.searchsorted(self._ends, places, "right")]
        return found

    def __dask_tokenize__(self) -> tuple[object, ...]:
        """Return the values and where each ends."""
        return ("nwb_dask.Repeated", self._values, self._ends)


class LazyBackendArray(BackendArray):
    """The same for xarray, which reads it when something is computed."""

    def __init__(self, values: LazyValues) -> None:
        self.values = values
        self.shape = values.shape
        self.dtype = values.dtype

    def __getitem__(self, key: ExplicitIndexer) -> Values:
        """Return a part."""
        found: Values = explicit_indexing_adapter(key, self.shape, IndexingSupport.OUTER, self.values.__getitem__)
        return found

    def __dask_tokenize__(self) -> tuple[object, ...]:
        """Return that of the array."""
        return self.values.__dask_tokenize__()


def dask_array(values: LazyValues, chunks: tuple[tuple[int, ...], ...], *, name: str) -> da.Array:
    """Return `values` in chunks as a dask array, into whose reads dask pushes slices.

    Parameters
    ----------
    values : LazyValues
        The array.
    chunks : tuple of tuple of int
        Lengths of the chunks of each axis.
    name : str
        Begins the names of the tasks.
    """
    token = da.core.tokenize(values, chunks)
    # Fancy indexes stay apart from the read if they are said to be impossible, and then whole chunks are read.
    found: da.Array = da.from_array(
        values, chunks, name=f"{name}-{token}", fancy=True, meta=np.empty((0,) * values.ndim, values.dtype)
    )
    return found
