"""The usual questions about a session on a server take few rounds when nothing is known, and one when it is.

At 30 ms a request and more, rounds are what answers take. What is known of a file comes from an earlier question,
of this process or of another: see `tests.budgets.knowing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import h5py
import pytest

import nwb_dask
from nwb_dask.testing import RangeServer
from nwb_dask.testing.ephys import LFP_PATH, EphysLayout
from tests.budgets import ephys
from tests.budgets.elsewhere import Answer, Elsewhere
from tests.budgets.ephys import LAYOUTS, QUESTIONS, Columns, Question
from tests.budgets.knowing import Knowledge
from tests.budgets.servers import WatchingServer
from tests.budgets.sessions import stored_bytes
from tests.budgets.spending import Cost, at_most, check

PAGE = 64 * 1024
ENDS = 512 * 1024
"""The head and the tail of the file, which are read together, and tell its version."""
ANY = 1 << 40


class Limit(NamedTuple):
    """What a question may cost, with the bytes as a multiple of those that the answer takes in the file."""

    rounds: int
    requests: int
    share: float = 1.0
    metadata: int = 0
    """Bytes beyond that: the structure of the file, and small datasets, which are read with it."""

    def cost(self, needed: int) -> Cost:
        """Return the limit for an answer that takes so many bytes in the file."""
        return Cost(self.rounds, self.requests, int(self.share * needed) + self.metadata)


GOALS: Mapping[tuple[Question, str], Limit] = {
    ("list", "cold"): Limit(9, ANY, metadata=ANY),
    ("trials", "cold"): Limit(10, 15, metadata=ANY),
    ("units", "cold"): Limit(9, ANY, share=1.3, metadata=ENDS + 16 * PAGE),
    ("lfp", "cold"): Limit(9, ANY, metadata=ANY),
    ("list", "warm"): Limit(1, 1),
    ("trials", "warm"): Limit(1, 1),
    # The version is asked for once: that is one of the two rounds.
    ("units", "warm"): Limit(2, ANY, share=1.1),
    ("lfp", "warm"): Limit(2, ANY),
}
"""What the project wants."""

# Found in the layouts, then rounded up by a round, a request or two, and a page or two. Which pages hold the
# structure depends on the order in which pynwb writes.
COLD: Mapping[Question, Limit] = {
    "list": Limit(7, 15, metadata=ENDS + 33 * PAGE),  # found: 5 or 6, 13, ENDS + 31 pages at most
    "trials": Limit(8, 11, metadata=ENDS + 18 * PAGE),  # found: 5 to 7, 7 to 9, ENDS + 16 pages at most
    "units": Limit(7, 28, share=1.05, metadata=ENDS + 12 * PAGE),  # found: 5 or 6, 10 to 25, 1.0, ENDS + 6 to 10 pages
    "lfp": Limit(6, 9, metadata=ENDS + 7 * PAGE),  # found: 4 or 5, 6 to 8, ENDS + 5 pages at most
}
WARM: Mapping[Question, Limit] = {
    # One request tells that the file has not changed, with an answer that has no body.
    "list": Limit(1, 1),
    "trials": Limit(1, 1),
    # Here the data tell: each request for them is pinned to the version that is known.
    "units": Limit(1, 20, share=1.05),  # found: 1, 18 (gzip: 2), 1.0; a request for each of the 20 units at most
    "lfp": Limit(1, 1),
}
FIRST_OF_PLAN: Mapping[Question, Limit] = {
    # A plan reads no references and no text that is not near; the trials have both.
    "trials": Limit(4, 7, metadata=7 * PAGE),  # found: 3, 5 or 6, 6 pages at most
    "units": Limit(3, 21, share=1.05, metadata=PAGE),  # found: 1 or 2, 2 to 19, 1.0 and 800 bytes
    "lfp": Limit(2, 2, metadata=PAGE),  # found: 1, 1, 0
}
"""What the first one to compute a planned frame asks, by what the plan has put on disk."""
NEXT_OF_PLAN: Mapping[Question, Limit] = {
    "trials": Limit(0, 0),
    "units": WARM["units"],
    "lfp": WARM["lfp"],
}
"""What the next one asks: the plan says the version, so that nobody asks whether it is still there."""
PINNED: Mapping[Question, Limit] = {
    "trials": Limit(8, 11, metadata=20 * PAGE),  # found: 6 or 7, 8 or 9, 18 pages at most
    "units": Limit(7, 27, share=1.05, metadata=14 * PAGE),  # found: 6, 9 to 25, 1.0, 8 to 12 pages
    "lfp": Limit(8, 11, metadata=11 * PAGE),  # found: 5 to 7, 6 to 10, 9 pages at most
}
"""What one asks who has the plan and nothing else. No round asks for the version, and so none brings the ends of the
file: pages are all that is read of its structure."""
TABLES: tuple[Question, ...] = ("trials", "units", "lfp")


class Asked(NamedTuple):
    """A session on a server."""

    server: RangeServer
    path: Path

    @property
    def url(self) -> str:
        """Return where it is."""
        return self.server.url(self.path.name)

    def ask(self, question: Question) -> Callable[[], Columns]:
        """Return the question, which may be asked in any process."""
        return partial(QUESTIONS[question], self.url)


@pytest.fixture(params=LAYOUTS)
def asked(request: pytest.FixtureRequest, ephys_sessions: dict[EphysLayout, Path]) -> Iterator[Asked]:
    """One session of each layout."""
    path = ephys_sessions[request.param]
    with RangeServer(path.parent) as running:
        yield Asked(running, path)


@cache
def needed_bytes(question: Question, path: Path) -> int:
    """Return how much of the file holds the large columns of the answer: whole chunks where they are compressed."""
    with h5py.File(path) as file:
        if question == "units":
            return stored_bytes(path, "spike_times", ephys.wanted_units(file))
        if question != "lfp":
            return 0
        data, start = file[LFP_PATH]["data"], file[LFP_PATH]["starting_time"]
        first, last = (int((at - start[()]) * start.attrs["rate"]) // data.chunks[0] for at in ephys.SECONDS)
        chunks = [data.id.get_chunk_info(i) for i in range(data.id.get_num_chunks())]
        return sum(chunk.size for chunk in chunks if first <= chunk.chunk_offset[0] // data.chunks[0] <= last)


def ask_here(asked: Asked, question: Question, limit: Limit) -> None:
    """Ask in this process, within the limit."""
    with at_most(asked.server, limit.cost(needed_bytes(question, asked.path))):
        got = asked.ask(question)()
    ephys.assert_equal(got, ephys.expected(question, asked.path))


def check_answer(ask: Callable[[], Answer], asked: Asked, question: Question, limit: Limit) -> None:
    """Compare an answer of another process and what it cost, there and by the server."""
    asked.server.reset()
    answer = ask()
    assert (answer.cost.requests, answer.cost.bytes) == (asked.server.n_requests, asked.server.n_bytes)
    check(answer.cost, limit.cost(needed_bytes(question, asked.path)))
    ephys.assert_equal(answer.values, ephys.expected(question, asked.path))


def conditions(server: RangeServer) -> set[str]:
    """Return the conditions on the version that requests had: `if-match` pins it, `if-none-match` asks for it."""
    return {name for request in server.log for name in request.headers if name in {"if-match", "if-none-match"}}


@pytest.mark.parametrize("question", QUESTIONS)
def test_question_about_a_session_of_which_nothing_is_known(asked: Asked, question: Question) -> None:
    ask_here(asked, question, COLD[question])


@pytest.mark.parametrize("question", QUESTIONS)
def test_question_that_this_process_has_asked_before(asked: Asked, question: Question) -> None:
    asked.ask(question)()
    ask_here(asked, question, WARM[question])


@pytest.mark.parametrize("question", QUESTIONS)
def test_question_that_another_process_has_asked_before(
    asked: Asked, knowledge: Knowledge, elsewhere: Elsewhere, question: Question
) -> None:
    asked.ask(question)()
    ask = partial(elsewhere.ask, knowledge.folder, asked.ask(question))
    check_answer(ask, asked, question, WARM[question])


def test_after_a_look_around_every_table_is_known(asked: Asked, knowledge: Knowledge) -> None:
    asked.ask("list")()
    knowledge.keep_what_is_on_disk()
    # Found: 1, 1, 4,800 bytes of references, which lead to what no attribute names.
    ask_here(asked, "trials", Limit(1, 1, metadata=PAGE))
    ask_here(asked, "units", WARM["units"])
    ask_here(asked, "lfp", WARM["lfp"])


@pytest.mark.parametrize("question", TABLES)
def test_planned_frame_that_another_process_computes(
    asked: Asked, knowledge: Knowledge, elsewhere: Elsewhere, question: Question
) -> None:
    compute = partial(ephys.computed, ephys.planned(question, asked.url))
    check_answer(partial(elsewhere.ask, knowledge.folder, compute), asked, question, FIRST_OF_PLAN[question])
    knowledge.keep_what_is_on_disk()
    check_answer(partial(elsewhere.ask, knowledge.folder, compute), asked, question, NEXT_OF_PLAN[question])
    assert conditions(asked.server) == ({"if-match"} if asked.server.log else set())


@pytest.mark.parametrize("question", TABLES)
def test_planned_frame_that_a_process_computes_which_knows_nothing(
    asked: Asked, knowledge: Knowledge, elsewhere: Elsewhere, question: Question
) -> None:
    compute = partial(ephys.computed, ephys.planned(question, asked.url))
    knowledge.forget()
    check_answer(partial(elsewhere.ask, knowledge.folder, compute), asked, question, PINNED[question])
    assert conditions(asked.server) == {"if-match"}


@pytest.mark.parametrize("question", QUESTIONS)
def test_rounds_are_those_that_the_server_sees(ephys_sessions: dict[EphysLayout, Path], question: Question) -> None:
    path = ephys_sessions["chunked"]
    with WatchingServer(path.parent, delay_seconds=0.1) as server, nwb_dask.trace() as traced:
        QUESTIONS[question](server.url(path.name))
    assert traced.rounds == server.n_rounds


def test_no_limit_is_above_its_goal() -> None:
    for state, limits in (("cold", COLD), ("warm", WARM)):
        for question, limit in limits.items():
            assert all(mine <= goal for mine, goal in zip(limit, GOALS[question, state], strict=True)), question
