"""The one place that names what xarray keeps private, so that a new release is met in one file.

Of `xarray.core.indexing`; `tests/adapters/xarray_backend/test_private_xarray.py` says of each what it is needed for.
Tried with xarray 2025.4 to 2026.9; with less than 2025.7.1 pandas 3 does not work.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import xarray as xr
from dask.base import normalize_token
from xarray.backends import BackendArray
from xarray.core.indexing import (
    ExplicitIndexer,
    IndexingSupport,
    IndexSelResult,
    LazilyIndexedArray,
    LazilyVectorizedIndexedArray,
    explicit_indexing_adapter,
)

from nwb_dask.adapters.xarray_backend.axes import TimeAxis, same_labels
from nwb_dask.errors import TooManyLabelsError

__all__ = [
    "MATERIALIZE_LIMIT",
    "ExplicitIndexer",
    "IndexSelResult",
    "IndexingSupport",
    "LazilyIndexedArray",
    "LazilyVectorizedIndexedArray",
    "LazyTime",
    "TimeVariable",
    "explicit_indexing_adapter",
    "lazy_time",
    "refuse_too_many",
    "time_axis_of",
]

MATERIALIZE_LIMIT = 1 << 26
"""Labels, 512 MiB of them: what is done for the user in memory ends here, and what would need more raises."""

RATE = "rate"
"""Attribute of times: samples per second, where nothing interrupts them."""


def refuse_too_many(n: int, what: str) -> None:
    """Raise `TooManyLabelsError` if `n` times are more than `MATERIALIZE_LIMIT`."""
    if n > MATERIALIZE_LIMIT:
        raise TooManyLabelsError(
            f"{what} needs all {n:,} times in memory, and the limit is {MATERIALIZE_LIMIT:,}; "
            "select a window first: .sel(time=slice(start, stop))"
        )


class _AxisLabels(BackendArray):
    """The labels of an axis, as xarray indexes what is in files."""

    __slots__ = ("axis", "dtype", "shape")

    def __init__(self, axis: TimeAxis) -> None:
        self.axis = axis
        self.shape = (axis.n,)
        self.dtype = np.dtype(np.float64)

    def __getitem__(self, key: ExplicitIndexer) -> Any:  # noqa: ANN401  # a number or an array
        """Return labels: of one position, of a slice, or of positions of any shape."""
        (one,) = key.tuple
        if isinstance(one, slice):
            return self.axis.take(one).labels()
        return self.axis.label_at(one)

    async def async_getitem(self, key: ExplicitIndexer) -> Any:  # noqa: ANN401  # a number or an array
        """Return the same: nothing here waits for a network by itself."""
        return self[key]


class LazyTime(LazilyIndexedArray):
    """Labels that are computed or read when they are needed. Made by `lazy_time`, one object for each axis.

    xarray takes variables for equal without looking at them where they hold the same object.
    """

    __slots__ = ("__weakref__",)

    array: _AxisLabels

    def _oindex_get(self, indexer: Any) -> Any:  # noqa: ANN401  # one of xarray's indexers; lazy, of one dimension
        return lazy_time(self.array.axis.take(indexer.tuple[0]))

    def _vindex_get(self, indexer: Any) -> Any:  # noqa: ANN401  # one of xarray's indexers; lazy, of any dimensions
        # xarray would count all labels first, in memory.
        held: Any = self.array
        return LazilyVectorizedIndexedArray(held, indexer)

    def __getitem__(self, indexer: ExplicitIndexer) -> Any:  # noqa: ANN401  # lazy, of one dimension or none
        """Return another lazy array: of a slice that of the sliced axis, of an integer one label."""
        if self.ndim and isinstance(indexer.tuple[0], slice):
            return lazy_time(self.array.axis.take(indexer.tuple[0]))
        return super().__getitem__(indexer)

    def __reduce__(self) -> tuple[object, ...]:
        return (lazy_time, (self.array.axis,)) if self.ndim else (LazyTime, (self.array, self.key))

    def __dask_tokenize__(self) -> object:
        """Return what the axis is made of."""
        return normalize_token(("nwb_dask.LazyTime", self.array.axis.__dask_tokenize__(), str(self.key)))

    def _repr_inline_(self, max_width: int) -> str:
        bounds = self.array.axis.bounds if self.ndim else None
        text = "..." if bounds is None else " ... ".join(f"{bound:.9g}" for bound in bounds)
        return text[:max_width]


_lazy_times: weakref.WeakValueDictionary[TimeAxis, LazyTime] = weakref.WeakValueDictionary()


def lazy_time(axis: TimeAxis) -> LazyTime:
    """Return the labels of an axis as an array for xarray, the same object for equal axes."""
    found = _lazy_times.get(axis)
    # Of two threads that make one at once the first to store it wins.
    return _lazy_times.setdefault(axis, LazyTime(_AxisLabels(axis))) if found is None else found


def time_axis_of(variable: xr.Variable) -> TimeAxis | None:
    """Return the axis whose labels a variable of one dimension holds lazily; None if it holds anything else."""
    held = variable._data  # noqa: SLF001  # asking for `data` would read the labels
    return held.array.axis if isinstance(held, LazyTime) and held.ndim else None


class TimeVariable(xr.Variable):
    """A coordinate of lazy times, which stay lazy where xarray would bring other coordinates into memory.

    Chunks, `load` and tokens leave it as it is; comparisons look at the axes. Where it comes to hold anything but the
    labels of one axis it is an ordinary variable. The attribute ``rate``, if it has one, is that of the axis or gone.
    """

    __slots__ = ()

    def __init__(
        self,
        dims: Any,  # noqa: ANN401  # whatever xarray takes
        data: Any,  # noqa: ANN401  # the same
        attrs: Mapping[Any, Any] | None = None,
        encoding: Mapping[Any, Any] | None = None,
        fastpath: bool = False,  # noqa: FBT001, FBT002  # xarray passes it by position
    ) -> None:
        super().__init__(dims, data, None, encoding, fastpath)
        self.attrs = attrs or {}

    @property
    def attrs(self) -> dict[Any, Any]:
        """Attributes."""
        return super().attrs

    @attrs.setter
    def attrs(self, value: Mapping[Any, Any]) -> None:
        # xarray hands the attributes of one window on to another after the index has made them.
        attrs = dict(value)
        if RATE in attrs:
            axis = time_axis_of(self)
            rate = None if axis is None else axis.rate
            attrs.pop(RATE)
            if rate is not None:
                attrs[RATE] = rate
        xr.Variable.attrs.fset(self, attrs)  # type: ignore[attr-defined]  # a property, which hides behind overloads

    def chunk(self, *args: Any, **kwargs: Any) -> Self:  # noqa: ANN401  # those of xarray
        """Return the variable as it is: labels in chunks would be tasks of dask, and no longer those of the index."""
        if time_axis_of(self) is None:
            return super().chunk(*args, **kwargs)
        return self.copy(deep=False)

    def load(self, **kwargs: Any) -> Self:  # noqa: ANN401  # those of xarray
        """Return the variable as it is: its labels are at hand wherever they are asked for."""
        return self if time_axis_of(self) is not None else super().load(**kwargs)

    async def load_async(self, **kwargs: Any) -> Self:  # noqa: ANN401  # those of xarray
        """Return the variable as it is; see `load`."""
        return self if time_axis_of(self) is not None else await super().load_async(**kwargs)

    def equals(self, other: Any, *args: Any, **kwargs: Any) -> bool:  # noqa: ANN401  # those of xarray
        """Tell whether dims and labels are equal; those of two axes are compared without holding them in memory."""
        variable = getattr(other, "variable", other)
        ours = time_axis_of(self)
        theirs = time_axis_of(variable) if isinstance(variable, xr.Variable) else None
        if ours is None or theirs is None:
            return bool(super().equals(other, *args, **kwargs))  # type: ignore[no-untyped-call]  # of xarray
        return self.dims == variable.dims and same_labels(ours, theirs)

    def to_index_variable(self) -> xr.IndexVariable:
        """Return a variable with all labels in memory, under an index of pandas.

        Raises
        ------
        TooManyLabelsError
            If they are more than `MATERIALIZE_LIMIT`.
        """
        refuse_too_many(self.size, "an index of pandas")
        return super().to_index_variable()

    def __dask_tokenize__(self) -> object:
        """Return what the axis is made of, with dims and attributes."""
        axis = time_axis_of(self)
        if axis is None:
            return super().__dask_tokenize__()
        return normalize_token((type(self), self.dims, axis.__dask_tokenize__(), self.attrs or None))
