"""`overview`: the envelope of a whole series."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import dask
import numpy as np
import numpy.typing as npt
import xarray as xr

from nwb_dask.adapters.xarray_backend import SeriesAccessor
from nwb_dask.plot.axes import axes_or_new, name_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats: TypeAlias = npt.NDArray[np.float64]

_READ_BYTES = 64 << 20
"""What is read at once of a series that is not in chunks of dask."""
_UNITS = (("h", 3600.0, 7200.0), ("min", 60.0, 120.0), ("s", 1.0, 0.0))
"""Unit of time, its seconds, and the length in seconds from which it is used."""


def overview(da: xr.DataArray, *, n_points: int = 2000, spacing: float | None = None, ax: Axes | None = None) -> Axes:
    """Draw a whole series as the envelope of its least and greatest values, and return the axes.

    The series is read once, chunk by chunk, in one computation of Dask; what is held of it are `n_points` pairs for
    each channel. No extreme value is lost, however short.

    Parameters
    ----------
    da : xarray.DataArray
        Real numbers, with the dim ``time`` and at most one other, whose places are stacked from bottom to top.
    n_points : int
        Blocks of samples, at most, that each are drawn as the span of their values, from the first sample to the next
        block. A gap between two blocks stays white if it is longer than a block; one inside a block is drawn over. A
        series of no more samples is drawn as lines.
    spacing : float, optional
        The distance of stacked channels, in the units of the values; by default the least at which none overlap. The
        median of the middles of a channel is on its line.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        With one artist for each channel, and time in seconds, minutes or hours, whichever suits the length; sample
        numbers if the series has no times. Samples whose time is NaN are not drawn.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If there is no dim ``time``, more than one other, or values are not real numbers.
    """
    other = _checked(da, n_points, spacing)
    axes = axes_or_new(ax)
    n_block = max(-(-da.sizes["time"] // n_points), 1)
    low, high = _envelope(da, n_block)
    blocks, time_label = _blocks(da, n_block)
    value_label = _label(da)
    if other is not None:
        spacing = _no_overlap(low, high) if spacing is None else spacing
        levels = np.arange(low.shape[1]) * spacing
        shift = levels - _middles(low, high)
        low, high = low + shift, high + shift
        value_label = f"{other}, {spacing:.3g}{_unit(da, ' {}')} apart"
        name_rows(axes, levels, da[other].values)
    for lower, upper in zip(low.T, high.T, strict=True):
        if n_block == 1:
            axes.plot(blocks.starts, lower, color="C0", linewidth=0.5)
        else:
            x, at = blocks.corners()
            axes.fill_between(x, lower[at], upper[at], color="C0", linewidth=0.5)
    axes.set(xlabel=time_label, ylabel=value_label)
    axes.margins(x=0)
    return axes


def _checked(da: xr.DataArray, n_points: int, spacing: float | None) -> str | None:
    """Return the dim beside time, None if there is none."""
    others = [str(dim) for dim in da.dims if dim != "time"]
    if "time" not in da.dims or len(others) > 1:
        raise ValueError(f"a series of time and at most one other dim is needed, not {', '.join(map(str, da.dims))}")
    if da.dtype.kind not in "biuf":
        raise ValueError(f"values are real numbers, not {da.dtype}")
    if n_points < 1 or (spacing is not None and not spacing > 0):
        raise ValueError(f"n_points={n_points!r} is at least 1, spacing={spacing!r} above 0")
    return others[0] if others else None


def _envelope(da: xr.DataArray, n_block: int) -> tuple[Floats, Floats]:
    """Return least and greatest value of each block, shape (n_blocks, n_channels), reading each chunk once."""
    array = da.transpose("time", ...)
    if n_block == 1:
        values = _columns(array.values)
        return values, values
    if array.chunks is None:
        row_bytes = max(array.nbytes // array.sizes["time"], 1)
        n_rows = max(_READ_BYTES // (row_bytes * n_block), 1) * n_block
        # Named at random: a name made of the values would read them all.
        array = array.chunk({"time": n_rows}, token=uuid.uuid4().hex)
    series = SeriesAccessor(array)
    low, high = dask.compute(series.block_min(n_block).data, series.block_max(n_block).data)
    return _columns(low), _columns(high)


def _columns(values: npt.NDArray[Any]) -> Floats:
    return values.astype(np.float64).reshape(len(values), -1 if values.ndim > 1 else 1)


def _middles(low: Floats, high: Floats) -> Floats:
    """Return the median of the middles of each channel; 0 of a channel without any number."""
    middle = (low + high) / 2
    known = np.isfinite(middle)
    return np.array([np.median(one[is_]) if is_.any() else 0.0 for one, is_ in zip(middle.T, known.T, strict=True)])


def _no_overlap(low: Floats, high: Floats) -> float:
    """Return the least distance at which no channel reaches into the one above it."""
    middles = _middles(low, high)
    above = np.where(np.isfinite(high), high - middles, 0.0).max(axis=0, initial=0.0)
    below = np.where(np.isfinite(low), middles - low, 0.0).max(axis=0, initial=0.0)
    found = float((above[:-1] + below[1:]).max(initial=0.0))
    return found if found > 0 else 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Blocks:
    """When blocks of samples are."""

    starts: Floats
    """Time of the first sample of each."""
    lasts: Floats
    """Time of the last one."""

    def corners(self) -> tuple[Floats, npt.NDArray[np.intp]]:
        """Return the two ends of each block, parted by NaN at gaps, and the block that each is of."""
        numbers = np.arange(len(self.starts))
        following = np.append(self.starts[1:], self.lasts[-1:])
        steps = np.diff(self.starts)
        known = steps[np.isfinite(steps)]
        is_gap = following - self.lasts > (np.median(known) if len(known) else np.inf)
        ends = np.where(is_gap | np.isnan(following), self.lasts, following)
        x = np.column_stack([self.starts, ends]).ravel()
        breaks = 2 * (np.flatnonzero(is_gap) + 1)
        return np.insert(x, breaks, np.nan), np.insert(np.repeat(numbers, 2), breaks, 0)


def _blocks(da: xr.DataArray, n_block: int) -> tuple[_Blocks, str]:
    """Return when blocks are in the unit that suits the series, and the label of the axis."""
    n = da.sizes["time"]
    firsts = np.arange(0, n, n_block)
    rows = np.column_stack([firsts, np.minimum(firsts + n_block, n) - 1])
    if "time" not in da.coords:
        return _Blocks(*rows.T.astype(np.float64)), "sample"
    time = da["time"]
    # Ends of blocks are next to the starts of others, in the same chunk of stored times.
    labels = np.asarray(time.isel(time=rows.ravel()).values)
    seconds = labels / np.timedelta64(1, "s") if labels.dtype.kind == "m" else labels.astype(np.float64)
    finite = seconds[np.isfinite(seconds)]
    length = float(np.ptp(finite)) if len(finite) else 0.0
    unit, scale, _ = next(one for one in _UNITS if length >= one[2])
    return _Blocks(*(seconds.reshape(-1, 2) / scale).T), f"{time.attrs.get('long_name', 'time')} [{unit}]"


def _label(da: xr.DataArray) -> str:
    """Return what the values are, and their unit, as ``da.plot()`` writes it."""
    name = "value" if da.name is None else da.name
    return f"{da.attrs.get('long_name', name)}{_unit(da, ' [{}]')}"


def _unit(da: xr.DataArray, form: str) -> str:
    unit = da.attrs.get("units")
    return form.format(unit) if unit else ""
