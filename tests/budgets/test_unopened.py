"""A filter on the path of the file leaves the other files alone: they may even be gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nwb_dask.dataframe as dd
from nwb_dask.testing import RangeServer
from tests.budgets.conftest import Fresh
from tests.budgets.knowing import Knowledge
from tests.budgets.measure import measure, needs_counters
from tests.budgets.queries import as_arrays
from tests.budgets.sessions import N_UNITS, stored_bytes, values
from tests.budgets.spending import Cost, at_most


def _from(d: Any, path: str) -> Any:
    return d[d._nwb_path == path]


ONE_OF: dict[str, Callable[[Any, str, str], Any]] = {
    "==": lambda d, path, column: d[d._nwb_path == path][column],
    "isin": lambda d, path, column: d[column][d._nwb_path.isin([path])],
    "and": lambda d, path, column: d[(d._nwb_path == path) & (d.id >= 0)][column],
    "loc": lambda d, path, column: d.loc[d._nwb_path == path, column],
    "query": lambda d, path, column: d.query("_nwb_path == @path", local_dict={"path": path})[column],
    "endswith": lambda d, path, column: d[d._nwb_path.str.endswith(Path(path).name)][column],
    "one filter after the other": lambda d, path, column: _from(d[d.id >= 0], path)[column],
}
"""Ways to ask for a column of the rows of one file."""


@pytest.mark.parametrize("form", ONE_OF)
def test_files_that_a_filter_leaves_out_may_be_gone(fresh: Fresh, form: str) -> None:
    paths = [fresh("contiguous") for _ in range(4)]
    frame = dd.read_nwb(paths, "/units")
    for gone in (paths[0], paths[1], paths[3]):
        gone.unlink()
    got = ONE_OF[form](frame, str(paths[2]), "firing_rate").compute()
    np.testing.assert_array_equal(got, values(paths[2], "firing_rate", range(N_UNITS)))


@needs_counters
def test_filter_that_no_file_satisfies_reads_nothing(fresh: Fresh) -> None:
    frame = dd.read_nwb([fresh("default"), fresh("gzip")], "/units")
    nobody = frame[frame._nwb_path == "/nowhere.nwb"].spike_times
    nobody.compute()
    used = measure(nobody.compute)
    assert len(used.result) == 0
    assert (used.bytes, used.calls) == (0, 0)


@pytest.mark.parametrize("form", ONE_OF)
def test_for_a_large_column_the_server_is_asked_for_one_file_only(fresh: Fresh, server: RangeServer, form: str) -> None:
    paths = [fresh("contiguous") for _ in range(3)]
    query = ONE_OF[form](dd.read_nwb([server.url(path.name) for path in paths], "/units"), _url(server, paths[1]), WAVE)
    # The one request is for the column: its 2.4 MB are too much to be kept with the plan, the ids of a filter are not.
    with at_most(server, Cost(1, 1, stored_bytes(paths[1], WAVE, range(N_UNITS)))):
        got = query.compute()
    assert {request.path for request in server.log} == {paths[1].name}
    np.testing.assert_array_equal(as_arrays(got), values(paths[1], WAVE, range(N_UNITS)))


WAVE = "waveform_mean"


def _url(server: RangeServer, path: Path) -> str:
    return server.url(path.name)


@pytest.mark.parametrize("form", ONE_OF)
def test_for_a_small_column_the_server_is_asked_for_one_file_at_most(
    fresh: Fresh, server: RangeServer, knowledge: Knowledge, form: str
) -> None:
    paths = [fresh("contiguous") for _ in range(3)]
    query = ONE_OF[form](
        dd.read_nwb([server.url(path.name) for path in paths], "/units"), _url(server, paths[1]), "firing_rate"
    )
    # The plan has kept all values of small columns.
    with at_most(server, Cost(0, 0, 0)):
        got = query.compute()
    knowledge.forget()
    # Where nothing is known but the plan, the one file is looked at anew. Found: 5 rounds, 5 requests, 7 pages.
    with at_most(server, Cost(6, 6, 8 * 64 * 1024)):
        again = query.compute()
    assert {request.path for request in server.log} == {paths[1].name}
    for one in (got, again):
        np.testing.assert_array_equal(one, values(paths[1], "firing_rate", range(N_UNITS)))


def test_server_is_not_asked_for_files_that_cannot_match(
    fresh: Fresh, server: RangeServer, knowledge: Knowledge
) -> None:
    urls = [server.url(fresh("default").name) for _ in range(2)]
    frame = dd.read_nwb(urls, "/units")
    knowledge.forget()
    with at_most(server, Cost(0, 0, 0)):
        assert len(frame[frame._nwb_path == f"{urls[0]}x"].compute()) == 0
