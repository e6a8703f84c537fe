"""Chunks that are handed to libhdf5 in memory come back as it reads them from the file, or are refused."""

from __future__ import annotations

from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt
import pytest

from nwb_dask.backends.hdf5 import odd_filters
from nwb_dask.backends.hdf5.odd_filters import MAX_CHUNKS, decode_with_libhdf5, require_filters
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import Filter
from tests.backends.described import content

SMOOTH = np.cumsum(np.random.default_rng(0).normal(size=(64, 64)), axis=1).astype("<f4")
PICTURE = (np.abs(SMOOTH) * 9 % 200).astype("u1")
COUNTS = np.random.default_rng(1).integers(0, 1000, (64, 64), dtype="<i4")

CASES: dict[str, tuple[npt.NDArray[Any], dict[str, Any]]] = {
    "lzf": (COUNTS, {"compression": "lzf"}),
    "shuffled lzf": (COUNTS, {"compression": "lzf", "shuffle": True, "fletcher32": True}),
    "szip": (COUNTS, {"compression": "szip"}),
    "scale-offset of integers": (COUNTS, {"scaleoffset": 0}),
    "scale-offset of big-endian integers": (COUNTS.astype(">i4"), {"scaleoffset": 0}),
    "scale-offset of floats": (SMOOTH, {"scaleoffset": 3}),
    "bitshuffle": (COUNTS, dict(hdf5plugin.Bitshuffle(cname="none"))),
    "bitshuffle lz4": (COUNTS, dict(hdf5plugin.Bitshuffle(cname="lz4"))),
    "bitshuffle zstd": (COUNTS, dict(hdf5plugin.Bitshuffle(cname="zstd"))),
    "blosc": (COUNTS, dict(hdf5plugin.Blosc())),
    "blosc2": (COUNTS, dict(hdf5plugin.Blosc2())),
    "bzip2": (COUNTS, dict(hdf5plugin.BZip2())),
    "lz4": (COUNTS, dict(hdf5plugin.LZ4())),
    "zstd": (COUNTS, dict(hdf5plugin.Zstd())),
    "zfp": (SMOOTH, dict(hdf5plugin.Zfp(rate=16))),
    "lossless zfp": (SMOOTH, dict(hdf5plugin.Zfp(reversible=True))),
    "sperr": (SMOOTH, dict(hdf5plugin.Sperr(rate=16))),
    "sz": (SMOOTH, dict(hdf5plugin.SZ(absolute=0.1))),
    "sz3": (SMOOTH, dict(hdf5plugin.SZ3(absolute=0.1))),
    "fcidecomp": (PICTURE, dict(hdf5plugin.FciDecomp())),
}


def chunks_of(
    data: npt.NDArray[Any], chunks: tuple[int, ...], **options: Any
) -> tuple[list[bytes], list[int], list[Filter], npt.NDArray[Any]]:
    """Return the chunks of a dataset as stored, their masks, the filters, and the chunks as h5py reads them."""
    with h5py.File("chunk.h5", "w", driver="core", backing_store=False) as file:
        made = file.create_dataset("x", data=data, chunks=chunks, **options)
        read = [made.id.read_direct_chunk([part.start for part in slices]) for slices in made.iter_chunks()]
        properties = made.id.get_create_plist()
        filters = [Filter(*properties.get_filter(i)[::2]) for i in range(properties.get_nfilters())]
        values = np.stack([made[slices] for slices in made.iter_chunks()]).astype(data.dtype)
    return [stored for _, stored in read], [mask for mask, _ in read], filters, values


@pytest.mark.parametrize("name", CASES)
def test_every_filter_gives_what_h5py_reads(name: str) -> None:
    data, options = CASES[name]
    stored, masks, filters, values = chunks_of(data, (32, 64), **options)
    got = decode_with_libhdf5(stored, filters, masks=masks, n_bytes=values[0].nbytes)
    assert got.shape == (2, values[0].nbytes)
    assert got.tobytes() == values.tobytes()


@pytest.mark.parametrize("n_chunks", [1, 2, MAX_CHUNKS])
@pytest.mark.parametrize("n_items", [1, 64, 300])
def test_many_chunks_are_decoded_at_once(n_chunks: int, n_items: int) -> None:
    data = content("<i4", (n_chunks * n_items,))
    stored, masks, filters, values = chunks_of(data, (n_items,), compression="lzf", shuffle=True)
    got = decode_with_libhdf5(stored, filters, masks=masks, n_bytes=4 * n_items)
    assert got.tobytes() == values.tobytes()


def test_filters_that_were_skipped_are_not_undone() -> None:
    data = content("<i4", (300,))
    stored, masks, filters, _ = chunks_of(data, (100,), compression="lzf")
    stored[1], masks[1] = data[100:200].tobytes(), 1
    got = decode_with_libhdf5([memoryview(one) for one in stored], filters, masks=masks, n_bytes=400)
    assert got.tobytes() == data.tobytes()


@pytest.mark.parametrize("n_items", [1, 50, 99, 101, 5000])
def test_contents_of_another_size_are_refused(n_items: int) -> None:
    # Without the check of the length libhdf5 returns what happens to be in memory behind contents that are too short.
    stored, masks, filters, _ = chunks_of(content("<i4", (n_items,)), (n_items,), compression="gzip")
    with pytest.raises(MalformedFileError, match="damaged: a chunk does not decode"):
        decode_with_libhdf5(stored, filters, masks=masks, n_bytes=400)


@pytest.mark.parametrize("name", ["lzf", "shuffled lzf", "szip", "bitshuffle lz4", "zstd", "blosc"])
def test_a_chunk_that_is_cut_is_refused(name: str) -> None:
    data, options = CASES[name]
    stored, masks, filters, values = chunks_of(data, (32, 64), **options)
    stored[1] = stored[1][: len(stored[1]) // 2]
    with pytest.raises(MalformedFileError, match="damaged"):
        decode_with_libhdf5(stored, filters, masks=masks, n_bytes=values[0].nbytes)


def test_a_chunk_may_be_hundreds_of_bytes_longer_than_its_contents() -> None:
    stored, masks, filters, values = chunks_of(np.array([[7]], "i1"), (1, 1), **hdf5plugin.Blosc2())
    assert len(stored[0]) > 256
    assert decode_with_libhdf5(stored, filters, masks=masks, n_bytes=1).tobytes() == values.tobytes()


def test_a_chunk_far_too_long_for_its_contents_is_refused() -> None:
    with pytest.raises(MalformedFileError, match="a chunk of 8 bytes is stored in 70000"):
        decode_with_libhdf5([bytes(70_000)], [Filter(32000, ())], masks=[0], n_bytes=8)


def test_what_cannot_be_handed_over_is_refused() -> None:
    with pytest.raises(UnsupportedLayoutError, match="99 filters"):
        decode_with_libhdf5([b""], [Filter(1, ())] * 99, masks=[0], n_bytes=8)
    with pytest.raises(UnsupportedLayoutError, match="70000 options"):
        decode_with_libhdf5([b""], [Filter(1, (0,) * 70_000)], masks=[0], n_bytes=8)
    with pytest.raises(UnsupportedLayoutError, match="filter 33333"):
        decode_with_libhdf5([b""], [Filter(33333, ())], masks=[0], n_bytes=8)


def test_a_missing_plugin_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(odd_filters, "_PLUGINS", "no_such_package")
    require_filters([Filter(1, ()), Filter(32000, ())])
    with pytest.raises(UnsupportedLayoutError, match=r"filter 33333 \(rare\), which is not installed"):
        require_filters([Filter(33333, (), "rare")])
