"""Many sessions on a server are asked at once: they take the rounds of one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

import nwb_dask
from nwb_dask.testing import RangeServer
from nwb_dask.testing.ephys import EphysLayout
from tests.budgets import ephys
from tests.budgets.elsewhere import Elsewhere
from tests.budgets.ephys import QUESTIONS, Question
from tests.budgets.knowing import Knowledge
from tests.budgets.servers import LockstepServer
from tests.budgets.spending import Cost, at_most

N_SESSIONS = 8


@pytest.fixture
def sessions(ephys_sessions: dict[EphysLayout, Path], tmp_path: Path) -> list[Path]:
    """The same session under several names."""
    paths = [tmp_path / f"session-{number}.nwb" for number in range(N_SESSIONS)]
    for path in paths:
        path.hardlink_to(ephys_sessions["contiguous"])
    return paths


def ask(question: Question, sessions: list[Path]) -> Cost:
    """Ask about all of these sessions, of which each must keep step with the others."""
    with LockstepServer(sessions[0].parent, n_files=len(sessions)) as server, nwb_dask.trace() as traced:
        got = QUESTIONS[question]([server.url(path.name) for path in sessions])
    assert not server.late
    wanted = ephys.expected(question, sessions[0])
    ephys.assert_equal(got, {name: list(cells) * len(sessions) for name, cells in wanted.items()})
    assert (traced.requests, traced.bytes) == (server.n_requests, server.n_bytes)
    return Cost(traced.rounds, traced.requests, traced.bytes)


# Not of the units: the requests for their spikes are more than may be under way, so that they cannot keep step.
@pytest.mark.parametrize("question", ["trials", "lfp"])
def test_unknown_sessions_take_the_rounds_of_one_at_the_same_time(
    sessions: list[Path], knowledge: Knowledge, question: Question
) -> None:
    one = ask(question, sessions[:1])
    knowledge.forget()
    every = ask(question, sessions)
    # That no session was late says that each round of all was under way at once.
    assert every == Cost(*(N_SESSIONS * spent for spent in one))


@pytest.mark.parametrize("question", ["trials", "lfp"])
def test_known_sessions_take_one_round_at_the_same_time(
    sessions: list[Path], elsewhere: Elsewhere, knowledge: Knowledge, question: Question
) -> None:
    with LockstepServer(sessions[0].parent, n_files=len(sessions)) as server:
        call = partial(QUESTIONS[question], [server.url(path.name) for path in sessions])
        call()
        here = server.n_requests
        answer = elsewhere.ask(knowledge.folder, call)
        assert not server.late
        assert answer.cost.rounds == answer.cost.requests == server.n_requests - here == N_SESSIONS


def test_units_of_many_sessions_cost_each_what_one_does(sessions: list[Path], knowledge: Knowledge) -> None:
    with RangeServer(sessions[0].parent) as server:
        urls = [server.url(path.name) for path in sessions]
        for state in ("unknown", "known"):
            with nwb_dask.trace() as one:
                QUESTIONS["units"](urls[:1])
            if state == "unknown":
                knowledge.forget()
            with at_most(server, Cost(*(N_SESSIONS * spent for spent in (one.rounds, one.requests, one.bytes)))):
                QUESTIONS["units"](urls)
