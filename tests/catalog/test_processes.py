from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np

from nwb_dask.backends.known import GroupPart, Known
from nwb_dask.catalog import IndexCache
from nwb_dask.index import FilePath, GroupEntry, Identity, Source, Url

N_URLS = 50
N_ROUNDS = 3
IDENTITY = Identity("etag", "1", 1)


def url(number: int) -> Url:
    return Url(f"https://host.org/{number}.nwb")


def values(number: int, group: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng([number, len(group)]).normal(size=2000)


def work(folder: str, process: int) -> int:
    """Keep and find the same files as all others; return how many groups were found, all of them right."""
    cache = IndexCache(Path(folder), 1 << 30)
    n_found = 0
    for turn in range(N_ROUNDS):
        for number in range(N_URLS):
            known = IndexCache(cache.folder).find(url(number), IDENTITY)
            if known is None:
                known = Known(Source(url(number), IDENTITY), offset_bytes=8, root=number)
            for path, part in known.parts.items():
                assert part.group.attributes == {"number": number}
                assert np.array_equal(known.values[f"{path}/x"], values(number, path))
                n_found += 1
            group = f"/{'g' * (1 + process + 4 * turn)}"
            known.parts[group] = GroupPart(GroupEntry(FilePath(group), {"number": number}, ()))
            known.values[f"{group}/x"] = values(number, group)
            known.is_changed = True
            cache.keep(known)
    return n_found


def test_four_processes_keep_and_find_the_same_files_at_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        found = pool.starmap(work, [(str(tmp_path / "index"), process) for process in range(4)])
    assert all(found)
    cache = IndexCache(tmp_path / "index")
    assert {one.url for one in cache.entries()} == {url(number) for number in range(N_URLS)}
    for number in range(N_URLS):
        known = cache.find(url(number), IDENTITY)
        assert known is not None
        assert known.root == number
        # The last to write has merged all that it saw; what two wrote at one moment may be lost to one of them.
        assert len(known.parts) >= N_ROUNDS
        for path, part in known.parts.items():
            assert part.group.attributes == {"number": number}
            assert np.array_equal(known.values[f"{path}/x"], values(number, path))
    assert list((tmp_path / "index").rglob("*.tmp")) == []
