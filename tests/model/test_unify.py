from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from nwb_dask.errors import SchemaConflictError
from nwb_dask.model import Field, parse_type, unify_fields
from nwb_dask.model.arrow_types import CATEGORY
from nwb_dask.model.unify import common_type


def unify(*types: pa.DataType, n_files: int | None = None) -> Field:
    found = [(f"{number}.nwb", Field("x", item)) for number, item in enumerate(types)]
    return unify_fields("x", found, n_files=n_files or len(types))


POINT = pa.struct([("x", pa.float32())])


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (pa.int8(), pa.int32(), pa.int32()),
        (pa.uint8(), pa.int8(), pa.int16()),
        (pa.uint64(), pa.int64(), pa.int64()),
        (pa.int16(), pa.float32(), pa.float64()),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.bool_(), pa.uint8(), pa.uint8()),
        (CATEGORY, pa.string(), pa.string()),
        (pa.list_(pa.float32(), 3), pa.list_(pa.float32(), 4), pa.large_list(pa.float32())),
        (pa.list_(pa.int8(), 3), pa.list_(pa.int16(), 3), pa.list_(pa.int16(), 3)),
        (pa.string(), pa.large_list(pa.string()), pa.large_list(pa.string())),
        (POINT, pa.struct([("y", pa.int8())]), pa.struct([("x", pa.float32()), ("y", pa.int8())])),
        (pa.null(), pa.int8(), pa.int8()),
    ],
)
def test_files_that_disagree_get_a_type_that_holds_both(
    left: pa.DataType, right: pa.DataType, expected: pa.DataType
) -> None:
    assert common_type(left, right) == expected
    assert common_type(right, left) == (expected if not pa.types.is_struct(expected) else common_type(right, left))
    assert unify(left, right).type == expected


def test_text_and_number_conflict_and_the_error_names_both_files_and_the_way_out() -> None:
    with pytest.raises(SchemaConflictError, match=r"0\.nwb.*1\.nwb.*schema_overrides"):
        unify(pa.string(), pa.int64())


def test_a_column_that_some_file_lacks_is_nullable() -> None:
    assert unify(pa.int8(), n_files=2).nullable
    assert not unify(pa.int8(), n_files=1).nullable


def test_categories_of_all_files_are_joined_in_order() -> None:
    found = [(name, Field("x", CATEGORY, categories=values)) for name, values in (("a", ("u", "v")), ("b", ("v", "w")))]
    assert unify_fields("x", found, n_files=2).categories == ("u", "v", "w")


def test_a_column_that_is_broken_in_one_file_has_the_type_of_the_others() -> None:
    found = [("a", Field("x", pa.null(), problem="corrupt")), ("b", Field("x", pa.int8()))]
    unified = unify_fields("x", found, n_files=2)
    assert unified.type == pa.int8()
    assert not unified.problem


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pa.int8(), pa.int8()),
        ("int64", pa.int64()),
        ("Int64", pa.int64()),
        (np.float32, pa.float32()),
        (str, pa.string()),
        ("string", pa.string()),
        ("binary", pa.binary()),
        (float, pa.float64()),
        (bool, pa.bool_()),
        ("category", CATEGORY),
    ],
)
def test_a_type_can_be_named_as_in_pandas_numpy_or_pyarrow(value: object, expected: pa.DataType) -> None:
    assert parse_type(value) == expected


def test_a_name_of_no_type_is_refused() -> None:
    with pytest.raises(SchemaConflictError, match="names no column type"):
        parse_type("no such type")
