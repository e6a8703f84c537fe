"""Requests that fail and may succeed when they are sent again: which, how often, and after what time.

The libraries are not left to decide. obstore (0.12.1, object_store 0.14) tries 408, 429 and 5xx again, with jitter, and
resumes broken bodies; but it ignores Retry-After, does not say what it did, and bounds no request as a whole.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from nwb_dask.index import Identity
from nwb_dask.storage.engines.protocol import Answer, Engine, Failure, Outcome, Pin, Wanted
from nwb_dask.storage.trace import record

_log = logging.getLogger(__name__)

T = TypeVar("T")

_N_RETRIES = 6
# A server that is silent is so for a reason that seldom passes, and each try takes its whole patience.
_N_TIMEOUTS = 1
_FIRST_SECONDS = 0.1
_LONGEST_SECONDS = 5.0
_BROKEN = {"connect", "stale", "broken"}
_BUSY = {408, 425, 429}
# What the server does not know how to do it will not learn.
_NEVER = {501, 505}
_SERVER_ERRORS = range(500, 600)

_pauses: dict[str, float] = {}
"""Server -> time until which it asked to be left alone, by all requests."""


def send(engine: Engine, wanted: Wanted, pin: Pin, *, name: str, seconds: float) -> Outcome:
    """Return the outcome of one request, tried again while that may help.

    Tried again are connections that fail or break, incomplete answers, 408, 425, 429 and server errors; up to six
    times, after a random time up to 0.1, 0.2, 0.4 ... 5 seconds ("full jitter"), or after the time that the server
    asks for (Retry-After), which then holds for all requests to it. A silence is tried again once. Any other refusal
    is final.

    Parameters
    ----------
    engine : Engine
        Who asks.
    wanted : tuple of int, int or None
        What of the file; see `protocol.Wanted`.
    pin : Pin
        Conditions.
    name : str
        The file, for the trace and the log.
    seconds : float
        What all tries may take together. Where the next one would begin later, there is none.
    """
    began = time.monotonic()
    n_requests = 0

    def attempt(until: float) -> Outcome:
        nonlocal n_requests
        outcome = engine.get(wanted, pin, until)
        # A redirect is a request of its own; that it is tried again is said apart.
        n_requests += outcome.n_requests - 1
        return outcome

    outcome, n_retries = persist(attempt, host=engine.host, name=name, seconds=seconds)
    n_bytes = (outcome.n_received or len(outcome.body)) if isinstance(outcome, Answer) else 0
    record(name, requests=1 + n_requests, n_bytes=n_bytes, retries=n_retries, began=began, ended=time.monotonic())
    return outcome


def identify(engine: Engine, *, name: str, seconds: float) -> Identity | Failure | None:
    """Return what `Engine.identify` does, tried again as `send` does."""
    began = time.monotonic()
    found, n_retries = persist(engine.identify, host=engine.host, name=name, seconds=seconds)
    if found is not None:
        record(name, requests=1, n_bytes=0, retries=n_retries, began=began, ended=time.monotonic())
    return found


def persist(
    attempt: Callable[[float], T | Failure], *, host: str, name: str, seconds: float
) -> tuple[T | Failure, int]:
    """Return what an attempt gives, and how often it was made again; see `send`.

    Parameters
    ----------
    attempt : callable
        Takes the time of `time.monotonic` after which nothing is waited for.
    host : str
        The server, to whose requests pauses apply.
    name, seconds
        As `send` has them.
    """
    until = time.monotonic() + seconds
    n_retries = n_timeouts = 0
    while True:
        _wait_for(host, until)
        outcome = attempt(until)
        if not isinstance(outcome, Failure):
            return outcome, n_retries
        n_timeouts += outcome.reason == "timeout"
        delay = _delay(outcome, n_retries, n_timeouts)
        if delay is None or time.monotonic() + delay >= until:
            return outcome, n_retries
        if outcome.retry_after is not None:
            _pauses[host] = time.monotonic() + outcome.retry_after
        n_retries += 1
        _log.debug("try %d of %s in %.2f s: %s %s", n_retries + 1, name, delay, outcome.reason, outcome.status or "")
        time.sleep(delay)


def _delay(failure: Failure, n_retries: int, n_timeouts: int) -> float | None:
    """Return the seconds before the next try; None if there is to be none."""
    if n_retries >= _N_RETRIES or not is_passing(failure) or n_timeouts > _N_TIMEOUTS:
        return None
    if failure.retry_after is not None:
        return failure.retry_after + random.uniform(0, _FIRST_SECONDS)  # noqa: S311  # as below
    if failure.reason == "stale":
        return 0.0
    return random.uniform(0, min(_LONGEST_SECONDS, _FIRST_SECONDS * 2**n_retries))  # noqa: S311  # to spread tries out


def is_passing(failure: Failure) -> bool:
    """Return whether the same request may succeed later."""
    if failure.reason == "status":
        return failure.status in _BUSY or (failure.status in _SERVER_ERRORS and failure.status not in _NEVER)
    return failure.reason in _BROKEN or failure.reason == "timeout"


def _wait_for(host: str, until: float) -> None:
    """Let pass the time that a server asked for, of another request perhaps."""
    pause = _pauses.get(host)
    if pause is None:
        return
    left = pause - time.monotonic()
    if left <= 0:
        _pauses.pop(host, None)
    elif pause < until:
        time.sleep(left)
