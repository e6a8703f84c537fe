"""Documents that were written after the others were consolidated."""

from __future__ import annotations

import json
from pathlib import Path

import zarr

from nwb_dask.backends.zarr import ZarrFile
from tests.backends.zarr.stores import Keys, array_v2, documents, keys_of, new_group, opened

TEXT = "specifications/lab/1.0/lab.base"


def write(path: Path) -> Path:
    """Write a store, consolidate its documents, and then add specifications, as hdmf-zarr 0.3 does."""
    new_group(path, 2).create_array("a", shape=(2,), dtype="<i4")[...] = 3
    zarr.consolidate_metadata(str(path), zarr_format=2)
    text = json.dumps(array_v2([1], "|S2"))
    for key in (TEXT, "specifications/damaged"):
        (path / key).mkdir(parents=True)
        (path / key / ".zarray").write_text(text if key == TEXT else "{")
    (path / TEXT / "0").write_bytes(b"{}")
    return path


def test_specifications_that_the_consolidated_documents_leave_out_are_read(tmp_path: Path) -> None:
    with opened(write(tmp_path / "x")) as file:
        index = file.index("/", recursive=True)
        assert set(index.arrays) == {"/a", f"/{TEXT}"}
        assert file.read(index.arrays[f"/{TEXT}"]).tolist() == [b"{}"]


def test_a_remote_store_is_listed_for_them_only_where_its_root_says_that_they_are_there(tmp_path: Path) -> None:
    keys = keys_of(write(tmp_path / "x"))
    assert set(ZarrFile(keys).index("/", recursive=True).arrays) == {"/a"}
    assert len(keys.rounds) == 1
    told = json.loads(keys.values[".zmetadata"])
    told["metadata"][".zattrs"] = {".specloc": "specifications"}
    telling = Keys({**keys.values, **documents(**{".zmetadata": told})})
    assert set(ZarrFile(telling).index("/", recursive=True).arrays) == {"/a", f"/{TEXT}"}
    unlisted = Keys(telling.values, is_listed=False)
    assert set(ZarrFile(unlisted).index("/", recursive=True).arrays) == {"/a"}
