"""Damaged files, full disks, and the size of what is kept."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from nwb_dask.index import Url
from nwb_dask.options import current_options
from nwb_dask.storage import disk, kept
from nwb_dask.storage.chunk_cache import ChunkCache, chunk_cache
from nwb_dask.storage.url_keys import KEY_BYTES
from nwb_dask.testing import RangeServer
from tests.storage.keeping import DAY, ask, blobs
from tests.storage.serving import CONTENT, FAR, KIB, MIDDLE, NAME

pytestmark = pytest.mark.usefixtures("chunk_folder")
ENDS = ((0, 100), (len(CONTENT) - 100, len(CONTENT)))


@pytest.mark.parametrize("damage", ["cut", "longer", "empty", "flipped", "header", "sums", "foreign", "gone", "folder"])
def test_a_damaged_file_is_fetched_again(old_server: RangeServer, chunk_folder: Path, damage: str) -> None:
    ask(old_server, MIDDLE, FAR)
    for path in blobs(chunk_folder):
        data = bytearray(path.read_bytes())
        at = {"flipped": -1, "header": 20, "sums": 60}.get(damage)
        if at is not None:
            data[at] ^= 1
        elif damage == "foreign":
            data = bytearray(os.urandom(len(data)))
        changed = bytes({"cut": data[:-1], "longer": data + b"1", "empty": b""}.get(damage, data))
        path.unlink()
        if damage == "folder":
            path.mkdir()
        elif damage != "gone":
            path.write_bytes(changed)
    assert ask(old_server, MIDDLE, FAR) > 0
    if damage != "folder":
        assert ask(old_server, MIDDLE, FAR) == 0


def test_a_file_under_the_name_of_another_is_fetched_again(old_server: RangeServer, chunk_folder: Path) -> None:
    ask(old_server, MIDDLE, FAR)
    sizes: dict[int, list[Path]] = {}
    for path in blobs(chunk_folder):
        sizes.setdefault(path.stat().st_size, []).append(path)
    one, other = next(paths for paths in sizes.values() if len(paths) == 2 and "40000" not in paths[0].name)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    assert ask(old_server, MIDDLE, FAR) > 0


@pytest.mark.parametrize("content", [b"", b"\x89NWBSEEN\n", b"{}", os.urandom(1000), None])
def test_a_damaged_note_of_what_was_seen_is_no_note(
    old_server: RangeServer, chunk_folder: Path, content: bytes | None
) -> None:
    ask(old_server, MIDDLE)
    (note,) = chunk_folder.rglob("seen.nwbseen")
    note.write_bytes(note.read_bytes()[:-1] if content is None else content)
    assert ask(old_server, MIDDLE) == 2
    assert ask(old_server, MIDDLE) == 0


def test_a_full_disk_does_not_disturb(old_server: RangeServer, monkeypatch: Any, chunk_folder: Path) -> None:
    n_tries = 0

    def fail(*_: Any) -> int:
        nonlocal n_tries
        n_tries += 1
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "_create", fail)
    for _ in range(2):
        assert ask(old_server, MIDDLE, FAR) == 4
    assert not blobs(chunk_folder)
    # It is not tried again with every range.
    assert n_tries == 1


def test_a_folder_that_is_a_file_does_not_disturb(old_server: RangeServer, chunk_folder: Path) -> None:
    chunk_folder.parent.mkdir()
    chunk_folder.write_text("in the way")
    assert ask(old_server, MIDDLE) == 3
    assert ask(old_server, MIDDLE) == 3


def test_what_was_used_longest_ago_goes_when_there_is_too_much(old_server: RangeServer, chunk_folder: Path) -> None:
    ask(old_server, *[(at * KIB, (at + 100) * KIB) for at in range(300, 2500, 400)])
    cache = chunk_cache(current_options())
    assert cache.folder == chunk_folder
    (entry,) = cache.entries()
    assert entry.url == old_server.url(NAME)
    assert entry.size_bytes > 1000 * KIB
    found = blobs(chunk_folder)
    for i, path in enumerate(found):
        used = time.time() - (10 + i) * DAY
        os.utime(path, (used, used))
    cache.sweep(600 * KIB)
    left = blobs(chunk_folder)
    assert sum(path.stat().st_size for path in left) <= 600 * KIB
    assert left == found[: len(left)]
    ask(old_server, MIDDLE)
    cache.clear()
    assert list(chunk_folder.rglob("*.nwb*")) == []


def test_a_bound_is_kept_by_whoever_writes(old_server: RangeServer, chunk_folder: Path) -> None:
    ask(old_server, (300 * KIB, 2700 * KIB), chunk_cache_bytes=100_000)
    until = time.monotonic() + 20
    while sum(path.stat().st_size for path in blobs(chunk_folder)) > 100_000:
        assert time.monotonic() < until
        ask(old_server, MIDDLE, FAR, chunk_cache_bytes=100_000)


def test_use_is_written_down_once_a_day(old_server: RangeServer, chunk_folder: Path) -> None:
    ask(old_server, MIDDLE)
    for path in blobs(chunk_folder):
        os.utime(path, (1e9, 1e9))
    ask(old_server, MIDDLE)
    assert any(time.time() - path.stat().st_mtime < 60 for path in blobs(chunk_folder))


def test_a_cache_that_cannot_be_listed_has_no_entries(tmp_path: Path) -> None:
    cache = ChunkCache(tmp_path / "none", 1)
    assert cache.entries() == []
    assert cache.sweep() == 0
    cache.clear()
    assert kept.keep_parts(Url("https://host.org/a.nwb"), current_options({"chunk_cache": "off"})) is None


def test_clearing_follows_no_link_out_of_the_folder(tmp_path: Path) -> None:
    cache = ChunkCache(tmp_path / "chunks", max_bytes=1 << 20)
    place = cache.place(bytes(KEY_BYTES))
    aside = ".kept.0a.tmp"
    for folder in (place, tmp_path / "others"):
        folder.mkdir(parents=True)
        (folder / aside).touch()
    (place.parent / ("1" * len(place.name))).symlink_to(tmp_path / "others")
    cache.clear()
    assert not (place / aside).exists()
    assert (tmp_path / "others" / aside).exists()


@pytest.mark.parametrize("is_of_another", [True, False], ids=["of another", "for all"])
def test_a_folder_that_others_can_write_to_is_not_used(
    old_server: RangeServer, chunk_folder: Path, monkeypatch: pytest.MonkeyPatch, *, is_of_another: bool
) -> None:
    assert ask(old_server, MIDDLE, FAR) > 0
    assert ask(old_server, MIDDLE, FAR) == 0
    before = blobs(chunk_folder)
    if is_of_another:
        user = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: user)
    else:
        chunk_folder.chmod(0o777)
    for _ in range(2):
        with pytest.warns(UserWarning, match="others than you can write to it"):
            assert ask(old_server, MIDDLE, FAR) > 0
    assert blobs(chunk_folder) == before


def test_only_the_user_may_look_into_the_folder(old_server: RangeServer, chunk_folder: Path) -> None:
    ask(old_server, MIDDLE)
    assert {one.stat().st_mode & 0o777 for one in chunk_folder.rglob("*") if one.is_dir()} == {0o700}
    assert {one.stat().st_mode & 0o777 for one in blobs(chunk_folder)} == {0o600}
