from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nwb_dask.backends.known import Known
from nwb_dask.catalog import IndexCache, indexfile, listing, merge
from nwb_dask.catalog.indexfile import Block, Facts, build, compress
from nwb_dask.catalog.serialize import pack
from nwb_dask.index import Identity, Url
from nwb_dask.storage.url_keys import url_key
from tests.catalog.exact import contents
from tests.catalog.knowledge import URL

Fresh = Callable[[], Known]


@pytest.fixture
def file(cache: IndexCache, knowledge: Fresh) -> Path:
    cache.keep(knowledge())
    return listing.index_path(cache.folder, url_key(URL))


@pytest.fixture(scope="module")
def expected(knowledge: Fresh) -> dict[str, object]:
    return contents(knowledge())


def find(folder: Path) -> Known | None:
    return IndexCache(folder).find(URL)


def assert_right_or_missing(known: Known | None, expected: dict[str, object]) -> int:
    """Everything that is found is right; return how much that is."""
    if known is None:
        return 0
    now = contents(known)
    assert now.items() <= expected.items()
    return len(now)


@pytest.mark.parametrize("head_bytes", [1 << 10, 1 << 20])
def test_a_flipped_bit_is_a_miss_and_never_a_wrong_answer(
    folder: Path, file: Path, expected: dict[str, object], head_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexfile, "_HEAD_BYTES", head_bytes)
    whole = file.read_bytes()
    for part in range(64):
        flipped = bytearray(whole)
        flipped[len(whole) * part // 64] ^= 1 << part % 8
        file.write_bytes(flipped)
        assert assert_right_or_missing(find(folder), expected) < len(expected)


def test_any_flipped_bit_in_the_table_is_a_miss_at_once(folder: Path, file: Path) -> None:
    whole = file.read_bytes()
    for place in range(_end_of_table(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        file.write_bytes(flipped)
        assert find(folder) is None


def _end_of_table(whole: bytes) -> int:
    """Where the first block begins: magic, two versions of 2 bytes, schema, sizes of the table, digest, table."""
    (stored_bytes,) = struct.unpack_from("<I", whole, 16)
    return 32 + int(stored_bytes)


def test_a_file_that_ends_early_is_a_miss(folder: Path, file: Path) -> None:
    whole = file.read_bytes()
    for length in [0, 1, 7, 20, 35, 36, 37, *range(100, len(whole), len(whole) // 20), len(whole) - 1]:
        file.write_bytes(whole[:length])
        assert find(folder) is None
    file.write_bytes(whole + b"\0")
    assert find(folder) is None
    file.write_bytes(whole)
    assert find(folder) is not None


def test_a_damaged_block_does_no_harm_until_it_is_asked_for(
    folder: Path, file: Path, expected: dict[str, object]
) -> None:
    whole = bytearray(file.read_bytes())
    whole[-3] ^= 1
    file.write_bytes(whole)
    known = find(folder)
    assert known is not None
    assert known.parts["/units"].arrays["column_1"].shape == (200,)
    assert known.values["/units/column_1"].shape == (200,)
    # The last block has the paths.
    assert dict(known.paths) == {}
    # What is at hand stays, and nothing more is believed.
    assert "/units" in known.parts
    assert "/acquisition" not in known.parts
    assert_right_or_missing(known, expected)


def test_a_damaged_file_is_written_again(
    cache: IndexCache, folder: Path, file: Path, knowledge: Fresh, expected: dict[str, object]
) -> None:
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(whole)
    known = find(folder)
    assert known is not None
    assert_right_or_missing(known, expected)
    again = knowledge()
    IndexCache(folder).keep(again)
    assert contents(again) == expected
    mended = find(folder)
    assert mended is not None
    assert contents(mended) == expected


@pytest.mark.parametrize("constant", ["FORMAT", "CONTENT", "SCHEMA"])
def test_a_file_of_another_version_is_a_miss(
    folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch, constant: str
) -> None:
    monkeypatch.setattr(indexfile, constant, getattr(indexfile, constant) + 1)
    assert find(folder) is None
    monkeypatch.undo()
    assert find(folder) is not None


def test_versions_of_the_layout_have_folders_of_their_own(file: Path, folder: Path) -> None:
    assert file.relative_to(folder).parts[0] == f"v{indexfile.FORMAT}"


def test_a_file_of_another_url_is_a_miss(folder: Path, file: Path) -> None:
    other = Url("https://host.org/b.nwb")
    place = listing.index_path(folder, url_key(other))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(file.read_bytes())
    assert IndexCache(folder).find(other) is None


def forge(file: Path, blocks: dict[tuple[indexfile.Section, str], Block], identity: Identity) -> None:
    """Write a file whose digests are right."""
    data = build(Facts(url_key(URL), "forged", identity), blocks)
    assert data is not None
    file.write_bytes(data)


def packed(raw: bytes, rank: int = 0) -> Block:
    block = compress(raw, rank)
    assert block is not None
    return block


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xc1",
        pack(None),
        pack((1, 2)),
        pack({"a": 1}),
        pack(((1,) * 6, ())),
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc7\x03\x01abc",
    ],
    ids=range(10),
)
def test_a_block_that_is_not_what_it_should_be_is_a_miss(
    folder: Path, file: Path, knowledge: Fresh, raw: bytes, expected: dict[str, object]
) -> None:
    forge(
        file,
        {
            ("descriptions", "/units"): packed(raw, 2),
            ("contents", "/units"): packed(raw),
            ("contents", "/"): packed(pack({"x": (raw, raw)})),
            ("paths", ""): packed(raw),
        },
        knowledge().source.identity,
    )
    for ask in ("parts", "values", "manifests", "paths"):
        known = find(folder)
        if known is not None:
            assert dict(getattr(known, ask)) == {}
    IndexCache(folder).keep(knowledge())
    again = find(folder)
    assert again is not None
    assert contents(again) == expected


def test_a_block_that_unpacks_to_more_than_it_says_is_a_miss(folder: Path, file: Path) -> None:
    bomb = packed(bytes(1 << 20))
    forge(file, {("descriptions", "/"): Block(bomb.stored, 100, bomb.digest)}, Identity("etag", "1", 1))
    known = find(folder)
    assert known is not None
    assert known.parts.get("/") is None


def test_a_block_that_claims_a_huge_size_is_a_miss(folder: Path, file: Path) -> None:
    small = packed(b"small")
    forge(file, {("descriptions", "/"): Block(small.stored, 1 << 40, small.digest)}, Identity("etag", "1", 1))
    assert find(folder) is None


def test_garbage_in_the_table_is_a_miss(folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = file.read_bytes()
    for table in [
        None,
        (),
        ((), (), ()),
        "text",
        b"bytes",
        ((b"k" * 20, "n", "etag", "1", 1), (0, 0, 0, 0), ((0, "/"),)),
    ]:
        monkeypatch.setattr("nwb_dask.catalog.indexfile.pack", lambda _described, table=table: pack(table))
        forge(file, {}, Identity("etag", "1", 1))
        assert find(folder) is None
    monkeypatch.undo()
    file.write_bytes(whole)
    assert find(folder) is not None


def test_merging_with_a_file_that_goes_meanwhile_keeps_what_is_known_here(
    folder: Path, file: Path, knowledge: Fresh, monkeypatch: pytest.MonkeyPatch, expected: dict[str, object]
) -> None:
    real = merge.merge

    def late(*arguments: object) -> object:
        file.unlink()
        return real(*arguments)  # type: ignore[arg-type]  # passed on as they are

    monkeypatch.setattr("nwb_dask.catalog.cache.merge", late)
    known = knowledge()
    known.values["/x"] = np.arange(2)
    IndexCache(folder).keep(known)
    now = find(folder)
    assert now is not None
    assert expected.items() <= contents(now).items()
