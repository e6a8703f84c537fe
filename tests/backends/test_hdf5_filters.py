"""The filters that are undone here give what was put in, or an error."""

from __future__ import annotations

import zlib

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_dask.backends.hdf5.filters import FLETCHER32, GZIP, SHUFFLE, decode
from nwb_dask.errors import MalformedFileError
from nwb_dask.index import Filter

GZIP_STEP, CHECK_STEP = Filter(GZIP, (4,)), Filter(FLETCHER32, ())


@given(body=st.binary(min_size=1, max_size=3000), size=st.integers(1, 9), shuffle=st.booleans(), check=st.booleans())
@settings(max_examples=150, deadline=None)
def test_chunks_that_h5py_wrote_are_decoded(body: bytes, size: int, shuffle: bool, check: bool) -> None:  # noqa: FBT001  # hypothesis passes keywords
    items = np.frombuffer(body + bytes(-len(body) % size), f"V{size}")
    with h5py.File("chunk.h5", "w", driver="core", backing_store=False) as file:
        made = file.create_dataset(
            "x", data=items, chunks=(len(items),), compression="gzip", shuffle=shuffle, fletcher32=check
        )
        mask, stored = made.id.read_direct_chunk((0,))
        properties = made.id.get_create_plist()
        filters = [Filter(*properties.get_filter(i)[::2]) for i in range(properties.get_nfilters())]
    assert bytes(decode(stored, filters, mask=mask, n_bytes=items.nbytes)) == items.tobytes()


def test_a_chunk_that_grows_beyond_its_size_is_refused_before_it_is_decompressed() -> None:
    bomb = zlib.compress(bytes(50 << 20))
    with pytest.raises(MalformedFileError, match="more than a chunk"):
        decode(bomb, [GZIP_STEP], mask=0, n_bytes=1000)


@pytest.mark.parametrize("n_bytes", [999, 1001, 5000])
def test_a_chunk_of_another_size_is_refused(n_bytes: int) -> None:
    with pytest.raises(MalformedFileError, match="chunk"):
        decode(zlib.compress(bytes(1000)), [GZIP_STEP], mask=0, n_bytes=n_bytes)


@pytest.mark.parametrize("stored", [b"", b"abc", b"\x78\x9c", zlib.compress(bytes(range(200)))[:-9]])
def test_a_damaged_stream_is_refused(stored: bytes) -> None:
    with pytest.raises(MalformedFileError, match="damaged"):
        decode(stored, [GZIP_STEP], mask=0, n_bytes=200)
    with pytest.raises(MalformedFileError, match="damaged"):
        decode(stored, [CHECK_STEP], mask=0, n_bytes=200)


def test_skipped_filters_are_not_undone() -> None:
    steps = [Filter(SHUFFLE, (4,)), GZIP_STEP]
    assert decode(b"abcdefgh", steps, mask=0b11, n_bytes=8) == b"abcdefgh"
    assert bytes(decode(b"acegbdfh", [Filter(SHUFFLE, (2,)), GZIP_STEP], mask=0b10, n_bytes=8)) == b"abcdefgh"


def test_both_byte_orders_of_old_checksums_are_taken() -> None:
    with h5py.File("chunk.h5", "w", driver="core", backing_store=False) as file:
        made = file.create_dataset("x", data=np.arange(1000), chunks=(1000,), fletcher32=True)
        _, stored = made.id.read_direct_chunk((0,))
    body, sums = stored[:-4], stored[-4:]
    old = body + bytes([sums[1], sums[0], sums[3], sums[2]])
    for one in (stored, old):
        assert decode(one, [CHECK_STEP], mask=0, n_bytes=8000) == body
