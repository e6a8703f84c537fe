"""Runs work that needs bytes: each round fetches together what all waiting work lacks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from nwb_dask.backends.hdf5.format.space import Need
from nwb_dask.backends.hdf5.pages import Coming
from nwb_dask.errors import MalformedFileError
from nwb_dask.storage import begin

Task: TypeAlias = "Callable[[], Iterable[Task | Rest] | None]"
"""Does its work or raises `Need`, after which it runs again from its start; returns what follows from it."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A task that leads to no other part of the structure, and so can wait while bytes are on their way."""

    task: Task


class CanFetch(Protocol):
    """What a round needs of `Pages`."""

    def fetching(self, ranges: Iterable[tuple[int, int]], coming: frozenset[int] = ..., /) -> Coming:
        """Return what brings these ranges here, but for pages that come already.

        This, or what it returns, raises `Need` if no more can be had.
        """


_MAX_ROUNDS = 200
"""No file is this deep; a damaged one may pretend to be."""


def run(tasks: Iterable[Task], pages: CanFetch) -> None:
    """Run `tasks` and all that follow from them to their end.

    A round fetches the needs of every task that waits, so that the rounds are as many as the longest chain of
    dependent reads, however many objects there are. What can wait is done while its bytes are on their way, and what
    that needs is fetched in the same round.

    Raises
    ------
    MalformedFileError
        If the work does not end.
    """
    ready, rests = deque(tasks), deque[Task]()
    n_rounds = 0
    while ready or rests:
        waiting, needs = _advance(ready, rests)
        if needs and rests:
            coming = pages.fetching(needs)
            fetching = begin(coming.fetch)
            try:
                lacking, more = _advance(rests, rests)
                if more:
                    pages.fetching(more, coming.pages).fetch()
            finally:
                wait([fetching])
            fetching.result()
        else:
            lacking, more = _advance(rests, rests)
            if more or needs:
                pages.fetching(more or needs).fetch()
        ready.extend(waiting)
        rests.extend(lacking)
        n_rounds += 1
        if n_rounds > _MAX_ROUNDS:
            raise MalformedFileError(f"damaged: its structure leads on for more than {_MAX_ROUNDS} rounds of reading")


def _advance(ready: deque[Task], rests: deque[Task]) -> tuple[list[Task], list[tuple[int, int]]]:
    """Run tasks and what follows, but for what can wait, which is added to `rests`; return what lacks which bytes."""
    lacking: list[Task] = []
    needs: list[tuple[int, int]] = []
    while ready:
        task = ready.popleft()
        try:
            following = task()
        except Need as need:
            lacking.append(task)
            needs.extend(need.ranges)
            continue
        for one in following or ():
            if isinstance(one, Rest):
                rests.append(one.task)
            else:
                ready.append(one)
    return lacking, needs
