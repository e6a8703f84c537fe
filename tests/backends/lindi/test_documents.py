from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_dask.backends.lindi.document import is_document, parse_document
from nwb_dask.backends.lindi.tar import find_index, is_tar, parse_index
from nwb_dask.backends.lindi.values import Span
from nwb_dask.errors import MalformedFileError, PathNotFoundError, SourceNotFoundError, UnsupportedLayoutError
from nwb_dask.testing import RangeServer
from tests.backends.lindi.documents import (
    GROUP,
    array,
    inline,
    numbers,
    opened,
    text_of,
    values,
    write,
    write_folder,
    write_tar,
)

NUMBERS = np.arange(10, dtype="<i4")
BLOB = NUMBERS.tobytes()


def parsed(refs: Any, **more: Any) -> Any:
    return parse_document(json.dumps({"refs": refs, **more}).encode())


def test_values_are_text_bytes_json_and_spans() -> None:
    document = parsed(
        {"a": "täxt", "b": "base64:AAE=", "c": {"d": 1}, "e": ["{{u}}/x.nwb", 5, 7], "f": ["{{ u }}"], "/g": ""},
        templates={"u": "https://h"},
    )
    assert document.get_value("a") == "täxt".encode()
    assert document.get_value("b") == b"\0\1"
    assert document.get_value("c") == b'{"d": 1}'
    assert document.get_value("e") == Span("https://h/x.nwb", 5, 7)
    assert document.get_value("f") == Span("https://h")
    assert document.get_value("g") == b""
    assert document.get_value("h") is None


def test_version_0_of_kerchunk_has_references_and_nothing_else() -> None:
    document = parse_document(json.dumps({".zgroup": "{}", "a/0": ["s3://b/x", 0, 4]}).encode())
    assert document.get_value("a/0") == Span("s3://b/x", 0, 4)


@pytest.mark.parametrize(
    "value",
    [
        *(7, None, [], ["u", 1], ["u", 1, 2, 3], [1, 2, 3], ["", 0, 1], ["u", -1, 2], ["u", 0, -1], ["u", 0.5, 1]),
        *(["u", True, 1], ["u", 0, 1 << 70], ["{{no}}", 0, 1], "base64:!", "base64:A", "\ud800"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_refused(value: object) -> None:
    document = parsed({"a": value}, templates={})
    if value is None:
        assert document.get_value("a") is None
        return
    with pytest.raises(MalformedFileError, match="damaged"):
        document.get_value("a")


@pytest.mark.parametrize("url", ["{{u * 2}}", "{{f(c='x')}}", "{{u}}{% for x in y %}", "{{ ''.__class__ }}", "{{u|x}}"])
def test_expressions_in_urls_are_not_evaluated(url: str) -> None:
    with pytest.raises(UnsupportedLayoutError, match="only names are replaced"):
        parsed({"a": [url, 0, 1]}, templates={"u": "x", "f": "y"}).get_value("a")


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"templates": {"u": "{{v}}", "v": "{{u}}"}}, UnsupportedLayoutError),
        ({"templates": {"f": "{% if x %}"}}, UnsupportedLayoutError),
        ({"templates": {"u": 1}}, MalformedFileError),
        ({"templates": ["u"]}, MalformedFileError),
        ({"gen": [{"key": "a{{i}}", "dimensions": {"i": {"stop": 1000000000}}}]}, UnsupportedLayoutError),
    ],
)
def test_what_would_have_to_be_evaluated_is_refused(more: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        parsed({}, **more)


@pytest.mark.parametrize("key", ["../a", "a/../b", "a/./b", "a//b", "", "/", "a\0b", "a/..", "x" * 5000])
def test_keys_that_lead_elsewhere_are_refused(key: str) -> None:
    with pytest.raises(MalformedFileError, match="names no object"):
        parsed({key: ""})


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"a": 1}', '{"refs": []}', "[" * 100_000, "9" * 5000, '{"refs": null}']
)
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(MalformedFileError, match="damaged"):
        parse_document(text.encode())


def test_a_document_that_is_too_long_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwb_dask.backends.lindi.document.MAX_DOCUMENT_BYTES", 10)
    with pytest.raises(UnsupportedLayoutError, match="up to"):
        parsed({"a": "b"})


@pytest.mark.parametrize(
    "head", ['{"refs": {', ' {\n "version": 1', '{"templates":{}', '{"a/.zarray": ""', '{".zgroup":']
)
def test_the_head_of_a_document_is_known(head: str) -> None:
    assert is_document(head.encode())
    assert not is_document(head.replace("{", "[").encode())


def test_the_ranges_of_a_tar_file_have_to_be_within_it(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.lindi.tar", {}, {"blobs/a": b"abc"})
    data = path.read_bytes()
    assert is_tar(data[:512])
    start, stop = find_index(data[512:1536], len(data))
    found = parse_index(data[start:stop], len(data))
    first, end = found["blobs/a"]
    assert data[first:end] == b"abc"
    with pytest.raises(MalformedFileError, match=r"an entry at byte .* in a file of 3000 bytes"):
        parse_index(data[start:stop], 3000)
    for entry in (b"{}", b"no", b"[]", b'{"index": {"d": -1, "s": 2}}', b'{"index": {"d": 1, "s": true}}'):
        with pytest.raises(MalformedFileError):
            find_index(entry, len(data))


def by_reference(where: list[Any]) -> dict[str, Any]:
    return {"x/.zarray": array((10,), "<i4"), "x/0": where}


def test_relative_references_lead_into_the_tar_file(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.lindi.tar", by_reference(["./blobs/x", 4, 40]), {"blobs/x": b"junk" + BLOB})
    with opened(path) as file:
        np.testing.assert_array_equal(values(file, "/x"), NUMBERS)


def test_relative_references_lead_into_the_folder(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "a.lindi.d", by_reference(["./blobs/x", 4, 40]), {"blobs/x": b"junk" + BLOB})
    with opened(path) as file:
        np.testing.assert_array_equal(values(file, "/x"), NUMBERS)


@pytest.mark.parametrize("where", [["raw.bin", 0, 40], ["./raw.bin", 0, 40], ["./raw.bin"], ["{{t}}", 0, 40]])
def test_relative_references_lead_to_files_beside_the_document(tmp_path: Path, where: list[Any]) -> None:
    (tmp_path / "raw.bin").write_bytes(BLOB)
    path = write(tmp_path / "a.lindi.json", by_reference(where), templates={"t": "raw.bin"})
    with opened(path) as file:
        np.testing.assert_array_equal(values(file, "/x"), NUMBERS)


def test_a_remote_document_finds_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "raw #1.bin").write_bytes(BLOB)
    write(tmp_path / "a.lindi.json", by_reference(["./raw #1.bin", 0, 40]))
    with RangeServer(tmp_path) as server, opened(server.url("a.lindi.json")) as file:
        np.testing.assert_array_equal(values(file, "/x"), NUMBERS)


@pytest.mark.parametrize("where", [["./blobs/x", 4, 41], ["./blobs/x", 44, 1], ["./blobs/x", 1 << 60, 1 << 60]])
@pytest.mark.parametrize("kind", ["tar", "folder", "json"])
def test_references_past_the_end_of_a_file_are_refused(tmp_path: Path, where: list[Any], kind: str) -> None:
    blobs = {"blobs/x": b"junk" + BLOB}
    refs = by_reference(where)
    if kind == "json":
        (tmp_path / "blobs").mkdir()
        (tmp_path / "blobs" / "x").write_bytes(blobs["blobs/x"])
        path = write(tmp_path / "a.lindi.json", refs)
    else:
        path = (write_tar if kind == "tar" else write_folder)(tmp_path / f"a.lindi.{kind[0]}", refs, blobs)
    with opened(path) as file, pytest.raises(MalformedFileError, match=r"damaged.*path /x"):
        values(file, "/x")


def test_a_blob_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.lindi.tar", by_reference(["./blobs/y", 0, 40]), {})
    with opened(path) as file, pytest.raises(MalformedFileError, match=r"tar file has no 'blobs/y'.*a\.lindi\.tar"):
        values(file, "/x")
    path = write_folder(tmp_path / "a.lindi.d", by_reference(["./blobs/y", 0, 40]), {})
    with opened(path) as file, pytest.raises(SourceNotFoundError, match=r"folder has no 'blobs/y'"):
        values(file, "/x")
    path = write_folder(tmp_path / "b.lindi.d", by_reference(["./../secret", 0, 40]), {})
    with opened(path) as file, pytest.raises(MalformedFileError, match="names no file in its folder"):
        values(file, "/x")


def test_a_remote_tar_file_costs_few_small_ranges(tmp_path: Path) -> None:
    ballast = {f"blobs/{number}": bytes(1 << 20) for number in range(4)}
    refs = by_reference(["./blobs/x", 0, 40])
    write_tar(tmp_path / "a.lindi.tar", refs, {**ballast, "blobs/x": BLOB})
    with RangeServer(tmp_path) as server:
        url = server.url("a.lindi.tar")
        # The head and the tail have everything; further requests are none.
        with server.budget(requests=2, bytes=520 << 10), opened(url) as file:
            np.testing.assert_array_equal(values(file, "/x"), NUMBERS)


def test_a_remote_document_is_fetched_once(tmp_path: Path) -> None:
    write(tmp_path / "a.lindi.json", {**by_reference([".", 0, 1]), **numbers("y", NUMBERS), "pad": "x" * (1 << 20)})
    with RangeServer(tmp_path) as server:
        url = server.url("a.lindi.json")
        with opened(url) as file:
            np.testing.assert_array_equal(values(file, "/y"), NUMBERS)
        n_first = server.n_requests
        with opened(url) as file:
            np.testing.assert_array_equal(values(file, "/y"), NUMBERS)
        assert (n_first, server.n_requests - n_first) == (3, 2)


def test_a_missing_object_is_named_with_what_is_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.lindi.json", numbers("data", NUMBERS))
    with opened(path) as file, pytest.raises(PathNotFoundError, match="/dato"):
        file.index("/dato")


def test_kerchunks_documents_are_read(tmp_path: Path) -> None:
    refs = {".zgroup": json.dumps(GROUP), "x/.zarray": json.dumps(array((10,), "<i4")), "x/0": inline(BLOB)}
    for name, text in {"0.json": json.dumps(refs), "1.json": json.dumps({"version": 1, "refs": refs})}.items():
        (tmp_path / name).write_text(text)
        with opened(tmp_path / name) as file:
            np.testing.assert_array_equal(values(file, "/x"), NUMBERS)


def test_consolidated_documents_are_read(tmp_path: Path) -> None:
    metadata = {".zgroup": GROUP, "x/.zarray": array((10,), "<i4")}
    (tmp_path / "a.json").write_text(json.dumps({"refs": {".zmetadata": {"metadata": metadata}, "x/0": inline(BLOB)}}))
    with opened(tmp_path / "a.json") as file:
        np.testing.assert_array_equal(values(file, "/x"), NUMBERS)


def test_the_last_chunk_of_contiguous_data_may_be_short(tmp_path: Path) -> None:
    refs = {"x/.zarray": array((10,), "<i4", (4,)), "x/0": inline(BLOB[:16]), "x/1": inline(BLOB[16:32])}
    path = write(tmp_path / "a.lindi.json", {**refs, "x/2": inline(BLOB[32:])})
    with opened(path) as file:
        np.testing.assert_array_equal(values(file, "/x"), NUMBERS)


def test_a_document_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.lindi.json"
    path.write_bytes(b"\xef\xbb\xbf" + text_of(numbers("x", NUMBERS)).encode())
    with opened(path) as file:
        np.testing.assert_array_equal(values(file, "/x"), NUMBERS)
