"""lazynwb: scans with pushed filters and projections, and time series; its catalog in SQLite stays for ``warm``.

lazynwb has no option for plain HTTP, which the benchmark's server speaks; `allow_http` gives it one.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import lazynwb
import numpy as np
import obstore.store
import polars as pl

from benchmarks.peers.remote_contest import UNIT_COLUMNS, Columns, Question, Way, listed, serve

THREADS = 32
"""For time series of many files; lazynwb has a call for many files only for tables."""


def allow_http() -> None:
    """Let every store that lazynwb makes accept ``http://``."""
    from_url = obstore.store.from_url

    def from_http_url(url: str, *, client_options: object = None, **options: Any) -> Any:  # noqa: ANN401  # as wrapped
        assert client_options is None
        return from_url(url, client_options={"allow_http": True}, **options)

    obstore.store.from_url = from_http_url


def list_objects(question: Question) -> dict[str, dict[str, Any]]:
    """Return shape and attributes of every object."""
    found: dict[str, dict[str, Any]] = lazynwb.get_internal_path_info(
        question.urls[0],
        include_child_datasets=True,
        include_table_columns=True,
        include_metadata=True,
        include_specifications=True,
        parents=True,
    )
    return found


def summarize(found: dict[str, dict[str, Any]]) -> Columns:
    """Return tables and series of what `list_objects` found."""
    entries = {f"/{path.lstrip('/')}": entry for path, entry in found.items()}
    # Of attributes that hold text of variable length, lazynwb says only that they are there.
    members: dict[str, list[str]] = {path: [] for path, entry in entries.items() if "colnames" in entry["attrs"]}
    for path in entries:
        table, _, name = path.rpartition("/")
        if table in members and name != "id" and path.removesuffix("_index") not in {*entries} - {path}:
            members[table].append(name)
    tables = {path: (entries[f"{path}/id"]["shape"][0], names) for path, names in members.items()}
    series = {
        path: entries[f"{path}/data"]["shape"][0]
        for path in entries
        if f"{path}/data" in entries and (f"{path}/timestamps" in entries or f"{path}/starting_time" in entries)
    }
    return listed(tables, series)


def read_trials(question: Question) -> pl.DataFrame:
    """Return the columns of the trials without arrays: with them lazynwb refuses the compound ``timeseries``."""
    return _scan(question, "/intervals/trials", exclude_array_columns=True).collect()


def read_units(question: Question) -> pl.DataFrame:
    """Return columns and spike times of the units that are wanted."""
    wanted = (pl.col("quality") == question.quality, pl.col("presence_ratio") > question.presence_ratio)
    return _scan(question, "/units").filter(*wanted).select(UNIT_COLUMNS).collect()


def _scan(question: Question, table: str, *, exclude_array_columns: bool = False) -> pl.LazyFrame:
    # All sessions share a schema; one file tells it, which spares lazynwb the others.
    scan: pl.LazyFrame = lazynwb.scan_nwb(
        question.urls,
        table,
        infer_schema_length=1,
        exclude_array_columns=exclude_array_columns,
        disable_progress=True,
    )
    return scan


def read_lfp(question: Question) -> list[dict[str, Any]]:
    """Return the samples that are wanted, by file."""

    def read(url: str) -> dict[str, Any]:
        series = lazynwb.get_timeseries(url, question.series, exact_path=True)
        start, stop = question.span(series.starting_time, series.rate)
        return {"timestamps": series.timestamps[start:stop], "data": series.data[start:stop]}

    if len(question.urls) == 1:
        return [read(question.urls[0])]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(read, question.urls))


def _columns(frame: pl.DataFrame) -> Columns:
    return {name: frame[name].to_list() for name in frame.columns if not name.startswith("_")}


def _joined(parts: list[dict[str, Any]]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in ("timestamps", "data")}


if __name__ == "__main__":
    allow_http()
    serve(
        {
            "list": Way(list_objects, summarize),
            "trials": Way(read_trials, _columns),
            "units": Way(read_units, _columns),
            "lfp": Way(read_lfp, _joined),
        },
        ["lazynwb", "polars", "h5py"],
        preload=["upath.implementations.http", "pyarrow.pandas_compat", "pyarrow.vendored.version"],
    )
