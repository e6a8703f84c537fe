"""`list_paths` and `schema`: many files, no data."""

from __future__ import annotations

import warnings
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pytest

import nwb_dask
from nwb_dask.errors import MalformedFileError, PathNotFoundError, SchemaConflictError, SkippedFilesWarning
from nwb_dask.testing.files import write_session

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
FILES = sorted(REAL.rglob("*.nwb"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two sessions, of which the second has no trials."""
    folder = tmp_path_factory.mktemp("contents")
    first = write_session(folder / "a.nwb", n_units=3, n_trials=4, n_samples=10, n_electrodes=2)
    return [first, write_session(folder / "b.nwb", n_units=2, n_trials=0, n_samples=0, n_electrodes=0)]


def test_paths_of_many_files_say_which_files_have_them(pair: list[Path]) -> None:
    first, second = map(str, pair)
    assert nwb_dask.list_paths(pair) == {
        "/": (first, second),
        "/acquisition/lfp": (first,),
        "/general": (first, second),
        "/general/extracellular_ephys/electrodes": (first,),
        "/general/subject": (first, second),
        "/intervals/trials": (first,),
        "/processing/behavior/running_speed": (first,),
        "/units": (first, second),
    }
    assert list(nwb_dask.list_paths(second)) == ["/", "/general", "/general/subject", "/units"]


def test_every_path_that_is_listed_can_be_read(pair: list[Path]) -> None:
    for path, holders in nwb_dask.list_paths(pair).items():
        read = nwb_dask.read_table(pair, path, "arrow")
        assert set(read["_nwb_path"].to_pylist()) == set(holders)


def test_paths_of_corrupt_files_are_an_error_or_left_out(pair: list[Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.nwb"
    bad.write_text("text")
    with pytest.raises(MalformedFileError):
        nwb_dask.list_paths([*pair, bad])
    with pytest.warns(SkippedFilesWarning):
        found = nwb_dask.list_paths([bad, *pair], errors="skip")
    assert found == nwb_dask.list_paths(pair)


@pytest.mark.parametrize("table", ["/units", "/intervals/trials", "/", "/general/subject", "/acquisition/lfp"])
@pytest.mark.parametrize("included", [True, False])
def test_the_schema_is_that_of_the_arrow_table(pair: list[Path], table: str, *, included: bool) -> None:
    schema = nwb_dask.schema(pair, table, include_path_columns=included)
    assert schema.equals(nwb_dask.read_table(pair, table, "arrow", include_path_columns=included).schema)


@pytest.mark.parametrize("path", FILES[::6], ids=[path.name for path in FILES[::6]])
def test_the_schema_of_every_table_of_a_real_file_is_that_of_the_arrow_table(path: Path) -> None:
    for table in nwb_dask.list_paths(path):
        schema = nwb_dask.schema(path, table)
        sound = [field.name for field in schema if not field.metadata]
        expected = nwb_dask.read_table(path, table, "arrow", columns=sound, include_path_columns=False).schema
        assert pa.schema([schema.field(name) for name in sound]).equals(expected)


def test_the_schema_follows_columns_and_overrides(pair: list[Path]) -> None:
    schema = nwb_dask.schema(pair, "/units", columns=["depth"], schema_overrides={"depth": "int64"})
    assert schema.names == ["depth", "_nwb_path", "_table_path", "_table_index"]
    assert schema.field("depth").type == pa.int64()


def test_a_column_that_cannot_be_read_says_so_in_the_schema(pair: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "broken.nwb"
    path.write_bytes(pair[0].read_bytes())
    with h5py.File(path, "r+") as file:
        del file["units/depth"]
        file["units/depth"] = np.zeros(99)
    field = nwb_dask.schema(path, "/units").field("depth")
    assert field.type == pa.null()
    assert field.metadata == {b"problem": b"it has 99 rows, the table has 3"}


def test_files_that_disagree_have_no_schema(pair: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "other.nwb"
    path.write_bytes(pair[0].read_bytes())
    with h5py.File(path, "r+") as file:
        del file["units/depth"]
        file["units/depth"] = ["a", "b", "c"]
    with pytest.raises(SchemaConflictError, match="depth"):
        nwb_dask.schema([*pair, path], "/units")


def test_the_schema_of_a_table_that_no_file_has_is_an_error_with_the_nearest(pair: list[Path]) -> None:
    with warnings.catch_warnings(), pytest.raises(PathNotFoundError, match="did you mean '/units'"):
        nwb_dask.schema(pair, "/unit")
