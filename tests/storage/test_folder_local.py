"""Local folders: keys in, values out; and what makes another version."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import zarr

from nwb_dask.errors import (
    MalformedFileError,
    SourceAccessError,
    SourceChangedError,
    SourceUnavailableError,
    UnsupportedLayoutError,
)
from nwb_dask.index import Identity, Url
from nwb_dask.storage import (
    Folder,
    KeyRange,
    is_settled,
    is_unchanged,
    local_folder,
    make_access,
    open_bytes,
    open_store,
    trace,
)
from tests.storage.folders import contents, write_store

ACCESS = make_access(None)
AGES_AGO = 1_600_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_store(tmp_path / "a.nwb.zarr")


@pytest.fixture
def folder(path: Path) -> Iterator[Folder]:
    with opened(path) as found:
        yield found


def opened(path: Path, expected: Identity | None = None, cached: Identity | None = None) -> Folder:
    found = open_store(Url(str(path)), ACCESS, expected, cached=cached)
    assert isinstance(found, Folder)
    return found


def version(path: Path) -> Identity:
    with opened(path) as found:
        return found.source.identity


def read(folder: Folder, *wanted: KeyRange) -> list[bytes | None]:
    return [one if one is None else bytes(one) for one in folder.read_keys(wanted)]


def test_values_are_those_of_the_files(folder: Folder, path: Path) -> None:
    keys = [str(one.relative_to(path)) for one in path.rglob("*") if one.is_file()]
    assert read(folder, *((key, None) for key in keys)) == [contents(path, key) for key in keys]


def test_ranges_are_clipped_and_counted_from_the_end(folder: Folder, path: Path) -> None:
    whole = contents(path, "x/0")
    wanted: list[KeyRange] = [("x/0", one) for one in ((1, 3), (3, 10**9), (10**9, 10**9 + 1), 2, 10**9, (2, 2), 0)]
    assert read(folder, *wanted) == [whole[1:3], whole[3:], b"", whole[-2:], whole, b"", b""]


def test_a_key_that_is_not_there_is_none(folder: Folder) -> None:
    assert read(folder, ("y/0", None), ("x/7", (0, 1)), ("x", None), ("x/0/0", 3)) == [None] * 4


@pytest.mark.parametrize("key", ["../a", "/etc/hosts", "x//0", "x/./0", "", "x/\0", "x/"])
def test_a_key_that_leads_out_is_refused(folder: Folder, key: str) -> None:
    with pytest.raises(MalformedFileError, match="is no key"):
        folder.read_keys([(key, None)])


def test_links_inside_are_followed_and_links_out_are_refused(folder: Folder, path: Path) -> None:
    (path / "again").symlink_to("x")
    (path / "x" / "9").symlink_to("0")
    assert read(folder, ("again/1", None), ("x/9", None)) == [contents(path, "x/1"), contents(path, "x/0")]
    (path.parent / "secret").write_text("canary")
    (path / "x" / "8").symlink_to(path.parent / "secret")
    (path / "out").symlink_to(path.parent)
    for key in ("x/8", "out/secret"):
        with pytest.raises(SourceAccessError, match="link out of"):
            folder.read_keys([(key, None)])


def test_a_link_to_nothing_is_no_missing_value(folder: Folder, path: Path) -> None:
    (path / "x" / "9").symlink_to("annex")
    with pytest.raises(SourceUnavailableError, match="not fetched"):
        folder.read_keys([("x/9", None)])


def test_keys_are_listed_below_a_folder(folder: Folder, path: Path) -> None:
    everything = sorted(str(one.relative_to(path)) for one in path.rglob("*") if one.is_file())
    assert folder.list_keys() == everything
    assert folder.list_keys("x/") == [one for one in everything if one.startswith("x/")]
    assert folder.list_keys("nowhere/") == []


def test_many_values_of_a_slow_disk_are_read_at_once(
    folder: Folder, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_folder, "_SLOW_SECONDS", 0.0)
    for i in range(300):
        (path / "x" / f"1.{i}").write_bytes(b"%d" % i)
    assert read(folder, *((f"x/1.{i}", None) for i in range(300))) == [b"%d" % i for i in range(300)]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("is_consolidated", [True, False])
def test_what_zarr_writes_makes_another_version(tmp_path: Path, zarr_format: int, *, is_consolidated: bool) -> None:
    path = write_store(tmp_path / "a.zarr", zarr_format=zarr_format, is_consolidated=is_consolidated)
    seen = {version(path)}
    for change in range(3):
        array = zarr.open_array(path / "x", mode="r+")
        if change == 0:
            array[:3] = -1
        elif change == 1:
            array.attrs["unit"] = "volts"
        else:
            (path / "x" / ("c/1" if zarr_format == 3 else "1")).unlink()
        seen.add(version(path))
    assert len(seen) == 4


def test_the_version_stays_while_nothing_is_written(path: Path) -> None:
    before = version(path)
    assert opened(path, before).source.identity == before
    assert opened(path, cached=before).is_unchanged
    assert is_unchanged(str(path), before)
    assert not is_settled(before)
    assert before.size == (path / ".zmetadata").stat().st_size


def test_another_version_is_not_the_one_expected(path: Path) -> None:
    before = version(path)
    os.utime(path / ".zmetadata", (AGES_AGO, AGES_AGO))
    assert not is_unchanged(str(path), before)
    assert not opened(path, cached=before).is_unchanged
    with pytest.raises(SourceChangedError, match="plan again"):
        opened(path, before)


def test_a_root_that_changes_meanwhile_is_noticed(folder: Folder, path: Path) -> None:
    os.utime(path / ".zmetadata", (AGES_AGO, AGES_AGO))
    with pytest.raises(SourceChangedError, match="changed while"):
        folder.read_keys([("x/0", None)])


def test_a_folder_that_vanishes_is_not_full_of_fill_values(folder: Folder, path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(SourceChangedError):
        folder.read_keys([("x/0", None)])


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedLayoutError, match="neither a Zarr store"):
        open_store(Url(str(tmp_path)), ACCESS)
    with pytest.raises(SourceUnavailableError, match="not a regular file"):
        open_bytes(Url(str(tmp_path)), ACCESS)


def test_a_file_url_is_the_same_folder(path: Path) -> None:
    with open_store(Url(path.as_uri()), ACCESS) as found:
        assert isinstance(found, Folder)
        assert found.local_path == str(path)
        assert found.access == ACCESS


def test_reads_are_counted(folder: Folder, path: Path) -> None:
    with trace() as seen:
        folder.read_keys([("x/0", None), ("x/1", (0, 2)), ("y", None)])
    assert (seen.requests, seen.rounds) == (3, 1)
    assert seen.bytes == len(contents(path, "x/0")) + 2


def test_a_source_pickles_to_the_same_folder(folder: Folder) -> None:
    source = pickle.loads(pickle.dumps(folder.source))
    assert open_store(source.url, ACCESS, source.identity).source == source
