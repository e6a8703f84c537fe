"""Sessions for SQL, and the same tables as polars frames in memory, read with h5py alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl

from nwb_dask.testing.odd_columns import add_column, add_index, add_series, add_table, new_file

NAN = float("nan")
RATES = [1.0, NAN, 0.0, -1.5, NAN, 7.25]
QUALITIES = ["good", "", "noise", "good", "Good", "é"]
N_UNITS = (6, 0, 4)
ORIGIN = {"_nwb_path": pl.String, "_table_path": pl.String, "_table_index": pl.Int64}
SCHEMAS: dict[str, dict[str, Any]] = {
    "/units": {
        "id": pl.Int64, "quality": pl.String, "count": pl.UInt8, "spike_times": pl.List(pl.Float64), "rate": pl.Float64
    },
    "/intervals/trials": {"id": pl.Int64, "start_time": pl.Float64, "condition": pl.String},
    "/acquisition/running": {"timestamps": pl.Float64, "data": pl.Float32},
}  # fmt: skip


def write_sessions(folder: Path) -> list[Path]:
    """Write three sessions; the second has no units, the last no column ``rate`` and no series."""
    return [_write(folder / f"{number}.nwb", number) for number in range(len(N_UNITS))]


def _write(path: Path, number: int) -> Path:
    n_units = N_UNITS[number]
    order = np.roll(np.arange(6), number)[:n_units]
    with new_file(path) as file:
        file["general/session_id"] = f"session {number}"
        file["general/subject/subject_id"] = ["ann", "bob", "ann"][number]
        file["general/subject"].attrs.update({"neurodata_type": "Subject", "namespace": "core"})
        columns: dict[str, Any] = {
            "quality": [QUALITIES[i] for i in order],
            "count": order.astype("u1"),
            "spike_times": np.arange(float(order.sum())) / 8,
        }
        if number != 2:  # the last
            columns["rate"] = np.array(RATES)[order]
        units = add_table(file, "units", columns, kind="Units", n_rows=n_units)
        add_index(units, "spike_times", np.cumsum(order).tolist())
        trials = add_table(
            file, "intervals/trials", {"start_time": np.arange(5) * (number + 1.5)}, kind="TimeIntervals"
        )
        add_column(trials, "condition", ["go", "nogo", "go", "", "catch"])
        trials.attrs.create("colnames", ["start_time", "condition"], dtype=h5py.string_dtype())
        if number != 2:  # the last
            times, data = np.arange(20) / 10, np.arange(20, dtype="f4") + number
            add_series(file, "acquisition/running", data=data, timestamps=times)
    return path


def frames_in_memory(paths: list[Path]) -> dict[str, pl.DataFrame]:
    """Return the tables under all of their names."""
    found = {path: pl.concat([_frame(file, path, schema) for file in paths]) for path, schema in SCHEMAS.items()}
    found |= {path.rpartition("/")[2]: frame for path, frame in found.items()}
    return found | {"session": pl.DataFrame([_session(path) for path in paths])}


def _frame(path: Path, table: str, schema: dict[str, Any]) -> pl.DataFrame:
    with h5py.File(path) as file:
        if table not in file:
            return pl.DataFrame(schema=schema | ORIGIN)
        group = file[table]
        columns = {name: _column(group, name) for name in schema if name in group}
        n_rows = len(next(iter(columns.values())))
    columns |= {name: [None] * n_rows for name in schema if name not in columns}
    origin = {"_nwb_path": [str(path)] * n_rows, "_table_path": [table] * n_rows, "_table_index": list(range(n_rows))}
    return pl.DataFrame(columns | origin, schema=schema | ORIGIN)


def _column(group: h5py.Group, name: str) -> list[Any]:
    values = group[name].asstr()[:] if h5py.check_string_dtype(group[name].dtype) else group[name][:]
    if f"{name}_index" in group:
        ends = group[f"{name}_index"][:]
        return [part.tolist() for part in np.split(values, ends)[:-1]]
    found: list[Any] = values.tolist()
    return found


def _session(path: Path) -> dict[str, str]:
    with h5py.File(path) as file:
        named = {"session_id": "general/session_id", "subject_id": "general/subject/subject_id"}
        return {"_nwb_path": str(path), **{name: file[place].asstr()[()] for name, place in named.items()}}
