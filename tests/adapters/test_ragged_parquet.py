"""Ragged columns in Parquet: readers that know the dtype get it back, all others get lists."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from dask.dataframe.extensions import make_array_nonempty
from pandas.api.types import pandas_dtype

from nwb_dask.adapters.ragged_dtype import NWBArray, NWBDtype
from tests.adapters.ragged_cases import CASES, make, plain, same

make_array_nonempty.register(NWBDtype)(NWBArray.nonempty)

# dask 2026.8.0 writes partitions with set_index(inplace=True), which pandas 3.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")

# Arrow reads no fixed-size lists of no elements back from Parquet where a row is null.
STORABLE = [case for case in CASES if case != "empty fixed"]

NUMPY_NAMES = {
    "large_list": "object,float64",
    "tensor": "object,int16",
    "struct": "object,uint32,uint32,float32",
    "odd names": "object,int8,str",
    "dictionary": "object,str",
    "fixed binary": "object,bytes",
    "bool": "object,bool",
    "no values": "object,object",
}

READ_ELSEWHERE = """
import sys
import warnings
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq

path = sys.argv[1]
frames = {
    "pandas": pd.read_parquet(path),
    "dask": dd.read_parquet(path).compute(),
    "dask with arrow": dd.read_parquet(path, filesystem="arrow").compute(),
}
as_arrow = pq.read_table(path)

def same(row, value):
    if value is None:
        return row is None
    if isinstance(value, dict):
        return row.keys() == value.keys() and all(same(row[key], value[key]) for key in value)
    if isinstance(value, list):
        assert isinstance(row, np.ndarray), row
        return len(row) == len(value) and all(map(same, row, value))
    return row == value or (row != row and value != value)

for how, frame in frames.items():
    frame = frame.sort_values("id")  # with filesystem="arrow" dask reads files in the order they are listed in
    assert list(frame.columns) == as_arrow.column_names, how
    for column in as_arrow.column_names:
        assert column == "id" or frame[column].dtype == object, (how, column)
        assert all(map(same, frame[column], as_arrow[column].to_pylist())), (how, column)
assert repr(pl.read_parquet(path).to_dict(as_series=False)) == repr(as_arrow.to_pydict())
assert not any(name.partition(".")[0] == "nwb_dask" for name in sys.modules)
print("read", *frames)
"""


def storable_frame() -> pd.DataFrame:
    return pd.DataFrame({"id": range(4), **{case: make(case) for case in STORABLE}})


@pytest.mark.parametrize("writer", ["pandas", "dask"])
def test_parquet_is_read_where_this_package_is_not_imported(writer: str, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    if writer == "pandas":
        storable_frame().to_parquet(path)
    else:
        dd.from_pandas(storable_frame(), npartitions=2).to_parquet(path, write_index=False)
    command = [sys.executable, "-W", "ignore", "-c", READ_ELSEWHERE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("read pandas dask dask with arrow\n", "")


@pytest.mark.parametrize("case", STORABLE)
def test_parquet_is_read_back_by_pandas_dask_and_polars(case: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": [0, 1, 2, 3], "x": make(case)})
    path = tmp_path / "table.parquet"
    frame.to_parquet(path)
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame)
    pd.testing.assert_frame_equal(dd.read_parquet(path).compute(), frame)
    assert same([None if row is None else row for row in pl.read_parquet(path)["x"].to_list()], plain(make(case)))


def test_dask_writes_and_appends_parquet_that_keeps_the_dtype(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": range(4), "x": make("large_list")})
    lazy = dd.from_pandas(frame, npartitions=2)
    lazy.to_parquet(tmp_path / "out", write_index=False)
    lazy.to_parquet(tmp_path / "out", write_index=False, append=True, ignore_divisions=True)
    again = dd.read_parquet(tmp_path / "out")
    assert again.dtypes.equals(frame.dtypes)
    both = pd.concat([frame, frame], ignore_index=True)
    pd.testing.assert_frame_equal(again.compute().reset_index(drop=True), both)


def test_dask_needs_an_astype_where_arrow_is_the_filesystem(tmp_path: Path) -> None:
    frame = storable_frame()
    frame.to_parquet(tmp_path / "table.parquet")
    # dask takes the dtypes from the pandas metadata and reads the rows without it: true of every extension dtype.
    again = dd.read_parquet(tmp_path / "table.parquet", filesystem="arrow")
    assert again.dtypes.equals(frame.dtypes)
    assert set(again[STORABLE].compute().dtypes) == {np.dtype(object)}
    pd.testing.assert_frame_equal(again.astype(again.dtypes.to_dict()).compute(), frame)


def test_binary_index_is_read_back(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": [1, 2, 3]}, index=pd.Index(NWBArray(pa.array([b"b", b"a", b"c"])), name="key"))
    frame.to_parquet(tmp_path / "table.parquet")
    again = pd.read_parquet(tmp_path / "table.parquet")
    assert list(again.index) == list(frame.index)


def test_feather_keeps_the_dtype(tmp_path: Path) -> None:
    storable_frame().to_feather(tmp_path / "table.feather")
    pd.testing.assert_frame_equal(pd.read_feather(tmp_path / "table.feather"), storable_frame())


@pytest.mark.parametrize("case", CASES)
def test_name_in_files_is_one_that_numpy_parses_and_pandas_has_no_column_of(case: str) -> None:
    dtype = make(case).dtype
    assert str(dtype).startswith("object,")
    assert NUMPY_NAMES.get(case, str(dtype)) == str(dtype)
    assert np.dtype(str(dtype)).kind == "V"


def test_messages_and_footers_show_the_whole_type() -> None:
    series = pd.Series(make("large_list"))
    assert f"{series.dtype:>24}|{series.dtype!r}" == " nwb[large_list<double>]|nwb[large_list<double>]"
    assert repr(series).endswith("dtype: nwb[large_list<double>]")
    assert repr(pd.DataFrame({"x": series}).dtypes).splitlines()[0] == "x    object,float64"


def test_name_in_files_stands_for_any_nested_dtype_of_the_rows() -> None:
    series = pd.Series(make("pixel mask"))
    for name in (str(series.dtype), "object,float64"):
        assert series.astype(pandas_dtype(name)).dtype == series.dtype
    assert pd.Series([[1.5], None], dtype=pandas_dtype("object,float64")).dtype == NWBDtype("list<double>")


@pytest.mark.parametrize("name", ["object", "object,", "object, float64", "object,<f8", "float64,object", "O,O"])
def test_other_names_of_objects_are_left_to_numpy(name: str) -> None:
    assert isinstance(pandas_dtype(name), np.dtype)


def test_rows_cannot_be_made_with_a_flat_dtype() -> None:
    with pytest.raises(TypeError, match="cannot have the dtype int64"):
        NWBArray._from_sequence([[1]], dtype="int64")
