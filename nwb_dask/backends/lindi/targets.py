"""The files that a document refers to: opened once, kept open, each at one version."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TypeVar

from nwb_dask.backends.hdf5.signature import check_signature
from nwb_dask.backends.lindi.noted import check_noted
from nwb_dask.backends.lindi.policy import Place
from nwb_dask.errors import (
    MalformedFileError,
    NWBDaskError,
    SourceAccessError,
    SourceChangedError,
    UnsupportedLayoutError,
)
from nwb_dask.index import Identity, Source, Url
from nwb_dask.storage import Buffer, Store, display_url, is_local, open_bytes, open_store

T = TypeVar("T")

_MAX_OPEN = 256
_MAX_PINS = 4096
_N_THREADS = 16
_MAX_DEPTH = 16
"""Folders between a chunk and its array, at most."""
# A file that nothing is known of is asked for one byte, with which its version comes, and not for its ends.
_NO_VERSION = Identity("mtime", "", 0)


class _Pins:
    """Versions of referenced files as this process saw them first, by document. Operations are atomic: no lock."""

    identities: OrderedDict[tuple[Source, Url], Identity] = OrderedDict()  # noqa: RUF012  # those of the process


os.register_at_fork(after_in_child=lambda: setattr(_Pins, "identities", OrderedDict(_Pins.identities)))


class Targets:
    """Open files that one document refers to.

    Most documents say nothing of the versions of these files; one that notes them is taken at its word. Else the
    version that is seen when a file is first opened is the one that this process reads for as long as it reads that
    version of the document; when another one is there, that is an error, and the next reading begins with that.

    Parameters
    ----------
    source : Source
        The document.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stores: OrderedDict[Place, Store] = OrderedDict()
        self._checking = Lock()
        self._checked: set[Url] = set()

    def open(self, place: Place, *, ends: bool = False) -> Store:
        """Return an open file; one that nothing is known of with its head and its tail, if `ends`.

        Raises
        ------
        SourceUnavailableError, SourceChangedError
            If it cannot be had, or is another one than before.
        """
        store = self._stores.get(place)
        if store is not None:
            return store
        store = self._explained(place, lambda: self._opened(place, ends=ends))
        # A store that is dropped closes itself once nobody reads from it.
        store = self._stores.setdefault(place, store)
        if len(self._stores) > _MAX_OPEN:
            self._stores.popitem(last=False)
        return store

    def read(self, wanted: Sequence[tuple[Place, Sequence[tuple[int, int]]]]) -> list[list[Buffer]]:
        """Return the ranges of each file, all files at once.

        Raises
        ------
        MalformedFileError
            If a range reaches past the end of its file.
        SourceUnavailableError, SourceChangedError
            As `open`.
        """
        return self.at_once([place for place, _ in wanted], lambda at: self._read(*wanted[at]))

    def at_once(self, places: Sequence[Place], call: Callable[[int], T]) -> list[T]:
        """Return what a call gives for the number of each place; those of remote files run at once."""
        if len(places) == 1 or all(is_local(place.url) for place in places):
            return [call(at) for at in range(len(places))]
        with ThreadPoolExecutor(min(len(places), _N_THREADS), "nwb_dask-references") as pool:
            return list(pool.map(call, range(len(places))))

    def _read(self, place: Place, ranges: Sequence[tuple[int, int]]) -> list[Buffer]:
        store = self.open(place)
        return self._explained(place, lambda: store.read(ranges))

    def _opened(self, place: Place, *, ends: bool) -> Store:
        key = (self._source, place.url)
        expected = _Pins.identities.get(key)
        store = open_bytes(place.url, place.access, expected, cached=None if expected or ends else _NO_VERSION)
        if place.otherwise and not _is_original(store):
            store.close()
            raise SourceAccessError(place.otherwise, url=self._source.url)
        self._check(place, store)
        _Pins.identities[key] = store.source.identity
        while len(_Pins.identities) > _MAX_PINS:
            _Pins.identities.popitem(last=False)
        return store

    def _check(self, place: Place, store: Store) -> None:
        """Raise `SourceChangedError` if a file is not the one that the document notes; of a store, once."""
        if place.noted is None:
            return
        if place.folder is None:
            check_noted(place.noted, store)
            return
        with self._checking:
            if place.folder not in self._checked:
                with open_store(place.folder, place.access) as folder:
                    check_noted(place.noted, folder)
                self._checked.add(place.folder)

    def _explained(self, place: Place, call: Callable[[], T]) -> T:
        """Return what a call gives; its errors say that the file is a referenced one."""
        try:
            return call()
        except NWBDaskError as exc:
            if isinstance(exc, SourceChangedError):
                _Pins.identities.pop((self._source, place.url), None)
                self._stores.pop(place, None)
            exc.add_note(
                f"{display_url(place.url)} is named by {display_url(self._source.url)}; if it is elsewhere now, "
                "nwb_dask.options(remap={URL or prefix: URL or path})"
            )
            raise

    def close(self) -> None:
        """Close all of them; more than once is harmless."""
        while self._stores:
            self._stores.popitem()[1].close()


def _is_original(store: Store) -> bool:
    """Return whether a local file is an HDF5 file, or below a folder that is a Zarr array."""
    try:
        check_signature(store)
    except (MalformedFileError, UnsupportedLayoutError):
        folders = Path(store.local_path or "/").resolve().parents
        return any((folder / name).is_file() for folder in folders[:_MAX_DEPTH] for name in (".zarray", "zarr.json"))
    return True
