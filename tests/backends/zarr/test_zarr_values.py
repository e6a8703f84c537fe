"""Values of stores that zarr-python wrote, as zarr-python reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zarr import codecs

from nwb_dask.backends.zarr import ZarrFile
from tests.backends.zarr.stores import (
    GROUP_V3,
    Keys,
    array_v3,
    documents,
    keys_of,
    new_group,
    opened,
    without_warnings,
)

SHAPE, CHUNKS = (23, 7, 5), (6, 4, 5)
V2: dict[str, dict[str, Any]] = {
    "raw": {"dtype": "<i4", "compressors": None},
    "big-endian": {"dtype": ">i4", "compressors": None},
    "raw-fortran": {"dtype": "<f8", "compressors": None, "order": "F"},
    "zlib-fortran": {"dtype": "<i2", "compressors": numcodecs.Zlib(3), "order": "F"},
    "gzip": {"dtype": "<u2", "compressors": numcodecs.GZip(1)},
    "zstd": {"dtype": "<f4", "compressors": numcodecs.Zstd(1)},
    "lz4": {"dtype": "<u8", "compressors": numcodecs.LZ4()},
    "bz2": {"dtype": "<i8", "compressors": numcodecs.BZ2()},
    "lzma": {"dtype": "|i1", "compressors": numcodecs.LZMA()},
    "blosc": {"dtype": "<f8", "compressors": numcodecs.Blosc("zstd", 5, 2)},
    "bool": {"dtype": "|b1", "compressors": numcodecs.Blosc()},
    "complex": {"dtype": "<c8", "compressors": numcodecs.Zlib()},
    "half": {"dtype": "<f2", "compressors": numcodecs.Zlib()},
    "slash": {"dtype": "<i4", "compressors": None, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "delta": {"dtype": "<i4", "filters": [numcodecs.Delta("<i4")], "compressors": numcodecs.Zlib()},
    "shuffle": {"dtype": "<i4", "filters": [numcodecs.Shuffle(4), numcodecs.Zlib(1)], "compressors": numcodecs.Blosc()},
    "fletcher32": {"dtype": "<i4", "filters": [numcodecs.Fletcher32()], "compressors": None},
    "crc32": {"dtype": "<i4", "filters": [numcodecs.CRC32()], "compressors": numcodecs.Zlib()},
    "adler32": {"dtype": "<i4", "filters": [numcodecs.Adler32()], "compressors": None},
    "scale": {"dtype": "<f8", "filters": [numcodecs.FixedScaleOffset(0, 1, "<f8", "<i4")], "compressors": None},
    "astype": {"dtype": "<f8", "filters": [numcodecs.AsType("<f4", "<f8")], "compressors": numcodecs.Zlib()},
    "packbits": {"dtype": "|b1", "filters": [numcodecs.PackBits()], "compressors": numcodecs.Zlib()},
}
_little = codecs.BytesCodec(endian="little")
V3: dict[str, dict[str, Any]] = {
    "raw": {"dtype": "int32", "compressors": None},
    "big-endian": {"dtype": "float32", "compressors": None, "serializer": codecs.BytesCodec(endian="big")},
    "zstd": {"dtype": "float64", "compressors": codecs.ZstdCodec(level=1)},
    "zstd-checksum": {"dtype": "int16", "compressors": codecs.ZstdCodec(level=1, checksum=True)},
    "gzip": {"dtype": "uint16", "compressors": codecs.GzipCodec()},
    "blosc": {"dtype": "int64", "compressors": codecs.BloscCodec(cname="lz4", shuffle="bitshuffle", typesize=8)},
    "crc32c": {"dtype": "int32", "compressors": [codecs.GzipCodec(), codecs.Crc32cCodec()]},
    "bool": {"dtype": "bool"},
    "complex": {"dtype": "complex128"},
    "transpose": {"dtype": "int32", "filters": codecs.TransposeCodec(order=(2, 0, 1)), "compressors": None},
    "dots": {"dtype": "uint8", "chunk_key_encoding": {"name": "default", "separator": "."}, "compressors": None},
    "keys-v2": {"dtype": "uint8", "chunk_key_encoding": {"name": "v2", "separator": "."}, "compressors": None},
    "shards": {"dtype": "int32", "shards": (12, 8, 5)},
    "raw-shards": {"dtype": "int32", "shards": (12, 8, 5), "compressors": None},
    "shards-start": {
        "dtype": "float64",
        "chunks": (12, 8, 5),
        "serializer": codecs.ShardingCodec(chunk_shape=CHUNKS, codecs=[_little], index_location="start"),
        "compressors": None,
    },
}


def content(dtype: Any, shape: tuple[int, ...], seed: int = 7) -> Any:
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 2 if np.dtype(dtype).kind == "b" else 100, shape)
    return found.astype(dtype)


def write(path: Path, version: int, options: dict[str, Any]) -> Any:
    """Write an array `x` whose last chunks are not written, and return what zarr-python reads of it."""
    group = new_group(path, version)
    wanted = {"chunks": CHUNKS, "shape": SHAPE, "fill_value": 1, **options}
    array = group.create_array("x", **wanted)
    array[:18] = content(np.dtype(wanted["dtype"]), (18, *SHAPE[1:]))
    return np.asarray(array[...])


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    folder = tmp_path_factory.mktemp("stores")
    chosen = [*((2, name, one) for name, one in V2.items()), *((3, name, one) for name, one in V3.items())]
    with without_warnings():
        return {
            f"v{v}-{name}": (folder / f"{v}{name}", write(folder / f"{v}{name}", v, one)) for v, name, one in chosen
        }


NAMES = [*(f"v2-{name}" for name in V2), *(f"v3-{name}" for name in V3)]


@pytest.mark.parametrize("name", NAMES)
def test_all_values_are_those_of_zarr_python(stores: dict[str, tuple[Path, Any]], name: str) -> None:
    path, expected = stores[name]
    with opened(path) as file:
        entry = file.index("/").arrays["/x"]
        found = file.read(entry)
    assert (entry.shape, entry.chunks) == (SHAPE, CHUNKS)
    assert found.dtype == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, expected)


@st.composite
def selections(draw: st.DrawFn) -> Any:
    bounds = sorted(draw(st.lists(st.integers(0, SHAPE[0]), max_size=8, unique=True)))
    spans = list(zip(bounds[::2], bounds[1::2], strict=False))
    box = tuple(tuple(sorted((draw(st.integers(0, n)), draw(st.integers(0, n))))) for n in SHAPE[1:])
    return spans, draw(st.sampled_from([box, None]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(NAMES), selection=selections(), is_remote=st.booleans())
def test_any_spans_and_box_are_what_numpy_selects(
    stores: dict[str, tuple[Path, Any]], name: str, selection: Any, *, is_remote: bool
) -> None:
    path, expected = stores[name]
    spans, box = selection
    rows = np.concatenate([np.arange(0), *(np.arange(start, stop) for start, stop in spans)]).astype(int)
    wanted = expected[rows]
    if box is not None:
        wanted = wanted[:, slice(*box[0]), slice(*box[1])]
    keys = keys_of(path)
    keys.local_path = None if is_remote else "/memory"
    file = ZarrFile(keys)
    found = file.read(file.index("/").arrays["/x"], np.array(spans, np.int64).reshape(-1, 2), box)
    np.testing.assert_array_equal(found, wanted)


NUMBER_CODECS: dict[str, tuple[str, dict[str, Any], str]] = {
    "delta": ("int32", {"dtype": "<i4"}, "i4"),
    "delta-wider": ("int16", {"dtype": "<i2", "astype": "<i8"}, "i8"),
    "fixedscaleoffset": ("int16", {"dtype": "<i2", "astype": "<f4", "offset": 3, "scale": 1}, "f4"),
    "astype": ("int16", {"encode_dtype": "<i4", "decode_dtype": "<i2"}, "i4"),
    "packbits": ("bool", {}, "u1"),
}


@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize("is_sharded", [True, False])
@pytest.mark.parametrize("name", NUMBER_CODECS)
def test_what_codecs_for_numbers_write_is_stored_in_the_byte_order_of_the_codec_behind_them(
    name: str, endian: Literal["little", "big"], *, is_sharded: bool
) -> None:
    kind, options, encoded = NUMBER_CODECS[name]
    codec = name.partition("-")[0]
    wanted = content(kind, (12,))
    written = np.asarray(numcodecs.get_codec({"id": codec, **options}).encode(wanted))
    chunk = written.astype(f"{'<' if endian == 'little' else '>'}{encoded}").tobytes()
    steps = [
        {"name": f"numcodecs.{codec}", "configuration": options},
        {"name": "bytes", "configuration": {"endian": endian}},
    ]
    if is_sharded:
        index = {"chunk_shape": [12], "codecs": steps, "index_codecs": [_little.to_dict()], "index_location": "end"}
        steps = [{"name": "sharding_indexed", "configuration": index}]
        chunk += np.array([0, len(chunk)], "<u8").tobytes()
    nodes = documents(**{"zarr.json": GROUP_V3, "x/zarr.json": array_v3((12,), kind, codecs=steps)})
    with ZarrFile(Keys({**nodes, "x/c/0": chunk})) as file:
        found = file.read(file.index("/").arrays["/x"])
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("version", [2, 3])
def test_text_bytes_and_scalars_are_as_hdf5_has_them(tmp_path: Path, version: int) -> None:
    group = new_group(tmp_path / "x", version)
    group.create_array("text", shape=(5,), chunks=(2,), dtype=str)[:4] = np.array(["a", "", "é", "long text"])
    group.create_array("scalar", shape=(), dtype="float64")[...] = 2.5
    with without_warnings():
        group.create_array("fixed", shape=(3,), dtype="S3")[:] = np.array([b"a", b"bcd", b""])
        group.create_array("wide", shape=(2,), dtype="U4")[:] = np.array(["é", "abcd"])
    with opened(tmp_path / "x") as file:
        arrays = file.index("/").arrays
        assert file.read(arrays["/text"]).tolist() == [b"a", b"", "é".encode(), b"long text", b""]
        assert file.read(arrays["/scalar"]).tolist() == 2.5
        assert arrays["/scalar"].shape == ()
        assert file.read(arrays["/fixed"]).tolist() == [b"a", b"bcd", b""]
        assert file.read(arrays["/wide"]).tolist() == ["é".encode(), b"abcd"]
    assert arrays["/text"].element.kind == arrays["/wide"].element.kind == "string"
    assert arrays["/fixed"].element.dtype == np.dtype("S3")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("fill", [np.nan, np.inf, -np.inf, -3.5])
def test_fill_values_stand_where_nothing_was_written(tmp_path: Path, version: int, fill: float) -> None:
    new_group(tmp_path / "x", version).create_array("x", shape=(3,), dtype="float32", fill_value=fill)
    with opened(tmp_path / "x") as file:
        entry = file.index("/").arrays["/x"]
        np.testing.assert_array_equal(file.read(entry), np.full(3, fill, "f4"))
    assert entry.fill == np.float32(fill).tobytes()


def test_records_are_those_of_zarr_python(tmp_path: Path) -> None:
    dtype = np.dtype([("a", "<i4"), ("b", "<f8"), ("c", "S2")])
    stored = np.array([(1, 2.5, b"x"), (3, 4.5, b"yz")], dtype)
    for version in (2, 3):
        group = new_group(tmp_path / str(version), version)
        with without_warnings():
            group.create_array("x", shape=(2,), dtype=dtype)[:] = stored
        with opened(tmp_path / str(version)) as file:
            entry = file.index("/").arrays["/x"]
            assert entry.element.kind == "compound"
            assert file.read(entry).tolist() == stored.tolist()


def test_a_store_that_is_one_array_stands_at_the_root(tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "x"), shape=(5,), dtype="int64")[...] = np.arange(5)
    with opened(tmp_path / "x") as file:
        assert file.read(file.index("/").arrays["/"]).tolist() == [0, 1, 2, 3, 4]
