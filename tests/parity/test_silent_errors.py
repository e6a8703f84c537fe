"""Wrong answers without an error, which readers of NWB files are known to give: none of them is given here.

Each test says in its first line what the wrong answer is, and makes sure that it differs from the right one for the
data at hand.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.errors import PathNotFoundError
from nwb_dask.testing import RangeServer
from nwb_dask.testing.files import write_session
from nwb_dask.testing.odd_columns import (
    TEXT,
    add_column,
    add_index,
    add_series,
    add_table,
    new_file,
    write_compounds,
    write_references,
)
from tests.faults.reading import read_dask, read_pandas, values, write_column

Read: TypeAlias = Callable[..., Any]
NAN = float("nan")
TABLE = "processing/m/table"


def scan_polars(source: object, table: str, **options: Any) -> Any:
    """Return what the lazy frame gives, through both engines of polars."""
    found = nwb_dask.scan_nwb(source, table, **options)
    frame = found.collect()
    assert found.collect(engine="streaming").equals(frame)
    return frame


READS: Mapping[str, Read] = {"dask": read_dask, "polars": scan_polars, "pandas": read_pandas}
every_engine = pytest.mark.parametrize("read", READS.values(), ids=READS.keys())


def same(actual: Any, expected: Any) -> bool:
    """Whether two lists of plain values are equal in value and type, NaN being itself."""
    if isinstance(actual, list) and isinstance(expected, list):
        return len(actual) == len(expected) and all(map(same, actual, expected))
    if isinstance(actual, dict) and isinstance(expected, dict):
        return actual.keys() == expected.keys() and all(same(actual[name], expected[name]) for name in actual)
    is_nan = isinstance(actual, float) and isinstance(expected, float) and actual != actual  # noqa: PLR0124  # NaN
    return type(actual) is type(expected) and (actual == expected or (is_nan and expected != expected))  # noqa: PLR0124  # NaN


def check(actual: Any, *, right: Any, wrong: Any) -> None:
    """Fail unless the answer is the right one, and the wrong one another."""
    assert not same(right, wrong), "the data do not tell right from wrong"
    assert same(actual, right)


# --- rows lost from series of several channels ------------------------------------------------------


@pytest.mark.parametrize("timing", ["timestamps", "rate"])
@every_engine
def test_a_series_of_several_channels_has_a_row_per_sample(read: Read, timing: str, tmp_path: Path) -> None:
    """Wrong: as many rows as channels, or the first channel alone."""
    data, times = np.arange(15, dtype="i2").reshape(5, 3), np.arange(5) / 10
    with new_file(tmp_path / "a.nwb") as file:
        if timing == "rate":
            add_series(file, "acquisition/lfp", "ElectricalSeries", data=data, starting_time=(0.0, 10.0))
        else:
            add_series(file, "acquisition/lfp", "ElectricalSeries", data=data, timestamps=times)
    frame = read(tmp_path / "a.nwb", "/acquisition/lfp")
    for wrong in (data[:3].tolist(), data[:, 0].tolist()):
        check(values(frame, "data"), right=data.tolist(), wrong=wrong)
    check(values(frame, "timestamps"), right=times.tolist(), wrong=times[:3].tolist())


@every_engine
def test_more_channels_than_samples_lose_nothing_either(read: Read, tmp_path: Path) -> None:
    """Wrong: timestamps repeated or cut to the number of channels."""
    data, times = np.arange(8.0).reshape(2, 4), np.array([0.5, 0.75])
    with new_file(tmp_path / "a.nwb") as file:
        add_series(file, "acquisition/lfp", data=data, timestamps=times)
    frame = read(tmp_path / "a.nwb", "/acquisition/lfp")
    check(values(frame, "data"), right=data.tolist(), wrong=data.T.tolist())
    check(values(frame, "timestamps"), right=[0.5, 0.75], wrong=[0.5, 0.75, 0.5, 0.75])


# --- rows in random order ---------------------------------------------------------------------------


@every_engine
def test_rows_come_in_the_order_of_the_files_given(read: Read, tmp_path: Path) -> None:
    """Wrong: files by name, or in the order in which they were done: the small ones first."""
    sizes = {"d": 400, "a": 3, "c": 1, "b": 60}
    for name, n_rows in sizes.items():
        with new_file(tmp_path / f"{name}.nwb") as file:
            add_table(file, TABLE, {"x": np.arange(n_rows)})
    frame = read([tmp_path / f"{name}.nwb" for name in sizes], f"/{TABLE}")
    right = [(name, row) for name, n_rows in sizes.items() for row in range(n_rows)]
    found = list(zip([Path(path).stem for path in values(frame, "_nwb_path")], values(frame, "x"), strict=True))
    assert found == right
    assert right not in (sorted(right), sorted(right, key=lambda row: sizes[row[0]]))


@every_engine
def test_rows_of_remote_files_keep_that_order_although_the_first_is_the_last_to_answer(
    read: Read, tmp_path: Path
) -> None:
    """Wrong: the rows of the file first that answered first."""
    for number in range(4):
        write_column(tmp_path / f"{number}.nwb", np.array([number, number + 10]))
    with RangeServer(tmp_path) as server:
        server.inject("0.nwb", "stall", times=2, seconds=0.15)
        frame = read([server.url(f"{number}.nwb") for number in range(4)], "/t")
    check(values(frame, "x"), right=[0, 10, 1, 11, 2, 12, 3, 13], wrong=[1, 11, 2, 12, 3, 13, 0, 10])


# --- references as text, compounds dropped ----------------------------------------------------------


@every_engine
def test_references_are_the_paths_of_what_they_point_to(read: Read, tmp_path: Path) -> None:
    """Wrong: ``<HDF5 object reference>`` in every row."""
    write_references(tmp_path / "a.nwb")
    frame = read(tmp_path / "a.nwb", "/processing/references/table")
    with h5py.File(tmp_path / "a.nwb") as file:
        stored = file["processing/references/table/object"][:]
        wrong = [str(one) for one in stored]
        right = [file[one].name for one in stored]
    assert wrong == ["<HDF5 object reference>"] * 4
    check(values(frame, "object"), right=right, wrong=wrong)
    check(values(frame, "electrode_group"), right=[one.rpartition("/")[2] for one in right], wrong=wrong)
    check(
        values(frame, "many"),
        right=[right[:1], [], right[1:3], right[3:]],
        wrong=[wrong[:1], [], wrong[1:3], wrong[3:]],
    )


@every_engine
def test_columns_of_compounds_are_there_with_all_their_fields(read: Read, tmp_path: Path) -> None:
    """Wrong: the columns are left out, or hold tuples without names, or only the first field."""
    write_compounds(tmp_path / "a.nwb")
    frame = read(tmp_path / "a.nwb", "/processing/compounds/table")
    assert {"pixel", "pixel_mask", "nested", "mixed"} <= set(frame.columns)
    with h5py.File(tmp_path / "a.nwb") as file:
        stored = file["processing/compounds/table/pixel"][:]
    right = [dict(zip(stored.dtype.names, row, strict=True)) for row in stored.tolist()]
    check(values(frame, "pixel"), right=right, wrong=[list(row) for row in stored.tolist()])
    check([len(row) for row in values(frame, "pixel_mask")], right=[0, 2, 4], wrong=[1, 1, 1])


# --- ragged by name ---------------------------------------------------------------------------------


@every_engine
def test_scalar_columns_named_as_a_column_and_its_index_stay_scalar(read: Read, tmp_path: Path) -> None:
    """Wrong: ``block`` as lists that end where ``block_index`` says, and no column ``block_index``."""
    block, index = [7, 8, 9, 10], [0, 1, 3, 4]
    with new_file(tmp_path / "a.nwb") as file:
        add_table(file, TABLE, {"block": np.array(block), "block_index": np.array(index, "u1"), "x": np.arange(4)})
    frame = read(tmp_path / "a.nwb", f"/{TABLE}")
    wrong = [block[start:stop] for start, stop in zip([0, *index], index, strict=False)]
    check(values(frame, "block"), right=block, wrong=wrong)
    check(values(frame, "block_index"), right=index, wrong=wrong)


@every_engine
def test_an_index_by_another_name_makes_a_column_ragged(read: Read, tmp_path: Path) -> None:
    """Wrong: ragged by the name of the index, so that the lists have the ends of another column."""
    with new_file(tmp_path / "a.nwb") as file:
        group = add_table(file, TABLE, {"x": np.arange(5.0), "x_index": np.array([5, 5, 5], "u1")}, n_rows=3)
        add_index(group, "x", [2, 2, 5], name="ends_of_x")
    frame = read(tmp_path / "a.nwb", f"/{TABLE}")
    check(values(frame, "x"), right=[[0.0, 1.0], [], [2.0, 3.0, 4.0]], wrong=[[0.0, 1.0, 2.0, 3.0, 4.0], [], []])
    assert values(frame, "x_index") == [5, 5, 5]


# --- types that differ between files ----------------------------------------------------------------


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 0, 1]])
@every_engine
def test_floats_stay_floats_where_another_file_has_integers(read: Read, order: list[int], tmp_path: Path) -> None:
    """Wrong: floats cut to integers, and NaN and the missing as 0 or the least integer."""
    parts: list[list[float | None]] = [[1.0, 3.0], [0.5, NAN], [None, None]]
    write_column(tmp_path / "0.nwb", np.array([1, 3], "i4"))
    write_column(tmp_path / "1.nwb", np.array(parts[1]))
    write_column(tmp_path / "2.nwb")
    frame = read([tmp_path / f"{number}.nwb" for number in order], "/t")
    found = [NAN if value is None else value for value in values(frame, "x")]
    right = [NAN if value is None else value for number in order for value in parts[number]]
    check(found, right=right, wrong=[0.0 if value != value else float(int(value)) for value in right])  # noqa: PLR0124  # NaN


@every_engine
def test_integers_beside_a_file_without_the_column_stay_exact(read: Read, tmp_path: Path) -> None:
    """Wrong: integers as floats, so that large ones are rounded, and 0 or NaN for what is absent."""
    large = 2**53 + 1
    write_column(tmp_path / "0.nwb", np.array([large, 1]))
    write_column(tmp_path / "1.nwb")
    frame = read([tmp_path / "0.nwb", tmp_path / "1.nwb"], "/t")
    check(values(frame, "x"), right=[large, 1, None, None], wrong=[int(float(large)), 1, None, None])


# --- tables of the same short name ------------------------------------------------------------------


def write_namesakes(folder: Path) -> Path:
    """Write a file with two tables that end in the same name, and return its path."""
    with new_file(folder / "a.nwb") as file:
        add_table(file, "processing/left/licks", {"x": np.array([1, 2])})
        add_table(file, "processing/right/licks", {"x": np.array([3])})
    return folder / "a.nwb"


@every_engine
def test_tables_of_one_short_name_are_two(read: Read, tmp_path: Path) -> None:
    """Wrong: the rows of the last one for both."""
    path = write_namesakes(tmp_path)
    check(values(read(path, "/processing/left/licks"), "x"), right=[1, 2], wrong=[3])
    frame = read(path, "/processing/*/licks")
    check(values(frame, "x"), right=[1, 2, 3], wrong=[3])
    assert values(frame, "_table_path") == ["/processing/left/licks"] * 2 + ["/processing/right/licks"]


def test_sql_has_both_tables_of_one_short_name_and_refuses_the_short_one(tmp_path: Path) -> None:
    """Wrong: the short name stands for one of them, and the other is gone."""
    path = write_namesakes(tmp_path)
    left = nwb_dask.sql('SELECT x FROM "/processing/left/licks"', path, eager=True)
    check(values(left, "x"), right=[1, 2], wrong=[3])
    with pytest.raises(PathNotFoundError, match=r"/processing/left/licks.*/processing/right/licks"):
        nwb_dask.sql("SELECT x FROM licks", path, eager=True)


PARQUET: Mapping[str, Callable[[Path], Any]] = {
    "dask": lambda path: dd.read_parquet(path).compute(scheduler="sync"),
    "polars": pl.read_parquet,
    "pandas": pd.read_parquet,
}


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # dask 2026.8 with pandas 3.1
@pytest.mark.parametrize("layout", ["one", "hive"])
@pytest.mark.parametrize("read_parquet", PARQUET.values(), ids=PARQUET.keys())
def test_converted_tables_of_one_short_name_do_not_overwrite_one_another(
    read_parquet: Callable[[Path], Any], layout: Any, tmp_path: Path
) -> None:
    """Wrong: one output for both, with the rows of the last one; also where dots make full paths alike."""
    path = write_namesakes(tmp_path)
    with h5py.File(path, "a") as file:
        add_table(file, "processing/left.licks", {"x": np.array([4])})
        add_table(file, "processing/Left/licks", {"x": np.array([5])})
    tables = ["/processing/*", "/processing/*/*"]
    nwb_dask.convert(path, tmp_path / "out", layout=layout, tables=tables, progress=False)
    found = {}
    for part in sorted((tmp_path / "out").rglob("*.parquet")):
        frame = read_parquet(part)
        found[values(frame, "_table_path")[0]] = values(frame, "x")
    right = {
        "/processing/left/licks": [1, 2],
        "/processing/right/licks": [3],
        "/processing/left.licks": [4],
        "/processing/Left/licks": [5],
    }
    check(found, right=right, wrong={"/processing/right/licks": [3]})


# --- stale rows -------------------------------------------------------------------------------------


SECOND = 1_700_000_000


def write_version(path: Path, rows: list[int], *, nanoseconds: int) -> int:
    """Write a table in place of the file at `path`, in one and the same second; return its size."""
    write_column(path, np.array(rows))
    moment = SECOND * 10**9 + nanoseconds
    os.utime(path, ns=(moment, moment))
    return path.stat().st_size


@every_engine
def test_a_local_file_replaced_within_a_second_by_one_of_the_same_size_is_read_anew(read: Read, tmp_path: Path) -> None:
    """Wrong: the rows that were there before."""
    path = tmp_path / "a.nwb"
    size = write_version(path, [1, 2], nanoseconds=0)
    before = values(read(path, "/t"), "x")
    assert write_version(path, [3, 4], nanoseconds=5_000_000) == size
    assert int(path.stat().st_mtime) == SECOND
    check(values(read(path, "/t"), "x"), right=[3, 4], wrong=before)


@every_engine
def test_a_local_file_replaced_by_renaming_is_read_anew_although_the_times_are_equal(
    read: Read, tmp_path: Path
) -> None:
    """Wrong: the rows that were there before."""
    path, other = tmp_path / "a.nwb", tmp_path / "b.nwb"
    size = write_version(path, [1, 2], nanoseconds=0)
    before = values(read(path, "/t"), "x")
    assert write_version(other, [3, 4], nanoseconds=0) == size
    other.replace(path)
    check(values(read(path, "/t"), "x"), right=[3, 4], wrong=before)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    with RangeServer(tmp_path, etag="strong") as server:
        yield server


@every_engine
def test_a_remote_file_replaced_within_a_second_by_one_of_the_same_size_is_read_anew(
    read: Read, server: RangeServer, tmp_path: Path
) -> None:
    """Wrong: the rows that were there before, because Last-Modified and the size are the same."""
    size = write_version(tmp_path / "a.nwb", [1, 2], nanoseconds=0)
    before = values(read(server.url("a.nwb"), "/t"), "x")
    assert write_version(tmp_path / "a.nwb", [3, 4], nanoseconds=5_000_000) == size
    check(values(read(server.url("a.nwb"), "/t"), "x"), right=[3, 4], wrong=before)


# --- text is text -----------------------------------------------------------------------------------


@every_engine
def test_text_that_is_code_or_looks_like_something_stays_text(read: Read, tmp_path: Path) -> None:
    """Wrong: lists, numbers, dates or None of text that looks like them; and whatever code in it does."""
    harm = tmp_path / "harm"
    words = ["[1, 2, 3]", "{'a': 1}", "None", "1e5", "2024-01-01T00:00:00", "True", "nan", f"open({str(harm)!r}, 'w')"]
    with new_file(tmp_path / "a.nwb") as file:
        group = add_table(file, TABLE, {"words": words})
        ragged = add_column(group, "many", words)
        add_index(group, "many", range(1, 9))
        group.attrs.create("colnames", ["words", "many"], dtype=TEXT)
        group.attrs["description"] = ragged.attrs["description"] = words[-1]
    frame = read(tmp_path / "a.nwb", f"/{TABLE}")
    wrong: list[Any] = [ast.literal_eval(word) for word in words[:4]] + words[4:]
    check(values(frame, "words"), right=words, wrong=wrong)
    check(values(frame, "many"), right=[[word] for word in words], wrong=[[word] for word in wrong])
    assert not harm.exists()


@every_engine
def test_metadata_that_is_code_stays_text(read: Read, tmp_path: Path) -> None:
    """Wrong: a list of what the text says, and whatever code in it does."""
    harm = tmp_path / "harm"
    path = write_session(tmp_path / "a.nwb", n_units=1, n_trials=0, n_samples=0)
    with h5py.File(path, "a") as file:
        file["general"]["notes"] = f"open({str(harm)!r}, 'w')"
        file["general"]["keywords"] = "['a', 'b']"
        file.attrs["nwb_version"] = "__import__('os').abort()"
    frame = read(path, "/general")
    check(values(frame, "keywords"), right=["['a', 'b']"], wrong=[["a", "b"]])
    assert values(frame, "notes") == [f"open({str(harm)!r}, 'w')"]
    for engine in ("pandas", "polars"):
        metadata = nwb_dask.read_metadata(path, engine)
        assert values(metadata, "notes") == values(frame, "notes")
        assert values(metadata, "nwb_version") == ["__import__('os').abort()"]
        check(values(metadata, "keywords"), right=[["['a', 'b']"]], wrong=[["a", "b"]])
    assert nwb_dask.open_nwb(path).notes == values(frame, "notes")[0]
    assert not harm.exists()
