"""pandas frames from Arrow tables: dtypes from the fields alone, values as Arrow and numpy have them."""

from __future__ import annotations

from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from dask.dataframe.extensions import make_array_nonempty
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_dask.adapters.pandas_frame import TEXT_DTYPE, empty_frame, to_pandas
from nwb_dask.adapters.ragged_dtype import NWBArray, NWBDtype
from nwb_dask.errors import SchemaConflictError
from nwb_dask.model import Field

make_array_nonempty.register(NWBDtype)(NWBArray.nonempty)

CATEGORY = pa.dictionary(pa.int32(), pa.string())
NUMBERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
FLOATS = [pa.float16(), pa.float32(), pa.float64()]
NESTED: dict[pa.DataType, list[Any]] = {
    pa.large_list(pa.float64()): [[1.0, np.nan], [], [2.0]],
    pa.list_(pa.float32(), 2): [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
    pa.list_(pa.float64(), 0): [[], [], []],
    pa.list_(pa.list_(pa.list_(pa.float64(), 3))): [[[[1.0, 2.0, 3.0]]], [], [[], []]],
    pa.struct([("x", pa.uint32()), ("name", pa.string())]): [{"x": 1, "name": "a"}] * 3,
    pa.large_list(pa.struct([("x", pa.uint32())])): [[{"x": 1}], [], [{"x": 2}, {"x": 3}]],
    pa.list_(CATEGORY): [["a"], [], ["b", "a"]],
    pa.binary(): [b"a", b"", b"\x00"],
}


def table_of(*arrays: pa.Array | pa.ChunkedArray) -> pa.Table:
    return pa.table(list(arrays), names=[f"c{i}" for i in range(len(arrays))])


def frame_of(array: pa.Array | pa.ChunkedArray, *, nullable: bool = False, **options: Any) -> pd.DataFrame:
    field = Field("c0", array.type, nullable=nullable, **options)
    frame = to_pandas(table_of(array), (field,))
    pd.testing.assert_series_equal(empty_frame((field,)).dtypes, frame.dtypes)
    empty = to_pandas(table_of(array.slice(0, 0)), (field,))
    pd.testing.assert_frame_equal(empty, empty_frame((field,)), check_index_type=False)
    return frame


@pytest.mark.parametrize("type_", NUMBERS, ids=str)
def test_integers_keep_their_width_and_values(type_: pa.DataType) -> None:
    top = np.iinfo(type_.to_pandas_dtype()).max
    frame = frame_of(pa.array([0, top, 1], type_))
    assert frame["c0"].dtype == np.dtype(type_.to_pandas_dtype())
    assert frame["c0"].to_list() == [0, top, 1]


@pytest.mark.parametrize("type_", NUMBERS, ids=str)
def test_nullable_integers_keep_width_values_and_nulls(type_: pa.DataType) -> None:
    top = np.iinfo(type_.to_pandas_dtype()).max
    frame = frame_of(pa.array([None, top, 1], type_), nullable=True)
    assert str(frame["c0"].dtype).lower() == str(type_)
    assert frame["c0"].to_list() == [pd.NA, top, 1]


@pytest.mark.parametrize("nullable", [False, True])
@pytest.mark.parametrize("type_", FLOATS, ids=str)
def test_floats_keep_their_width_and_have_nan_for_null(type_: pa.DataType, *, nullable: bool) -> None:
    frame = frame_of(pa.array([1.5, None, np.nan], type_), nullable=nullable)
    assert frame["c0"].dtype == np.dtype(type_.to_pandas_dtype())
    np.testing.assert_array_equal(frame["c0"].to_numpy(), np.array([1.5, np.nan, np.nan]))


def test_bools_are_numpy_unless_nullable() -> None:
    assert frame_of(pa.array([True, False]))["c0"].dtype == np.dtype(bool)
    nullable = frame_of(pa.array([True, None, False]), nullable=True)["c0"]
    assert nullable.dtype == pd.BooleanDtype()
    assert nullable.to_list() == [True, pd.NA, False]


@pytest.mark.parametrize("nullable", [False, True])
def test_text_is_what_dask_makes_of_text(*, nullable: bool) -> None:
    text = frame_of(pa.array(["a", None, "", "é"]), nullable=nullable)["c0"]
    assert text.to_list() == ["a", pd.NA, "", "é"]
    with dask.config.set({"dataframe.convert-string": True}):
        converted = dd.from_pandas(pd.DataFrame({"c0": ["a", None]}), npartitions=1)
    assert converted["c0"].dtype == text.dtype == TEXT_DTYPE


def test_categories_are_those_of_the_field_in_its_order() -> None:
    values = pa.DictionaryArray.from_arrays(pa.array([1, None, 0], pa.int32()), pa.array(["b", "a"]))
    column = frame_of(values, nullable=True, categories=("c", "a", "b"))["c0"]
    assert list(column.cat.categories) == ["c", "a", "b"]
    assert column.astype(object).to_list()[0] == "a"
    assert column.cat.codes.to_list() == [1, -1, 2]


def test_chunks_with_dictionaries_of_their_own_share_the_categories() -> None:
    chunks = pa.chunked_array([pa.array(["b"]).dictionary_encode(), pa.array(["a", "b"]).dictionary_encode()])
    column = frame_of(chunks, categories=("a", "b"))["c0"]
    assert column.cat.codes.to_list() == [1, 0, 1]


def test_dictionary_without_known_categories_takes_those_it_has() -> None:
    table = table_of(pa.array(["b", "a"]).dictionary_encode())
    column = to_pandas(table, (Field("c0", CATEGORY),))["c0"]
    assert column.to_list() == ["b", "a"]


def test_value_outside_the_categories_is_an_error_that_names_the_column() -> None:
    table = table_of(pa.array(["z"]).dictionary_encode())
    with pytest.raises(SchemaConflictError, match=r"'c0'.*'z'"):
        to_pandas(table, (Field("c0", CATEGORY, categories=("a",)),))


@pytest.mark.parametrize("type_", NESTED, ids=str)
def test_nested_columns_keep_rows_and_type_with_and_without_nulls(type_: pa.DataType) -> None:
    rows = NESTED[type_]
    array = pa.array(rows, type_)
    frame = frame_of(array)
    assert frame["c0"].dtype == NWBDtype(type_)
    assert repr(frame["c0"].array.storage.to_pylist()) == repr(rows)
    nulls = frame_of(pa.nulls(3, type_), nullable=True)
    assert nulls["c0"].isna().all()
    chunked = frame_of(pa.chunked_array([array.slice(1, 2), array.slice(0, 0), array]))
    assert repr(chunked["c0"].array.storage.to_pylist()) == repr(rows[1:] + rows)


def test_unreadable_column_is_an_object_column_of_none() -> None:
    assert frame_of(pa.nulls(2), nullable=True, problem="broken")["c0"].to_list() == [None, None]


def test_nulls_that_no_field_announced_are_an_error() -> None:
    with pytest.raises(SchemaConflictError, match=r"'c0'.*nulls"):
        to_pandas(table_of(pa.array([1, None])), (Field("c0", pa.int64()),))


def test_type_that_is_not_the_planned_one_is_an_error() -> None:
    with pytest.raises(SchemaConflictError, match=r"'c0'.*int64.*double"):
        to_pandas(table_of(pa.array([1])), (Field("c0", pa.float64()),))


def test_columns_come_in_the_order_of_the_fields_under_the_labels_given() -> None:
    table = table_of(pa.array([1, 2]), pa.array([3.0, 4.0]))
    fields = (Field("c1", pa.float64()), Field("c0", pa.int64()))
    frame = to_pandas(table, fields, np.array([7, 9]))
    assert list(frame.columns) == ["c1", "c0"]
    assert frame.index.to_list() == [7, 9]
    assert frame.index.dtype == empty_frame(fields).index.dtype == np.int64


def test_frame_without_columns_keeps_its_rows() -> None:
    assert len(to_pandas(table_of(pa.array([1, 2])), (), np.array([0, 1]))) == 2
    assert empty_frame(()).shape == (0, 0)


def test_frame_can_be_written_to_and_leaves_the_table_as_it_is() -> None:
    values = [
        pa.array([1, 2]),
        pa.array([1.0, 2.0]),
        pa.array([True, False]),
        pa.array(["a", "b"]),
        pa.array([1, None]),
    ]
    table = table_of(*values)
    fields = tuple(Field(f"c{i}", array.type, nullable=i == 4) for i, array in enumerate(values))
    frame = to_pandas(table, fields)
    frame.loc[0, ["c0", "c4"]] = 5
    frame.loc[0, "c1"] = 5.0
    frame.loc[0, "c2"] = False
    frame.loc[0, "c3"] = "z"
    assert [frame[name].iloc[0] for name in frame] == [5, 5.0, False, "z", 5]
    assert table.slice(0, 1).to_pylist() == [{"c0": 1, "c1": 1.0, "c2": True, "c3": "a", "c4": 1}]


def test_every_dtype_survives_a_p2p_shuffle() -> None:
    arrays: list[pa.Array] = [pa.array([i % 3 for i in range(12)])]
    arrays += [pa.array([1, None] * 6, type_) for type_ in (*NUMBERS, *FLOATS)]
    arrays += [pa.array([1, 0] * 6, type_) for type_ in (*NUMBERS, *FLOATS)]
    arrays += [pa.array([True, None] * 6), pa.array([True, False] * 6)]
    arrays += [pa.array(["b", None] * 6), pa.array(["b", None] * 6).dictionary_encode()]
    arrays += [pa.array(rows * 4, type_) for type_, rows in NESTED.items()]
    fields = tuple(
        Field(f"c{i}", a.type, nullable=a.null_count > 0, categories=("c", "b") if a.type == CATEGORY else None)
        for i, a in enumerate(arrays)
    )
    frame = to_pandas(table_of(*arrays), fields)
    cluster = LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0")
    with cluster, Client(cluster):
        shuffled = dd.from_pandas(frame, npartitions=2).shuffle("c0", shuffle_method="p2p").compute()
    pd.testing.assert_series_equal(shuffled.dtypes, frame.dtypes)
    pd.testing.assert_frame_equal(shuffled.sort_index(), frame)


flat_columns = st.one_of(
    st.tuples(st.just(pa.int32()), st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), min_size=6, max_size=6)),
    st.tuples(st.just(pa.uint64()), st.lists(st.none() | st.integers(0, 2**64 - 1), min_size=6, max_size=6)),
    st.tuples(st.just(pa.float32()), st.lists(st.none() | st.floats(width=32), min_size=6, max_size=6)),
    st.tuples(st.just(pa.bool_()), st.lists(st.none() | st.booleans(), min_size=6, max_size=6)),
    st.tuples(st.just(pa.string()), st.lists(st.none() | st.text(max_size=3), min_size=6, max_size=6)),
)


@given(columns=st.lists(flat_columns, max_size=4), start=st.integers(0, 6), cut=st.integers(0, 6))
@settings(deadline=None, max_examples=100)
def test_values_of_sliced_and_chunked_tables_are_those_of_arrow(
    columns: list[tuple[pa.DataType, list[Any]]], start: int, cut: int
) -> None:
    arrays = [pa.array(rows, type_) for type_, rows in columns]
    table = pa.concat_tables([table_of(*arrays).slice(start), table_of(*arrays).slice(0, cut)])
    fields = tuple(Field(f"c{i}", type_, nullable=True) for i, (type_, _) in enumerate(columns))
    frame = to_pandas(table, fields)
    pd.testing.assert_series_equal(empty_frame(fields).dtypes, frame.dtypes)
    for name in table.column_names:
        found = [None if pd.isna(value) else value for value in frame[name].to_list()]
        assert found == [None if pd.isna(value) else value for value in table.column(name).to_pylist()]
