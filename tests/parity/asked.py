"""The tables that the queries ask: over files, and in memory as the oracle reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import polars as pl

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.testing.files import write_session
from nwb_dask.testing.odd_columns import Data, add_table
from tests.adapters.polars_frame.tables import TABLE, write_tables

from .memory import objects, parts_of, to_pandas, to_polars
from .values import elements

PATHS = ("_nwb_path", "_table_path", "_table_index")


@dataclass(frozen=True)
class Asked:
    """One table of several files."""

    paths: Sequence[Path]
    table: str
    names: tuple[str, ...] = ()
    """The tables that a glob finds in each file."""
    options: Mapping[str, Any] = field(default_factory=dict)
    pandas_edit: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame
    """What the options mean for rows in memory."""
    polars_edit: Callable[[pl.DataFrame], pl.DataFrame] = lambda frame: frame

    def dask(self, **options: Any) -> dd.DataFrame:
        return dd.read_nwb([str(path) for path in self.paths], self.table, **self.options, **options)

    def polars(self) -> pl.LazyFrame:
        return nwb_dask.scan_nwb([str(path) for path in self.paths], self.table, **self.options)

    def pandas(self, **options: Any) -> pd.DataFrame:
        return nwb_dask.read_table([str(path) for path in self.paths], self.table, "pandas", **self.options, **options)

    @cached_property
    def in_pandas(self) -> pd.DataFrame:
        """The rows in memory."""
        return self.pandas_edit(to_pandas(self._parts))

    @cached_property
    def in_dask(self) -> dd.DataFrame:
        """The rows in memory, with one partition for each table."""
        whole = self.in_pandas
        stops = np.cumsum([part.table.n_rows for part in self._parts]).tolist()
        parts = [whole.iloc[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]
        frame: dd.DataFrame = dd.from_map(lambda part: part, parts, meta=whole.iloc[:0])
        return frame

    @cached_property
    def in_polars(self) -> pl.DataFrame:
        """The rows in memory."""
        return self.polars_edit(to_polars(self._parts))

    @cached_property
    def _parts(self) -> list[Any]:
        names = self.names or (self.table,)
        return [part for path in self.paths for name in names for part in parts_of([path], name)]


def write_asked(folder: Path) -> dict[str, Asked]:
    """Write the files and return the tables by the names that the queries use."""
    traps = write_tables(folder)
    sessions = _write_sessions(folder)
    twice = [traps[0], traps[3], traps[0]]
    return {
        "traps": Asked(traps, TABLE),
        "twice": Asked(twice, TABLE),
        "overridden": Asked(
            traps, TABLE, options={"schema_overrides": {"count": "float64", "snr": "float64", "id": "string"}},
            pandas_edit=lambda d: d.astype({"count": "float64", "snr": "float64", "id": pd.StringDtype("pyarrow")}),
            polars_edit=lambda f: f.with_columns(
                pl.col("count", "snr").cast(pl.Float64), pl.col("id").cast(pl.String)
            ),
        ),
        "pathless": Asked(
            traps, TABLE, options={"include_path_columns": False},
            pandas_edit=lambda d: d.drop(columns=list(PATHS)), polars_edit=lambda f: f.drop(PATHS),
        ),
        "units": Asked(sessions, "/units"),
        "trials": Asked(sessions, "/intervals/trials"),
        "electrodes": Asked(sessions, ELECTRODES),
        "session": Asked(sessions, "/"),
        "subject": Asked(sessions, "/general/subject"),
        "intervals": Asked(sessions, "/intervals/*", ("/intervals/licks", "/intervals/trials")),
        "resolved": Asked(
            sessions, "/units", options={"resolve": ["electrodes"]},
            pandas_edit=lambda d: _pandas_resolved(d, sessions), polars_edit=lambda f: _polars_resolved(f, sessions),
        ),
    }  # fmt: skip


ELECTRODES = "/general/extracellular_ephys/electrodes"


def _write_sessions(folder: Path) -> list[Path]:
    """Write sessions that lack units, trials or electrodes, and whose columns differ in type."""
    days = [f"2024-01-0{day}T12:00:00" for day in (1, 2, 3)] + ["", "no date", "2024-01-04", "2023-12-31T00:00:00", ""]
    more: list[dict[str, Any]] = [
        {"n_units": 8, "n_trials": 6, "unit_columns": {"score": list(range(8)), "recorded": days}},
        {"n_units": 5, "n_trials": 0, "unit_columns": {"score": [0.5, float("nan"), 1.5, -0.0, 2.0]}},
        {"n_units": 0, "n_trials": 4},
        {"n_units": 6, "n_trials": 5, "n_electrodes": 0, "unit_columns": {"score": list(range(6))}},
    ]
    paths = []
    for seed, options in enumerate(more):
        sizes = {"spikes_per_unit": 3, "n_electrodes": 4, "n_samples": 6, "waveform_samples": 3}
        paths.append(write_session(folder / f"session {seed}.nwb", seed=seed, **{**sizes, **options}))
    with h5py.File(paths[0], "a") as file:
        licks: dict[str, Data] = {
            "start_time": [0.5, 2.0],
            "stop_time": [1.0, 3.5],
            "condition": ["", "go"],
            "spout": ["left", "right"],
        }
        add_table(file, "intervals/licks", licks, kind="TimeIntervals")
    return paths


def _target(sessions: Sequence[Path], name: str) -> dict[str, list[Any]]:
    """Return a column of each file's electrodes."""
    return {
        str(part.path): elements(column.values)
        for part in parts_of(sessions, ELECTRODES)
        for column in part.table.columns
        if column.name == name and column.values is not None
    }


def _resolved(rows: Sequence[tuple[str, Any]], sessions: Sequence[Path]) -> dict[str, list[Any]]:
    """Return, for each column of the electrodes, what each row's electrodes have in it."""
    names = [column.name for part in parts_of(sessions, ELECTRODES) for column in part.table.columns]
    found = {}
    for name in dict.fromkeys(names):
        of_file = _target(sessions, name)
        found[f"electrodes.{name}"] = [
            None if numbers is None else [of_file[path][number] for number in numbers] for path, numbers in rows
        ]
    return found


def _pandas_resolved(frame: pd.DataFrame, sessions: Sequence[Path]) -> pd.DataFrame:
    rows = list(zip(frame["_nwb_path"], frame["electrodes"], strict=True))
    for name, values in _resolved(rows, sessions).items():
        frame.insert(len(frame.columns) - len(PATHS), name, objects(values))
    return frame


def _polars_resolved(frame: pl.DataFrame, sessions: Sequence[Path]) -> pl.DataFrame:
    found = _resolved(frame.select("_nwb_path", "electrodes").rows(), sessions)
    return frame.with_columns(**{name: pl.Series(values) for name, values in found.items()}).select(
        *(name for name in frame.columns if name not in PATHS), *found, *PATHS
    )
