"""Files that say things in ways that are easily mistaken for others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.errors import SchemaConflictError
from nwb_dask.testing.odd_columns import Data, add_index, add_series, add_table, new_file


def test_columns_of_the_file_that_are_called_like_the_origin_do_not_replace_it(tmp_path: Path) -> None:
    path = tmp_path / "written-back.nwb"
    with new_file(path) as file:
        add_table(file, "units", {"_nwb_path": ["a", "b"], "_table_index": np.array([7, 8]), "x": np.arange(2)})
    try:
        frame = dd.read_nwb(path, "/units")
    except SchemaConflictError:
        return
    shown = frame.compute()
    for name in ("_nwb_path", "_table_index"):
        value = shown[name].iloc[1]
        assert frame[frame[name] == value].x.compute().tolist() == shown[shown[name] == value].x.tolist()
    assert shown._nwb_path.tolist() == [str(path)] * 2


@pytest.fixture
def written_back(tmp_path: Path) -> Path:
    """A table whose own columns have the names of those that say where rows are from."""
    path = tmp_path / "written-back.nwb"
    with new_file(path) as file:
        columns: dict[str, Data] = {
            "_nwb_path": ["a", "b"],
            "_table_path": np.arange(3.0),
            "_table_index": np.array([7, 8]),
        }
        group = add_table(file, "units", columns, n_rows=2)
        add_index(group, "_table_path", [1, 3])
    return path


OWN = {"./_nwb_path": ["a", "b"], "./_table_path": [[0.0], [1.0, 2.0]], "./_table_index": [7, 8]}
READERS: dict[str, Callable[..., Any]] = {
    "pandas": nwb_dask.read_table,
    "polars": lambda path, table, **options: nwb_dask.read_table(path, table, "polars", **options),
    "arrow": lambda path, table, **options: nwb_dask.read_table(path, table, "arrow", **options),
    "scan_nwb": lambda path, table, **options: nwb_dask.scan_nwb(path, table, **options).collect(),
    "dask": lambda path, table, **options: dd.read_nwb(path, table, **options).compute(),
    "sql": lambda path, table, **_: nwb_dask.sql(f'SELECT * FROM "{table}"', path, eager=True),
}


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("reader", READERS)
def test_columns_that_are_called_like_the_origin_are_read_by_their_path_in_the_table(
    written_back: Path,
    reader: str,
    include: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    rows = READERS[reader](written_back, "/units", include_path_columns=include)
    found = {name: rows[name].to_pylist() if reader == "arrow" else list(rows[name]) for name in OWN}
    found["./_table_path"] = [list(one) for one in found["./_table_path"]]
    assert found == OWN
    if include:
        assert list(map(str, rows["_nwb_path"])) == [str(written_back)] * 2


def test_such_columns_are_asked_for_and_filtered_on_by_that_path(written_back: Path) -> None:
    named = nwb_dask.read_table(written_back, "/units", columns=["./_nwb_path"], filters=[("./_table_index", "==", 8)])
    assert named["./_nwb_path"].tolist() == ["b"]
    frame = dd.read_nwb(written_back, "/units")
    assert frame[frame["./_nwb_path"] == "b"]["./_table_index"].compute().tolist() == [8]
    lazy = nwb_dask.scan_nwb(written_back, "/units", lengths=["./_table_path"], include_path_columns=False)
    assert lazy.filter(pl.col("./_table_path.n") > 1).select("./_nwb_path").collect().to_series().to_list() == ["b"]
    assert nwb_dask.sql('SELECT "./_nwb_path" FROM units', written_back, eager=True).to_series().to_list() == ["a", "b"]
    assert nwb_dask.open_nwb(written_back).units["./_nwb_path"].read().tolist() == ["a", "b"]
    assert nwb_dask.schema(written_back, "/units").names[1:4] == list(OWN)


@pytest.mark.parametrize("many", [False, True])
def test_rate_may_be_an_array_of_one(tmp_path: Path, many: bool) -> None:  # noqa: FBT001  # a parameter of the test
    path = tmp_path / "matlab.nwb"
    with new_file(path) as file:
        series = add_series(file, "acquisition/v", starting_time=(2.0, 10.0), data=np.arange(3))
        if many:
            series["starting_time"].attrs["rate"] = [10.0]
    assert nwb_dask.read_table(path, "/acquisition/v").timestamps.tolist() == [2.0, 2.1, 2.2]


@pytest.mark.parametrize("name", ["which?", "a[1]", "stars*"])
def test_table_is_found_by_its_name_whatever_characters_it_has(tmp_path: Path, name: str) -> None:
    path = tmp_path / "names.nwb"
    with new_file(path) as file:
        add_table(file, f"intervals/{name}", {"x": np.arange(3)})
    assert nwb_dask.read_table(path, f"/intervals/{name}").x.tolist() == [0, 1, 2]


def test_glob_gives_no_tables_of_one_row(tmp_path: Path) -> None:
    path = tmp_path / "records.nwb"
    with new_file(path) as file:
        add_table(file, "units", {"x": np.arange(3)})
        file.require_group("general")["lab"] = "a lab"
    assert set(nwb_dask.read_table(path, "/*")._table_path) == {"/units"}
