"""The pandas dtype over Arrow storage, checked against lists, numpy and Arrow itself."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_dask.adapters.ragged_dtype import TEXT_DTYPE, NWBArray, NWBDtype
from tests.adapters.ragged_cases import CASES, make, plain, same


def test_list_child_called_element_makes_no_other_dtype() -> None:
    element = pa.list_(pa.field("element", pa.float64(), nullable=False))
    array = NWBArray(pa.array([[1.0], []], element))
    assert array.dtype == NWBDtype("list<double>")
    assert array.storage.type.equals(pa.list_(pa.float64()))


@pytest.mark.parametrize("case", CASES)
def test_rows_survive_the_way_from_elements_and_back(case: str) -> None:
    array = make(case)
    again = NWBArray._from_sequence(list(array), dtype=array.dtype)
    assert same(plain(again), plain(array))
    assert again.equals(array)
    assert array.isna().tolist() == [row is None for row in CASES[case][1]]


@pytest.mark.parametrize("case", CASES)
def test_pickle_keeps_rows_and_dtype(case: str) -> None:
    array = make(case)[1:]
    again = pickle.loads(pickle.dumps(array))
    assert again.dtype == array.dtype
    assert same(plain(again), plain(array))


def test_pickle_of_a_slice_holds_the_slice_alone() -> None:
    array = NWBArray(pa.array([np.arange(1000.0)] * 1000, pa.list_(pa.float64())))
    assert len(pickle.dumps(array[3:5])) < 20_000
    assert array[3:5].nbytes < 20_000


def test_elements_of_lists_are_arrays_of_the_stored_dtype() -> None:
    for case, dtype in {"list": "f8", "uint64": "u8", "bool": "?", "halffloat": "f2", "text": "O"}.items():
        element = make(case)[0]
        assert isinstance(element, np.ndarray)
        assert element.dtype == np.dtype(dtype)
        assert same(element.tolist(), CASES[case][1][0])
    assert make("list")[1] is pd.NA
    assert make("list")[-1].tolist() == [2.0]


def test_elements_of_fixed_shapes_are_nd_arrays() -> None:
    assert make("fixed")[2].tolist() == [4, 5, 6]
    assert make("tensor")[2].shape == (2, 2)
    assert make("tensor")[2].dtype == np.int16
    assert make("empty fixed")[0].shape == (0,)


def test_elements_of_ragged_ragged_columns_are_lists_of_arrays() -> None:
    element = make("double ragged")[0]
    assert [part.tolist() for part in element] == [[1.0], [], [2.0, 3.0]]
    waveforms = make("ragged waveforms")[0]
    assert [part.shape for part in waveforms] == [(1, 3), (0, 3)]


def test_elements_of_structs_are_dicts_and_of_lists_of_structs_structured_arrays() -> None:
    assert make("struct")[2] == {"x": 2**32 - 1, "y": 0, "weight": 1.0}
    mask = make("pixel mask")[0]
    assert mask.dtype == np.dtype([("x", "u4"), ("weight", "f4")])
    assert mask["x"].tolist() == [1, 2]


def test_nulls_inside_integers_do_not_turn_them_into_floats() -> None:
    array = NWBArray(pa.array([[2**63 + 1, None]], pa.list_(pa.uint64())))
    assert array[0].tolist() == [2**63 + 1, None]


def test_numbers_of_an_element_are_a_view_of_the_arrow_memory() -> None:
    values = pa.array(np.arange(10.0))
    array = NWBArray(pa.ListArray.from_arrays(pa.array([0, 4, 10], pa.int32()), values))
    assert np.shares_memory(array[1], values.to_numpy())
    assert np.shares_memory(array[1:][0], values.to_numpy())


@pytest.mark.parametrize("case", CASES)
def test_indexing_is_that_of_a_list(case: str) -> None:
    array, rows = make(case), plain(make(case))
    assert same(plain(array[1:3]), rows[1:3])
    assert same(plain(array[::-2]), rows[::-2])
    assert same(plain(array[[3, -4]]), [rows[3], rows[0]])
    assert same(plain(array[np.array([True, False, True, True])]), [rows[0], rows[2], rows[3]])
    assert same(plain(array[pd.array([True, None, False, True], dtype="boolean")]), [rows[0], rows[3]])
    assert len(array[:0]) == len(array[[]]) == 0
    with pytest.raises(IndexError):
        array[4]


@pytest.mark.parametrize("case", CASES)
def test_concatenated_chunks_and_slices_of_them_are_the_rows_in_order(case: str) -> None:
    array, rows = make(case), plain(make(case))
    joined = NWBArray._concat_same_type([array[2:], array[:0], array[:3], array])
    expected = rows[2:] + rows[:3] + rows
    assert same(plain(joined), expected)
    assert joined.equals(NWBArray(pa.array(expected, array.dtype.arrow_type)))
    assert same(plain(joined[1:8]), expected[1:8])
    assert same(plain(joined.take([8, -1, 0], allow_fill=True)), [expected[8], None, expected[0]])
    assert same(plain(NWBArray._from_sequence(list(joined), dtype=joined.dtype)), expected)


rows_of_numbers = st.lists(st.none() | st.lists(st.floats(width=32), max_size=4), max_size=8)


@given(parts=st.lists(rows_of_numbers, min_size=1, max_size=4), data=st.data())
@settings(deadline=None, max_examples=150)
def test_take_concat_and_slice_agree_with_python_lists(parts: list[list[Any]], data: st.DataObject) -> None:
    dtype = NWBDtype("list<float>")
    array = NWBArray._concat_same_type([NWBArray._from_sequence(part, dtype=dtype) for part in parts])
    rows = [row for part in parts for row in part]
    cut = data.draw(st.slices(len(rows)))
    assert same(plain(array[cut]), rows[cut])
    array, rows = array[cut], rows[cut]
    picks = data.draw(st.lists(st.integers(-1, len(rows) - 1), max_size=6)) if rows else [-1]
    assert same(plain(array.take(picks, allow_fill=True)), [None if i < 0 else rows[i] for i in picks])
    mask = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    assert same(plain(array[np.array(mask, bool)]), [row for row, keep in zip(rows, mask, strict=True) if keep])
    assert array.isna().tolist() == [row is None for row in rows]
    lengths = pd.Series(array).nwb.lengths()
    assert lengths.fillna(-1).tolist() == [-1 if row is None else len(row) for row in rows]
    exploded = pd.Series(array).explode()
    expected = pd.Series([[None] if row is None else row for row in rows], dtype=object).explode()
    assert exploded.index.tolist() == expected.index.tolist()
    np.testing.assert_array_equal(exploded.to_numpy(), expected.to_numpy(dtype=np.float32, na_value=np.nan))


def test_take_fills_with_a_value_and_checks_bounds() -> None:
    array = make("list")
    assert plain(array.take([0, -1], allow_fill=True, fill_value=[9.0]))[1] == [9.0]
    with pytest.raises(ValueError, match="allow_fill"):
        array.take([-2], allow_fill=True)
    with pytest.raises(IndexError, match="bounds"):
        array.take([4])
    with pytest.raises(IndexError, match="non-empty take"):
        array[:0].take([0])


@pytest.mark.parametrize("case", CASES)
def test_assignment_changes_the_rows_it_names_and_no_other_array(case: str) -> None:
    array, rows = make(case), plain(make(case))
    before = array.copy()
    array[0] = array[3]
    array[[1, 2]] = array[[3, 3]]
    assert same(plain(array), [rows[3]] * 4)
    array[:] = None
    assert array.isna().all()
    assert same(plain(before), rows)
    with pytest.raises(ValueError, match="cannot set"):
        before[[0, 1]] = before[[0, 1, 2]]


def test_equality_of_whole_arrays_takes_nan_as_equal_and_null_as_null() -> None:
    rows = [[1.0, np.nan], None, []]
    type_ = pa.large_list(pa.float64())
    assert NWBArray(pa.array(rows, type_)).equals(NWBArray(pa.array(rows, type_)))
    assert not NWBArray(pa.array(rows, type_)).equals(NWBArray(pa.array([[1.0, np.nan], [], []], type_)))
    assert not NWBArray(pa.array([[1.0], [2.0, 3.0]], type_)).equals(NWBArray(pa.array([[1.0, 2.0], [3.0]], type_)))
    frame = pd.DataFrame({"x": NWBArray(pa.array(rows, type_))})
    pd.testing.assert_frame_equal(frame, frame.copy())


REFUSED: dict[str, Callable[[pd.Series], object]] = {
    "equality": lambda x: x == x.copy(),
    "order": lambda x: x < 1,
    "arithmetic": lambda x: x + 1,
    "sum": lambda x: x.sum(),
    "maximum": lambda x: x.max(),
    "unique": lambda x: x.unique(),
    "value_counts": lambda x: x.value_counts(),
    "isin": lambda x: x.isin([1.0]),
    "sorting": lambda x: x.sort_values(),
    "text": lambda x: x.astype(str),
    "drop_duplicates": lambda x: x.drop_duplicates(),
    "frame drop_duplicates": lambda x: pd.DataFrame({"x": x, "y": range(4)}).drop_duplicates(),
    "groupby": lambda x: pd.DataFrame({"x": x}).groupby("x").size(),
    "merge": lambda x: pd.DataFrame({"x": x}).merge(pd.DataFrame({"x": x}), on="x"),
    "hash": pd.util.hash_pandas_object,
    "contains": lambda x: 1.0 in x.array,
    "searchsorted": lambda x: x.array.searchsorted([1.0]),
}


@pytest.mark.parametrize("action", REFUSED)
def test_what_has_no_meaning_for_ragged_rows_is_refused(action: str) -> None:
    with pytest.raises(TypeError, match=r"nwb\[list<double>\]|not supported between|unsupported operand"):
        REFUSED[action](pd.Series(make("list")))


def test_interpolation_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="NWBArray"):
        pd.Series(make("list")).interpolate()


def test_binary_columns_can_be_grouped_and_sorted() -> None:
    frame = pd.DataFrame({"key": NWBArray(pa.array([b"b", b"a", None, b"b"])), "n": [1, 2, 3, 4]})
    assert frame.groupby("key")["n"].sum().to_list() == [2, 5]
    assert frame.sort_values("key")["n"].to_list() == [2, 1, 4, 3]
    assert frame.drop_duplicates("key")["n"].to_list() == [1, 2, 3]
    assert frame["key"].isin([b"a"]).to_list() == [False, True, False, False]
    assert frame["key"].value_counts().to_dict() == {b"b": 2, b"a": 1}
    assert list(frame["key"].unique()) == [b"b", b"a", pd.NA]


@pytest.mark.parametrize("case", CASES)
def test_frames_can_be_sorted_grouped_and_joined_by_another_column(case: str) -> None:
    rows = plain(make(case))
    frame = pd.DataFrame({"key": [2, 1, 1, 3], "x": make(case)})
    assert same(plain(frame.sort_values("key", kind="stable")["x"].array), [rows[1], rows[2], rows[0], rows[3]])
    joined = pd.DataFrame({"key": [1, 4]}).merge(frame, on="key", how="left")
    assert same(plain(joined["x"].array), [rows[1], rows[2], None])
    assert pd.concat([frame, frame[:0], frame])["x"].dtype == frame["x"].dtype
    assert frame.groupby("key")["x"].first().dtype in {frame["x"].dtype, np.dtype(object)}
    assert frame.reindex([0, 9])["x"].isna().tolist() == [False, True]
    assert frame["x"].map(lambda value: 1, na_action="ignore").notna().sum() == 3


def test_explode_gives_numbers_and_a_null_for_an_empty_list() -> None:
    exploded = pd.Series(make("list"), index=list("abcd")).explode()
    assert exploded.dtype == np.float64
    assert exploded.index.tolist() == ["a", "a", "b", "c", "d"]
    np.testing.assert_array_equal(exploded.to_numpy(), [1.5, np.nan, np.nan, np.nan, 2.0])
    assert pd.Series(make("uint64")).explode().dtype == pd.UInt64Dtype()
    assert pd.Series(make("uint64")).explode().iloc[1] == 2**64 - 1


def test_dtype_of_exploded_values_depends_on_the_type_alone() -> None:
    for case in CASES:
        array = make(case)
        dtype = pd.Series(array).explode().dtype
        assert pd.Series(array[:0]).explode().dtype == dtype
        assert pd.Series(array[1:2]).explode().dtype == dtype
    assert pd.Series(make("text")).explode().dtype == TEXT_DTYPE
    assert pd.Series(make("dictionary")).explode().dtype == TEXT_DTYPE
    assert pd.Series(make("double ragged")).explode().dtype == NWBDtype("large_list<double>")
    assert pd.Series(make("pixel mask")).explode().dtype == NWBDtype("struct<x: uint32, weight: float>")


def test_frame_explodes_next_to_its_other_columns() -> None:
    frame = pd.DataFrame({"id": [7, 8, 9, 10], "spike_times": make("large_list")}).explode("spike_times")
    assert frame["id"].tolist() == [7, 8, 9, 10, 10]
    assert frame["spike_times"].dtype == np.float64


def test_accessor_counts_and_flattens_lists_of_any_kind() -> None:
    series = pd.Series(make("list"), index=list("abcd"), name="x")
    expected = pd.Series([2, None, 0, 1], index=list("abcd"), dtype="Int64", name="x")
    pd.testing.assert_series_equal(series.nwb.lengths(), expected)
    assert list(series.nwb.flatten().index) == ["a", "a", "d"]
    assert pd.Series(make("fixed")).nwb.lengths().tolist() == [3, pd.NA, 3, 3]
    chunked = NWBArray(pa.chunked_array([[[1.0]], [[2.0, 3.0], None]], pa.list_(pa.float64())))
    assert pd.Series(chunked).nwb.flatten().tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(AttributeError, match=r"\.nwb is for columns of lists"):
        _ = pd.Series([1]).nwb


def test_repr_of_a_long_row_is_short() -> None:
    long = NWBArray(pa.array([np.arange(100_000) / 3, np.arange(2.0)], pa.list_(pa.float64())))
    assert len(repr(pd.Series(long))) < 200
    assert "100000" in repr(pd.Series(long))
    waveforms = NWBArray(pa.array([np.zeros((40, 8)).tolist()], pa.list_(pa.list_(pa.float32(), 8), 40)))
    assert "<40x8 float32>" in repr(pd.Series(waveforms))
    for case in CASES:
        assert len(repr(pd.DataFrame({"x": make(case)}))) < 400
        assert "nwb[" in repr(make(case))


def test_object_array_of_rows_of_equal_length_stays_one_dimensional() -> None:
    assert np.asarray(make("fixed")).shape == (4,)
    assert make("fixed").to_numpy().dtype == object


def test_samples_have_no_nulls_and_no_empty_lists() -> None:
    for type_, _ in CASES.values():
        sample = NWBArray.nonempty(NWBDtype(type_))
        assert len(sample) == 2
        assert not sample.isna().any()


def test_token_depends_on_rows_and_not_on_chunks() -> None:
    array = make("list")
    chunked = NWBArray._concat_same_type([array[:1], array[1:]])
    assert array.__dask_tokenize__() == chunked.__dask_tokenize__()
    assert array.__dask_tokenize__() != array[::-1].__dask_tokenize__()


def test_mapping_no_rows_gives_what_can_be_compared_and_cast() -> None:
    lengths = pd.Series(make("list")[:0]).map(len)
    assert (lengths > 1).tolist() == lengths.astype("int64").tolist() == []


def test_slices_of_fixed_shapes_can_be_picked_from() -> None:
    numbers = np.arange(9 * 12.0).reshape(9, 4, 3)
    whole = NWBArray(pa.array(numbers.tolist(), pa.list_(pa.list_(pa.float64(), 3), 4)))
    for part in (whole[6:], NWBArray(whole.storage.chunk(0).slice(6)), pd.Series(whole).tail(3).array):
        assert np.array_equal(np.stack(list(part.take([2, 0]))), numbers[[8, 6]])
        assert np.array_equal(np.stack(list(part[np.array([False, True, True])])), numbers[7:])
        assert np.array_equal(np.stack(list(pd.Series(part).sort_index(ascending=False))), numbers[:5:-1])
    lists = pd.Series(NWBArray(pa.array([[], numbers[0].tolist(), []], pa.list_(pa.list_(pa.float64(), 3)))))
    assert lists[1:].explode().isna().tolist() == [False] * 4 + [True]


def test_exploded_slices_of_waveforms_are_those_of_their_rows() -> None:
    numbers = np.arange(6 * 12.0).reshape(6, 4, 3)
    type_ = pa.list_(pa.list_(pa.list_(pa.float64(), 3), 4))
    series = pd.Series(NWBArray(pa.array([numbers[:3].tolist(), numbers[3:].tolist(), []], type_)))
    exploded = series[1:].explode()
    assert np.array_equal(np.stack(list(exploded.iloc[:-1])), numbers[3:])
    assert exploded.isna().tolist() == [False, False, False, True]
