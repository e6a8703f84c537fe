"""Describes TimeSeries of one open file: what they are, without their samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from math import prod
from types import MappingProxyType

from nwb_dask.backends import File
from nwb_dask.catalog import recent_tables
from nwb_dask.errors import (
    MalformedFileError,
    NWBDaskError,
    PathNotFoundError,
)
from nwb_dask.index import FileIndex, basename
from nwb_dask.model.kinds import LISTED_ATTRIBUTES, neurodata_type
from nwb_dask.model.series import (
    Members,
    Series,
    build_series,
    find_series_paths,
    is_core,
    linked_paths,
    readable_data,
    series_type,
    small_arrays,
)
from nwb_dask.model.series.find import SERIES_ATTRIBUTES, is_guessed, unknown_types
from nwb_dask.read.describe import normalize_path
from nwb_dask.read.small_values import STORAGE_ERRORS, read_small
from nwb_dask.read.specifications import extension_types

_NO_TYPES: Mapping[str, str] = MappingProxyType({})
_UNDOUBTED_BYTES = 1 << 40
"""Samples of which no room is asked for."""
_SHOWN = 12
"""Paths listed in an error."""


def describe_series(file: File, path: str) -> Series:
    """Return the description of the series at `path`, without reading samples or timestamps.

    Of a remote file that is not known yet this takes a round or so for each of: the way to the group, its members,
    the table that labels its channels or rois. All small values are read together.

    Parameters
    ----------
    path : str
        Of the group inside the file; links within the file are followed.

    Returns
    -------
    Series
        Everything beside the data that is wrong, missing or contradictory is in its warnings, and left out.

    Raises
    ------
    PathNotFoundError
        If nothing is at `path`, or no series.
    UnsupportedLayoutError, MalformedFileError
        If the samples exist and cannot be read, or are only declared.
    """
    asked = normalize_path(path)
    index = _index(file, asked)
    group = index.group(asked)
    if group is None:
        message = f"{asked} is a dataset, and no series; name the group that holds it"
        raise PathNotFoundError(message, url=file.source.url, path=asked)
    parents = _NO_TYPES if is_core(neurodata_type(group)) else extension_types(file)
    core = series_type(index, asked, parents)
    if core is None:
        raise _no_series(file, index, asked)
    members = Members(index, group, core)
    if is_guessed(group, parents):
        stated = neurodata_type(group) or "none"
        members.warn(f"the type is {stated}, which nothing in the file describes: taken as a plain TimeSeries.")
    try:
        readable_data(members)
        _follow(file, members)
        series = build_series(members)
        _require_samples(file, series)
    except NWBDaskError as error:
        raise error.at(url=file.source.url, path=asked) from error.__cause__
    return series


def _require_samples(file: File, series: Series) -> None:
    """Raise if so many samples are declared that nobody believes it, and the file has no room for them."""
    entry = series.data
    if entry is not None and entry.shape is not None:
        n_bytes = prod(entry.shape) * entry.element.size
        if n_bytes > _UNDOUBTED_BYTES:
            file.require_room(entry, n_bytes)


def find_series(file: File) -> tuple[str, ...]:
    """Return the paths of all series of `file`, sorted; reads the whole tree, and no data.

    Those of extensions are found by the specifications in the file. A series that a container holds by a soft link is
    listed there as well.
    """
    return tuple(_find(file))


def _find(file: File) -> Mapping[str, str]:
    """Return the path of each series with that of the group that it is, which differ for links."""
    key = ("series", file.source)
    known = recent_tables.get(key)
    if isinstance(known, Mapping):
        return known
    index = file.index("/", recursive=True, attributes=SERIES_ATTRIBUTES, array_attributes=LISTED_ATTRIBUTES)
    parents = extension_types(file, index) if unknown_types(index) else _NO_TYPES
    found = MappingProxyType(find_series_paths(index, parents))
    # The version may cover more now: the files that this one led to.
    recent_tables.put(("series", file.source), found)
    return found


def find_series_path(file: File, path_or_name: str) -> str:
    """Return the path of the series that a user means.

    Parameters
    ----------
    path_or_name : str
        A path from the root, ``/acquisition/lfp``, which is returned as it is; or the last part or parts of one
        (``lfp``, ``LFP/lfp``) where a single series has them; or those of the only group that holds a single series
        (``LFP``).

    Raises
    ------
    PathNotFoundError
        If no series or several have that name; the error lists them.
    """
    if path_or_name.startswith("/"):
        return normalize_path(path_or_name)
    wanted = normalize_path(path_or_name)
    every = _find(file)
    if wanted in every:
        return wanted
    for found in (
        [path for path in every if path.endswith(wanted)],
        [path for path in every if path.rpartition("/")[0].endswith(wanted)],
    ):
        if len({every[path] for path in found}) == 1:
            return every[found[0]]
        if found:
            message = f"{len(found)} series are called {path_or_name!r}: {_listed(found)}; give a path"
            raise PathNotFoundError(message, url=file.source.url)
    if "/" in path_or_name.strip("/"):
        return wanted
    names = {basename(path): path for path in every}
    near = [names[name] for name in get_close_matches(path_or_name, names, n=3)]
    hint = f"did you mean {' or '.join(near)}?" if near else f"the file has {_listed(every) or 'none'}"
    raise PathNotFoundError(f"no series is called {path_or_name!r}; {hint}", url=file.source.url)


def _index(file: File, path: str) -> FileIndex:
    """Return the index of a small group with the addresses of its datasets."""
    url = file.source.url
    # The own parser, which knows addresses, lists local groups only with all that is below them. Of a remote file that
    # would take a round more.
    is_local = "://" not in url or url.startswith("file://")
    return file.index(path, recursive=is_local, prepare=True)


def _follow(file: File, members: Members) -> None:
    """Index what the labels come from, and read the small values around the samples, all together."""
    linked: dict[str, FileIndex] = {}
    problems: dict[str, str] = {}
    for path in linked_paths(members):
        try:
            linked[path] = _index(file, path)
        except STORAGE_ERRORS:
            raise
        except NWBDaskError as error:
            problems[path] = error.message
    members.linked, members.problems = linked, problems
    values, unread = read_small(file, small_arrays(members))
    members.values, members.problems = values, problems | unread


def _no_series(file: File, index: FileIndex, path: str) -> NWBDaskError:
    """Return the error for a group that is no series, with the series below it."""
    types = unknown_types(index)
    below = find_series_paths(index, extension_types(file) if types else _NO_TYPES)
    kind = neurodata_type(index.groups[path]) or "a group"
    hint = f"it holds {_listed(below)}" if below else "it holds none"
    error = PathNotFoundError if below else MalformedFileError
    return error(f"{path} is {kind}, and no TimeSeries; {hint}", url=file.source.url, path=path)


def _listed(paths: Iterable[str]) -> str:
    every = tuple(paths)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more
