"""Files that have a column without a single value of it: their type tells nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.errors import SchemaConflictError
from nwb_dask.testing.odd_columns import add_index, add_table, new_file


def written(folder: Path, writers: list[Callable[[Path], Path]]) -> list[Path]:
    return [write(folder / f"{number}.nwb") for number, write in enumerate(writers)]


def ragged(data: Any, *ends: int) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        with new_file(path) as file:
            group = add_table(file, "processing/m/t", {"x": data}, n_rows=len(ends))
            add_index(group, "x", ends)
        return path

    return write


def plain(data: Any) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        with new_file(path) as file:
            add_table(file, "processing/m/t", {"x": data})
        return path

    return write


NOTHING = np.zeros(0)
VOID: dict[str, tuple[list[Callable[[Path], Path]], list[Any]]] = {
    "no rows": ([plain(NOTHING), plain(["a", "b"])], ["a", "b"]),
    "no rows, last": ([plain(["a"]), plain(NOTHING), plain(np.zeros((0, 2)))], ["a"]),
    "no elements": ([ragged(NOTHING, 0, 0), ragged(["a", "b"], 0, 2)], [[], [], [], ["a", "b"]]),
    "no elements of structs": (
        [ragged(NOTHING, 0, 0), ragged(np.array([(7,)], [("a", "i2")]), 1)],
        [[], [], [{"a": 7}]],
    ),
    "no elements of lists": ([ragged(NOTHING, 0), ragged(np.ones((1, 2)), 1)], [[], [[1.0, 1.0]]]),
}


@pytest.mark.parametrize("name", VOID)
def test_a_file_without_a_single_value_has_no_say_in_the_type(name: str, tmp_path: Path) -> None:
    writers, expected = VOID[name]
    files = written(tmp_path, writers)
    assert nwb_dask.read_table(files, "/processing/m/t", "arrow")["x"].to_pylist() == expected
    assert nwb_dask.scan_nwb(files, "/processing/m/t").collect()["x"].to_list() == expected
    assert len(dd.read_nwb(files, "/processing/m/t").compute()) == len(expected)


def test_two_empty_columns_that_disagree_are_a_conflict_as_others_are(tmp_path: Path) -> None:
    files = written(tmp_path, [plain(NOTHING), plain(np.zeros(0, "S3"))])
    with pytest.raises(SchemaConflictError, match="no common type"):
        nwb_dask.read_table(files, "/processing/m/t")


def test_a_conflict_in_a_lazy_frame_says_the_way_out_that_there_is(tmp_path: Path) -> None:
    files = written(tmp_path, [plain(["a"]), plain([1])])
    with pytest.raises(SchemaConflictError, match=r"say schema_overrides=.* columns=\.\.\. of read_table or read_nwb"):
        nwb_dask.scan_nwb(files, "/processing/m/t")
    lazy = nwb_dask.scan_nwb(files, "/processing/m/t", schema_overrides={"x": "string"})
    assert lazy.collect()["x"].to_list() == ["a", "1"]
