"""Reads what is known of files as if it still held, and makes sure of it meanwhile.

A file that is known costs a round trip to see that it has not changed, before its data are asked for. Every request
for data is pinned to the version that is expected, so that the data themselves tell: the question has to be asked only
for files of which no data are read.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar

from nwb_dask.catalog import index_cache
from nwb_dask.errors import SourceChangedError, SourceUnavailableError
from nwb_dask.index import Identity, Url
from nwb_dask.read.concurrently import each_of
from nwb_dask.storage import Access, open_store

T = TypeVar("T")

_MOMENT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Unconfirmed:
    url: Url
    identity: Identity
    access: Access


class Trust:
    """Versions of files that were taken for the present ones."""

    def __init__(self) -> None:
        self._left: dict[tuple[Url, Identity], _Unconfirmed] = {}
        self._seen: dict[tuple[Url, Identity], float] = {}
        self.is_used = False

    def take(self, url: Url, identity: Identity, access: Access) -> None:
        """Take a version for the present one, until it is confirmed."""
        self.is_used = True
        self._left[url, identity] = _Unconfirmed(url, identity, access)

    def confirm(self, url: Url, identity: Identity) -> None:
        """Note that an answer has shown this version."""
        self._left.pop((url, identity), None)
        self._seen.setdefault((url, identity), monotonic())

    def has_seen(self, url: Url, identity: Identity) -> bool:
        """Return whether an answer has shown this version during this read, and a moment ago.

        What is read of a folder cannot be pinned to a version, and takes several rounds. A question in one of them
        makes sure of no other, so one that was answered a moment before is as good.
        """
        seen = self._seen.get((url, identity))
        return seen is not None and monotonic() - seen < _MOMENT_SECONDS

    def make_sure(self) -> None:
        """Ask for the files that no answer has come from; raises `SourceChangedError` if one has changed."""
        each_of(list(self._left.values()), _ask)


def _ask(one: _Unconfirmed) -> None:
    with open_store(one.url, one.access, cached=one.identity) as store:
        if not store.is_unchanged:
            index_cache().forget(one.url)
            raise SourceChangedError("the file has changed", url=one.url)


_active: ContextVar[Trust | None] = ContextVar("nwb_dask_trust", default=None)


def active_trust() -> Trust | None:
    """Return the trust that `read_trusting` has put in place here, or None."""
    return _active.get()


def read_trusting(read: Callable[[], T]) -> T:
    """Return what `read` returns; what it read is of the versions that are there now.

    `read` is called once if nothing has changed, and once more, asking each file first, if something has or cannot be
    had: then its own errors say so.
    """
    trust = Trust()
    token = _active.set(trust)
    try:
        found = read()
        trust.make_sure()
    except (SourceChangedError, SourceUnavailableError):
        if not trust.is_used:
            raise
    else:
        return found
    finally:
        _active.reset(token)
    return read()
