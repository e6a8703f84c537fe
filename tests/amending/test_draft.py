"""What is added is there as LINDI and zarr-python read it; what was there stays."""

from __future__ import annotations

import copy
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_dask.amending import chunks
from nwb_dask.amending.arrays import add_array, append, create_array, resize, write_box
from nwb_dask.amending.draft import Draft
from nwb_dask.errors import FormatError, OutputError, PathNotFoundError
from nwb_dask.index import Reference
from tests.amending.oracle import keys, read_numbers, read_objects, read_output

Begin = Callable[[Path], Draft]


@pytest.mark.parametrize("shape", [None, (7, 2), (1, 5), (100, 100)])
@pytest.mark.parametrize(("gzip", "shuffle"), [(None, False), (4, True)])
def test_numbers_come_back_as_zarr_decodes_them(
    begin: Begin, out: Path, shape: tuple[int, int] | None, gzip: int | None, *, shuffle: bool
) -> None:
    values = np.random.default_rng(0).normal(size=(50, 5))
    draft = begin(out)
    add_array(draft, "/analysis/new/data", values, chunks=shape, gzip=gzip, shuffle=shuffle)
    draft.commit()
    np.testing.assert_array_equal(read_numbers(out, "/analysis/new/data"), values)


@pytest.mark.parametrize("dtype", ["i1", ">i4", "u8", "f2", "<f4", "bool", "S5"])
def test_every_type_of_numbers_and_bytes_stays_what_it_is(begin: Begin, tmp_path: Path, dtype: str) -> None:
    out = tmp_path / "x.lindi.d"
    values = np.array([0, 1, 0, 1]).astype(dtype)
    draft = begin(out)
    add_array(draft, "/a", values)
    draft.commit()
    found = read_numbers(out, "/a")
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


def test_what_was_there_is_in_the_document_unchanged(begin: Begin, out: Path, document: dict[str, Any]) -> None:
    before = copy.deepcopy(document)
    draft = begin(out)
    add_array(draft, "/units/quality", [1.0, 2.0, 3.0])
    draft.commit()
    found, _ = read_output(out)
    assert {key: value for key, value in found["refs"].items() if "quality" not in key} == before["refs"]
    assert found["templates"] == before["templates"]


def test_text_is_json(begin: Begin, out: Path) -> None:
    draft = begin(out)
    add_array(draft, "/text", ["a", "", "späť"])
    add_array(draft, "/scalar", "one")
    draft.commit()
    assert read_objects(out, "/text") == ["a", "", "späť"]
    assert read_objects(out, "/scalar") == ["one"]
    document, _ = read_output(out)
    assert document["refs"]["scalar/.zattrs"] == {"_SCALAR": True}


def test_references_name_path_and_object(begin: Begin, out: Path) -> None:
    draft = begin(out)
    add_array(draft, "/refs", np.array([Reference("/units"), Reference("/units/id")], dtype=object))
    draft.commit()
    shared = {"source": ".", "source_object_id": "file"}
    assert read_objects(out, "/refs") == [
        {"_REFERENCE": {"path": "/units", "object_id": "units", **shared}},
        {"_REFERENCE": {"path": "/units/id", "object_id": None, **shared}},
    ]


def test_compounds_say_what_their_fields_are(begin: Begin, out: Path) -> None:
    rows = np.array([(1, "abc", Reference("/units"))], dtype=[("n", "<i4"), ("text", object), ("where", object)])
    draft = begin(out)
    add_array(draft, "/compound", rows)
    append(draft, "/compound", np.array([(2, "longer", Reference("/units"))], dtype=rows.dtype))
    draft.commit()
    document, _ = read_output(out)
    expected = [["n", "<i4"], ["text", "<U6"], ["where", "<REFERENCE>"]]
    assert document["refs"]["compound/.zattrs"]["_COMPOUND_DTYPE"] == expected
    assert read_numbers_of_rows(out) == [[1, "abc"]]


def read_numbers_of_rows(out: Path) -> list[list[object]]:
    return [row[:2] for row in read_objects(out, "/compound")]


def test_rows_are_appended_across_chunks_and_commits(begin: Begin, out: Path) -> None:
    values = np.arange(5000.0)
    draft = begin(out)
    add_array(draft, "/grows", values[:700], chunks=(512,))
    for start in range(700, 2000, 100):
        append(draft, "/grows", values[start : start + 100])
    draft.commit()
    append(draft, "/grows", values[2000:])
    draft.commit()
    np.testing.assert_array_equal(read_numbers(out, "/grows"), values)


def test_an_output_is_opened_again_for_more(begin: Begin, out: Path) -> None:
    first = begin(out)
    add_array(first, "/grows", np.arange(300.0), chunks=(256,))
    first.commit()
    first.output.close()
    second = begin(out)
    append(second, "/grows", np.arange(300.0, 500))
    add_array(second, "/other", np.arange(3))
    second.commit()
    np.testing.assert_array_equal(read_numbers(out, "/grows"), np.arange(500.0))


def test_a_dataset_is_written_piece_by_piece_and_resized(begin: Begin, out: Path) -> None:
    draft = begin(out)
    create_array(draft, "/a", (4, 6), np.dtype("i4"), chunks=(3, 4))
    write_box(draft, "/a", (1, 2), np.full((3, 3), 7, dtype="i4"))
    resize(draft, "/a", (3, 5))
    resize(draft, "/a", (5, 5))
    draft.commit()
    expected = np.zeros((5, 5), dtype="i4")
    expected[1:3, 2:5] = 7
    np.testing.assert_array_equal(read_numbers(out, "/a"), expected)


def test_more_than_memory_should_hold_goes_to_the_output_meanwhile(
    begin: Begin, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "_SPILL_BYTES", 1 << 20)
    draft = begin(out)
    create_array(draft, "/big", (5000, 100), np.dtype("f8"), chunks=(500, 100))
    rows = np.random.default_rng(1).normal(size=(500, 100))
    for start in range(0, 5000, 500):
        write_box(draft, "/big", (start, 0), rows + start)
        assert draft.pending._bytes <= 2 << 20
    draft.commit()
    found = read_numbers(out, "/big")
    np.testing.assert_array_equal(found[4500:], rows + 4500)
    np.testing.assert_array_equal(found[:500], rows)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (3, 3),
        (np.float32(1.5), 1.5),
        (float("nan"), "NaN"),
        (np.array([1.0, np.inf]), [1.0, "Infinity"]),
        (True, True),
        (b"text", "text"),
        (["a", "b"], ["a", "b"]),
        (np.array([], dtype=object), []),
    ],
)
def test_attributes_are_json_as_lindi_has_it(begin: Begin, out: Path, value: object, stored: object) -> None:
    draft = begin(out)
    draft.set_attributes("/units", {"x": value})
    draft.commit()
    document, _ = read_output(out)
    assert document["refs"]["units/.zattrs"]["x"] == stored
    assert document["refs"]["units/.zattrs"]["object_id"] == "units"


@pytest.mark.parametrize("value", [None, 1j, "NaN", object(), [Reference("/units")], ["a", 1]])
def test_attributes_that_lindi_cannot_hold_are_refused(begin: Begin, out: Path, value: object) -> None:
    draft = begin(out)
    with pytest.raises(FormatError, match="'x' of /units"):
        draft.set_attributes("/units", {"x": np.array(value, dtype=object) if isinstance(value, list) else value})


@pytest.mark.parametrize("values", [np.array([1j]), np.array(["2020"], dtype="M8[s]"), np.array([None])])
def test_values_that_lindi_cannot_hold_leave_nothing_behind(begin: Begin, out: Path, values: Any) -> None:
    draft = begin(out)
    with pytest.raises(FormatError, match="/analysis/a"):
        add_array(draft, "/analysis/a", values)
    assert not draft.has("/analysis/a")


def test_links_are_followed(begin: Begin, out: Path) -> None:
    draft = begin(out)
    draft.link("/analysis/linked", "/units")
    assert draft.resolve("/analysis/linked/id") == "/units/id"
    draft.commit()
    document, _ = read_output(out)
    assert document["refs"]["analysis/linked/.zattrs"] == {"_SOFT_LINK": {"path": "/units"}}


def test_links_in_a_circle_are_an_error(begin: Begin, out: Path) -> None:
    draft = begin(out)
    draft.link("/a", "/b")
    draft.link("/b", "/a")
    with pytest.raises(PathNotFoundError, match="circle"):
        draft.resolve("/a/x")


def test_removing_takes_the_reference_only(begin: Begin, out: Path) -> None:
    draft = begin(out)
    draft.delete("/units/spike_times")
    assert draft.members("/units") == ["id"]
    draft.commit()
    document, _ = read_output(out)
    assert not any(key.startswith("units/spike_times") for key in document["refs"])


@pytest.mark.parametrize("path", ["/units", "/units/id", "/units/id/below", "units/x", "/a//b", "/a/../b", "/.zgroup"])
def test_names_that_are_taken_or_are_none_are_refused(begin: Begin, out: Path, path: str) -> None:
    draft = begin(out)
    with pytest.raises(OutputError, match=path):
        add_array(draft, path, [1])


@pytest.mark.parametrize("path", ["/units/id", "/units/spike_times"])
def test_data_of_the_original_are_never_changed(begin: Begin, out: Path, path: str) -> None:
    draft = begin(out)
    with pytest.raises(OutputError, match="original"):
        append(draft, path, np.zeros(1))
    with pytest.raises(OutputError, match="original"):
        write_box(draft, path, (0,), np.zeros(1))


def test_nothing_is_there_before_the_first_commit_nor_after_a_rollback(begin: Begin, out: Path) -> None:
    draft = begin(out)
    add_array(draft, "/a", np.random.default_rng(0).normal(size=1000))
    draft.pending.spill()
    assert not out.exists()
    draft.rollback()
    draft.output.close()
    assert list(out.parent.iterdir()) == []


def test_a_rollback_goes_back_to_the_last_commit(begin: Begin, out: Path) -> None:
    draft = begin(out)
    add_array(draft, "/a", np.random.default_rng(0).normal(size=1000))
    draft.commit()
    before = keys(*read_output(out))
    size = out.stat().st_size
    add_array(draft, "/b", np.random.default_rng(0).normal(size=100_000))
    draft.pending.spill()
    draft.rollback()
    draft.output.close()
    assert keys(*read_output(out)) == before
    assert out.stat().st_size == size


def test_a_commit_of_nothing_writes_nothing(begin: Begin, out: Path) -> None:
    draft = begin(out)
    draft.commit()
    assert out.exists()
    before = {path: path.stat().st_mtime_ns for path in [out, *out.rglob("*")]}
    draft.commit()
    assert {path: path.stat().st_mtime_ns for path in [out, *out.rglob("*")]} == before


def test_an_archive_is_one_for_tar_too(begin: Begin, tmp_path: Path) -> None:
    out = tmp_path / "x.lindi.tar"
    draft = begin(out)
    values = np.random.default_rng(0).normal(size=1000)
    add_array(draft, "/a", values)
    draft.commit()
    add_array(draft, "/" + "long" * 30, values + 1)
    draft.commit()
    with tarfile.open(out) as archive:
        names = archive.getnames()
        assert names.count("lindi.json") == 2
        assert names[0] == ".tar_entry.json"
        newest = archive.extractfile("lindi.json")
        assert newest is not None
        assert b"longlong" in newest.read()
        first = archive.extractfile("blobs/a/chunks")
        assert first is not None
        assert first.read() == values.tobytes()
    np.testing.assert_array_equal(read_numbers(out, "/" + "long" * 30), values + 1)
