"""Names of nested dtypes: what pandas writes into metadata is what it can read."""

from __future__ import annotations

import pickle

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_dask.adapters.ragged_dtype import NWBArray, NWBDtype
from tests.adapters.ragged_cases import CASES

STAMP = pa.timestamp("us", "Europe/Berlin")
NAMES = {
    "list<double>": pa.list_(pa.float64()),
    "large_list<list<fixed_size_list<halffloat>[3]>>": pa.large_list(pa.list_(pa.list_(pa.float16(), 3))),
    "struct<x: uint32, y: uint32, weight: float>": CASES["struct"][0],
    "list<dictionary<int32, string>>": CASES["dictionary"][0],
    "list<dictionary<int8, string, ordered>>": pa.list_(pa.dictionary(pa.int8(), pa.string(), ordered=True)),
    'struct<"a b": int8, c: timestamp[us, "Europe/Berlin"]>': pa.struct([("a b", pa.int8()), ("c", STAMP)]),
    "struct<>": pa.struct([]),
    "fixed_size_binary[16]": pa.binary(16),
    "fixed_size_list<duration[ns]>[0]": pa.list_(pa.duration("ns"), 0),
    "list<timestamp[ms]>": pa.list_(pa.timestamp("ms")),
}


@pytest.mark.parametrize("name", NAMES)
def test_name_of_a_dtype_is_parsed_back(name: str) -> None:
    dtype = NWBDtype(NAMES[name])
    assert dtype.name == f"nwb[{name}]"
    assert pd.api.types.pandas_dtype(dtype.name) == dtype
    assert NWBDtype.construct_from_string(dtype.name).arrow_type.equals(NAMES[name])


@pytest.mark.parametrize("case", CASES)
def test_dtype_of_every_case_has_a_name_and_pickles_to_itself(case: str) -> None:
    dtype = NWBDtype(CASES[case][0])
    again = pickle.loads(pickle.dumps(dtype))
    assert again == dtype == NWBDtype.construct_from_string(dtype.name)
    assert hash(again) == hash(dtype)


nested_types = st.recursive(
    st.sampled_from([pa.float64(), pa.uint8(), pa.string(), pa.bool_(), pa.binary(), pa.float16(), STAMP]),
    lambda children: st.one_of(
        children.map(pa.list_),
        children.map(pa.large_list),
        st.builds(pa.list_, children, st.integers(0, 4)),
        st.dictionaries(st.text(min_size=1, max_size=5), children, max_size=3).map(
            lambda d: pa.struct(list(d.items()))
        ),
    ),
    max_leaves=5,
).filter(pa.types.is_nested)


@given(nested_types)
@settings(deadline=None, max_examples=200)
def test_any_nested_type_survives_its_name(type_: pa.DataType) -> None:
    assert NWBDtype.construct_from_string(NWBDtype(type_).name).arrow_type.equals(type_)


@pytest.mark.parametrize(
    "name",
    [
        "nwb[double]",
        "nwb[list<>]",
        "nwb[list<double]",
        "nwb[list<double>>]",
        "nwb[lost<double>]",
        "nwb[]",
        "int64",
        "nwb",
        3,
    ],
)
def test_other_names_are_refused_with_a_type_error(name: object) -> None:
    with pytest.raises(TypeError):
        NWBDtype.construct_from_string(name)


def test_flat_and_unknown_arrow_types_are_refused() -> None:
    for type_ in (pa.int64(), pa.string(), pa.map_(pa.string(), pa.int8())):
        with pytest.raises(TypeError, match="nwb"):
            NWBDtype(type_)


@pytest.mark.parametrize("name", NAMES)
def test_samples_have_no_nulls(name: str) -> None:
    sample = NWBArray.nonempty(NWBDtype(NAMES[name]))
    assert len(sample) == 2
    assert not sample.isna().any()
