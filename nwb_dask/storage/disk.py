"""Folders in which processes keep files for each other: how files come into them, how they go, and how large they get.

Nothing is locked but the sweep. The folder is its own list: an index of it in a database would be one more thing that
processes wait for and that can differ from what is there.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nwb_dask.storage.coalesce import Buffer

VERSION = re.compile(r"v\d+")
SHARD = re.compile(r"[0-9a-f]{2}")
_ASIDE = ".tmp"
_DAY = 86_400.0
_HOUR = 3600.0
_ROOM = 0.8
"""What is left after eviction, of the bound: so that it does not come to pass with every file."""
_UNSWEPT_SHARE = 16
"""A process that has written this part of the bound looks at the folder, however short ago it was looked at."""
_STAMP = ".swept"
_LOCK = ".sweeping"
_LOCK_SECONDS = 120.0
"""Who has held the lock for longer died, perhaps because its process ended. That two sweep does no harm."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which files below a folder are those of a cache; whatever else is there is left alone."""

    folders: tuple[re.Pattern[str], ...]
    """Names of the folders that lead to its files, from the outside in."""
    name: re.Pattern[str]
    """Names of its files, those being written included."""
    least_bytes: int = 0
    """What the smallest file counts: many file systems use a whole block for it."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of a cache, as its folder says it."""

    path: str
    size_bytes: int
    used: float
    """When it was read or written last, in seconds since 1970; to the day."""

    @property
    def is_aside(self) -> bool:
        """Whether it is being written, or was when its process died."""
        return self.path.endswith(_ASIDE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One remote file of which a cache has something."""

    url: str
    """Without user, password and query string; "" if that is not known any more."""
    size_bytes: int
    """In the cache."""
    used: float
    """When any of it was read or written last, in seconds since 1970; to the day."""


def write_aside(path: Path, parts: Sequence[Buffer], *, n_folders: int) -> None:
    """Put `parts` at `path`, all of it or nothing; readers see what was there before, or the new file.

    Only the user may read the file and the folders that are made for it.

    Parameters
    ----------
    path : Path
        Where to.
    parts : sequence of buffers
        What to write, one after the other.
    n_folders : int
        Folders above `path`, which are the cache's own.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    aside = path.with_name(f".{path.stem}.{os.getpid()}{os.urandom(6).hex()}{_ASIDE}")
    try:
        handle = _create(aside)
    except FileNotFoundError:
        for folder in reversed(path.parents[:n_folders]):
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700, parents=folder == path.parents[n_folders - 1])
        handle = _create(aside)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(parts)
        # Not synchronised: what a crash leaves torn does not have its digest, and is written again.
        aside.replace(path)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def mark_used(path: Path) -> None:
    """Write down, at most once a day, that a file was used: many file systems do not keep the time of access."""
    with suppress(OSError):
        now = time.time()
        if abs(now - path.stat().st_mtime) > _DAY:
            os.utime(path, (now, now))


def files(folder: Path, layout: Layout) -> Iterator[FoundFile]:
    """Yield the files of a cache, and those that are being written."""
    for found in _walk(str(folder), layout.folders):
        for entry in _scan(found, layout.name):
            # It may be gone by now.
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                yield FoundFile(entry.path, status.st_size, status.st_mtime)


def sweep(folder: Path, layout: Layout, max_bytes: int) -> int:
    """Remove what was used longest ago until the cache is well below `max_bytes`; return the bytes removed.

    Does nothing to a cache that is not too large, but for files that processes left when they died. Other processes
    may read, write and sweep meanwhile.
    """
    removed = 0
    kept = []
    now = time.time()
    for one in files(folder, layout):
        if not one.is_aside:
            kept.append(one)
        elif now - one.used > _HOUR:
            removed += _remove(one)
    left = sum(max(one.size_bytes, layout.least_bytes) for one in kept)
    if left <= max_bytes:
        return removed
    for one in sorted(kept, key=lambda one: one.used):
        if left <= _ROOM * max_bytes:
            break
        left -= max(one.size_bytes, layout.least_bytes)
        removed += _remove(one)
    return removed


def clear(folder: Path, layout: Layout) -> None:
    """Remove every file of the cache, of all versions, and nothing else that may be in its folder."""
    for one in list(files(folder, layout)):
        _remove(one)


def _remove(one: FoundFile) -> int:
    with suppress(OSError):
        os.unlink(one.path)  # noqa: PTH108  # text from scandir: thousands of them
        return one.size_bytes
    return 0


def _walk(folder: str, names: Sequence[re.Pattern[str]]) -> Iterator[str]:
    if not names:
        yield folder
        return
    for entry in _scan(folder, names[0]):
        # A link may lead to what is not the cache's to remove.
        if entry.is_symlink():
            continue
        yield from _walk(entry.path, names[1:])


def _scan(folder: str, name: re.Pattern[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return [entry for entry in found if name.fullmatch(entry.name)]
    except OSError:
        return []


class Sweeper:
    """Says when a folder is to be swept, and lets that be done where nobody waits for it.

    Parameters
    ----------
    folder : Path
        The cache's.
    sweep : callable
        Sweeps it.
    """

    def __init__(self, folder: Path, sweep: Callable[[], object]) -> None:
        self._folder = folder
        self._sweep = sweep
        self._unswept_bytes = 0
        self._next_look = 0.0

    def note(self, n_written: int, max_bytes: int) -> None:
        """Note how much was written; starts to sweep once an hour, and after every sixteenth of the bound.

        Raises
        ------
        OSError
            If the folder cannot be written.
        """
        self._unswept_bytes += n_written
        now = time.time()
        is_much = self._unswept_bytes > max_bytes // _UNSWEPT_SHARE
        if not is_much and now < self._next_look:
            return
        self._next_look = now + _HOUR
        self._unswept_bytes = 0
        stamp = self._folder / _STAMP
        try:
            age = now - stamp.stat().st_mtime
        except FileNotFoundError:
            stamp.touch(mode=0o600)
            age = 0.0
        if is_much or not 0 <= age < _HOUR:
            # Nobody waits for it, not even at exit: the stamp is set at the end, so the next process does it again.
            threading.Thread(target=self._run, name="nwb_dask-cache-sweep", daemon=True).start()

    def stamp(self) -> None:
        """Note that the folder has been swept."""
        with suppress(OSError):
            (self._folder / _STAMP).touch(mode=0o600)

    def _run(self) -> None:
        """Sweep, unless another process is at it."""
        lock = self._folder / _LOCK
        with suppress(OSError):
            if time.time() - lock.stat().st_mtime > _LOCK_SECONDS:
                lock.unlink()
        try:
            os.close(_create(lock))
        except OSError:
            return
        try:
            self._sweep()
        finally:
            with suppress(OSError):
                lock.unlink()
