"""A Zarr store for each series, through xarray: values as stored, chunk by chunk."""

from __future__ import annotations

from pathlib import Path

import dask
import xarray as xr
import zarr

from nwb_dask.adapters.xarray_backend.dataset import DATA, Place, Wish, series_dataset
from nwb_dask.index import Source
from nwb_dask.read.opening import open_source
from nwb_dask.read.series import describe_series
from nwb_dask.storage import Access

SUFFIX = ".zarr"
WRITER = f"xarray {xr.__version__}, zarr {zarr.__version__}"


def write_series(path: Path, *, source: Source, name: str, access: Access, series: str) -> int:
    """Write one series of one file as a store; return how many samples it has.

    Raises
    ------
    SourceChangedError
        If the file is not the one that was planned.
    MalformedFileError, UnsupportedLayoutError
        If the samples cannot be read.
    """
    with open_source(source.url, access, source.identity) as file:
        described = describe_series(file, series)
        # A factor for all channels is an attribute that readers apply; one for each channel no attribute can say.
        wish = Wish(scale=True, dtype="float64") if described.scale.per_channel is not None else Wish(scale=False)
        dataset = series_dataset(described, Place(source, name, access), wish)
    # On this machine, where the store is, whatever cluster there is.
    with dask.config.set(scheduler="threads"):
        _chunked(dataset).to_zarr(path, mode="w-", zarr_format=2, consolidated=True)
    return int(dataset[DATA].shape[0]) if dataset[DATA].ndim else 1


def _chunked(dataset: xr.Dataset) -> xr.Dataset:
    """Return the dataset with samples, times and labels in chunks of dask, which are read when they are written."""
    lengths = dataset[DATA].encoding["preferred_chunks"]
    chunked = {}
    for name, variable in dataset.variables.items():
        is_text = variable.dtype.kind not in "iufb"
        here = {dim: lengths[dim] for dim in variable.dims if dim in lengths}
        chunked[name] = variable.load() if is_text else variable.to_base_variable().chunk(here)
        # What is NaN in the file is a value.
        chunked[name].encoding = {"_FillValue": None} if variable.dtype.kind == "f" else {}
    data = {DATA: chunked.pop(DATA)}
    # Without indexes, which have all times in memory.
    return xr.Dataset(data, xr.Coordinates(chunked, indexes={}), dataset.attrs)
