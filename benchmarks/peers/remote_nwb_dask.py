"""nwb_dask: `open_nwb` and `read_table`, which keep what they learn of a file where ``NWB_DASK_CACHE_DIR`` says."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

import nwb_dask
from benchmarks.peers.remote_contest import LFP_COLUMNS, UNIT_COLUMNS, Columns, Question, Way, listed, serve
from nwb_dask.adapters.browse import Session


def list_objects(question: Question) -> Session:
    """Return what is in the file."""
    return nwb_dask.open_nwb(question.urls[0])


def summarize(session: Session) -> Columns:
    """Return tables and series with their columns."""
    tables = {
        path: (table.n_rows, [name for name in table.columns if name != "id"])
        for path, table in session.contents.items()
        if table.kind == "dynamic"
    }
    return listed(tables, {path: session[path].n_rows for path in session.series})


def read_trials(question: Question) -> pd.DataFrame:
    """Return all columns of the trials."""
    return nwb_dask.read_table(question.urls, "/intervals/trials", include_path_columns=False)


def read_units(question: Question) -> pd.DataFrame:
    """Return columns and spike times of the units that are wanted."""
    return nwb_dask.read_table(
        question.urls,
        "/units",
        columns=UNIT_COLUMNS,
        filters=[("quality", "==", question.quality), ("presence_ratio", ">", question.presence_ratio)],
        include_path_columns=False,
    )


def read_lfp(question: Question) -> pd.DataFrame:
    """Return the samples that are wanted."""
    return nwb_dask.read_table(
        question.urls,
        question.series,
        columns=LFP_COLUMNS,
        filters=[("timestamps", ">=", question.start_time), ("timestamps", "<", question.stop_time)],
        include_path_columns=False,
    )


def _columns(frame: pd.DataFrame) -> Columns:
    return {name: list(frame[name]) for name in frame.columns}


def _trials(frame: pd.DataFrame) -> Columns:
    columns = dict(_columns(frame))
    columns["timeseries"] = [_referred(rows) for rows in columns["timeseries"]]
    return columns


def _referred(rows: Any) -> list[Any]:  # noqa: ANN401  # a list of records, in whatever form the frame has it
    return [part for row in rows for part in (row["idx_start"], row["count"], row["timeseries"].rpartition("/")[2])]


def _samples(frame: pd.DataFrame) -> Columns:
    return {"timestamps": frame["timestamps"].to_numpy(), "data": np.stack(list(frame["data"]))}


def modules() -> Iterator[str]:
    """Give the modules of nwb_dask that these calls may use: all but those of the other engines and of tests."""
    for package in ("backends", "catalog", "model", "plan", "read", "storage", "adapters.pandas_frame"):
        name = f"nwb_dask.{package}"
        yield name
        yield from (found.name for found in pkgutil.walk_packages(import_module(name).__path__, f"{name}."))


if __name__ == "__main__":
    serve(
        {
            "list": Way(list_objects, summarize),
            "trials": Way(read_trials, _trials),
            "units": Way(read_units, _columns),
            "lfp": Way(read_lfp, _samples),
        },
        ["h5py", "numpy", "obstore", "pandas", "pyarrow"],
        preload=["pyarrow.pandas_compat", "pyarrow.vendored.version", *modules()],
    )
