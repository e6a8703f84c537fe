"""Files whose author wants something of whoever amends them: nothing runs, nothing else is read or written."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_dask.amending import AmendedFile, amend
from nwb_dask.errors import MalformedFileError, NWBDaskError, SourceAccessError
from tests.backends.lindi.documents import array, rooted, write_tar
from tests.backends.opens import watched
from tests.faults import hostile
from tests.faults.hostile import N_ROWS, Entries

BAD = "units/bad"


def write_folder(path: Path, entries: Entries, **more: Any) -> Path:
    """Write a ``.lindi.d`` as it is said, references into itself included."""
    folder = path / "session.lindi.d"
    folder.mkdir(parents=True)
    document = json.loads(hostile.write_json(path / "as-json", entries).read_text())
    (folder / "lindi.json").write_text(json.dumps({**document, **more}))
    return folder


FORMS = {"json": hostile.write_json, "tar": hostile.write_in_tar, "folder": write_folder}


def opened(path: Path) -> AmendedFile:
    out = path.with_name("out.lindi.tar") if path.suffix == ".json" else None
    return amend(path, out)


def grown(dataset: Any) -> Any:
    dataset.resize((N_ROWS + 1,))
    dataset[N_ROWS] = 0
    return dataset[:]


def shrunken(dataset: Any) -> Any:
    dataset.resize((N_ROWS - 1,))
    return dataset[:]


def tried(path: Path) -> list[Any]:
    """Return what reading a dataset, and adding to it, gives; errors of ours give nothing."""
    found: list[Any] = []
    calls: list[Callable[[Any], Any]] = [lambda one: one[:], lambda one: one[0], grown, shrunken]
    for call in calls:
        amended = opened(path)
        try:
            found.append(call(amended[BAD]))
        except NWBDaskError:
            continue
        finally:
            amended.discard()
    return found


@pytest.mark.parametrize("form", FORMS)
def test_a_crafted_pickle_does_not_run(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Versions of numcodecs before this variable load every pickle.
    monkeypatch.setenv("NUMCODECS_ALLOW_UNSAFE_PICKLE_DECODE", "1")
    marker = tmp_path / "marker"
    assert tried(FORMS[form](tmp_path / form, hostile.crafted_pickle(marker))) == []
    assert not marker.exists()


@pytest.mark.parametrize(
    "name", ["./../secret/secret.raw", "./{secret}/secret.raw", "./blobs/link", "./blobs/../../secret/secret.raw"]
)
def test_a_folder_leads_to_no_file_outside(name: str, tmp_path: Path) -> None:
    secret = hostile.write_secret(tmp_path / "secret")
    said = name.format(secret=secret)
    entries = hostile.session(hostile.array(), [said, 0, hostile.SECRET.nbytes])
    path = write_folder(tmp_path / "its", entries, generationMetadata={"nwb_dask": {"added": [f"/{BAD}"]}})
    (path / "blobs").mkdir()
    (path / "blobs" / "link").symlink_to(secret / "secret.raw")
    (tmp_path / "its" / "secret").symlink_to(secret)
    with watched(secret) as opens:
        assert tried(path) == []
    assert opens == []


def test_nothing_is_written_behind_a_link_out_of_a_folder(tmp_path: Path) -> None:
    path = write_folder(tmp_path, {".zgroup": {"zarr_format": 2}})
    (tmp_path / "elsewhere").mkdir()
    (path / "blobs").symlink_to(tmp_path / "elsewhere")
    with amend(path) as amended:
        amended.create_dataset("x", data=np.random.default_rng(0).normal(size=1000))
        with pytest.raises(SourceAccessError, match="out of"):
            amended.flush()
        del amended["x"]
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("size", [1 << 43, -1, 10_000, "7", None])
@pytest.mark.parametrize("name", [".tar_index.json", "lindi.json"])
def test_an_archive_that_lies_of_its_sizes_is_damaged(size: object, name: str, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.lindi.tar", {}, {})
    data = path.read_bytes()
    entry = json.loads(data[512:1536])
    index = entry["index"]
    listed = json.loads(data[index["d"] : index["d"] + index["s"]])
    for one in [index, *listed["files"]]:
        if one["n"] == name:
            one["s"] = size
    changed = bytearray(data)
    changed[512:1536] = json.dumps(entry).encode().ljust(1024)
    start = index["d"]
    text = json.dumps(listed).encode()
    changed[start : start + 8192] = text.ljust(8192)
    path.write_bytes(changed)
    with pytest.raises(MalformedFileError, match=r"x\.lindi\.tar"):
        amend(path)


@pytest.mark.parametrize("form", ["tar", "folder"])
def test_documents_that_are_nested_without_end_are_damaged(form: str, tmp_path: Path) -> None:
    path = FORMS[form](tmp_path, {".zgroup": {"zarr_format": 2}})
    target = path / "lindi.json" if path.is_dir() else path
    data = target.read_bytes()
    nested = b'{"refs": ' + b'{"a":' * 20_000
    if path.is_dir():
        target.write_bytes(nested)
    else:
        write_tar(path, {}, {})
        data = path.read_bytes()
        at = data.index(b'{"refs"')
        entry = json.loads(data[512:1536])["index"]
        listed = json.loads(data[entry["d"] : entry["d"] + entry["s"]])
        for one in listed["files"]:
            if one["n"] == "lindi.json":
                one["s"] = len(nested)
        changed = bytearray(data[:at] + nested.ljust(len(nested) + 1024))
        changed[entry["d"] : entry["d"] + entry["s"]] = json.dumps(listed).encode().ljust(entry["s"])
        path.write_bytes(changed)
    with pytest.raises(MalformedFileError, match="nested too deep"):
        amend(path)


@pytest.mark.parametrize("bomb", hostile.BOMBS)
def test_what_is_only_declared_is_refused(bomb: str, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = hostile.write_json(tmp_path, hostile.BOMBS[bomb])
    amended = opened(path)
    with pytest.raises(NWBDaskError):
        amended[BAD][:]
    amended.discard()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 19


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("x/.zattrs", [1, 2]),
        ("x/.zattrs", "base64:AAA"),
        ("x/.zarray", {"shape": "a"}),
        ("x/.zarray", [1]),
        ("x/0", 7),
        ("x/0", ["./blobs/x", "a", None]),
        ("x/0", ["./lindi.json", "a", None]),
        ("x/0", ["./lindi.json", 0, 1 << 50]),
        ("x/0", ["./lindi.json"]),
        ("x/0", ["https://example.org/x", "a", None]),
        ("x/0", []),
        ("x/0", [{}, 0, 1]),
        ("x/0", ["{{nothing}}", 0, 1]),
        ("x/.zgroup", "base64:A"),
        ("x/.zattrs", {"_EXTERNAL_ARRAY_LINK": 7}),
        ("x/.zattrs", {"_EXTERNAL_ARRAY_LINK": {"url": "file:///etc/passwd"}}),
        ("x/0", "base64:A"),
        ("x/.zattrs", {"_SOFT_LINK": {"path": 7}}),
        ("x/.zattrs", {"_COMPOUND_DTYPE": [["a"]]}),
    ],
)
@pytest.mark.parametrize("form", ["json", "tar", "folder beside it"])
def test_what_is_damaged_is_an_error_of_ours_that_names_the_file(
    key: str, value: object, form: str, tmp_path: Path
) -> None:
    refs = rooted({"x/.zarray": array((4,), "<i8"), "x/0": "base64:" + "A" * 40, key: value})
    path = FORMS[form.partition(" ")[0]](tmp_path, refs)
    out = tmp_path / "out.lindi.d" if form not in {"tar", "folder"} else None
    with pytest.raises(NWBDaskError, match=r"(session|out)\.lindi"), amend(path, out) as amended:
        pytest.fail(f"it is read as {amended['x'][()]}")


@pytest.mark.parametrize("notes", [7, {"added": 7}, {"added": [[], {}]}, {"files": []}, {"named": []}])
def test_notes_that_make_no_sense_say_nothing(notes: object, tmp_path: Path) -> None:
    entries = hostile.session(hostile.array(), bytes(8 * N_ROWS))
    path = write_folder(tmp_path, entries, generationMetadata={"nwb_dask": notes})
    with amend(path) as amended:
        np.testing.assert_array_equal(amended[BAD][:], np.zeros(N_ROWS))
