"""The files that this process has open to read arrays of them: shared by threads, bounded in number."""

from __future__ import annotations

import atexit
import os
from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

from nwb_dask.backends import close_idle_files as close_idle_handles
from nwb_dask.backends import open_file
from nwb_dask.catalog import index_cache
from nwb_dask.errors import SourceChangedError
from nwb_dask.index import ArrayEntry, Identity, Url
from nwb_dask.storage import Access, open_store

MAX_OPEN = 32
"""Files that stay open without a user, for what has been learned of them."""


class _Key(NamedTuple):
    url: Url
    identity: Identity
    access: Access


class OpenFile:
    """One version of one file, open for reading; what it learns of a remote file is kept for other processes.

    Attributes
    ----------
    file : backends.File
        The file; any thread may use it.
    n_users : int
        How many do.
    """

    __slots__ = ("_entries", "_store", "file", "is_local", "key", "n_users")

    def __init__(self, key: _Key) -> None:
        self.key = key
        self.n_users = 0
        self.is_local = "://" not in key.url or key.url.startswith("file://")
        self._entries: dict[str, ArrayEntry] = {}
        known = None if self.is_local else index_cache().find(key.url, key.identity)
        self._store = open_store(key.url, key.access, key.identity)
        try:
            self.file = open_file(self._store, known)
        except BaseException:
            self._store.close()
            raise

    def located(self, entry: ArrayEntry) -> ArrayEntry:
        """Return the entry of a dataset with where its data are, which is looked up once if `entry` does not say it.

        Raises
        ------
        SourceChangedError
            If what is there has another shape or type.
        """
        if not _is_unlocated(entry):
            return entry
        found = self._entries.get(entry.path)
        if found is None:
            found = self.file.index(entry.path, recursive=True).array(entry.path)
            if found is None or found.shape != entry.shape or found.element != entry.element:
                raise SourceChangedError("has another shape or type than was planned; plan again", path=entry.path)
            self._entries[entry.path] = found
        return found

    def keep(self) -> None:
        """Keep what was learned of a remote file."""
        if not self.is_local:
            index_cache().keep(self.file.known)

    def check_current(self) -> None:
        """Raise unless the file at its path is still this one; a remote file tells with every answer."""
        if self.is_local:
            open_store(self.key.url, self.key.access, self.key.identity).close()

    def close(self) -> None:
        """Close the file."""
        self.file.close()
        self._store.close()


def _is_unlocated(entry: ArrayEntry) -> bool:
    """Return whether an entry leaves open where the data are: libhdf5 does not say it, nor do small addresses."""
    if entry.layout == "chunked":
        return entry.chunk_index is None
    if entry.layout == "contiguous":
        return entry.offset is None and (entry.stored_bytes > 0 or entry.fill is None)
    return entry.layout == "compact" and entry.inline is None


class OpenFiles:
    """Open files, the most recently used last.

    Files are opened and closed without the lock, which is held for as long as it takes to look into a dict.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: OrderedDict[_Key, OpenFile] = OrderedDict()
        self._left: list[OrderedDict[_Key, OpenFile]] = []

    def __len__(self) -> int:
        return len(self._open)

    def take(self, url: Url, identity: Identity, access: Access) -> OpenFile:
        """Return a file, open; give it back.

        Raises
        ------
        SourceChangedError
            If another version is there.
        SourceUnavailableError
            If it cannot be opened.
        """
        key = _Key(url, identity, access)
        found = self._use(key)
        if found is not None:
            try:
                found.check_current()
            except BaseException:
                self.drop(found)
                self.give_back(found)
                raise
            return found
        made = OpenFile(key)
        with self._lock:
            # Another thread may have been faster.
            found = self._open.setdefault(key, made)
            found.n_users += 1
            surplus = self._surplus()
        if found is not made:
            made.close()
        _close_all(surplus)
        return found

    def _use(self, key: _Key) -> OpenFile | None:
        with self._lock:
            found = self._open.get(key)
            if found is not None:
                found.n_users += 1
                self._open.move_to_end(key)
            return found

    def give_back(self, one: OpenFile) -> None:
        """Have done with a file that was taken. A local one that libhdf5 has open closes with its last user."""
        with self._lock:
            one.n_users -= 1
            surplus = self._surplus()
            if not one.n_users and (self._open.get(one.key) is not one or (one.is_local and one.file.is_held)):
                if self._open.get(one.key) is one:
                    del self._open[one.key]
                if one not in surplus:
                    surplus.append(one)
        _close_all(surplus)

    def drop(self, one: OpenFile) -> None:
        """Let nobody have a file again that those who have it go on using."""
        with self._lock:
            if self._open.get(one.key) is one:
                del self._open[one.key]

    def _surplus(self) -> list[OpenFile]:
        """Take out those without a user that are too many, and return them."""
        surplus: list[OpenFile] = []
        if len(self._open) > MAX_OPEN:
            idle = [one for one in self._open.values() if not one.n_users]
            surplus = idle[: len(self._open) - MAX_OPEN]
            for one in surplus:
                del self._open[one.key]
        return surplus

    def close_all(self) -> None:
        """Close the files that nobody uses; those in use close when they are given back."""
        with self._lock:
            idle = [one for one in self._open.values() if not one.n_users]
            self._open.clear()
        _close_all(idle)

    def forget_all(self) -> None:
        """Leave the files to the process that opened them, in a process that was forked from it.

        They stay referred to: h5py takes its lock to drop one, and a thread that is not here may hold it.
        """
        self._left.append(self._open)
        self._lock, self._open = Lock(), OrderedDict()


def _close_all(files: list[OpenFile]) -> None:
    for one in files:
        one.close()


open_files = OpenFiles()
"""Those of this process."""
atexit.register(open_files.close_all)
os.register_at_fork(after_in_child=open_files.forget_all)


def close_idle_files() -> None:
    """Close the files of this process that nobody uses, those that libhdf5 has open included."""
    open_files.close_all()
    close_idle_handles()
