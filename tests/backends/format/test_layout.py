"""Messages about storage, one by one: what each version of them says, and what they cannot say together."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from h5py import h5d

from nwb_dask.backends.hdf5.format.dataspace import Extent, read_dataspace
from nwb_dask.backends.hdf5.format.layout import read_layout
from nwb_dask.backends.hdf5.format.object_header import (
    EXTERNAL_FILES,
    FILL,
    FILTERS,
    LAYOUT,
    Message,
)
from nwb_dask.backends.hdf5.format.space import AddressSpace
from nwb_dask.errors import MalformedFileError, NWBDaskError, UnsupportedLayoutError
from nwb_dask.index import ElementType, Filter
from tests.backends.format.reading import pages_of

LAYOUTS = {h5d.COMPACT: "compact", h5d.CONTIGUOUS: "contiguous", h5d.CHUNKED: "chunked", h5d.VIRTUAL: "virtual"}
INT = ElementType("int", np.dtype("<i4"), size=4)
SPACE = AddressSpace(pages_of(bytes(4096)), 512)


def message(kind: int, body: bytes) -> Message:
    return Message(kind, 0, memoryview(body))


def test_edges_without_filters_are_noticed() -> None:
    for flags in (0, 1, 3):
        single = struct.pack("<QI", 77, 5) if flags & 2 else b""
        body = bytes([4, 2, flags, 2, 1, 6, 4, 1]) + single + struct.pack("<Q", 100)
        found = read_layout([message(LAYOUT, body)], INT, Extent((5,), (5,)), SPACE)
        assert found.chunk_index is not None
        assert found.chunk_index.unfiltered_edges == bool(flags & 1)
        assert (found.chunk_index.single_bytes, found.chunk_index.single_mask) == ((77, 5) if flags & 2 else (None, 0))


def test_old_compact_layouts_hold_their_data() -> None:
    body = struct.pack("<BBB5xIII", 1, 2, 0, 1, 2, 8) + bytes(range(8))
    found = read_layout([message(LAYOUT, body)], INT, Extent((1, 2), (1, 2)), SPACE)
    assert (found.layout, found.inline, found.stored_bytes) == ("compact", bytes(range(8)), 8)


@pytest.mark.parametrize(
    ("body", "fill"),
    [
        (struct.pack("<BBBBIi", 1, 2, 2, 1, 4, -3), struct.pack("<i", -3)),
        (struct.pack("<BBBBIi", 2, 2, 0, 1, 4, -3), struct.pack("<i", -3)),
        (struct.pack("<BBBBIi", 2, 2, 1, 1, 4, -3), None),
        (struct.pack("<BBBBI", 2, 2, 2, 1, 0), None),
        (struct.pack("<BBBB", 2, 2, 2, 0), None),
        (struct.pack("<BBIi", 3, 0x22, 4, -3), struct.pack("<i", -3)),
        (struct.pack("<BBIi", 3, 0x26, 4, -3), None),
        (struct.pack("<BBIi", 3, 0x22, 4, 0), None),
        (struct.pack("<BB", 3, 0x12), None),
        (struct.pack("<BB", 3, 0x02), None),
    ],
)
def test_a_fill_value_is_one_that_is_defined_and_written(body: bytes, fill: bytes | None) -> None:
    layout = message(LAYOUT, b"\3\1" + b"\xff" * 8 + bytes(8))
    assert read_layout([layout, message(FILL, body)], INT, Extent((2,), (2,)), SPACE).fill == fill


@pytest.mark.parametrize("version", [1, 2])
def test_filters_have_options_and_names(version: int) -> None:
    if version == 1:
        body = struct.pack("<BB6xHHHH8sIxxxx", 1, 2, 1, 8, 1, 1, b"deflate\0", 6)
        body += struct.pack("<HHHH16s2I", 32015, 16, 0, 2, b"a longer name\0\0\0", 7, 8)
    else:
        body = struct.pack("<BBHHHI", 2, 2, 1, 1, 1, 6) + struct.pack("<HHHH14s2I", 32015, 14, 0, 2, b"a longer name", 7, 8)  # fmt: skip  # noqa: E501  # two filters
    chunked = message(LAYOUT, bytes([3, 2, 2]) + struct.pack("<QII", 100, 5, 4))
    found = read_layout([chunked, message(FILTERS, body)], INT, Extent((5,), (5,)), SPACE)
    name = "deflate" if version == 1 else ""
    assert found.filters == (Filter(1, (6,), name), Filter(32015, (7, 8), "a longer name"))


CONTIGUOUS = b"\3\1" + struct.pack("<QQ", 100, 8)
CHUNKED = b"\3\2\2" + struct.pack("<QII", 100, 5, 4)


@pytest.mark.parametrize(
    ("messages", "shape", "reason"),
    [
        ([], (2,), "has no data layout"),
        ([(LAYOUT, CONTIGUOUS)], (3,), "12 bytes of data are in 8"),
        ([(LAYOUT, CONTIGUOUS[:-1])], (2,), "ends before a number"),
        ([(LAYOUT, b"\3\0" + struct.pack("<H", 4) + b"abc")], (1,), "past the end of their message"),
        ([(LAYOUT, b"\3\0" + struct.pack("<H", 4) + b"abcd")], (2,), "8 bytes cannot be in 4"),
        ([(LAYOUT, CHUNKED)], (2, 2), "chunks of"),
        ([(LAYOUT, CHUNKED)], (), "chunks of"),
        ([(LAYOUT, CHUNKED)], None, "chunks of"),
        ([(LAYOUT, b"\3\2\2" + struct.pack("<QII", 100, 0, 4))], (2,), "chunks of"),
        ([(LAYOUT, b"\3\2\2" + struct.pack("<QII", 100, 5, 8))], (2,), "elements of 4 bytes"),
        ([(LAYOUT, b"\3\2\0" + struct.pack("<QII", 100, 5, 4))], (2,), "chunks of"),
        ([(LAYOUT, bytes([4, 2, 0, 2, 9]) + bytes(60))], (2,), "lengths of 9 bytes"),
        ([(LAYOUT, CHUNKED), (FILTERS, b"\2\41")], (2,), "a pipeline of 33 filters"),
        ([(LAYOUT, CHUNKED), (FILTERS, b"\2\1\1\0\0\0\5\0")], (2,), "ends before a number"),
        ([(LAYOUT, CONTIGUOUS), (FILL, struct.pack("<BBI", 3, 0x22, 4))], (2,), "a fill value reaches"),
    ],
)
def test_what_does_not_fit_together_is_damaged(
    messages: list[tuple[int, bytes]], shape: tuple[int, ...] | None, reason: str
) -> None:
    extent = Extent(shape, shape or ())
    with pytest.raises(MalformedFileError, match=reason):
        read_layout([message(*one) for one in messages], INT, extent, SPACE)


@pytest.mark.parametrize(
    "messages",
    [
        [(LAYOUT, b"\6\1" + bytes(16))],
        [(LAYOUT, b"\4\7" + bytes(16))],
        [(LAYOUT, bytes([4, 2, 0, 2, 1, 6, 4, 9]) + bytes(20))],
        [(LAYOUT, CHUNKED), (FILTERS, b"\3\0")],
        [(LAYOUT, CONTIGUOUS), (FILL, b"\4\0")],
        [(LAYOUT, CONTIGUOUS), (FILL, struct.pack("<BBIH", 3, 0x22, 2, 7))],
    ],
)
def test_later_versions_are_left_to_others(messages: list[tuple[int, bytes]]) -> None:
    with pytest.raises(UnsupportedLayoutError, match="not read"):
        read_layout([message(*one) for one in messages], INT, Extent((2,), (2,)), SPACE)


def test_data_in_other_files_have_no_place_in_this_one() -> None:
    found = read_layout(
        [message(LAYOUT, b"\3\1" + b"\xff" * 8 + struct.pack("<Q", 8)), message(EXTERNAL_FILES, b"")],
        INT,
        Extent((2,), (2,)),
        SPACE,
    )
    assert (found.layout, found.offset, found.stored_bytes) == ("external", None, 8)


@pytest.mark.parametrize(
    ("body", "extent"),
    [
        (b"\1\0\0" + bytes(5), Extent((), ())),
        (b"\1\2\0" + bytes(5) + struct.pack("<QQ", 3, 4), Extent((3, 4), (3, 4))),
        (b"\1\2\1" + bytes(5) + struct.pack("<QQQQ", 3, 4, 5, (1 << 64) - 1), Extent((3, 4), (5, None))),
        (b"\2\0\0\0", Extent((), ())),
        (b"\2\0\0\2", Extent(None, ())),
        (b"\2\1\1\1" + struct.pack("<QQ", 0, (1 << 64) - 1), Extent((0,), (None,))),
    ],
)
def test_a_dataspace_is_read_in_both_versions(body: bytes, extent: Extent) -> None:
    assert read_dataspace(memoryview(body), SPACE) == extent


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"\1\41\0" + bytes(500), MalformedFileError),
        (b"\2\1\0\3" + bytes(8), MalformedFileError),
        (b"\2\1\0\0" + bytes(8), MalformedFileError),
        (b"\2\2\0\1" + bytes(15), MalformedFileError),
        (b"\2\1\0\1" + b"\xff" * 8, MalformedFileError),
        (b"\2", MalformedFileError),
        (b"\3\0\0\0", UnsupportedLayoutError),
    ],
)
def test_a_damaged_dataspace_is_refused(body: bytes, error: type[NWBDaskError]) -> None:
    with pytest.raises(error):
        read_dataspace(memoryview(body), SPACE)
