from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from nwb_dask.backends.known import Known
from nwb_dask.catalog import IndexCache, listing
from nwb_dask.index import Identity, Source, Url
from nwb_dask.storage.url_keys import url_key

DAY = 86_400


def keep(cache: IndexCache, number: int, *, days_ago: float = 0.0) -> Path:
    """Keep about 8 kB."""
    url = Url(f"https://host.org/{number}.nwb")
    known = Known(Source(url, Identity("etag", "1", 1)), is_changed=True)
    known.values["/x"] = np.random.default_rng(number).normal(size=1000)
    cache.keep(known)
    path = listing.index_path(cache.folder, url_key(url))
    used = time.time() - days_ago * DAY
    os.utime(path, (used, used))
    return path


def left(cache: IndexCache) -> list[str]:
    return [one.url.rpartition("/")[2] for one in cache.entries()]


def test_entries_say_what_is_kept_the_last_used_first(cache: IndexCache) -> None:
    paths = [keep(cache, number, days_ago=days) for number, days in enumerate((3, 1, 2))]
    assert left(cache) == ["1.nwb", "2.nwb", "0.nwb"]
    entry = cache.entries()[0]
    assert entry.size_bytes == paths[1].stat().st_size > 7000
    assert entry.used == pytest.approx(time.time() - DAY, abs=60)


def test_entries_leave_out_what_is_no_file_of_the_cache(cache: IndexCache) -> None:
    path = keep(cache, 0)
    damaged = keep(cache, 1)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    path.with_name("notes.txt").write_text("mine")
    path.with_name(f".{path.stem}.12ab.tmp").write_bytes(path.read_bytes())
    assert left(cache) == ["0.nwb"]


def test_what_was_used_longest_ago_goes_first(cache: IndexCache) -> None:
    paths = [keep(cache, number, days_ago=days) for number, days in enumerate((1, 5, 3, 2, 4))]
    size = paths[0].stat().st_size
    removed = cache.sweep(3 * size + 500)
    # Well below the bound: two of five fit into 80% of it.
    assert left(cache) == ["0.nwb", "3.nwb"]
    assert removed == pytest.approx(3 * size, rel=0.01)


def test_a_folder_that_is_not_too_large_is_left_alone(cache: IndexCache) -> None:
    size = sum(keep(cache, number).stat().st_size for number in range(3))
    assert cache.sweep(size) == 0
    assert len(left(cache)) == 3


def test_use_is_written_down_once_a_day(cache: IndexCache) -> None:
    old, new = keep(cache, 0, days_ago=3), keep(cache, 1, days_ago=0.5)
    before = new.stat().st_mtime_ns
    for number in range(2):
        assert IndexCache(cache.folder).find(Url(f"https://host.org/{number}.nwb")) is not None
    assert time.time() - old.stat().st_mtime < 60
    assert new.stat().st_mtime_ns == before


def test_a_time_in_the_future_does_not_protect_for_ever(cache: IndexCache) -> None:
    path = keep(cache, 0, days_ago=-400)
    assert IndexCache(cache.folder).find(Url("https://host.org/0.nwb")) is not None
    assert abs(path.stat().st_mtime - time.time()) < 60


def test_what_a_dead_process_left_is_removed_after_an_hour(cache: IndexCache) -> None:
    path = keep(cache, 0)
    abandoned, current = (path.with_name(f".{path.stem}.{name}.tmp") for name in ("12ab", "34cd"))
    for one in (abandoned, current):
        one.write_bytes(b"half")
    os.utime(abandoned, (time.time() - 7200,) * 2)
    assert cache.sweep() == 4
    assert not abandoned.exists()
    assert current.exists()
    assert path.exists()


def test_files_of_other_versions_count_and_go_like_others(cache: IndexCache) -> None:
    path = keep(cache, 0)
    other = cache.folder / "v99" / "ab" / ("ab" * 20 + ".nwbidx")
    other.parent.mkdir(parents=True)
    other.write_bytes(bytes(path.stat().st_size))
    os.utime(other, (time.time() - 5 * DAY,) * 2)
    cache.sweep(int(path.stat().st_size * 1.5))
    assert path.exists()
    assert not other.exists()


def wait_until(happens: object) -> None:
    assert callable(happens)
    until = time.monotonic() + 20
    while not happens():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_process_that_writes_much_sweeps_by_itself(folder: Path) -> None:
    cache = IndexCache(folder, 50_000)
    for number in range(20):
        keep(cache, number, days_ago=20 - number)
    wait_until(lambda: sum(one.size_bytes for one in cache.entries()) <= 50_000)
    assert len(left(cache)) >= 3


def test_the_first_to_write_after_an_hour_sweeps(folder: Path) -> None:
    path = keep(IndexCache(folder), 0)
    abandoned, stamp = path.with_name(f".{path.stem}.12ab.tmp"), folder / ".swept"
    abandoned.write_bytes(b"half")
    os.utime(abandoned, (time.time() - 7200,) * 2)
    keep(IndexCache(folder), 1)
    assert abandoned.exists()
    assert time.time() - stamp.stat().st_mtime < 60
    os.utime(stamp, (time.time() - 7200,) * 2)
    keep(IndexCache(folder), 2)
    wait_until(lambda: not abandoned.exists() and time.time() - stamp.stat().st_mtime < 60)
    assert len(left(IndexCache(folder))) == 3
