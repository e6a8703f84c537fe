"""Damaged and crafted stores: an error of ours for what is damaged alone, and no memory for what is declared."""

from __future__ import annotations

import json
import resource
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest

from nwb_dask.backends.zarr import ZarrFile
from nwb_dask.errors import MalformedFileError, NWBDaskError, UnsupportedLayoutError
from tests.backends.zarr.stores import GROUP_V2, GROUP_V3, Keys, array_v2, array_v3, documents

HUGE = 1 << 43


def store(document: dict[str, Any], **values: bytes) -> ZarrFile:
    """Return a store with a sound array and one by `document`."""
    is_v2 = "node_type" not in document
    nodes = (
        {".zgroup": GROUP_V2, "good/.zarray": array_v2([2], "|u1"), "bad/.zarray": document}
        if is_v2
        else {"zarr.json": GROUP_V3, "good/zarr.json": array_v3([2], "uint8"), "bad/zarr.json": document}
    )
    return ZarrFile(Keys({**documents(**nodes), ("good/0" if is_v2 else "good/c/0"): b"\x01\x02", **values}))


@pytest.mark.parametrize(
    "document",
    [
        array_v2([-1], "<i4"),
        {**array_v2([2], "<i4"), "shape": [1.5]},
        array_v2([True], "<i4"),
        array_v2([1 << 63], "<i4"),
        array_v2([2] * 40, "<i4"),
        array_v2([2], "<i4", chunks=[0]),
        array_v2([2], "<i4", chunks=[2, 2]),
        array_v2([2], "<i4", chunks=None),
        array_v2([2], "<q9"),
        array_v2([2], "|V999999999"),
        array_v2([2], "<M8[ns]"),
        array_v2([2], [["a"]]),
        array_v2([2], []),
        array_v2([2], [["a", "<i4", [1 << 40]]]),
        array_v2([2], None),
        array_v2([2], "<i4", order="X"),
        array_v2([2], "<i4", dimension_separator=".."),
        array_v2([2], "<i4", filters=[{"id": 3}]),
        array_v2([2], "<i4", filters="zlib"),
        array_v2([2], "<i4", fill_value="four"),
        array_v2([2], "<i4", fill_value=2.5),
        array_v2([2], "|S2", fill_value="YWJjZGVm"),
        array_v3([2], "int7"),
        array_v3([2], "int8", chunk_grid={"name": "rectilinear"}),
        array_v3([2], "int8", storage_transformers=[{"name": "x"}]),
        array_v3([2], "int8", zarr_format=4),
        array_v3([2], "int8", node_type="other"),
        array_v3([2], "int8", chunk_key_encoding={"name": "default", "configuration": {"separator": "../"}}),
        array_v3([2], "int8", codecs=[{"name": "sharding_indexed", "configuration": {"chunk_shape": [0]}}]),
        array_v3([2], "int8", codecs=[{"name": "sharding_indexed", "configuration": {"chunk_shape": [3]}}]),
        [],
        {"node_type": "array", "zarr_format": 3},
    ],
    ids=str,
)
def test_a_document_that_is_damaged_is_a_problem_of_its_object_alone(document: Any) -> None:
    file = store(document if isinstance(document, dict) else {})
    index = file.index("/", recursive=True)
    assert set(index.problems) == {"/bad"}
    assert set(index.arrays) == {"/good"}
    assert file.read(index.arrays["/good"]).tolist() == [1, 2]
    assert index.groups["/"].members == ("bad", "good")
    with pytest.raises(NWBDaskError) as caught:
        file.index("/bad")
    assert caught.value.path == "/bad"
    assert caught.value.url == "https://host/memory"


@pytest.mark.parametrize("key", ["../x/.zarray", "a//b/.zarray", "a/./b/.zarray", "a/../../b/.zarray"])
def test_a_key_that_leads_elsewhere_is_no_object(key: str) -> None:
    metadata = {".zgroup": GROUP_V2, key: array_v2([2], "|u1")}
    file = ZarrFile(Keys(documents(**{".zmetadata": {"metadata": metadata, "zarr_consolidated_format": 1}})))
    index = file.index("/", recursive=True)
    assert not index.arrays
    keys = file._keys
    assert isinstance(keys, Keys)
    assert all(".." not in one for wanted in keys.rounds for one, _ in wanted)


@pytest.mark.parametrize("codec", ["wavpack", "categorize", "imagecodecs_jpeg2k"])
def test_a_codec_that_is_not_known_is_named(codec: str) -> None:
    file = store(array_v2([2], "<i4", compressor={"id": codec}), **{"bad/0": b"12345678"})
    with pytest.raises(UnsupportedLayoutError, match=codec) as caught:
        file.read(file.index("/").arrays["/bad"])
    assert caught.value.path == "/bad"


def test_objects_without_a_codec_are_not_read() -> None:
    file = store(array_v2([2], "|O"), **{"bad/0": b"12345678"})
    with pytest.raises(UnsupportedLayoutError, match="no codec"):
        file.read(file.index("/").arrays["/bad"])


@pytest.fixture
def _little_memory() -> Iterator[None]:
    """Let this process take 600 MiB more address space than it has."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (600 << 20), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("_little_memory")
@pytest.mark.parametrize("is_listed", [True, False])
@pytest.mark.parametrize(
    ("shape", "chunks"),
    [([HUGE // 8], [1 << 20]), ([HUGE // 8], [HUGE // 8]), ([HUGE // 8], [1]), ([1 << 50, 1 << 50], [4, 4])],
)
def test_eight_tebibytes_that_were_never_written_take_no_memory(
    shape: list[int], chunks: list[int], *, is_listed: bool
) -> None:
    document = array_v2(shape, "<f8", chunks=chunks)
    nodes = documents(**{".zgroup": GROUP_V2, "x/.zarray": document})
    consolidated = {".zmetadata": {"metadata": {key: json.loads(value) for key, value in nodes.items()}}}
    file = ZarrFile(Keys(documents(**consolidated), is_listed=is_listed))
    entry = file.index("/").arrays["/x"]
    tracemalloc.start()
    with pytest.raises(MalformedFileError):
        file.read(entry)
    with pytest.raises(MalformedFileError):
        file.require_room(entry, HUGE)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def sharded(shape: int, outer: int, inner: int, codec: str) -> dict[str, Any]:
    """Return the ``zarr.json`` of numbers in shards, with the index at the end of each."""
    steps = [{"name": "bytes", "configuration": {"endian": "little"}}]
    index = {"chunk_shape": [inner], "index_codecs": steps, "codecs": [*steps, {"name": codec}] if codec else steps}
    grid = {"name": "regular", "configuration": {"chunk_shape": [outer]}}
    codecs = [{"name": "sharding_indexed", "configuration": index}]
    return array_v3([shape], "float64", chunk_grid=grid, codecs=codecs)


@pytest.mark.usefixtures("_little_memory")
@pytest.mark.parametrize("is_listed", [True, False])
@pytest.mark.parametrize("codec", ["", "zstd"])
@pytest.mark.parametrize("entry", [(2**64 - 1, 2**64 - 1), (0, 64), (1 << 40, 64), (1 << 63, 64)])
def test_eight_tebibytes_in_shards_that_do_not_hold_them_take_no_memory(
    entry: tuple[int, int], codec: str, *, is_listed: bool
) -> None:
    outer, inner = HUGE // 8, HUGE // 8 // 1024
    shard = bytes(64) + np.tile(np.array(entry, "<u8"), 1024).tobytes()
    consolidated = {"kind": "inline", "metadata": {"x": sharded(outer, outer, inner, codec)}}
    nodes = {"zarr.json": {**GROUP_V3, "consolidated_metadata": consolidated}}
    file = ZarrFile(Keys({**documents(**nodes), "x/c/0": shard}, is_listed=is_listed))
    found = file.index("/").arrays["/x"]
    with pytest.raises(MalformedFileError, match="can hold"):
        file.require_room(found, HUGE)
    tracemalloc.start()
    with pytest.raises(MalformedFileError, match="can hold"):
        file.read(found)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_shards_that_hold_what_is_asked_for_have_room() -> None:
    outer = 1 << 28
    index = np.array([(0, 1 << 20), *[(2**64 - 1, 2**64 - 1)] * 3], "<u8").tobytes()
    values = {"x/c/0": bytes(1 << 20) + index, "x/c/1": bytes(1 << 20) + index}
    nodes = documents(**{"zarr.json": GROUP_V3, "x/zarr.json": sharded(2 * outer, outer, outer // 4, "zstd")})
    file = ZarrFile(Keys({**nodes, **values}))
    found = file.index("/").arrays["/x"]
    file.require_room(found, 2 << 30)
    with pytest.raises(MalformedFileError, match="can hold 1073741824"):
        file.require_room(found, (2 << 30) + 1)


def bomb(name: str) -> bytes:
    """Return a small chunk that declares, or decompresses to, 8 MiB or more."""
    if name == "blosc":
        body = bytearray(numcodecs.Blosc("zstd", 9, 1).encode(bytes(4096)))
        body[4:8] = (2**31 - 17).to_bytes(4, "little")
        return bytes(body)
    options = {"preset": 0} if name == "lzma" else {}
    return bytes(numcodecs.registry.get_codec({"id": name, **options}).encode(bytes(8 << 20)))


@pytest.mark.parametrize("name", ["zlib", "gzip", "zstd", "bz2", "lzma", "lz4", "blosc"])
def test_a_chunk_that_decompresses_to_more_than_it_should_is_refused_before_it_does(name: str) -> None:
    file = store(array_v2([1024], "|u1", compressor={"id": name}), **{"bad/0": bomb(name)})
    entry = file.index("/").arrays["/bad"]
    tracemalloc.start()
    with pytest.raises(MalformedFileError):
        file.read(entry)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "codec", ["zlib", "gzip", "zstd", "bz2", "lzma", "lz4", "blosc", "vlen-utf8", "json2", "msgpack2"]
)
def test_mutated_and_cut_chunks_end_in_an_error_of_ours_or_values(codec: str) -> None:
    is_object = codec in {"vlen-utf8", "json2", "msgpack2"}
    made = numcodecs.registry.get_codec({"id": codec})
    content = np.array(["ab", "c", ""] * 20, object) if is_object else np.arange(60, dtype="<i4")
    body = bytes(made.encode(content))
    options = {"filters": [{"id": codec}]} if is_object else {"compressor": {"id": codec}}
    file = store(array_v2([60], "|O" if is_object else "<i4", **options))
    entry = file.index("/").arrays["/bad"]
    keys = file._keys
    assert isinstance(keys, Keys)
    rng = np.random.default_rng(5)
    for number in range(60):
        mutated = bytearray(body)
        for at in rng.integers(0, len(body), 2).tolist():
            mutated[at] = int(rng.integers(0, 256))
        keys.values["bad/0"] = bytes(mutated) if number % 2 else body[: int(rng.integers(0, len(body)))]
        file.known.values.clear()
        try:
            assert file.read(entry).shape == (60,)
        except NWBDaskError as error:
            assert error.path == "/bad"  # noqa: PT017  # most end so


def test_a_text_chunk_that_declares_four_billion_elements_takes_no_memory() -> None:
    file = store(array_v2([2], "|O", filters=[{"id": "vlen-utf8"}]), **{"bad/0": b"\xff\xff\xff\xff" + bytes(8)})
    with pytest.raises(MalformedFileError, match="another number"):
        file.read(file.index("/").arrays["/bad"])


def test_the_index_of_a_shard_that_leads_out_is_damage() -> None:
    inner = [{"name": "bytes", "configuration": {"endian": "little"}}]
    options = {"chunk_shape": [2], "codecs": inner, "index_codecs": inner, "index_location": "end"}
    document = array_v3([4], "uint8", codecs=[{"name": "sharding_indexed", "configuration": options}])
    for offset, length in [(1 << 63, 4), (100, 2), (0, 1), (0, 1 << 60)]:
        where = np.array([[offset, length], [0, 2]], "<u8").tobytes()
        file = store(document, **{"bad/c/0": b"\x01\x02" + where})
        with pytest.raises(MalformedFileError) as caught:
            file.read(file.index("/").arrays["/bad"])
        assert caught.value.path == "/bad"
    file = store(document, **{"bad/c/0": b"12"})
    with pytest.raises(MalformedFileError, match="no room for its index"):
        file.read(file.index("/").arrays["/bad"])


def test_documents_that_are_not_consolidated_and_not_listed_are_an_error_with_the_way_out() -> None:
    keys = Keys(documents(**{".zgroup": GROUP_V2, "x/.zarray": array_v2([2], "|u1")}), is_listed=False)
    with pytest.raises(UnsupportedLayoutError, match="consolidate_metadata"):
        ZarrFile(keys).index("/")


@pytest.mark.parametrize(
    "values", [{}, {"x": b""}, {".zmetadata": b"{"}, {".zmetadata": b"[]"}, {"zarr.json": b"null"}]
)
def test_what_is_no_store_says_so(values: dict[str, bytes]) -> None:
    with pytest.raises(MalformedFileError) as caught:
        ZarrFile(Keys(values)).index("/")
    assert caught.value.url == "https://host/memory"
