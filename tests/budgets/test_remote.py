"""Files on a server: requests and bytes by the server's own log."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.testing import RangeServer
from nwb_dask.testing.files import Layout
from tests.budgets.conftest import Fresh
from tests.budgets.queries import ENGINES, FORMS, as_arrays, chosen
from tests.budgets.sessions import CHOICE, CHOSEN, LAYOUTS, N_UNITS, stored_bytes, stored_ranges, values


class Budget(NamedTuple):
    """The most that a question may take."""

    requests: int
    bytes: int


# Found, then rounded up by a request and a block of 64 KiB. Of each, 512 KiB are the head and the tail of the file,
# which come in the first round; the rest of what a plan takes is blocks in which libhdf5 looks for metadata.
PLAN: dict[Layout, Budget] = {
    "contiguous": Budget(6, 852_000),  # found: 5, 786,432
    "default": Budget(6, 787_000),  # found: 5, 720,896
    "chunked": Budget(8, 918_000),  # found: 7, 851,968
    "gzip": Budget(7, 918_000),  # found: 6, 851,968
}
SPIKES: dict[Layout, Budget] = {
    "contiguous": Budget(18, 1_900_000),  # found: 17, 1,833,592
    "default": Budget(18, 1_834_000),  # found: 17, 1,768,056
    "chunked": Budget(30, 2_689_000),  # found: 29, 2,622,848: ten blocks of the index of 640 chunks
    "gzip": Budget(29, 2_627_000),  # found: 28, 2,561,180
}
"""``spike_times`` of 5% of the units, planning included."""
WAVEFORMS: dict[Layout, Budget] = {
    "contiguous": Budget(17, 974_000),  # found: 16, 908,032
    "default": Budget(17, 909_000),  # found: 16, 842,496
    "chunked": Budget(19, 1_040_000),  # found: 18, 973,568
    "gzip": Budget(18, 1_807_000),  # found: 17, 1,741,298
}
"""``waveform_mean`` of 5% of the units, planning included."""
INDEX_BLOCKS = Budget(11, 12 * 64 * 1024)
"""Where the chunks of 5% of the units are, in a file with 640 of them: a block of the chunk index for each unit."""

OVER_TENTH: frozenset[Layout] = frozenset({"chunked", "gzip"})
"""Where that is more than 10% of a file of 24 MB: the ends of the file, the plan and the index of 640 small chunks
are 6.6% of it, however few the spikes."""


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


def check_five_percent(server: RangeServer, path: Path, engine: str, column: str, budget: Budget) -> None:
    with server.budget(requests=budget.requests, bytes=budget.bytes):
        got = chosen(engine, server.url(path.name), column, CHOICE)
    for one, other in zip(got, values(path, column, CHOSEN), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_planning_reads_less_than_a_megabyte(fresh: Fresh, server: RangeServer, layout: Layout) -> None:
    budget = PLAN[layout]
    with server.budget(requests=budget.requests, bytes=budget.bytes):
        dd.read_nwb(server.url(fresh(layout).name), "/units")
    assert server.n_bytes < 1_000_000


def test_planning_of_several_files_costs_as_much_for_each(fresh: Fresh, server: RangeServer) -> None:
    urls = [server.url(fresh("default").name) for _ in range(5)]
    budget = PLAN["default"]
    with server.budget(requests=5 * budget.requests, bytes=5 * budget.bytes):
        dd.read_nwb(urls, "/units")


def frame_of(server: RangeServer, path: Path) -> Any:
    frame = dd.read_nwb(server.url(path.name), "/units")
    server.reset()
    return frame


def ranges_asked(server: RangeServer) -> set[tuple[int, int]]:
    """Return the half-open ranges that the server was asked for."""
    asked = [request.headers["range"].removeprefix("bytes=").split("-") for request in server.log]
    return {(int(first), int(last) + 1) for first, last in asked}


def whole(ranges: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Return the one range from the first to the last of `ranges`, for what is fetched with what lies between."""
    starts, stops = zip(*ranges, strict=True)
    return min(starts), max(stops)


@pytest.mark.parametrize("form", FORMS)
def test_known_contiguous_numbers_are_asked_for_and_nothing_else(fresh: Fresh, server: RangeServer, form: str) -> None:
    path = fresh("contiguous")
    got = FORMS[form](frame_of(server, path)).compute()
    assert len(got) == len(CHOSEN)
    # All of the filter's column; the ends of the chosen units' spikes and of those before them, with what is between;
    # the spikes of each chosen unit.
    ends = [one for row in CHOSEN for one in stored_ranges(path, "spike_times_index", [row - 1, row])]
    expected = {
        whole(stored_ranges(path, "shank", range(N_UNITS))),
        whole(ends),
        *stored_ranges(path, "spike_times", CHOSEN),
    }
    if "id" in getattr(got, "columns", ()):
        expected.add(whole(stored_ranges(path, "id", CHOSEN)))
    assert ranges_asked(server) == expected
    assert server.n_requests == len(expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_planned_filter_asks_for_data_and_the_chunk_index(fresh: Fresh, server: RangeServer, layout: Layout) -> None:
    path = fresh(layout)
    frame = frame_of(server, path)
    index = INDEX_BLOCKS if layout in {"chunked", "gzip"} else Budget(0, 0)
    # A request for the filter, one for the ends of the spikes, one for each unit.
    data = stored_bytes(path, "spike_times", CHOSEN) + 2 * stored_bytes(path, "shank", range(N_UNITS))
    with server.budget(requests=2 + len(CHOSEN) + index.requests, bytes=data + index.bytes):
        got = frame[frame.shank == 7].spike_times.compute()
    for one, other in zip(as_arrays(got), values(path, "spike_times", CHOSEN), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_head_asks_for_the_first_rows_only(fresh: Fresh, server: RangeServer, layout: Layout) -> None:
    path = fresh(layout)
    frame = frame_of(server, path)
    block = 64 * 1024 if layout in {"chunked", "gzip"} else 0
    with server.budget(requests=3, bytes=stored_bytes(path, "spike_times", range(5)) + 1000 + block):
        frame.spike_times.head(5)
    heavy = sum(stored_bytes(path, name, range(5)) for name in ("spike_times", "waveform_mean", "snippets"))
    # One request for each column that is not in the head or the tail of the file.
    with server.budget(requests=13, bytes=heavy + 8_000 + 2 * 64 * 1024):
        frame.head(5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_scalar_column_is_one_request(fresh: Fresh, server: RangeServer, layout: Layout) -> None:
    path = fresh(layout)
    frame = frame_of(server, path)
    with server.budget(requests=1, bytes=stored_bytes(path, "firing_rate", range(N_UNITS))):
        got = frame.firing_rate.compute()
    np.testing.assert_array_equal(got, values(path, "firing_rate", range(N_UNITS)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_counts_ask_the_server_nothing(fresh: Fresh, server: RangeServer, layout: Layout) -> None:
    frame = frame_of(server, fresh(layout))
    with server.budget(requests=0, bytes=0):
        assert len(frame) == len(frame.spike_times) == frame.id.count().compute() == N_UNITS
    with server.budget(requests=1, bytes=8 * N_UNITS):
        assert len(frame[frame.shank == 7]) == len(CHOSEN)


def test_building_a_query_asks_the_server_nothing(fresh: Fresh, server: RangeServer) -> None:
    frame = frame_of(server, fresh("gzip"))
    with server.budget(requests=0, bytes=0):
        for form in FORMS.values():
            _ = repr(form(frame)), form(frame).optimize()


def test_looking_around_reads_no_data(fresh: Fresh, server: RangeServer) -> None:
    with server.budget(requests=9, bytes=1_050_000):
        repr(nwb_dask.open_nwb(server.url(fresh("default").name)))
