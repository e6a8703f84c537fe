from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nwb_dask.catalog.serialize import pack, unpack
from nwb_dask.index import Reference
from tests.catalog.exact import exact

TEXT = st.text(st.characters(exclude_categories=()))
BITS = st.binary(min_size=8, max_size=8).map(lambda bits: struct.unpack("<d", bits)[0])
REFERENCES = st.builds(Reference, st.none() | TEXT, st.none() | st.integers(0, 2**64 - 1))
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), BITS, st.builds(complex, BITS, BITS), TEXT, st.binary(), REFERENCES
)
NUMBERS = st.one_of(
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    hnp.complex_number_dtypes(endianness="?", sizes=(64, 128)),
    hnp.boolean_dtypes(),
    hnp.byte_string_dtypes(max_len=5),
    hnp.unicode_string_dtypes(endianness="?", max_len=3),
    st.integers(1, 9).map(lambda size: np.dtype(f"V{size}")),
)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)


@st.composite
def plain_arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    dtype, shape = draw(NUMBERS), draw(SHAPES)
    n_bytes = math.prod(shape) * dtype.itemsize
    if dtype.kind in "bU":
        # Not every bit pattern is text or a truth.
        return draw(hnp.arrays(dtype, shape))
    return np.ndarray(shape, dtype, draw(st.binary(min_size=n_bytes, max_size=n_bytes)))


@st.composite
def object_arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    shape = draw(SHAPES)
    size = math.prod(shape)
    flat = np.empty(size, object)
    for i, item in enumerate(draw(st.lists(SCALARS | plain_arrays(), min_size=size, max_size=size))):
        flat[i] = item
    return flat.reshape(shape)


ARRAYS = plain_arrays() | object_arrays()


@st.composite
def compound_arrays(draw: st.DrawFn, depth: int = 0) -> np.ndarray[Any, Any]:
    names = draw(st.lists(st.text("abc", min_size=1), min_size=1, max_size=4, unique=True))
    shape = draw(SHAPES)
    formats, columns, offsets, offset = [], [], [], 0
    for _ in names:
        is_nested = depth < 2 and draw(st.integers(0, 4)) == 0
        column = draw(compound_arrays(depth + 1) if is_nested else ARRAYS)
        # Objects have to be aligned.
        offset = -(-offset // 8) * 8 + 8 * draw(st.integers(0, 1))
        dtype = np.dtype((column.dtype, column.shape)) if column.shape else column.dtype
        formats.append(dtype)
        columns.append(column)
        offsets.append(offset)
        offset += dtype.itemsize
    described = {"names": names, "formats": formats, "offsets": offsets, "itemsize": -(-offset // 8) * 8 + 8}
    dtype = np.dtype(described)  # type: ignore[call-overload]  # numpy's stub wants the literal dict
    out: np.ndarray[Any, Any] = np.zeros(shape, dtype)
    for name, column in zip(names, columns, strict=True):
        out[name][...] = column
    return out


ANYTHING = st.recursive(SCALARS | ARRAYS | compound_arrays(), lambda inner: st.lists(inner, max_size=4).map(tuple))


@given(ANYTHING)
def test_every_value_comes_back_to_the_bit(value: object) -> None:
    assert exact(unpack(pack(value))) == exact(value)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        pytest.param(struct.unpack("<d", b"\x01\0\0\0\0\0\xf4\x7f")[0], id="signalling nan"),
        -0.0,
        float("-inf"),
        2**64,
        -(2**63) - 1,
        complex(float("nan"), -0.0),
        np.float32(1.5),
        np.float64(2.5),
        np.str_("scalar"),
        np.bool_(True),  # a value
        np.array("text of fixed length"),
        np.array(b"", "S4"),
        np.zeros(3, "S0"),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(10)[::3],
        np.arange(3, dtype=">i2"),
        "lone \udcff surrogate",
        (1, True, 1.0, None, ("nested", (b"deep",))),
    ],
    ids=str,
)
def test_what_is_easily_lost_comes_back(value: object) -> None:
    assert exact(unpack(pack(value))) == exact(value)


def test_memory_between_fields_is_not_written() -> None:
    dtype = np.dtype({"names": ["a"], "formats": ["u1"], "offsets": [0], "itemsize": 64})
    array = np.frombuffer(b"\1" + b"secret" * 10 + b"...", dtype)
    assert b"secret" not in pack(array)


def test_arrays_of_numbers_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        unpack(pack(np.arange(3)))[0] = 7


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(2, "M8[ns]"),
        np.zeros(2, np.longdouble),
        np.array(["a"], np.dtypes.StringDType()),
        object(),
        np.ma.masked_array([1, 2]),
        {1, 2},
    ],
    ids=["times", "long double", "StringDType", "object", "masked", "set"],
)
def test_what_would_not_come_back_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="not kept"):
        pack(value)


def test_an_array_that_claims_more_than_is_there_is_refused() -> None:
    honest = pack(np.zeros(2, "<f8"))
    assert honest.count(b"\x91\x02") == 1
    for claim in (b"\x91\x03", b"\x91\x01", b"\x91\xff"):
        with pytest.raises(ValueError, match="shape"):
            unpack(honest.replace(b"\x91\x02", claim))


@given(st.binary(max_size=64), st.integers(1, 7))
def test_garbage_raises_or_is_a_value_that_can_be_packed_again(data: bytes, code: int) -> None:
    # An extension of any kind around garbage: 0xc7 is "extension, length in one byte".
    packed = bytes([0xC7, len(data), code]) + data
    try:
        value = unpack(packed)
    except Exception:  # noqa: BLE001  # any error will do
        return
    assert exact(unpack(pack(value))) == exact(value)
