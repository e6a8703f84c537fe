"""What one process keeps, another does not ask for: whole analyses, with and without the indexes of files."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from nwb_dask.index import Url
from nwb_dask.storage import make_access, open_bytes
from nwb_dask.testing import RangeServer
from nwb_dask.testing.files import write_session
from tests.storage.analyses import analyse
from tests.storage.keeping import DAY, age
from tests.storage.serving import CONTENT, NAME

pytestmark = pytest.mark.usefixtures("no_cloud")


def elsewhere(url: str, folder: Path, **chosen: object) -> list[object]:
    """Return what a process says that has just begun."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(analyse, url, cache_dir=str(folder), chunk_cache="on", **chosen).result(120)


def test_the_second_process_of_an_analysis_asks_for_nothing(tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    path = write_session(served / "a.nwb", n_units=40, spikes_per_unit=400, n_samples=40_000, n_electrodes=8)
    then = time.time() - 365 * DAY
    os.utime(path, (then, then))
    with RangeServer(served) as server:
        url, kept = server.url("a.nwb"), tmp_path / "kept"
        first = elsewhere(url, kept)
        n_first = server.n_requests
        server.reset()
        second = elsewhere(url, kept)
        assert server.log == []
        # Without the indexes too, nor with what this process remembers.
        third = analyse(url, cache="off", cache_dir=kept, chunk_cache="on")
        assert server.log == []
    assert first == second == third == [*analyse(str(path))[:4], first[4]]
    assert n_first > 3


CHECK = random.Random(0).randbytes(len(CONTENT))


def read_all(url: str, folder: str, seed: int) -> int:
    """Read everything in some order through the cache; return how many reads were right."""
    access = make_access({"chunk_cache": "on", "chunk_cache_dir": folder, "chunk_cache_bytes": 1_500_000})
    step = 200_000 + 777 * seed
    n_right = 0
    for turn in range(2):
        with open_bytes(Url(url), access) as store:
            for at in range(0, store.size, step):
                start = (at * (seed + 3 * turn + 1)) % store.size
                stop = min(start + step, store.size)
                (body,) = store.read([(start, stop)])
                n_right += bytes(body) == CHECK[start:stop]
    return n_right


@pytest.mark.slow
def test_processes_that_read_write_and_sweep_at_once_get_the_bytes(bucket_server: RangeServer, tmp_path: Path) -> None:
    (bucket_server.folder / NAME).write_bytes(CHECK)
    age(bucket_server, days=365)
    places = [(bucket_server.url(NAME), str(tmp_path / "cache"), seed) for seed in range(2)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.starmap(read_all, places)
    assert found == [2 * len(range(0, len(CHECK), 200_000 + 777 * seed)) for seed in range(2)]


def read_in_child(url: str, folder: str, ranges: list[tuple[int, int]]) -> list[bytes]:
    with open_bytes(Url(url), make_access({"chunk_cache": "on", "chunk_cache_dir": folder})) as store:
        return [bytes(one) for one in store.read(ranges)]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_reads_what_is_kept(bucket_server: RangeServer, tmp_path: Path) -> None:
    age(bucket_server, days=365)
    ranges = [(0, 100), (1_000_000, 1_002_000)]
    arguments = (bucket_server.url(NAME), str(tmp_path / "cache"), ranges)
    expected = [CONTENT[start:stop] for start, stop in ranges]
    assert read_in_child(*arguments) == expected
    bucket_server.reset()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(read_in_child, arguments) == expected
    assert bucket_server.n_requests == 0
