"""A dataset in a million chunks is opened, and a part of it read, without a look at all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import h5py
import numpy as np
import pytest

import nwb_dask
from nwb_dask.testing import RangeServer
from tests.budgets.knowing import Knowledge
from tests.budgets.spending import Cost, at_most

PAGE = 64 * 1024
ENDS = 512 * 1024
N_CHUNKS = 1_000_000
"""Of one sample each."""
STEP, WRITTEN = 100_000, 2_000
"""The first so many samples of every so many are written: a million chunks take too long to write."""
RATE = 1000.0
SERIES = "/acquisition/series"


class Writing(NamedTuple):
    """How HDF5 lists the chunks."""

    libver: Literal["earliest", "latest"]
    is_expandable: bool


WRITINGS: Mapping[str, Writing] = {
    "B-tree, version 1": Writing("earliest", is_expandable=True),
    "fixed array": Writing("latest", is_expandable=False),
    "extensible array": Writing("latest", is_expandable=True),
}


@pytest.fixture(scope="module", params=WRITINGS)
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with one series, whose samples are their number modulo 100."""
    path = tmp_path_factory.mktemp("chunks") / "million.nwb"
    writing = WRITINGS[request.param]
    with h5py.File(path, "w", libver=writing.libver) as file:
        file.attrs.update({"nwb_version": "2.7.0", "neurodata_type": "NWBFile", "namespace": "core"})
        series = file.create_group(SERIES)
        series.attrs.update({"neurodata_type": "TimeSeries", "namespace": "core"})
        longest = None if writing.is_expandable else N_CHUNKS
        data = series.create_dataset("data", (N_CHUNKS,), "i1", chunks=(1,), maxshape=(longest,), fillvalue=-1)
        for start in range(0, N_CHUNKS, STEP):
            data[start : start + WRITTEN] = np.arange(WRITTEN) % 100
        series.create_dataset("starting_time", data=0.0).attrs["rate"] = RATE
    return path


@pytest.fixture
def server(path: Path) -> Iterator[RangeServer]:
    with RangeServer(path.parent) as running:
        yield running


def read(server: RangeServer, path: Path, start: int, stop: int) -> list[int]:
    """Return some samples, by their times."""
    filters = [("timestamps", ">=", (start - 0.5) / RATE), ("timestamps", "<", (stop - 0.5) / RATE)]
    found: list[int] = nwb_dask.read_table(server.url(path.name), SERIES, columns=["data"], filters=filters)[
        "data"
    ].tolist()
    return found


def test_opening_it_takes_a_round_and_no_look_at_the_chunks(path: Path, server: RangeServer) -> None:
    with at_most(server, Cost(2, 3, ENDS + PAGE)):
        session = nwb_dask.open_nwb(server.url(path.name))
    assert session[SERIES].n_rows == N_CHUNKS


def test_part_of_it_takes_the_nodes_on_the_way_to_its_chunks(
    path: Path, server: RangeServer, knowledge: Knowledge
) -> None:
    start = 5 * STEP + 500
    # Found: the ends of the file, two levels of nodes (of a B-tree three), and the data.
    with at_most(server, Cost(6, 7, ENDS + 5 * PAGE)):
        got = read(server, path, start, start + 100)
    assert got == list(range(100))
    knowledge.keep_what_is_on_disk()
    # The nodes of so large an index are not kept. Found: 3 to 5 rounds, and as many requests.
    with at_most(server, Cost(5, 5, 5 * PAGE)):
        got = read(server, path, start, start + 100)
    assert got == list(range(100))


def test_part_that_was_never_written_takes_no_data(path: Path, server: RangeServer) -> None:
    with at_most(server, Cost(6, 7, ENDS + 5 * PAGE)):
        got = read(server, path, 7 * STEP + WRITTEN + 5000, 7 * STEP + WRITTEN + 5020)
    assert got == [-1] * 20
