"""Runs work that needs bytes: each round fetches together what all waiting work lacks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol, TypeAlias

from nwb_dask.backends.hdf5.format.space import Need
from nwb_dask.errors import MalformedFileError

Task: TypeAlias = "Callable[[], Iterable[Task] | None]"
"""Does its work or raises `Need`, after which it runs again from its start; returns the tasks that follow from it."""


class CanFetch(Protocol):
    """What a round needs of `Pages`."""

    def fetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Bring these ranges here; raises `Need` if no more can be had."""


_MAX_ROUNDS = 200
"""No file is this deep; a damaged one may pretend to be."""


def run(tasks: Iterable[Task], pages: CanFetch) -> None:
    """Run `tasks` and all that follow from them to their end.

    A round fetches the needs of every task that waits, so that the rounds are as many as the longest chain of
    dependent reads, however many objects there are.

    Raises
    ------
    MalformedFileError
        If the work does not end.
    """
    ready = deque(tasks)
    waiting: list[Task] = []
    n_rounds = 0
    while ready:
        needs: list[tuple[int, int]] = []
        while ready:
            task = ready.popleft()
            try:
                following = task()
            except Need as need:
                waiting.append(task)
                needs.extend(need.ranges)
            else:
                ready.extend(following or ())
        if not waiting:
            return
        n_rounds += 1
        if n_rounds > _MAX_ROUNDS:
            raise MalformedFileError(f"damaged: its structure leads on for more than {_MAX_ROUNDS} rounds of reading")
        pages.fetch(needs)
        ready.extend(waiting)
        waiting.clear()
