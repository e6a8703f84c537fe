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
from tests.budgets.measure import measure, needs_counters
from tests.budgets.sessions import N_UNITS, stored_bytes, values


def _from(d: Any, path: str) -> Any:
    return d[d._nwb_path == path]


ONE_OF: dict[str, Callable[[Any, str], Any]] = {
    "==": lambda d, path: d[d._nwb_path == path].firing_rate,
    "isin": lambda d, path: d.firing_rate[d._nwb_path.isin([path])],
    "and": lambda d, path: d[(d._nwb_path == path) & (d.id >= 0)].firing_rate,
    "loc": lambda d, path: d.loc[d._nwb_path == path, "firing_rate"],
    "query": lambda d, path: d.query("_nwb_path == @path", local_dict={"path": path}).firing_rate,
    "endswith": lambda d, path: d[d._nwb_path.str.endswith(Path(path).name)].firing_rate,
    "one filter after the other": lambda d, path: _from(d[d.id >= 0], path).firing_rate,
}
"""Ways to ask for the rows of one file."""


@pytest.mark.parametrize("form", ONE_OF)
def test_files_that_a_filter_leaves_out_may_be_gone(fresh: Fresh, form: str) -> None:
    paths = [fresh("contiguous") for _ in range(4)]
    frame = dd.read_nwb(paths, "/units")
    for gone in (paths[0], paths[1], paths[3]):
        gone.unlink()
    got = ONE_OF[form](frame, str(paths[2])).compute()
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
def test_server_is_asked_for_one_file_only(fresh: Fresh, server: RangeServer, form: str) -> None:
    paths = [fresh("contiguous") for _ in range(3)]
    urls = [server.url(path.name) for path in paths]
    frame = dd.read_nwb(urls, "/units")
    server.reset()
    got = ONE_OF[form](frame, urls[1]).compute()
    assert len(got) == N_UNITS
    assert {request.path for request in server.log} == {paths[1].name}
    light = stored_bytes(paths[1], "firing_rate", range(N_UNITS)) + stored_bytes(paths[1], "id", range(N_UNITS))
    assert server.n_requests <= 2
    assert server.n_bytes <= light


def test_server_is_not_asked_for_files_that_cannot_match(fresh: Fresh, server: RangeServer) -> None:
    urls = [server.url(fresh("default").name) for _ in range(2)]
    frame = dd.read_nwb(urls, "/units")
    with server.budget(requests=0, bytes=0):
        assert len(frame[frame._nwb_path == f"{urls[0]}x"].compute()) == 0
