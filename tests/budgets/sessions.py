"""Sessions of more than 20 MB, and what parts of them take in the file, as h5py has it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from nwb_dask.testing.files import Layout, write_session

LAYOUTS: tuple[Layout, ...] = ("contiguous", "default", "chunked", "gzip")
UNFILTERED: tuple[Layout, ...] = ("contiguous", "default", "chunked")
"""Without compression: ``"default"`` are pynwb's own chunks (4 MB for spike times), ``"chunked"`` ones of 32 KiB."""

N_UNITS = 200
PICKED = 7
CHOSEN = list(range(PICKED, N_UNITS, 20))
"""The 5% of the units that `CHOICE` keeps, scattered over the file."""
CHOICE = [("shank", "==", PICKED), ("structure", "==", "layer 7")]
"""Two scalar columns, a number and text."""
_SAMPLES = 3000
_MEAN_ROWS = 8

Rows = Iterable[int]


def write_large_session(path: Path, layout: Layout) -> Path:
    """Write 200 units with 13,000 spikes each, mean waveforms of 12 kB and snippets of 1 kB."""
    shank = np.arange(N_UNITS) % 20
    more: dict[str, Any] = {
        "shank": shank,
        "structure": [f"layer {number}" for number in shank],
        "snippets": np.random.default_rng(0).normal(size=(N_UNITS, 32, 8)).astype(np.float32),
    }
    write_session(
        path,
        n_units=N_UNITS,
        spikes_per_unit=13_000,
        waveform_samples=_SAMPLES,
        n_trials=200,
        layout=layout,
        unit_columns=more,
    )
    if layout in {"chunked", "gzip"}:
        _store_in_chunks(path, "/units/waveform_mean", _MEAN_ROWS, "gzip" if layout == "gzip" else None)
    return path


def _store_in_chunks(path: Path, name: str, n_rows: int, compression: str | None) -> None:
    """Store a dataset again in chunks of `n_rows` rows: the writer has one length of chunks for all."""
    with h5py.File(path, "r+") as file:
        values, attributes = file[name][:], dict(file[name].attrs)
        del file[name]
        stored = file.create_dataset(name, data=values, chunks=(n_rows, *values.shape[1:]), compression=compression)
        for key, value in attributes.items():
            stored.attrs[key] = value


def elements(path: Path, column: str, rows: Rows) -> npt.NDArray[np.int64]:
    """Return which elements of a column of the units belong to `rows`: spikes of a unit, else the row itself."""
    with h5py.File(path) as file:
        if f"units/{column}_index" not in file:
            return np.array(list(rows), np.int64)
        ends = np.concatenate(([0], file[f"units/{column}_index"][:])).astype(np.int64)
    return np.concatenate([np.arange(ends[row], ends[row + 1]) for row in rows])


def values(path: Path, column: str, rows: Rows) -> list[npt.NDArray[Any]]:
    """Return what `rows` have in a column of the units."""
    with h5py.File(path) as file:
        data = file[f"units/{column}"]
        if f"units/{column}_index" not in file:
            return [data[row] for row in rows]
        ends = np.concatenate(([0], file[f"units/{column}_index"][:])).astype(np.int64)
        return [data[ends[row] : ends[row + 1]] for row in rows]


def stored_bytes(path: Path, column: str, rows: Rows) -> int:
    """Return how much of the file holds a column of the units at `rows`: whole chunks where they are compressed."""
    wanted = elements(path, column, rows)
    with h5py.File(path) as file:
        data = file[f"units/{column}"]
        if data.compression is None:
            return int(len(wanted) * np.prod(data.shape[1:], dtype=int) * data.dtype.itemsize)
        touched = set((wanted // data.chunks[0]).tolist())
        chunks = [data.id.get_chunk_info(i) for i in range(data.id.get_num_chunks())]
        return sum(chunk.size for chunk in chunks if chunk.chunk_offset[0] // data.chunks[0] in touched)


def stored_ranges(path: Path, column: str, rows: Rows) -> set[tuple[int, int]]:
    """Return the half-open bytes of each of `rows` in a contiguous column of the units."""
    with h5py.File(path) as file:
        data = file[f"units/{column}"]
        begin, size = data.id.get_offset(), data.dtype.itemsize * int(np.prod(data.shape[1:], dtype=int))
    spans = [elements(path, column, [row]) for row in rows]
    return {(begin + int(span[0]) * size, begin + (int(span[-1]) + 1) * size) for span in spans}
