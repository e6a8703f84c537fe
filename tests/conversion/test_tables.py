"""What the tables of many files become: one schema, batches, what is left out, and readers without nwb_dask."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import openpyxl
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import nwb_dask
from nwb_dask import FormatError, MalformedFileError, PathNotFoundError, SchemaConflictError, UnsupportedLayoutError
from nwb_dask.conversion import convert, rows
from nwb_dask.read import read_partition
from nwb_dask.testing import RangeServer, odd_columns
from nwb_dask.testing.odd_columns import add_index, add_table, new_file
from nwb_dask.testing.oddities import write_broken_links

READ = """
import sys
import dask.dataframe as dd, numpy as np, pandas as pd, polars as pl
out = sys.argv[1]
frames = {"pandas": pd.read_parquet(out), "dask": dd.read_parquet(out).compute(scheduler="synchronous")}
assert not any(name.partition(".")[0] == "nwb_dask" for name in sys.modules)
for frame in frames.values():
    assert all(isinstance(row, np.ndarray) and row.dtype == "f8" for row in frame.spike_times)
    print(int(sum(len(row) for row in frame.spike_times)), sorted(frame.session.unique()), sep="|")
frame = pl.read_parquet(out)
assert frame.schema["spike_times"] == pl.List(pl.Float64)
print(frame["spike_times"].list.len().sum(), sorted(frame["session"].unique()), sep="|")
"""


def test_plain_readers_give_ragged_columns_as_lists(tmp_path: Path, sessions: list[Path]) -> None:
    convert(sessions, tmp_path / "out", tables="/units")
    spikes = 0
    for path in sessions:
        with h5py.File(path) as file:
            spikes += len(file["/units/spike_times"])
    script = [sys.executable, "-c", READ, str(tmp_path / "out" / "units")]
    run = subprocess.run(script, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [f"{spikes}|['day1/mouse', 'day2/mouse']"] * 3


def test_all_files_of_a_table_have_the_columns_of_all(tmp_path: Path, sessions: list[Path]) -> None:
    convert(sessions, tmp_path / "out", tables="/intervals/trials")
    parts = sorted((tmp_path / "out" / "intervals.trials").glob("*/*.parquet"))
    first, second = (pq.read_schema(part) for part in parts)
    assert first.equals(second, check_metadata=True)
    assert pq.ParquetFile(parts[0]).read()["note"].null_count == 5
    assert first.names[-3:] == ["_nwb_path", "_table_path", "_table_index"]


def test_one_file_for_each_table_has_the_rows_in_source_order(tmp_path: Path, sessions: list[Path]) -> None:
    convert(sessions[::-1], tmp_path / "out", layout="one")
    for path in ("/units", "/intervals/trials", "/general/subject"):
        name = path.strip("/").replace("/", ".")
        found = pl.read_parquet(tmp_path / "out" / f"{name}.parquet")
        wanted = nwb_dask.read_table([str(one) for one in sessions[::-1]], path, engine="polars")
        assert found.equals(wanted)
    assert pl.read_parquet(tmp_path / "out" / "session.parquet")["session_id"].to_list() == ["session-2", "session-1"]


def test_a_table_that_has_a_column_session_is_partitioned_by_another_name(tmp_path: Path) -> None:
    with new_file(tmp_path / "a.nwb") as file:
        add_table(file, "processing/x/table", {"session": np.arange(3)})
    convert(tmp_path / "a.nwb", tmp_path / "out", tables="/processing/*/*")
    found = pd.read_parquet(tmp_path / "out" / "processing.x.table")
    assert found["session"].tolist() == [0, 1, 2]
    assert found["nwb_session"].tolist() == ["a"] * 3


def test_a_table_called_session_and_that_of_metadata_are_two(tmp_path: Path) -> None:
    with new_file(tmp_path / "a.nwb") as file:
        add_table(file, "session", {"value": np.arange(3)})
        add_table(file, "Session", {"value": np.arange(2)})
    convert(tmp_path / "a.nwb", tmp_path / "out")
    assert pd.read_parquet(tmp_path / "out" / "session").shape[0] == 1
    assert pd.read_parquet(tmp_path / "out" / "~73ession")["value"].tolist() == [0, 1, 2]
    (other,) = (tmp_path / "out").glob("Session~~*")
    assert pd.read_parquet(other)["value"].tolist() == [0, 1]


@pytest.mark.parametrize("format_", ["parquet", "ipc", "csv", "jsonl", "delta", "excel"])
def test_a_table_larger_than_a_batch_is_never_in_memory_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    n_rows, n_each = 4000, 40
    with new_file(tmp_path / "a.nwb") as file:
        values = np.arange(n_rows * n_each, dtype="f8")
        table = add_table(file, "processing/x/table", {"values": values, "zeros": np.zeros(n_rows)}, n_rows=n_rows)
        add_index(table, "values", range(n_each, n_rows * n_each + 1, n_each), dtype="u4")
    monkeypatch.setattr(rows, "BATCH_BYTES", 1 << 16)
    sizes = []
    true_read = read_partition

    def read(partition: object) -> pa.Table:
        found = true_read(partition)  # type: ignore[arg-type]  # as it was called
        sizes.append(found.nbytes)
        return found

    monkeypatch.setattr(rows, "read_partition", read)
    convert(tmp_path / "a.nwb", tmp_path / "out", format=format_, tables="/processing/*/*")  # type: ignore[arg-type]  # a literal
    assert len(sizes) > 15
    # Path columns come on top of what is counted.
    assert max(sizes) < 1.5 * (1 << 16)
    if format_ == "parquet":
        (part,) = (tmp_path / "out").glob("*/*/*.parquet")
        assert pq.ParquetFile(part).num_row_groups == len(sizes)
        assert np.concatenate(pd.read_parquet(part)["values"].to_list()).tolist() == values.tolist()


def test_files_that_disagree_are_an_error_that_says_how_to_go_on(tmp_path: Path) -> None:
    for name, data in (("a", np.arange(2)), ("b", ["x", "y"])):
        with new_file(tmp_path / f"{name}.nwb") as file:
            add_table(file, "processing/x/table", {"value": data, "other": np.arange(2)})
    paths = [tmp_path / "a.nwb", tmp_path / "b.nwb"]
    with pytest.raises(SchemaConflictError, match="exclude='/processing/x/table/value'"):
        convert(paths, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    convert(paths, tmp_path / "out", exclude="/processing/x/table/value")
    assert "value" not in pd.read_parquet(tmp_path / "out" / "processing.x.table")
    overrides = {"/processing/x/table/value": "string"}
    convert(paths, tmp_path / "text", schema_overrides=overrides, layout="one")
    assert pd.read_parquet(tmp_path / "text" / "processing.x.table.parquet")["value"].tolist() == ["0", "1", "x", "y"]


@pytest.mark.parametrize("path", ["value", "/processing/x/table/valeu", "/processing/x/other/value"])
def test_a_type_of_a_column_that_no_file_has_is_an_error(tmp_path: Path, path: str) -> None:
    with new_file(tmp_path / "a.nwb") as file:
        add_table(file, "processing/x/table", {"value": np.arange(2)})
    with pytest.raises(PathNotFoundError, match=f"schema_overrides: no column '{path}'"):
        convert(tmp_path / "a.nwb", tmp_path / "out", schema_overrides={path: "string"})
    convert(
        tmp_path / "a.nwb", tmp_path / "out", tables="/processing/*/*", schema_overrides={"/units/quality": "string"}
    )


def test_columns_that_cannot_be_read_are_an_error_or_listed(tmp_path: Path) -> None:
    write_broken_links(tmp_path / "a.nwb")
    with pytest.raises(UnsupportedLayoutError, match="exclude='/processing/links/broken/"):
        convert(tmp_path / "a.nwb", tmp_path / "out")
    report = convert(tmp_path / "a.nwb", tmp_path / "out", errors="skip")
    left_out = {one.path for one in report.left_out}
    assert {"/processing/links/broken/dangling", "/processing/links/broken/external"} <= left_out
    assert pd.read_parquet(tmp_path / "out" / "processing.links.broken")["own"].tolist() == [0, 1, 2]
    manifest = json.loads((tmp_path / "out" / "_nwb_dask_manifest.json").read_text())
    assert left_out == {one["path"] for one in manifest["left_out"]}


@pytest.mark.parametrize("layout", ["hive", "one"])
def test_files_that_turn_out_to_be_corrupt_are_left_out_of_all_tables(tmp_path: Path, layout: str) -> None:
    paths = [tmp_path / "bad.nwb", tmp_path / "good.nwb", tmp_path / "no.nwb"]
    odd_columns.write_corrupt(paths[0])
    with new_file(paths[1]) as file:
        add_table(file, "processing/corrupt/table", {"good": np.arange(2.0)})
    paths[2].write_bytes(b"not HDF5")
    with pytest.raises(MalformedFileError):
        convert(paths[:2], tmp_path / "out", layout=layout)  # type: ignore[arg-type]  # a literal
    with pytest.warns(nwb_dask.SkippedFilesWarning):
        report = convert(paths, tmp_path / "out", errors="skip", layout=layout, resume=False)  # type: ignore[arg-type]  # as above
    assert [name for name, _ in report.skipped] == [str(paths[0]), str(paths[2])]
    assert list(report.sessions) == ["good"]
    manifest = json.loads((tmp_path / "out" / "_nwb_dask_manifest.json").read_text())
    assert [one["name"] for one in manifest["skipped"]] == [str(paths[0]), str(paths[2])]
    assert {str(path.parent.name) for path in (tmp_path / "out").rglob("*.parquet")} <= {"session=good", "out"}


def test_a_table_that_no_file_has_is_an_error(tmp_path: Path, sessions: list[Path]) -> None:
    with pytest.raises(PathNotFoundError, match="/unit"):
        convert(sessions, tmp_path / "out", tables="/unit")
    with pytest.raises(PathNotFoundError, match="no series"):
        convert(sessions, tmp_path / "out", tables="/units", format="zarr")
    with pytest.raises(PathNotFoundError, match="nothing to convert"):
        convert(sessions, tmp_path / "out", exclude="*")


def test_excel_refuses_what_its_cells_cannot_hold(tmp_path: Path) -> None:
    with new_file(tmp_path / "a.nwb") as file:
        add_table(file, "processing/x/table", {"text": ["short", "x" * 32_768]})
    with pytest.raises(FormatError, match="row 1 of column 'text' of /processing/x/table takes 32768") as caught:
        convert(tmp_path / "a.nwb", tmp_path / "out", format="excel", tables="/processing/*/*")
    assert caught.value.path == "/processing/x/table/text"
    assert not (tmp_path / "out").exists()


def test_excel_keeps_all_digits_and_runs_no_formula(tmp_path: Path) -> None:
    numbers = np.array([0.1 + 0.2, 1 / 3, 5e-324, -0.0, 1.7976931348623157e308])
    texts = ["=1+1", "http://x.org", "007", "{=A1}", "a\nb"]
    with new_file(tmp_path / "a.nwb") as file:
        add_table(file, "processing/x/table", {"number": numbers, "big": np.arange(5) + 2**53, "text": texts})
    convert(tmp_path / "a.nwb", tmp_path / "out", format="excel", tables="/processing/*/*")
    (sheet,) = openpyxl.load_workbook(tmp_path / "out" / "tables.xlsx").worksheets
    cells = list(sheet.iter_rows(min_row=2, values_only=True))
    assert [repr(float(row[1])) for row in cells] == [repr(value) for value in numbers.tolist()]
    assert [int(row[2]) for row in cells] == [2**53 + i for i in range(5)]
    assert [row[3] for row in cells] == texts
    assert {cell.data_type for cell in sheet["D"][1:]} <= {"s", "inlineStr"}


def test_no_secret_of_a_url_is_written(tmp_path: Path, sessions: list[Path]) -> None:
    with RangeServer(sessions[0].parent) as server:
        convert(
            f"{server.url('mouse.nwb')}?signature=hidden", tmp_path / "out", tables=["/intervals/trials", "session"]
        )
    for path in tmp_path.rglob("*"):
        assert "hidden" not in path.name
        assert path.is_dir() or b"hidden" not in path.read_bytes()
