"""``DataArray.nwb``: what one does with a series in time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from nwb_dask.adapters.xarray_backend._xarray import LazilyIndexedArray
from nwb_dask.adapters.xarray_backend.arrays import LazyBackendArray, Repeated
from nwb_dask.adapters.xarray_backend.axes import TimeAxis
from nwb_dask.adapters.xarray_backend.blocks import Reduction, reduce_blocks, uniform_chunks
from nwb_dask.adapters.xarray_backend.moments import as_moments, as_stretches
from nwb_dask.adapters.xarray_backend.time_index import TimeIndex
from nwb_dask.adapters.xarray_backend.windows import Edges, windows
from nwb_dask.errors import UnsortedTimesError


@xr.register_dataarray_accessor("nwb")  # type: ignore[no-untyped-call]  # of xarray
class SeriesAccessor:
    """Methods of a DataArray with a dim ``time``, as `nwb_dask.open_timeseries` returns them."""

    def __init__(self, array: xr.DataArray) -> None:
        self._array = array

    @property
    def axis(self) -> TimeAxis:
        """The times, none of which need be in memory.

        Raises
        ------
        ValueError
            If the array has no times, or those of another library.
        """
        index = self._array.xindexes.get("time")
        if isinstance(index, TimeIndex):
            return index.axis
        if index is None:
            raise ValueError("the array has no times, which the file did not give or an operation dropped")
        return TimeIndex.from_labels(np.asarray(self._array["time"].values, np.float64)).axis

    def around(
        self,
        events: Any,  # noqa: ANN401  # arrays and tables of any library
        window: tuple[float, float],
        *,
        column: str | None = None,
        edges: Edges = "nan",
    ) -> xr.DataArray:
        """Return the samples around each event, lazily, reading only what the windows touch.

        Parameters
        ----------
        events : array_like or DataFrame
            Seconds; or a table with a column ``start_time`` or ``timestamp``, such as trials.
        window : tuple of float
            First and last offset from the event in seconds, both included: ``(-0.5, 1.0)``.
        column : str, optional
            The column of the table to go by.
        edges : {"nan", "drop", "raise"}
            Windows that reach past the series or hold a gap: filled with NaN (integers become floats), left out, or an
            error. An event at NaN is such a window.

        Returns
        -------
        xarray.DataArray
            Dims ``(trial, time, ...)``; ``time`` is the offset from the event in seconds. ``event_time`` has the
            events, and the other columns of a table stand beside it. On a regular clock the sample nearest to the
            event is at offset 0, and ``time_offset`` says how far it is from the event; on stored times every offset
            takes the nearest sample within half a sample.
        """
        return windows(self._array, self.axis, as_moments(events, column), window, edges=edges)

    def restrict(self, intervals: Any) -> xr.DataArray:  # noqa: ANN401  # arrays and tables of any library
        """Return the samples in any of the intervals, lazily, once each and in order.

        Parameters
        ----------
        intervals : array_like of shape (n, 2), DataFrame or pynapple IntervalSet
            Starts and stops in seconds, both included; a table has ``start_time`` and ``stop_time``. They may overlap
            and come in any order.

        Returns
        -------
        xarray.DataArray
            The coordinate ``interval`` has the row of the interval that a sample is in; of several the first to start.
        """
        pairs = as_stretches(intervals)
        order = np.argsort(pairs[:, 0], kind="stable")
        axis = self.axis
        try:
            starts = axis.searchsorted(pairs[order, 0], "left")
            stops = axis.searchsorted(pairs[order, 1], "right")
        except UnsortedTimesError:
            return self._restrict_unsorted(pairs, order)
        pieces, numbers, counts, reached = [], [], [], 0
        for number, start, stop in zip(order.tolist(), starts.tolist(), stops.tolist(), strict=True):
            first = max(start, reached)
            if first < stop:
                pieces.append(self._array.isel(time=slice(first, stop)))
                numbers.append(number)
                counts.append(stop - first)
                reached = stop
        if not pieces:
            empty = self._array.isel(time=slice(0, 0))
            return empty.assign_coords(interval=("time", np.empty(0, np.int64)))
        joined = xr.concat(pieces, dim="time", coords="minimal", compat="override", join="override")
        held = LazyBackendArray(Repeated(np.array(numbers), np.array(counts)))
        return joined.assign_coords(interval=xr.Variable(("time",), LazilyIndexedArray(held)))

    def _restrict_unsorted(self, pairs: npt.NDArray[np.float64], order: npt.NDArray[np.intp]) -> xr.DataArray:
        """Return the samples in any interval where times are out of order, which are read for it."""
        times = self._labels()
        numbers = np.full(len(times), -1)
        for number in reversed(order.tolist()):
            numbers[(times >= pairs[number, 0]) & (times <= pairs[number, 1])] = number
        inside = np.flatnonzero(numbers >= 0)
        return self._array.isel(time=inside).assign_coords(interval=("time", numbers[inside]))

    def block_mean(self, n: int, *, skipna: bool = True) -> xr.DataArray:
        """Return the mean of each `n` samples in turn, lazily, at the time of the first of them.

        Parameters
        ----------
        n : int
            Samples of a block; the last block may have fewer.
        skipna : bool
            Whether NaN are left out of a mean, as in xarray.
        """
        return self._reduced(n, "mean", skipna=skipna)

    def block_min(self, n: int, *, skipna: bool = True) -> xr.DataArray:
        """Return the least of each `n` samples in turn; see `block_mean`."""
        return self._reduced(n, "min", skipna=skipna)

    def block_max(self, n: int, *, skipna: bool = True) -> xr.DataArray:
        """Return the greatest of each `n` samples in turn; see `block_mean`."""
        return self._reduced(n, "max", skipna=skipna)

    def to_timedelta(self) -> xr.DataArray:
        """Return the array with its times as `timedelta64[ns]` in memory, which ``resample`` and pandas understand.

        Times are rounded to nanoseconds.
        """
        times = pd.to_timedelta(self._labels(), unit="s")
        return self._with_times(np.asarray(times), {"long_name": "time"})

    def materialize_time(self) -> xr.DataArray:
        """Return the array with its times in memory, under an ordinary index of pandas."""
        return self._with_times(self._labels(), dict(self._array["time"].attrs))

    def uniform_chunks(self) -> xr.DataArray:
        """Return the array in chunks of one length, as ``to_zarr`` wants them after a slice."""
        return uniform_chunks(self._array)

    def to_pynapple(self) -> Any:  # noqa: ANN401  # pynapple is optional
        """Return the values, which are read now, as a pynapple ``Tsd``, ``TsdFrame`` or ``TsdTensor``.

        Raises
        ------
        ImportError
            If pynapple is not installed.
        """
        try:
            import pynapple as nap  # noqa: PLC0415  # optional, and slow to import
        except ImportError as error:
            raise ImportError("to_pynapple needs pynapple: pip install pynapple") from error
        moved = self._array.transpose("time", ...)
        times, values = self._labels(), np.asarray(moved.values)
        if moved.ndim == 1:
            return nap.Tsd(t=times, d=values)
        if moved.ndim > 2:  # noqa: PLR2004  # more than columns
            return nap.TsdTensor(t=times, d=values)
        dim = moved.dims[1]
        return nap.TsdFrame(t=times, d=values, columns=moved[dim].values if dim in moved.coords else None)

    def _labels(self) -> Any:  # noqa: ANN401  # float64
        axis = self.axis
        return axis.labels(0, len(axis))

    def _reduced(self, n: int, how: Reduction, *, skipna: bool) -> xr.DataArray:
        return reduce_blocks(self._array, n, how, skipna=skipna)

    def _with_times(self, times: Any, attrs: dict[Any, Any]) -> xr.DataArray:  # noqa: ANN401  # float64 or timedelta64
        bare = self._array.drop_vars("time")
        return bare.assign_coords(time=("time", times, attrs))
