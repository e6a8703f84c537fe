"""The files that one file leads to, of any container: opened where the user allows it, and noted in its version."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from nwb_dask.backends.protocol import File
from nwb_dask.errors import MalformedFileError, NWBDaskError, SourceChangedError, SourceNotFoundError
from nwb_dask.index import Identity, Source
from nwb_dask.storage import (
    ABSENT,
    Access,
    path_key,
    reached_from,
    version_of,
    with_reached,
)

MAX_DEPTH = 40
"""Links out of files, or virtual datasets of virtual datasets, on the way to one object."""
MAX_STEPS = 10_000
"""The same, of one question."""
_MAX_OPEN = 32


class Opened(Protocol):
    """The bytes of a file that was reached."""

    @property
    def source(self) -> Source:
        """Where they are, without symbolic links, and their version."""

    def close(self) -> None:
        """Give them up."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None: ...


S = TypeVar("S", bound=Opened)

_Place = tuple[str, str]
_way: ContextVar[tuple[tuple[_Place | None, ...], list[int]] | None] = ContextVar("nwb_dask_way_outside", default=None)


@contextmanager
def one_step(place: tuple[str, str] | None = None) -> Iterator[None]:
    """Count a step out of a file, or from a virtual dataset to another dataset.

    Parameters
    ----------
    place : tuple of str, optional
        The file and the path that the step is taken from, which must not come again on the way.

    Raises
    ------
    MalformedFileError
        If it does, or if the step is the 41st in a row or the 10,001st of one question.
    """
    before, left = _way.get() or ((), [MAX_STEPS])
    left[0] -= 1
    if len(before) >= MAX_DEPTH or left[0] < 0 or (place is not None and place in before):
        raise MalformedFileError("links between files, or virtual datasets, lead in circles or are too many to follow")
    token = _way.set(((*before, place), left))
    try:
        yield
    finally:
        _way.reset(token)


class Outside(Generic[S]):
    """The files that a file leads to, directly or through others.

    Parameters
    ----------
    access : Access
        Which folders are allowed.
    identity : Identity
        Of the file, with the versions of the others that were planned.
    open_store : callable
        Opens what a file names, given the name, where that file is, and `access`, as `storage.open_allowed` does.
    open_file : callable
        Reads what was opened, given also its path and this.
    pinned : mutable mapping, optional
        Where the versions of what is reached are kept, if the version of the file itself does not have them.
    """

    def __init__(
        self,
        access: Access,
        identity: Identity,
        open_store: Callable[[str, str, Access], S],
        open_file: Callable[[S, str, Outside[S]], File],
        pinned: MutableMapping[str, str] | None = None,
    ) -> None:
        self.access = access
        self._identity = identity
        self._open_store = open_store
        self._open_file = open_file
        self._is_pinned = pinned is not None
        self._reached = reached_from(identity) if pinned is None else pinned
        self._lock = Lock()
        self._kept: dict[str, tuple[S, File]] = {}

    @property
    def identity(self) -> Identity:
        """Version of the file, with those of all that it has led to, unless these are kept elsewhere."""
        if self._is_pinned:
            return self._identity
        with self._lock:
            return with_reached(self._identity, self._reached)

    @contextmanager
    def raw(self, filename: str, beside: str) -> Iterator[S]:
        """Give the bytes of a file that the one at `beside` names; errors as `storage.open_allowed` and `file`."""
        with self._open(filename, beside) as store:
            yield store

    @contextmanager
    def file(self, filename: str, beside: str) -> Iterator[File]:
        """Give a file that the one at `beside` names.

        Raises
        ------
        SourceAccessError, SourceNotFoundError
            If it may not be opened, or is not there.
        SourceChangedError
            If it is not the version that was planned, or was seen before.
        """
        store = self._open(filename, beside)
        place = store.source.url
        with self._lock:
            kept = self._kept.get(place)
            if kept is None and len(self._kept) < _MAX_OPEN:
                kept = self._kept[place] = (store, self._open_file(store, place, self))
        if kept is not None:
            if kept[0] is not store:
                store.close()
            yield kept[1]
            return
        with store, self._open_file(store, place, self) as file:
            yield file

    def _open(self, filename: str, beside: str) -> S:
        try:
            store = self._open_store(filename, beside, self.access)
        except SourceNotFoundError:
            self._note(os.path.join(os.path.dirname(beside), filename), ABSENT)  # noqa: PTH118, PTH120  # text in, text out
            raise
        try:
            self._note(store.source.url, version_of(store.source.identity))
        except NWBDaskError:
            store.close()
            raise
        return store

    def _note(self, path: str, version: str) -> None:
        key = path_key(path)
        with self._lock:
            if self._reached.setdefault(key, version) != version:
                if self._is_pinned:
                    # The next reading begins with this one.
                    self._reached[key] = version
                raise SourceChangedError(f"{path} is not the file that was planned; plan again", url=path)

    def close(self) -> None:
        """Close the files; what is asked next opens them again."""
        with self._lock:
            kept, self._kept = self._kept, {}
        for store, file in kept.values():
            file.close()
            store.close()
