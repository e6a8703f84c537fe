"""Rounds of reading: what leads on is asked for at once, what can wait is done meanwhile, and gaps are filled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from nwb_dask.backends.hdf5.format.space import Need
from nwb_dask.backends.hdf5.pages import Pages
from nwb_dask.backends.hdf5.rounds import Rest, Task, run
from nwb_dask.errors import SourceUnavailableError

PAGE = 100
Ranges = Sequence[tuple[int, int]]


class Line:
    """Bytes of a file that come when they are let through."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.asked: list[list[tuple[int, int]]] = []
        self.gate = threading.Event()
        if is_open:
            self.gate.set()

    def __call__(self, ranges: Ranges) -> list[bytes]:
        self.asked.append(list(ranges))
        assert self.gate.wait(10)
        return [bytes(stop - start) for start, stop in ranges]


def pages_over(line: Callable[[Ranges], list[bytes]], *, gap_bytes: int = 0) -> Pages:
    return Pages(100_000, line, page_bytes=PAGE, gap_bytes=gap_bytes)


def look(pages: Pages, at: int, then: Sequence[Task | Rest] = ()) -> Task:
    def task() -> Iterable[Task | Rest]:
        pages.view(at, at + 1)
        return then

    return task


def test_what_can_wait_is_done_while_bytes_are_on_their_way() -> None:
    line = Line(is_open=False)
    pages = pages_over(line)

    def rest() -> None:
        assert line.asked == [[(5000, 5100)]]
        line.gate.set()

    run([lambda: [Rest(rest), look(pages, 5000)]], pages)
    assert pages.holds(5000, 5001)


def test_a_chain_takes_no_more_rounds_for_what_can_wait() -> None:
    line = Line()
    pages = pages_over(line)
    last = look(pages, 3000)
    chain = look(pages, 1000, [Rest(look(pages, 7000)), look(pages, 2000, [last])])
    run([chain], pages)
    assert [at for ranges in line.asked for at, _ in ranges] == [1000, 2000, 7000, 3000]


def test_rests_that_lack_bytes_share_a_round() -> None:
    line = Line()
    pages = pages_over(line)
    run([lambda: [Rest(look(pages, at)) for at in (9000, 1000, 5000)]], pages)
    assert line.asked == [[(1000, 1100), (5000, 5100), (9000, 9100)]]


def test_bytes_on_their_way_are_not_asked_for_again() -> None:
    line = Line(is_open=False)
    pages = pages_over(line)
    done: list[int] = []

    def rest() -> None:
        try:
            pages.view(5000, 5001)
        except Need:
            line.gate.set()
            raise
        done.append(1)

    run([lambda: [Rest(rest), look(pages, 5000)]], pages)
    assert (done, line.asked) == ([1], [[(5000, 5100)]])


@pytest.mark.parametrize("rests", [[], [Rest(lambda: None)]], ids=["alone", "with a rest"])
def test_what_cannot_be_had_is_an_error_and_leaves_no_thread(rests: list[Rest]) -> None:
    def refuse(_ranges: Ranges) -> list[bytes]:
        raise SourceUnavailableError("gone")

    pages = pages_over(refuse)
    before = threading.active_count()
    with pytest.raises(SourceUnavailableError, match="gone"):
        run([lambda: [*rests, look(pages, 5000)]], pages)
    assert threading.active_count() == before


def test_an_error_of_a_rest_waits_for_the_bytes_that_are_on_their_way() -> None:
    line = Line(is_open=False)
    pages = pages_over(line)

    def rest() -> None:
        threading.Timer(0.05, line.gate.set).start()
        raise SourceUnavailableError("changed")

    with pytest.raises(SourceUnavailableError, match="changed"):
        run([lambda: [Rest(rest), look(pages, 5000)]], pages)
    assert pages.holds(5000, 5001)


@pytest.mark.parametrize(
    ("held", "wanted", "expected"),
    [
        pytest.param([], [(0, 100), (300, 400)], [(0, 400)], id="as much as both"),
        pytest.param([], [(0, 100), (400, 500)], [(0, 100), (400, 500)], id="more than both"),
        pytest.param([(0, 1000)], [(1500, 1600)], [(1000, 1600)], id="after what is here"),
        pytest.param([(2000, 3000)], [(1000, 1100)], [(1000, 2000)], id="before what is here"),
        pytest.param([(0, 300), (500, 800)], [(9000, 9100)], [(9000, 9100)], id="not between what is here"),
        pytest.param([(0, 300), (500, 800)], [(900, 1000)], [(300, 500), (800, 1000)], id="a growing run"),
    ],
)
def test_gaps_are_filled_where_as_much_around_them_is_needed(held: Ranges, wanted: Ranges, expected: Ranges) -> None:
    line = Line()
    pages = pages_over(line)
    for start, stop in held:
        pages.hold(start, bytes(stop - start))
    pages.fill_gaps()
    pages.fetch(wanted)
    assert line.asked == [list(expected)]


def test_threads_that_share_pages_wait_each_for_its_own_bytes() -> None:
    line = Line(is_open=False)
    pages = pages_over(line)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(run, [look(pages, 5000)], pages) for _ in range(2)]
        while len(line.asked) < 2 and not any(one.done() for one in both):
            time.sleep(0.001)
        line.gate.set()
        for one in both:
            one.result()
    assert line.asked == [[(5000, 5100)], [(5000, 5100)]]
