from __future__ import annotations

import pyarrow as pa
import pytest

from nwb_dask.errors import SchemaConflictError
from nwb_dask.model import Field
from nwb_dask.model.arrow_types import CATEGORY
from nwb_dask.read.conform import conform

FIXED = pa.array([[1, 2], [3, 4]], pa.list_(pa.int16(), 2))


@pytest.mark.parametrize(
    ("values", "target"),
    [
        (pa.array([1, 2], pa.uint8()), pa.int64()),
        (pa.array([1, 2], pa.int64()), pa.float64()),
        (pa.array([1, 2], pa.uint64()), pa.int64()),
        (FIXED, pa.large_list(pa.int32())),
        (FIXED, pa.list_(pa.float64(), 2)),
        (FIXED[1:], pa.large_list(pa.int16())),
        (pa.array([[1], []], pa.large_list(pa.int8())), pa.large_list(pa.int64())),
        (pa.array([None, None], pa.null()), pa.large_list(pa.int64())),
        (pa.array([1.5, float("nan")], pa.float16()), pa.float64()),
    ],
)
def test_conforming_changes_the_type_and_no_value(values: pa.Array, target: pa.DataType) -> None:
    result = conform(values, Field("x", target))
    assert result.type == target
    assert repr(result.to_pylist()) == repr(pa.array(values.to_pylist(), target).to_pylist())


def test_a_plain_value_becomes_a_list_of_one() -> None:
    assert conform(pa.array(["a", "b"]), Field("x", pa.large_list(pa.string()))).to_pylist() == [["a"], ["b"]]


def test_a_struct_gets_the_missing_fields_as_null() -> None:
    target = pa.struct([("a", pa.int64()), ("b", pa.string())])
    values = pa.array([{"a": 1}], pa.struct([("a", pa.int8())]))
    assert conform(values, Field("x", target)).to_pylist() == [{"a": 1, "b": None}]


def test_codes_are_renumbered_to_the_categories_of_all_files() -> None:
    values = pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int32()), pa.array(["v", "w"]))
    result = conform(values, Field("x", CATEGORY, categories=("u", "v", "w")))
    assert result.to_pylist() == ["w", "v"]
    assert result.dictionary.to_pylist() == ["u", "v", "w"]


@pytest.mark.parametrize(
    ("values", "target"),
    [
        (pa.array([2**64 - 1], pa.uint64()), pa.int64()),
        (pa.array([2**53 + 1], pa.int64()), pa.float64()),
        (pa.array(["a"]), pa.int64()),
        (pa.array([300], pa.int64()), pa.int8()),
    ],
)
def test_a_value_that_does_not_fit_is_an_error_with_the_way_out(values: pa.Array, target: pa.DataType) -> None:
    with pytest.raises(SchemaConflictError, match="schema_overrides"):
        conform(values, Field("x", target))
