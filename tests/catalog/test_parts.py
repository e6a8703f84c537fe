from __future__ import annotations

from dataclasses import MISSING, Field, fields

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nwb_dask.backends.known import GroupPart, Known
from nwb_dask.catalog.parts import (
    pack_manifest,
    pack_part,
    split_path,
    unpack_manifest,
    unpack_part,
)
from nwb_dask.index import (
    ArrayEntry,
    ChunkIndex,
    ChunkManifest,
    ElementType,
    FilePath,
    Filter,
    GroupEntry,
    Link,
    Reference,
)
from tests.catalog.exact import exact

ENUM = ElementType("enum", np.dtype("<i1"), members=(("low", 0), ("high", 1)), size=1)
UNREAD = ElementType("unsupported", base=ENUM, shape=(2, 3), reason="because")
PAIR = ElementType(
    "compound",
    np.dtype({"names": ["a", "b"], "formats": [">i4", ("<f8", (2, 3))], "offsets": [4, 16], "itemsize": 80}),
    fields=(("a", UNREAD), ("b", ElementType("array", base=ENUM, shape=(2, 3)))),
    size=80,
    offsets=(4, 16),
    exact=False,
)
TEXT = ElementType("string", np.dtype("S8"), size=8, padding="space")
ARRAY = ArrayEntry(
    FilePath("/units/x"),
    PAIR,
    (3, 4),
    "chunked",
    {"unit": "volt", "pair": (1, True), "limits": np.arange(3, dtype=">f4"), "table": Reference(None, 800)},
    (1, 4),
    (Filter(1, (4,), "deflate"), Filter(2, ())),
    17,
    99,
    ChunkIndex("extensible", None, (True, False), (None, 4), 8, 3, unfiltered_edges=True),
    b"inline",
    b"fill",
)
PART = GroupPart(
    GroupEntry(
        FilePath("/units"),
        {"a": None},
        ("x", "y", "z"),
        {"z": Link("/y"), "e": Link("/", "o.h5")},
        frozenset({"u", "b"}),
    ),
    {"x": ARRAY, "y": ArrayEntry(FilePath("/elsewhere"), TEXT, None, "compact")},
    {"x": 2**63, "y": 0},
    frozenset({"g", "h"}),
    {"/units/y": "damaged: it is"},
    "attributes",
)


def test_a_described_group_comes_back_with_every_field() -> None:
    assert exact(unpack_part(pack_part(PART))) == exact(PART)


EXAMPLES = (
    PART,
    PART.group,
    ARRAY,
    ENUM,
    PAIR,
    TEXT,
    UNREAD,
    *ARRAY.filters,
    ARRAY.chunk_index,
    *PART.group.links.values(),
)
OPTIONAL = [
    (kind, one)
    for kind in (GroupPart, GroupEntry, ArrayEntry, ElementType, Filter, ChunkIndex, Link)
    for one in fields(kind)
    if one.default is not MISSING or one.default_factory is not MISSING
    # Only local files, of which nothing is kept, have datasets in other files.
    if (kind, one.name) != (ArrayEntry, "home")
]


@pytest.mark.parametrize(("kind", "one"), OPTIONAL, ids=lambda value: getattr(value, "name", None))
def test_the_examples_have_something_in_every_field(kind: type, one: Field[object]) -> None:
    default = one.default if one.default_factory is MISSING else one.default_factory()
    values = [getattr(example, one.name) for example in EXAMPLES if type(example) is kind]
    assert any(value != default for value in values)


def test_types_that_are_equal_and_read_differently_stay_apart() -> None:
    one, other = (ElementType("string", np.dtype("S8"), size=8, padding=padding) for padding in ("null", "space"))
    assert one == other
    arrays = {
        name: ArrayEntry(FilePath(f"/{name}"), element, (), "contiguous")
        for name, element in (("a", one), ("b", other))
    }
    part = GroupPart(GroupEntry(FilePath("/"), {}, ("a", "b")), arrays)
    back = unpack_part(pack_part(part)).arrays
    assert [back[name].element.padding for name in ("a", "b")] == ["null", "space"]


def test_nothing_else_is_known_of_a_file_than_what_is_kept() -> None:
    kept = {"source", "base", "offset_bytes", "length_bytes", "root", "structure"} | {
        *("parts", "manifests", "values", "paths"),
    }
    assert {one.name for one in fields(Known)} == kept | {"is_changed"}


NUMBERS = st.integers(0, 50)


@given(st.data(), NUMBERS)
def test_a_manifest_comes_back_whatever_its_numbers(data: st.DataObject, n: int) -> None:
    numbers, offsets, sizes = (data.draw(hnp.arrays(np.int64, n)) for _ in range(3))
    manifest = ChunkManifest(numbers, offsets, sizes, data.draw(hnp.arrays(np.uint32, n)))
    assert exact(unpack_manifest(pack_manifest(manifest))) == exact(manifest)


def test_a_manifest_of_many_equal_chunks_is_small_after_compression() -> None:
    n = 4096
    sizes = np.full(n, 4096) + np.random.default_rng(0).integers(0, 200, n)
    offsets = np.concatenate(([2048], 2048 + np.cumsum(sizes)[:-1]))
    manifest = ChunkManifest(np.arange(n), offsets, sizes, np.zeros(n, np.uint32))
    packed = pack_manifest(manifest)
    assert len(pa.Codec("zstd").compress(packed, asbytes=True)) < 3 * n


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/units/id", ("/units", "id")),
        ("/x", ("/", "x")),
        ("/a//b", None),
        ("/", None),
        ("", None),
        ("units", None),
        ("/units/", None),
    ],
)
def test_a_path_is_a_group_and_a_name_or_is_not_kept(path: str, parts: tuple[str, str] | None) -> None:
    assert split_path(path) == parts
