from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nwb_dask.index import Url
from nwb_dask.storage import Store, make_access, open_bytes, trace
from nwb_dask.storage.trace import record


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "a.nwb").write_bytes(bytes(1000))
    return open_bytes(Url(str(tmp_path / "a.nwb")), make_access())


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


def test_reads_that_overlap_are_in_flight_together(store: Store) -> None:
    with trace() as traced:
        assert (traced.requests, traced.max_in_flight, traced.retries) == (0, 0, 0)
        store.read([(0, 10)])
        record("other.nwb", requests=1, n_bytes=5, began=1.0, ended=4.0)
        record("other.nwb", requests=2, n_bytes=5, began=2.0, ended=3.0, retries=3)
        record("other.nwb", requests=1, n_bytes=5, began=3.5, ended=5.0)
        record("other.nwb", requests=1, n_bytes=5, began=5.0, ended=6.0)
    assert (traced.requests, traced.bytes, traced.retries, traced.max_in_flight) == (6, 30, 3, 2)
    assert traced.by_url["other.nwb"] == (5, 20)
    assert repr(traced) == "Trace(requests=6, bytes=30, rounds=1, retries=3, max_in_flight=2)"
