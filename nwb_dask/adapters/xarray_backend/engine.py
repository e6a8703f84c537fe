"""The engine ``"nwb"`` of xarray: ``xr.open_dataset(source, engine="nwb", group=path)`` and ``xr.open_datatree``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy.typing as npt
import xarray as xr
from xarray.backends import BackendEntrypoint

from nwb_dask.adapters.xarray_backend.dataset import DATA, Place, TimeKind, Wish, series_dataset
from nwb_dask.adapters.xarray_backend.opening import opened_file, say_warnings
from nwb_dask.backends import File
from nwb_dask.errors import NWBDaskError, PathNotFoundError
from nwb_dask.read import warn_user
from nwb_dask.read.describe import normalize_path
from nwb_dask.read.series import describe_series, find_series, find_series_path

_NAMES = re.compile(r"\.nwb(\.zarr)?/?(\?.*)?$", re.IGNORECASE)


class NwbBackend(BackendEntrypoint):
    """TimeSeries of NWB files as datasets with one variable, ``data``, and its coordinates."""

    description: ClassVar[str] = "TimeSeries of NWB files (neurophysiology), local and remote"
    url: ClassVar[str] = "https://nwb-schema.readthedocs.io"
    supports_groups: ClassVar[bool] = True

    def guess_can_open(self, filename_or_obj: object) -> bool:
        """Return whether the name is that of an NWB file; what is merely HDF5 or Zarr is left to other engines."""
        if not isinstance(filename_or_obj, str | os.PathLike):
            return False
        return _NAMES.search(os.fspath(filename_or_obj)) is not None

    def open_dataset(
        self,
        filename_or_obj: object,
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
        mask_and_scale: bool = True,
        decode_times: object = None,  # noqa: ARG002  # nothing is encoded in these ways
        decode_timedelta: object = None,  # noqa: ARG002  # as above
        decode_coords: object = None,  # noqa: ARG002  # as above
        concat_characters: object = None,  # noqa: ARG002  # as above
        use_cftime: object = None,  # noqa: ARG002  # as above
        dtype: npt.DTypeLike | None = None,
        time: TimeKind = "lazy",
        storage_options: Mapping[str, object] | None = None,
    ) -> xr.Dataset:
        """Return one series as a dataset; see `nwb_dask.open_timeseries`.

        Parameters
        ----------
        filename_or_obj : path or URL
            One file.
        drop_variables : str or iterable of str, optional
            Coordinates to leave out.
        group : str, optional
            Path or name of the series. It may be left out where the file has only one.
        mask_and_scale : bool
            Whether values are physical; as ``scale`` of `nwb_dask.open_timeseries`.
        dtype, time, storage_options
            As for `nwb_dask.open_timeseries`.
        """
        wish = Wish(scale=mask_and_scale, dtype=dtype, time=time)
        with opened_file(filename_or_obj, storage_options, "open_dataset") as (file, place):
            series = describe_series(file, _only_series(file) if group is None else find_series_path(file, group))
            say_warnings(series, place)
            return _without(series_dataset(series, place.now(file.source), wish), drop_variables)

    def open_groups_as_dict(
        self,
        filename_or_obj: object,
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
        mask_and_scale: bool = True,
        dtype: npt.DTypeLike | None = None,
        time: TimeKind = "lazy",
        storage_options: Mapping[str, object] | None = None,
        **decoding: Any,  # noqa: ANN401, ARG002  # nothing is encoded in the ways that xarray may name
    ) -> dict[str, xr.Dataset]:
        """Return every series below `group` as a dataset, by its path from there.

        A series that cannot be read is left out, and a warning says why.
        """
        wish = Wish(scale=mask_and_scale, dtype=dtype, time=time)
        top = normalize_path(group or "/")
        with opened_file(filename_or_obj, storage_options, "open_datatree") as (file, place):
            paths = [path for path in find_series(file) if _is_below(path, top)]
            if not paths:
                raise PathNotFoundError(f"no TimeSeries below {top}", url=place.name, path=top)
            found = {path: _dataset_or_none(file, path, place, wish) for path in paths}
        return {
            "/" + path.removeprefix(top).strip("/"): _without(one, drop_variables)
            for path, one in found.items()
            if one is not None
        }

    def open_datatree(self, filename_or_obj: object, **options: Any) -> xr.DataTree:  # noqa: ANN401  # those of `open_groups_as_dict`
        """Return every series of a file as a node of a tree; options are those of `open_groups_as_dict`."""
        return xr.DataTree.from_dict(self.open_groups_as_dict(filename_or_obj, **options))


def _only_series(file: File) -> str:
    paths = find_series(file)
    if not paths:
        raise PathNotFoundError("the file has no TimeSeries", url=file.source.url)
    if len(paths) > 1:
        listed = "\n".join(f"  {path}" for path in paths)
        raise ValueError(f"the file has {len(paths)} TimeSeries; name one with group=, or use open_datatree:\n{listed}")
    return paths[0]


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def _dataset_or_none(file: File, path: str, place: Place, wish: Wish) -> xr.Dataset | None:
    try:
        series = describe_series(file, path)
        found = series_dataset(series, place.now(file.source), wish)
    except (NWBDaskError, TypeError) as error:
        # A type error is of values that do not fit into the dtype that was asked for.
        reason = error.message if isinstance(error, NWBDaskError) else str(error)
        warn_user(f"{path} of {place.name} is left out: {reason}")
        return None
    say_warnings(series, place)
    return found


def _without(dataset: xr.Dataset, names: str | Iterable[str] | None) -> xr.Dataset:
    dropped = [names] if isinstance(names, str) else list(names or ())
    return dataset.drop_vars([name for name in dropped if name != DATA], errors="ignore")
