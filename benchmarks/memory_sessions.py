"""Sessions whose units have ragged columns of very different size, for `benchmarks.memory`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from hdmf.common import VectorData, VectorIndex
from pynwb import NWBHDF5IO, H5DataIO, NWBFile
from pynwb.misc import Units

Layout = Literal["contiguous", "gzip"]

N_SAMPLES = 32
"""Of each waveform, float32: as many bytes a spike as 16 spike times."""
_N_WRITTEN = 10
_CHUNK_BYTES = 1 << 20


def write_memory_sessions(folder: Path, layout: Layout, *, n_sessions: int, largest_bytes: int) -> list[Path]:
    """Write sessions with ``spike_times`` and the doubly ragged ``waveforms``; return their paths, the largest last.

    Ten are written by pynwb, with units that take from a tenth of `largest_bytes` to all of it; the others are hard
    links to them, each of which is a file of its own to nwb_dask.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"s{number:03d}.nwb" for number in range(n_sessions)]
    for number, path in enumerate(paths):
        first = paths[number % _N_WRITTEN]
        if path.exists():
            continue
        if path is not first:
            os.link(first, path)
            continue
        _write(path, layout, number, largest_bytes * (number + 1) // _N_WRITTEN)
    return sorted(paths, key=lambda path: int(path.stem[1:]) % _N_WRITTEN)


def _write(path: Path, layout: Layout, number: int, n_bytes: int) -> None:
    rng = np.random.default_rng(number)
    n_units = 40
    n_spikes = n_bytes // (8 + 4 * N_SAMPLES)
    ends = np.sort(rng.integers(0, n_spikes, n_units))
    ends[-1] = n_spikes

    def stored(values: npt.NDArray[np.floating[Any]]) -> object:
        if layout == "contiguous":
            return values
        rows = max(_CHUNK_BYTES // values[:1].nbytes, 1)
        return H5DataIO(values, chunks=(min(rows, len(values)), *values.shape[1:]), compression="gzip", shuffle=True)

    # Whole numbers, which compress as recordings do.
    waves = rng.integers(-60, 60, (n_spikes, N_SAMPLES)).astype(np.float32)
    times = VectorData(name="spike_times", description="s", data=stored(np.sort(rng.uniform(0, 3600, n_spikes))))
    shapes = VectorData(name="waveforms", description="of each spike", data=stored(waves))
    each = VectorIndex(name="waveforms_index", target=shapes, data=np.arange(1, n_spikes + 1))
    quality = rng.choice(["good", "mua"], n_units).tolist()
    file = NWBFile(session_description="s", identifier=path.stem, session_start_time=datetime(2024, 1, 1, tzinfo=UTC))
    file.units = Units(
        name="units",
        description="sorted",
        id=np.arange(n_units),
        columns=[
            VectorIndex(name="spike_times_index", target=times, data=ends),
            times,
            VectorIndex(name="waveforms_index_index", target=each, data=ends),
            each,
            shapes,
            VectorData(name="quality", description="judged", data=quality),
        ],
    )
    unfinished = path.with_suffix(".unfinished.nwb")
    with NWBHDF5IO(unfinished, "w") as io:
        io.write(file, expandable=())
    unfinished.rename(path)
