"""Files on a server: rounds, requests and bytes, by the server's own log and by our trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.testing import RangeServer
from nwb_dask.testing.files import Layout
from tests.budgets.conftest import Fresh
from tests.budgets.knowing import Knowledge
from tests.budgets.queries import ENGINES, FORMS, as_arrays, chosen
from tests.budgets.sessions import CHOICE, CHOSEN, LAYOUTS, N_UNITS, PICKED, stored_bytes, stored_ranges, values
from tests.budgets.spending import Cost, at_most, ranges_asked

PAGE = 64 * 1024
"""Structure is read in pages of this size, and with what lies between those that are up to 256 KiB apart."""
ENDS = 512 * 1024
"""The head and the tail of a file of which nothing is known: the first round."""
MERGED = 16 * 1024
"""Ranges of data near each other share a request, which may fetch so much in vain."""

# Found, then rounded up by a round, a request and a page. Pages with gaps between them are fetched as one: that is up
# to 128 KiB more than libhdf5 would have over a cache of blocks, in fewer requests and fewer rounds.
PLAN: Mapping[Layout, Cost] = {
    "contiguous": Cost(4, 5, ENDS + 5 * PAGE),  # found: 3, 4, 786,432
    "default": Cost(4, 6, ENDS + 4 * PAGE),  # found: 3, 5, 720,896
    "chunked": Cost(5, 6, ENDS + 8 * PAGE),  # found: 4, 5, 983,040
    "gzip": Cost(5, 6, ENDS + 5 * PAGE),  # found: 4, 5, 786,432
}
CHUNK_INDEX = Cost(2, 11, 12 * PAGE)
"""Where all 640 chunks of the spikes are: a root, and ten nodes that lie apart from each other. All of them are looked
up when the first is wanted, and kept, so that no later read has to."""
SPIKES: Mapping[Layout, Cost] = {
    "contiguous": Cost(5, 15, 1_897_000),  # found: 4, 14, 1,831,264
    "default": Cost(5, 16, 1_832_000),  # found: 4, 15, 1,765,728
    "chunked": Cost(8, 27, 2_882_000),  # found: 7, 26, 2,816,400, and less in one visit; with `CHUNK_INDEX`
    "gzip": Cost(8, 27, 2_692_000),  # found: 7, 26, 2,626,156, and less in one visit; with `CHUNK_INDEX`
}
"""``spike_times`` of 5% of the units, planning included."""
WAVEFORMS: Mapping[Layout, Cost] = {
    "contiguous": Cost(5, 15, 972_000),  # found: 4, 14, 906,432
    "default": Cost(5, 16, 907_000),  # found: 4, 15, 840,896
    "chunked": Cost(6, 16, 1_169_000),  # found: 5, 15, 1,103,040
    "gzip": Cost(6, 16, 1_742_000),  # found: 5, 15, 1,675,721
}
"""``waveform_mean`` of 5% of the units, planning included."""
UNKNOWN: Mapping[Layout, Cost] = {
    "contiguous": Cost(7, 16, 1_570_000),  # found: 6, 15, 1,503,584
    "default": Cost(7, 17, 1_570_000),  # found: 6, 16, 1,503,584
    "chunked": Cost(8, 27, 2_555_000),  # found: 7, 26, 2,488,720, with `CHUNK_INDEX`
    "gzip": Cost(8, 28, 2_299_000),  # found: 7, 27, 2,232,940, with `CHUNK_INDEX`
}
"""``spike_times`` of the chosen units, planned by a process whose knowledge does not reach the one that computes. The
version is known, so that no round fetches the ends of the file: the pages of the structure are all that is read."""
HEAD: Mapping[Layout, Cost] = {
    "contiguous": Cost(7, 10, 6 * PAGE),  # found: 6, 9, 5 pages
    "default": Cost(7, 10, 6 * PAGE),  # found: 6, 9, 5 pages
    "chunked": Cost(7, 9, 5 * PAGE),  # found: 6, 8, 4 pages
    "gzip": Cost(7, 8, 4 * PAGE),  # found: 6, 7, 3 pages
}
"""The first rows of all columns, beyond their values: three or four rounds find the groups that references lead to,
which a plan leaves alone. They are kept."""

CHUNKED: frozenset[Layout] = frozenset({"chunked", "gzip"})
OVER_TENTH: frozenset[Layout] = CHUNKED
"""Where that is more than 10% of a file of 24 MB: the ends of the file, the plan and the index of 640 small chunks
are 7% of it, however few the spikes."""


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("engine", ENGINES)
def test_spikes_of_five_percent_of_the_units_of_an_unknown_file(
    fresh: Fresh, server: RangeServer, engine: str, layout: Layout
) -> None:
    path = fresh(layout)
    check_five_percent(server, path, engine, "spike_times", SPIKES[layout])
    if layout not in OVER_TENTH:
        assert server.n_bytes < 0.1 * path.stat().st_size


@pytest.mark.parametrize("layout", LAYOUTS)
def test_waveforms_of_five_percent_of_the_units_of_an_unknown_file(
    fresh: Fresh, server: RangeServer, layout: Layout
) -> None:
    path = fresh(layout)
    check_five_percent(server, path, "dask", "waveform_mean", WAVEFORMS[layout])
    if layout != "gzip":
        assert server.n_bytes < 0.1 * path.stat().st_size


def check_five_percent(server: RangeServer, path: Path, engine: str, column: str, budget: Cost) -> None:
    with at_most(server, budget):
        got = chosen(engine, server.url(path.name), column, CHOICE)
    assert_equal(got, values(path, column, CHOSEN))


def assert_equal(got: list[Any], expected: list[Any]) -> None:
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_planning_reads_no_more_than_a_mebibyte(fresh: Fresh, server: RangeServer, layout: Layout) -> None:
    with at_most(server, PLAN[layout]):
        dd.read_nwb(server.url(fresh(layout).name), "/units")
    assert server.n_bytes <= 1 << 20


def test_planning_of_several_files_costs_as_much_for_each(fresh: Fresh, server: RangeServer) -> None:
    urls = [server.url(fresh("default").name) for _ in range(5)]
    rounds, requests, n_bytes = PLAN["default"]
    with at_most(server, Cost(5 * rounds, 5 * requests, 5 * n_bytes)):
        dd.read_nwb(urls, "/units")


def frame_of(server: RangeServer, path: Path) -> Any:
    return dd.read_nwb(server.url(path.name), "/units")


PLANNED: Mapping[str, Callable[[Knowledge], None]] = {
    "planned in this process": lambda _: None,
    "planned in another process": Knowledge.keep_what_is_on_disk,
}
"""Who has planned a frame before it is computed: the computing process has its knowledge from memory or from disk."""


@pytest.mark.parametrize("planned", PLANNED)
@pytest.mark.parametrize("form", FORMS)
def test_of_a_planned_file_spikes_are_asked_for_and_nothing_else(
    fresh: Fresh, server: RangeServer, knowledge: Knowledge, form: str, planned: str
) -> None:
    path = fresh("contiguous")
    query = FORMS[form](frame_of(server, path))
    PLANNED[planned](knowledge)
    # The filter's column, the ends of the spikes and the ids are small: the plan had them in its pages and kept them.
    # The version is the one that was planned, so that nobody asks whether the file has changed.
    spikes = stored_ranges(path, "spike_times", CHOSEN)
    with at_most(server, Cost(1, len(spikes), stored_bytes(path, "spike_times", CHOSEN))):
        got = query.compute()
    assert len(got) == len(CHOSEN)
    assert ranges_asked(server) == spikes


@pytest.mark.parametrize("planned", PLANNED)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_filter_of_a_planned_file_asks_for_data_and_once_for_the_chunk_index(
    fresh: Fresh, server: RangeServer, knowledge: Knowledge, layout: Layout, planned: str
) -> None:
    path = fresh(layout)
    query = spikes_of_chosen(frame_of(server, path))
    PLANNED[planned](knowledge)
    index = CHUNK_INDEX if layout in CHUNKED else Cost(0, 0, 0)
    data = Cost(1, len(CHOSEN), stored_bytes(path, "spike_times", CHOSEN) + MERGED)
    with at_most(server, Cost(data.rounds + index.rounds, data.requests + index.requests, data.bytes + index.bytes)):
        got = query.compute()
    knowledge.keep_what_is_on_disk()
    with at_most(server, data):
        again = query.compute()
    for one in (got, again):
        assert_equal(as_arrays(one), values(path, "spike_times", CHOSEN))


def spikes_of_chosen(frame: Any) -> Any:
    return frame[frame.shank == PICKED].spike_times


@pytest.mark.parametrize("layout", LAYOUTS)
def test_filter_of_a_file_of_which_only_the_version_is_known(
    fresh: Fresh, server: RangeServer, knowledge: Knowledge, layout: Layout
) -> None:
    path = fresh(layout)
    query = spikes_of_chosen(frame_of(server, path))
    knowledge.forget()
    with at_most(server, UNKNOWN[layout]):
        got = query.compute()
    assert_equal(as_arrays(got), values(path, "spike_times", CHOSEN))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_head_of_a_column_of_a_planned_file_asks_for_the_first_rows_only(
    fresh: Fresh, server: RangeServer, knowledge: Knowledge, layout: Layout
) -> None:
    path = fresh(layout)
    frame = frame_of(server, path)
    first = stored_bytes(path, "spike_times", range(5))
    index = CHUNK_INDEX if layout in CHUNKED else Cost(0, 0, 0)
    with at_most(server, Cost(1 + index.rounds, 1 + index.requests, first + index.bytes)):
        frame.spike_times.head(5)
    knowledge.keep_what_is_on_disk()
    with at_most(server, Cost(1, 1, first)):
        got = frame.spike_times.head(5)
    assert_equal(as_arrays(got), values(path, "spike_times", range(5)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_head_of_all_columns_of_a_planned_file_finds_references_once(
    fresh: Fresh, server: RangeServer, knowledge: Knowledge, layout: Layout
) -> None:
    path = fresh(layout)
    frame = frame_of(server, path)
    if layout in CHUNKED:
        frame.spike_times.head(1)
        knowledge.keep_what_is_on_disk()
    heavy = sum(stored_bytes(path, name, range(5)) for name in ("spike_times", "waveform_mean", "snippets"))
    more = HEAD[layout]
    # The references themselves are the other column that a plan leaves alone.
    references = 8 * N_UNITS
    with at_most(server, more._replace(bytes=heavy + references + more.bytes)):
        frame.head(5)
    knowledge.keep_what_is_on_disk()
    # What needs no index of rows in one round, what does in another; each of the three columns is a request.
    with at_most(server, Cost(2, 3, heavy)):
        got = frame.head(5)
    assert_equal(as_arrays(got.spike_times), values(path, "spike_times", range(5)))


@pytest.mark.parametrize("planned", PLANNED)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_small_columns_of_a_planned_file_are_asked_for_never(
    fresh: Fresh, server: RangeServer, knowledge: Knowledge, layout: Layout, planned: str
) -> None:
    path = fresh(layout)
    frame = frame_of(server, path)
    PLANNED[planned](knowledge)
    with at_most(server, Cost(0, 0, 0)):
        got = frame.firing_rate.compute()
        assert len(frame[frame.shank == PICKED]) == len(CHOSEN)
    np.testing.assert_array_equal(got, values(path, "firing_rate", range(N_UNITS)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_counts_ask_the_server_nothing(fresh: Fresh, server: RangeServer, knowledge: Knowledge, layout: Layout) -> None:
    frame = frame_of(server, fresh(layout))
    knowledge.forget()
    with at_most(server, Cost(0, 0, 0)):
        assert len(frame) == len(frame.spike_times) == frame.id.count().compute() == N_UNITS


def test_building_a_query_asks_the_server_nothing(fresh: Fresh, server: RangeServer, knowledge: Knowledge) -> None:
    frame = frame_of(server, fresh("gzip"))
    knowledge.forget()
    with at_most(server, Cost(0, 0, 0)):
        for form in FORMS.values():
            _ = repr(form(frame)), form(frame).optimize()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_looking_around_reads_no_data(fresh: Fresh, server: RangeServer, layout: Layout) -> None:
    # Found: 3 to 5 rounds, 5 or 6 requests, 720,896 to 1,048,576 bytes.
    with at_most(server, Cost(6, 7, ENDS + 9 * PAGE)):
        repr(nwb_dask.open_nwb(server.url(fresh(layout).name)))
