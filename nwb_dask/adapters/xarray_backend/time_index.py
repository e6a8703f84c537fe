"""One index of xarray over lazy times, which answers what an index of pandas over the same labels would."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Literal, Self, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from pandas.errors import InvalidIndexError
from xarray.indexes import PandasIndex

from nwb_dask.adapters.xarray_backend._xarray import (
    MATERIALIZE_LIMIT,
    RATE,
    IndexSelResult,
    TimeVariable,
    lazy_time,
    refuse_too_many,
    time_axis_of,
)
from nwb_dask.adapters.xarray_backend.axes import (
    ArrayAxis,
    Method,
    Side,
    TimeAxis,
    concat_axes,
    find_positions,
    joined_window,
    positions_in_window,
    same_labels,
)

_Positions: TypeAlias = npt.NDArray[np.int64]
_Indexer: TypeAlias = "int | slice | npt.NDArray[Any]"
_T = TypeVar("_T")

_METHODS: dict[str, Method] = {
    "pad": "pad",
    "ffill": "pad",
    "backfill": "backfill",
    "bfill": "backfill",
    "nearest": "nearest",
}
_FEW_LABELS = 1 << 20
"""Of an index that labels are looked up in: brought into memory whatever the number of labels looked up."""

_ATTRS = {"units": "s", "long_name": "time"}


class NoCommonTimesWarning(UserWarning):
    """Two series that were aligned have no time in common, so that the result is empty."""


class TimeIndex(xr.Index):
    """The index of the dimension of time: label-based selection and alignment over a `TimeAxis`.

    Answers are those of an index of pandas over the same labels, but for three: slices and look-ups take NaN at the end
    for later than everything; where labels repeat, ``method=`` takes the first instead of refusing; and stored stamps
    that are out of order are refused instead of searched one by one.

    Parameters
    ----------
    axis : TimeAxis
        The labels.
    dim : str
        The dimension.
    name : str, optional
        The coordinate; by default that of the dimension.
    """

    def __init__(self, axis: TimeAxis, dim: Hashable = "time", name: Hashable | None = None) -> None:
        self.axis = axis
        self.dim = dim
        self.name = dim if name is None else name

    @classmethod
    def from_labels(cls, labels: npt.ArrayLike, dim: Hashable = "time") -> Self:
        """Return an index over labels in memory, seconds."""
        return cls(ArrayAxis(labels), dim)

    @classmethod
    def from_variables(cls, variables: Mapping[Any, xr.Variable], *, options: Mapping[str, Any]) -> Self:
        """Return an index over a coordinate of one dimension; `xarray.DataArray.set_xindex` calls it."""
        if options or len(variables) != 1:
            raise ValueError(f"TimeIndex takes one coordinate and no options, not {list(variables)}, {dict(options)}")
        ((name, variable),) = variables.items()
        if variable.ndim != 1:
            raise ValueError(f"TimeIndex needs a coordinate of one dimension; {name!r} has {variable.ndim}")
        axis = time_axis_of(variable)
        if axis is None:
            axis = ArrayAxis(np.asarray(variable.values).astype(np.float64, casting="same_kind"))
        return cls(axis, variable.dims[0], name)

    def create_variables(self, variables: Mapping[Any, xr.Variable] | None = None) -> dict[Any, xr.Variable]:
        """Return the coordinate, lazy, with the attributes of the one given and the rate of these times."""
        given = None if variables is None else variables.get(self.name)
        attrs = dict(_ATTRS) if given is None else dict(given.attrs)
        if attrs and self.axis.rate is not None:
            attrs[RATE] = self.axis.rate
        encoding = None if given is None else given.encoding
        return {self.name: TimeVariable((self.dim,), lazy_time(self.axis), attrs, encoding, fastpath=True)}

    def to_pandas_index(self) -> pd.Index[Any]:
        """Return all labels as an index of pandas.

        Raises
        ------
        TooManyLabelsError
            If they are more than `MATERIALIZE_LIMIT`.
        """
        refuse_too_many(self.axis.n, "an index of pandas")
        return pd.Index(self.axis.labels(), name=self.name, copy=True)

    def isel(self, indexers: Mapping[Any, Any]) -> TimeIndex | None:
        """Return the index of the chosen positions; None where they have no dimension, or another one."""
        indexer = indexers[self.dim]
        if isinstance(indexer, xr.Variable):
            if indexer.dims != (self.dim,):
                return None
            indexer = indexer.data
        if not isinstance(indexer, slice) and np.ndim(indexer) == 0:
            return None
        return self._of(self.axis.take(indexer if isinstance(indexer, slice) else np.asarray(indexer)))

    def __getitem__(self, indexer: Any) -> TimeIndex:  # noqa: ANN401  # a slice or an array
        """Return the index of a slice or of an array of positions."""
        return self._of(self.axis.take(indexer))

    def sel(
        self,
        labels: dict[Any, Any],
        method: str | None = None,
        tolerance: Any = None,  # noqa: ANN401  # whatever pandas takes
    ) -> IndexSelResult:
        """Return the positions of labels: of a slice, both ends included, of one label, or of an array of them."""
        if method is not None and not isinstance(method, str):
            raise TypeError("``method`` must be a string")
        ((name, label),) = labels.items()
        if isinstance(label, slice):
            if method is not None or tolerance is not None:
                raise NotImplementedError("cannot use ``method`` argument if any indexers are slice objects")
            start, stop = _bound(label.start), _bound(label.stop)
            found: Any = self._answer(
                lambda axis: _slice(axis, start, stop, label.step),
                lambda pandas: pandas.sel({name: slice(start, stop, label.step)}).dim_indexers[self.dim],
            )
            return IndexSelResult({self.dim: found})
        if isinstance(label, Mapping):
            raise ValueError("a time is a number, not a mapping")  # noqa: TRY004  # what xarray raises for it
        wanted = _as_labels(label)
        if wanted.dtype.kind == "b" and wanted.ndim:
            found = wanted
        else:
            _validate(wanted, method, tolerance)
            found = self._answer(
                lambda axis: _find(axis, wanted, method, tolerance, name),
                lambda pandas: pandas.sel({name: wanted}, method=method, tolerance=tolerance).dim_indexers[self.dim],
            )
        if isinstance(label, xr.Variable):
            found = xr.Variable(label.dims, found)
        elif isinstance(label, xr.DataArray):
            found = xr.DataArray(found, coords=label.coords, dims=label.dims)
        return IndexSelResult({self.dim: found})

    def equals(self, other: xr.Index, *, exclude: frozenset[Hashable] | None = None) -> bool:  # noqa: ARG002  # of xarray
        """Tell whether dims and labels are equal; of windows of one clock without looking at any label."""
        return isinstance(other, TimeIndex) and self.dim == other.dim and same_labels(self.axis, other.axis)

    def join(self, other: Self, how: Any = "inner") -> TimeIndex:  # noqa: ANN401  # a private type of xarray
        """Return the index of the labels that both have (``"inner"``) or either has (``"outer"``).

        Windows of one clock are joined by arithmetic; others in memory, as pandas does.

        Raises
        ------
        TooManyLabelsError
            If that would be more than `MATERIALIZE_LIMIT` labels.
        """
        kind: Literal["inner", "outer"] = "outer" if how == "outer" else "inner"
        if same_labels(self.axis, other.axis):
            return self
        joined = joined_window(self.axis, other.axis, kind)
        if joined is None:
            for one in (self, other):
                refuse_too_many(one.axis.n, "aligning series of different clocks")
            ours, theirs = self.to_pandas_index(), other.to_pandas_index()
            labels = ours.union(theirs) if kind == "outer" else ours.intersection(theirs)
            joined = ArrayAxis(labels.to_numpy())
        if kind == "inner" and not joined.n and self.axis.n and other.axis.n:
            warnings.warn(
                f"no time of {self.name!r} is the same in both series, so that nothing is left of them: their clocks "
                "differ. Bring one to the times of the other first: .sel(time=other.time, method='nearest')",
                NoCommonTimesWarning,
                stacklevel=2,
            )
        return self._of(joined)

    def reindex_like(
        self,
        other: Self,
        method: str | None = None,
        tolerance: Any = None,  # noqa: ANN401  # whatever pandas takes
    ) -> dict[Hashable, Any]:
        """Return where each label of `other` is; -1 where it is not.

        Raises
        ------
        TooManyLabelsError
            If `other` has more than `MATERIALIZE_LIMIT` labels.
        """
        refuse_too_many(other.axis.n, "reindexing")
        if method is None and tolerance is None:
            positions = positions_in_window(self.axis, other.axis)
            if positions is not None:
                return {self.dim: positions}
        if self.axis.n <= min(max(_FEW_LABELS, 16 * other.axis.n), MATERIALIZE_LIMIT) or self.axis.direction == 0:
            return self._in_memory().reindex_like(other._in_memory(), method, tolerance)
        wanted = other.axis.labels()
        _validate(wanted, method, tolerance)
        if method is not None:
            return {self.dim: find_positions(self.axis, wanted, _METHODS[method.lower()], tolerance)}
        found = find_positions(self.axis, wanted)
        if ((self.axis.searchsorted(wanted, "right") - 1 != found) & (found >= 0)).any():
            raise ValueError(f"cannot reindex or align along dimension {self.dim!r} because times repeat")
        return {self.dim: found}

    @classmethod
    def concat(
        cls, indexes: Sequence[Self], dim: Hashable, positions: Iterable[Iterable[int]] | None = None
    ) -> TimeIndex:
        """Return the index of the labels of all, one after the other, or as `positions` place them."""
        if any(index.dim != dim for index in indexes):
            dims = ", ".join(sorted({repr(index.dim) for index in indexes}))
            raise ValueError(f"cannot concatenate along dimension {dim!r} indexes with dimensions: {dims}")
        axis = concat_axes(index.axis for index in indexes)
        if positions is not None:
            places = np.concatenate([np.asarray(part, np.int64) for part in positions])
            axis = axis.take(np.argsort(places))
        return cls(axis, dim, indexes[0].name if indexes else None)

    def roll(self, shifts: Mapping[Any, int]) -> TimeIndex:
        """Return the index with its labels moved round."""
        shift = shifts[self.dim] % (self.axis.n or 1)
        if not shift:
            return self
        return self._of(concat_axes([self.axis.take(slice(-shift, None)), self.axis.take(slice(0, -shift))]))

    def rename(self, name_dict: Mapping[Any, Hashable], dims_dict: Mapping[Any, Hashable]) -> TimeIndex:
        """Return the index under other names."""
        if self.name not in name_dict and self.dim not in dims_dict:
            return self
        return TimeIndex(self.axis, dims_dict.get(self.dim, self.dim), name_dict.get(self.name, self.name))

    def _of(self, axis: TimeAxis) -> TimeIndex:
        return self if axis is self.axis else TimeIndex(axis, self.dim, self.name)

    def _in_memory(self) -> PandasIndex:
        return PandasIndex(self.to_pandas_index(), self.dim)

    def _answer(self, ours: Callable[[TimeAxis], _T], of_pandas: Callable[[PandasIndex], _T]) -> _T:
        """Return our answer, or that of pandas where labels are out of order because somebody arranged them so."""
        axis = self.axis
        if axis.n <= MATERIALIZE_LIMIT and axis.direction == 0:
            return of_pandas(self._in_memory())
        if axis.direction < 0 and axis.n > 1 and axis.first == axis.last:
            # Labels that are all equal both increase and decrease, and pandas looks for the first.
            return ours(ArrayAxis(np.full(axis.n, axis.first)))
        return ours(axis)

    def _repr_inline_(self, max_width: int) -> str:
        rate = self.axis.rate
        text = f"TimeIndex ({self.axis.n:,} times" + ("" if rate is None else f" at {rate:g} Hz") + ")"
        return text[:max_width]

    def __repr__(self) -> str:
        return f"TimeIndex({self.axis!r}, dim={self.dim!r})"


def time_coordinates(axis: TimeAxis, *, dim: str = "time", attrs: Mapping[str, Any] | None = None) -> xr.Coordinates:
    """Return the coordinate of lazy times with its index, for ``assign_coords`` or the constructor of an array.

    Parameters
    ----------
    axis : TimeAxis
        The times of the samples.
    dim : str
        Dimension and name.
    attrs : mapping, optional
        Attributes beside ``units`` ("s"), ``long_name`` and, of times with a rate, ``rate`` in Hz.
    """
    index = TimeIndex(axis, dim)
    given = xr.Variable((dim,), np.empty(0), {**_ATTRS, **(attrs or {})})
    return xr.Coordinates(index.create_variables({dim: given}), indexes={dim: index})


def _slice(axis: TimeAxis, start: float | None, stop: float | None, step: Any) -> slice:  # noqa: ANN401  # as given
    """Return the positions of the labels from `start` to `stop`, as `pandas.Index.slice_indexer` does."""
    is_forward = step is None or step >= 0
    low, high = (start, stop) if is_forward else (stop, start)
    first = 0 if low is None else int(axis.searchsorted(low, "left"))
    last = axis.n if high is None else int(axis.searchsorted(high, "right"))
    if not is_forward:
        first, last = last - 1, first - 1
        # -1 is before the first position here, and the last one in a slice.
        first, last = (at - axis.n if at == -1 else at for at in (first, last))
    return slice(first, last, step)


def _find(axis: TimeAxis, labels: npt.NDArray[np.float64], method: str | None, tolerance: Any, name: Any) -> _Indexer:  # noqa: ANN401  # as given
    if method is not None:
        found = find_positions(axis, labels, _METHODS[method.lower()], tolerance)
        if (found < 0).any():
            raise KeyError(f"not all values found in index {name!r}")
        return found
    found = find_positions(axis, labels)
    if (found < 0).any():
        hint = "" if labels.ndim else ". Try setting the `method` keyword argument (example: method='nearest')."
        raise KeyError(f"not all values found in index {name!r}{hint}")
    last = _search_each(axis, labels, "right") - 1
    if labels.ndim == 0:
        first, end = int(found), int(last) + 1
        return first if end == first + 1 else slice(first, end)
    if (last != found).any():
        raise InvalidIndexError("Reindexing only valid with uniquely valued Index objects")
    return found


def _search_each(axis: TimeAxis, labels: npt.NDArray[np.float64], side: Side) -> _Positions:
    return np.asarray(axis.searchsorted(labels, side))


def _as_labels(label: Any) -> npt.NDArray[Any]:  # noqa: ANN401  # whatever users select by
    """Return labels as float64, and booleans as they are, as xarray prepares them for an index of pandas."""
    found = np.asarray(label)
    if isinstance(label, tuple) or (found.ndim > 1 and not hasattr(label, "ndim")):
        raise ValueError(f"times are numbers or lists of them, not {label!r}")
    return found if found.dtype.kind == "b" else np.asarray(found, np.float64)


def _bound(bound: Any) -> float | None:  # noqa: ANN401  # whatever users write
    """Return an end of a slice as a number."""
    if bound is None:
        return None
    found = np.asarray(getattr(bound, "values", bound))
    if found.ndim:
        raise ValueError(f"cannot use non-scalar arrays in a slice for xarray indexing: {bound}")
    if found.dtype.kind not in "iufb":
        raise TypeError(f"times are seconds, and {bound!r} of a slice is no number")
    return float(found)


def _validate(labels: npt.NDArray[Any], method: str | None, tolerance: Any) -> None:  # noqa: ANN401  # as given
    """Raise what pandas raises for labels and options that have no meaning."""
    if labels.dtype.kind == "b" and method is None:
        raise KeyError(bool(labels))
    is_plain = labels.dtype.kind == "f" and (method is None or method in _METHODS)
    if is_plain and (tolerance is None or (isinstance(tolerance, float | int) and method is not None)):
        return
    if labels.ndim == 0 and method is None:
        return
    # An index of two labels that nobody asks for: only whether pandas takes the options matters.
    pd.Index([5e-324, 1e-323]).get_indexer(
        pd.Index(labels.reshape(-1)), method=cast("Any", method), tolerance=tolerance
    )
