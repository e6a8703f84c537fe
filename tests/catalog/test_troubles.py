from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from nwb_dask.catalog import IndexCache, listing
from tests.catalog.kept import elsewhere, file_of, found, small
from tests.catalog.knowledge import URL


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), PermissionError(13, "denied"), MemoryError()]
)
def test_a_folder_that_cannot_be_written_is_no_trouble(cache: IndexCache, failure: Exception, monkeypatch: Any) -> None:
    cache.keep(small(a=1))

    def fail(*_: Any) -> None:
        raise failure

    monkeypatch.setattr(listing, "write_aside", fail)
    known = small(b=2)
    cache.keep(known)
    assert known.is_changed is False
    assert set(known.parts) == {"/a", "/b"}
    assert cache.find(URL) is known
    assert set(found(cache).parts) == {"/a"}


def test_a_write_that_fails_half_way_leaves_what_was_there(cache: IndexCache, monkeypatch: Any) -> None:
    cache.keep(small(a=1))

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    elsewhere(cache).keep(small(b=1))
    monkeypatch.undo()
    assert set(found(cache).parts) == {"/a"}
    assert [path.suffix for path in file_of(cache).parent.iterdir()] == [".nwbidx"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_read_only_folder_is_read(cache: IndexCache) -> None:
    cache.keep(small(a=1))
    places = [cache.folder, *[path for path in cache.folder.rglob("*") if path.is_dir()]]
    for place in places:
        place.chmod(0o500)
    try:
        elsewhere(cache).keep(small(b=1))
        assert set(found(cache).parts) == {"/a"}
    finally:
        for place in places:
            place.chmod(0o700)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_of_another_user_is_a_miss(cache: IndexCache) -> None:
    cache.keep(small(a=1))
    file_of(cache).chmod(0)
    assert elsewhere(cache).find(URL) is None


def test_a_folder_where_a_file_should_be_is_a_miss(cache: IndexCache) -> None:
    file_of(cache).mkdir(parents=True)
    assert cache.find(URL) is None
    cache.keep(small(a=1))
    assert cache.find(URL) is not None


def test_a_folder_that_is_a_file_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "index").write_text("in the way")
    cache = IndexCache(tmp_path / "index")
    assert cache.find(URL) is None
    cache.keep(small(a=1))
    assert cache.find(URL) is not None
    assert cache.entries() == []
    assert cache.sweep() == 0
