"""What functions return, as rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from nwb_dask.errors import SchemaConflictError
from nwb_dask.sessions.rows import conform_rows, to_rows, unify, with_columns


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (None, None),
        ([], None),
        ({"a": 1, "b": "x"}, [{"a": 1, "b": "x"}]),
        ([{"a": 1}, {"b": 2.5}], [{"a": 1, "b": None}, {"a": None, "b": 2.5}]),
        (3.5, [{"value": 3.5}]),
        (np.int16(3), [{"value": 3}]),
        ("text", [{"value": "text"}]),
        ({"a": np.arange(3), "b": [], "c": (1, 2)}, [{"a": [0, 1, 2], "b": [], "c": [1, 2]}]),
        (pd.Series({"a": 1.0, "b": 2.0}), [{"a": 1.0, "b": 2.0}]),
        (pd.DataFrame({"a": [1, 2]}, index=[7, 9]), [{"a": 1}, {"a": 2}]),
        (pd.DataFrame({"a": [1]}, index=pd.Index(["k"], name="unit")), [{"unit": "k", "a": 1}]),
        (pd.DataFrame({"a": pd.Categorical(["x"])}), [{"a": "x"}]),
        (pl.DataFrame({"a": [[1, 2], None]}), [{"a": [1, 2]}, {"a": None}]),
        (pa.table({"a": [1]}), [{"a": 1}]),
        (pa.record_batch({"a": [1]}), [{"a": 1}]),
    ],
)
def test_each_kind_of_result_becomes_rows(result: object, expected: object) -> None:
    table = to_rows(result)
    assert (None if table is None else table.to_pylist()) == expected


@pytest.mark.parametrize("result", [[1, 2], np.arange(3), {1: 2}, {"a": object()}, pl.LazyFrame({"a": [1]})])
def test_what_is_no_row_is_refused(result: object) -> None:
    with pytest.raises(TypeError):
        to_rows(result)


def test_text_and_lists_have_the_types_of_tables_of_files() -> None:
    table = to_rows(pa.table({"t": pa.array(["a"], pa.large_string()), "l": pa.array([[1]], pa.list_(pa.int8()))}))
    assert table is not None
    assert table.schema.types == [pa.string(), pa.large_list(pa.int8())]


def test_the_session_comes_last_and_is_no_column_of_the_function() -> None:
    rows = to_rows(pa.table({"_nwb_path": ["old"], "a": [1]}))
    assert rows is not None
    assert with_columns(rows, {"sex": "F"}, "x.nwb").to_pylist() == [{"a": 1, "sex": "F", "_nwb_path": "x.nwb"}]
    with pytest.raises(ValueError, match="'a'"):
        with_columns(rows, {"a": 1}, "x.nwb")


def schemas(*types: dict[str, Any]) -> list[tuple[str, pa.Schema]]:
    return [(f"{number}.nwb", pa.schema(list(one.items()))) for number, one in enumerate(types)]


def test_schemas_are_unified_without_loss() -> None:
    found = unify(schemas({"a": pa.int64(), "_nwb_path": pa.string()}, {"a": pa.float64(), "b": pa.null()}), {})
    assert list(zip(found.names, found.types, strict=True)) == [
        ("a", pa.float64()),
        ("b", pa.null()),
        ("_nwb_path", pa.string()),
    ]
    assert conform_rows(pa.table({"a": [1, 2]}), found).to_pylist()[1] == {"a": 2.0, "b": None, "_nwb_path": None}


def test_sessions_that_disagree_are_both_named() -> None:
    found = schemas({"a": pa.null()}, {"a": pa.int64()}, {"a": pa.string()})
    with pytest.raises(SchemaConflictError, match=r"int64 for 1\.nwb and as string for 2\.nwb"):
        unify(found, {})
    schema = unify(found, {"a": pa.string()})
    assert conform_rows(pa.table({"a": [5]}), schema).to_pylist() == [{"a": "5"}]
