"""One ephys session as large laboratories publish them, written with pynwb: some 400 objects, most of them small.

`write_ephys` writes it in any size. Units with quality metrics, trials with 44 datasets, twelve tables of stimuli, LFP
in compressed chunks, and behaviour. What costs time on a remote file is in it: metadata spread over the whole file,
text in global heaps, references, and a compound column.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from hdmf.common import DynamicTableRegion, ElementIdentifiers, VectorData, VectorIndex
from pynwb import NWBHDF5IO, H5DataIO, NWBFile, TimeSeries
from pynwb.base import TimeSeriesReference, TimeSeriesReferenceVectorData
from pynwb.behavior import Position, SpatialSeries
from pynwb.ecephys import LFP, ElectricalSeries
from pynwb.epoch import TimeIntervals
from pynwb.file import Subject
from pynwb.misc import Units

EphysLayout = Literal["contiguous", "chunked", "gzip"]
"""How the columns of tables and the series of behaviour are stored; LFP is in gzip chunks in each.

``"contiguous"``: in one piece, as pynwb did before version 4; ``"chunked"``: unfiltered chunks, as pynwb does unasked
since; ``"gzip"``: everything but references in gzip chunks of up to 10 MB, as neuroconv does.
"""

QUALITY = "good"
PRESENCE_RATIO = 0.9
"""``quality == QUALITY and presence_ratio > PRESENCE_RATIO`` holds for every tenth unit, at random places."""

LFP_PATH = "/processing/ecephys/LFP/ElectricalSeries"
LFP_START = 2.5
"""Time of the first sample of LFP, in seconds; the series has a rate and no timestamps."""

AREAS = ("APN", "CA1", "CA3", "DG", "LGd", "LP", "VISam", "VISl", "VISp", "VISpm")
METRICS = (
    "amplitude", "amplitude_cutoff", "cumulative_drift", "d_prime", "duration", "halfwidth", "isi_violations",
    "isolation_distance", "l_ratio", "local_index", "max_drift", "nn_hit_rate", "nn_miss_rate", "peak_channel_id",
    "pt_ratio", "recovery_slope", "repolarization_slope", "silhouette_score", "snr", "spread", "velocity_above",
    "velocity_below",
)  # fmt: skip
STIMULI = (
    "dot_motion", "drifting_gratings", "drifting_gratings_contrast", "flashes", "gabors", "invalid_times",
    "natural_movie_one", "natural_movie_one_shuffled", "natural_movie_three", "natural_scenes", "spontaneous",
    "static_gratings",
)  # fmt: skip
FEATURES = (
    "color", "contrast", "frame", "opacity", "orientation", "phase", "spatial_frequency", "speed",
    "temporal_frequency", "x_position", "y_position",
)  # fmt: skip

_GZIP_CHUNK_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class _Writer:
    random: np.random.Generator
    layout: EphysLayout

    def data(self, values: npt.NDArray[Any] | list[str]) -> npt.NDArray[Any] | list[str] | H5DataIO:
        """Return the values as pynwb must be given them to be stored in the layout."""
        if self.layout != "gzip" or not len(values):
            return values
        array = np.asarray(values) if isinstance(values, np.ndarray) else np.empty(len(values), "V16")
        row_bytes = max(array.nbytes // len(array), 1)
        chunks = (min(max(_GZIP_CHUNK_BYTES // row_bytes, 1), len(array)), *array.shape[1:])
        return H5DataIO(values, chunks=chunks, compression="gzip", compression_opts=4)

    def column(self, name: str, values: npt.NDArray[Any] | list[str]) -> VectorData:
        return VectorData(name=name, description=f"the {name} of each row", data=self.data(values))

    def index(self, column: VectorData, counts: npt.NDArray[np.int64]) -> VectorIndex:
        return VectorIndex(name=f"{column.name}_index", data=self.data(np.cumsum(counts)), target=column)

    def ids(self, count: int, first: int = 0) -> ElementIdentifiers:
        return ElementIdentifiers(name="id", data=self.data(np.arange(first, first + count)))

    def text(self, words: Iterable[str], count: int) -> list[str]:
        return [str(word) for word in self.random.choice(list(words), count)]


def write_ephys(
    path: str | Path,
    *,
    layout: EphysLayout,
    seed: int = 0,
    seconds: float = 1200.0,
    n_units: int = 500,
    n_spikes: int = 5_700_000,
    n_trials: int = 600,
    n_presentations: int = 1500,
    lfp_shape: tuple[int, int] = (1_500_000, 96),
    lfp_chunk: tuple[int, int] = (12_500, 32),
) -> Path:
    """Write one session and return its path; with the defaults 400 objects and some 270 MB.

    Tables: ``/units``, ``/intervals/trials``, twelve ``/intervals/<stimulus>_presentations``,
    ``/general/extracellular_ephys/electrodes``; series: `LFP_PATH` (int16, regular) and three of behaviour.
    The same arguments write the same values; only the object ids are drawn anew each time.

    Parameters
    ----------
    path : str or Path
        Where to write; an existing file is replaced.
    layout : {"contiguous", "chunked", "gzip"}
        How it is stored, see `EphysLayout`.
    seed : int
        All values follow from it.
    seconds : float
        Length of the recording; behaviour is sampled at 60 and 100 Hz.
    n_units, n_spikes, n_trials : int
        Rows of the tables, and spikes of all units together (float64, multiples of 1/30000 s).
    n_presentations : int
        Rows of the longest table of stimuli; the others have a part of them.
    lfp_shape, lfp_chunk : tuple of int
        Samples and channels (one per electrode) of the LFP, and of one chunk; gzip and shuffle gain about a quarter.
    """
    path = Path(path)
    writer = _Writer(np.random.default_rng(seed), layout)
    with warnings.catch_warnings():
        # pynwb's hints about best practice do not concern files that tests write.
        warnings.simplefilter("ignore", UserWarning)
        file = _file(seed)
        _add_electrodes(file, writer, lfp_shape[1])
        _add_units(file, writer, n_units, n_spikes, seconds)
        running = _add_behavior(file, writer, seconds)
        file.trials = _trials(writer, running, n_trials, seconds)
        for number, name in enumerate(STIMULI):
            n_rows = max(n_presentations * (number % 4 + 1) // 4, 1)
            file.add_time_intervals(_presentations(writer, running, name, n_rows, seconds))
        _add_lfp(file, writer, seconds, lfp_shape, lfp_chunk)
        with NWBHDF5IO(str(path), "w") as io:
            # Expandable columns are chunked; without any, pynwb 4 writes the contiguous layout of pynwb 3 and before.
            io.write(file, **({} if layout == "chunked" else {"expandable": ()}))
    return path


def _file(seed: int) -> NWBFile:
    start = datetime(2024, 1, 1, 12, tzinfo=UTC)
    file = NWBFile(
        session_description="a synthetic recording of many units",
        identifier=f"ephys-{seed}",
        session_start_time=start,
        file_create_date=start,
        session_id=f"ephys-{seed}",
        institution="University of Tests",
        lab="a laboratory",
        experimenter=["Doe, Jane"],
        keywords=["ephys", "synthetic"],
    )
    file.subject = Subject(subject_id="mouse-1", species="Mus musculus", sex="F", age="P90D", strain="C57BL/6J")
    return file


def _add_electrodes(file: NWBFile, writer: _Writer, count: int) -> None:
    device = file.create_device("probe", description="a probe")
    groups = [
        file.create_electrode_group(f"probe{letter}", description="a shank", location=area, device=device)
        for letter, area in zip("ABCDEF", AREAS, strict=False)
    ]
    for i in range(count):
        group = groups[i * len(groups) // count]
        file.add_electrode(
            x=float(i % 2) * 20, y=i * 10.0, z=float("nan"), imp=float(writer.random.normal(1e5, 1e4)),
            location=group.location, filtering="none", group=group,
        )  # fmt: skip


def _add_units(file: NWBFile, writer: _Writer, n_units: int, n_spikes: int, seconds: float) -> None:
    random = writer.random
    counts = _counts(random, n_units, n_spikes)
    times = random.integers(0, int(seconds * 30_000), n_spikes) / 30_000
    for stop, count in zip(np.cumsum(counts), counts, strict=True):
        times[stop - count : stop].sort()
    spikes = writer.column("spike_times", times)
    observed = writer.column("obs_intervals", np.tile([0.0, seconds], (n_units, 1)))
    peaks = random.integers(0, len(file.electrodes) - 2, n_units)
    electrodes = DynamicTableRegion(
        name="electrodes",
        description="channels of the unit",
        data=writer.data(np.concatenate([np.arange(peak, peak + 3) for peak in peaks])),
        table=file.electrodes,
    )
    columns = [
        writer.index(spikes, counts),
        spikes,
        writer.index(observed, np.ones(n_units, np.int64)),
        observed,
        writer.index(electrodes, np.full(n_units, 3)),
        electrodes,
        VectorData(
            name="electrode_group",
            description="the shank",
            data=[file.electrodes["group"][int(peak)] for peak in peaks],
        ),
        writer.column("waveform_mean", random.normal(size=(n_units, 82)).astype(np.float32)),
        *_judged(writer, n_units),
        writer.column("firing_rate", counts / seconds),
        writer.column("location", [str(file.electrodes["location"][int(peak)]) for peak in peaks]),
        writer.column("cluster_group", writer.text(("", "single", "multi"), n_units)),
        *(writer.column(name, random.gamma(2.0, 2.0, n_units)) for name in METRICS),
    ]
    file.units = Units(name="units", description="sorted units", id=writer.ids(n_units, 1000), columns=columns)


def _plain(data: Any) -> npt.NDArray[Any]:  # noqa: ANN401  # an array, or pynwb's wrapper of one
    values: npt.NDArray[Any] = data.data if isinstance(data, H5DataIO) else data
    return values


def _counts(random: np.random.Generator, n_units: int, n_spikes: int) -> npt.NDArray[np.int64]:
    shares = random.lognormal(0.0, 0.8, n_units)
    ends = np.round(np.cumsum(shares) / shares.sum() * n_spikes).astype(np.int64)
    counts: npt.NDArray[np.int64] = np.diff(ends, prepend=np.int64(0))
    return counts


def _judged(writer: _Writer, n_units: int) -> list[VectorData]:
    random = writer.random
    is_kept = np.zeros(n_units, bool)
    is_kept[random.choice(n_units, n_units // 10, replace=False)] = True
    is_good = is_kept | (random.random(n_units) < 0.3)  # noqa: PLR2004  # good units that are not always present
    presence_ratio = np.where(is_kept, random.uniform(0.91, 1, n_units), random.uniform(0.3, 0.9, n_units))
    is_bad_and_present = ~is_good & (random.random(n_units) < 0.5)  # noqa: PLR2004  # neither column decides alone
    presence_ratio[is_bad_and_present] = 0.95
    quality = [QUALITY if good else "noise" for good in is_good]
    return [writer.column("quality", quality), writer.column("presence_ratio", presence_ratio)]


def _add_behavior(file: NWBFile, writer: _Writer, seconds: float) -> TimeSeries:
    random = writer.random
    behavior = file.create_processing_module("behavior", "behavior")

    def stamps(rate: float) -> npt.NDArray[np.float64]:
        return np.cumsum(random.uniform(0.9 / rate, 1.1 / rate, max(int(seconds * rate), 1)))

    times = stamps(60)
    speed = np.abs(random.normal(10, 5, len(times)))
    running = TimeSeries(name="running_speed", data=writer.data(speed), timestamps=writer.data(times), unit="cm/s")
    behavior.add(running)
    times = stamps(60)
    area = random.gamma(5, 100, len(times))
    behavior.add(TimeSeries(name="pupil_area", data=writer.data(area), timestamps=writer.data(times), unit="px"))
    times = stamps(100)
    gaze = random.normal(size=(len(times), 2))
    behavior.add(
        Position(
            spatial_series=SpatialSeries(
                name="gaze", data=writer.data(gaze), timestamps=writer.data(times), reference_frame="screen centre"
            )
        )
    )
    return running


def _started(writer: _Writer, count: int, seconds: float) -> tuple[npt.NDArray[np.float64], list[VectorData]]:
    start = np.sort(writer.random.uniform(0, seconds, count))
    stop = start + writer.random.uniform(0.1, 1.0, count) * seconds / count
    return start, [writer.column("start_time", start), writer.column("stop_time", stop)]


def _referring(writer: _Writer, running: TimeSeries, start: npt.NDArray[np.float64]) -> list[VectorData | VectorIndex]:
    first = np.searchsorted(_plain(running.timestamps), start)
    series = TimeSeriesReferenceVectorData(
        name="timeseries",
        description="samples that the interval covers",
        data=[TimeSeriesReference(int(at), 10, running) for at in first],
    )
    return [series, writer.index(series, np.ones(len(start), np.int64))]


def _trials(writer: _Writer, running: TimeSeries, count: int, seconds: float) -> TimeIntervals:
    random = writer.random
    start, columns = _started(writer, count, seconds)
    for number in range(20):
        times = start + random.uniform(0, 2, count)
        times[random.random(count) < 0.1 * (number % 4)] = np.nan
        columns.append(writer.column(f"event_{number:02}_time", times))
    columns += [writer.column(f"is_{name}", random.random(count) < 0.5) for name in (  # noqa: PLR2004  # as often as not
        "catch", "correct", "go", "hit", "instructed", "miss", "opto", "repeat", "rewarded",
    )]  # fmt: skip
    columns += [
        writer.column(name, random.integers(0, 20, count)) for name in ("block", "n_licks", "trial_index_in_block")
    ]
    columns += [
        writer.column("stimulus", writer.text(("vis1", "vis2", "sound1", "sound2", "catch"), count)),
        writer.column("rewarded_modality", writer.text(("vis", "aud"), count)),
        writer.column("response", writer.text(("left", "right", "none ✓"), count)),
        writer.column("laser_area", writer.text(("", *AREAS), count)),
        writer.column("device", writer.text(("rig 1", "rig 2"), count)),
    ]
    tags = random.integers(0, 3, count)
    tags[0] = 1
    column = writer.column("tags", writer.text(("early", "late", "rewarded"), int(tags.sum())))
    columns += [column, writer.index(column, tags), *_referring(writer, running, start)]
    return TimeIntervals(name="trials", description="trials of the task", id=writer.ids(count), columns=columns)


def _presentations(writer: _Writer, running: TimeSeries, name: str, count: int, seconds: float) -> TimeIntervals:
    start, columns = _started(writer, count, seconds)
    columns.append(writer.column("stimulus_name", writer.text((name,), count)))
    columns.append(writer.column("stimulus_block", writer.random.integers(0, 9, count)))
    columns += [writer.column(feature, writer.random.choice(np.arange(0, 360, 45.0), count)) for feature in FEATURES]
    columns += _referring(writer, running, start)
    return TimeIntervals(
        name=f"{name}_presentations", description=f"the {name} that were shown", id=writer.ids(count), columns=columns
    )


def _add_lfp(file: NWBFile, writer: _Writer, seconds: float, shape: tuple[int, int], chunk: tuple[int, int]) -> None:
    n_samples, n_channels = shape
    rate = n_samples / seconds
    samples = np.empty(shape, np.int16)
    for start in range(0, n_samples, 65_536):
        stop = min(start + 65_536, n_samples)
        noise = writer.random.standard_normal((stop - start, n_channels), np.float32)
        # Theta that all channels share, under noise of each.
        theta = 800 * np.sin(2 * np.pi * 7 / rate * np.arange(start, stop), dtype=np.float32)
        samples[start:stop] = 600 * noise + theta[:, None]
    region = file.create_electrode_table_region(list(range(n_channels)), "all channels")
    chunks = (min(chunk[0], n_samples), min(chunk[1], n_channels))
    data = H5DataIO(samples, chunks=chunks, compression="gzip", compression_opts=4, shuffle=True)
    series = ElectricalSeries(
        name="ElectricalSeries",
        data=data,
        electrodes=region,
        starting_time=LFP_START,
        rate=rate,
        conversion=4.69e-6,
    )
    file.create_processing_module("ecephys", "filtered and resampled").add(LFP(electrical_series=series))
