"""Lengths of lists come from the index of a ragged column, and nothing else is read for them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import polars as pl
import pytest

import nwb_dask
from nwb_dask.errors import MalformedFileError, PathNotFoundError
from nwb_dask.testing.files import write_session
from nwb_dask.testing.odd_columns import add_index, add_table, new_file, write_categories, write_ragged, write_sequences
from nwb_dask.testing.oddities import write_regions

ENGINES: list[Literal["in-memory", "streaming"]] = ["in-memory", "streaming"]
REAL = Path(__file__).parents[4] / "shared" / "data" / "real"
N_UNITS, SPIKES = 30, 10_000
HEADERS = 40_000
"""Bytes per file for what leads to the columns."""

c = pl.col

WRITTEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "every depth": (write_ragged, "/processing/deep/table"),
    "regions": (write_regions, "/processing/regions/table"),
    "sequences": (write_sequences, "/processing/sequences/table"),
    "categories": (write_categories, "/processing/categories/nested"),
}


def lengths_in(path: Path, table: str, column: str) -> list[int]:
    """Return lengths as the outermost index of a column says, by h5py."""
    with h5py.File(path) as file:
        group, name = file[table], column
        while f"{name}_index" in group:
            name += "_index"
        if name == column:
            return [0 if item is None else len(item) for item in group[column]]
        return np.diff(group[name][:].astype(int), prepend=0).tolist()  # type: ignore[no-any-return]  # numbers


@pytest.mark.parametrize("case", WRITTEN)
def test_lengths_are_those_of_the_index_in_the_file(tmp_path: Path, case: str) -> None:
    write, table = WRITTEN[case]
    write(tmp_path / "a.nwb")
    frame = nwb_dask.scan_nwb(tmp_path / "a.nwb", table, lengths=True)
    rows = frame.collect()
    ragged = [name for name, dtype in rows.schema.items() if isinstance(dtype, pl.List)]
    assert ragged
    assert [name for name in rows.columns if name.endswith(".n")] == [f"{name}.n" for name in ragged]
    for name in ragged:
        assert rows[f"{name}.n"].to_list() == lengths_in(tmp_path / "a.nwb", table, name)
        assert rows.schema[f"{name}.n"] == pl.Int64
        one = frame.filter(c(f"{name}.n") != 0).select(f"{name}.n").collect().to_series().to_list()
        assert one == [length for length in lengths_in(tmp_path / "a.nwb", table, name) if length]


def test_lengths_of_joined_columns_are_those_of_the_region(tmp_path: Path) -> None:
    write_regions(tmp_path / "a.nwb")
    frame = nwb_dask.scan_nwb(tmp_path / "a.nwb", "/processing/regions/table", resolve=True, lengths=True)
    rows = frame.collect()
    assert rows["electrodes.location.n"].to_list() == [2, 0, 1, 2]
    assert rows["electrodes.location.n"].to_list() == rows["electrodes.location"].list.len().to_list()
    assert "peak.location.n" not in rows.columns


def test_lengths_where_files_disagree_are_those_of_the_lists_that_all_share(tmp_path: Path) -> None:
    for name, values in {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(5.0), "c": np.arange(2.0)}.items():
        with new_file(tmp_path / f"{name}.nwb") as file:
            group = add_table(file, "processing/p/t", {"x": values}, n_rows=2)
            if name == "b":
                add_index(group, "x", [5, 5])
    with new_file(tmp_path / "d.nwb") as file:
        add_table(file, "processing/p/t", {"y": [1, 2]})
    rows = nwb_dask.scan_nwb(tmp_path, "/processing/p/t", lengths=["x"]).collect()
    assert rows["x.n"].to_list() == [3, 3, 5, 0, 1, 1, None, None]
    assert rows["x.n"].to_list() == rows["x"].list.len().to_list()


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("units")
    options: dict[str, Any] = {"n_units": N_UNITS, "spikes_per_unit": SPIKES, "n_samples": 0, "n_trials": 0}
    return [write_session(folder / f"{seed}.nwb", seed=seed, layout="gzip", **options) for seed in range(3)]


@pytest.mark.parametrize("engine", ENGINES)
def test_lengths_and_filters_on_them_read_no_elements(
    units: list[Path], engine: Literal["in-memory", "streaming"]
) -> None:
    frame = nwb_dask.scan_nwb(units, "/units", lengths=["spike_times"])
    expected = [length for path in units for length in lengths_in(path, "/units", "spike_times")]
    with nwb_dask.trace() as trace:
        assert frame.select("spike_times.n").collect(engine=engine).to_series().to_list() == expected
        many = frame.filter(c("spike_times.n") > SPIKES).select("id").collect(engine=engine)
    assert many.height == sum(length > SPIKES for length in expected)
    # Spikes of a file take 2 MB.
    assert trace.bytes < 2 * len(units) * HEADERS


def test_elements_are_read_for_the_rows_that_a_filter_on_lengths_leaves(units: list[Path]) -> None:
    frame = nwb_dask.scan_nwb(units, "/units", lengths=["spike_times"])
    with nwb_dask.trace() as trace:
        rows = frame.filter(c("spike_times.n") == 0).select("spike_times").collect()
    assert rows["spike_times"].to_list() == [[]] * len(units)
    assert trace.bytes < len(units) * HEADERS


def test_lengths_travel_and_stand_before_the_path_columns(units: list[Path]) -> None:
    frame = nwb_dask.scan_nwb(units, "/units", lengths=["electrodes", "spike_times"])
    names = ["electrodes.n", "spike_times.n", "_nwb_path", "_table_path", "_table_index"]
    assert frame.collect_schema().names()[-5:] == names
    there = pickle.loads(pickle.dumps(frame.select("spike_times.n")))
    assert there.collect().equals(frame.select("spike_times.n").collect())
    assert nwb_dask.scan_nwb(units, "/units").collect_schema().names() == [
        name for name in frame.collect_schema().names() if not name.endswith(".n")
    ]


def test_wrong_names_are_errors_when_the_frame_is_made(units: list[Path], tmp_path: Path) -> None:
    with pytest.raises(PathNotFoundError, match="did you mean 'spike_times'"):
        nwb_dask.scan_nwb(units, "/units", lengths=["spikes_times"])
    with pytest.raises(PathNotFoundError, match="no lists") as caught:
        nwb_dask.scan_nwb(units, "/units", lengths=["quality"])
    assert str(units[0]) in str(caught.value)
    with new_file(tmp_path / "a.nwb") as file:
        group = add_table(file, "processing/p/t", {"x": np.arange(5.0), "x.n": [1, 2]}, n_rows=2)
        add_index(group, "x", [5, 5])
    for lengths in (["x"], True):
        with pytest.raises(PathNotFoundError, match="of its own"):
            nwb_dask.scan_nwb(tmp_path, "/processing/p/t", lengths=lengths)


def test_damaged_index_is_an_error_for_lengths_too(tmp_path: Path) -> None:
    with new_file(tmp_path / "a.nwb") as file:
        group = add_table(file, "processing/p/t", {"x": np.arange(5.0)}, n_rows=2)
        add_index(group, "x", [9, 5])
    frame = nwb_dask.scan_nwb(tmp_path, "/processing/p/t", lengths=True)
    with pytest.raises(MalformedFileError, match="index of a ragged column") as caught:
        frame.select("x.n").collect()
    assert str(tmp_path / "a.nwb") in str(caught.value)


@pytest.mark.skipif(not REAL.exists(), reason="the real files are not there")
@pytest.mark.parametrize("name", ["ecephys_tutorial", "3.0.0_electrodes_dynamic_table", "sub-anm369963_ses-20170228"])
def test_lengths_of_real_tables_are_those_of_their_lists(name: str) -> None:
    [path, *_] = REAL.rglob(f"{name}.nwb")
    n_columns = 0
    for table in nwb_dask.list_paths(path):
        frame = nwb_dask.scan_nwb(path, table, lengths=True)
        columns = [column for column in frame.collect_schema() if column.endswith(".n")]
        for column in columns:
            rows = frame.select(column.removesuffix(".n"), column).collect()
            assert rows[column].to_list() == rows[column.removesuffix(".n")].list.len().to_list()
        n_columns += len(columns)
    assert n_columns > 2
