"""What pynwb, or h5py where pynwb refuses, shows of the TimeSeries of a file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from pynwb import NWBHDF5IO, TimeSeries
from pynwb.image import ImageSeries

Values = npt.NDArray[Any]

RAW_TYPES = frozenset({"IndexSeries", "IntervalSeries", "AnnotationSeries"})
"""Whose values have no unit to be converted to (NWB core schema)."""


def _descendants(cls: type[Any]) -> Iterator[str]:
    yield cls.__name__
    for child in cls.__subclasses__():
        yield from _descendants(child)


SERIES_TYPES = frozenset(_descendants(TimeSeries))


@dataclass(frozen=True, slots=True)
class Shown:
    """One series."""

    kind: str
    values: Values | None
    """In units, float64, or as stored where there are none; None: the oracle has none."""
    times: Values | None
    """None: the oracle has none that fit."""
    note: str = ""
    """What the oracle itself gets wrong here, and what stands in its place."""


@dataclass(frozen=True, slots=True)
class File:
    """The series of one file by path."""

    oracle: str
    series: Mapping[str, Shown] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    """Series that the oracle cannot show, and why."""


def read_file(path: Path) -> File:
    """Return all series of a file as pynwb shows them, or as h5py does where pynwb refuses the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            io = NWBHDF5IO(str(path), "r", load_namespaces=True)
            file = io.read()
        except Exception as exc:  # noqa: BLE001  # whatever pynwb raises is its reason
            reason = f"{type(exc).__name__} {str(exc).partition('(')[0][:60]}".strip()
            return _with_h5py(path, f"h5py, pynwb refuses the file: {reason}")
        with io:
            series, broken = {}, {}
            for item in file.objects.values():
                if not isinstance(item, TimeSeries):
                    continue
                place = "/" + str(io.manager.get_builder(item).path).partition("/")[2]
                try:
                    series[place] = _shown(item)
                except Exception as exc:  # noqa: BLE001  # the same
                    broken[place] = f"{type(exc).__name__} {exc}"
    return File("pynwb", series, broken)


def _shown(item: TimeSeries) -> Shown:
    kind = item.neurodata_type
    note = ""
    values: Values | None = None
    raw = item.data
    # A file may name others and hold the frames all the same.
    is_external = isinstance(item, ImageSeries) and item.external_file is not None and not np.size(raw)
    if raw is not None and not is_external:
        stored = np.asarray(raw[()] if isinstance(raw, h5py.Dataset) else raw)
        if stored.dtype.kind in "iufb" and not RAW_TYPES & {one.__name__ for one in type(item).__mro__}:
            values = np.asarray(item.get_data_in_units(), np.float64)
            group = raw.parent if isinstance(raw, h5py.Dataset) else {}
            if "channel_conversion" in group and getattr(item, "channel_conversion", None) is None:
                note = "pynwb leaves out the factors of the channels of waveforms"
                factors = item.conversion * group["channel_conversion"][()]
                values = stored * factors.reshape((-1, *(1,) * (stored.ndim - 2))) + item.offset
        else:
            values = _plain(stored)
    times = None
    if item.timestamps is not None:
        stamps = item.timestamps
        times = np.asarray(stamps[()] if isinstance(stamps, h5py.Dataset) else stamps, np.float64)
    elif item.rate is not None and item.starting_time is not None:
        n = len(values) if values is not None else None
        times = None if n is None else np.arange(n) / item.rate + item.starting_time
        if item.rate == 0 and n == 1:
            note, times = "pynwb says NaN for the time of a single sample of rate 0", np.array([item.starting_time])
    return Shown(kind, values, times, note)


def _with_h5py(path: Path, reason: str) -> File:
    series: dict[str, Shown] = {}
    broken: dict[str, str] = {}
    with h5py.File(path, "r") as file:
        for place, group in _groups(file):
            kind = group.attrs.get("neurodata_type", b"")
            kind = kind.decode() if isinstance(kind, bytes) else str(kind)
            ancestry = [one.decode() if isinstance(one, bytes) else str(one) for one in group.attrs.get("ancestry", [])]
            if kind not in SERIES_TYPES and "TimeSeries" not in ancestry:
                continue
            try:
                series[place] = _shown_by_h5py(kind, {kind, *ancestry}, group)
            except Exception as exc:  # noqa: BLE001  # h5py raises many kinds, too
                broken[place] = f"{type(exc).__name__} {exc}"
    return File(reason, series, broken)


def _groups(file: h5py.File) -> Iterator[tuple[str, h5py.Group]]:
    """Yield every group by each of its hard links."""
    waiting = [("/", file["/"])]
    while waiting:
        place, group = waiting.pop()
        yield place, group
        for name in group:
            link = group.get(name, getlink=True)
            # A link that leads nowhere has no class.
            kind = group.get(name, getclass=True) if isinstance(link, h5py.HardLink) else None
            if isinstance(link, h5py.HardLink) and kind is h5py.Group:
                waiting += [(f"{place.rstrip('/')}/{name}", group[name])]


def _shown_by_h5py(kind: str, kinds: set[str], group: h5py.Group) -> Shown:
    values: Values | None = None
    if "data" in group and "external_file" not in group:
        data = group["data"]
        stored = np.asarray(data[()])
        if stored.dtype.kind in "iufb" and not RAW_TYPES & kinds:
            factor, offset = (
                float(np.ravel(data.attrs.get(k, d))[0]) for k, d in (("conversion", 1.0), ("offset", 0.0))
            )
            if "channel_conversion" in group:
                factors = factor * group["channel_conversion"][()]
                values = stored * factors.reshape((1, -1, *(1,) * (stored.ndim - 2))) + offset
            else:
                # Of numpy, so that single precision does not stay so.
                values = stored * np.float64(factor) + np.float64(offset)
            values = np.asarray(values, np.float64)
        else:
            values = _plain(stored)
    times = None
    if "timestamps" in group:
        times = np.asarray(group["timestamps"][()], np.float64)
    elif "starting_time" in group:
        start = group["starting_time"]
        rate = float(np.ravel(start.attrs["rate"])[0])
        if values is not None and rate > 0:
            times = np.arange(len(values)) / rate + float(np.ravel(start[()])[0])
    return Shown(kind, values, times)


def _plain(stored: Values) -> Values:
    if stored.dtype.kind not in "OS":
        return stored
    text = [one.decode() if isinstance(one, bytes) else one for one in stored.reshape(-1).tolist()]
    found = np.empty(len(text), object)
    found[:] = text
    return found.reshape(stored.shape)
