"""h5py by hand: what somebody who knows the file layout writes, one file after the other."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from benchmarks.peers.contest import PRESENCE_RATIO, QUALITY, START_TIME, UNIT_COLUMNS, Way, serve

Columns = dict[str, Any]


def read_units(files: list[str], *, options: dict[str, Any]) -> Columns:
    """Return the columns of the good units."""
    parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in UNIT_COLUMNS}
    for units, good in _good_units(files, options):
        for name in UNIT_COLUMNS:
            parts[name].append(units[name][:][good])
    columns = {name: np.concatenate(part) for name, part in parts.items()}
    return columns | {"location": [text.decode() for text in columns["location"]]}


def read_spikes(files: list[str], *, options: dict[str, Any]) -> Columns:
    """Return the spike times of the good units, read unit by unit."""
    spike_times: list[npt.NDArray[np.float64]] = []
    for units, good in _good_units(files, options):
        ends = units["spike_times_index"][:]
        starts = np.concatenate(([0], ends[:-1]))
        elements = units["spike_times"]
        spike_times += [elements[start:stop] for start, stop in zip(starts[good], ends[good], strict=True)]
    return {"spike_times": spike_times}


def read_trials(files: list[str], *, options: dict[str, Any]) -> Columns:
    """Return start and stop of the later trials."""
    starts, stops = [], []
    for file in files:
        with h5py.File(file, **options) as opened:
            trials = opened["intervals/trials"]
            start = trials["start_time"][:]
            later = start > START_TIME
            starts.append(start[later])
            stops.append(trials["stop_time"][:][later])
    return {"start_time": np.concatenate(starts), "stop_time": np.concatenate(stops)}


def _good_units(files: list[str], options: dict[str, Any]) -> Iterator[tuple[h5py.Group, npt.NDArray[np.bool_]]]:
    for file in files:
        with h5py.File(file, **options) as opened:
            units = opened["units"]
            # Comparing bytes spares the decoding of every string.
            good = (units["quality"][:] == QUALITY.encode()) & (units["presence_ratio"][:] > PRESENCE_RATIO)
            yield units, good


def _way(options: dict[str, Any]) -> Way:
    return Way(
        queries={
            "units": partial(read_units, options=options),
            "spikes": partial(read_spikes, options=options),
            "trials": partial(read_trials, options=options),
        },
        columns=lambda columns: columns,
    )


if __name__ == "__main__":
    # Without a chunk cache HDF5 reads parts of an unfiltered chunk; with it, whole chunks of 4 MB.
    serve({"default": _way({}), "no chunk cache": _way({"rdcc_nbytes": 0})}, ["h5py"])
