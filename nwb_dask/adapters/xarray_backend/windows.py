"""Peri-event windows: the samples around each event, reading only what they touch."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from nwb_dask.adapters.xarray_backend.arrays import LazyValues, Values, dask_array
from nwb_dask.adapters.xarray_backend.axes import TimeAxis
from nwb_dask.adapters.xarray_backend.moments import Moments

Edges: TypeAlias = Literal["nan", "drop", "raise"]
_Rows: TypeAlias = npt.NDArray[np.int64]

_TARGET_BYTES = 64 << 20
_MAX_BYTES = 1 << 40


class WindowArray:
    """Rows of another array, ``rows[i, j]`` at ``[i, j]``; NaN, or zero for integers, where a row is -1.

    Parameters
    ----------
    values : LazyValues
        The array, time first.
    rows : ndarray of int64, shape (n_events, n_offsets)
        Rows of it; -1 for none.
    """

    __slots__ = ("rows", "values")

    def __init__(self, values: LazyValues, rows: _Rows) -> None:
        self.values = values
        self.rows = rows

    @property
    def shape(self) -> tuple[int, ...]:
        """Events, offsets, then the other axes of the array."""
        return (*self.rows.shape, *self.values.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the array; integers become floats where a window has no sample."""
        return filled_dtype(self.values.dtype, has_gaps=bool((self.rows < 0).any()))

    @property
    def ndim(self) -> int:
        """One more than the array has."""
        return self.values.ndim + 1

    def __getitem__(self, key: Any) -> Values:  # noqa: ANN401  # whatever numpy takes
        """Return a part; each row of the array is read once."""
        parts = (*(key if isinstance(key, tuple) else (key,)), *(slice(None),) * self.ndim)[: self.ndim]
        rows = self.rows[parts[0]]
        rows = rows[..., parts[1]] if isinstance(parts[0], slice) or np.ndim(parts[0]) else rows[parts[1]]
        needed, where = np.unique(rows, return_inverse=True)
        is_absent = len(needed) > 0 and needed[0] < 0
        found = self.values[(_as_slice(needed[int(is_absent) :]), *parts[2:])].astype(self.dtype, copy=False)
        if is_absent:
            found = np.concatenate([np.full_like(found, np.nan, shape=(1, *found.shape[1:])), found])
        return found[where.reshape(rows.shape)]

    def __dask_tokenize__(self) -> tuple[object, ...]:
        """Return the array and its rows."""
        return ("nwb_dask.WindowArray", self.values.__dask_tokenize__(), self.rows)


def windows(
    array: xr.DataArray, axis: TimeAxis, moments: Moments, window: tuple[float, float], *, edges: Edges
) -> xr.DataArray:
    """Return the samples around each event; see `accessor.SeriesAccessor.around`."""
    start, stop = map(float, window)
    if not (math.isfinite(start) and math.isfinite(stop) and start <= stop):
        raise ValueError(f"window={window!r}: two offsets in seconds, the first not after the second")
    step = sample_step(axis)
    first, last = math.ceil(start / step - _ROUNDING), math.floor(stop / step + _ROUNDING)
    if last < first:
        raise ValueError(f"window={window!r} is shorter than a sample of {step} s")
    offsets = np.arange(first, last + 1)
    rows, residue = locate(axis, moments.times, offsets, step)
    kept = _kept(rows, moments.times, edges)
    rows, residue, times = rows[kept], residue[kept], moments.times[kept]
    out = _around(array, rows)
    # Divided, as the times of the series are.
    around = offsets * step if axis.rate is None else offsets / axis.rate
    coords: dict[str, Any] = {"time": ("time", around, {"units": "s", "long_name": "time from the event"})}
    coords["event_time"] = ("trial", times, {"units": "s"})
    coords["time_offset"] = (
        "trial",
        residue,
        {"units": "s", "long_name": "time of the sample at 0, less that of the event"},
    )
    labels = np.arange(len(moments.times)) if moments.labels is None else moments.labels
    coords["trial"] = ("trial", labels[kept])
    for name, values in moments.columns.items():
        if name not in coords and name not in array.dims:
            coords[name] = ("trial", values[kept])
    dims = ("trial", "time", *(dim for dim in array.dims if dim != "time"))
    found = xr.DataArray(out, dims=dims, name=array.name, attrs=array.attrs, coords=coords)
    others = {name: one for name, one in array.coords.items() if "time" not in one.dims and name not in coords}
    return found.assign_coords(others)


_ROUNDING = 1e-6
"""Of a sample: a window of 0.1 s at 30 kHz has 3001 samples, whatever 0.1 is in binary."""


def sample_step(axis: TimeAxis) -> float:
    """Return the seconds between samples; of stored times their median, of up to 10,001 from the middle."""
    rate = axis.rate
    if rate is not None and rate > 0:
        return 1.0 / rate
    n = len(axis)
    if n < 2:  # noqa: PLR2004  # between two
        raise ValueError("a series of less than two samples has no windows")
    middle = n // 2
    labels = axis.labels(max(middle - 5000, 0), min(middle + 5001, n))
    step = float(np.nanmedian(np.diff(labels)))
    if not step > 0:
        raise ValueError("the times of the series do not increase")
    return step


def locate(axis: TimeAxis, times: npt.NDArray[np.float64], offsets: _Rows, step: float) -> tuple[_Rows, Any]:
    """Return the row of each offset of each event, -1 for none, and how far from the event offset 0 is.

    On a regular axis the nearest sample to the event stands at 0, and the others follow it. On stored times each
    offset takes the nearest sample within half a step.
    """
    n = len(axis)
    known = np.isfinite(times)
    if axis.rate is not None:
        at = _nearest(axis, np.where(known, times, 0.0), is_clipped=False)
        rows = at[:, np.newaxis] + offsets
        rows[(rows < 0) | (rows >= n) | ~known[:, np.newaxis]] = -1
        inside = np.clip(at, 0, n - 1)
        anchor = axis.label_at(inside) + (at - inside) / axis.rate
        return rows, np.where(known, anchor - times, np.nan)
    wanted = times[:, np.newaxis] + offsets * step
    flat = np.where(np.isfinite(wanted), wanted, 0.0).reshape(-1)
    near = _nearest(axis, flat, is_clipped=True)
    labels = axis.label_at(near)
    rows = near.reshape(wanted.shape)
    distance = np.abs(labels.reshape(wanted.shape) - wanted)
    rows = np.where((distance <= step / 2 * (1 + _ROUNDING)) & known[:, np.newaxis], rows, -1)
    return rows, np.zeros(len(times))


def _nearest(axis: TimeAxis, times: npt.NDArray[np.float64], *, is_clipped: bool) -> _Rows:
    """Return the row nearest to each time; beyond the ends of a regular axis, where it would go on."""
    n = len(axis)
    right = np.clip(axis.searchsorted(times, "left"), 1, n - 1) if n > 1 else np.zeros(len(times), np.int64)
    left = np.maximum(right - 1, 0)
    nearer = np.where(times - axis.label_at(left) <= axis.label_at(right) - times, left, right)
    if is_clipped or axis.rate is None:
        return nearer
    first, last = axis.label_at(np.array([0, n - 1]))
    before = np.round((times - first) * axis.rate).astype(np.int64)
    after = n - 1 + np.round((times - last) * axis.rate).astype(np.int64)
    return np.where(times < first, before, np.where(times > last, after, nearer))


def _kept(rows: _Rows, times: npt.NDArray[np.float64], edges: Edges) -> npt.NDArray[np.bool_]:
    whole: npt.NDArray[np.bool_] = np.all(rows >= 0, axis=1)
    if edges == "nan":
        return np.ones(len(times), np.bool_)
    if edges == "raise" and not whole.all():
        worst = int(np.argmin(whole))
        raise ValueError(
            f"the window around event {worst} at {times[worst]} s reaches past the series, or holds a gap; "
            "use edges='nan' or 'drop'"
        )
    return whole


def _around(array: xr.DataArray, rows: _Rows) -> Any:  # noqa: ANN401  # numpy or dask
    """Return the values at `rows`, events first, as dask where `array` is."""
    moved = array.transpose("time", ...).variable
    has_gaps = bool((rows < 0).any())
    dtype = filled_dtype(array.dtype, has_gaps=has_gaps)
    n_bytes = rows.size * math.prod(moved.shape[1:]) * dtype.itemsize
    if n_bytes > _MAX_BYTES:
        raise ValueError(f"the windows take {n_bytes / 2**30:,.0f} GiB; choose fewer events or a shorter window")
    # Only of what has chunks `data` is lazy.
    stored = stored_values(moved.data) if moved.chunks is not None else None
    if stored is not None:
        found = WindowArray(stored, rows)
        return dask_array(found, _chunks(found), name="nwb-around")
    flat = np.maximum(rows, 0).reshape(-1)
    taken = moved.isel(time=flat).data.astype(dtype)
    shape = (*rows.shape, *moved.shape[1:])
    if isinstance(taken, da.Array):
        per_event = max(rows.shape[1], 1)
        events = max(_TARGET_BYTES // max(n_bytes // max(len(rows), 1), 1), 1)
        taken = taken.rechunk({0: int(events) * per_event})
    out = taken.reshape(shape)
    if not has_gaps:
        return out
    return np.where((rows < 0).reshape(*rows.shape, *(1,) * (len(shape) - 2)), np.array(np.nan, dtype), out)


def stored_values(data: da.Array) -> LazyValues | None:
    """Return the array behind a dask array that nothing was done to; None for any other."""
    layer = data.dask.layers.get(f"original-{data.name}")
    found = None if layer is None else layer.get(f"original-{data.name}")
    value = getattr(found, "value", found)
    return value if hasattr(value, "__dask_tokenize__") and getattr(value, "shape", None) == data.shape else None


def filled_dtype(dtype: np.dtype[Any], *, has_gaps: bool) -> np.dtype[Any]:
    """Return the dtype that can hold NaN where there are gaps: float32 for integers of up to 16 bits, else float64."""
    if not has_gaps or dtype.kind not in "iub":
        return dtype
    return np.dtype(np.float32 if dtype.itemsize <= np.dtype(np.int16).itemsize else np.float64)


def _chunks(found: WindowArray) -> tuple[tuple[int, ...], ...]:
    """Return chunks of whole events, of about 64 MiB."""
    n = found.shape[0]
    event_bytes = math.prod(found.shape[1:]) * found.dtype.itemsize
    step = max(int(_TARGET_BYTES // max(event_bytes, 1)), 1)
    return (tuple(min(step, n - at) for at in range(0, n, step)) or (0,), *((length,) for length in found.shape[1:]))


def _as_slice(rows: _Rows) -> slice | _Rows:
    """Return increasing rows as a slice where they follow each other."""
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows
