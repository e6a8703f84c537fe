"""Rows of every kind of nested column, for the tests of what holds them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from nwb_dask.adapters.ragged_dtype import NWBArray

CASES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "list": (pa.list_(pa.float64()), [[1.5, np.nan], None, [], [2.0]]),
    "large_list": (pa.large_list(pa.float64()), [[1.5], [], None, [2.0, 3.0]]),
    "uint64": (pa.large_list(pa.uint64()), [[2**63 + 5], [2**64 - 1, 0], None, []]),
    "bool": (pa.list_(pa.bool_()), [[True, False], None, [], [True]]),
    "halffloat": (pa.list_(pa.float16()), [[1.5, -0.5], None, [], [65504.0]]),
    "text": (pa.list_(pa.string()), [["a", "éß"], None, [], [""]]),
    "dictionary": (pa.list_(pa.dictionary(pa.int32(), pa.string())), [["a", "b"], None, [], ["b"]]),
    "fixed": (pa.list_(pa.float32(), 3), [[1, 2, 3], None, [4, 5, 6], [7, 8, 9]]),
    "tensor": (pa.list_(pa.list_(pa.int16(), 2), 2), [[[1, 2], [3, 4]], None, [[5, 6], [7, 8]], [[0, 0], [0, 0]]]),
    "empty fixed": (pa.list_(pa.float64(), 0), [[], None, [], []]),
    "double ragged": (pa.large_list(pa.large_list(pa.float64())), [[[1.0], [], [2.0, 3.0]], None, [], [[4.0]]]),
    "ragged waveforms": (
        pa.list_(pa.list_(pa.list_(pa.float64(), 3))),
        [[[[1, 2, 3]], []], None, [], [[[4, 5, 6], [7, 8, 9]]]],
    ),
    "struct": (
        pa.struct([("x", pa.uint32()), ("y", pa.uint32()), ("weight", pa.float32())]),
        [{"x": 1, "y": 2, "weight": 0.5}, None, {"x": 2**32 - 1, "y": 0, "weight": 1.0}, {"x": 0, "y": 0, "weight": 0}],
    ),
    "pixel mask": (
        pa.list_(pa.struct([("x", pa.uint32()), ("weight", pa.float32())])),
        [[{"x": 1, "weight": 0.5}, {"x": 2, "weight": 0.25}], None, [], [{"x": 3, "weight": 1.0}]],
    ),
    "odd names": (
        pa.struct([("a b", pa.int8()), ('"<é>", [1]', pa.list_(pa.string()))]),
        [{"a b": 1, '"<é>", [1]': ["u"]}, None, {"a b": 2, '"<é>", [1]': []}, {"a b": 3, '"<é>", [1]': ["v", "w"]}],
    ),
    "binary": (pa.binary(), [b"ab", None, b"", b"\x00"]),
    "fixed binary": (pa.binary(2), [b"ab", None, b"cd", b"\x00\x00"]),
    "no values": (pa.list_(pa.null()), [[], None, [None], []]),
}


def make(name: str) -> NWBArray:
    """Return the rows of a case."""
    type_, rows = CASES[name]
    return NWBArray(pa.array(rows, type_))


def plain(array: NWBArray) -> list[Any]:
    """Return the rows as Arrow gives them to Python."""
    rows: list[Any] = array.storage.to_pylist()
    return rows


def same(left: list[Any], right: list[Any]) -> bool:
    """Whether rows are equal, NaN being equal to NaN."""
    return repr(left) == repr(right)
