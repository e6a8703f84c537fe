"""Where lazynwb 1.0 answers wrongly and says nothing: each of these tests fails on its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest

from nwb_dask.compat import lazynwb

TEXT = h5py.string_dtype()


def _table(group: h5py.Group, name: str, columns: dict[str, Any], kind: str = "TimeIntervals") -> h5py.Group:
    table = group.require_group(name)
    table.attrs.update({"neurodata_type": kind, "namespace": "core", "colnames": np.array(list(columns), TEXT)})
    for column, values in columns.items():
        _column(table, column, values)
    n_rows = len(next(iter(columns.values())))
    _column(table, "id", np.arange(n_rows)).attrs["neurodata_type"] = "ElementIdentifiers"
    return table


def _column(table: h5py.Group, name: str, values: Any) -> h5py.Dataset:
    column = table.create_dataset(name, data=values)
    column.attrs.update({"neurodata_type": "VectorData", "namespace": "hdmf-common", "description": "."})
    return column


def _file(path: Path) -> h5py.File:
    file = h5py.File(path, "w")
    file.attrs.update({"neurodata_type": "NWBFile", "namespace": "core", "nwb_version": "2.7.0"})
    for name in ("acquisition", "general", "intervals", "processing"):
        file.create_group(name)
    file["session_start_time"] = "2024-01-02T03:04:05+00:00"
    file["session_description"], file["identifier"] = "a session", path.stem
    return file


def _trials(path: Path, n_rows: int, **more: Any) -> Path:
    with _file(path) as file:
        start = np.arange(n_rows, dtype=float)
        _table(file["intervals"], "trials", {"start_time": start, "stop_time": start + 0.5, **more})
    return path


@pytest.mark.parametrize("timing", ["rate", "timestamps"])
def test_no_row_of_a_series_of_many_channels_is_lost(tmp_path: Path, timing: str) -> None:
    path = tmp_path / "lfp.nwb"
    data = np.arange(400, dtype=np.int16).reshape(100, 4)
    with _file(path) as file:
        group = file["acquisition"].create_group("lfp")
        group.attrs.update({"neurodata_type": "ElectricalSeries", "namespace": "core"})
        group.create_dataset("data", data=data).attrs.update({"conversion": 1.0, "unit": "volts"})
        # One number for each channel, and one text for the whole: neither is a sample.
        group["channel_conversion"] = np.ones(4)
        if timing == "rate":
            group.create_dataset("starting_time", data=2.0).attrs["rate"] = 10.0
        else:
            group["timestamps"] = np.arange(100) / 10.0 + 2.0
        group["electrodes"] = np.arange(4)
    times = (np.arange(100) / 10.0 + 2.0).tolist()
    read = lazynwb.scan_nwb(path, "acquisition/lfp").collect()
    assert read["data"].to_list() == data.tolist()
    assert read["timestamps"].to_list() == pytest.approx(times)
    assert read["_table_index"].to_list() == list(range(100))
    for options in ({}, {"exclude_array_columns": False}):
        frame = lazynwb.get_df(path, "acquisition/lfp", exact_path=True, **options)  # type: ignore[arg-type]  # options
        assert list(frame["timestamps"]) == pytest.approx(times)


def test_rows_come_in_the_order_of_the_sources(tmp_path: Path) -> None:
    # The first take longest, so that whatever takes them as they come turns them round.
    sizes = [60_000, 20_000, 5, 4, 3, 2, 1]
    paths = [_trials(tmp_path / f"{99 - n}.nwb", size) for n, size in enumerate(sizes)]
    wanted = [str(path) for path, size in zip(paths, sizes, strict=True) for _ in range(size)]
    for _ in range(3):
        assert list(lazynwb.get_df(paths, "trials", disable_progress=True)["_nwb_path"]) == wanted
    assert lazynwb.scan_nwb(paths, "trials").collect()["_nwb_path"].to_list() == wanted


def test_metadata_comes_in_the_order_of_the_sources(tmp_path: Path) -> None:
    paths = [_trials(tmp_path / f"{99 - n}.nwb", 1) for n in range(30)]
    found = lazynwb.get_metadata_df(paths, disable_progress=True)
    assert list(found["identifier"]) == [path.stem for path in paths]


def test_references_come_as_what_they_lead_to(tmp_path: Path) -> None:
    path = tmp_path / "units.nwb"
    with _file(path) as file:
        groups = [file.create_group(f"general/extracellular_ephys/{name}") for name in ("probeA", "probeB")]
        references = np.array([one.ref for one in (groups[0], groups[1], groups[0])], h5py.ref_dtype)
        _table(file, "units", {"rate": np.arange(3.0), "group": references}, "Units")
    read = lazynwb.scan_nwb(path, "units").collect()
    folder = "/general/extracellular_ephys"
    assert read["group"].to_list() == [f"{folder}/probeA", f"{folder}/probeB", f"{folder}/probeA"]
    assert list(lazynwb.get_df(path, "units")["group"]) == read["group"].to_list()


def test_attributes_that_are_references_are_paths(tmp_path: Path) -> None:
    path = _trials(tmp_path / "trials.nwb", 3)
    with h5py.File(path, "a") as file:
        file["intervals/trials/id"].attrs["table"] = file["intervals/trials"].ref
    assert lazynwb.get_attrs(path, "/intervals/trials/id")["table"] == "/intervals/trials"


def test_compound_columns_are_there(tmp_path: Path) -> None:
    path = tmp_path / "trials.nwb"
    kind = np.dtype([("idx_start", np.int32), ("count", np.int32)])
    values = np.array([(0, 5), (5, 7), (12, 1)], kind)
    _trials(path, 3, span=values)
    wanted = [{"idx_start": a, "count": b} for a, b in values.tolist()]
    assert lazynwb.scan_nwb(path, "trials").collect()["span"].to_list() == wanted
    assert list(lazynwb.get_df(path, "trials")["span"]) == wanted


def test_references_of_intervals_to_series_are_there(tmp_path: Path) -> None:
    path = _trials(tmp_path / "trials.nwb", 2)
    with h5py.File(path, "a") as file:
        series = file.create_group("acquisition/lfp")
        series["data"] = np.arange(9)
        kind = np.dtype([("idx_start", np.int32), ("count", np.int32), ("timeseries", h5py.ref_dtype)])
        values = np.array([(0, 4, series.ref), (4, 5, series.ref)], kind)
        trials = file["intervals/trials"]
        column = _column(trials, "timeseries", values)
        column.attrs["neurodata_type"] = "TimeSeriesReferenceVectorData"
        index = _column(trials, "timeseries_index", np.array([1, 2], np.uint8))
        index.attrs.update({"neurodata_type": "VectorIndex", "target": column.ref})
        trials.attrs["colnames"] = np.array(["start_time", "stop_time", "timeseries"], TEXT)
    read = lazynwb.scan_nwb(path, "trials").collect()["timeseries"].to_list()
    assert [[(one["idx_start"], one["count"]) for one in row] for row in read] == [[(0, 4)], [(4, 5)]]


def test_a_column_that_is_called_index_is_no_index(tmp_path: Path) -> None:
    block, number = np.array([2.5, 2.5, 3.5]), np.array([0, 0, 1])
    path = _trials(tmp_path / "trials.nwb", 3, block=block, block_index=number)
    for read in (lazynwb.scan_nwb(path, "trials").collect(), lazynwb.get_df(path, "trials", as_polars=True)):
        assert read["block"].to_list() == block.tolist()
        assert read["block_index"].to_list() == number.tolist()
    assert lazynwb.get_table_schema(path, "trials")["block"] == pl.Float64
    columns = {one.name: one for one in lazynwb.get_table_column_metadata(path, "trials")}
    assert not columns["block"].is_nominally_indexed
    assert not columns["block_index"].is_index_column
    assert "intervals/trials/block_index" in lazynwb.get_sub_attrs(path, "/intervals/trials")


def test_floats_stay_where_other_files_have_ints(tmp_path: Path) -> None:
    files = [_trials(tmp_path / f"{n}.nwb", 2, contrast=np.array([1, 2])) for n in range(3)]
    files.append(_trials(tmp_path / "float.nwb", 2, contrast=np.array([0.25, 0.75])))
    wanted = [1.0, 2.0] * 3 + [0.25, 0.75]
    assert lazynwb.scan_nwb(files, "trials").collect()["contrast"].to_list() == wanted
    assert lazynwb.get_table_schema(files, "trials")["contrast"] == pl.Float64


def test_text_stays_where_other_files_have_numbers(tmp_path: Path) -> None:
    files = [_trials(tmp_path / f"{n}.nwb", 1, kind=np.array([n])) for n in range(2)]
    files.append(_trials(tmp_path / "text.nwb", 1, kind=np.array(["go"], TEXT)))
    with pytest.warns(UserWarning, match="kind of /intervals/trials"):
        read = lazynwb.scan_nwb(files, "trials").collect()
    assert read["kind"].to_list() == ["0", "1", "go"]


@pytest.fixture
def twins(tmp_path: Path) -> Path:
    """Return a file with two tables called trials."""
    path = _trials(tmp_path / "twins.nwb", 3)
    with h5py.File(path, "a") as file:
        module = file.create_group("processing/behavior")
        module.attrs.update({"neurodata_type": "ProcessingModule", "namespace": "core"})
        _table(module, "trials", {"choice": np.array([7, 8])}, "DynamicTable")
    return path


def test_no_table_is_written_over_another(twins: Path, tmp_path: Path) -> None:
    written = lazynwb.convert_nwb_tables(twins, tmp_path / "out", disable_progress=True)
    assert len(set(written.values())) == len(written)
    assert pl.read_parquet(written["/intervals/trials"])["start_time"].to_list() == [0.0, 1.0, 2.0]
    assert pl.read_parquet(written["/processing/behavior/trials"])["choice"].to_list() == [7, 8]


def test_no_table_stands_in_place_of_another(twins: Path) -> None:
    context = lazynwb.get_sql_context(twins, disable_progress=True)
    assert {"intervals/trials", "processing/behavior/trials"} <= set(context.tables())
    assert "trials" not in context.tables()
    read = context.execute('SELECT choice FROM "processing/behavior/trials"', eager=True)
    assert read["choice"].to_list() == [7, 8]


def test_no_session_is_written_over_another(tmp_path: Path) -> None:
    files = [_trials(tmp_path / f"{n}.nwb", n + 1) for n in range(2)]
    for path in files:
        with h5py.File(path, "a") as file:
            file["general/session_id"] = "the same"
    written = lazynwb.convert_nwb_tables(files, tmp_path / "out", session_subdirs=True, disable_progress=True)
    lengths = [pl.read_parquet(path).height for key, path in written.items() if key.endswith("/intervals/trials")]
    assert sorted(lengths) == [1, 2]


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = _trials(tmp_path / "a.nwb", 3)
    with h5py.File(path, "a") as file:
        file["intervals/trials"].attrs["note"] = "old"
    assert list(lazynwb.get_df(path, "trials")["start_time"]) == [0.0, 1.0, 2.0]
    assert lazynwb.get_attrs(path, "/intervals/trials")["note"] == "old"
    assert len(lazynwb.scan_nwb(path, "trials").collect()) == 3
    other = _trials(tmp_path / "b.nwb", 5)
    with h5py.File(other, "a") as file:
        file["intervals/trials"].attrs["note"] = "new"
    other.replace(path)
    assert list(lazynwb.get_df(path, "trials")["start_time"]) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert len(lazynwb.scan_nwb(path, "trials").collect()) == 5
    assert lazynwb.get_attrs(path, "/intervals/trials")["note"] == "new"
    assert lazynwb.LazyNWB(path).identifier == "b"


def test_text_of_a_file_is_never_run(tmp_path: Path) -> None:
    path, mark = _trials(tmp_path / "a.nwb", 1), tmp_path / "mark"
    text = f"[open({str(mark)!r}, 'w').close()]"
    with h5py.File(path, "a") as file:
        file["general/keywords"] = text
        file["general/notes"] = "[1, 2]"
    nwb = lazynwb.LazyNWB(path)
    assert nwb.keywords == [text]
    assert nwb.notes == "[1, 2]"
    lazynwb.get_metadata_df(path, disable_progress=True)
    nwb.describe()
    assert not mark.exists()


def test_text_that_looks_like_a_date_stays_text(tmp_path: Path) -> None:
    path = _trials(tmp_path / "a.nwb", 1)
    with h5py.File(path, "a") as file:
        file["general/session_id"] = "20240102"
    assert lazynwb.LazyNWB(path).session_id == "20240102"
    assert lazynwb.get_metadata_df(path, as_polars=True)["session_id"].to_list() == ["20240102"]
