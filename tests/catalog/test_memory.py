from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import numpy as np
import pytest

from nwb_dask.backends.known import Known
from nwb_dask.catalog import IndexCache
from nwb_dask.catalog.memory import Memory
from tests.catalog.exact import contents
from tests.catalog.kept import elsewhere, found, group, small
from tests.catalog.knowledge import URL

Fresh = Callable[[], Known]


def test_memory_lets_go_of_what_was_used_longest_ago() -> None:
    memory = Memory(1 << 30, 2)
    for i in range(2):
        memory.put(bytes([i]), small(a=i))
    assert memory.get(b"\0") is not None
    memory.put(b"\2", small(a=2))
    assert [memory.get(bytes([i])) is not None for i in range(3)] == [True, False, True]


def test_memory_counts_what_files_have_grown_to(cache: IndexCache) -> None:
    memory = Memory(1 << 20, 100)
    for i in range(4):
        url = f"{URL}{i}"
        cache.keep(small(url, a=1))
        memory.put(bytes([i]), found(cache, url))
    grown = memory.get(b"\1")
    assert grown is not None
    grown.values["/a/x"] = np.zeros(1 << 18)
    for i in range(4, 64):
        memory.put(bytes([i]), small(a=1))
    # Those that were used before it, and itself.
    assert [i for i in range(64) if memory.get(bytes([i])) is None] == [0, 1, 2, 3]


def test_many_threads_find_and_add_at_once(cache: IndexCache, knowledge: Fresh) -> None:
    expected = contents(knowledge())
    cache.keep(knowledge())
    shared = elsewhere(cache)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(100):
                known = shared.find(URL)
                assert known is not None
                known.parts[f"/new_{number}_{i}"] = group(f"/new_{number}_{i}")
                known.is_changed = True
                shared.keep(known)
                assert known.values[f"/intervals/table_{1 + i % 11}/column_1"].shape == (200,)
        except BaseException as exc:  # noqa: BLE001  # reported below
            errors.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    now = contents(found(cache))
    assert expected.items() <= now.items()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_goes_on_with_what_is_in_memory(cache: IndexCache) -> None:
    cache.keep(small(a=1))
    # As if another thread were inside at that moment.
    cache._memory._lock.acquire()
    child = os.fork()
    if child == 0:
        # Ends it if it waits for a lock that nobody holds.
        signal.alarm(20)
        known = cache.find(URL)
        os._exit(0 if known is not None and "/a" in known.parts else 1)
    cache._memory._lock.release()
    assert os.waitpid(child, 0)[1] == 0
