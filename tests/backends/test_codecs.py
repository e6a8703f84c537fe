"""Codecs give what another implementation put in, or an error; never more than a chunk."""

from __future__ import annotations

import bz2
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from h5py import h5d, h5p, h5s, h5t
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_dask.backends.hdf5 import codecs
from nwb_dask.backends.hdf5.filters import BLOSC, BZIP2, FLETCHER32, GZIP, LZ4, SHUFFLE, ZSTD, decode, is_decoded_here
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import Filter
from tests.backends.described import content

BOMB_BYTES = 50 << 20
OPTIONS: dict[int, dict[str, Any]] = {
    GZIP: {"compression": "gzip"},
    BZIP2: dict(hdf5plugin.BZip2()),
    ZSTD: dict(hdf5plugin.Zstd()),
    LZ4: dict(hdf5plugin.LZ4(nbytes=1024)),
    BLOSC: dict(hdf5plugin.Blosc(cname="lz4")),
}


def stored_by_h5py(data: npt.NDArray[Any], **options: Any) -> tuple[bytes, list[Filter]]:
    """Return one chunk as h5py stores it, and its filters."""
    with h5py.File("chunk.h5", "w", driver="core", backing_store=False) as file:
        made = file.create_dataset("x", data=data, chunks=data.shape, **options)
        mask, stored = made.id.read_direct_chunk((0,) * data.ndim)
        assert mask == 0, "the filters must have been used"
        properties = made.id.get_create_plist()
        filters = [Filter(*properties.get_filter(i)[::2]) for i in range(properties.get_nfilters())]
    return stored, filters


@pytest.mark.parametrize("cname", ["blosclz", "lz4", "lz4hc", "zlib", "zstd"])
@pytest.mark.parametrize("shuffle", [0, 1, 2])
def test_every_kind_of_blosc_that_hdf5plugin_writes_is_decoded(cname: Any, shuffle: int) -> None:
    data = content("<f8", (5000,))
    stored, filters = stored_by_h5py(data, **hdf5plugin.Blosc(cname=cname, shuffle=shuffle))
    assert bytes(decode(stored, filters, mask=0, n_bytes=data.nbytes)) == data.tobytes()


@pytest.mark.parametrize("block_bytes", [0, 7, 1000, 1 << 20])
def test_lz4_blocks_of_any_size_are_decoded(block_bytes: int) -> None:
    random = np.random.default_rng(0).integers(0, 256, 6000, np.uint8)
    data = np.concatenate((content("u1", (6000,)), random))  # the second half is stored as it is
    stored, filters = stored_by_h5py(data, **hdf5plugin.LZ4(nbytes=block_bytes))
    assert bytes(decode(stored, filters, mask=0, n_bytes=data.nbytes)) == data.tobytes()


@pytest.mark.parametrize("n_bytes", [100, 255, 256, 300, 65791, 65792, 200_000])
def test_zstd_frames_with_sizes_of_any_width_are_decoded(n_bytes: int) -> None:
    data = content("u1", (n_bytes,))
    stored, filters = stored_by_h5py(data, **hdf5plugin.Zstd())
    assert bytes(decode(stored, filters, mask=0, n_bytes=n_bytes)) == data.tobytes()


@pytest.mark.parametrize("number", sorted(OPTIONS))
def test_contents_go_where_they_are_wanted(number: int) -> None:
    data = content("<i4", (5000,))
    stored, filters = stored_by_h5py(data, shuffle=True, **OPTIONS[number])
    for steps, body in ((filters, stored), (filters[1:], stored_by_h5py(data, **OPTIONS[number])[0]), ([], data.data)):
        out = np.zeros(data.nbytes, np.uint8)
        got = decode(memoryview(body).cast("B"), steps, mask=0, n_bytes=data.nbytes, out=out)
        assert np.shares_memory(np.frombuffer(got, np.uint8), out)
        assert out.tobytes() == data.tobytes()


@pytest.mark.parametrize("dtype", ["<i2", "<i4", "<f8", "S3", "V40"])
def test_what_does_not_fill_an_item_is_not_shuffled(dtype: str) -> None:
    # The checksum is taken first, so that four bytes more are shuffled than there are items.
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_chunk((99,))
    properties.set_fletcher32()
    properties.set_shuffle()
    properties.set_deflate(4)
    data = content(dtype, (99,))
    with h5py.File("chunk.h5", "w", driver="core", backing_store=False) as file:
        made = h5d.create(file.id, b"x", h5t.py_create(data.dtype), h5s.create_simple((99,)), dcpl=properties)
        made.write(h5s.ALL, h5s.ALL, data)
        stored = made.read_direct_chunk((0,))[1]
        filters = [Filter(*made.get_create_plist().get_filter(i)[::2]) for i in range(3)]
    assert bytes(decode(stored, filters, mask=0, n_bytes=data.nbytes)) == data.tobytes()


def zstd_without_size(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue().to_pybytes())


def blosc(data: npt.NDArray[Any]) -> bytes:
    return stored_by_h5py(data, **OPTIONS[BLOSC])[0]


@pytest.mark.parametrize(
    ("number", "compress"),
    [
        (GZIP, zlib.compress),
        (BZIP2, bz2.compress),
        (ZSTD, lambda data: pa.compress(data, "zstd", asbytes=True)),
        (LZ4, lambda data: stored_by_h5py(np.frombuffer(data, np.uint8), **OPTIONS[LZ4])[0]),
        (BLOSC, lambda data: blosc(np.frombuffer(data, np.uint8))),
    ],
)
def test_what_would_be_more_than_a_chunk_is_never_made(number: int, compress: Callable[[bytes], bytes]) -> None:
    bomb = compress(bytes(BOMB_BYTES))
    tracemalloc.start()
    try:
        with pytest.raises(MalformedFileError, match="damaged"):
            decode(bomb, [Filter(number, ())], mask=0, n_bytes=1000)
        assert tracemalloc.get_traced_memory()[1] < 500_000 + (len(bomb) if number == LZ4 else 0)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("number", sorted(OPTIONS))
@pytest.mark.parametrize("n_bytes", [1, 3999, 4001, 1 << 20])
def test_contents_of_another_size_are_refused(number: int, n_bytes: int) -> None:
    stored, filters = stored_by_h5py(content("<i4", (1000,)), **OPTIONS[number])
    with pytest.raises(MalformedFileError, match="damaged"):
        decode(stored, filters, mask=0, n_bytes=n_bytes)


@pytest.mark.parametrize("number", sorted(OPTIONS))
def test_a_chunk_that_is_cut_anywhere_is_refused(number: int) -> None:
    stored, filters = stored_by_h5py(content("<i4", (1000,)), **OPTIONS[number])
    for length in range(len(stored)):
        with pytest.raises(MalformedFileError, match="damaged"):
            decode(stored[:length], filters, mask=0, n_bytes=4000)


@pytest.mark.parametrize("number", sorted(OPTIONS))
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(1, 255)), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_changed_bytes_are_an_error_or_a_chunk(number: int, changes: list[tuple[int, int]]) -> None:
    stored, filters = stored_by_h5py(content("<i4", (1000,)), **OPTIONS[number])
    changed = bytearray(stored)
    for at, bits in changes:
        changed[at % len(changed)] ^= bits
    try:
        got = decode(bytes(changed), filters, mask=0, n_bytes=4000)
    except (MalformedFileError, UnsupportedLayoutError):
        return
    assert len(got) == 4000


def test_a_zstd_frame_must_say_its_size() -> None:
    # Its filter in libhdf5 needs it too.
    stored = zstd_without_size(bytes(1000))
    assert pa.CompressedInputStream(pa.BufferReader(stored), "zstd").read() == bytes(1000)
    with pytest.raises(MalformedFileError, match="declares None bytes"):
        codecs.decompress_zstd(stored, np.empty(1000, np.uint8))


def test_a_zstd_frame_that_declares_a_wrong_size_is_refused() -> None:
    stored = bytearray(pa.compress(content("u1", (300,)).tobytes(), "zstd", asbytes=True))
    assert int.from_bytes(stored[5:7], "little") == 300 - 256
    for size in (299, 301):
        stored[5:7] = (size - 256).to_bytes(2, "little")
        with pytest.raises(MalformedFileError, match="does not decompress"):
            codecs.decompress_zstd(bytes(stored), np.empty(size, np.uint8))


def test_snappy_inside_blosc_is_left_to_others() -> None:
    stored = bytearray(blosc(content("<i4", (1000,))))
    stored[2] = stored[2] & 0x1F | 2 << 5
    with pytest.raises(UnsupportedLayoutError, match="snappy"):
        codecs.decompress_blosc(bytes(stored), np.empty(4000, np.uint8))


def test_pipelines_that_nobody_else_undoes_are_left_to_libhdf5() -> None:
    gzip, zstd, lzf, shuffle = Filter(GZIP, (4,)), Filter(ZSTD, (3,)), Filter(32000, ()), Filter(SHUFFLE, (2,))
    assert is_decoded_here([shuffle, gzip, Filter(FLETCHER32, ())], 0)
    # How long the stream inside the outer one is, nobody can tell.
    assert not is_decoded_here([gzip, zstd], 0)
    assert is_decoded_here([gzip, zstd], 0b10)
    assert not is_decoded_here([shuffle, lzf], 0)
    assert is_decoded_here([shuffle, lzf], 0b10)
    with pytest.raises(UnsupportedLayoutError, match="32000"):
        decode(b"", [lzf], mask=0, n_bytes=1)
