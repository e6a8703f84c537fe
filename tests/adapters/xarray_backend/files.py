"""Small files with one series each."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pynwb import NWBHDF5IO, H5DataIO, NWBFile
from pynwb.ecephys import ElectricalSeries

RATE = 1000
START = 12.5


def write_sampled(path: Path, raw: npt.NDArray[Any], **storage: Any) -> Path:
    """Write `raw`, shape (n, n_channels), as ``/acquisition/lfp`` at `RATE` Hz from `START`, in microvolts."""
    return _write(path, raw, storage, rate=float(RATE), starting_time=START)


def write_stamped(path: Path, raw: npt.NDArray[Any], stamps: npt.NDArray[Any], **storage: Any) -> Path:
    """Write the same with timestamps."""
    return _write(path, raw, storage, timestamps=stamps)


def _write(path: Path, raw: npt.NDArray[Any], storage: dict[str, Any], **timing: Any) -> Path:
    began = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    file = NWBFile("one series", path.stem, began)
    group = file.create_electrode_group("shank", "one", "CA1", file.create_device("probe"))
    for number in range(raw.shape[1]):
        file.add_electrode(id=100 + number, location="CA1", group=group)
    region = file.create_electrode_table_region(list(range(raw.shape[1])), "all")
    data = H5DataIO(raw, **storage) if storage else raw
    file.add_acquisition(ElectricalSeries(name="lfp", data=data, electrodes=region, conversion=1e-6, **timing))
    with NWBHDF5IO(path, "w") as io:
        io.write(file)
    return path


def ramp(n: int, n_channels: int) -> npt.NDArray[np.int16]:
    """Return numbers that all differ within a stretch of rows."""
    return (np.arange(n * n_channels) % 30_011).reshape(n, n_channels).astype(np.int16)
