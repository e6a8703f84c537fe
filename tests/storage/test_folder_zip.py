"""Stores in ZIP files, as zarr-python, zipfile and hostile writers make them."""

from __future__ import annotations

import os
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr

from nwb_dask.errors import MalformedFileError, SourceChangedError, UnsupportedLayoutError
from nwb_dask.index import Identity, Url
from nwb_dask.storage import Folder, KeyRange, make_access, open_store
from nwb_dask.testing import RangeServer
from tests.storage.folders import contents, write_store
from tests.storage.test_folder_local import read

BIG = os.urandom(500_000)
WANTED: list[KeyRange] = [
    *((key, None) for key in ("x/0", ".zmetadata", "x/big", "x/9", "units/id/.zarray", "empty")),
    *(("x/big", part) for part in ((10, 20), (499_990, 600_000), 7)),
    *(("x/1", part) for part in ((2, 5), 3, (100, 200))),
]


def packed(
    tmp_path: Path, *, method: int = zipfile.ZIP_STORED, above: str = "", name: str = "a.nwb.zarr.zip"
) -> tuple[Path, Path]:
    """Write a store and a ZIP file of it."""
    path = write_store(tmp_path / "a.nwb.zarr")
    (path / "x" / "big").write_bytes(BIG)
    (path / "empty").touch()
    with zipfile.ZipFile(tmp_path / name, "w", method) as made:
        made.mkdir("other")
        for one in sorted(path.rglob("*")):
            made.write(one, above + str(one.relative_to(path)))
    return path, tmp_path / name


def opened(url: object, expected: Identity | None = None, cached: Identity | None = None) -> Folder:
    found = open_store(Url(str(url)), make_access(None), expected, cached=cached)
    assert isinstance(found, Folder)
    return found


def expected_of(path: Path) -> list[bytes | None]:
    out: list[bytes | None] = []
    for key, part in WANTED:
        whole = contents(path, key) if (path / key).exists() else None
        if whole is not None and part is not None:
            whole = whole[slice(*part)] if isinstance(part, tuple) else whole[-part:]
        out.append(whole)
    return out


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("above", ["", "a.nwb.zarr/", "data/a.nwb.zarr/"])
def test_values_are_those_of_the_store(method: int, above: str, tmp_path: Path) -> None:
    path, file = packed(tmp_path, method=method, above=above)
    with opened(file) as folder:
        assert read(folder, *WANTED) == expected_of(path)
        assert folder.list_keys() == sorted(str(one.relative_to(path)) for one in path.rglob("*") if one.is_file())
        assert folder.list_keys("x/") == sorted(f"x/{one.name}" for one in (path / "x").iterdir())


def test_what_zarr_writes_is_read_and_the_last_value_counts(tmp_path: Path) -> None:
    with warnings.catch_warnings(), zarr.storage.ZipStore(tmp_path / "a.zarr.zip", mode="w") as store:
        warnings.simplefilter("ignore")
        group = zarr.open_group(store, zarr_format=2)
        array = group.create_array("x", data=np.arange(6, dtype="<i8"), compressors=None)
        array[:] = np.arange(6)[::-1]
    with opened(tmp_path / "a.zarr.zip") as folder:
        (found,) = folder.read_keys([("x/0", None)])
        assert found is not None
        assert np.frombuffer(found, "<i8").tolist() == [5, 4, 3, 2, 1, 0]


def test_zip64_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr(".zgroup", "{}")
        with made.open("x/0", "w", force_zip64=True) as member:
            member.write(b"abc")
        for i in range(7):
            made.writestr(f"y/{i}", b"")
    with opened(tmp_path / "a.zip") as folder:
        assert read(folder, ("x/0", None), ("y/6", None)) == [b"abc", b""]


def test_a_remote_file_takes_two_requests_to_open_and_one_round_to_read(tmp_path: Path) -> None:
    path, file = packed(tmp_path, method=zipfile.ZIP_DEFLATED)
    with RangeServer(tmp_path) as server, opened(server.url(file.name)) as folder:
        assert read(folder, *WANTED) == expected_of(path)
        assert len(server.log) <= 4
        version = folder.source.identity
        server.reset()
        assert opened(server.url(file.name), cached=version).is_unchanged
        assert len(server.log) == 1
        with opened(server.url(file.name), version) as again:
            assert not again.is_confirmed
            assert read(again, ("x/0", None)) == [contents(path, "x/0")]
            assert again.is_confirmed


def test_another_file_of_the_name_is_another_version(tmp_path: Path) -> None:
    _, file = packed(tmp_path)
    version = opened(file).source.identity
    file.write_bytes(file.read_bytes())
    with pytest.raises(SourceChangedError):
        opened(file, version)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a//b", "a/./b"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr(".zgroup", "{}")
        made.writestr(name, b"x")
    with pytest.raises(MalformedFileError, match="is no key"):
        opened(tmp_path / "a.zip").read_keys([(".zgroup", None)])


def directory_of(body: bytearray) -> int:
    return int(struct.unpack_from("<I", body, len(body) - 6)[0])


@pytest.mark.parametrize(
    ("offset", "value", "said"),
    [
        (20, 50_000_000, "cannot have the size"),
        (24, 2**31, "cannot have the size"),
        (42, 2**30, "overlap"),
        (16, 7, "does not unpack"),
        (24, 500, "does not unpack"),
        (8, 1, "encrypted"),
        (10, 12, "method 12"),
    ],
)
def test_a_directory_that_lies_is_found_out(tmp_path: Path, offset: int, value: int, said: str) -> None:
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(".zgroup", b"{}" * 500)
    body = bytearray(file.read_bytes())
    size = 2 if offset in {8, 10} else 4
    at = directory_of(body) + offset
    body[at : at + size] = value.to_bytes(size, "little")
    file.write_bytes(body)
    with pytest.raises((MalformedFileError, UnsupportedLayoutError), match=said):
        opened(file).read_keys([(".zgroup", None)])


def test_members_that_overlap_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(".zgroup", b"{}")
        made.writestr("x", bytes(10**6))
        made.writestr("y", bytes(10**6))
        made.filelist[2].header_offset = made.filelist[1].header_offset + 10
    with pytest.raises(MalformedFileError, match="cannot have the size"):
        opened(file).read_keys([("x", None)])


@pytest.mark.parametrize("body", [b"", b"PK", b"no zip" * 100, b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_zip_file_is_malformed(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(body)
    with pytest.raises(MalformedFileError, match=r"a\.zip"):
        opened(tmp_path / "a.zip").list_keys()


@pytest.mark.parametrize("names", [["readme"], ["a/.zgroup", "b/.zgroup"]])
def test_a_file_without_one_store_is_refused(tmp_path: Path, names: list[str]) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        for name in names:
            made.writestr(name, "{}")
    with pytest.raises(UnsupportedLayoutError, match="one Zarr store"):
        opened(tmp_path / "a.zip").list_keys()
