from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nwb_dask.index import Url
from nwb_dask.storage import Store, make_access, open_store, trace


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "a.nwb").write_bytes(bytes(1000))
    return open_store(Url(str(tmp_path / "a.nwb")), make_access())


def test_local_reads_are_counted_by_file(store: Store) -> None:
    with trace() as traced:
        store.read([(0, 10), (20, 40)])
        store.read([(0, 1)])
    assert (traced.requests, traced.bytes, traced.rounds) == (3, 31, 2)
    assert traced.by_url == {store.source.url: (3, 31)}


def test_nested_traces_both_count(store: Store) -> None:
    with trace() as outer:
        store.read([(0, 10)])
        with trace() as inner:
            store.read([(0, 10)])
        store.read([(0, 10)])
    assert (outer.requests, inner.requests) == (3, 1)


def test_closed_trace_counts_no_more_even_after_an_error(store: Store) -> None:
    with pytest.raises(RuntimeError), trace() as traced:
        raise RuntimeError
    store.read([(0, 10)])
    assert traced.requests == 0


def test_reads_of_all_threads_are_counted(store: Store) -> None:
    with trace() as traced, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: store.read([(0, 10)]), range(200)))
    assert (traced.requests, traced.bytes) == (200, 2000)
