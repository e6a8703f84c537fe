"""One value of a remote folder, or a part of it: the requests that it takes with servers of all kinds."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from nwb_dask.storage.engines.protocol import Answer, Engine, Failure, Outcome, Pin, Wanted
from nwb_dask.storage.key_plan import cut
from nwb_dask.storage.remote import BEYOND_END
from nwb_dask.storage.retry import send


def ask_value(engine: Engine, wanted: Wanted, expired: Answer | None, *, name: str, seconds: float) -> Outcome:
    """Return the answer for a value or a part of it, which is empty where the value is shorter.

    Parameters
    ----------
    engine : Engine
        The value.
    wanted : Wanted
        Which part of it.
    expired : Answer or None
        The same part as it was once; where its version is still there, it is the answer.
    name : str
        Of the folder, as it may be shown.
    seconds : float
        What each request may take.
    """
    get = partial(send, engine, pin=Pin(), name=name, seconds=seconds)
    if expired is not None and expired.identity is not None:
        outcome = send(engine, wanted, Pin(unless=expired.identity.value), name=name, seconds=seconds)
        if isinstance(outcome, Failure) and outcome.reason == "unchanged":
            return replace(expired, caching=outcome.caching)
    else:
        outcome = get(wanted)
    if isinstance(outcome, Answer) and outcome.content_type.startswith("text/html"):
        return Failure("odd", said="it is a web page")
    if isinstance(outcome, Answer) or wanted is None:
        return outcome
    if outcome.reason == "whole":
        whole = get(None)
        return whole if isinstance(whole, Failure) else _part(whole, wanted)
    if outcome.status != BEYOND_END:
        return outcome
    if isinstance(wanted, int):
        # Some stores do not count from the end.
        first = get((0, 1))
        if isinstance(first, Answer):
            size = None if first.identity is None else first.identity.size
            rest = get(None if size is None else (max(size - wanted, 0), size))
            return _part(rest, wanted) if isinstance(rest, Answer) else rest
        outcome = first
    return Answer(memoryview(b""), 0, None) if outcome.status == BEYOND_END else outcome


def _part(whole: Answer, wanted: tuple[int, int] | int) -> Answer:
    body = memoryview(cut(whole.body, wanted))
    start = whole.start + (
        min(wanted[0], len(whole.body)) if isinstance(wanted, tuple) else len(whole.body) - len(body)
    )
    return Answer(body, start, whole.identity, whole.content_type, whole.n_requests, len(whole.body))
