"""What a block asks of a server, counted on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import nwb_dask
from nwb_dask.storage.trace import Trace
from nwb_dask.testing import RangeServer


class Cost(NamedTuple):
    """What was asked, or the most that may be."""

    rounds: int
    """Times that something had to be waited for: what latency multiplies."""
    requests: int
    bytes: int
    """Of the bodies of all answers."""


@contextmanager
def at_most(server: RangeServer, budget: Cost) -> Iterator[Trace]:
    """Fail the test if the block asks for more, or if our trace and the log of the server disagree."""
    server.reset()
    with nwb_dask.trace() as traced:
        yield traced
    assert (traced.requests, traced.bytes) == (server.n_requests, server.n_bytes)
    check(Cost(traced.rounds, traced.requests, traced.bytes), budget)


def check(found: Cost, budget: Cost) -> None:
    """Fail the test if more was spent than the budget has."""
    over = {name: f"{spent:,} of {limit:,}" for name, spent, limit in zip(Cost._fields, found, budget, strict=True)}
    assert all(spent <= limit for spent, limit in zip(found, budget, strict=True)), over


def ranges_asked(server: RangeServer) -> set[tuple[int, int]]:
    """Return the half-open ranges that the server was asked for, none of which may count from the end."""
    asked = [request.headers["range"].removeprefix("bytes=").split("-") for request in server.log]
    return {(int(first), int(last) + 1) for first, last in asked}
