from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from nwb_dask.errors import MalformedFileError
from nwb_dask.index import ElementType
from nwb_dask.model import arrow_type
from nwb_dask.read.arrow import to_arrow

TEXT = ElementType("string")
PIXEL = ElementType(
    "compound",
    fields=(("x", ElementType("uint", np.dtype("u4"))), ("where", ElementType("reference")), ("label", TEXT)),
)


@pytest.mark.parametrize("dtype", ["i1", "u8", "f2", "f4", "f8", "c8", "c16"])
def test_numbers_keep_their_width_and_bits(dtype: str) -> None:
    values = np.arange(6).astype(dtype).reshape(3, 2)
    kind = {"i": "int", "u": "uint", "f": "float", "c": "complex"}[dtype[0]]
    element = ElementType(kind, np.dtype(dtype))  # type: ignore[arg-type]  # one of the kinds
    array = to_arrow(values, element)
    assert array.type == pa.list_(arrow_type(element), 2)
    rows = array.to_pylist()
    if kind == "complex":
        rows = [[complex(item["real"], item["imag"]) for item in row] for row in rows]
    assert rows == values.tolist()


def test_text_of_fixed_and_variable_length_is_the_same() -> None:
    fixed = np.array(["ä".encode(), b"", b"abc"], "S5")
    assert to_arrow(fixed, TEXT).to_pylist() == ["ä", "", "abc"]
    assert to_arrow(fixed.astype(object), TEXT).to_pylist() == ["ä", "", "abc"]


def test_text_that_is_not_utf8_is_an_error_with_the_way_out() -> None:
    with pytest.raises(MalformedFileError, match=r"element 1, byte 0xe4.*schema_overrides"):
        to_arrow(np.array([b"ok", b"\xe4"], object), TEXT)


def test_an_enumeration_value_without_a_name_is_an_error() -> None:
    element = ElementType("enum", np.dtype("i1"), members=(("low", 2), ("high", 5)))
    assert to_arrow(np.array([5, 2], "i1"), element).to_pylist() == ["high", "low"]
    with pytest.raises(MalformedFileError, match="value 3 is none of the 2 categories"):
        to_arrow(np.array([5, 3], "i1"), element)


def test_compounds_become_structs_with_nulls_for_null_references() -> None:
    values = np.empty(2, [("x", "u4"), ("where", object), ("label", object)])
    values["x"] = [1, 2]
    values["where"] = ["/a", None]
    values["label"] = [b"p", b"q"]
    assert to_arrow(values, PIXEL).to_pylist() == [
        {"x": 1, "where": "/a", "label": "p"},
        {"x": 2, "where": None, "label": "q"},
    ]


def test_sequences_of_any_length_become_lists() -> None:
    values = np.empty(3, object)
    values[:] = [np.array([1, 2], "i2"), np.array([], "i2"), np.array([3], "i2")]
    array = to_arrow(values, ElementType("sequence", base=ElementType("int", np.dtype("i2"))))
    assert array.type == pa.large_list(pa.int16())
    assert array.to_pylist() == [[1, 2], [], [3]]


def test_a_dimension_of_length_zero_keeps_the_number_of_rows() -> None:
    array = to_arrow(np.empty((3, 0, 2)), ElementType("float", np.dtype("f8")))
    assert array.to_pylist() == [[], [], []]
