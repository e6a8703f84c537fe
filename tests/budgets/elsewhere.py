"""Another process, which starts once and answers many questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import nwb_dask
from tests.budgets.ephys import Columns
from tests.budgets.knowing import move
from tests.budgets.spending import Cost

_SECONDS = 120.0
"""After which a process that does not answer fails the test."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a process found, and what it spent."""

    values: Columns
    cost: Cost


class Elsewhere:
    """Calls functions in another process."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def ask(self, folder: Path, call: Callable[[], Columns]) -> Answer:
        """Return what `call` returns there; the process has used no cache in `folder` before, unless it was told to."""
        return self._pool.submit(answer, folder, call).result(_SECONDS)


@contextmanager
def another_process() -> Iterator[Elsewhere]:
    """Return a process that shares nothing with this one, for the length of the block."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield Elsewhere(pool)


def answer(folder: Path, call: Callable[[], Columns]) -> Answer:
    """Return what `call` returns with the cache in `folder`, and what it spends."""
    move(folder)
    with nwb_dask.trace() as traced:
        values = call()
    return Answer(values, Cost(traced.rounds, traced.requests, traced.bytes))
