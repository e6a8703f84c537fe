"""TimeSeries by path: their data and timestamps as they are stored, read when they are indexed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from nwb_dask.compat.lazynwb.file_io import get_internal_path_info
from nwb_dask.compat.lazynwb.objects import Place, StoredDataset, StoredGroup
from nwb_dask.compat.lazynwb.sources import PathLike, as_source
from nwb_dask.compat.lazynwb.utils import absolute_path
from nwb_dask.errors import PathNotFoundError
from nwb_dask.model.kinds import text_attribute
from nwb_dask.read import warn_user


@dataclass(frozen=True, slots=True)
class SampledTimes:
    """Timestamps that follow from a rate, computed when they are indexed: ``i / rate + starting_time``, in seconds."""

    start: float
    rate: float
    n: int
    unit: str | None = None

    @property
    def shape(self) -> tuple[int]:
        """Number of timestamps."""
        return (self.n,)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 1

    @property
    def size(self) -> int:
        """Number of timestamps."""
        return self.n

    @property
    def dtype(self) -> np.dtype[np.float64]:
        """Seconds."""
        return np.dtype(np.float64)

    @property
    def attrs(self) -> dict[str, Any]:
        """Rate and unit, as the file has them."""
        return {"rate": self.rate, "unit": self.unit}

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, key: Any) -> Any:
        """Return those at positions that numpy takes for one axis."""
        if isinstance(key, slice):
            return np.arange(*key.indices(self.n)) / self.rate + self.start
        if isinstance(key, (int, np.integer)):
            if not -self.n <= key < self.n:
                raise IndexError(f"index {key} is out of bounds for {self.n} timestamps")
            return np.float64((key % self.n) / self.rate + self.start)
        return np.asarray(self)[key]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return all of them."""
        values: npt.NDArray[Any] = self[:]
        return values if dtype is None else values.astype(dtype, copy=False)


@dataclass(frozen=True)
class TimeSeries:
    """A TimeSeries of one file. Other members are attributes too: ``series.electrodes``, ``series.control``."""

    _file_path: PathLike
    _table_path: str
    _hdf5_source_url: str | None = field(default=None, repr=False)
    """For lazynwb's signature; not used."""
    _path_metadata: object = field(default=None, repr=False, compare=False)
    """Likewise."""

    @property
    def data(self) -> StoredDataset:
        """The values as stored, without conversion."""
        return self._dataset("data", "has no data: use event timestamps alone")

    @property
    def timestamps(self) -> StoredDataset | SampledTimes:
        """Seconds from the reference time of the session: stored, or computed from the rate."""
        group = self._group()
        if "timestamps" in group.entry.members:
            return self._dataset("timestamps", "")
        start = self._dataset("starting_time", "has neither timestamps nor a starting_time and a rate")
        if "rate" not in start.attrs:
            raise AttributeError(f"{self._table_path}/starting_time has no rate")
        attributes = start.attrs
        first = float(np.asarray(start[()]).reshape(-1)[0])
        return SampledTimes(first, float(attributes["rate"]), len(self.data), attributes.get("unit"))

    @property
    def electrodes(self) -> StoredDataset:
        """Rows of the table of electrodes."""
        return self._dataset("electrodes", "has no electrode data")

    @property
    def conversion(self) -> Any:
        """Factor from stored values to `unit`; None if the file has none."""
        return self.data.attrs.get("conversion")

    @property
    def offset(self) -> Any:
        """What is added to values after the conversion; None if the file has none."""
        return self.data.attrs.get("offset")

    @property
    def resolution(self) -> Any:
        """Smallest meaningful difference of values; None if the file has none."""
        return self.data.attrs.get("resolution")

    @property
    def unit(self) -> Any:
        """Unit of values after the conversion, as the file says; None if it says nothing."""
        return text_attribute(self.data.entry.attributes, "unit")

    @property
    def description(self) -> str | None:
        """As the file says."""
        return text_attribute(self._group().entry.attributes, "description")

    @property
    def rate(self) -> float | None:
        """Samples per second; None for a series with timestamps."""
        if "starting_time" not in self._group().entry.members:
            return None
        found: float | None = self._dataset("starting_time", "").attrs.get("rate")
        return found

    @property
    def starting_time(self) -> float:
        """The first timestamp, in seconds."""
        return float(self.timestamps[0])

    @property
    def timestamps_unit(self) -> str | None:
        """Unit of the timestamps: seconds, as a rule."""
        group = self._group()
        if "timestamps_unit" in group.attrs:
            return str(group.attrs["timestamps_unit"])
        for name in ("timestamps", "starting_time"):
            if name in group.entry.members:
                return text_attribute(self._dataset(name, "").entry.attributes, "unit")
        raise AttributeError(f"{self._table_path} has neither timestamps nor a starting_time")

    def __getattr__(self, name: str) -> StoredDataset | StoredGroup:
        """Return a member of the group."""
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._group()[name]
        except PathNotFoundError:
            raise AttributeError(f"{self._table_path!r} has no attribute {name!r}") from None

    def _group(self) -> StoredGroup:
        found = Place.of(self._file_path).object(absolute_path(self._table_path))
        if not isinstance(found, StoredGroup):
            message = f"{self._table_path} is a dataset, and no series; name the group that holds it"
            raise PathNotFoundError(message, url=as_source(self._file_path), path=self._table_path)
        return found

    def _dataset(self, name: str, problem: str) -> StoredDataset:
        group = self._group()
        found = group[name] if name in group.entry.members else None
        if not isinstance(found, StoredDataset):
            raise AttributeError(f"{self._table_path} {problem or f'has no {name}'}")  # noqa: TRY004  # it is an attribute
        return found


@overload
def get_timeseries(
    nwb_path: PathLike, search_term: str | None = ..., exact_path: bool = ..., *, match_all: Literal[True]
) -> dict[str, TimeSeries]: ...
@overload
def get_timeseries(
    nwb_path: PathLike, search_term: str | None = ..., exact_path: bool = ..., match_all: Literal[False] = ...
) -> TimeSeries: ...
@overload
def get_timeseries(
    nwb_path: PathLike, search_term: str | None = ..., exact_path: bool = ..., match_all: bool = ...
) -> dict[str, TimeSeries] | TimeSeries: ...
def get_timeseries(
    nwb_path: PathLike,
    search_term: str | None = None,
    exact_path: bool = False,
    match_all: bool = False,
) -> dict[str, TimeSeries] | TimeSeries:
    """Return one TimeSeries of a file, or with `match_all` all of them by path.

    Parameters
    ----------
    nwb_path : path or URL
        One file.
    search_term : str, optional
        Path of the series, or a part of it; of its ``data`` or ``timestamps`` as well. Of several that match the first
        is taken, with a warning.
    exact_path : bool
        Whether `search_term` is the whole path.
    match_all : bool
        Return all series whose path has `search_term` in it, or all there are.

    Raises
    ------
    ValueError
        If neither is given.
    PathNotFoundError
        If there is no such series.
    """
    if not (search_term or match_all):
        raise ValueError("Either `search_term` must be specified or `match_all` must be set to True")
    path = None if not search_term else _series_path(search_term)
    if path is not None and not match_all and _has(nwb_path, path):
        return TimeSeries(nwb_path, path)
    name = as_source(nwb_path)
    if exact_path and path is not None and not _has(nwb_path, path):
        raise PathNotFoundError(f"exact path {search_term!r} not found", url=name, path=path)
    found = find_series(nwb_path, search_term or "")
    if match_all:
        return {one: TimeSeries(nwb_path, one) for one in found}
    if not found:
        raise PathNotFoundError(f"no TimeSeries matches {search_term!r}", url=name, path=search_term)
    if len(found) > 1:
        warn_user(f"{len(found)} series of {name} match {search_term!r}; the first is taken: {', '.join(found)}")
    return TimeSeries(nwb_path, found[0])


def find_series(nwb_path: PathLike, part: str) -> list[str]:
    """Return the paths of all series that have `part` in their path, in the order of the file.

    Those inside tables are among them, such as images that a PlaneSegmentation refers to.
    """
    info = get_internal_path_info(nwb_path, include_table_columns=True)
    return [path for path, facts in info.items() if facts["is_timeseries"] and part in path]


def _series_path(search_term: str) -> str:
    return absolute_path(search_term).removesuffix("/data").removesuffix("/timestamps")


def _has(nwb_path: PathLike, path: str) -> bool:
    try:
        return isinstance(Place.of(nwb_path).object(path), StoredGroup)
    except PathNotFoundError:
        return False
