"""What it costs to join metadata of sessions to the rows of their tables: nothing is opened once more."""

from __future__ import annotations

from pathlib import Path

import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.testing import RangeServer
from nwb_dask.testing.ephys import EphysLayout
from tests.adapters.described_sessions import write_described
from tests.budgets import ephys
from tests.budgets.spending import Cost, at_most

ONE = Cost(8, 15, 1_550_000)
"""Found: 7 or 8 rounds, 10 to 15 requests, 1,119,936 to 1,509,376 bytes; apart 17 to 22 requests."""


@pytest.mark.parametrize("layout", ephys.LAYOUTS)
def test_metadata_is_read_in_the_same_visit_as_the_table(
    ephys_sessions: dict[EphysLayout, Path], tmp_path: Path, layout: EphysLayout
) -> None:
    path = tmp_path / "session.nwb"
    path.hardlink_to(ephys_sessions[layout])
    with RangeServer(tmp_path) as server, at_most(server, ONE):
        frame = dd.read_nwb(server.url(path.name), "/units", session_columns=["subject_id", "session_id"])
    expected = nwb_dask.read_metadata(path)["session_id"][0]
    assert frame.nwb.partitions["session_id"].tolist() == [expected]


def test_for_small_files_session_columns_cost_no_request(tmp_path: Path) -> None:
    files = write_described(tmp_path)
    with RangeServer(tmp_path) as server:
        urls = [server.url(path.name) for path in files]
        with nwb_dask.trace() as without:
            dd.read_nwb(urls[:2], "/units")
        with nwb_dask.trace() as joined:
            dd.read_nwb(urls[2:4], "/units", session_columns=["subject_id", "session_start_time", "lab"])
        assert (joined.requests, joined.rounds) == (without.requests, without.rounds)


def test_a_filter_on_them_asks_the_server_for_the_files_that_match_only(tmp_path: Path) -> None:
    files = write_described(tmp_path)
    with RangeServer(tmp_path) as server:
        frame = dd.read_nwb([server.url(path.name) for path in files], "/units", session_columns=["subject_id"])
        chosen = frame[frame.subject_id == "bob"].spike_times
        with at_most(server, Cost(1, 1, 1_000)):
            assert len(chosen.compute()) == 3
        assert {request.path for request in server.log} <= {files[1].name}
        with at_most(server, Cost(0, 0, 0)):
            assert len(chosen) == 3
