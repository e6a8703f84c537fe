"""Small NWB files written with pynwb: sessions as a laboratory has them.

`write_session` writes one session of units, trials and electrodes, of any size and storage layout. Everything
is drawn from `seed`: the same arguments write the same values. The files with something unusual are in
`nwb_dask.testing.oddities`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from hdmf.common import DynamicTableRegion, VectorData, VectorIndex
from pynwb import NWBHDF5IO, H5DataIO, NWBFile, TimeSeries
from pynwb.ecephys import ElectricalSeries
from pynwb.epoch import TimeIntervals
from pynwb.file import Subject
from pynwb.misc import Units

Layout = Literal["default", "contiguous", "chunked", "gzip"]
"""How columns and series are stored.

``"default"``: as pynwb does unasked; ``"contiguous"``: in one piece, never in chunks; ``"chunked"``: chunks of
`chunk_rows` rows, not compressed; ``"gzip"``: the same chunks, compressed.
"""

AREAS = ("CA1", "CA3", "DG", "VISp", "VISl", "LP")
QUALITIES = ("good", "mua", "noise")


@dataclass(frozen=True, slots=True)
class _Storage:
    layout: Layout
    chunk_rows: int

    def data(self, values: npt.NDArray[Any] | Sequence[object]) -> npt.NDArray[Any] | Sequence[object] | H5DataIO:
        """Return the values as pynwb must be given them to be stored in this layout."""
        if self.layout in ("default", "contiguous") or not len(values):
            return values
        array = np.asarray(values, dtype=None if isinstance(values, np.ndarray) else object)
        chunks = (min(self.chunk_rows, len(array)), *array.shape[1:])
        # Text goes as a list: pynwb takes an array of objects for references.
        data = values if array.dtype == object else array
        if self.layout == "chunked":
            return H5DataIO(data, chunks=chunks)
        return H5DataIO(data, chunks=chunks, compression="gzip", compression_opts=4, shuffle=True)


def write_session(
    path: str | Path,
    *,
    seed: int = 0,
    n_units: int = 20,
    spikes_per_unit: int = 100,
    n_trials: int = 30,
    n_electrodes: int = 16,
    n_samples: int = 1000,
    waveform_samples: int = 32,
    quality: Sequence[str] = QUALITIES,
    layout: Layout = "default",
    chunk_rows: int = 4096,
    session_id: str | None = None,
    subject_id: str = "mouse-1",
    unit_columns: Mapping[str, Sequence[object] | npt.NDArray[Any]] | None = None,
    trial_columns: Mapping[str, Sequence[object] | npt.NDArray[Any]] | None = None,
) -> Path:
    """Write one session and return its path.

    Tables: ``/units``, ``/intervals/trials``, ``/general/extracellular_ephys/electrodes``; series:
    ``/acquisition/lfp`` (int16, regular) and ``/processing/behavior/running_speed`` (float64, timestamps);
    ``/general/subject``.

    Parameters
    ----------
    path : str or Path
        Where to write; an existing file is replaced.
    seed : int
        All values follow from it.
    n_units, n_trials, n_electrodes, n_samples : int
        Rows of the tables, and samples of each series; 0 leaves the table or series out.
    spikes_per_unit : int
        Mean number of spikes; the first unit has none.
    waveform_samples : int
        Samples of ``waveform_mean``; 0 leaves the column out.
    quality : sequence of str
        What the column ``quality`` of the units is drawn from, with equal chances.
    layout, chunk_rows
        How the datasets are stored, see `Layout`.
    session_id, subject_id : str
        Metadata; the session's id is ``session-<seed>`` by default.
    unit_columns, trial_columns : mapping, optional
        Further columns, one value per row.
    """
    path = Path(path)
    random = np.random.default_rng(seed)
    storage = _Storage(layout, chunk_rows)
    file = _file(seed, session_id or f"session-{seed}", subject_id)
    if n_electrodes:
        _add_electrodes(file, random, n_electrodes)
    if n_units:
        sizes = (n_units, spikes_per_unit, waveform_samples)
        _add_units(file, random, storage, sizes=sizes, quality=quality, more=unit_columns or {})
    if n_trials:
        file.trials = _trials(random, storage, n_trials, trial_columns or {})
    if n_samples:
        _add_series(file, random, storage, n_samples)
    with warnings.catch_warnings():
        # pynwb's hints about best practice do not concern files that tests write.
        warnings.simplefilter("ignore", UserWarning)
        with NWBHDF5IO(str(path), "w") as io:
            if layout == "default":
                io.write(file)
            else:
                io.write(file, expandable=())
    return path


def _file(seed: int, session_id: str, subject_id: str) -> NWBFile:
    start = datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(days=seed)
    file = NWBFile(
        session_description="a session written for tests",
        identifier=f"{session_id}-{seed}",
        session_start_time=start,
        file_create_date=start,
        session_id=session_id,
        institution="University of Tests",
        lab="Généralités",
        experimenter=["Doe, Jane", "Müller, Jörg"],
    )
    file.subject = Subject(subject_id=subject_id, species="Mus musculus", sex="F", age="P90D", strain="C57BL/6J")
    return file


def _add_electrodes(file: NWBFile, random: np.random.Generator, count: int) -> None:
    device = file.create_device("probe", description="a probe")
    areas = random.choice(AREAS, size=2, replace=False)
    groups = [
        file.create_electrode_group(f"shank{i}", description="a shank", location=str(area), device=device)
        for i, area in enumerate(areas)
    ]
    for i in range(count):
        group = groups[i * len(groups) // count]
        file.add_electrode(
            x=float(i % 2) * 20, y=i * 10.0, z=float("nan"), imp=float(random.normal(1e5, 1e4)),
            location=group.location, filtering="none", group=group,
        )  # fmt: skip


def _ragged(
    storage: _Storage, name: str, items: npt.NDArray[Any], counts: npt.NDArray[np.int64], like: type = VectorData
) -> list[Any]:
    options = {} if like is VectorData else {"table": None}
    column = like(name=name, description=f"the {name} of each row", data=storage.data(items), **options)
    return [column, VectorIndex(name=f"{name}_index", data=storage.data(np.cumsum(counts)), target=column)]


def _add_units(
    file: NWBFile,
    random: np.random.Generator,
    storage: _Storage,
    *,
    sizes: tuple[int, int, int],
    quality: Sequence[str],
    more: Mapping[str, Sequence[object] | npt.NDArray[Any]],
) -> None:
    n_units, spikes_per_unit, waveform_samples = sizes
    counts = random.poisson(spikes_per_unit, n_units).astype(np.int64)
    counts[0] = 0
    duration = 600.0
    times = np.concatenate([np.sort(random.uniform(0, duration, count)) for count in counts])
    snr = random.gamma(2, 2, n_units).astype(np.float32)
    snr[:: max(n_units // 5, 1)] = np.nan
    plain: dict[str, Any] = {
        "quality": random.choice(list(quality), n_units).tolist(),
        "firing_rate": counts / duration,
        "snr": snr,
        "depth": random.integers(0, 3840, n_units).astype(np.int16),
        "is_accepted": random.random(n_units) < 0.5,  # noqa: PLR2004  # as often as not
        "cell_type": random.choice(["", "pyramidal", "interneuron", "granule"], n_units).tolist(),
        **more,
    }
    columns = _ragged(storage, "spike_times", times, counts)
    if file.electrodes is not None:
        n_electrodes = len(file.electrodes)
        peaks = random.integers(0, n_electrodes, n_units)
        per_unit = [np.arange(peak, min(peak + 3, n_electrodes)) for peak in peaks]
        lengths = np.array([len(rows) for rows in per_unit])
        columns += _ragged(storage, "electrodes", np.concatenate(per_unit), lengths, DynamicTableRegion)
        columns[-2].table = file.electrodes
        plain["brain_area"] = [str(file.electrodes["location"][int(peak)]) for peak in peaks]
        groups = [file.electrodes["group"][int(peak)] for peak in peaks]
        columns.append(VectorData(name="electrode_group", description="group of the largest channel", data=groups))
    if waveform_samples:
        mean = random.normal(size=(n_units, waveform_samples)).astype(np.float32)
        columns.append(VectorData(name="waveform_mean", description="mean waveform", data=storage.data(mean)))
    columns += [
        VectorData(name=name, description=f"the {name} of each unit", data=storage.data(values))
        for name, values in plain.items()
    ]
    ids = np.arange(n_units) + 100
    order = [*plain, *(column.name for column in columns if column.name not in plain and "_index" not in column.name)]
    file.units = Units(name="units", description="sorted units", id=ids, columns=columns, colnames=order)


def _trials(
    random: np.random.Generator,
    storage: _Storage,
    count: int,
    more: Mapping[str, Sequence[object] | npt.NDArray[Any]],
) -> TimeIntervals:
    starts = np.cumsum(random.uniform(2, 6, count))
    response = starts + random.uniform(0.1, 1.0, count)
    response[random.random(count) < 0.2] = np.nan  # noqa: PLR2004  # every fifth trial is a miss
    tags = random.integers(0, 3, count)
    plain: dict[str, Any] = {
        "start_time": starts,
        "stop_time": starts + 1.5,
        "condition": random.choice(["go", "nogo", "catch ✓"], count).tolist(),
        "response_time": response,
        "block": (np.arange(count) // 10).astype(np.uint8),
        **more,
    }
    columns = [
        VectorData(name=name, description=f"the {name} of each trial", data=storage.data(values))
        for name, values in plain.items()
    ]
    words = random.choice(["early", "late", "rewarded"], int(tags.sum())).astype(object)
    tag = VectorData(name="tags", description="tags of each trial", data=words.tolist() or [""])
    if tags.sum():
        columns += [tag, VectorIndex(name="tags_index", data=storage.data(np.cumsum(tags)), target=tag)]
    return TimeIntervals(name="trials", description="trials of the task", columns=columns)


def _add_series(file: NWBFile, random: np.random.Generator, storage: _Storage, count: int) -> None:
    if file.electrodes is not None:
        region = file.create_electrode_table_region(list(range(len(file.electrodes))), "all")
        samples = random.integers(-500, 500, (count, len(region))).astype(np.int16)
        lfp = ElectricalSeries(
            name="lfp", data=storage.data(samples), electrodes=region, starting_time=0.5, rate=1250.0, conversion=1e-6
        )
        file.add_acquisition(lfp)
    speed = np.abs(random.normal(10, 5, count))
    timestamps = np.cumsum(random.uniform(0.01, 0.03, count))
    behavior = file.create_processing_module("behavior", "behavior")
    behavior.add(
        TimeSeries(name="running_speed", data=storage.data(speed), timestamps=storage.data(timestamps), unit="cm/s")
    )
