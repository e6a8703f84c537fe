"""Files that say things in ways that are easily mistaken for others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.errors import SchemaConflictError
from nwb_dask.testing.odd_columns import add_series, add_table, new_file


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
