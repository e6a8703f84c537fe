"""`open_sessions`: one series of many files as a tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Literal

import numpy.typing as npt
import xarray as xr

from nwb_dask.adapters.cluster import share_access
from nwb_dask.adapters.xarray_backend.dataset import Chunks, Place, TimeKind, Wish, series_array
from nwb_dask.adapters.xarray_backend.opening import named_errors, say_warnings
from nwb_dask.errors import (
    MalformedFileError,
    NWBDaskError,
    PathNotFoundError,
    SourceNotFoundError,
    UnsupportedLayoutError,
)
from nwb_dask.read import check_choice, warn_skipped
from nwb_dask.read.concurrently import each_of
from nwb_dask.read.opening import open_source
from nwb_dask.read.series import describe_series, find_series_path
from nwb_dask.storage import Access, Named, expand_sources, make_access

_SKIPPED = (MalformedFileError, SourceNotFoundError, PathNotFoundError, UnsupportedLayoutError)


def open_sessions(
    sources: object,
    path_or_name: str,
    *,
    chunks: Chunks = "auto",
    scale: bool = True,
    dtype: npt.DTypeLike | None = None,
    time: TimeKind = "lazy",
    errors: Literal["raise", "skip"] = "raise",
    storage_options: Mapping[str, object] | None = None,
) -> xr.DataTree:
    """Return one TimeSeries of many NWB files as a tree with a node for each session.

    Sessions differ in length, channels and clock, so that they stand beside each other and are not joined. Reduce each,
    ``tree.mean("time")``, and concatenate the results.

    Parameters
    ----------
    sources : path, URL, list of them, glob or folder
        Which files, as for `nwb_dask.dataframe.read_nwb`. Remote ones are opened at once.
    path_or_name : str
        The series, as for `open_timeseries`.
    chunks, scale, dtype, time, storage_options
        As for `open_timeseries`.
    errors : {"raise", "skip"}
        Files that are corrupt or missing, or have no such series: an error, or left out, with one warning that lists
        them.

    Returns
    -------
    xarray.DataTree
        Nodes in source order, each named after its file (without ``.nwb``; with folders in front where files share a
        name) with the variable ``data``. ``attrs["source"]`` of a node is the file.

    Raises
    ------
    PathNotFoundError, MalformedFileError, SourceUnavailableError
        As `open_timeseries`, for the first file that cannot be opened; with ``errors="skip"`` if none is left.
    """
    check_choice("errors", errors, ("raise", "skip"))
    wish = Wish(scale=scale, dtype=dtype, time=time)
    access = make_access(storage_options)
    named = expand_sources(sources, access)
    found = each_of(named, lambda one: _open_one(one, path_or_name, wish, chunks, access, skip=errors == "skip"))
    opened = {key: one for key, one in zip(session_keys(named), found, strict=True) if isinstance(one, xr.Dataset)}
    refused = [(one.name, error) for one, error in zip(named, found, strict=True) if isinstance(error, NWBDaskError)]
    if not opened:
        raise refused[0][1]
    if refused:
        warn_skipped([(name, error.message) for name, error in refused], len(named))
    share_access(access)
    return xr.DataTree.from_dict(opened)


def session_keys(named: Sequence[Named]) -> list[str]:
    """Return a name for each file: as short as tells them apart; one that is given several times is numbered."""
    parts = {one.name: PurePosixPath(one.name.rstrip("/")).parts for one in named}
    keys = {name: _key(one, 1) for name, one in parts.items()}
    for depth in range(2, max(map(len, parts.values()), default=1) + 1):
        shared = Counter(keys.values())
        keys = {name: _key(parts[name], depth) if shared[key] > 1 else key for name, key in keys.items()}
    seen, numbers = Counter(keys[one.name] for one in named), Counter[str]()
    found = []
    for one in named:
        key = keys[one.name]
        numbers[key] += 1
        found.append(f"{key}_{numbers[key]}" if seen[key] > 1 else key)
    return found


def _key(parts: Sequence[str], depth: int) -> str:
    """Return the last parts of a path as one name, which no slash may be in."""
    return "_".join(part.strip("/") for part in parts[-depth:] if part.strip("/")).removesuffix(".nwb")


def _open_one(
    named: Named, path_or_name: str, wish: Wish, chunks: Chunks, access: Access, *, skip: bool
) -> xr.Dataset | NWBDaskError:
    try:
        with named_errors(named), open_source(named.url, access) as file:
            series = describe_series(file, find_series_path(file, path_or_name))
            place = Place(file.source, named.name, access)
            say_warnings(series, place)
            array = series_array(series, place, wish, chunks)
    except _SKIPPED as error:
        if skip:
            return error
        raise
    return array.to_dataset(name="data").assign_attrs(source=named.name, nwb_path=series.path)
