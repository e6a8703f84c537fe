"""One small NWB file with every type of TimeSeries of the core schema to 2.11, written with pynwb.

`write_series` writes it, `SERIES` says what it holds. Its parts are here (TimeSeries itself, behaviour, events and
spectra), in `nwb_dask.testing.series_ephys` and in `nwb_dask.testing.series_images`. Series with something wrong or
unusual are in `nwb_dask.testing.series_odd`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import h5py
import numpy as np
import numpy.typing as npt
from hdmf.common import DynamicTableRegion
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.behavior import (
    BehavioralEpochs,
    BehavioralEvents,
    BehavioralTimeSeries,
    CompassDirection,
    EyeTracking,
    Position,
    PupilTracking,
    SpatialSeries,
)
from pynwb.misc import AbstractFeatureSeries, AnnotationSeries, DecompositionSeries, IntervalSeries

from nwb_dask.testing import series_ephys, series_images
from nwb_dask.testing.series_images import construct, stored

SEED = 4
"""All values follow from it."""
N_SAMPLES = 40
"""Samples of the series of this module."""
RATE = 30.0
"""Hz, of those of them that have a rate."""
DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")

_GENERAL = {
    **{f"/acquisition/{dtype}": f"{dtype} with conversion and offset" for dtype in DTYPES},
    "/acquisition/dims_2": "two dimensions, timestamps",
    "/acquisition/dims_3": "three dimensions, rate",
    "/acquisition/dims_4": "four dimensions, chunked and compressed",
    "/acquisition/plain": "no conversion, no offset, timestamps",
    "/acquisition/sampled": "a rate that has no exact float64, and a start that is not zero",
    "/acquisition/from_zero": "a rate, and a start that pynwb has set",
    "/acquisition/compressed_stamps": "timestamps in compressed chunks",
    "/acquisition/described": "description, comments, resolution and continuity",
    "/acquisition/controlled": "control and control_description",
    "/acquisition/same_stamps": "timestamps linked to those of `plain`",
    "/acquisition/same_stamps_again": "timestamps linked to those of `same_stamps`, which are a link",
    "/acquisition/same_data": "data linked to those of `plain`, with a rate",
    "/acquisition/same_both": "data and timestamps linked to those of `plain`",
    "/stimulus/presentation/plain": "the series is a soft link to one in acquisition",
    "/stimulus/templates/template": "a series among the templates",
    "/processing/behavior/unwrapped": "a series in a module without a container",
    "/analysis/result": "a series in analysis, hard-linked to no other",
    "/scratch/notes": "a series in scratch",
}
_BEHAVIOR = {
    "/processing/behavior/Position/line": "position along a line: one dimension",
    "/processing/behavior/Position/column": "position along a line: two dimensions, the second of length 1",
    "/processing/behavior/Position/plane": "position in a plane, timestamps",
    "/processing/behavior/Position/space": "position in space, in centimetres by a conversion",
    "/processing/behavior/EyeTracking/gaze": "direction of gaze, two columns",
    "/processing/behavior/CompassDirection/heading": "heading in radians, one dimension",
    "/processing/behavior/PupilTracking/diameter": "diameter of the pupil, a plain TimeSeries",
    "/processing/behavior/BehavioralTimeSeries/speed": "speed, a plain TimeSeries",
    "/processing/behavior/BehavioralEvents/reward": "rewards at irregular times, a plain TimeSeries",
    "/processing/behavior/BehavioralEpochs/running": "starts and ends of bouts, an IntervalSeries",
}
_MISCELLANEOUS = {
    "/acquisition/features": "AbstractFeatureSeries of three features with units",
    "/acquisition/one_feature": "AbstractFeatureSeries of one dimension",
    "/acquisition/intervals": "IntervalSeries of two kinds of intervals",
    "/acquisition/annotations": "AnnotationSeries with text that is not ASCII, and empty text",
    "/processing/ecephys/bands": "DecompositionSeries with bands, source channels and source series",
    "/processing/ecephys/plain_bands": "DecompositionSeries with bands, of a source series alone",
}

SERIES: Mapping[str, str] = MappingProxyType(
    {**_GENERAL, **_BEHAVIOR, **_MISCELLANEOUS, **series_ephys.SERIES, **series_images.SERIES}
)
"""Path of each series of the file that `write_series` writes -> what is special about it."""


def write_series(path: str | Path) -> Path:
    """Write all series of `SERIES` into one file and return its path; an existing file is replaced.

    Everything but the object ids is the same each time. Datasets are contiguous unless `SERIES` says otherwise.
    """
    path = Path(path)
    random = np.random.default_rng(SEED)
    with warnings.catch_warnings():
        # pynwb's hints about best practice do not concern files that tests write.
        warnings.simplefilter("ignore", UserWarning)
        file = new_session(path.stem)
        file.create_processing_module("behavior", "behavior")
        file.create_processing_module("ecephys", "extracellular electrophysiology")
        _add_general(file, random)
        _add_behavior(file, random)
        series_ephys.add_series(file, random)
        _add_miscellaneous(file, random)
        series_images.add_series(file, random)
        with NWBHDF5IO(str(path), "w") as io:
            # Expandable datasets would be chunked; without any, those are that are wrapped to be.
            io.write(file, expandable=())
    with h5py.File(path, "r+") as written:
        series_ephys.add_event_conversion(written)
        # hdmf 6.2 fails on a session that adds one series in two places.
        written["stimulus/presentation/plain"] = h5py.SoftLink("/acquisition/plain")
    return path


def new_session(name: str) -> NWBFile:
    """Return a session without any data."""
    start = datetime(2024, 1, 1, 12, tzinfo=UTC)
    return NWBFile(session_description=name, identifier=name, session_start_time=start, file_create_date=start)


def irregular_times(random: np.random.Generator, count: int, *, start: float = 0.0) -> npt.NDArray[np.float64]:
    """Return `count` rising times in seconds after `start`, 10 to 50 ms apart."""
    return start + np.cumsum(random.uniform(0.01, 0.05, count))


def _add_general(file: NWBFile, random: np.random.Generator) -> None:
    for dtype in DTYPES:
        if np.dtype(dtype).kind == "f":
            values = random.normal(size=N_SAMPLES).astype(dtype)
        else:
            bounds = np.iinfo(dtype)
            values = random.integers(bounds.min, bounds.max, N_SAMPLES, dtype, endpoint=True)
        file.add_acquisition(
            TimeSeries(name=dtype, data=values, unit="V", conversion=0.3, offset=-1.7, starting_time=1.0, rate=RATE)
        )
    stamps = irregular_times(random, N_SAMPLES, start=2.0)
    plain = TimeSeries(name="plain", data=random.normal(size=N_SAMPLES), unit="m/s", timestamps=stamps)
    compressed = {"compression": "gzip", "shuffle": True}
    squares = stored(random.normal(size=(N_SAMPLES, 4, 3, 2)), chunks=(16, 4, 2, 2), **compressed)
    late = stored(irregular_times(random, N_SAMPLES), chunks=(7,), **compressed)
    again = TimeSeries(name="same_stamps", data=random.normal(size=(N_SAMPLES, 2)), unit="m", timestamps=plain)
    for series in (
        TimeSeries(name="dims_2", data=random.normal(size=(N_SAMPLES, 3)), unit="m", timestamps=stamps + 100),
        TimeSeries(name="dims_3", data=random.integers(0, 9, (N_SAMPLES, 3, 2), "i2"), unit="A", rate=RATE),
        TimeSeries(name="dims_4", data=squares, unit="K", rate=RATE, starting_time=-0.5, conversion=2.5),
        plain,
        TimeSeries(name="sampled", data=np.arange(N_SAMPLES), unit="s", rate=1 / 3, starting_time=12.345),
        TimeSeries(name="from_zero", data=np.arange(N_SAMPLES, dtype="f4"), unit="s", rate=30_000.0),
        TimeSeries(name="compressed_stamps", data=np.arange(N_SAMPLES), unit="n/a", timestamps=late),
        TimeSeries(
            name="described", data=np.arange(N_SAMPLES), unit="count", rate=RATE, resolution=0.5,
            continuity="step", description="größer als nötig", comments="a comment",
        ),
        TimeSeries(
            name="controlled", data=random.normal(size=N_SAMPLES), unit="lux", rate=RATE,
            control=np.arange(N_SAMPLES, dtype="u1") // 15, control_description=["dark", "dusk", "light"],
        ),
        again,
        TimeSeries(name="same_stamps_again", data=np.arange(N_SAMPLES, dtype="i2"), unit="m", timestamps=again),
        TimeSeries(name="same_data", data=plain, unit="m/s", rate=RATE, starting_time=3.0),
        TimeSeries(name="same_both", data=plain, unit="m/s", timestamps=plain),
    ):  # fmt: skip
        file.add_acquisition(series)
    file.add_stimulus_template(TimeSeries(name="template", data=np.hanning(N_SAMPLES), unit="V", rate=1000.0))
    file.processing["behavior"].add(TimeSeries(name="unwrapped", data=stamps * 2, unit="m", timestamps=stamps))
    file.add_analysis(TimeSeries(name="result", data=np.arange(N_SAMPLES), unit="Hz", rate=RATE))
    file.add_scratch(TimeSeries(name="notes", data=np.arange(N_SAMPLES), unit="Hz", rate=RATE))


def _add_behavior(file: NWBFile, random: np.random.Generator) -> None:
    def space(name: str, *shape: int, **options: object) -> SpatialSeries:
        values = random.normal(size=(N_SAMPLES, *shape))
        return SpatialSeries(name=name, data=values, reference_frame="north-east corner", **options)

    stamps = irregular_times(random, N_SAMPLES)
    places = [
        space("line", rate=RATE),
        space("column", 1, rate=RATE),
        space("plane", 2, timestamps=stamps),
        space("space", 3, rate=RATE, unit="centimeters", conversion=0.01),
    ]
    speed, diameter, reward = (
        TimeSeries(name=name, data=random.gamma(2.0, 2.0, N_SAMPLES), unit=unit, timestamps=stamps)
        for name, unit in (("speed", "cm/s"), ("diameter", "mm"), ("reward", "uL"))
    )
    running = IntervalSeries(name="running", data=np.tile(np.array([1, -1], "i1"), 5), timestamps=stamps[:10])
    behavior = file.processing["behavior"]
    for container in (
        Position(spatial_series=places),
        EyeTracking(spatial_series=space("gaze", 2, rate=RATE, unit="degrees")),
        CompassDirection(spatial_series=space("heading", timestamps=stamps, unit="radians")),
        PupilTracking(time_series=diameter),
        BehavioralTimeSeries(time_series=speed),
        construct(BehavioralEvents, time_series=reward),
        BehavioralEpochs(interval_series=running),
    ):
        behavior.add(container)


def _add_miscellaneous(file: NWBFile, random: np.random.Generator) -> None:
    stamps = irregular_times(random, N_SAMPLES)
    file.add_acquisition(
        AbstractFeatureSeries(
            name="features", data=random.normal(size=(N_SAMPLES, 3)), timestamps=stamps,
            features=["contrast", "spatial frequency", "orientation"], feature_units=["%", "cycles/degree", "degrees"],
        )
    )  # fmt: skip
    file.add_acquisition(
        AbstractFeatureSeries(
            name="one_feature", data=random.normal(size=N_SAMPLES), rate=RATE, features=["phase"], feature_units=["rad"]
        )
    )
    kinds = np.array([1, -1, 2, -2, 1, 2, -1, -2], "i1")
    file.add_acquisition(IntervalSeries(name="intervals", data=kinds, timestamps=stamps[: len(kinds)]))
    words = ["started", "", "Spülung", "東京", "two\nlines"]
    file.add_acquisition(construct(AnnotationSeries, name="annotations", data=words, timestamps=stamps[:5]))
    voltage = file.acquisition["raw"]
    channels = DynamicTableRegion(name="source_channels", data=[3, 1, 0], description="channels", table=file.electrodes)
    for name, region in (("bands", channels), ("plain_bands", None)):
        series = DecompositionSeries(
            name=name, data=random.gamma(2.0, 2.0, (N_SAMPLES, 3, 2)), metric="power", unit="V^2/Hz", rate=RATE,
            source_timeseries=voltage, source_channels=region,
        )  # fmt: skip
        series.add_band(band_name="theta", band_limits=(4.0, 8.0), band_mean=6.0, band_stdev=1.0)
        series.add_band(band_name="gamma", band_limits=(30.0, 80.0), band_mean=55.0, band_stdev=12.5)
        file.processing["ecephys"].add(series)
