"""Statistics of sessions decide which of them are opened, whatever engine asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from nwb_dask.adapters.dask_frame import frame_of_scan
from nwb_dask.adapters.pandas_frame.predicate import mask
from nwb_dask.adapters.polars_frame import lazy_frame
from nwb_dask.plan import Scan
from nwb_dask.read import read_scan, scan_sources
from nwb_dask.testing import RangeServer
from nwb_dask.testing.performance_sessions import PERFORMANCE, session_values, write_performance_sessions
from tests.budgets.knowing import Knowledge
from tests.plan.known_pieces import statistics_of

N_SESSIONS, N_MATCHING = 120, 12
COLUMN = "cross_modal_dprime"


class Sessions:
    """Sessions on a server, and what is known of a column of theirs from the values that were written."""

    def __init__(self, server: RangeServer, names: list[str]) -> None:
        self.server = server
        values = [
            session_values(number, n_units=2, spikes_per_unit=2)[PERFORMANCE][COLUMN] for number in range(len(names))
        ]
        ends = np.cumsum([0, *map(len, values)])
        self.best = np.array([one.max() for one in values])
        self.least = float(np.sort(self.best)[-N_MATCHING])
        self.matching = {name for name, best in zip(names, self.best, strict=True) if best >= self.least}
        self.n_rows = int((np.concatenate(values) >= self.least).sum())
        scan = scan_sources([server.url(name) for name in names], PERFORMANCE)
        self.scan = replace(scan, statistics={COLUMN: statistics_of(pa.array(np.concatenate(values)), ends)})


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    folder = tmp_path_factory.mktemp("sessions")
    paths = write_performance_sessions(folder, N_SESSIONS, n_units=2, spikes_per_unit=2)
    with RangeServer(folder) as server:
        yield Sessions(server, [path.name for path in paths])


def _dask(scan: Scan, least: float) -> int:
    frame = frame_of_scan(scan)
    return len(frame[frame[COLUMN] >= least][[COLUMN, "n_trials"]].compute())


def _polars(scan: Scan, least: float) -> int:
    return lazy_frame(scan).filter(pl.col(COLUMN) >= least).select("n_trials").collect().height


def _sql(scan: Scan, least: float) -> int:
    query = f"SELECT n_trials FROM blocks WHERE {COLUMN} >= {least!r}"
    return pl.SQLContext(blocks=lazy_frame(scan)).execute(query, eager=True).height


def _eager(scan: Scan, least: float) -> int:
    node = scan.predicate([(COLUMN, ">=", least)])
    return int(read_scan(scan, (scan.field("n_trials"),), node, mask).num_rows)


@pytest.mark.parametrize("read", [_dask, _polars, _sql, _eager])
def test_of_120_sessions_the_12_that_can_satisfy_a_filter_are_opened(
    sessions: Sessions, knowledge: Knowledge, read: Callable[[Scan, float], int]
) -> None:
    knowledge.forget()
    before = len(sessions.server.log)

    assert read(sessions.scan, sessions.least) == sessions.n_rows
    assert {request.path for request in sessions.server.log[before:]} == sessions.matching
    assert len(sessions.matching) == N_MATCHING
