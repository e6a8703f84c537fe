"""What went wrong with a session: what may be said of it, and whether it may pass."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nwb_dask.errors import (
    FunctionError,
    NWBDaskError,
    SourceAccessError,
    SourceNotFoundError,
    SourceUnavailableError,
    without_url_secrets,
)

_PACKAGE = str(Path(__file__).resolve().parents[1])
_CALLER = str(Path(__file__).with_name("task.py"))
CALL = "call_function"
"""Name of what calls the function of the user there; a test holds the two together."""
_LONGEST = 4000
_TOO_MANY_REQUESTS = 429
_SERVER_ERRORS = range(500, 600)
_HIDDEN = "***"
_SHORTEST_SECRET = 4
"""A shorter text is in every message by chance."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a session has no result. Secrets are taken out where it is made."""

    error: str
    """Class of the error."""
    message: str
    path: str | None = None
    """Inside the file."""
    traceback: str = ""
    """Of the user's code."""
    is_passing: bool = False
    """Whether another attempt may succeed."""
    kind: type[NWBDaskError] | None = None
    """The class, if it is one of ours."""

    def as_error(self, source: str) -> NWBDaskError:
        """Return the error to raise for it."""
        if self.kind is not None:
            return self.kind(self.message, url=source, path=self.path)
        error = FunctionError(f"the function failed for {source}: {self.error}: {self.message}", url=source)
        if self.traceback:
            error.add_note(self.traceback)
        return error


KILLED = Failure(
    "KilledWorker",
    "the worker's process died each time (no memory left, a crash in a library, a signal); logs of workers tell more",
)
"""Of a session whose workers died."""


def describe(error: BaseException, secrets: Iterable[str]) -> Failure:
    """Return what may be said of an error.

    Parameters
    ----------
    error : BaseException
        What was raised.
    secrets : iterable of str
        Texts that must not appear.
    """
    hidden = sorted({one for one in secrets if len(one) >= _SHORTEST_SECRET}, key=len, reverse=True)
    ours = error if isinstance(error, NWBDaskError) else None
    return Failure(
        type(error).__qualname__,
        _clean(ours.message if ours else str(error), hidden)[:_LONGEST],
        ours.path if ours else None,
        _clean(_users_frames(error), hidden)[-_LONGEST:],
        any(map(_is_passing, _chain(error))),
        type(ours) if ours else None,
    )


def _clean(text: str, hidden: Iterable[str]) -> str:
    for one in hidden:
        text = text.replace(one, _HIDDEN)
    return without_url_secrets(text)


def _users_frames(error: BaseException) -> str:
    """Return the traceback from the user's function on, without the frames of this package and without values."""
    found = traceback.TracebackException.from_exception(error).stack
    calls = [i for i, one in enumerate(found) if one.filename == _CALLER and one.name == CALL]
    frames = [one for one in found[calls[-1] :] if not one.filename.startswith(_PACKAGE)] if calls else []
    return "".join(traceback.format_list(frames)).rstrip()


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    left: BaseException | None = error
    while left is not None and left not in seen:
        seen.append(left)
        yield left
        left = left.__cause__


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, SourceUnavailableError):
        return not isinstance(error, SourceNotFoundError | SourceAccessError)
    status = getattr(getattr(error, "response", None), "status_code", None)
    is_busy = isinstance(status, int) and (status == _TOO_MANY_REQUESTS or status in _SERVER_ERRORS)
    return is_busy or isinstance(error, ConnectionError | TimeoutError)
