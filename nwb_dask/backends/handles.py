"""The open h5py files of this process: shared by threads, bounded in number, closed before the interpreter exits.

The only lock here is h5py's own (`phil`). A second one could be wanted by a thread that holds the first, because
h5py takes its lock whenever a dead object of its is collected, in any thread and at any time (h5py issues 2019 and
2021).
"""

from __future__ import annotations

import atexit
import logging
import os
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from types import TracebackType
from typing import Self, TypeAlias

import h5py
from h5py import h5, h5f, h5fd, h5p
from h5py._objects import phil

from nwb_dask.backends.protocol import ByteSource
from nwb_dask.errors import SourceUnavailableError, display_url
from nwb_dask.index import Identity, Source, Url
from nwb_dask.storage import BlockFile, Buffer, Driver

_log = logging.getLogger(__name__)

MAX_REMOTE = 16
"""Remote files that stay open without a user, for the metadata that their handles have cached."""

_LOCKINGS = (None, (False, True), (False, False), (True, True), (True, False))
"""Whether to lock, and whether to go on where the disk cannot; None is libhdf5's default."""

_Key: TypeAlias = tuple[Url, Identity]


class Handle:
    """One open HDF5 file and how many use it.

    Attributes
    ----------
    fid : h5py.h5f.FileID
        Open, as long as this handle was acquired and not released.
    opened : dict of str to object
        Datasets that are open, by path; what they are is the backend's.
    paths : dict of int to str or None
        Paths of objects by address, as far as references to them were followed.
    """

    __slots__ = ("fid", "key", "lent", "local", "opened", "paths", "users")

    def __init__(self, key: _Key, store: ByteSource) -> None:
        self.key = key
        self.users = 0
        self.opened: dict[str, object] = {}
        self.paths: dict[int, str | None] = {}
        self.local = store.local_path is not None
        self.lent = _LentStore(store)
        if store.driver is not None:
            self.fid = _open_with_driver(store.driver)
        else:
            self.fid = _open_local(store.local_path) if store.local_path is not None else _open_remote(self.lent)


class _LentStore:
    """The bytes of a remote file, through the store of someone who uses the handle right now.

    The handle outlives the stores of its users. Stores are added and removed with h5py's lock held, as they are
    when they are read from, so that none is closed by its owner while h5py reads from it.
    """

    def __init__(self, store: ByteSource) -> None:
        self.source = store.source
        self.size = store.size
        self.local_path = None
        self.driver = None
        self.stores = [store]

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[Buffer]:
        """Return the bytes of each range."""
        return self.stores[-1].read(ranges)

    def close(self) -> None:
        """Do nothing: the store is closed by its owner."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class _Handles:
    """Open files by URL and version, the most recently used last."""

    def __init__(self) -> None:
        self._open: OrderedDict[_Key, Handle] = OrderedDict()
        self._newest: dict[Url, Handle] = {}
        self._left: list[OrderedDict[_Key, Handle]] = []

    def acquire(self, store: ByteSource) -> Handle:
        source: Source = store.source
        key = (source.url, source.identity)
        with phil:
            handle = self._open.get(key)
            if handle is None:
                self._close_older(url=source.url)
                handle = self._open[key] = self._newest[source.url] = Handle(key, store)
            elif not handle.local:
                handle.lent.stores.append(store)
            handle.users += 1
            self._open.move_to_end(key)
            return handle

    def release(self, handle: Handle, store: ByteSource) -> None:
        with phil:
            handle.users -= 1
            if not handle.local:
                handle.lent.stores.remove(store)
            if handle.users:
                return
            if handle.local or self._open.get(handle.key) is not handle:
                self._close(handle)
            else:
                self._evict()

    def close_all(self) -> None:
        with phil:
            for handle in list(self._open.values()):
                self._close(handle)

    def close_idle(self) -> None:
        with phil:
            for handle in [handle for handle in self._open.values() if not handle.users]:
                self._close(handle)

    def forget_all(self) -> None:
        """Leave the files to the process that opened them.

        They stay referred to: h5py takes its lock to drop one, and a thread that is not here may hold it.
        """
        self._left.append(self._open)
        self._open, self._newest = OrderedDict(), {}

    def _evict(self) -> None:
        if len(self._open) <= MAX_REMOTE:
            return
        idle = [handle for handle in self._open.values() if not handle.local and not handle.users]
        for handle in idle[: max(len(idle) - MAX_REMOTE, 0)]:
            self._close(handle)

    def _close_older(self, *, url: Url) -> None:
        """Close another version of the same file: libhdf5 would share its metadata with the one to be opened."""
        handle = self._newest.get(url)
        if handle is not None and not handle.users:
            self._close(handle)

    def _close(self, handle: Handle) -> None:
        if self._open.get(handle.key) is handle:
            del self._open[handle.key]
        if self._newest.get(handle.key[0]) is handle:
            del self._newest[handle.key[0]]
        handle.opened.clear()
        if handle.fid.valid:
            # As h5py.File.close does: while one of its objects is open, libhdf5 keeps the file open. Closing it all at
            # once (CLOSE_STRONG) would be refused for a file that the user has open through h5py as well. The file goes
            # the same way, because `fid.close` then looks through all objects of h5py in the process for those that
            # died with it, which takes longer than to close; what was open here has just been cleared.
            try:
                handle.fid._close_open_objects(h5f.OBJ_LOCAL | ~h5f.OBJ_FILE)  # noqa: SLF001  # no public way
                handle.fid._close_open_objects(h5f.OBJ_LOCAL | h5f.OBJ_FILE)  # noqa: SLF001  # likewise
            except (RuntimeError, OSError) as exc:
                # Of a damaged file, whose answers have been given. What libhdf5 holds of it stays in memory.
                _log.debug("%s is not closed by libhdf5: %s", display_url(handle.key[0]), exc)


def _open_local(path: str) -> h5f.FileID:
    """Open a file for reading, locked by others or not, and whoever has it open in this process.

    libhdf5 wants the same settings from all who have a file open in one process. Its default comes first, because
    that is what users have, who would else be refused while this reads. Without a lock, the file may be open for
    writing elsewhere or be on a disk that has no locks.
    """
    for locking in _LOCKINGS[:-1]:
        try:
            return h5f.open(os.fsencode(path), h5f.ACC_RDONLY, _local_access(locking))
        except OSError as exc:
            if "file locking" not in str(exc) and "unable to lock" not in str(exc):
                raise
    return h5f.open(os.fsencode(path), h5f.ACC_RDONLY, _local_access(_LOCKINGS[-1]))


def _open_remote(store: _LentStore) -> h5f.FileID:
    access = h5p.create(h5p.FILE_ACCESS)
    blocks = BlockFile(store)
    # This property list must die here: one that is alive at exit crashes the interpreter, because libhdf5 then
    # drops its reference to the Python object after Python has ended (h5py 3.16).
    access.set_fileobj_driver(h5fd.fileobj_driver, blocks)
    return h5f.open(repr(blocks).encode(), h5f.ACC_RDONLY, access)


def _open_with_driver(driver: Driver) -> h5f.FileID:
    """Open a remote file with libhdf5's own driver.

    Raises
    ------
    SourceUnavailableError
        If the installed h5py does not have it.
    """
    if not getattr(h5.get_config(), driver.name, False):
        message = f"the installed h5py was built without the {driver.name} driver; choose engine='auto'"
        raise SourceUnavailableError(message, url=driver.url)
    file = h5py.File(driver.url, "r", driver=driver.name, **driver.keywords)
    return file.id


@cache
def _local_access(locking: tuple[bool, bool] | None) -> h5p.PropFAID:
    access = h5p.create(h5p.FILE_ACCESS)
    if locking is not None:
        access.set_file_locking(*locking)
    return access


_handles = _Handles()
# A file over a Python object that is open at exit crashes the interpreter (measured: 3 times of 3).
atexit.register(_handles.close_all)
os.register_at_fork(after_in_child=_handles.forget_all)


def acquire(store: ByteSource) -> Handle:
    """Return the open handle of a file; give it back with `release` and the same store."""
    return _handles.acquire(store)


def release(handle: Handle, store: ByteSource) -> None:
    """Give a handle back. A local file closes with its last user, so that it may be opened for writing."""
    _handles.release(handle, store)


def close_idle_files() -> None:
    """Close the files that nobody uses, which stay open for what libhdf5 has learned of them."""
    _handles.close_idle()
