"""What collecting a lazy frame reads of files: columns, rows and files that the query needs, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest

import nwb_dask
from nwb_dask.adapters.polars_frame.scan import ScanSource
from nwb_dask.errors import SourceChangedError
from nwb_dask.read import batches, scan_sources
from nwb_dask.testing.files import write_session
from nwb_dask.testing.odd_columns import TEXT, add_column, add_index, add_table, new_file

ENGINES: list[Literal["in-memory", "streaming"]] = ["in-memory", "streaming"]
N_ROWS, SPIKES = 50, 20_000
SPIKE_BYTES = N_ROWS * SPIKES * 8
HEADERS = 40_000
"""Bytes per file for what leads to the columns. Measured: 4 to 26 kB."""


def write_units(path: Path, seed: int) -> Path:
    random = np.random.default_rng(seed)
    with new_file(path) as file:
        group = add_table(file, "units", {}, kind="Units", n_rows=N_ROWS)
        add_column(group, "number", np.arange(N_ROWS))
        add_column(group, "rate", random.random(N_ROWS))
        add_column(group, "spike_times", random.random(N_ROWS * SPIKES))
        add_column(group, "wide", random.random((N_ROWS, 5000)))
        add_index(group, "spike_times", (np.arange(N_ROWS) * SPIKES + SPIKES).tolist(), dtype="u8")
        group.attrs.create("colnames", ["number", "rate", "spike_times", "wide"], dtype=TEXT)
    return path


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("units")
    return [write_units(folder / f"{seed}.nwb", seed) for seed in range(4)]


@pytest.fixture
def frame(units: list[Path]) -> pl.LazyFrame:
    return nwb_dask.scan_nwb(units, "/units")


def test_planning_reads_no_values(units: list[Path]) -> None:
    with nwb_dask.trace() as trace:
        nwb_dask.scan_nwb(units, "/units")
    assert trace.bytes < 4 * HEADERS


@pytest.mark.parametrize("engine", ENGINES)
def test_one_column_costs_no_other(frame: pl.LazyFrame, engine: Literal["in-memory", "streaming"]) -> None:
    with nwb_dask.trace() as trace:
        assert frame.select("rate").collect(engine=engine).height == 4 * N_ROWS
    assert trace.bytes < 4 * HEADERS


@pytest.mark.parametrize("engine", ENGINES)
def test_filter_on_a_scalar_reads_the_spikes_of_the_rows_left(
    frame: pl.LazyFrame, engine: Literal["in-memory", "streaming"]
) -> None:
    query = frame.filter((pl.col("number") == 7) & pl.col("spike_times").is_not_null()).select("spike_times")
    with nwb_dask.trace() as trace:
        assert query.collect(engine=engine)["spike_times"].list.len().to_list() == [SPIKES] * 4
    assert 4 * SPIKE_BYTES / N_ROWS <= trace.bytes < 4 * (SPIKE_BYTES / N_ROWS + HEADERS)


@pytest.mark.parametrize("engine", ENGINES)
def test_head_opens_the_first_files_only(
    frame: pl.LazyFrame, units: list[Path], engine: Literal["in-memory", "streaming"]
) -> None:
    with nwb_dask.trace() as trace:
        rows = frame.select("number", "spike_times").head(N_ROWS + 2).collect(engine=engine)
    assert rows["number"].to_list() == [*range(N_ROWS), 0, 1]
    assert set(trace.by_url) == {str(path) for path in units[:2]}
    assert trace.by_url[str(units[1])][1] < 2 * SPIKES * 8 + HEADERS


def test_filter_on_the_path_opens_that_file_only(frame: pl.LazyFrame, units: list[Path]) -> None:
    with nwb_dask.trace() as trace:
        query = frame.filter(pl.col("_nwb_path").str.ends_with(units[2].name), pl.col("rate") > 0).select("number")
        assert query.collect().height == N_ROWS
    assert set(trace.by_url) == {str(units[2])}


def test_filter_that_no_file_satisfies_opens_none(frame: pl.LazyFrame) -> None:
    with nwb_dask.trace() as trace:
        assert frame.filter(pl.col("_nwb_path") == "nowhere").collect().height == 0
    assert trace.requests == 0


def test_frame_that_a_query_uses_twice_is_read_once(frame: pl.LazyFrame) -> None:
    numbers = frame.select("number", "_nwb_path")
    with nwb_dask.trace() as once:
        numbers.collect()
    with nwb_dask.trace() as twice:
        numbers.join(numbers, on=["number", "_nwb_path"]).collect()
    assert twice.bytes == once.bytes


def test_files_are_opened_when_their_rows_are_due(units: list[Path]) -> None:
    source = ScanSource(scan_sources(units, "/units"))
    with nwb_dask.trace() as trace:
        frames = source(["number"], None, None, N_ROWS)
        assert trace.requests == 0
        assert next(frames)["number"].to_list() == list(range(N_ROWS))
    assert set(trace.by_url) == {str(units[0])}


def test_large_table_is_read_in_parts(units: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_BATCH_BYTES", SPIKE_BYTES // 5)
    source = ScanSource(scan_sources(units, "/units"))
    with nwb_dask.trace() as trace:
        first = next(source(["number", "spike_times"], None, None, 100_000))
    assert first["number"].to_list() == list(range(first.height))
    assert 1 < first.height <= N_ROWS / 5
    assert trace.bytes < SPIKE_BYTES / 5 + HEADERS


def test_lengths_of_lists_are_right_although_polars_does_not_ask_for_them(frame: pl.LazyFrame) -> None:
    """The column is asked for; only the rows that another filter leaves cost anything."""
    with nwb_dask.trace() as trace:
        query = frame.filter(pl.col("number") < 2).select(pl.col("spike_times").list.len())
        assert query.collect().to_series().to_list() == [SPIKES] * 8
    assert trace.bytes < 8 * SPIKES * 8 + 4 * HEADERS


@pytest.mark.parametrize("engine", ENGINES)
def test_file_that_changed_meanwhile_is_an_error(tmp_path: Path, engine: Literal["in-memory", "streaming"]) -> None:
    paths = [write_session(tmp_path / f"{seed}.nwb", seed=seed, n_units=5) for seed in range(2)]
    frame = nwb_dask.scan_nwb(paths, "/units")
    write_session(paths[1], seed=9, n_units=6)
    with pytest.raises(SourceChangedError) as caught:
        frame.select("firing_rate").collect(engine=engine)
    assert str(paths[1]) in str(caught.value)
    assert frame.head(5).select("id").collect(engine=engine)["id"].to_list() == [100, 101, 102, 103, 104]
