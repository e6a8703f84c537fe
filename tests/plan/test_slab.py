from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nwb_dask.errors import UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, ChunkIndex, ElementKind, ElementType, FilePath, Filter, Identity, Url
from nwb_dask.model.series.values import Scale
from nwb_dask.plan.slab import Slab, scaled_dtype, stored_dtype
from nwb_dask.storage import make_access

URL = Url("https://user:pass@host.org/file.nwb?X-Amz-Signature=0123secret")
ETAG = Identity("etag", '"abc"', 1000)
NUMBERS = ElementType("int", np.dtype("<i2"), size=2)
INDEX = ChunkIndex("btree1", 4096, (True, False), (None, 384))
ENTRY = ArrayEntry(
    FilePath("/acquisition/lfp/data"),
    NUMBERS,
    (216_000_000, 384),
    "chunked",
    {"unit": "volts", "description": "x" * 5000},
    (13_653, 384),
    (Filter(2, (2,), "shuffle"), Filter(1, (4,), "deflate")),
    chunk_index=INDEX,
)


def made(entry: ArrayEntry = ENTRY, **options: Any) -> Slab:
    known: dict[str, Any] = {"url": URL, "name": "https://host.org/file.nwb", "identity": ETAG}
    return Slab.of(entry, **(known | options))


def stored(dtype: str) -> ElementType:
    known = np.dtype(dtype)
    kinds: dict[str, ElementKind] = {"i": "int", "u": "uint", "f": "float", "c": "complex"}
    return ElementType(kinds[known.kind], known)


VOLTS = Scale(1e-6)


@pytest.mark.parametrize(
    ("dtype", "plain", "scaled"),
    [
        ("<i2", "int16", "float32"),
        (">i2", "int16", "float32"),
        ("u1", "uint8", "float32"),
        (">u2", "uint16", "float32"),
        ("<i4", "int32", "float64"),
        ("<u4", "uint32", "float64"),
        ("<i8", "int64", "float64"),
        ("<f2", "float16", "float32"),
        (">f4", "float32", "float32"),
        (">f8", "float64", "float64"),
        ("<c8", "complex64", "complex64"),
    ],
)
def test_the_dtype_of_values_follows_the_cf_conventions(dtype: str, plain: str, scaled: str) -> None:
    element = stored(dtype)
    assert scaled_dtype(element, Scale()) == np.dtype(plain)
    assert scaled_dtype(element, Scale()).isnative
    for scale in (VOLTS, Scale(offset=1.0), Scale(per_channel=np.ones(3))):
        assert scaled_dtype(element, scale) == np.dtype(scaled)


def test_flags_stay_flags_unless_they_are_scaled() -> None:
    flag = ElementType("bool", np.dtype("i1"))
    assert scaled_dtype(flag, Scale()) == np.dtype(bool)
    assert scaled_dtype(flag, VOLTS) == np.dtype(np.float32)
    assert stored_dtype(ElementType("enum", np.dtype(">i2"))) == np.dtype(np.int16)


def test_text_and_records_are_never_scaled() -> None:
    text = ElementType("string", size=16)
    record = ElementType("compound", fields=(("a", stored(">i2")), ("b", text)))
    for scale in (Scale(), VOLTS):
        assert scaled_dtype(text, scale, np.dtype(np.float64)) == np.dtype(object)
        assert scaled_dtype(ElementType("string", np.dtype("S4")), scale) == np.dtype(object)
        assert scaled_dtype(record, scale) == np.dtype([("a", "i2"), ("b", "O")])
    assert made(replace(ENTRY, element=text), scale=VOLTS).scale.is_identity


@pytest.mark.parametrize("wanted", ["float64", "float32", ">f8", "int32", "complex128"])
def test_any_dtype_that_holds_the_values_may_be_asked_for(wanted: str) -> None:
    assert scaled_dtype(NUMBERS, Scale(), np.dtype(wanted)) == np.dtype(wanted).newbyteorder("=")


@pytest.mark.parametrize(
    ("scale", "wanted"), [(VOLTS, "int16"), (VOLTS, "int64"), (Scale(), "int8"), (Scale(), "uint16"), (VOLTS, "S3")]
)
def test_a_dtype_that_loses_values_is_refused(scale: Scale, wanted: str) -> None:
    with pytest.raises(TypeError, match="choose a floating point type"):
        made(scale=scale, dtype=np.dtype(wanted))


def test_an_address_pickles_small_and_returns_the_same() -> None:
    slab = made(scale=Scale(1e-6, 0.5), access=make_access({"anon": True}))
    packed = pickle.dumps(slab)
    assert len(packed) < 2000
    back = pickle.loads(packed)
    assert back == slab
    assert hash(back) == hash(slab)
    assert (back.shape, back.dtype, back.nbytes) == ((216_000_000, 384), np.dtype(np.float32), 216_000_000 * 384 * 4)
    assert (back.url, back.identity, back.scale.offset, back.entry.chunks) == (URL, ETAG, 0.5, (13_653, 384))


def test_values_in_the_header_of_an_object_do_not_travel() -> None:
    entry = ArrayEntry(FilePath("/x"), NUMBERS, (30_000,), "compact", inline=bytes(60_000))
    assert len(pickle.dumps(made(entry))) < 2000


def test_tokens_are_the_same_everywhere_and_hold_no_secret() -> None:
    slab = made(scale=VOLTS)
    code = "import pickle, sys, dataclasses; slab = pickle.loads(sys.stdin.buffer.read())"
    code += "; print(dataclasses.replace(slab, name='another').token)"
    elsewhere = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(slab), capture_output=True, check=True)
    assert elsewhere.stdout.decode().strip() == slab.token
    other = made(url=Url("https://host.org/file.nwb?X-Amz-Signature=other"), scale=VOLTS, name="elsewhere")
    assert other.token == slab.token, "signed again it is the same file"
    assert "secret" not in repr(slab)
    assert "pass" not in repr(slab)
    assert repr(slab).startswith("Slab('/acquisition/lfp/data' of 'https://host.org/file.nwb'")


def test_whatever_changes_the_values_changes_the_token() -> None:
    factors = np.ones(384)
    changed = [
        made(),
        made(identity=Identity("etag", '"abd"', 1000)),
        made(identity=Identity("etag", '"abc"', 1001)),
        made(url=Url("https://host.org/other.nwb")),
        made(scale=Scale(2.0)),
        made(scale=Scale(2.0, precision=np.dtype(np.float32))),
        made(scale=Scale(offset=2.0)),
        made(scale=Scale(per_channel=factors)),
        made(scale=Scale(per_channel=factors * 2)),
        made(dtype=np.dtype(np.float64)),
        made(replace(ENTRY, chunk_index=replace(INDEX, address=8192))),
        made(replace(ENTRY, chunk_index=None)),
        made(replace(ENTRY, chunk_index=None, path=FilePath("/b"))),
        made(replace(ENTRY, element=stored(">i2"))),
    ]
    assert len({slab.token for slab in changed}) == len(changed)
    assert len(set(changed)) == len(changed)


def test_several_links_to_one_dataset_are_one_array() -> None:
    assert made(replace(ENTRY, path=FilePath("/b/data"))) == made()
    contiguous = replace(ENTRY, layout="contiguous", chunks=None, filters=(), chunk_index=None, offset=4096)
    assert made(replace(contiguous, path=FilePath("/b/data"))) == made(contiguous)
    assert made(replace(contiguous, offset=4100)) != made(contiguous)


def test_files_that_only_the_query_tells_apart_differ_unless_their_version_does() -> None:
    size = Identity("size", "1000", 1000)
    one, other = (Url(f"https://host.org/get?file={name}") for name in "ab")
    assert made(url=one, identity=size) != made(url=other, identity=size)


def test_factors_must_fit_the_axis_that_they_belong_to() -> None:
    made(scale=Scale(per_channel=np.ones(384), axis=1))
    for scale in (Scale(per_channel=np.ones(383)), Scale(per_channel=np.ones(384), axis=2)):
        with pytest.raises(ValueError, match="factors along axis"):
            made(scale=scale)


@pytest.mark.parametrize(
    "entry",
    [
        replace(ENTRY, shape=None),
        replace(ENTRY, element=ElementType("unsupported", reason="it is odd")),
        replace(ENTRY, element=ElementType("array", np.dtype(("<i2", (3,))), base=NUMBERS, shape=(3,))),
    ],
)
def test_what_is_no_array_of_values_is_refused(entry: ArrayEntry) -> None:
    with pytest.raises(UnsupportedLayoutError, match="is not read"):
        made(entry)
