"""Which groups of a file are series, and of what type of the core schema."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import normpath

from nwb_dask.index import FileIndex, GroupEntry, basename, join
from nwb_dask.model.kinds import neurodata_type, table_kind, text_list_attribute
from nwb_dask.model.series.types import OTHER_TYPES, ancestry_type, core_type, is_core

_MAX_LINKS = 40
"""Soft links followed on the way to one object, as in libhdf5's users' guide for loops."""

_PLACES = frozenset(
    {
        "/acquisition", "/acquisition/timeseries", "/analysis", "/scratch", "/stimulus/presentation",
        "/stimulus/templates",
    }
)  # fmt: skip
_CONTAINERS = frozenset(
    {
        "BehavioralEpochs", "BehavioralEvents", "BehavioralTimeSeries", "CompassDirection", "DfOverF", "EventWaveform",
        "EyeTracking", "FilteredEphys", "Fluorescence", "LFP", "Position", "ProcessingModule", "PupilTracking",
    }
)  # fmt: skip
"""Groups and types of groups whose members, links included, are series (NWB core schema)."""

SERIES_ATTRIBUTES = frozenset({"neurodata_type", "namespace", "ancestry", "colnames"})
"""Attributes of groups that tell which are series."""


def series_type(index: FileIndex, path: str, parents: Mapping[str, str]) -> str | None:
    """Return the type of the core schema that the group at `path` is or descends from; None for no TimeSeries.

    A type that nothing describes, neither the core schema nor the specs in the file, is a plain TimeSeries if it has
    the members of one.

    Parameters
    ----------
    parents : mapping of str to str
        Parents of the types that the file's specs define.
    """
    group = index.group(path)
    if group is None:
        return None
    stated = neurodata_type(group)
    named = ancestry_type(text_list_attribute(group.attributes, "ancestry") or ())
    if named is not None and (core_type(stated, parents) is not None or not is_core(stated)):
        return named
    if is_core(stated) or is_described(stated, parents):
        return core_type(stated, parents)
    return "TimeSeries" if table_kind(index, path) == "series" else None


def is_described(neurodata_type: str, parents: Mapping[str, str]) -> bool:
    """Tell whether the specs of a file lead from a type to one of the core schema, or to one without a parent."""
    seen: set[str] = set()
    here = neurodata_type
    while not is_core(here):
        if here in seen or here not in parents:
            return False
        seen.add(here)
        here = parents[here]
        if not here:
            return True
    return True


def unknown_types(index: FileIndex) -> frozenset[str]:
    """Return the types of groups that are not of the core schema, so that only the specs in the file tell them."""
    return frozenset(name for group in index.groups.values() if (name := neurodata_type(group)) and not is_core(name))


def find_series_paths(index: FileIndex, parents: Mapping[str, str]) -> dict[str, str]:
    """Return the path of each series of a whole-file index, sorted, with the path of the group that it is.

    The two differ where a container holds a series by a soft link of the same name, as stimuli that are templates too.
    A link by which another object refers to a series (``source_timeseries``) is none.
    """
    series = {path for path in index.groups if path != "/" and series_type(index, path, parents) is not None}
    found = {path: path for path in series}
    for group in index.groups.values():
        if group.path not in _PLACES and neurodata_type(group) not in _CONTAINERS:
            continue
        for name in group.links:
            target = _follow(index, group, name)
            if target in series and basename(target) == name:
                found[join(group.path, name)] = target
    return dict(sorted(found.items()))


def _follow(index: FileIndex, group: GroupEntry, name: str) -> str:
    """Return the path that a soft link leads to, through further ones; ``""`` if it leaves the file or goes round."""
    for _ in range(_MAX_LINKS):
        link = group.links.get(name)
        if link is None:
            return join(group.path, name)
        if link.filename is not None:
            return ""
        path = normpath(link.target if link.target.startswith("/") else join(group.path, link.target))
        parent = index.group(path.rpartition("/")[0] or "/")
        if parent is None:
            return ""
        group, name = parent, basename(path)
    return ""


def is_guessed(group: GroupEntry, parents: Mapping[str, str]) -> bool:
    """Tell whether nothing but its members says that a group is a series."""
    stated = neurodata_type(group)
    named = ancestry_type(text_list_attribute(group.attributes, "ancestry") or ())
    return named is None and stated not in OTHER_TYPES and not is_core(stated) and not is_described(stated, parents)
