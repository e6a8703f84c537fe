"""What a second query over the same local files reads: heavy columns, and nothing of a version that is gone."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest

import nwb_dask
from nwb_dask.adapters.polars_frame.scan import ScanSource
from nwb_dask.catalog import Recent, clear
from nwb_dask.errors import SourceChangedError
from nwb_dask.read import scan_sources
from nwb_dask.storage import local
from nwb_dask.testing.odd_columns import TEXT, add_column, add_index, add_table, new_file
from tests.budgets.test_local import SIGNATURE_BYTES

N_ROWS, SPIKES = 40, 2000
LONG_AGO = 1_600_000_000_000_000_000


def write_units(path: Path) -> Path:
    with new_file(path) as file:
        group = add_table(file, "units", {}, kind="Units", n_rows=N_ROWS)
        add_column(group, "rate", np.arange(N_ROWS, dtype=float))
        add_column(group, "quality", ["good" if row % 4 == 0 else "noise" for row in range(N_ROWS)])
        add_column(group, "spike_times", np.arange(N_ROWS * SPIKES, dtype=float))
        add_index(group, "spike_times", (np.arange(N_ROWS) * SPIKES + SPIKES).tolist(), dtype="u8")
        group.attrs.create("colnames", ["rate", "quality", "spike_times"], dtype=TEXT)
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return path


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    # When a file was changed cannot be set: files as old as a test would wait for.
    monkeypatch.setattr(local, "_COARSEST_NS", 0)
    return [write_units(tmp_path / f"{number}.nwb") for number in range(3)]


def add_to_rates(path: Path, much: float, modified_ns: int) -> None:
    """Change values where they are: the size and the inode stay."""
    with h5py.File(path, "r+") as file:
        file["units/rate"][...] = file["units/rate"][...] + much
    os.utime(path, ns=(modified_ns, modified_ns))


def test_small_columns_that_were_read_are_read_no_more(units: list[Path]) -> None:
    query = nwb_dask.scan_nwb(units, "/units").filter(pl.col("quality") == "good").select("quality", "rate")
    first = query.collect()
    # Of `rate` a part was asked for. What is asked for again is read whole, and then known.
    assert query.collect().equals(first)
    with nwb_dask.trace() as trace:
        assert query.collect().equals(first)
    assert (trace.requests, trace.bytes) == (0, 0)
    assert first["rate"].to_list() == [row for _ in units for row in range(0, N_ROWS, 4)]


def test_a_new_scan_of_known_files_reads_their_signatures(units: list[Path]) -> None:
    nwb_dask.scan_nwb(units, "/units").select("rate", "quality").collect()
    with nwb_dask.trace() as trace:
        assert nwb_dask.scan_nwb(units, "/units").select("rate", "quality").collect().height == 3 * N_ROWS
    assert trace.bytes == 3 * SIGNATURE_BYTES


def test_spikes_of_chosen_units_cost_their_bytes_when_asked_again(units: list[Path]) -> None:
    query = nwb_dask.scan_nwb(units, "/units").filter(pl.col("rate") < 4, pl.col("quality") == "good")
    for _ in range(3):
        with nwb_dask.trace() as trace:
            found = query.select("spike_times").collect()
    assert found["spike_times"].list.len().to_list() == [SPIKES] * 3
    assert trace.bytes == 3 * (SPIKES * 8 + SIGNATURE_BYTES)


def test_lengths_that_were_read_are_read_no_more(units: list[Path]) -> None:
    query = nwb_dask.scan_nwb(units, "/units", lengths=["spike_times"]).select("spike_times.n")
    first = query.collect()
    with nwb_dask.trace() as trace:
        assert query.collect().equals(first)
    assert trace.bytes == 0
    assert first["spike_times.n"].to_list() == [SPIKES] * 3 * N_ROWS


def test_metadata_of_known_files_cost_their_signatures(units: list[Path]) -> None:
    first = nwb_dask.read_metadata(units, "polars")
    with nwb_dask.trace() as trace:
        assert nwb_dask.read_metadata(units, "polars").equals(first)
    assert trace.bytes == 3 * SIGNATURE_BYTES


def test_a_file_that_was_written_to_is_an_error_for_the_old_plan_and_read_by_a_new_one(units: list[Path]) -> None:
    frame = nwb_dask.scan_nwb(units, "/units").select("rate")
    frame.collect()
    add_to_rates(units[1], 100.0, LONG_AGO + 1)
    with pytest.raises(SourceChangedError, match=r"1\.nwb"):
        frame.collect()
    found = nwb_dask.scan_nwb(units, "/units").select("rate").collect()["rate"]
    assert found[N_ROWS : 2 * N_ROWS].to_list() == [row + 100.0 for row in range(N_ROWS)]


def test_a_file_that_was_written_to_and_given_its_old_time_is_read_anew(units: list[Path]) -> None:
    frame = nwb_dask.scan_nwb(units, "/units").select("rate")
    frame.collect()
    before = units[1].stat()
    add_to_rates(units[1], 100.0, LONG_AGO)
    after = units[1].stat()
    assert (after.st_mtime_ns, after.st_ino, after.st_size) == (before.st_mtime_ns, before.st_ino, before.st_size)
    assert frame.collect()["rate"][N_ROWS] == 100.0
    assert nwb_dask.scan_nwb(units[1], "/units").select("rate").collect()["rate"][0] == 100.0
    assert nwb_dask.read_table(units[1], "/units", columns=["rate"])["rate"].iloc[0] == 100.0


def test_a_file_that_is_gone_is_an_error(units: list[Path]) -> None:
    frame = nwb_dask.scan_nwb(units, "/units").select("rate")
    frame.collect()
    units[2].unlink()
    with pytest.raises(nwb_dask.SourceNotFoundError, match=r"2\.nwb"):
        frame.collect()


def test_nothing_is_kept_of_a_file_whose_time_cannot_tell_the_next_write(tmp_path: Path) -> None:
    path = write_units(tmp_path / "a.nwb")
    frame = nwb_dask.scan_nwb(path, "/units").select("rate")
    frame.collect()
    with nwb_dask.trace() as trace:
        assert frame.collect()["rate"][0] == 0.0
    assert trace.bytes > N_ROWS * 8
    assert nwb_dask.read_metadata(path, "polars").height == 1


def test_changing_an_answer_changes_no_later_one(units: list[Path]) -> None:
    first = nwb_dask.read_table(units[0], "/units", columns=["rate"])
    expected = first["rate"].to_list()
    first["rate"] += 1.0
    assert nwb_dask.read_table(units[0], "/units", columns=["rate"])["rate"].to_list() == expected


def test_values_travel_in_no_pickle(units: list[Path]) -> None:
    source = ScanSource(scan_sources(units, "/units"))
    before = len(pickle.dumps(source))
    list(source(None, None, None, None))
    assert len(pickle.dumps(source)) == before


def test_clearing_forgets_values(units: list[Path]) -> None:
    frame = nwb_dask.scan_nwb(units[0], "/units").select("rate")
    frame.collect()
    clear()
    with nwb_dask.trace() as trace:
        frame.collect()
    assert trace.bytes > N_ROWS * 8


def test_what_is_kept_weighs_no_more_than_its_bound() -> None:
    recent = Recent(10)
    for number, weight in enumerate((4, 4, 4)):
        recent.put(number, f"value {number}", weight)
    assert [recent.get(number) is not None for number in range(3)] == [False, True, True]
    recent.put(1, "heavier", 6)
    recent.put(3, "too heavy", 11)
    assert [recent.get(number) for number in range(1, 4)] == ["heavier", "value 2", None]
