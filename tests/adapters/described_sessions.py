"""Sessions whose metadata differ, with tables, and the same as pandas and polars frames made with h5py alone."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import polars as pl

from nwb_dask.testing.odd_columns import add_index, add_table, new_file

NAN = float("nan")
SESSIONS: tuple[dict[str, Any], ...] = (
    {"session_id": "ses-1", "subject_id": "ann", "rig": 3, "score": 0.5, "lab": "north", "experimenter": ["A", "é"]},
    {"session_id": "ses-3", "subject_id": "bob", "rig": None, "score": NAN, "lab": None, "experimenter": None},
    {"session_id": "ses-0", "subject_id": None, "rig": 7, "score": None, "lab": "", "experimenter": []},
    {"session_id": "ses-2", "subject_id": "ann", "rig": -1, "score": 2.0, "lab": None, "experimenter": ["A"]},
    {"session_id": "ses-4", "subject_id": "", "rig": 3, "score": 0.5, "lab": "north", "experimenter": None},
)
"""What each has, by the names of `read_metadata`; None where it has nothing."""
N_UNITS = (4, 3, 2, 5, 0)
N_TRIALS = (2, 3, 1, 2, 2)
COLUMNS = ("subject_id", "session_id", "session_start_time", "rig", "score", "lab", "n_rows")
"""Session columns with one value each, in an order of their own."""
_TYPES: dict[str, Any] = {
    "subject_id": "string[pyarrow]", "session_id": "string[pyarrow]", "lab": "string[pyarrow]", "rig": "Int64",
    "session_start_time": "timestamp[us, tz=UTC][pyarrow]", "score": "float64", "n_rows": "int64",
}  # fmt: skip
_POLARS: dict[str, Any] = {
    "id": pl.Int64, "rate": pl.Float64, "start_time": pl.Float64, "quality": pl.String,
    "subject_id": pl.String, "session_id": pl.String, "lab": pl.String, "rig": pl.Int64,
    "session_start_time": pl.Datetime("us", "UTC"), "score": pl.Float64, "n_rows": pl.Int64,
}  # fmt: skip


def start_of(number: int) -> dt.datetime:
    """Return when a session began."""
    return dt.datetime(2024, 1, 1 + number, 12, tzinfo=dt.UTC)


def write_described(folder: Path) -> list[Path]:
    """Write the sessions; names of files are in the order of `SESSIONS`."""
    return [_write(folder / f"{number}.nwb", number) for number in range(len(SESSIONS))]


def _write(path: Path, number: int) -> Path:
    described, n_units, n_trials = SESSIONS[number], N_UNITS[number], N_TRIALS[number]
    with new_file(path) as file:
        file["session_start_time"][()] = start_of(number).astimezone(dt.timezone(dt.timedelta(hours=3))).isoformat()
        for name in ("session_id", "rig", "score", "lab"):
            if described[name] is not None:
                file["general"][name] = described[name]
        if described["experimenter"] is not None:
            file["general"].create_dataset("experimenter", data=described["experimenter"], dtype=h5py.string_dtype())
        if described["subject_id"] is not None:
            file["general/subject/subject_id"] = described["subject_id"]
        order = np.arange(n_units)
        columns: dict[str, Any] = {
            "rate": np.where(order % 3 == 2, NAN, order * 0.75 + number),
            "quality": [("good", "mua", "")[(number + i) % 3] for i in range(n_units)],
            "spike_times": np.arange(2.0 * n_units),
        }
        units = add_table(file, "units", columns, kind="Units", n_rows=n_units)
        add_index(units, "spike_times", ((order + 1) * 2).tolist())
        add_table(file, "intervals/trials", {"start_time": np.arange(n_trials) + number * 10.0}, kind="TimeIntervals")
    return path


def _parts(files: list[Path], table: str, columns: tuple[str, ...]) -> list[dict[str, list[Any]]]:
    parts = []
    for number, path in enumerate(files):
        with h5py.File(path) as file:
            group = file[table]
            part = {
                name: group[name].asstr()[:].tolist() if name == "quality" else group[name][:].tolist()
                for name in ("id", *columns)
            }
        n_rows = len(part["id"])
        known = SESSIONS[number] | {"session_start_time": start_of(number), "n_rows": n_rows}
        parts.append(part | {name: [known[name]] * n_rows for name in COLUMNS})
    return parts


def pandas_units(files: list[Path]) -> pd.DataFrame:
    """Return ``/units`` without its ragged column, with `COLUMNS`; labels are row numbers."""
    frames = [pd.DataFrame(part) for part in _parts(files, "units", ("rate", "quality"))]
    types = _TYPES | {"quality": "string[pyarrow]", "id": "int64", "rate": "float64"}
    return pd.concat([frame.astype(types) for frame in frames])


def pandas_trials(files: list[Path]) -> pd.DataFrame:
    """Return ``/intervals/trials`` with `COLUMNS`."""
    frames = [pd.DataFrame(part) for part in _parts(files, "intervals/trials", ("start_time",))]
    return pd.concat([frame.astype(_TYPES | {"id": "int64", "start_time": "float64"}) for frame in frames])


def polars_units(files: list[Path]) -> pl.DataFrame:
    """Return the same as `pandas_units`."""
    parts = _parts(files, "units", ("rate", "quality"))
    return pl.concat([pl.DataFrame(part, schema={name: _POLARS[name] for name in part}) for part in parts])
