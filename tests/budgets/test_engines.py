"""Every engine is asked for the same bytes: what differs is what it takes to be sure of the version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import h5py
import pytest

import nwb_dask
from nwb_dask.options import options
from nwb_dask.testing import RangeServer
from nwb_dask.testing.ephys import EphysLayout
from tests.budgets import ephys
from tests.budgets.ephys import LAYOUTS, QUESTIONS
from tests.budgets.knowing import Knowledge
from tests.budgets.sessions import stored_bytes
from tests.budgets.spending import Cost, at_most, ranges_asked


class More(NamedTuple):
    """What an engine asks beyond the data."""

    heads: int
    block: int
    """Bytes of the blocks that each of its requests begins with; 0 if it asks for ranges as they are."""


ENGINES: Mapping[str, More] = {
    "http": More(0, 0),
    "obstore": More(0, 0),
    # It cannot pin a request to a version, so it asks for the version after each round.
    "fsspec": More(1, 0),
    "remfile": More(0, 100 * 1024),
}


@pytest.fixture(params=LAYOUTS)
def path(request: pytest.FixtureRequest, ephys_sessions: dict[EphysLayout, Path]) -> Path:
    found: Path = ephys_sessions[request.param]
    return found


@pytest.fixture
def server(path: Path) -> Iterator[RangeServer]:
    with RangeServer(path.parent) as running:
        yield running


@pytest.mark.parametrize("engine", ENGINES)
def test_warm_units_take_the_same_ranges_with_every_engine(
    path: Path, server: RangeServer, knowledge: Knowledge, engine: str
) -> None:
    ask, url, more = QUESTIONS["units"], server.url(path.name), ENGINES[engine]
    ask(url)
    server.reset()
    ask(url)
    ranges = ranges_asked(server)
    with h5py.File(path) as file:
        needed = stored_bytes(path, "spike_times", ephys.wanted_units(file))
    assert sum(stop - start for start, stop in ranges) <= 1.05 * needed
    knowledge.forget()
    whole = sum(stop - start + more.block for start, stop in ranges)
    with options(engine=engine):
        ask(url)
        with at_most(server, Cost(1 + more.heads, len(ranges) + more.heads, whole)):
            got = ask(url)
    ephys.assert_equal(got, ephys.expected("units", path))
    assert Counter(request.method for request in server.log) == Counter(GET=len(ranges), HEAD=more.heads)
    if not more.block:
        assert ranges_of_data(server) == ranges


def ranges_of_data(server: RangeServer) -> set[tuple[int, int]]:
    server.log = [request for request in server.log if request.method == "GET"]
    return ranges_asked(server)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_one_engine_has_learned_is_known_to_another(path: Path, server: RangeServer, engine: str) -> None:
    url = server.url(path.name)
    with options(engine=engine):
        QUESTIONS["trials"](url)
    with nwb_dask.trace() as traced:
        got = QUESTIONS["trials"](url)
    ephys.assert_equal(got, ephys.expected("trials", path))
    assert (traced.requests, traced.bytes) == (1, 0)
