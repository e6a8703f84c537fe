"""When the samples of a series were taken."""

from __future__ import annotations

import math

import numpy as np

from nwb_dask.index import ArrayEntry
from nwb_dask.model.kinds import number_attribute, text_attribute
from nwb_dask.model.series.members import Members, counted
from nwb_dask.model.series.units import known_unit
from nwb_dask.model.series.values import Label, SampledTiming, StoredTiming, Timing

_NO_TIMES = "the samples have no times"


def find_timing(members: Members, n_samples: int) -> Timing:
    """Return the times of a series' samples (NWB core schema, *TimeSeries*).

    Where a file has both, the stored timestamps count, as in pynwb. Times that do not fit the samples are none: a
    wrong label is worse than no label. Each of these is a warning.

    Parameters
    ----------
    n_samples : int
        Length of the dimension ``time``.
    """
    if "timestamps" in members.group.members:
        if _rate(members) is not None:
            members.warn("both timestamps and a rate are stored: the timestamps are used.")
        return _stored(members, n_samples)
    if "starting_time" not in members.group.members:
        members.warn(f"neither timestamps nor a starting time is stored: {_NO_TIMES}.")
        return None
    return _sampled(members, n_samples)


def stamps_length(members: Members) -> int | None:
    """Return how many timestamps are stored; None if there are none that can be used."""
    entry = members.array("timestamps")
    return entry.shape[0] if entry is not None and _is_stamps(entry) and entry.shape else None


def time_of_single(members: Members) -> Label | None:
    """Return the time of data that are a single value, without dimensions, as a scalar label."""
    entry = members.array("timestamps") or members.array("starting_time")
    found = None if entry is None else members.number(entry.path.rpartition("/")[2])
    if found is None:
        members.warn(f"no single time is stored for the single value: {_NO_TIMES}.")
        return None
    return Label("time", (), np.array(found, np.float64), {"units": "s"})


def _stored(members: Members, n_samples: int) -> StoredTiming | None:
    reason = members.why_unread("timestamps")
    if reason is not None:
        members.warn(f"timestamps cannot be read ({reason}): {_NO_TIMES}.")
        return None
    entry = members.array("timestamps")
    if entry is None or not _is_stamps(entry) or not entry.shape:
        members.warn(f"timestamps are no 1-d numbers: {_NO_TIMES}.")
        return None
    if entry.shape[0] != n_samples:
        stamps = counted(entry.shape[0], "timestamp")
        members.warn(f"{stamps} cannot belong to {counted(n_samples, 'sample')}: {_NO_TIMES}.")
        return None
    _check_unit(members, entry, "timestamps")
    return StoredTiming(entry)


def _sampled(members: Members, n_samples: int) -> SampledTiming | None:
    reason = members.why_unread("starting_time")
    if reason is not None:
        members.warn(f"starting_time cannot be read ({reason}): {_NO_TIMES}.")
        return None
    start, rate = members.number("starting_time"), _rate(members)
    entry = members.array("starting_time")
    if start is None or entry is None or not math.isfinite(start):
        members.warn(f"starting_time is no number ({members.problems.get(_path(members), start)}): {_NO_TIMES}.")
        return None
    if rate is None or not math.isfinite(rate) or rate < 0 or (rate == 0 and n_samples > 1):
        stated = "there is no rate" if rate is None else f"the rate is {rate:g} Hz"
        members.warn(f"{stated} for {counted(n_samples, 'sample')}: {_NO_TIMES}.")
        return None
    _check_unit(members, entry, "starting_time")
    return SampledTiming(start, rate)


def _path(members: Members) -> str:
    return f"{members.path}/starting_time"


def _rate(members: Members) -> float | None:
    entry = members.array("starting_time")
    return None if entry is None else number_attribute(entry, "rate")


def _is_stamps(entry: ArrayEntry) -> bool:
    return entry.element.kind in {"int", "uint", "float"} and entry.shape is not None and len(entry.shape) == 1


def _check_unit(members: Members, entry: ArrayEntry, name: str) -> None:
    stated = text_attribute(entry.attributes, "unit")
    if stated and known_unit(stated) != "s":
        members.warn(f"{name} say that their unit is {stated!r}, and the schema fixes seconds: taken as seconds.")
