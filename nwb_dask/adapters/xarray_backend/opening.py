"""`open_timeseries`, and what else opens series of one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy.typing as npt
import xarray as xr

from nwb_dask.adapters.cluster import share_access
from nwb_dask.adapters.xarray_backend.dataset import Chunks, Place, TimeKind, Wish, series_array
from nwb_dask.backends import File
from nwb_dask.errors import NWBDaskError
from nwb_dask.model.series import Series
from nwb_dask.read import warn_user
from nwb_dask.read.opening import open_source
from nwb_dask.read.series import describe_series, find_series_path
from nwb_dask.storage import Named, expand_sources, make_access


def open_timeseries(
    source: object,
    path_or_name: str,
    *,
    chunks: Chunks = "auto",
    scale: bool = True,
    dtype: npt.DTypeLike | None = None,
    time: TimeKind = "lazy",
    storage_options: Mapping[str, object] | None = None,
) -> xr.DataArray:
    """Return a TimeSeries of one NWB file as a lazy, labelled array.

    Only metadata is read now. Slices of time that are computed read the stored chunks that hold them, and no more.
    The array pickles small, and is read wherever it is computed.

    Parameters
    ----------
    source : path or URL
        One file.
    path_or_name : str
        Path of the series inside the file, ``"/acquisition/lfp"``, or its name where that is unique.
    chunks : "auto", int, dict, tuple or None
        Chunks of dask. ``"auto"``: whole multiples of the stored chunks, of about 64 MiB in memory. A dict names dims,
        of which those that it leaves out are automatic. None: no dask; values are read when they are used.
    scale : bool
        Whether values are physical, in `units`: stored value x ``conversion`` (x ``channel_conversion``) + ``offset``.
        False: as stored, with the attributes ``scale_factor`` and ``add_offset`` of the CF conventions.
    dtype : numpy dtype, optional
        Of the values. By default integers of up to 16 bits become float32 where they are scaled and wider ones
        float64; floats keep their width. ``"float64"`` gives what pynwb's ``get_data_in_units`` does, bit for bit.
    time : {"lazy", "regular"}
        Stored timestamps are searched when they are needed. ``"regular"`` reads all of them now and puts regular
        clocks in their place, one for each stretch without a gap: nothing has to be read for times from then on, and
        no time is off by more than a tenth of a sample; a series that is not regular is an error.
    storage_options : mapping, optional
        Credentials and endpoints, as for `nwb_dask.read_table`.

    Returns
    -------
    xarray.DataArray
        Its first dim is ``time``, as a rule; seconds from the session's reference time label it. Electrodes, rois,
        bands, features and axes in space label the others. ``attrs`` has ``units`` where they are known to be what
        the text in the file (``nwb_unit``) means.

    Raises
    ------
    PathNotFoundError
        If the file has no such series, or several of that name.
    ValueError
        If `source` is more than one file; see `open_sessions`.
    MalformedFileError, UnsupportedLayoutError, SourceUnavailableError
        If it cannot be read.

    Examples
    --------
    >>> import nwb_dask
    >>> lfp = nwb_dask.open_timeseries("session.nwb", "LFP")  # doctest: +SKIP
    >>> lfp.sel(time=slice(10, 11)).mean("channel").compute()  # doctest: +SKIP
    """
    wish = Wish(scale=scale, dtype=dtype, time=time)
    with opened_file(source, storage_options, "open_timeseries") as (file, place):
        series = describe_series(file, find_series_path(file, path_or_name))
        say_warnings(series, place)
        return series_array(series, place.now(file.source), wish, chunks)


@contextmanager
def opened_file(
    source: object, storage_options: Mapping[str, object] | None, caller: str
) -> Iterator[tuple[File, Place]]:
    """Return the one file that `source` means, open for the length of the block."""
    access = make_access(storage_options)
    named = expand_sources(source, access)
    if len(named) != 1:
        message = (
            f"{caller} opens one file, and {len(named)} are given, {named[0].name} the first; "
            "use open_sessions for many"
        )
        raise ValueError(message)
    with named_errors(named[0]), open_source(named[0].url, access) as file:
        yield file, Place(file.source, named[0].name, access)
    share_access(access)


@contextmanager
def named_errors(named: Named) -> Iterator[None]:
    """Say in errors which file they are about, by the name that the user gave it."""
    try:
        yield
    except NWBDaskError as error:
        raise error.at(url=named.name) from error.__cause__


def say_warnings(series: Series, place: Place) -> None:
    """Warn of what the file has wrong."""
    for text in series.warnings:
        warn_user(f"{series.path} of {place.name}: {text}")
