"""What pynwb adds to a session in three rounds: every kind of object that NWB has and HDF5 stores in its own way."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hdmf.container
import numpy as np
import pynwb
import pytest
from hdmf.backends.hdf5 import H5DataIO
from hdmf.common import DynamicTable, DynamicTableRegion, VectorData
from hdmf.data_utils import DataChunkIterator
from pynwb.base import Images
from pynwb.behavior import Position, SpatialSeries
from pynwb.ecephys import LFP, ElectricalSeries
from pynwb.epoch import TimeIntervals
from pynwb.image import GrayscaleImage, RGBImage

_START = datetime(2024, 1, 1, tzinfo=UTC)
_TEXTS = ["", "ü", "日本", "long " * 5, "e"]


def write_original(path: Path) -> Path:
    """Write a session with electrodes, trials, a module with a table, and two series."""
    rng = np.random.default_rng(0)
    file = pynwb.NWBFile("d", "id", _START, file_create_date=_START, keywords=["a", "ü", ""])
    group = file.create_electrode_group("group", "d", "CA1", file.create_device("probe"))
    for number in range(4):
        file.add_electrode(group=group, location="CA1", x=float(number))
    data = H5DataIO(rng.integers(0, 100, (5000, 3), dtype="i2"), compression="gzip", chunks=(500, 3))
    file.add_acquisition(pynwb.TimeSeries(name="regular", data=data, unit="V", rate=10.0, conversion=0.5))
    times = np.arange(3000) / 10
    file.add_acquisition(pynwb.TimeSeries(name="timed", data=rng.random(3000), unit="V", timestamps=times))
    file.add_trial_column("kind", "text")
    for number in range(5):
        file.add_trial(start_time=float(number), stop_time=number + 0.5, kind=_TEXTS[number])
    table = DynamicTable(name="table", description="d", columns=[VectorData(name="v", description="d", data=[1.0] * 6)])
    file.create_processing_module("behavior", "b").add(table)
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(file)
    return path


def units_and_columns(file: Any) -> None:
    """Add units with ragged columns of one and two levels, columns of all types, series and regions of electrodes."""
    rng = np.random.default_rng(1)
    for name in ("quality", "label", "good"):
        file.add_unit_column(name, "d")
    for n in range(7):
        file.add_unit(
            spike_times=np.sort(rng.random(n * 5)), electrodes=[n % 4, (n + 1) % 4][: 1 + n % 2],
            quality=float(n), label=_TEXTS[n % 5], good=bool(n % 2), obs_intervals=[[0.0, 1.0], [2.0, 3.0]],
            waveforms=rng.random((2, 3, 8)), waveform_mean=rng.random((8, 3)),
        )  # fmt: skip
    file.add_electrode_column("depth", "d", data=[1.0, 2.0, 3.0, np.nan])
    electrodes = file.create_electrode_table_region([0, 2], "two")
    data = rng.integers(-30_000, 30_000, (1000, 2), dtype="i2")
    electrical: dict[str, Any] = {"electrodes": electrodes, "rate": 1000.0, "conversion": 1e-6, "offset": 0.5}
    file.add_acquisition(ElectricalSeries(name="electrical", data=data, **electrical))
    series = file.acquisition["timed"]
    file.add_acquisition(pynwb.TimeSeries(name="linked", data=np.arange(3000.0), unit="m", timestamps=series))
    file.add_acquisition(pynwb.TimeSeries(name="big_endian", data=np.arange(5000, dtype=">i4"), unit="m", rate=1.0))
    for name, values in {
        "text": _TEXTS,
        "ok": np.array([True, False] * 2 + [True]),
        "n": np.arange(5, dtype="u1"),
    }.items():
        file.trials.add_column(name, "d", data=values)
    file.trials.add_column("ragged", "d", data=["a", "b", "ü"], index=[1, 2, 2, 3, 3])


def objects_and_references(file: Any) -> None:
    """Add modules, data in pieces, links to datasets, tables of regions, references to series, images, text."""
    rng = np.random.default_rng(2)
    behavior, times = file.processing["behavior"], file.acquisition["timed"].timestamps
    lfp = LFP(name="LFP")
    file.create_processing_module("ecephys", "e").add(lfp)
    data = H5DataIO(DataChunkIterator(rng.random((3000, 2)), buffer_size=100), compression="gzip")
    electrodes = file.create_electrode_table_region([1, 3], "two more")
    lfp.create_electrical_series(name="lfp", data=data, electrodes=electrodes, timestamps=times)
    spatial = SpatialSeries(name="p", data=rng.random((50, 2)), rate=5.0, reference_frame="x", unit="cm")
    behavior.add(Position(spatial_series=spatial))
    columns = [
        DynamicTableRegion(name="old", data=[0, 5, 3], description="d", table=behavior["table"]),
        DynamicTableRegion(name="trial", data=[0, 1, 2], description="d", table=file.trials),
    ]
    behavior.add(DynamicTable(name="regions", description="d", columns=columns))
    epochs = TimeIntervals(name="steps", description="d")
    for n in range(2):
        epochs.add_interval(
            start_time=float(n),
            stop_time=n + 1.0,
            timeseries=[file.acquisition["regular"], file.acquisition["electrical"]][n:],
        )
    file.add_time_intervals(epochs)
    pixels = rng.integers(0, 255, (30, 40, 3), dtype="u1")
    images = [GrayscaleImage(name="gray", data=pixels[..., 0]), RGBImage(name="rgb", data=pixels)]
    file.add_acquisition(Images(name="images", images=images))
    file.add_scratch(np.arange(10), name="numbers", description="s")
    file.add_scratch("text ü", name="text", description="s")
    file.add_stimulus(pynwb.TimeSeries(name="texts", data=["2024-01-01T00:00:00+00:00", ""], unit="n", rate=1.0))
    file.add_acquisition(pynwb.TimeSeries(name="same", data=file.acquisition["regular"].data, unit="V", rate=1.0))
    file.add_acquisition(pynwb.TimeSeries(name="bools", data=np.array([True, False]), unit="V", rate=1.0))


def rows_and_more(file: Any) -> None:
    """Add rows and columns to a table that was added, and a series that is stored in several chunks."""
    file.units.add_column("late", "d", data=np.arange(7.0))
    file.units.add_column("late_ragged", "d", data=np.arange(7.0), index=np.arange(1, 8))
    file.units.add_unit(
        spike_times=[1.0, 2.0], electrodes=[1], quality=1.0, label="new", good=True, obs_intervals=[[0.0, 1.0]],
        waveforms=np.zeros((1, 3, 8)), waveform_mean=np.zeros((8, 3)), late=3.0, late_ragged=[9.0, 8.0],
    )  # fmt: skip
    file.add_acquisition(pynwb.TimeSeries(name="long", data=np.arange(600_000), unit="V", rate=30.0))
    file.create_device("second device")


ROUNDS: list[Callable[[Any], None]] = [units_and_columns, objects_and_references, rows_and_more]


def add_in_rounds(monkeypatch: pytest.MonkeyPatch, opened: Callable[[], Any], rounds: int = len(ROUNDS)) -> None:
    """Open, add and close again and again; objects have the same ids wherever they are added."""
    for number, add in enumerate(ROUNDS[:rounds]):
        chance = random.Random(number)
        monkeypatch.setattr(hdmf.container, "uuid4", lambda chance=chance: uuid.UUID(int=chance.getrandbits(128)))
        with opened() as io:
            file = io.read()
            add(file)
            io.write(file)
