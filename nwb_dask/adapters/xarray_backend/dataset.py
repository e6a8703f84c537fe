"""From the description of a TimeSeries to an xarray Dataset: variables, coordinates, chunks. Reads no samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from nwb_dask.adapters.xarray_backend._xarray import LazilyIndexedArray
from nwb_dask.adapters.xarray_backend.arrays import (
    FrameNumbers,
    LazyBackendArray,
    LazyValues,
    NoValues,
    SlabArray,
    dask_array,
)
from nwb_dask.adapters.xarray_backend.axes import SampledAxis, StoredAxis, TimeAxis, regularize
from nwb_dask.adapters.xarray_backend.time_index import time_coordinates
from nwb_dask.index import ArrayEntry, Source
from nwb_dask.model.series import Label, SampledTiming, Scale, Series, StoredTiming
from nwb_dask.plan import Slab
from nwb_dask.plan.chunks import explain_huge_chunks, native_chunks, plan_chunks
from nwb_dask.read import StoredStamps, check_choice, warn_user
from nwb_dask.storage import Access

Lengths: TypeAlias = "Literal['auto'] | int | tuple[int, ...]"
Chunks: TypeAlias = "Lengths | Mapping[str, Lengths] | tuple[Lengths, ...] | None"
TimeKind: TypeAlias = Literal["lazy", "regular"]

DATA = "data"
"""Name of the variable of a dataset that holds one series."""

_TARGET_BYTES = 64 << 20
"""Of a chunk in memory: large enough that dask's own time is nothing, small enough for many threads."""


@dataclass(frozen=True, slots=True)
class Place:
    """The file that a series is in."""

    source: Source
    name: str
    """As the user gave it, made absolute."""
    access: Access = field(repr=False)

    def now(self, source: Source) -> Place:
        """Return the place with the version as it is once a series is described, which covers the files it led to."""
        return replace(self, source=source)

    def slab(self, entry: ArrayEntry, *, scale: Scale | None = None, dtype: npt.DTypeLike | None = None) -> Slab:
        """Return the address of a dataset, converted to physical values if `scale` says how."""
        return Slab.of(
            entry,
            url=self.source.url,
            name=self.name,
            identity=self.source.identity,
            access=self.access,
            scale=scale,
            dtype=None if dtype is None else np.dtype(dtype),
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """How the values and times of a series are wanted."""

    scale: bool = True
    dtype: npt.DTypeLike | None = None
    time: TimeKind = "lazy"

    def __post_init__(self) -> None:
        check_choice("time", self.time, ("lazy", "regular"))


def series_dataset(series: Series, place: Place, wish: Wish) -> xr.Dataset:
    """Return a series as a dataset with the variable ``data``, which is read when it is indexed.

    Its encoding has ``preferred_chunks``, whole multiples of the stored ones of about 64 MiB, which
    ``chunks={}`` of xarray takes.
    """
    return _dataset(series, place, wish, _values(series, place, wish))


def _dataset(series: Series, place: Place, wish: Wish, values: LazyValues) -> xr.Dataset:
    attrs = dict(series.attrs) | _packing(series, wish)
    data = xr.Variable(series.dims, LazilyIndexedArray(LazyBackendArray(values)), attrs, {"source": place.name})
    planned = plan_chunks(
        values.shape,
        values.dtype.itemsize,
        _native(values, series.data),
        target_bytes=_TARGET_BYTES,
        time_axis=series.dims.index("time") if "time" in series.dims else 0,
    )
    data.encoding["preferred_chunks"] = dict(zip(series.dims, planned, strict=True))
    found = xr.Dataset({DATA: data}, attrs={"nwb_path": series.path, "source": place.name})
    if series.timing is not None:
        axis = time_axis(series, place, wish)
        found = found.assign_coords(time_coordinates(axis, dim="time", attrs=dict(series.time_attrs)))
    labels = {label.name: _label(label, place) for label in series.labels}
    found = found.assign_coords(labels)
    found.encoding["source"] = place.name
    return found


def series_array(series: Series, place: Place, wish: Wish, chunks: Chunks) -> xr.DataArray:
    """Return a series as an array that carries its name, in chunks of dask unless `chunks` is None."""
    values = _values(series, place, wish)
    found = _dataset(series, place, wish, values)
    if chunks is not None:
        native = _native(values, series.data)
        if said := explain_huge_chunks(values.shape, values.dtype.itemsize, native, target_bytes=_TARGET_BYTES):
            warn_user(f"{series.path} of {place.name}: {said}")
        lengths = chosen_chunks(chunks, values, series.dims, found[DATA].encoding["preferred_chunks"])
        array = dask_array(values, lengths, name=f"nwb-{series.name}")
        # Through the dataset, which keeps what xarray's arrays drop.
        found[DATA] = (series.dims, array, found[DATA].attrs, found[DATA].encoding)
    return found[DATA].rename(series.name)


def time_axis(series: Series, place: Place, wish: Wish) -> TimeAxis:
    """Return the times of a series, none of which is read; ``time="regular"`` reads them all, once."""
    n = series.shape[series.dims.index("time")]
    if isinstance(series.timing, SampledTiming):
        return SampledAxis(series.timing.start, series.timing.rate, n)
    if not isinstance(series.timing, StoredTiming):
        raise TypeError("a series without times")  # the caller's mistake, not a user's
    stored = StoredAxis(StoredStamps(place.slab(series.timing.stamps)))
    return regularize(stored) if wish.time == "regular" else stored


def _native(values: LazyValues, entry: ArrayEntry | None) -> tuple[int, ...] | None:
    """Return the shape of stored chunks; None where any part can be read by itself."""
    return None if entry is None else native_chunks(entry, values.dtype.itemsize, target_bytes=_TARGET_BYTES)


def chosen_chunks(
    chunks: Chunks, values: LazyValues, dims: tuple[str, ...], planned: Mapping[str, tuple[int, ...]]
) -> tuple[tuple[int, ...], ...]:
    """Return lengths of chunks as the user wants them.

    ``"auto"`` and ``{}`` are the planned ones; a mapping names dims, of which those left out are planned; numbers,
    -1 and tuples mean what they do in dask.
    """
    every = tuple(planned[dim] for dim in dims)
    if isinstance(chunks, str) and chunks == "auto":
        return every
    if isinstance(chunks, Mapping):
        if unknown := set(chunks) - set(dims):
            raise ValueError(f"chunks names {', '.join(map(repr, sorted(unknown)))}; the dims are {', '.join(dims)}")
        wanted: object = tuple(planned[dim] if (one := chunks.get(dim, "auto")) == "auto" else one for dim in dims)
    else:
        wanted = chunks
    found: tuple[tuple[int, ...], ...] = da.core.normalize_chunks(wanted, values.shape, dtype=values.dtype)
    return found


def _values(series: Series, place: Place, wish: Wish) -> LazyValues:
    if series.content == "frames":
        return FrameNumbers(series.shape[0])
    if series.data is None:
        return NoValues(series.shape)
    if not wish.scale:
        return SlabArray(place.slab(series.data, dtype=wish.dtype))
    return SlabArray(place.slab(series.data, scale=series.scale, dtype=wish.dtype))


def _packing(series: Series, wish: Wish) -> dict[str, Any]:
    """Return the attributes with which ``xr.decode_cf`` makes physical values of stored ones (CF conventions, 8.1)."""
    scale = series.scale
    if wish.scale or scale.is_identity or scale.per_channel is not None:
        return {}
    return {"scale_factor": scale.factor, "add_offset": scale.offset}


def _label(label: Label, place: Place) -> xr.Variable:
    if isinstance(label.values, ArrayEntry):
        lazy = LazilyIndexedArray(LazyBackendArray(SlabArray(place.slab(label.values))))
        return xr.Variable(label.dims, lazy, dict(label.attrs))
    return xr.Variable(label.dims, label.values, dict(label.attrs))
