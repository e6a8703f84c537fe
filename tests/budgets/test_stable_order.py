"""The same query gives the same rows in the same order, whoever computes it and whoever is done first."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import h5py
import pandas as pd
import pytest
from distributed import Client

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.testing.files import Layout, write_session

N_RUNS = 20
COLUMNS = ["quality", "firing_rate", "spike_times", "electrodes"]
FILTERS = [("quality", "in", ["good", "mua"]), ("depth", ">", 300)]

# Large ones first and small ones between: those that start first are not done first.
SIZES: dict[str, tuple[int, int, Layout]] = {
    "d": (200, 100, "gzip"),
    "a": (5, 20, "default"),
    "c": (120, 50, "contiguous"),
    "b": (1, 10, "default"),
    "e": (60, 300, "chunked"),
}
ORDER = ["d", "b", "e", "a", "d", "c", "b"]
"""Not alphabetical, with duplicates."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("order")
    for seed, (name, (n_units, spikes, layout)) in enumerate(SIZES.items()):
        write_session(
            path / f"{name}.nwb",
            seed=seed,
            n_units=n_units,
            spikes_per_unit=spikes,
            layout=layout,
            n_samples=0,
            chunk_rows=512,
        )
    return path


@dataclass(frozen=True, slots=True)
class Query:
    """Which files, how they are cut into partitions, and which of them are expected in which order."""

    source: Callable[[Path], Any]
    order: tuple[str, ...]
    options: dict[str, Any]

    def frame(self, folder: Path) -> Any:
        """Return the rows as a Dask DataFrame."""
        units = dd.read_nwb(self.source(folder), "/units", **self.options)
        return units[units.quality.isin(["good", "mua"]) & (units.depth > 300)][[*COLUMNS, *PATHS]]

    def names(self, folder: Path) -> list[str]:
        """Return the files in the order expected."""
        return [str(folder / f"{name}.nwb") for name in self.order]


PATHS = ["_nwb_path", "_table_path", "_table_index"]


def listed(folder: Path) -> list[Path]:
    return [folder / f"{name}.nwb" for name in ORDER]


QUERIES = {
    "list": Query(listed, tuple(ORDER), {}),
    "glob": Query(lambda folder: str(folder / "*.nwb"), tuple(sorted(SIZES)), {}),
    "split": Query(listed, tuple(ORDER), {"blocksize": "80 kB"}),
    "packed": Query(listed, tuple(ORDER), {"aggregate_files": "300 kB"}),
}


def rows_by_hand(paths: list[str]) -> list[tuple[str, int, str, list[float]]]:
    """Return path, row, quality and spikes of the rows that the filter keeps, as h5py gives them."""
    rows = []
    for path in paths:
        with h5py.File(path) as file:
            units = file["units"]
            ends = [0, *units["spike_times_index"][:].tolist()]
            quality, depth, spikes = units["quality"].asstr()[:], units["depth"][:], units["spike_times"][:]
        rows += [
            (path, row, quality[row], spikes[ends[row] : ends[row + 1]].tolist())
            for row in range(len(quality))
            if quality[row] in {"good", "mua"} and depth[row] > 300
        ]
    return rows


def rows_of(frame: Any) -> list[tuple[str, int, str, list[float]]]:
    """Return the same of a frame of pandas."""
    columns = [frame[name].tolist() for name in ("_nwb_path", "_table_index", "quality")]
    return [(*row, list(spikes)) for *row, spikes in zip(*columns, frame["spike_times"], strict=True)]


def eager(query: Query, folder: Path) -> pd.DataFrame:
    return nwb_dask.read_table(query.source(folder), "/units", columns=COLUMNS, filters=FILTERS)


def forget(client: Client) -> None:
    """Wait until nothing is left of the run before: the scheduler would give its results again."""
    while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)):
        time.sleep(0.001)


@pytest.mark.parametrize("name", QUERIES)
def test_threads_give_the_same_rows_in_the_same_order(folder: Path, name: str) -> None:
    query = QUERIES[name]
    expected = eager(query, folder)
    assert rows_of(expected) == rows_by_hand(query.names(folder))
    assert expected.index.tolist() == expected["_table_index"].tolist()
    for _ in range(N_RUNS):
        with dask.config.set(scheduler="threads", num_workers=4):
            pd.testing.assert_frame_equal(query.frame(folder).compute(), expected)


@pytest.mark.parametrize("name", ["list", "split"])
def test_worker_processes_give_the_same_rows_in_the_same_order(client: Client, folder: Path, name: str) -> None:
    query = QUERIES[name]
    expected = eager(query, folder)
    assert len(client.scheduler_info()["workers"]) == 2
    for _ in range(N_RUNS):
        forget(client)
        pd.testing.assert_frame_equal(query.frame(folder).compute(), expected)


@pytest.mark.parametrize("name", ["list", "glob"])
@pytest.mark.parametrize("engine", ["polars", "arrow"])
def test_other_engines_give_the_rows_in_the_same_order(folder: Path, name: str, engine: str) -> None:
    query = QUERIES[name]
    expected = rows_by_hand(query.names(folder))
    for _ in range(N_RUNS):
        rows: Any = nwb_dask.read_table(query.source(folder), "/units", engine, columns=COLUMNS, filters=FILTERS)  # type: ignore[call-overload]  # any engine
        table = rows.to_arrow() if engine == "polars" else rows
        columns = [table[name].to_pylist() for name in ("_nwb_path", "_table_index", "quality", "spike_times")]
        assert list(zip(*columns, strict=True)) == expected
