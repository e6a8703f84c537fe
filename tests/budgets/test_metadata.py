"""What it costs to read the metadata of sessions on a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import nwb_dask
from nwb_dask.testing import RangeServer
from nwb_dask.testing.ephys import EphysLayout
from nwb_dask.testing.files import write_session
from tests.budgets import ephys
from tests.budgets.knowing import Knowledge
from tests.budgets.servers import LockstepServer
from tests.budgets.spending import Cost, at_most

N_SESSIONS = 8
ONE = Cost(6, 13, 1_300_000)
"""Found: 5 or 6 rounds, 10 to 13 requests, 1,054,400 to 1,247,232 bytes."""


@pytest.fixture
def sessions(ephys_sessions: dict[EphysLayout, Path], tmp_path: Path) -> Callable[[EphysLayout], list[Path]]:
    """Gives the same session under several names."""

    def link(layout: EphysLayout) -> list[Path]:
        paths = [tmp_path / f"session-{number}.nwb" for number in range(N_SESSIONS)]
        for path in paths:
            path.hardlink_to(ephys_sessions[layout])
        return paths

    return link


@pytest.mark.parametrize("layout", ephys.LAYOUTS)
def test_metadata_of_an_unknown_session_opens_it_once(
    sessions: Callable[[EphysLayout], list[Path]], layout: EphysLayout
) -> None:
    path = sessions(layout)[0]
    with RangeServer(path.parent) as server, at_most(server, ONE):
        row = nwb_dask.read_metadata(server.url(path.name), "arrow").to_pylist()[0]
    local = nwb_dask.read_metadata(path, "arrow").to_pylist()[0]
    assert {**row, "_nwb_path": ""} == {**local, "_nwb_path": ""}


def test_metadata_of_a_known_session_is_one_question(sessions: Callable[[EphysLayout], list[Path]]) -> None:
    path = sessions("gzip")[0]
    with RangeServer(path.parent) as server:
        nwb_dask.read_metadata(server.url(path.name))
        with at_most(server, Cost(1, 1, 0)):
            nwb_dask.read_metadata(server.url(path.name))


def test_metadata_of_many_sessions_is_asked_for_at_once(
    sessions: Callable[[EphysLayout], list[Path]], knowledge: Knowledge
) -> None:
    paths = sessions("contiguous")
    with LockstepServer(paths[0].parent, n_files=1) as server, nwb_dask.trace() as one:
        nwb_dask.read_metadata(server.url(paths[0].name))
    knowledge.forget()
    with LockstepServer(paths[0].parent, n_files=N_SESSIONS) as server, nwb_dask.trace() as every:
        nwb_dask.read_metadata([server.url(path.name) for path in paths])
    assert not server.late
    assert (every.rounds, every.requests) == (N_SESSIONS * one.rounds, N_SESSIONS * one.requests)


def test_signatures_of_urls_are_in_no_column_and_no_warning(sessions: Callable[[EphysLayout], list[Path]]) -> None:
    path = sessions("contiguous")[0]
    with RangeServer(path.parent) as server:
        row = nwb_dask.read_metadata(server.url(path.name) + "?signature=secret", "arrow").to_pylist()[0]
        paths = nwb_dask.list_paths(server.url(path.name) + "?signature=secret")
    assert "secret" not in str(row) + str(paths)


def test_metadata_of_a_known_file_that_was_replaced_is_that_of_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "session.nwb"
    with RangeServer(tmp_path) as server:
        for seed in (1, 2):
            write_session(path, seed=seed, n_units=2 * seed, n_trials=0, n_samples=0, n_electrodes=0)
            for _ in range(2):
                row = nwb_dask.read_metadata(server.url(path.name), "arrow").to_pylist()[0]
                assert row["session_id"] == f"session-{seed}"
            assert nwb_dask.open_nwb(server.url(path.name)).session_id == f"session-{seed}"
