"""`nwb_dask.trace` says what the server and the operating system say."""

from __future__ import annotations

from collections import Counter

import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.storage.trace import Trace
from nwb_dask.testing import RangeServer
from nwb_dask.testing.files import Layout
from tests.budgets.conftest import Fresh
from tests.budgets.measure import measure, needs_counters
from tests.budgets.queries import chosen
from tests.budgets.sessions import CHOICE, LAYOUTS


def assert_agree(traced: Trace, server: RangeServer) -> None:
    """Compare the totals, and those of each file."""
    assert (traced.requests, traced.bytes) == (server.n_requests, server.n_bytes)
    requests = Counter(request.path for request in server.log)
    expected = {server.url(path): (n, server.bytes_by_path[path]) for path, n in requests.items()}
    assert traced.by_url == expected


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("engine", ["pandas", "dask"])
def test_trace_of_a_question_is_the_log_of_the_server(
    fresh: Fresh, server: RangeServer, engine: str, layout: Layout
) -> None:
    with nwb_dask.trace() as traced:
        chosen(engine, server.url(fresh(layout).name), "spike_times", CHOICE)
    assert_agree(traced, server)
    assert 1 <= traced.rounds <= traced.requests


def test_trace_counts_each_file_and_every_thread(fresh: Fresh, server: RangeServer) -> None:
    urls = [server.url(fresh(layout).name) for layout in LAYOUTS]
    with nwb_dask.trace() as traced:
        frame = dd.read_nwb(urls, "/units")
        frame[frame.structure == "layer 3"][["quality", "electrodes", "spike_times", "electrode_group"]].compute()
        frame.head(5, npartitions=-1)
        nwb_dask.open_nwb(urls[0]).tables  # noqa: B018  # what it reads is wanted
    assert_agree(traced, server)
    assert set(traced.by_url) == set(urls)


def test_trace_of_a_file_that_is_not_there_counts_the_attempts(server: RangeServer) -> None:
    with nwb_dask.trace() as traced, pytest.raises(FileNotFoundError):
        nwb_dask.read_table(server.url("gone.nwb"), "/units")
    assert traced.requests == server.n_requests
    assert traced.bytes == server.n_bytes == 0


@needs_counters
def test_trace_of_local_contiguous_numbers_is_what_the_system_read(fresh: Fresh) -> None:
    def read() -> int:
        return len(frame[frame.shank == 7].spike_times.compute())

    dd.read_nwb(fresh("contiguous"), "/units")
    frame = dd.read_nwb(fresh("contiguous"), "/units")
    read()
    used = measure(read)
    assert (used.trace.requests, used.trace.bytes) == (used.calls, used.bytes)


@needs_counters
@pytest.mark.parametrize("layout", LAYOUTS)
def test_local_trace_misses_no_more_than_what_libhdf5_reads_by_itself(fresh: Fresh, layout: Layout) -> None:
    chosen("pandas", fresh(layout), "spike_times", CHOICE)
    path = fresh(layout)
    used = measure(lambda: chosen("pandas", path, "spike_times", CHOICE))
    # Headers, names, attributes, text and the chunk index: libhdf5 opens local files on its own.
    assert 0 <= used.bytes - used.trace.bytes <= 80_000
