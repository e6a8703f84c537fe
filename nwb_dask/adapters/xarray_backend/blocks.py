"""Blocks of samples reduced to one value each, chunk by chunk."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

Reduction: TypeAlias = Literal["mean", "min", "max"]
_Values: TypeAlias = npt.NDArray[Any]

_REDUCTIONS: dict[str, tuple[Callable[..., _Values], Callable[..., _Values]]] = {
    "mean": (np.mean, np.nanmean),
    "min": (np.min, np.nanmin),
    "max": (np.max, np.nanmax),
}


def reduce_blocks(array: xr.DataArray, n: int, how: Reduction, *, skipna: bool) -> xr.DataArray:
    """Return one value for each block of `n` samples, the last of which may be of fewer; see `accessor`."""
    if n < 1 or n != int(n):
        raise ValueError(f"n={n!r}: a block has at least one sample")
    n, axis = int(n), array.get_axis_num("time")
    variable = array.variable
    # Only of what has chunks `data` is lazy.
    data = variable.data if variable.chunks is not None else None
    n_out = -(-variable.shape[axis] // n)
    if isinstance(data, da.Array):
        chunks = block_chunks(data.chunks[axis], n)
        aligned = data.rechunk({axis: chunks})
        out_chunks = tuple(-(-length // n) for length in chunks)
        dtype = _reduce(np.ones((1,) * data.ndim, data.dtype), n=1, axis=axis, how=how, skipna=skipna).dtype
        reduced = aligned.map_blocks(
            _reduce,
            n=n,
            axis=axis,
            how=how,
            skipna=skipna,
            chunks=tuple(out_chunks if i == axis else one for i, one in enumerate(data.chunks)),
            dtype=dtype,
            meta=np.empty((0,) * data.ndim, dtype),
        )
    else:
        reduced = _reduce(np.asarray(variable.data), n=n, axis=axis, how=how, skipna=skipna)
    # Only the times of the first samples: no other label along time is that of a whole block.
    firsts = array.coords.to_dataset().isel(time=slice(0, None, n), missing_dims="ignore")
    kept = firsts.drop_vars([name for name, one in firsts.variables.items() if "time" in one.dims and name != "time"])
    assert n_out == reduced.shape[axis]  # noqa: S101  # the arithmetic above
    return xr.DataArray(reduced, dims=array.dims, name=array.name, attrs=array.attrs, coords=kept.coords)


def block_chunks(chunks: tuple[int, ...], n: int) -> tuple[int, ...]:
    """Return the lengths nearest to `chunks` that are whole blocks of `n`, but for the last."""
    borders = {round(end / n) * n for end in np.cumsum(chunks[:-1]).tolist()}
    length = sum(chunks)
    ends = [*sorted(end for end in borders if 0 < end < length), length]
    return tuple(int(one) for one in np.diff([0, *ends])) or (0,)


def _reduce(block: _Values, *, n: int, axis: int, how: Reduction, skipna: bool) -> _Values:
    length = block.shape[axis]
    whole = length // n * n
    plain, ignoring = _REDUCTIONS[how]
    reduce = ignoring if skipna and block.dtype.kind in "fc" else plain
    before, after = block.shape[:axis], block.shape[axis + 1 :]
    main = _part(block, axis, 0, whole).reshape((*before, whole // n, n, *after))
    with warnings.catch_warnings():
        # A block of nothing but NaN is NaN.
        warnings.simplefilter("ignore", RuntimeWarning)
        parts = [reduce(main, axis=axis + 1)] if whole or not length else []
        if whole < length:
            parts.append(reduce(_part(block, axis, whole, length), axis=axis, keepdims=True))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)


def _part(block: _Values, axis: int, start: int, stop: int) -> _Values:
    return block[(*(slice(None),) * axis, slice(start, stop))]


def uniform_chunks(array: xr.DataArray) -> xr.DataArray:
    """Return `array` with chunks of one length along each dim, but for the last, as Zarr and others want them."""
    if array.chunks is None:
        return array
    wanted = {
        dim: max(lengths) if len(set(lengths[:-1])) > 1 or lengths[-1] > lengths[0] else lengths[0]
        for dim, lengths in zip(array.dims, array.chunks, strict=True)
        if math.prod(lengths)
    }
    return array.chunk(wanted)
